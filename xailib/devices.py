"""Which device a process works on, and GPUs shared out among processes by one lock file each.

Slices that run side by side spread over the GPUs: each takes the first one that none holds, and when all are held they
share evenly. The operating system frees a lock when its process ends, however it ends.
"""

import contextlib
import itertools
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING

from xailib.errors import InputError

if TYPE_CHECKING:
    import torch

# What says that this process was given a GPU; NoDevFiles is Slurm's word for none.
ALLOTTED = ("SLURM_JOB_GPUS", "SLURM_STEP_GPUS", "CUDA_VISIBLE_DEVICES")
NO_GPU = ("", "-1", "NoDevFiles")

_held: list[tuple["torch.device", IO[str]]] = []  # the GPU that `auto` means in this process, until it ends


def pick(device: str) -> "torch.device":
    """Return the device that `device` names; `auto` is a GPU when there is one.

    Of several GPUs `auto` claims one for as long as the process lives, the same at every call.

    Raises:
        InputError: a name that is not known, a GPU that this machine lacks, or one that was allotted and is not visible.
    """
    import torch

    if device == "auto":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if not count:
            _check_allotted(torch.version.cuda or torch.version.hip)
        if count < 2:
            return torch.device("cuda" if count else "cpu")
        if not _held:
            index, lock = take(_gpu_names(count), _folder())
            _held.append((torch.device("cuda", index), lock))
        picked = _held[0][0]
    else:
        try:
            picked = torch.device(device)
        except (RuntimeError, TypeError):
            raise InputError(f"device: '{device}' is not known; use auto, cpu, cuda or cuda:N") from None
    if picked.type == "cuda":
        if (picked.index or 0) >= torch.cuda.device_count():
            raise InputError(f"device: '{device}' is not there; this machine has {torch.cuda.device_count()} GPUs")
        if picked.index is not None:  # what is asked of "the current GPU", such as its memory, is asked of this one
            torch.cuda.set_device(picked)
    elif picked.type == "meta" or not _answers(picked):
        raise InputError(f"device: '{device}' is not there; use auto, cpu, cuda or cuda:N")
    return picked


def _answers(device: "torch.device") -> bool:
    """Whether a tensor can be made on a device."""
    import torch

    try:
        return bool(torch.ones(1, device=device).item())
    except Exception:  # of each kind of device that torch was built without, its own
        return False


@contextlib.contextmanager
def claim(device: str = "auto") -> Iterator["torch.device"]:
    """Hold a device within the block: `with devices.claim("auto") as device:`. Only a GPU that `auto` chose is locked."""
    fresh = device == "auto" and not _held
    try:
        yield pick(device)
    finally:
        if fresh and _held:
            _held.pop()[1].close()


def take(names: list[str], folder: Path) -> tuple[int, IO[str]]:
    """Lock one of the devices called `names`; return its index and the open lock file, which is the lock.

    Never waits: where all are held, the one with the fewest holders is shared, the first of them.
    """
    import fcntl  # not on Windows, where nothing calls this with several GPUs

    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for holders in itertools.count():
        for index, name in enumerate(names):
            lock = open(folder / f"{name}-{holders}.lock", "w")  # noqa: SIM115  (open is what holds it)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                lock.close()
                continue
            return index, lock
    raise AssertionError("unreachable")


def failure(kind: str, message: str) -> str:
    """Return in one sentence how a GPU failed, given an error's class name and text; empty for any other error.

    After such an error nothing runs on the GPU in that process any more, but a new process may find it well again.
    """
    first = (message.splitlines() or [""])[0].strip().rstrip(".")
    words = ("CUDA error", "CUDNN_STATUS", "CUBLAS_STATUS", "CUDA driver error", "No CUDA GPUs are available")
    if kind != "AcceleratorError" and not any(word in message for word in words):
        return ""
    return f"the GPU was lost or failed in the middle ({first}); finished slices are kept, run again to go on"


def _check_allotted(built: str | None) -> None:
    """Refuse to work on the CPU where a GPU was allotted; `built` is the CUDA or ROCm that PyTorch was built for."""
    allotted = next((name for name in ALLOTTED if os.environ.get(name, "") not in NO_GPU), None)
    if allotted:
        why = f"its build for {built} may be too new for the driver" if built else "it is a build for CPUs"
        raise InputError(
            f"device: a GPU was allotted ({allotted}={os.environ[allotted]}), but PyTorch sees none: {why}; "
            "install another build (docs/install.md), or say device: cpu"
        )


def _gpu_names(count: int) -> list[str]:
    """Names that are the same in every process, whichever GPUs it sees and however it counts them."""
    import torch

    return [str(torch.cuda.get_device_properties(index).uuid) for index in range(count)]


def _folder() -> Path:
    return Path(tempfile.gettempdir()) / f"xailib-gpus-{os.getuid()}"
