"""Weight files: checked by sha256, read without running any code, laid into a network, and written."""

import hashlib
import pickle
import re
import shlex
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from xailib.errors import InputError, first_line
from xailib.models.layouts import network_state
from xailib.models.mismatch import fit_names, refuse_strangers
from xailib.workspace import find

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
    """Return the checked file of a record whose `weights.source` is `file`; a path starts from the workspace, or is absolute."""
    weights, where = record["weights"], f"params/models/{record['model']}.yaml"
    path = find(weights["path"])
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
    except Exception as error:  # bytes that are no checkpoint raise nearly everything
        raise InputError(f"{path}: {_fault(path, error)}") from None


def _fault(path: Path, error: Exception) -> str:
    """What a file is that cannot be read as a checkpoint."""
    if isinstance(error, FileNotFoundError):
        return "no such file"
    if isinstance(error, PermissionError):
        return "this user may not read it"
    with path.open("rb") as file:
        start = file.read(64)
    if what := next((what for pattern, what in _NO_WEIGHTS.items() if re.match(pattern, start)), None):
        return f"not a state dict but {what}"
    if isinstance(error, SafetensorError):
        return f"not a complete safetensors file ({error})"
    if "TorchScript" in str(error):
        return _unsafe(path, "TorchScript")
    if isinstance(error, pickle.UnpicklingError):
        asked = re.search(
            r"GLOBAL (\S+) was not an allowed|unsupported GLOBAL (\S+)|Unsupported class (\S+)", str(error)
        )
        if asked is not None:
            return _unsafe(path, next(filter(None, asked.groups())).rstrip(".,"))
        reason = first_line(error, "no pickle")
        return f"not a state dict of tensors that can be read without running its code ({reason[:160]})"
    reason = first_line(error, "it ends too early").rstrip(".")
    return f"not a complete torch file of a state dict ({reason}); get it again, it may have been cut off"


# How files begin that took a checkpoint's place on the way -> what they are and what to do
_NO_WEIGHTS = {
    rb"\Z": "an empty file; get it again",
    rb"version https://git-lfs": "a pointer of Git LFS; run 'git lfs pull' where it came from, and take the file itself",
    rb"(\xef\xbb\xbf)?\s*<[!?a-zA-Z]": "a web page (HTML or XML); download the file itself",
}

# Run by the user, not here: tensors, state dicts of modules and dicts are kept, all else is left out.
_SAVE_ANEW = (
    "import sys, torch; keep = lambda v: keep(v.state_dict()) if hasattr(v, 'state_dict') else {k: keep(x) for k, x in "
    "v.items() if isinstance(x, (dict, torch.Tensor)) or hasattr(x, 'state_dict')} if isinstance(v, dict) else v; "
    "torch.save(keep(torch.load(sys.argv[1], map_location='cpu', weights_only=False)), 'tensors.pt')"
)


def _unsafe(path: Path, name: str) -> str:
    """The sentence for a file that asks for the code `name`, and how to do without."""
    return (
        f"not a state dict of tensors: reading it would run code of {name}, which is not done here; in a throw-away "
        "environment (a container without network or secrets, with that code) run "
        f'python -c "{_SAVE_ANEW}" {shlex.quote(path.name)} and use the tensors.pt it writes'
    )


def lay_in(
    network: nn.Module, state: State, where: str, architecture: str | None = None, dataset: str | None = None
) -> None:
    """Copy a state dict into a network, in float32.

    A prefix of all names, names that differ in spelling only, auxiliary heads that the network lacks and counters of seen
    batches are put right.

    Args:
        network: what the weights are for; on the CPU.
        state: its names and tensors.
        where: the file, for messages.
        architecture: the registered name of the network, for messages.
        dataset: the data set whose classes the network tells, for messages.

    Raises:
        InputError: weights of another architecture (both are named where that can be told) or number of classes; the first
            key that differs is named; tensors that are no float numbers, or not finite.
    """
    wanted = network.state_dict()
    state, prefix = fit_names(wanted, state)
    refuse_strangers(wanted, state, where, architecture, dataset, prefix)
    for key in (key for key, value in wanted.items() if value.is_floating_point()):
        if not state[key].is_floating_point():
            raise InputError(
                f"{where}: '{key}' holds {state[key].dtype}, not float weights; give the file before quantisation"
            )
        state[key] = state[key].float()
        if not state[key].isfinite().all():
            raise InputError(
                f"{where}: '{key}' holds NaN or infinite values: training diverged, or the file is damaged"
            )
    network.load_state_dict(state)


def save_weights(network: nn.Module, path: Path) -> str:
    """Write a network as fp16 safetensors, whole or not at all, and return the file's sha256.

    A tensor with values beyond fp16, such as the variances of a network that takes pixels of 0 to 255, stays as it is.
    """
    state = {key: _halved(value).contiguous().clone() for key, value in network.state_dict().items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    save_file(state, partial)
    partial.replace(path)
    return sha256_of(path)


def _halved(value: Tensor) -> Tensor:
    half = value.half() if value.is_floating_point() else value
    return half if half.isfinite().all() else value
