"""Weight files: found, checked by sha256, read without running any code, and laid into a network."""

import hashlib
import pickle
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from xailib.errors import InputError
from xailib.params import ROOT


def load_file_weights(record: dict[str, Any]) -> dict[str, Tensor]:
    """Return the state dict of a model record whose `weights.source` is `file`; its sha256 is checked when given."""
    path = ROOT / record["weights"]["path"]
    if not path.is_file():
        raise InputError(
            f"{path}: no such weight file; train it with 'make weights' or correct weights.path in "
            f"params/models/{record['model']}.yaml"
        )
    expected = record["weights"].get("sha256")
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if expected and found != expected:
        raise InputError(
            f"{path}: sha256 is {found[:12]}..., params/models/{record['model']}.yaml says {expected[:12]}...; "
            "restore the file, or write the new sha256 there if you mean to change it"
        )
    return read_state(path)


def read_state(path: Path) -> dict[str, Tensor]:
    """Read a state dict from a safetensors file or a torch file of plain tensors; other pickles are refused."""
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except SafetensorError as error:
        raise InputError(f"{path}: not a complete safetensors file ({error})") from None
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError) as error:
        raise InputError(f"{path}: not a state dict of tensors ({str(error).splitlines()[0]})") from None
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise InputError(f"{path}: not a state dict; save the weights with torch.save(network.state_dict(), ...)")
    return state


def lay_in(network: nn.Module, state: dict[str, Tensor], where: str) -> None:
    """Copy a state dict into a network, in float32; names or shapes that differ are an `InputError` with the first one."""
    wanted = network.state_dict()
    missing, extra = sorted(set(wanted) - set(state)), sorted(set(state) - set(wanted))
    if missing or extra:
        first = f"has no '{missing[0]}'" if missing else f"has '{extra[0]}', which the network lacks"
        raise InputError(f"{where}: not the weights of this architecture: the file {first}")
    for key, value in wanted.items():
        if state[key].shape != value.shape:
            raise InputError(
                f"{where}: '{key}' has shape {tuple(state[key].shape)}, the network needs {tuple(value.shape)}"
            )
    network.load_state_dict({key: value.float() if value.is_floating_point() else value for key, value in state.items()})


def save_weights(network: nn.Module, path: Path) -> str:
    """Write a network as fp16 safetensors, whole or not at all, and return the file's sha256."""
    state = {
        key: (value.half() if value.is_floating_point() else value).contiguous().clone()
        for key, value in network.state_dict().items()
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    save_file(state, partial)
    partial.replace(path)
    return hashlib.sha256(path.read_bytes()).hexdigest()
