"""From `init` to Snakemake: a network of one's own and six pictures become a study whose every slice is planned."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

CODE = """
from torch import nn


def make():
    return nn.Sequential(nn.Conv2d(3, 4, 3, 2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))
"""


@pytest.fixture(scope="module")
def walk(tmp_path_factory: pytest.TempPathFactory, repository: Path) -> tuple[Path, str]:
    """The folder in which a workspace `mine` was made, and what the command said."""
    folder = tmp_path_factory.mktemp("walk")
    (folder / "my_net.py").write_text(CODE)
    for i in range(6):
        pixels = np.random.default_rng(i).integers(0, 255, (40, 40, 3), dtype=np.uint8)
        (folder / "photos" / "ab"[i % 2]).mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(folder / "photos" / "ab"[i % 2] / f"{i}.png")
    words = ("init", "mine", "--model", "my_net.py:make", "--images", "photos")
    status, said = run(folder, repository, "xailib.workflow", *words)
    assert status == 0, said
    return folder, said


def run(folder: Path, repository: Path, module: str, *words: str) -> tuple[int, str]:
    environment = {**os.environ, "PYTHONPATH": str(repository), "TMPDIR": str(folder)}
    command = [sys.executable, "-m", module, *words]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)
    return done.returncode, done.stdout + done.stderr


def test_it_says_what_it_will_cost(walk: tuple[Path, str]) -> None:
    said = re.search(r"About (\d+) minutes on this machine at scale small \(quick takes (\d+) minutes\)", walk[1])
    assert said and int(said[2]) <= int(said[1]) <= 10, walk[1]
    text = (walk[0] / "mine" / "params" / "studies" / "mine.yaml").read_text()
    assert f"small takes about {said[1]} minutes here, quick {said[2]} minutes; full is the papers'" in text


def test_snakemake_plans_it(walk: tuple[Path, str], repository: Path) -> None:
    status, said = run(walk[0] / "mine", repository, "snakemake", "-n")
    assert status == 0, said
    jobs = {rule: int(count) for rule, count in re.findall(r"^(\w+)\s+(\d+)$", said, flags=re.M)}
    assert jobs["attribute"] == jobs["evaluate"] == 12 and jobs["predict"] == 1


def test_the_doctor_finds_nothing_missing(walk: tuple[Path, str], repository: Path) -> None:
    status, said = run(walk[0] / "mine", repository, "xailib.workflow", "doctor")
    assert status == 0 and "study mine: 1 networks, 12 methods" in said, said
