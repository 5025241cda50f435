"""A comparison of methods through real Snakemake, to its report; the network is untrained: only the plumbing is tested."""

import json
from collections.abc import Iterator

import numpy as np
import pandas as pd
import pytest

from tests.world import SMOKE_MODELS, World

METHODS = ("gradient", "gradcam", "rise", "random")
STUDY = f"""
study: own
description: Of one network.
kind: compare
dataset: pictograms
split: test
limit: 4
models: [{SMOKE_MODELS[0]}]
methods: [{", ".join(METHODS)}]
metrics: [deletion, pointing_game, idsds]
scale: smoke
reliability_images: 1
sanity_images: 2
sanity_points: 2
finetune_images: 64
finetune_steps: 3
accuracy_images: 24
bootstrap: 200
only_correct: false
"""


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    root = tmp_path_factory.mktemp("c")
    world = World(root, "own")
    (world.root / "params/studies/own.yaml").write_text(STUDY)
    status, said = world.snakemake()
    assert status == 0, said
    yield world
    for path in sorted((root / "t").rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()


def test_the_sanity_check_is_a_column_a_method(finished: World) -> None:
    table = pd.read_parquet(finished.results / "sanity.parquet")
    assert list(table) == ["model", "method", "image", "value", "last"] and set(table["method"]) == set(METHODS)
    assert table.groupby("method", observed=True).size().eq(2).all()
    random = table[table["method"] == "random"]
    assert np.allclose(random[["value", "last"]], 1), "a random map does not look at the network"
    assert table.loc[table["method"] == "gradient", "last"].max() < 0.9
    record = json.loads((finished.results / SMOKE_MODELS[0] / "gradient" / "sanity.json").read_text())
    assert record["passes"]["backward"] == 2 * (1 + 2) and record["made_from"]["sanity_points"] == 2


def test_a_metric_that_asks_for_copies_gets_them(finished: World) -> None:
    """A copy a network and metric, scored with the classes of the network's own maps; other metrics never see it."""
    folder = finished.results / SMOKE_MODELS[0]
    record = json.loads((folder / "finetuned" / "idsds" / "finetune.json").read_text())
    assert record["made_from"]["finetune_steps"] == 3 and set(record["accuracy"]) == {"network", "copy"}
    scores = pd.read_parquet(finished.results / "scores.parquet")
    counts = scores.groupby(["metric", "method"], observed=True).size().unstack()
    assert set(counts.index) == {"deletion", "pointing_game", "idsds"} and (counts == 4).all().all()
    targets = scores.groupby(["image"], observed=True)["target"].nunique()
    assert (targets == 1).all() and scores.loc[scores["metric"] == "idsds", "value"].between(-1, 1).all()
    for name, judges in (("evaluate", ["deletion", "pointing_game"]), ("indomain", ["idsds"])):
        assert json.loads((folder / "rise" / f"{name}.json").read_text())["made_from"]["metrics"] == judges
    page = (finished.results / "report.html").read_text()
    assert "IDSDS" in page and ">finetune<" in page


def test_only_clean_accuracy_is_measured(finished: World) -> None:
    assert pd.read_parquet(finished.results / "accuracy.parquet")["shift"].tolist() == ["clean"]


def test_the_report_answers_the_question_and_claims_nothing(finished: World) -> None:
    page = (finished.results / "report.html").read_text()
    assert "Which explanation can you trust on ResNet?" in page
    assert "4 images cannot tell any two of 3 methods apart" in page
    assert "Which methods can be told apart?" in page and "Gallery" in page
    assert ">sanity<" in page, "among what each stage cost"
    assert not any(word in page for word in ("2205.13042", "1806.10758"))
    found = pd.read_csv(finished.results / "figures" / "advice.csv")
    assert found["model"].tolist() == [SMOKE_MODELS[0]] and found["winner"].isna().all()


def test_a_finished_study_has_nothing_to_do_and_an_edit_reruns_its_part(finished: World) -> None:
    assert finished.plan("report.html") == {}
    undo = finished.edit("params/studies/own.yaml", lambda text: text.replace("sanity_points: 2", "sanity_points: 3"))
    try:
        assert finished.plan() == {"sanity": len(METHODS), "collect": 1}
    finally:
        undo()
    undo = finished.edit("params/studies/own.yaml", lambda text: text.replace("finetune_steps: 3", "finetune_steps: 4"))
    try:
        assert finished.plan() == {"finetune": 1, "indomain": len(METHODS), "collect": 1}
    finally:
        undo()
    for metrics, stage in (
        ("deletion, insertion, pointing_game, idsds", {"evaluate": 4}),
        ("deletion, pointing_game", {}),
    ):
        undo = finished.edit(
            "params/studies/own.yaml", lambda t, new=metrics: t.replace("deletion, pointing_game, idsds", new)
        )
        try:
            assert finished.plan() == {**stage, "collect": 1}, (
                "scores on copies and on the network do not wait on each other"
            )
        finally:
            undo()
    undo = finished.edit("xailib/metrics/idsds.py", lambda text: text + "# a remark\n")
    try:
        assert finished.plan() == {"finetune": 1, "indomain": len(METHODS), "collect": 1}
    finally:
        undo()
    undo = finished.edit("xailib/metrics/sanity.py", lambda text: text + "# a remark\n")
    try:
        assert finished.plan() == {"sanity": len(METHODS), "collect": 1}
    finally:
        undo()
