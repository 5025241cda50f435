"""The races: every task has its peers, what both define is the same, and a reliability is read where it was planted."""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pandas as pd
import pytest

PEERS = {
    "gradient": ["captum"],
    "guided_backprop": ["captum"],
    "integrated_gradients": ["captum"],
    "shap": ["captum"],
    "cam": ["torch-cam"],
    "gradcam": ["torch-cam", "captum", "grad-cam"],
    "extremal_perturbation": ["TorchRay"],
    "meaningful_perturbation": ["recipe"],
    "rise": ["TorchRay", "recipe"],
    "lime": ["lime", "captum"],
    "kernel_shap": ["captum"],
    "pointing_game": ["TorchRay"],
    "pointing_game_exact": ["Quantus"],
    "localisation": ["recipe"],
    "deletion": ["Quantus", "recipe"],
    "insertion": ["recipe"],
    "deletion_insertion": ["torch-cam"],
}
DRAWN = {"shap", "rise", "lime", "kernel_shap", "meaningful_perturbation"}  # other draws, or another optimiser


@pytest.fixture
def scripts(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(repository / "benchmarks"))


def run(repository: Path, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(repository), "OMP_NUM_THREADS": "1", **more}
    return subprocess.run(words, cwd=repository, env=environment, capture_output=True, text=True, check=False)


def test_gpu_checks_run_dry_and_the_race_is_whole_and_fair(repository: Path, tmp_path: Path) -> None:
    given = {"DEVICE": "cpu", "QUICK": "1", "PYTHON": sys.executable, "SAVE": str(tmp_path)}
    done = run(repository, "sh", "benchmarks/gpu_checks.sh", **given)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "All passed on cpu" in done.stdout and "passes forward" in done.stdout
    frame = pd.read_csv(tmp_path / "race.csv")
    found = {(task, peer.partition(" ")[0]) for task, peer in zip(frame["task"], frame["peer"], strict=True)}
    absent = {"Quantus"} if find_spec("quantus") is None else set()
    assert found == {(task, peer) for task, peers in PEERS.items() for peer in peers if peer not in absent}
    assert all(f"{peer} is not installed" in done.stdout for peer in absent)
    assert set(frame.loc[~frame["same"], "task"]) == DRAWN
    assert (frame.loc[frame["same"], "parity"] > 0.999).all(), frame[["task", "peer", "parity"]]
    assert ((frame["ratio_low"] <= frame["ratio"]) & (frame["ratio"] <= frame["ratio_high"])).all()
    assert (frame["ratio"] > 0).all() and frame["machine"].str.contains("1 of .* threads.*torch 2").all()
    shares = pd.read_csv(tmp_path / "throughput.csv")
    assert {"rise", "lime", "extremal_perturbation", "deletion", "insertion"} <= set(shares["task"])
    assert (tmp_path / "race.png").read_bytes()[:4] == b"\x89PNG"


def test_a_failing_check_is_named_and_the_others_run(repository: Path, tmp_path: Path) -> None:
    done = run(
        repository, "sh", "benchmarks/gpu_checks.sh", DEVICE="cpu", QUICK="1", PYTHON="false", SAVE=str(tmp_path)
    )
    assert done.returncode == 1
    assert "Failed on cpu: tests race share plan" in done.stdout


def test_reliability_is_measured_from_end_to_end(repository: Path, tmp_path: Path) -> None:
    words = ["--quick", "--images", "2", "--target", "5", "--save", str(tmp_path)]
    done = run(repository, sys.executable, "benchmarks/reliability.py", *words)
    assert done.returncode == 0, done.stdout + done.stderr
    frame = pd.read_csv(tmp_path / "reliability.csv")
    assert set(frame["task"]) == {"rise", "lime"} and frame["network"].nunique() == 2
    assert len(frame) == 12 and (frame["seconds"] > 0).all() and (frame["samples"] >= 4).all()
    assert "geometric mean" in done.stdout and (tmp_path / "reliability.png").exists()


def climb(truth: dict[int, float], first: int, largest: int) -> dict[int, tuple[float, float]]:
    """What is measured of a contestant whose reliability is `truth` and who takes 1 + samples / 10 seconds."""
    from reliability import following

    points: dict[int, tuple[float, float]] = {}
    while count := following(points, first, largest, 0.8):
        points[count] = (truth[count], 1 + count / 10)
    return points


def test_a_planted_reliability_is_found_from_either_side(scripts: None) -> None:
    from reliability import needed

    truth = {16: 0.1, 32: 0.3, 64: 0.5, 128: 0.7, 256: 0.9, 512: 0.95}
    between = 128 * 2**0.5  # halfway from 0.7 to 0.9 on a logarithmic scale
    for first in (16, 512):
        found = needed(climb(truth, first, 512), 0.8)
        assert found["samples"] == round(between) and found["reached"]
        assert found["seconds"] == pytest.approx(1 + between / 10)
    assert len(climb(truth, 512, 512)) == 3  # 512, 256, 128: no pass more than needed


def test_what_is_not_reached_is_a_bound(scripts: None) -> None:
    from reliability import compared, needed

    found = needed(climb({64: 0.2, 128: 0.4}, 64, 128), 0.8)
    assert found["samples"] == 128 and not found["reached"] and found["measured"] == "64: 0.20 128: 0.40"
    rows = [("a", "xailib", 2.0, True), ("b", "xailib", 1.0, True), ("a", "lime", 8.0, True), ("b", "lime", 9.0, False)]
    frame = pd.DataFrame(rows, columns=["network", "contestant", "seconds", "reached"]).assign(task="lime")
    (row,) = compared(frame).to_dict("records")
    assert (row["ratio_low"], row["ratio_high"], row["bound"]) == (4.0, 9.0, True)
    assert row["ratio"] == pytest.approx(6.0)
    frame.loc[0, "reached"] = False  # ours not reached: a bound of a bound is none
    assert compared(frame).empty


def test_parity_sees_a_wrong_map_and_a_wrong_score(scripts: None) -> None:
    import torch
    from race import parity

    maps = torch.rand(3, 8, 8, generator=torch.Generator().manual_seed(0))
    assert parity(maps, 2 * maps + 1) == pytest.approx(1)
    assert parity(maps, maps.flip(2)) < 0.5
    assert parity(torch.tensor([0.2, 0.4]), torch.tensor([0.2, 0.1])) == pytest.approx(0.7)


def test_a_package_that_is_not_there_is_left_out_in_a_sentence(scripts: None, capsys, monkeypatch) -> None:
    import peers

    monkeypatch.setitem(peers.MODULES, "Quantus", "no_such_module")
    found = peers.present(["deletion"])
    assert [one.name.partition(" ")[0] for one in found["deletion"]] == ["recipe"]
    assert (
        "Quantus is not installed, so its rows are left out: pip install --no-deps quantus" in capsys.readouterr().out
    )
