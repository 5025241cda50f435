"""A lock whose process is gone is no lock: after `kill -9` or a power cut the same command goes on.

Snakemake's own locks are files that name no process, so nobody can tell those of a dead one. This keeps one open file
a process: the system lets go of it whenever the process ends, however it ends.
"""

import contextlib
import fcntl
import platform
import shutil
from pathlib import Path
from typing import IO

_held: list[IO[str]] = []  # open for as long as the process lives


def clear(folder: Path) -> bool:
    """Say that this process works here, and remove Snakemake's locks if no other one does; return whether it did.

    Args:
        folder: `.snakemake`. Locks of other machines that share it are left alone, and so is everything where files cannot
            be locked.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(OSError):
        file = open(folder / "alive", "a+", encoding="utf-8")  # noqa: SIM115
        _held.append(file)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            alone = False
        else:
            file.seek(0)
            alone = set(file.read().split()) <= {platform.node()}
            if alone:
                file.truncate(0)
                shutil.rmtree(folder / "locks", ignore_errors=True)
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        print(platform.node(), file=file, flush=True)
        return alone
    return False
