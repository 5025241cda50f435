"""The wheel is whole: installed outside the checkout, it explains, scores and runs a study in an empty folder."""

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.world import SNAKEFILE

pytest.importorskip("hatchling", reason="builds the wheel without a network")

PLUGIN = """
from xailib.registry import method


@method("brightness", family="control", label="Brightness", paper="ours")
def brightness(model, pixels, targets, *, seed: int):
    return pixels.mean(1)
"""
STUDY = """
study: own
dataset: pictograms
models: mini_resnet_vanilla
methods: [gradient, brightness]
metrics: [pointing_game, deletion]
scale: smoke
limit: 3
shifts: none
accuracy_images: 24
attack_images: 0
bootstrap: 100
"""


@pytest.fixture(scope="module")
def wheel(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--skip-dependency-check", "-o", str(folder)]
    run = subprocess.run([*command, str(repository)], capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def site(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder of installed packages that holds nothing but xailib; what it needs comes from the tests' own Python."""
    folder = tmp_path_factory.mktemp("site") / "packages"
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", str(folder)]
    subprocess.run([*command, str(wheel)], check=True)
    (folder.parent / "t").mkdir()
    yield folder
    shutil.rmtree(folder.parent / "t")  # the warm server ends with it


def surroundings(site: Path) -> dict[str, str]:
    """The environment of somebody who installed it there."""
    environment = {**os.environ, "PYTHONPATH": str(site), "TMPDIR": str(site.parent / "t")}
    environment.pop("XAILIB_WORKSPACE", None)
    return environment


def python(site: Path, folder: Path, code: str) -> str:
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=surroundings(site), capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    return run.stdout


def test_all_that_a_study_reads_travels_in_it(repository: Path, wheel: Path) -> None:
    folders = ("params", "notebooks", "rules", "profiles", "weights", "docs/findings", "Snakefile", "environment.yml")
    tracked = ["git", "-C", str(repository), "ls-files", "--", *folders]
    wanted = {f"xailib/shipped/{name}" for name in subprocess.check_output(tracked, text=True).split()}
    inside = ["git", "-C", str(repository), "ls-files", "--", "xailib"]
    wanted |= set(subprocess.check_output(inside, text=True).split())
    found = set(zipfile.ZipFile(wheel).namelist())
    assert len(wanted) > 250 and wanted <= found
    assert {"xailib/py.typed", "xailib/analysis/report.html.j2", "xailib/analysis/roar_paper.csv"} <= found
    assert not [name for name in found if ".ipynb_checkpoints" in name or name.startswith("tests")]


def test_its_core_explains_and_scores_without_the_suite(site: Path, tmp_path: Path) -> None:
    code = """
import json, sys
import xailib as xai
assert xai.__file__.startswith(sys.path[1]), xai.__file__
model = xai.load_model("mini_resnet_vanilla", device="cpu")
images = xai.load_images("pictograms", split="test", limit=3, seed=0)
maps = xai.attribute("gradient", model, images)
table = xai.evaluate(["pointing_game", "deletion"], maps, model, images)
xai.show(images, maps)
wrapped = xai.wrap(model.network, mean=model.mean.flatten().tolist(), std=model.std.flatten().tolist(), size=64)
suite = ("snakemake", "papermill", "jupyter_client", "ipykernel", "IPython", "nbclient", "nbconvert", "nbformat",
         "ipywidgets", "seaborn", "xailib.workflow")
print(json.dumps({
    "version": xai.__version__, "models": len(xai.list_models()), "estimators": len(xai.list_estimators()),
    "study": xai.load_study("pictograms")["study"], "rows": len(table), "suite": [m for m in suite if m in sys.modules],
}))
"""
    found = json.loads(python(site, tmp_path, code).splitlines()[-1])
    assert found["models"] > 30 and found["estimators"] > 20 and found["study"] == "pictograms" and found["rows"] > 0
    assert re.fullmatch(r"\d+\.\d+\.\d+", found["version"]) and found["suite"] == []
    assert list(tmp_path.iterdir()) == [], "what only reads writes nothing"


def test_a_study_runs_from_it_and_is_finished_wherever_it_is_installed(
    site: Path, tmp_path: Path, repository: Path
) -> None:
    """A workspace with a method of its own; moving the installation or reading the study again runs nothing."""
    root = tmp_path / "mine"
    files = {
        "Snakefile": SNAKEFILE,
        "plugins/brightness.py": PLUGIN,
        "params/methods/brightness.yaml": "method: brightness\n",
        "params/studies/own.yaml": STUDY,
    }
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    shutil.copytree(repository / "profiles", root / "profiles")

    def snakemake(where: Path, *words: str) -> str:
        command = [sys.executable, "-m", "snakemake", *words]
        run = subprocess.run(command, cwd=root, env=surroundings(where), capture_output=True, text=True)
        assert run.returncode == 0, run.stdout + run.stderr
        return run.stdout + run.stderr

    said = snakemake(site)
    report = root / "results/own/report.html"
    assert report.exists(), said
    assert "Brightness" in report.read_text(encoding="utf-8")
    assert {path.name for path in root.iterdir()} == {
        ".snakemake", "Snakefile", "logs", "params", "plugins", "profiles", "results",
    }  # fmt: skip
    assert "Nothing to be done" in snakemake(site, "-n")
    moved = tmp_path / "elsewhere" / "packages"
    (moved.parent / "t").mkdir(parents=True)
    shutil.copytree(site, moved)  # with new times, as another installation has
    assert "Nothing to be done" in snakemake(moved, "-n")
    (root / "plugins/brightness.py").write_text(PLUGIN.replace("mean(1)", "amax(1)"))
    again = dict(re.findall(r"^(attribute|evaluate|predict|probe) +(\d+)$", snakemake(site, "-n"), flags=re.M))
    assert again == {"attribute": "1", "evaluate": "1"}
