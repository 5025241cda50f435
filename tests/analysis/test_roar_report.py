"""ROAR's figures, its final notebook, and its part of the report."""

import dataclasses
import json

import cells
import nbformat
import numpy as np
import pandas as pd
import pytest
import roar_synthetic
import torch
from cells import run_cells, texts
from test_report import write_report

from xailib import plots
from xailib.analysis import findings, report, roar_tables
from xailib.analysis.page import remote_loads
from xailib.analysis.roar_curves import curves
from xailib.analysis.roar_frames import RoarFrames
from xailib.errors import InputError
from xailib.results import write_json
from xailib.roar import removal, store
from xailib.roar.examples import examples

FEW = ("gradient", "squared_gradient", "smoothgrad_gradient", "vargrad_gradient", "random", "sobel", "blurred_gradient")


@pytest.fixture(scope="module")
def made_up():
    return roar_synthetic.study(images=120, estimators=FEW)


@pytest.fixture(scope="module")
def accuracy(made_up):
    return roar_tables.accuracy_table(made_up, curves(made_up, 50, 0))


@pytest.fixture(scope="module")
def folder(made_up, tmp_path_factory):
    """A results folder with a small store, and the rankings of two estimators."""
    place = roar_synthetic.write(made_up, tmp_path_factory.mktemp("results") / "made_up")
    images = store.build(
        place / "store",
        "pictograms",
        side=16,
        train_images=4,
        test_images=3,
        options={"classes": 2},
        report=lambda _: None,
    )
    for name in ("random", "gradient"):
        maps = torch.rand(3, 16, 16, generator=torch.Generator().manual_seed(len(name)))
        packed = removal.pack(removal.buckets(maps, [10, 50, 90], images.test.ids))
        ranking = place / "base_0" / name
        ranking.mkdir(parents=True)
        np.save(ranking / "test_levels.npy", packed.numpy())
        write_json(ranking / "ranking.json", {"levels": [10, 50, 90], "shape": [16, 16]})
    return place


def cells_of(accuracy: pd.DataFrame, mode: str) -> pd.DataFrame:
    return accuracy[accuracy["mode"] == mode]


@pytest.fixture(scope="module")
def drawn(folder, tmp_path_factory):
    """The figures that the notebook saves, by name."""
    out = tmp_path_factory.mktemp("figures")
    given = {"results_dir": str(folder), "out_dir": str(out), "bootstrap": 50, "study": "made_up"}
    return cells.drawn("roar_results", given)


def test_curves_are_labelled_at_their_ends_in_three_panels(accuracy, drawn) -> None:
    figure = drawn["roar_remove"]
    assert len(figure.axes) == 3
    for axes, own in zip(figure.axes, (["GRAD", "SQ-GRAD"], ["SG-GRAD"], ["VAR-GRAD"]), strict=True):
        labels = [text.get_text() for text in axes.texts]
        assert sorted(labels) == sorted([*own, "Random", "Sobel"])
        heights = sorted(text.get_position()[1] for text in axes.texts)
        assert np.diff(heights).min() > 0.04  # labels do not cover each other
    assert "n = 120 test images, 2 trainings a point" in texts(figure)
    lines = {tuple(line.get_ydata()) for line in figure.axes[0].lines}
    cells = accuracy.query("mode == 'remove' and estimator in ('none', 'gradient')")["accuracy"]
    assert tuple(cells) in lines
    assert "Most important inputs kept" in texts(drawn["roar_keep"])


def test_pairs_checks_and_leak(accuracy, drawn) -> None:
    first, second = ({text.get_text() for text in axes.texts} for axes in drawn["roar_retraining"].axes)
    assert first == second == {"GRAD", "VAR-GRAD", "Random", "Sobel"}
    assert {"GRAD", "GRAD, blurred"} == {text.get_text() for text in drawn["roar_blurred"].axes[0].texts}
    leak = drawn["roar_leak"]
    masks = cells_of(accuracy, "mask_only_remove").set_index("label")["accuracy"]
    order = [label.get_text() for label in leak.axes[0].get_yticklabels()]
    assert masks[order].is_monotonic_increasing and "90 % removed" in texts(leak)
    (axes,) = leak.axes  # one level
    for mode, hollow in (("mask_only_remove", True), ("remove", False)):
        at = cells_of(accuracy, mode).query("level == 90").set_index("label")["accuracy"]
        lines = [
            one for one in axes.lines if one.get_marker() == "o" and (one.get_markerfacecolor() == "white") == hollow
        ]
        dots = np.concatenate([one.get_xydata() for one in lines])
        assert len(dots) == len(order)
        np.testing.assert_allclose(dots[:, 0], at[[order[int(y)] for y in dots[:, 1]]])
    assert "RACU" in texts(drawn["roar_area"])


def test_a_form_of_ones_own_is_drawn(accuracy) -> None:
    rows = cells_of(accuracy, "remove")
    panels = plots.by_form(rows.assign(form=rows["form"].replace("vargrad", "own")))
    drawn = set(pd.concat(panels.values())["estimator"])
    assert drawn == set(rows.loc[rows["level"] > 0].loc[rows["family"] != "check", "estimator"])
    assert {"own"} < set(panels["Other forms"]["form"]) and "Other forms" not in plots.by_form(rows)


def test_figures_say_so_when_there_is_nothing_to_draw(accuracy, made_up, folder, tmp_path) -> None:
    only = accuracy[accuracy["mode"] == "keep"]
    empty = plots.roar_curves(plots.by_form(cells_of(only, "remove")), only[:0], 0.1, "")
    assert "no trainings" in texts(empty)
    pair = {"a": cells_of(accuracy, "remove"), "b": cells_of(only, "no_retraining_remove")}
    assert "no trainings" in texts(plots.roar_curves(pair, only[:0], 0.1, ""))
    bare = dataclasses.replace(made_up, roar=made_up.roar[made_up.roar["mode"] == "keep"].reset_index(drop=True))
    assert roar_tables.racu_table(bare, curves(bare, 20, 0)).empty
    place = roar_synthetic.write(dataclasses.replace(bare, trust=bare.trust[:0]), tmp_path / "bare")
    run_cells(
        "roar_results", {"results_dir": str(place), "out_dir": str(tmp_path), "bootstrap": 20, "study": "made_up"}
    )
    assert (tmp_path / "roar_leak.png").exists() and (tmp_path / "roar_area.png").exists()


def known(frames: RoarFrames) -> tuple[dict[str, str], list[int]]:
    """What the examples take of a study."""
    return frames.estimators["label"].to_dict(), frames.levels


def test_examples_are_the_images_with_exactly_those_pixels_replaced(made_up, folder) -> None:
    found = examples(*known(made_up), folder, image=1)
    assert [label for label, _ in found.rows] == ["Random", "GRAD"] and found.titles == [
        "Unchanged",
        "10 %",
        "50 %",
        "90 %",
    ]
    mean = store.open_store(folder / "store").mean.numpy()
    for _, images in found.rows:
        for pixels, share in zip(images, (0, 0.1, 0.5, 0.9), strict=True):
            changed = np.isclose(pixels, mean[:, None, None]).all(axis=0) & ~np.isclose(pixels, images[0]).all(axis=0)
            assert changed.mean() == pytest.approx(share, abs=0.03)
    assert found.table["image"].nunique() == 1
    assert "90 %" in texts(plots.picture_grid(found))
    with pytest.raises(InputError, match="no test image 3"):
        examples(*known(made_up), folder, image=3)
    with pytest.raises(InputError, match="did you mean 'gradient'"):
        examples(*known(made_up), folder, ["gradeint"])


def test_examples_are_left_out_with_a_sentence(made_up, folder, tmp_path) -> None:
    found = examples(*known(made_up), tmp_path)
    assert found.rows == [] and "no finished store" in found.caption
    assert "no finished store" in texts(plots.picture_grid(found))
    without = examples(*known(made_up), folder, ["sobel"])
    assert without.rows == [] and "none of sobel has a ranking" in without.caption


def test_notebook_runs_on_a_made_up_study(folder, tmp_path) -> None:
    run_cells(
        "roar_results", {"results_dir": str(folder), "out_dir": str(tmp_path), "bootstrap": 50, "study": "made_up"}
    )
    written = {path.name for path in tmp_path.iterdir()}
    for name in (
        "roar_remove",
        "roar_keep",
        "roar_retraining",
        "roar_leak",
        "roar_agreement",
        "roar_examples",
        "roar_toy",
    ):
        assert {f"{name}.png", f"{name}.pdf", f"{name}.csv"} <= written
    claims = pd.read_csv(tmp_path / "roar_findings.csv")
    assert set(claims.query("part == 'headline'")["finding"]) == {f"R{i}" for i in range(1, 11)}
    assert (
        len(pd.read_csv(tmp_path / "roar_accuracy.csv")) > 100
        and len(pd.read_csv(tmp_path / "roar_agreement.csv")) > 20
    )


def executed(folder, name: str) -> None:
    cells = [nbformat.v4.new_markdown_cell(f"# The {name}\n\nProse."), nbformat.v4.new_markdown_cell("## Claims")]
    (folder / f"{name}.ipynb").write_text(nbformat.writes(nbformat.v4.new_notebook(cells=cells)))


@pytest.fixture
def reported(made_up, tmp_path):
    """A ROAR study's folder with an executed notebook, its claims, a record, and a training that failed."""
    lost = (made_up.roar["estimator"] == "sobel") & (made_up.roar["level"] == 90)
    frames = roar_synthetic.without(made_up, lost)
    place = roar_synthetic.write(frames, tmp_path / "roar_made_up")
    executed(place, "roar_results")
    notebook = json.loads((place / "roar_results.ipynb").read_text())
    notebook["metadata"]["papermill"] = {"parameters": {"dataset": "pictograms", "description": "Made-up rankings."}}
    (place / "roar_results.ipynb").write_text(json.dumps(notebook))
    findings.save(findings.examine_roar(curves(frames, 50, 0)), place, "roar_findings")
    write_json(place / "gradient" / "remove_50" / "retrain.json", {"seconds": 12.0, "git": {"commit": "abc123" * 6}})
    return place


def test_a_roar_study_alone_makes_a_page(reported) -> None:
    page = write_report(reported).read_text()
    assert remote_loads(page) == []
    order = (
        "Which rankings find what the network needs?",
        ">R1 Single estimates",
        "The roar_results",
        "Trainings and checks that are left out",
        ">retrain</th>",
    )
    places = [page.index(word, page.index("<main>")) for word in order]
    assert places == sorted(places)
    assert "F1 Robust" not in page and "Pairs left out" not in page
    assert "Made-up rankings." in page and "diamonds: the paper" in page and "missing: was not run" in page
    assert 'href="#Claims"' in page and 'id="Claims"' in page


def test_both_papers_on_one_page(reported, tmp_path) -> None:
    for name in report.NOTEBOOKS:
        executed(tmp_path, name)
    page = write_report(tmp_path, reported).read_text()
    page = page[page.index("<main>") :]
    sections = [f"The {name}<a" for name in (*report.NOTEBOOKS, *report.ROAR_NOTEBOOKS)]
    places = [page.index(word) for word in (*sections, "Pairs left out", "Trainings and checks that are left out")]
    assert places == sorted(places) and "How explainable are CNNs?" in page
    assert page.index("Nothing was tested yet") < page.index(">R1 Single") < places[0]
    assert 'href="../roar_made_up/roar_results.ipynb"' in page or 'href="roar_made_up/roar_results.ipynb"' in page
    with pytest.raises(InputError, match="a ROAR study's folder itself"):
        report.studies(reported, reported)


def test_a_report_before_the_claims_says_so(reported) -> None:
    (reported / "roar_findings.csv").unlink()
    assert "Nothing was tested yet: roar_findings.csv is missing" in write_report(reported).read_text()
    (reported / "roar_results.ipynb").unlink()
    with pytest.raises(InputError, match=r"roar_results\.ipynb: no such executed notebook"):
        write_report(reported)
