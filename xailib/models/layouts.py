"""Layouts of checkpoint files: from what was saved, by whom and in which wrapping, to a network's own state dict.

Five are known, and `auto` tells them by their keys:

- `plain`: the network's state dict and nothing else.
- `wrapped`: a training checkpoint that holds it under `state_dict` or `model`, names perhaps prefixed by `module.`.
- `robustness`: MadryLab's library saves the classifier as `model.`, its attacker's second copy as `attacker.`, and the
  normalisation as `normalizer.`, which must be the one of the model's record.
- `split_bn`: AdvProp gives every batch norm a main branch for clean images and an auxiliary one; the main one is kept.
"""

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from xailib.errors import InputError, nearest

State = dict[str, Tensor]

LAYOUTS = ("auto", "plain", "wrapped", "robustness", "split_bn")
WRAPPERS = ("state_dict", "model", "model_state_dict", "net")
# Names of the auxiliary and of the main branch of a split batch norm: timm (aux_bn.0), pytorch-classification-advprop and
# fast_advprop (aux_bn) keep the main branch under the layer's own name; others number or name both.
_AUXILIARY = re.compile(r"\.(aux_bn|adv_bn|bn_adv|bn_aux|bns\.[1-9]\d*)\.")
_MAIN = re.compile(r"\.(main_bn|clean_bn|bn_clean|bn_main|bns\.0)\.")


def network_state(content: Any, record: Mapping[str, Any], where: str) -> State:
    """Return the state dict of the bare network from what a checkpoint file held.

    Args:
        content: what `read_checkpoint` returned.
        record: the model's record: `weights.layout` (auto when it is not given), `mean` and `std`.
        where: the file, for messages.

    Raises:
        InputError: a layout that is not known or not the file's, or a normaliser that the record contradicts.
    """
    wanted = record["weights"].get("layout") or "auto"
    if wanted not in LAYOUTS:
        raise InputError(
            f"params/models/{record['model']}.yaml: unknown weights.layout '{wanted}'{nearest(wanted, LAYOUTS)}"
        )
    state, found = unwrap(content, where)
    for layout, is_it, convert in (("robustness", is_robust, without_attacker), ("split_bn", is_split, main_branch)):
        if is_it(state):
            found.append(layout)
            state = convert(state)
    if "robustness" in found:
        check_normaliser(content, record, where)
    if wanted not in ("auto", *(found or ["plain"])):
        raise InputError(
            f"{where}: its layout is {' with '.join(found) or 'plain'}, not the weights.layout '{wanted}' of "
            f"params/models/{record['model']}.yaml; write auto there if this is the file you mean"
        )
    return state


def unwrap(content: Any, where: str) -> tuple[State, list[str]]:
    """Return the dict of tensors in a checkpoint without the prefix `module.`, and ["wrapped"] where it was wrapped."""
    found = []
    if isinstance(content, Mapping) and not _is_state(content):
        key = next((key for key in WRAPPERS if _is_state(content.get(key))), None)
        if key is None:
            raise InputError(
                f"{where}: not a state dict: it holds {', '.join(map(str, list(content)[:6])) or 'nothing'}; save the weights "
                "with torch.save(network.state_dict(), ...), or under the key 'state_dict'"
            )
        content, found = content[key], ["wrapped"]
    if not _is_state(content):
        raise InputError(f"{where}: not a state dict; save the weights with torch.save(network.state_dict(), ...)")
    if all(key.startswith("module.") for key in content):
        content, found = {key.removeprefix("module."): value for key, value in content.items()}, ["wrapped"]
    return dict(content), found


def _is_state(value: Any) -> bool:
    return (
        isinstance(value, Mapping)
        and bool(value)
        and all(isinstance(key, str) and isinstance(item, Tensor) for key, item in value.items())
    )


def is_robust(state: State) -> bool:
    """Whether the names are those of the robustness library's `AttackerModel`."""
    return any(key.startswith(("attacker.", "normalizer.")) for key in state)


def without_attacker(state: State) -> State:
    """Keep the classifier of an `AttackerModel`: `model.`, or `model.model.` where a foreign network was wrapped once more."""
    kept = {key.removeprefix("model."): value for key, value in state.items() if key.startswith("model.")}
    while kept and all(key.startswith("model.") for key in kept):
        kept = {key.removeprefix("model."): value for key, value in kept.items()}
    return kept


def check_normaliser(content: Any, record: Mapping[str, Any], where: str) -> None:
    """Refuse a checkpoint whose own normalisation is not that of the record: the network was trained with it."""
    state, _ = unwrap(content, where)
    for key, name in (("mean", "normalizer.new_mean"), ("std", "normalizer.new_std")):
        if name not in state:
            continue
        inside, said = state[name].float().flatten(), torch.tensor(record[key])
        if inside.shape != said.shape or not torch.allclose(inside, said, atol=1e-4):
            raise InputError(
                f"{where}: it normalises with {key} {[round(float(x), 4) for x in inside]}, but params/models/"
                f"{record['model']}.yaml says {key}: {list(record[key])}; the network needs the file's"
            )


def is_split(state: State) -> bool:
    """Whether batch norms have an auxiliary branch."""
    return any(_AUXILIARY.search(key) for key in state)


def main_branch(state: State) -> State:
    """Keep the main branch of every split batch norm, the one for clean images, under the layer's own name."""
    return {_MAIN.sub(".", key): value for key, value in state.items() if not _AUXILIARY.search(key)}
