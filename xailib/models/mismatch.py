"""Weights that do not fit: small differences of spelling are put right, the rest is refused by what it is instead."""

import re
import warnings
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn

from xailib.errors import InputError
from xailib.registry import architecture as architectures

State = dict[str, Tensor]

# How copies of torchvision's networks spell some names -> torchvision's own.
_SPELLINGS = (
    (r"^last_layer\.", "classifier.6."),  # AlexNet of the robustness library
    (r"\.branch4_conv\.", ".branch4.1."),  # GoogLeNet trained with a fork of it
    (r"(denselayer\d+\.(?:norm|conv))\.([12])\.", r"\1\2."),  # DenseNet before torchvision 0.2
)
_HEADS_IN_TRAINING = ("aux1.", "aux2.", "AuxLogits.")  # GoogLeNet and Inception v3
_COUNTER = "num_batches_tracked"


def fit_names(wanted: Mapping[str, Tensor], state: State) -> tuple[State, str]:
    """Return the state dict with names as the network spells them, and the prefix of all names that was taken off.

    However many wrappers a network was saved in (`module._orig_mod.model.`), that part of their common prefix goes which
    leaves the most names of `wanted`.
    """
    needed = {key for key in wanted if not key.endswith(_COUNTER)}
    fits = [(spell_as(wanted, rest), prefix) for prefix, rest in _peelings(state)]
    return max(reversed(fits), key=lambda fit: len(needed & fit[0].keys()))


def _peelings(state: State) -> Iterator[tuple[str, State]]:
    """The names as they are, then without each longer prefix that all have: ("", ...), ("module.", ...)..."""
    prefix = ""
    while True:
        rest = {key[len(prefix) :]: value for key, value in state.items()}
        yield prefix, rest
        if len({key.partition(".")[0] for key in rest}) != 1 or not all("." in key for key in rest):
            return
        prefix += next(iter(rest)).partition(".")[0] + "."


def spell_as(wanted: Mapping[str, Tensor], state: State) -> State:
    """Return the state dict with names as the network spells them, without auxiliary heads and counters that it lacks.

    Batch norms saved before they counted their batches get a counter at 0: nothing depends on it.
    """
    spelled = {}
    for key, value in state.items():
        name = key
        if key not in wanted:
            tried = (re.sub(old, new, key) for old, new in _SPELLINGS)
            name = next((other for other in tried if other in wanted), key)
        if name in wanted or not (name.startswith(_HEADS_IN_TRAINING) or name.endswith(_COUNTER)):
            spelled[name] = value
    return {**{key: torch.tensor(0) for key in wanted if key.endswith(_COUNTER)}, **spelled}


def refuse_strangers(
    wanted: Mapping[str, Tensor], state: State, where: str, name: str | None, dataset: str | None, prefix: str = ""
) -> None:
    """Refuse weights whose names or shapes are not those of `wanted`, in one sentence; arguments as in `lay_in`.

    `prefix` is what `fit_names` took off the names, for messages.
    """
    unlike = [key for key in wanted if key in state and state[key].shape != wanted[key].shape]
    missing, extra = sorted(set(wanted) - set(state)), sorted(set(state) - set(wanted))
    if not (unlike or missing or extra):
        return
    found, needed = (_classes(tensors, unlike) for tensors in (state, wanted))
    if not (missing or extra) and found and needed:
        of = f" of the data set '{dataset}' (model_dataset)" if dataset else ""
        raise InputError(
            f"{where}: the weights tell {found} classes apart, the record's {needed}{of}; give the file or the data set that fits"
        )
    if missing:
        first = f"has no '{missing[0]}'{_elsewhere(missing, state)}"
    elif extra:
        first = f"has '{extra[0]}', which the network lacks"
    else:
        key = unlike[0]
        shapes = tuple(state[key].shape), tuple(wanted[key].shape)
        first = f"'{key}' has shape {shapes[0]}, the network needs {shapes[1]}"
        if not name:
            raise InputError(f"{where}: {first}")
    other = recognise(state)
    whose = f"not the weights of {name or 'this architecture'}" + (f" but of {other}" if other else "")
    near = other or any(key in state for key in wanted if not key.endswith(_COUNTER))
    file = f"the file, without the prefix '{prefix}' of all its names," if prefix and near else "the file"
    raise InputError(f"{where}: {whose}: {file} {first}" if missing or extra else f"{where}: {whose}: {first}")


def _elsewhere(missing: list[str], state: State) -> str:
    """Where a file has all `missing` names after a prefix that others of its names lack, such as `teacher.`, for messages."""
    names = [key for key in missing if not key.endswith(_COUNTER)] or missing
    longest = max(names, key=len)
    starts = [key.removesuffix(longest) for key in state if key.endswith(f".{longest}")]
    there = [f"'{start}'" for start in starts if all(start + key in state for key in names)]
    return f"; it has it, with others, behind {' and '.join(there)}: save one network's weights alone" if there else ""


def _classes(tensors: Mapping[str, Tensor], unlike: list[str]) -> int | None:
    """The number of outputs of the one layer that the tensors `unlike` are all of, else None."""
    layer = unlike[0].rpartition(".")[0] if unlike else ""
    sizes = {tensors[key].shape[:1] for key in unlike}
    whole = [key for key in tensors if key.rpartition(".")[0] == layer] == unlike
    return next(iter(sizes))[0] if whole and len(sizes) == 1 and sizes != {torch.Size()} else None


def recognise(state: State) -> str | None:
    """Return the registered architecture, or torchvision's classifier, whose weights these are, whatever the classes."""
    shapes = {key: tuple(value.shape) for key, value in state.items() if not key.endswith(_COUNTER)}
    for name, network in _candidates(sum(value.numel() for value in state.values())):
        wanted = {key: tuple(v.shape) for key, v in network.state_dict().items() if not key.endswith(_COUNTER)}
        if wanted.keys() == shapes.keys() and all(wanted[key][1:] == shapes[key][1:] for key in wanted):
            return name
    return None


def _candidates(numbers: int) -> Iterator[tuple[str, nn.Module]]:
    """Known networks by name, ours and those of torchvision's that have about as many `numbers`; without memory for them."""
    from torchvision import models

    ours = {name: architectures.get(name).function for name in architectures.names()}
    makers = [(name, lambda make=make: make(10)) for name, make in ours.items()]
    sizes = {
        name: next(iter(models.get_model_weights(name))).meta["num_params"]
        for name in models.list_models(module=models)
    }
    for name in sorted(sizes, key=lambda name: abs(sizes[name] - numbers)):
        if sizes[name] / 2 < numbers < sizes[name] * 2:  # the head depends on the classes
            makers.append((name, lambda name=name: models.get_model(name, weights=None)))
    for name, make in makers:
        try:
            with torch.device("meta"), warnings.catch_warnings(action="ignore"):
                network = make()
        except (TypeError, NotImplementedError):  # it needs a name, or weights to start from
            continue
        yield name, network
