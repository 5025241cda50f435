"""What a second seed changes: planted noise is recovered, and what draws nothing has none."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
import synthetic
from cells import figures, texts
from scipy.stats import t

from xailib.analysis import frames, reliability


def planted(changes: np.ndarray, images: int, **columns: object) -> frames.Frames:
    """One method and metric whose second seed changes scores by `changes` `(networks, repeated images)`."""
    study = synthetic.study(images=images, architectures=("mini_resnet", "mini_googlenet"))
    models = study.models.index[: len(changes)]
    facts = {"method": "rise", "metric": "deletion", "value": 0.5, "correlation": 0.7, "same": False, **columns}
    rows = [
        {"model": model, "image": f"image {j}", "second": 0.5 + change, **facts}
        for model, row in zip(models, changes, strict=True)
        for j, change in enumerate(row)
    ]
    return dataclasses.replace(study, reliability=pd.DataFrame(rows))


def test_a_known_spread_is_recovered() -> None:
    random, n, k, sd = np.random.default_rng(0), 16, 800, 0.07
    own = planted(np.sqrt(2) * sd * random.normal(size=(4, k)), n)
    row = reliability.noise(own).iloc[0]
    assert row["spread"] == pytest.approx(sd, rel=0.05) and (row["images"], row["networks"]) == (k, 4)
    assert row["noise"] == pytest.approx(1.96 * sd / np.sqrt(4 * n), rel=0.1)
    # One draw for all networks, as in the methods here: they average nothing out.
    shared = planted(np.repeat(np.sqrt(2) * sd * random.normal(size=(1, k)), 4, axis=0), n)
    assert reliability.noise(shared).iloc[0]["noise"] == pytest.approx(1.96 * sd / np.sqrt(n), rel=0.1)


def test_a_mean_stays_within_its_noise_for_95_of_100_seeds() -> None:
    """Also with as few images as studies repeat, thanks to Student's t."""
    random, n, k, sd = np.random.default_rng(1), 16, 4, 0.1
    study, inside = planted(np.zeros((1, k)), n), []
    for _ in range(400):
        second = 0.5 + np.sqrt(2) * sd * random.normal(size=k)
        moved = dataclasses.replace(study, reliability=study.reliability.assign(second=second))
        inside.append(abs(random.normal(0, sd / np.sqrt(n))) < reliability.noise(moved)["noise"].iloc[0])
    assert np.mean(inside) == pytest.approx(0.95, abs=0.03)


def test_the_table_says_what_repeats(study) -> None:
    table = reliability.table(study)
    assert table.frame.loc["RISE"].iloc[0] == "no" and table.frame.loc["GradCAM"].iloc[0] == "deterministic"
    assert (table.frame.loc["GradCAM"].iloc[1:3] == 1).all() and (table.frame.loc["GradCAM"].iloc[3:] == 0).all()
    assert (table.frame.loc["LIME"].iloc[3:] > table.frame.loc["SHAP"].iloc[3:]).all()
    assert "n = 4 images x 12 networks" in table.caption and "mean over 40 images" in table.caption
    assert table.quiet == ("Random", "Centre gaussian", "Sobel") and "deterministic" in table._repr_html_()
    assert table.plain.set_index(["method", "metric"])["spread"]["rise", "deletion"] == pytest.approx(0.1, rel=0.25)
    yes = dataclasses.replace(study, reliability=study.reliability.assign(correlation=0.9, same=False))
    assert (reliability.table(yes).frame.iloc[:, 0] == "yes").all()


def test_undefined_values_are_left_out_and_said() -> None:
    study = planted(np.full((2, 3), 0.1), 6)
    study.reliability.loc[0, ["correlation", "second"]] = np.nan
    assert "1 of 6 pairs of maps hold a constant one" in reliability.table(study).caption
    assert reliability.noise(study)["spread"].iloc[0] == pytest.approx(0.1 / np.sqrt(2))
    study.reliability["correlation"] = study.reliability["second"] = np.nan
    assert np.isnan(reliability.table(study).frame["rank correlation"].iloc[0])
    assert reliability.noise(study).empty


def test_one_image_is_enough_but_wide() -> None:
    assert reliability.noise(planted(np.array([[0.1]]), 4))["noise"].iloc[0] == pytest.approx(
        t.ppf(0.975, 1) * 0.1 / np.sqrt(2) / 2
    )


def test_methods_closer_than_their_noise_are_named(study) -> None:
    pairs = reliability.close_pairs(study).set_index(["metric", "first", "second"])
    assert not any({"GradCAM", "CAM"} == set(key[1:]) for key in pairs.index), "neither draws anything"
    assert not any("Random" in key for key in pairs.index), "a control"
    noise = reliability.noise(study).set_index(["method", "metric"])["noise"]
    row = pairs.loc["insertion", "RISE", "LIME"]
    assert row["noise"] == pytest.approx(np.hypot(noise["rise", "insertion"], noise["lime", "insertion"]))
    means = study.scores[study.scores["metric"] == "insertion"].groupby("method")["value"].mean()
    assert row["difference"] == pytest.approx(means["rise"] - means["lime"]) and row["difference"] > row["noise"]
    told = {line.split("**")[1]: line for line in reliability.describe(study).splitlines()}
    for metric, label in study.metrics["label"].items():
        close = pairs.loc[metric].query("difference.abs() < noise").index
        assert all(f"{first} and {second}" in told[label] for first, second in close)
        assert f"smaller than {pairs.loc[metric]['noise'].max():.3f} (n = 40 images x 12 networks)" in told[label]
    assert "RISE and LIME" not in told["Insertion"]


def test_a_study_that_draws_nothing_or_measured_nothing_says_so(study, tmp_path) -> None:
    fixed = dataclasses.replace(study, reliability=study.reliability.query("same"))
    assert reliability.describe(fixed).startswith("No method of this study draws samples")
    results = synthetic.write(study, tmp_path / "old")
    (results / "reliability.parquet").unlink()
    old = frames.read_frames(results)
    assert reliability.describe(old) == reliability.table(old).caption == reliability.NOT_MEASURED
    assert "Reliability was not measured" in texts(figures("explainability", old, tmp_path)["reliability"])
    undefined = dataclasses.replace(study, reliability=study.reliability.assign(correlation=np.nan))
    assert "0.8" in texts(figures("explainability", undefined, tmp_path)["reliability"])


def test_the_figure_has_a_dot_a_network_and_marks_what_is_reliable(study, tmp_path) -> None:
    networks = reliability.by_network(study)
    figure = figures("explainability", study, tmp_path)["reliability"]
    axes = figure.axes[0]
    *dots, marks = (len(part.get_offsets()) for part in axes.collections)
    assert sum(dots) == len(networks) == 12 * 11 + 10 and marks == 12  # no CAM on the AlexNets
    assert any(list(line.get_xdata()) == [0.8, 0.8] for line in axes.lines)
    shown = texts(figure).splitlines()
    assert {"deterministic", "RISE", "Perturbation"} <= set(shown)
    means = networks.groupby("label")["correlation"].mean()
    order = [text.get_text() for text in axes.get_yticklabels()]
    assert means[order].is_monotonic_decreasing and f"{means['RISE']:.2f}" in shown
