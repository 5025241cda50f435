"""Where a result comes from: code, versions, parameters, device and cost, as one plain record."""

import contextlib
import platform
import resource
import subprocess
import sys
import time
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xailib import __version__
from xailib.workspace import PACKAGE

if TYPE_CHECKING:
    from xailib.engine import Cost

PACKAGES = ("torch", "torchvision", "captum", "numpy", "pandas", "scikit-image", "papermill", "snakemake")


def record(
    parameters: dict[str, Any], *, cost: "Cost | None" = None, began: float | None = None, **extra: Any
) -> dict[str, Any]:
    """Return what a reader needs to repeat a slice.

    Args:
        parameters: the slice's values, seeds included.
        cost: passes counted by the engine.
        began: `time.perf_counter()` at the slice's start.
        extra: further facts, such as the device.
    """
    return {
        "parameters": parameters,
        "git": git_state(),
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "packages": versions(),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": None if began is None else round(time.perf_counter() - began, 3),
        "passes": None
        if cost is None
        else {"forward": cost.forward, "backward": cost.backward, "seconds": round(cost.seconds, 3)},
        "peak_memory_mib": peak_memory(),
        **extra,
    }


def git_state() -> dict[str, Any]:
    """Return the commit of xailib and whether tracked files differ from it; both None where it runs from no checkout."""
    root = PACKAGE.parent

    def git(*words: str) -> str:
        return subprocess.run(
            ["git", "-C", str(root), *words], capture_output=True, text=True, check=True, timeout=10
        ).stdout.strip()

    with contextlib.suppress(OSError, subprocess.SubprocessError):
        if Path(git("rev-parse", "--show-toplevel")) == root:  # not a repository that xailib is merely installed in
            return {
                "commit": git("rev-parse", "HEAD"),
                "changed": bool(git("status", "--porcelain", "--untracked-files=no")),
            }
    return {"commit": None, "changed": None}


def versions() -> dict[str, str]:
    """Return the versions of xailib and of the packages that can change a number."""
    found = {name: version(name) for name in PACKAGES}
    return {"xailib": __version__} | {name: number for name, number in found.items() if number}


def version(package: str) -> str | None:
    """Return the version of a package that is installed; None of one that is not."""
    with contextlib.suppress(metadata.PackageNotFoundError):
        return metadata.version(package)
    return None


def device(device: Any) -> str:
    """Return a device by the name a reader knows: `cpu`, or `cuda:0 NVIDIA A100`."""
    torch = sys.modules["torch"]
    return f"{device} {torch.cuda.get_device_name(device)}" if str(device).startswith("cuda") else str(device)


def peak_memory() -> dict[str, float]:
    """Return the process's peak resident memory, and the GPU's where one was used, in MiB."""
    unit = 1 if sys.platform == "darwin" else 1024
    peak = {"resident": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20, 1)}
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        peak["gpu"] = round(torch.cuda.max_memory_allocated() / 2**20, 1)
    return peak
