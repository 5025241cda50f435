"""Other packages' methods and metrics in a study: it runs, and whatever does not name them is as it was."""

import subprocess
import sys
from pathlib import Path

import pandas as pd

from tests.world import World
from xailib import params
from xailib.params.facts import registry_facts
from xailib.workflow.digests import files, modules
from xailib.workflow.study import open_study

METHODS = ["input_x_gradient", "deeplift", "occlusion", "layer_cam"]
METRICS = ["infidelity", "sparseness", "faithfulness_correlation"]


def test_a_study_of_them_runs(tmp_path: Path) -> None:
    world = World(tmp_path)

    def change(text: str) -> str:
        lines = text.replace("[mini_resnet_vanilla, mini_resnet_robust]", "[mini_resnet_vanilla]").replace(
            "limit: 4", "limit: 2"
        )
        lines = lines.replace("[gradient, gradcam, random]", str(METHODS))
        return lines.replace("[deletion, insertion, localisation, pointing_game]", str(METRICS))

    world.edit("params/studies/smoke.yaml", change)
    status, said = world.snakemake("--", "results/smoke/scores.parquet")
    assert status == 0, said[-3000:]
    scores = pd.read_parquet(world.results / "scores.parquet")
    assert set(scores["method"]) == set(METHODS) and set(scores["metric"]) == set(METRICS)
    assert scores.groupby(["method", "metric"])["value"].count().eq(2).all()


OWN = {"road_morf", "road_lerf"}  # of this suite, beside the papers': no claim rests on them


def test_no_shipped_study_names_one() -> None:
    for id in params.ids("studies"):
        study = params.load_study(id)
        for kind, word in (("methods", "method"), ("metrics", "metric")):
            named = study.get(kind) or []
            assert not [one for one in set(named) - OWN if params.load_params(kind, one)[f"{word}_extra"]]


def test_slices_that_do_not_use_them_do_not_depend_on_them(repository: Path) -> None:
    study = open_study("smoke")
    home = {id: facts["module"] for kind in ("methods", "metrics") for id, facts in registry_facts()[kind].items()}
    extras = {
        home[one] for kind in ("methods", "metrics") for one in set(params.ids(kind)) - set(params.resolve(kind, "all"))
    }
    alone = {f"{name.replace('.', '/')}.py" for name in extras} - {
        "xailib/attribution/cam.py"
    }  # where HiResCAM is at home
    for stage, start in (("attribute", "attribute"), ("evaluate", "evaluate"), ("predict", "predict")):
        values = {**study.values, "model": study.models[0], "method": "gradient"}
        found = files((f"notebooks/{start}.ipynb", *modules(stage, values)))
        paths = {path.relative_to(repository).as_posix() for path in found}
        assert "xailib/engine/passes.py" in paths and not paths & alone
        assert not {one for one in paths if "captum" in one or "quantus" in one or "torchcam" in one}


def test_the_packages_are_not_loaded_before_they_are_asked_for() -> None:
    code = (
        "import sys, xailib as xai; xai.list_methods(), xai.list_metrics(); model = xai.load_model('mini_resnet_vanilla');"
        "images = xai.load_images('pictograms', limit=1); maps = xai.attribute('gradient', model, images);"
        "xai.evaluate('deletion', maps, model, images, steps=4);"
        "print(sorted({'captum', 'quantus', 'torchcam'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
