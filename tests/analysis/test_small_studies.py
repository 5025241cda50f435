"""The least of studies run to their report: what they lack is left out with a sentence."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import synthetic
from cells import figures, run_cells, texts

from xailib import plots
from xailib.analysis import accuracies
from xailib.analysis.frames import Frames
from xailib.plots import style

ONE, TWINS = ["mini_resnet_vanilla"], ["mini_resnet_vanilla", "mini_resnet_robust"]


@pytest.fixture(scope="module")
def ids() -> list[str]:
    from xailib.datasets import load_images

    return load_images("pictograms", split="test", limit=4, seed=0).ids


def cut(ids: list[str], models: list[str], methods: list[str], metrics: list[str] | None = None) -> Frames:
    whole = synthetic.only(synthetic.study(ids=ids, architectures=("mini_resnet",)), models)
    rows = whole.scores["method"].isin(methods) & whole.scores["metric"].isin(metrics or whole.metrics.index)
    kept = whole.methods.loc[[name for name in whole.methods.index if name in methods]]
    repeated = whole.reliability
    repeated = repeated[repeated["method"].isin(methods) & repeated["metric"].isin(metrics or whole.metrics.index)]
    return dataclasses.replace(
        whole,
        scores=whole.scores[rows].reset_index(drop=True),
        methods=kept,
        reliability=repeated.reset_index(drop=True),
    )


def without_labels(frames: Frames) -> Frames:
    """As of images whose classes are none of the network's."""
    clean = frames.accuracy[frames.accuracy["shift"] == "clean"].reset_index(drop=True)
    return dataclasses.replace(
        frames,
        predictions=frames.predictions.assign(correct=np.nan, label_probability=np.nan),
        accuracy=clean.assign(accuracy=np.nan, ece=np.nan),
    )


def undefined(frames: Frames) -> Frames:
    return dataclasses.replace(frames, scores=frames.scores.assign(value=np.nan, value_normalised=np.nan))


CASES = {
    "one control, one network": lambda ids: cut(ids, ONE, ["random"]),
    "one control, one network, no labels": lambda ids: without_labels(cut(ids, ONE, ["random"])),
    "two controls, two networks": lambda ids: cut(ids, TWINS, ["random", "sobel"]),
    "one method, one network, one metric": lambda ids: cut(ids, ONE, ["gradient"], ["deletion"]),
    "two methods, two networks, no score": lambda ids: undefined(cut(ids, TWINS, ["gradient", "gradcam"])),
    "two methods, two networks, no labels": lambda ids: without_labels(cut(ids, TWINS, ["gradient", "gradcam"])),
}


@pytest.mark.parametrize("name", ["explainability", "correlation", "gallery"])
@pytest.mark.parametrize("case", CASES)
def test_final_notebooks_of_a_small_study(case: str, name: str, ids: list[str], tmp_path: Path) -> None:
    folder = synthetic.write(CASES[case](ids), tmp_path / "small")
    given = {"results_dir": str(folder), "out_dir": str(tmp_path / "out"), "only_correct": "no labels" not in case}
    run_cells(name, given | {"limit": 4, "bootstrap": 100, "several": 2, "compare": []})
    assert {".png", ".pdf", ".csv"} <= {path.suffix for path in (tmp_path / "out").iterdir()}


def test_what_is_empty_is_said(ids: list[str], tmp_path: Path) -> None:
    controls = cut(ids, TWINS, ["random", "sobel"])
    ranks = figures("explainability", controls, tmp_path)["method_ranks"]
    assert "no method beside the controls: nothing to rank" in texts(ranks)
    maps = figures("gallery", controls, tmp_path, results_dir=str(tmp_path), limit=4)
    assert "no maps to show" in texts(maps["gallery_teaser"]) and "no maps to show" in texts(maps["gallery_pair"])


def test_without_labels_no_network_is_well_calibrated(ids: list[str]) -> None:
    assert accuracies.calibration(without_labels(cut(ids, TWINS, ["random"])))["ece"].isna().all()


def test_any_training_algorithm_has_a_colour_and_a_name() -> None:
    found = style.algorithms(["linf_training", "robust", "vanilla", "linf_training"])
    assert list(found) == ["vanilla", "robust", "linf_training"]
    assert found["robust"] == (style.ALGORITHMS["robust"], "Robust") and found["linf_training"][1] == "Linf training"
    many = style.algorithms([f"kind_{i}" for i in range(6)])
    assert len({colour for colour, _ in many.values()}) == 4, "three colours, then grey"


def test_figures_show_networks_of_another_training(ids: list[str], tmp_path: Path) -> None:
    from xailib.analysis import correlation

    frames = cut(ids, TWINS, ["gradient", "gradcam"])
    models = frames.models.assign(training_algorithm=["vanilla", "linf_training"])
    frames = dataclasses.replace(frames, models=models)
    figure = figures("correlation", frames, tmp_path)["confidence"]
    assert [axes.get_title().split(":")[0] for axes in figure.axes] == ["Vanilla", "Linf training"]
    criteria = correlation.model_criteria(frames, 100)
    points = correlation.points(criteria, ["test_accuracy"], ["explainability"])
    figure = plots.scatter(points, correlation.correlate(criteria))
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["Vanilla", "Linf training"]
