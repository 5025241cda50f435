"""Layouts of checkpoint files: from what was saved, by whom and in which wrapping, to a network's own state dict.

Five are known, and `auto` tells them by their keys:

- `plain`: the network's state dict and nothing else.
- `wrapped`: a training checkpoint that holds it under `state_dict` or `model`, or averaged under a name with ema or swa;
  or all names have a prefix, such as `module.`, which comes off when the network is known.
- `robustness`: MadryLab's library saves the classifier as `model.`, its attacker's second copy as `attacker.`, and the
  normalisation as `normalizer.`, which must be the one of the model's record.
- `split_bn`: AdvProp gives every batch norm a main branch for clean images and an auxiliary one; the main one is kept.
"""

import re
import warnings
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from xailib.errors import InputError, nearest

State = dict[str, Tensor]

LAYOUTS = ("auto", "plain", "wrapped", "robustness", "split_bn")
WRAPPERS = ("state_dict", "model", "model_state_dict", "net")
# Entries that hold a running average of the weights, which is what their authors evaluate: state_dict_ema, model_ema, swa_model
_AVERAGED = re.compile(r"(?<![a-z])(ema|swa)(?![a-z])|averaged", re.IGNORECASE)
_LEFTOVERS = ("n_averaged", "total_ops", "total_params")  # counters of torch's AveragedModel and of thop
# Not any `normalizer.`, a name that other wrappers use too, whose values would not be compared with the record's.
_ROBUST = re.compile(r"((?:[^.]+\.)*?)(?:attacker\.|normalizer\.new_)")
# Names of the auxiliary and of the main branch of a split batch norm: timm (aux_bn.0), pytorch-classification-advprop and
# fast_advprop (aux_bn) keep the main branch under the layer's own name; others number or name both.
_AUXILIARY = re.compile(r"\.(aux_bn|adv_bn|bn_adv|bn_aux|bns\.[1-9]\d*)\.")
_MAIN = re.compile(r"\.(main_bn|clean_bn|bn_clean|bn_main|bns\.0)\.")


def network_state(content: Any, record: Mapping[str, Any], where: str) -> State:
    """Return the state dict of the bare network from what a checkpoint file held.

    Args:
        content: what `read_checkpoint` returned.
        record: the model's record: `weights.layout` (auto when it is not given), `weights.key`, `mean` and `std`.
        where: the file, for messages.

    Raises:
        InputError: a layout that is not known or not the file's, or a normaliser that the record contradicts.
    """
    wanted = record["weights"].get("layout") or "auto"
    if wanted not in LAYOUTS:
        raise InputError(
            f"params/models/{record['model']}.yaml: unknown weights.layout '{wanted}'{nearest(wanted, LAYOUTS)}"
        )
    state, found = unwrap(content, where, record["weights"].get("key"))
    prefixed = len({key.partition(".")[0] for key in state}) == 1
    if is_robust(state):  # the classifier is kept
        check_normaliser(state, record, where)
        inside = f"{_root(state)}model."
        state = {key.removeprefix(inside): value for key, value in state.items() if key.startswith(inside)}
        found.append("robustness")
    # Of split batch norms the branch for clean images, under the layer's own name.
    if any(map(_AUXILIARY.search, state)):
        state = {_MAIN.sub(".", key): value for key, value in state.items() if not _AUXILIARY.search(key)}
        found.append("split_bn")
    if wanted not in ("auto", *(found or ["plain"]), *(["wrapped"] if prefixed else [])):
        raise InputError(
            f"{where}: its layout is {' with '.join(found) or 'plain'}, not the weights.layout '{wanted}' of "
            f"params/models/{record['model']}.yaml; write auto there if this is the file you mean"
        )
    return state


def unwrap(content: Any, where: str, key: str | None = None) -> tuple[State, list[str]]:
    """Return the dict of tensors in a checkpoint without counters, and ["wrapped"] where it is an entry of a larger one.

    The entry is `key`, else averaged weights (a warning says so), else the first of `WRAPPERS`.
    """
    found = []
    if isinstance(content, Mapping) and (key is not None or not _is_state(content)):
        key = key or _choose(content, where)
        if (state := _entry(content, key)) is None:
            raise InputError(
                f"{where}: not a state dict{f' under {key!r} (weights.key)' if key else ''}: it holds "
                f"{', '.join(map(str, list(content)[:6])) or 'nothing'}; save the weights with "
                "torch.save(network.state_dict(), ...), under the key 'state_dict', or name their entry in weights.key"
            )
        content, found = state, ["wrapped"]
    if not _is_state(content):
        raise InputError(f"{where}: not a state dict; save the weights with torch.save(network.state_dict(), ...)")
    return {name: value for name, value in content.items() if name.rpartition(".")[2] not in _LEFTOVERS}, found


def _choose(content: Mapping[Any, Any], where: str) -> str | None:
    """The key of the weights: of averaged ones if there are any, which is said unless they are the only ones."""
    raw = next((key for key in WRAPPERS if _entry(content, key)), None)
    averaged = [key for key in content if isinstance(key, str) and _AVERAGED.search(key) and _arrays(content[key])]
    readable = [key for key in averaged if _entry(content, key)]
    if readable and (raw or len(readable) > 1):
        others = " or ".join(f"'{key}'" for key in [*readable[1:], raw] if key)
        warnings.warn(
            f"{where}: its averaged weights '{readable[0]}' are used; weights.key takes {others} instead", stacklevel=2
        )
    elif averaged and raw and not readable:
        warnings.warn(f"{where}: its averaged weights '{averaged[0]}' have no names; '{raw}' is used", stacklevel=2)
    return readable[0] if readable else raw


def _entry(content: Mapping[Any, Any], key: str | None) -> State | None:
    """The state dict under a key, or the only one inside what is there."""
    value = content.get(key)
    if not isinstance(value, Mapping) or _is_state(value):
        return value if _is_state(value) else None
    states = [item for item in value.values() if _is_state(item)]
    return states[0] if len(states) == 1 else None


def _arrays(value: Any) -> bool:
    """Whether a container holds tensors at any depth."""
    items = value.values() if isinstance(value, Mapping) else value if isinstance(value, list | tuple) else ()
    return any(isinstance(item, Tensor) or _arrays(item) for item in items)


def _is_state(value: Any) -> bool:
    return (
        isinstance(value, Mapping)
        and bool(value)
        and all(isinstance(key, str) and isinstance(item, Tensor) for key, item in value.items())
    )


def is_robust(state: State) -> bool:
    """Whether the names are those of the robustness library's `AttackerModel`, whatever prefix all of them have."""
    return _root(state) is not None


def _root(state: State) -> str | None:
    """The prefix that an `AttackerModel`'s names have before `attacker.` or `normalizer.new_`; None for other networks."""
    found = next(filter(None, map(_ROBUST.match, state)), None)
    return found[1] if found and all(key.startswith(found[1]) for key in state) else None


def check_normaliser(state: State, record: Mapping[str, Any], where: str) -> None:
    """Refuse an `AttackerModel` whose own normalisation is not that of the record: the network was trained with it."""
    for key, name in (("mean", "normalizer.new_mean"), ("std", "normalizer.new_std")):
        if (name := f"{_root(state)}{name}") not in state:
            continue
        inside, said = state[name].float().flatten(), torch.tensor(record[key])
        if inside.shape != said.shape or not torch.allclose(inside, said, atol=1e-4):
            raise InputError(
                f"{where}: it normalises with {key} {[round(float(x), 4) for x in inside]}, but params/models/"
                f"{record['model']}.yaml says {key}: {list(record[key])}; the network needs the file's"
            )
