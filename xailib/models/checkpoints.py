"""Weight files: checked by sha256, read without running any code, laid into a network, and written."""

import hashlib
import pickle
import re
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from xailib.errors import InputError
from xailib.models.layouts import network_state
from xailib.models.mismatch import refuse_strangers, spell_as
from xailib.params import ROOT

State = dict[str, Tensor]


def sha256_of(path: Path) -> str:
    """Return a file's sha256 in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_hash(path: Path, weights: dict[str, Any], model: str, remedy: str) -> None:
    """Refuse a file whose sha256 is not the record's `sha256`, or does not begin with its `sha256_prefix`."""
    expected = weights.get("sha256") or weights.get("sha256_prefix") or ""
    found = sha256_of(path) if expected else ""
    if not found.startswith(expected):
        raise InputError(
            f"{path}: sha256 is {found[:12]}..., params/models/{model}.yaml says {expected[:12]}...; {remedy}"
        )


def load_file_weights(record: dict[str, Any]) -> State:
    """Return the state dict of a model record whose `weights.source` is `file`; its sha256 is checked when given."""
    path = own_file(record)
    return network_state(read_checkpoint(path), record, str(path))


def own_file(record: dict[str, Any]) -> Path:
    """Return the checked file of a record whose `weights.source` is `file`; a path starts from the repository, or is absolute."""
    weights, where = record["weights"], f"params/models/{record['model']}.yaml"
    path = ROOT / Path(weights["path"]).expanduser()
    if not path.is_file():
        if record.get("training"):
            raise InputError(
                f"{path}: no such weight file; train it with 'make weights' or correct weights.path in {where}"
            )
        origin = f" ({weights['origin']})" if weights.get("origin") else ""
        raise InputError(
            f"{path}: no such weight file; put the checkpoint there{origin}, or its place into weights.path of {where}"
        )
    check_hash(
        path, weights, record["model"], "restore the file, or write the new sha256 there if you mean to change it"
    )
    return path


def read_state(path: Path) -> State:
    """Read a plain state dict of tensors from a safetensors or a torch file."""
    content = read_checkpoint(path)
    if not isinstance(content, dict) or not all(isinstance(value, Tensor) for value in content.values()):
        raise InputError(f"{path}: not a state dict; save the weights with torch.save(network.state_dict(), ...)")
    return content


def read_checkpoint(path: Path) -> Any:
    """Return what a safetensors or torch file holds, tensors and plain containers; a pickle that needs code is refused."""
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        return torch.load(path, map_location="cpu", weights_only=True)
    except SafetensorError as error:
        raise InputError(f"{path}: not a complete safetensors file ({error})") from None
    except pickle.UnpicklingError as error:
        raise InputError(_unsafe(path, str(error))) from None
    except (RuntimeError, EOFError, OSError, ValueError, TypeError, LookupError, AttributeError) as error:
        reason = (str(error).splitlines() or ["it ends too early"])[0].rstrip(".")
        raise InputError(
            f"{path}: not a complete torch file of a state dict ({reason}); get it again, it may have been cut off"
        ) from None


def _unsafe(path: Path, error: str) -> str:
    """The sentence for a pickle that asks for more than tensors: what it asks for, and how to do without."""
    asked = re.search(r"GLOBAL (\S+) was not an allowed|unsupported GLOBAL (\S+)|Unsupported class (\S+)", error)
    if asked is None:
        reason = (error.splitlines() or ["no pickle"])[0]
        return f"{path}: not a state dict of tensors that can be read without running its code ({reason[:160]})"
    name = next(filter(None, asked.groups())).rstrip(".,")
    code = (
        f"import torch; c = torch.load('{path.name}', map_location='cpu', weights_only=False); "
        "torch.save(dict(c.get('model') or c.get('state_dict') or c), 'tensors.pt')"
    )
    return (
        f"{path}: not a state dict of tensors: reading it would run code of {name}, which is not done here; in a throw-away "
        f'environment (a container without network or secrets) run python -c "{code}" and use the tensors.pt it writes'
    )


def lay_in(
    network: nn.Module, state: State, where: str, architecture: str | None = None, dataset: str | None = None
) -> None:
    """Copy a state dict into a network, in float32.

    Names that differ in spelling only, auxiliary heads that the network lacks and counters of seen batches are put right.

    Args:
        network: what the weights are for; on the CPU.
        state: its names and tensors.
        where: the file, for messages.
        architecture: the registered name of the network, for messages.
        dataset: the data set whose classes the network tells, for messages.

    Raises:
        InputError: weights of another architecture (both are named where that can be told) or number of classes; the first
            key that differs is named.
    """
    wanted = network.state_dict()
    state = spell_as(wanted, state)
    refuse_strangers(wanted, state, where, architecture, dataset)
    network.load_state_dict(
        {key: value.float() if value.is_floating_point() else value for key, value in state.items()}
    )


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
    return sha256_of(path)
