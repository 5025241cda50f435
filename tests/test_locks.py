"""A lock whose process is gone is no lock."""

import platform
import subprocess
import sys
from pathlib import Path

import pytest

from xailib.workflow import locks

HOLD = """import pathlib, sys
from xailib.workflow import locks
print(locks.clear(pathlib.Path(sys.argv[1])), flush=True)
input()"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    leave(tmp_path)
    return tmp_path


def leave(folder: Path) -> None:
    """What a killed Snakemake leaves."""
    (folder / "locks").mkdir(parents=True, exist_ok=True)
    (folder / "locks" / "0.input.lock").write_text("a\n")


def hold(folder: Path) -> subprocess.Popen[str]:
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    return subprocess.Popen([sys.executable, "-c", HOLD, str(folder)], **pipes)


def said(process: subprocess.Popen[str]) -> bool:
    assert process.stdout is not None
    return process.stdout.readline().strip() == "True"


def test_locks_of_a_dead_process_go(folder: Path) -> None:
    first = hold(folder)
    assert said(first) and not (folder / "locks").exists()
    leave(folder)
    first.kill()
    first.wait()
    second = hold(folder)
    assert said(second) and not (folder / "locks").exists()
    second.communicate("\n")


def test_locks_of_a_living_process_stay(folder: Path) -> None:
    first = hold(folder)
    assert said(first)
    leave(folder)
    second = hold(folder)
    assert not said(second) and (folder / "locks" / "0.input.lock").exists()
    first.kill()
    first.wait()
    third = hold(folder)
    assert not said(third), "the second one may hold them too"
    for process in (second, third):
        process.communicate("\n")


def test_locks_of_another_machine_stay(folder: Path) -> None:
    (folder / "alive").write_text("another-machine\n")
    process = hold(folder)
    assert not said(process) and (folder / "locks" / "0.input.lock").exists()
    process.communicate("\n")
    (folder / "alive").write_text(f"{platform.node()}\n")
    process = hold(folder)
    assert said(process)
    process.communicate("\n")


def test_where_files_cannot_be_locked_nothing_is_removed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(37, "no locks available")

    monkeypatch.setattr(locks.fcntl, "flock", refuse)
    assert not locks.clear(folder) and (folder / "locks" / "0.input.lock").exists()
