"""Locks spread processes over GPUs and end with their process; a GPU that fails is told in one sentence."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from papermill.exceptions import PapermillExecutionError

from xailib import devices
from xailib.errors import InputError
from xailib.workflow import slices

GPUS = ["GPU-a", "GPU-b"]
HOLD = """
import os, sys
from pathlib import Path
from xailib import devices
index, lock = devices.take(sys.argv[2:], Path(sys.argv[1]))
print(index, flush=True)
sys.stdin.read(1)
os.kill(os.getpid(), 9)
"""


def test_processes_spread_then_share_evenly(tmp_path: Path) -> None:
    taken = [devices.take(GPUS, tmp_path) for _ in range(5)]
    assert [index for index, _ in taken] == [0, 1, 0, 1, 0]
    taken[1][1].close()
    assert devices.take(GPUS, tmp_path)[0] == 1, "a freed one is taken first"


def test_a_killed_process_frees_its_lock(tmp_path: Path, repository: Path) -> None:
    words = [sys.executable, "-c", HOLD, str(tmp_path), *GPUS]
    other = subprocess.Popen(words, cwd=repository, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert other.stdout.readline() == "0\n"
    index, lock = devices.take(GPUS, tmp_path)
    assert index == 1
    other.communicate("x")
    assert other.returncode == -9
    assert devices.take(GPUS, tmp_path)[0] == 0
    lock.close()


@pytest.fixture
def two_gpus(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[int]:
    """A machine that seems to have two GPUs; returns which were made the current one."""
    current: list[int] = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "set_device", lambda device: current.append(device.index))
    monkeypatch.setattr(devices, "_gpu_names", lambda count: GPUS[:count])
    monkeypatch.setattr(devices, "_folder", lambda: tmp_path)
    monkeypatch.setattr(devices, "_held", [])
    return current


def test_auto_is_one_gpu_for_the_whole_process(two_gpus: list[int], tmp_path: Path) -> None:
    index, other = devices.take(GPUS, tmp_path)
    assert index == 0
    with devices.claim("auto") as device:
        assert device == devices.pick("auto") == torch.device("cuda:1") and two_gpus == [1, 1]
        other.close()
        assert devices.pick("auto") == device, "a process stays on its GPU"
    assert devices.pick("auto") == torch.device("cuda:0"), "the block over, the GPU is free"
    with devices.claim("auto") as device:
        assert device == torch.device("cuda:0")
    assert devices.pick("cuda:1") == torch.device("cuda:1"), "a named one is not locked"
    with pytest.raises(InputError, match="'cuda:2' is not there; this machine has 2 GPUs"):
        devices.pick("cuda:2")
    devices._held.pop()[1].close()


@pytest.mark.parametrize("cuda, why", [("13.0", "its build for 13.0 may be too new"), (None, "a build for CPUs")])
def test_a_gpu_that_was_allotted_but_is_not_visible_is_refused(
    monkeypatch: pytest.MonkeyPatch, cuda: str | None, why: str
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.version, "cuda", cuda)
    monkeypatch.setenv("SLURM_JOB_GPUS", "3")
    with pytest.raises(
        InputError, match=rf"allotted \(SLURM_JOB_GPUS=3\), but PyTorch sees none: .*{why}.*device: cpu"
    ):
        devices.pick("auto")
    assert devices.pick("cpu") == torch.device("cpu")
    monkeypatch.setenv("SLURM_JOB_GPUS", "")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    assert devices.pick("auto") == torch.device("cpu"), "the user's own way to say: no GPU"


@pytest.mark.skipif(torch.cuda.is_available(), reason="looks at a machine without a GPU")
def test_without_a_gpu_there_is_nothing_to_claim(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "take", None)
    with devices.claim("auto") as device:
        assert device == devices.pick("cpu") == torch.device("cpu")
    for name, said in (("cuda", "this machine has 0 GPUs"), ("gpu", "use auto, cpu, cuda or cuda:N")):
        with pytest.raises(InputError, match=said):
            devices.pick(name)


LOST = "CUDA error: unspecified launch failure\nCUDA kernel errors might be asynchronously reported at some other call."


@pytest.mark.parametrize("name", ["AcceleratorError", "RuntimeError"])
def test_a_lost_gpu_is_one_sentence(
    name: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    repository: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def lost(*_: object, **__: object) -> None:
        raise PapermillExecutionError(5, 5, "x", name, LOST, ["Traceback"])

    monkeypatch.setattr("papermill.execute_notebook", lost)
    notebook = repository / "notebooks" / "attribute.ipynb"
    assert slices.command([str(notebook), str(tmp_path / "log.ipynb")]) == 2
    assert capsys.readouterr().err == (
        f"error: {notebook}: the GPU was lost or failed in the middle (CUDA error: unspecified launch failure); "
        "finished slices are kept, run again to go on\n"
    )


def test_other_errors_are_not_taken_for_a_lost_gpu() -> None:
    assert devices.failure("RuntimeError", "expected scalar type Float") == ""
    assert devices.failure("OutOfMemoryError", "CUDA out of memory. Tried to allocate 2 GiB") == ""
