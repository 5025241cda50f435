"""Figures: they draw every study, save the numbers behind them, and say so when there is nothing to draw."""

import dataclasses
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import torch
from cells import figures, texts
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

from xailib import plots
from xailib.analysis import correlation, draws, frames, gallery, rankings, tables
from xailib.errors import InputError
from xailib.images import ImageBatch


def test_figures_of_methods_name_them_with_n_and_intervals(study, tmp_path) -> None:
    drawn = figures("explainability", study, tmp_path)
    shown = texts(drawn["method_ranks"])
    assert "GradCAM" in shown and "n = 12 networks, 40 images" in shown and "95 %" in shown
    assert {"Gradient", "CAM", "Perturbation"} <= set(shown.splitlines())
    ranks = rankings.method_ranks(study, 100, 0)
    assert ranks.query("metric == 'all'").eval("low <= rank <= high").all()
    whole = ranks[ranks["metric"] == "all"].sort_values("rank", kind="stable")
    bars, dots = drawn["method_ranks"].axes[0].collections[:2]
    assert [tuple(line[:, 0]) for line in bars.get_segments()] == list(zip(whole["low"], whole["high"], strict=True))
    np.testing.assert_allclose(dots.get_offsets()[:, 0], whole["rank"])
    assert "n = 5 pairs of networks" in texts(drawn["robust_minus_vanilla"])


def test_figures_of_a_small_study_say_that_there_is_nothing_to_draw(small, tmp_path) -> None:
    drawn = figures("explainability", small, tmp_path)
    assert "nothing to compare" in texts(drawn["robust_minus_vanilla"])
    drawn = figures("correlation", small, tmp_path)
    assert "at least three" in texts(drawn["correlations"])


def test_confidence_is_drawn_a_panel_a_training_algorithm(study, tmp_path) -> None:
    drawn = figures("correlation", study, tmp_path)
    panels = drawn["confidence"].axes
    assert [axes.get_title().partition(":")[0] for axes in panels] == ["Vanilla", "AdvProp", "Robust"]
    assert "n = 5 networks" in panels[0].get_title() and "n = 2 networks" in panels[1].get_title()


def test_network_figures_of_large_and_small_studies(study, small) -> None:
    for part in (study, small):
        criteria = correlation.model_criteria(part, 100, 0)
        pairs = correlation.correlate(criteria)
        points = correlation.points(criteria, ["confidence"], ["insertion", "deletion"])
        shown = texts(plots.scatter(points, pairs))
        assert all(label in shown for label in part.models["label"])
        plots.correlation_matrix(pairs, criteria.facts)
    assert "not measured" in texts(plots.scatter(pd.DataFrame(), pairs))
    assert "too few networks" in shown


def test_a_few_networks_are_said_to_be_too_few_for_significance(study) -> None:
    criteria = correlation.model_criteria(study, 20, 0)
    pairs = correlation.correlate(criteria)
    assert "n = 12 networks; * q < 0.05 (|ρ| ≥ 0." in texts(plots.correlation_matrix(pairs, criteria.facts))
    assert "n = 12 networks; bold: |rho| of at least 0." in tables.correlations(pairs, criteria.facts)._repr_html_()
    shown = texts(plots.correlation_matrix(pairs.assign(rho=-0.001), criteria.facts))
    assert "+0.00" in shown and "-0.00" not in shown
    few = pairs.assign(n=4, critical=draws.critical_rho(4))
    shown = texts(plots.correlation_matrix(few, criteria.facts))
    assert "n = 4 networks; too few for q < 0.05" in shown and "inf" not in shown
    told = tables.correlations(few, criteria.facts)._repr_html_()
    assert "inf" not in told and ("too few for q &lt; 0.05" in told or "too few for q < 0.05" in told)


def test_labels_do_not_cover_each_other(study) -> None:
    criteria = correlation.model_criteria(study, 100, 0)
    figure = plots.scatter(correlation.points(criteria, ["confidence"], ["insertion"]), correlation.correlate(criteria))
    renderer = FigureCanvasAgg(figure).get_renderer()
    figure.draw(renderer)
    for text in figure.axes[0].texts:
        text.update_positions(renderer)
    boxes = [Text.get_window_extent(text) for text in figure.axes[0].texts]
    overlaps = [a for i, a in enumerate(boxes) for b in boxes[i + 1 :] if a.overlaps(b)]
    assert len(boxes) == 12 and len(overlaps) <= 1


def test_save_writes_figure_and_numbers(tmp_path) -> None:
    frame = pd.DataFrame({"x": [1.0, 2.0]})
    plots.save(plots.curves([0, 1], {"Deletion": [1, 0]}), tmp_path, "curve", frame)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["curve.csv", "curve.pdf", "curve.png"]
    assert pd.read_csv(tmp_path / "curve.csv").equals(frame)
    listed = plots.list_files(tmp_path)
    assert listed.count("\n") == 2 and "curve.png" in listed


def test_curves_show_the_area() -> None:
    assert "area 0.50" in texts(plots.curves(np.linspace(0, 1, 11), {"Deletion": np.linspace(1, 0, 11)}))


def test_a_dollar_in_a_name_is_no_formula(tmp_path) -> None:
    names = ["a$b_{c$.png", "5 $ or 6 $"]
    pixels = np.random.default_rng(0).random((2, 3, 8, 8), np.float32)
    figure = plots.show(ImageBatch(torch.from_numpy(pixels), ids=names), pixels[:, 0])
    plots.save(figure, tmp_path, "shown", pd.DataFrame())
    assert all(name in texts(figure) and not text.get_parse_math() for name in names for text in figure.findobj(Text))
    paid = {"passes": [120, 250], "rank": [1, 2], "low": [1, 1], "high": [2, 2], "family": "cam", "label": names}
    drawn = plots.cost_and_rank(pd.DataFrame(paid))
    plots.save(drawn, tmp_path, "costs", pd.DataFrame())
    assert "5 $ or 6 $" in texts(drawn) and "mathdefault" not in texts(drawn)


def test_pictures_that_cannot_be_drawn_are_one_sentence() -> None:
    pixels = np.zeros((1, 3, 8, 8), np.float32)
    with pytest.raises(InputError, match="images: none; at least one image"):
        plots.show(pixels[:0], pixels[:0, 0])
    with pytest.raises(InputError, match="limit: 0; at least one image"):
        plots.show(pixels, pixels[:, 0], limit=0)
    with pytest.raises(InputError, match=r"map: the shape \(4, 4\) does not fit the image; use \(8, 8\)"):
        plots.overlay(pixels[0], np.zeros((4, 4)))
    with pytest.raises(InputError, match=r"scores: 'Deletion' has the shape \(2,\); use \(3,\)"):
        plots.curves([0, 0.5, 1], {"Deletion": [1, 0]})


def test_every_curve_is_drawn_and_looks_different() -> None:
    (axes,) = plots.curves([0, 1], {f"curve {i}": [1, i / 9] for i in range(9)}).axes
    assert len({(line.get_color(), line.get_linestyle()) for line in axes.lines}) == 9


def test_words_for_a_figure_count_the_numbers_that_are_left_out() -> None:
    frame = pd.DataFrame({"label": list("abcdef"), "value": [1.0, np.nan, 2.0, np.nan, np.nan, 3.0]})
    assert plots.told(frame, "label", "value", most=3) == "a 1.00, c 2.00, f 3.00"
    assert plots.told(frame, "label", "value", most=2) == "a 1.00, c 2.00 and 1 more"


def test_signed_maps_are_centred_on_white_and_unsigned_start_at_their_minimum() -> None:
    images, maps = np.random.default_rng(0).random((2, 3, 8, 8), np.float32), np.zeros((2, 8, 8))
    maps[0, 0, 0], maps[0, 1, 1], maps[1, 2, 2] = 2.0, -1.0, 3.0
    figure = plots.show(images, [maps, maps.clip(0)])
    signed, unsigned = (figure.axes[i].images[0] for i in (2, 5))
    assert signed.get_cmap().name == "RdBu_r" and signed.norm.vmin == -signed.norm.vmax
    assert unsigned.get_cmap().name == "cividis" and unsigned.norm.vmin == 0
    risen = plots.show(images, maps.clip(0) + 5).axes[3].images[0]  # as RISE's: on a high floor
    assert risen.norm.vmin == 5 and risen.norm.vmax > 7
    for value in (0.0, 0.3):  # a constant map is drawn, not refused
        flat = plots.show(images, np.full((2, 8, 8), value)).axes[3].images[0]
        assert flat.norm.vmin < flat.norm.vmax
    assert isinstance(plots.overlay(images[0], maps[0], "title"), Figure)


def test_gallery_rows_are_networks_of_the_resnet(folder) -> None:
    study = frames.read_frames(folder)
    images = gallery.explained_images(study, "pictograms", split="test", seed=0)
    grid = gallery.teaser(study, folder, images)
    assert [label for label, _ in grid.rows] == ["ResNet", "ResNet-AP1", "ResNet-AP5", "ResNet-R"]
    assert len(grid.titles) == 1 + 9 and grid.signed == {"LIME"}
    assert set(grid.table["image"]) == {images.ids[0]}
    pair = gallery.pair(study, folder, images, count=3)
    assert [label for label, _ in pair.rows] == ["ResNet", "ResNet-R"] * 3
    assert isinstance(plots.picture_grid(pair), Figure)
    alexnet = gallery.teaser(study, folder, images, architecture="mini_alexnet")
    shown = dict(zip(alexnet.titles, alexnet.rows[0][1], strict=True))
    assert shown["CAM"] is None and shown["RISE"] is not None and shown["Image"].shape == (3, 64, 64)
    with pytest.raises(InputError, match="did you mean 'mini_resnet'"):
        gallery.teaser(study, folder, images, architecture="mini_resnt")
    with pytest.raises(InputError, match="no image 'test-0-99999'"):
        gallery.teaser(study, folder, images, image="test-0-99999")


def test_of_several_seeds_the_gallery_shows_the_first_of_both(folder) -> None:
    study = frames.read_frames(folder)
    images = gallery.explained_images(study, "pictograms", split="test", seed=0)
    like = {"mini_resnet_advprop1": "mini_resnet_vanilla", "mini_resnet_advprop5": "mini_resnet_robust"}
    recipe = [like.get(name, name) for name in study.models.index]
    kind = study.models["training_algorithm"].where(study.models.index != "mini_resnet_advprop5", "robust")
    seeds = dataclasses.replace(
        study, models=study.models.assign(recipe=recipe, recipe_label="", training_algorithm=kind)
    )
    shown = [label for label, _ in gallery.teaser(seeds, folder, images).rows]
    assert shown[:2] == ["ResNet", "ResNet-AP5"] and set(shown[2:]) == {"ResNet-AP1", "ResNet-R"}
    assert {label for label, _ in gallery.pair(seeds, folder, images, count=1).rows} == {"ResNet", "ResNet-AP5"}


def test_of_many_recipes_the_gallery_shows_some_from_the_first_to_the_last(folder) -> None:
    study = frames.read_frames(folder)
    images = gallery.explained_images(study, "pictograms", split="test", seed=0)
    alike = dataclasses.replace(study, models=study.models.assign(architecture="mini_resnet"))
    shown = [label for label, _ in gallery.teaser(alike, folder, images).rows]
    assert shown == study.models["label"].iloc[[0, 4, 7, 11]].tolist()


def test_gallery_refuses_other_images(folder) -> None:
    with pytest.raises(InputError, match="no scores"):
        gallery.explained_images(frames.read_frames(folder), "pictograms", split="test", seed=1)


def test_gallery_of_unrelated_networks_shows_them_all(small) -> None:
    assert gallery.chosen_networks(small) == list(small.models.index)


@pytest.mark.parametrize("name", ["explainability", "correlation"])
def test_no_images_are_no_crash(name: str, study, tmp_path) -> None:
    empty = dataclasses.replace(study, predictions=study.predictions.assign(correct=False))
    assert figures(name, empty, tmp_path)


@pytest.mark.parametrize(
    ("imported", "heavy"),
    [
        ("xailib", ["matplotlib", "pandas", "scipy", "captum", "torch"]),
        ("xailib.plots, xailib.analysis.findings", ["scipy.stats", "seaborn", "captum", "timm"]),
        ("xailib.analysis.findings, xailib.analysis.tables, xailib.analysis.reliability", ["torch", "scipy.stats"]),
        (
            "xailib.params.facts; xailib.params.facts.ask()",
            ["torchvision", "timm", "captum", "pandas", "scipy", "skimage"],
        ),
    ],
)
def test_imports_stay_light(imported: str, heavy: list[str]) -> None:
    code = f"import sys, {imported}; print([name for name in {heavy} if name in sys.modules])"
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
    )
