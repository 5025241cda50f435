"""Frames, tables, criteria and correlations."""

import dataclasses
import re

import numpy as np
import pandas as pd
import pytest
import synthetic
from scipy import stats

from xailib.analysis import correlation, frames, scores, tables
from xailib.errors import InputError


def test_read_frames_gives_back_what_was_written(folder) -> None:
    read = frames.read_frames(folder)
    assert len(read.models) == 12 and len(read.images) == 8
    assert read.models.loc["mini_resnet_robust", "label"] == "ResNet-R"
    assert read.methods.loc["gradcam", "family"] == "cam"
    assert list(read.methods["family"].unique()) == ["gradient", "cam", "perturbation", "control"]
    assert read.metrics.loc["deletion", "better"] == "lower"
    assert read.architecture_label("mini_mobilenet_v2") == "MobileNet-v2"


def test_labels_that_two_settings_share_get_their_ids() -> None:
    facts = pd.DataFrame({"label": ["RISE", "RISE", "LIME"]}, index=["rise", "rise_fine", "lime"])
    assert frames.distinct(facts)["label"].tolist() == ["RISE (rise)", "RISE (rise_fine)", "LIME"]


def test_missing_and_damaged_tables_are_named(tmp_path) -> None:
    with pytest.raises(InputError, match="no such results folder"):
        frames.read_frames(tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"scores\.parquet"):
        frames.read_frames(tmp_path)
    (tmp_path / "scores.parquet").write_bytes(b"PAR1 half")
    with pytest.raises(InputError, match=r"scores\.parquet"):
        frames.read_frames(tmp_path)


def test_only_images_that_all_models_get_right(study) -> None:
    predictions = study.predictions.copy()
    wrong = (predictions["model"] == "mini_resnet_robust") & predictions["image"].isin(["image_003", "image_010"])
    predictions.loc[wrong, "correct"] = False
    changed = dataclasses.replace(study, predictions=predictions)
    assert len(frames.correct_by_all(changed)) == 38
    assert "image_003" not in changed.only_correct().images
    assert changed.only_correct(False).images == study.images


def test_a_model_without_predictions_gets_nothing_right(study) -> None:
    predictions = study.predictions[study.predictions["model"] != "mini_resnet_robust"]
    assert frames.correct_by_all(dataclasses.replace(study, predictions=predictions)) == []


def test_cube_holds_every_score_in_its_place(study) -> None:
    data = scores.cube(study, controls=True)
    for row in study.scores.sample(50, random_state=0).itertuples():
        place = {axis: [name] for axis, name in zip(scores.AXES, row[1:5], strict=True)}
        assert data.at(**place).values.item() == row.value
    assert np.isnan(data.at(model=["mini_alexnet_vanilla"], method=["cam"]).values).all()
    shared = scores.shared_methods(scores.means(study, 20, 0))
    assert "cam" not in shared and "gradcam" in shared


def test_axes_are_found_by_name_with_and_without_draws(study) -> None:
    data, drawn = scores.cube(study), scores.means(study, 20, 0, oriented=False)
    pick = {"method": ["rise", "lime"], "metric": ["deletion"]}
    one, means = data.at(**pick).mean("method", "image"), drawn.at(**pick).mean("method")
    assert list(one.axes) == list(means.axes) == ["model", "metric"]
    assert one.values.shape == (12, 1) and means.values.shape == (21, 12, 1)
    np.testing.assert_allclose(one.values, means.values[0])
    gain = scores.gain(drawn, study)
    assert gain.axes["model"] == list(synthetic.ARCHITECTURES)
    ours, theirs = (drawn.at(model=[f"mini_resnet_{kind}"]).values[:, 0] for kind in ("robust", "vanilla"))
    np.testing.assert_array_equal(gain.at(model=["mini_resnet"]).values[:, 0], ours - theirs)


def test_table_of_methods_is_the_groupby_mean(study) -> None:
    table = tables.by_method(study)
    expected = study.scores[study.scores["model"] != ""].groupby(["method", "metric"])["value"].mean()
    plain = table.plain.set_index("method")
    assert plain.loc["rise", "deletion"] == pytest.approx(expected["rise", "deletion"])
    assert table.frame.columns.tolist() == ["Pointing game ↑", "Localisation ↑", "Deletion ↓", "Insertion ↑"]
    assert "12 networks x 40 images" in table.caption


def test_a_mean_over_fewer_networks_says_so_and_is_nobodys_best(study) -> None:
    top = study.scores["value"].where(study.scores["method"] != "cam", 1.0)
    table = tables.by_method(dataclasses.replace(study, scores=study.scores.assign(value=top)))
    label = "CAM (on 10 of 12 networks)"
    assert label in table.frame.index and "GradCAM" in table.frame.index
    assert table.frame.loc[label, "Insertion ↑"] == 1.0 and not table.best.loc[label].any()
    assert table.best["Insertion ↑"].sum() == 1
    assert "cam" in set(table.plain["method"])


def test_two_networks_have_no_correlations_and_fit_one_page(small) -> None:
    criteria = correlation.model_criteria(small, 100, 0)
    table = tables.correlations(correlation.correlate(criteria), criteria.facts)
    assert table.frame.empty and "at least three networks" in table._repr_html_()
    networks = tables.networks(criteria)
    assert networks.frame.shape == networks.best.shape == (2, 10)
    assert "insertion_normalised" in set(networks.plain["criterion"])


def test_best_is_lowest_for_deletion_and_never_a_control() -> None:
    study = synthetic.study()
    low = study.scores["method"] == "random"
    changed = dataclasses.replace(study, scores=study.scores.assign(value=study.scores["value"].where(~low, 0.0)))
    table = tables.by_model(changed, "deletion")
    methods = table.frame[~table.frame.index.isin(table.quiet)]
    for name in table.frame:
        assert table.frame.index[table.best[name]].tolist() == [methods[name].idxmin()]
    assert "lower is better" in table.caption and "↓" in table.caption
    shown = table._repr_html_()
    assert "<b>" in shown and ">-<" in shown  # AlexNet has no CAM


def test_undefined_values_are_left_out_and_counted(study) -> None:
    values = study.scores["value"].mask(
        (study.scores["metric"] == "pointing_game") & (study.scores["image"] == "image_000")
    )
    holed = dataclasses.replace(study, scores=study.scores.assign(value=values))
    count = int(values.isna().sum())
    assert f"{count} undefined values left out" in tables.by_model(holed, "pointing_game").caption
    assert np.isfinite(tables.by_method(holed).frame.to_numpy()).all()
    row = tables.compare_filters(holed).frame.loc["Pointing game ↑"]
    assert row["undefined, all images"] == "106 of 4240"


def test_tables_are_saved_as_plain_numbers(study, tmp_path) -> None:
    table = tables.by_model(study, "insertion").save(tmp_path, "table_insertion")
    saved = pd.read_csv(tmp_path / f"{table.name}.csv", index_col="method")
    assert saved.shape == (12, 12) and saved.loc["rise"].notna().all()


def test_criteria_are_what_was_planted(study) -> None:
    criteria = correlation.model_criteria(study, 300, 0)
    table = criteria.table
    assert criteria.draws.values.shape == (301, 12, len(table.columns))
    assert table.loc["mini_alexnet_vanilla", "test_accuracy"] == pytest.approx(0.93, abs=0.04)
    clean = study.predictions.query("subset == 'accuracy' and model == 'mini_resnet_robust'")
    assert table.loc["mini_resnet_robust", "test_accuracy"] == pytest.approx(clean["correct"].mean())
    assert (
        table.loc["mini_resnet_robust", "adversarial_accuracy"]
        > 0.3
        > table.loc["mini_resnet_vanilla", "adversarial_accuracy"]
    )
    assert correlation.shift_kinds(study) == {
        "silhouette": ["silhouette"],
        "gaussian_noise": ["gaussian_noise_1", "gaussian_noise_3"],
    }
    noise = study.accuracy.query("model == 'mini_alexnet_vanilla'").set_index("shift")["accuracy"]
    expected = (noise["silhouette"] + (noise["gaussian_noise_1"] + noise["gaussian_noise_3"]) / 2) / 2
    assert table.loc["mini_alexnet_vanilla", "shift_accuracy"] == pytest.approx(expected)
    assert np.abs(np.nanmean(criteria.draws.values[1:], axis=0) - table.to_numpy()).max() < 0.02


def test_variants_are_kinds_by_their_name_and_relabelled_images_are_none(study) -> None:
    names = [
        "clean",
        "imagenet_v2",
        "imagenet_c/fog/1",
        "imagenet_c/fog/3",
        "jpeg_compression/5",
        "imagenet_real",
        "l2_pgd",
    ]
    table = pd.DataFrame({"model": "m", "shift": names, "n": 9, "accuracy": 0.5})
    assert correlation.shift_kinds(dataclasses.replace(study, accuracy=table)) == {
        "imagenet_v2": ["imagenet_v2"],
        "imagenet_c/fog": ["imagenet_c/fog/1", "imagenet_c/fog/3"],
        "jpeg_compression": ["jpeg_compression/5"],
    }


def test_correlations_are_scipys_with_n_and_critical_rho(study) -> None:
    criteria = correlation.model_criteria(study, 300, 0)
    pairs = correlation.correlate(criteria).set_index(["first", "second"])
    row = pairs.loc["confidence", "insertion"]
    expected = stats.spearmanr(criteria.table["confidence"], criteria.table["insertion"]).statistic
    assert row["rho"] == pytest.approx(expected)
    assert row["low"] <= row["rho"] <= row["high"] and row["n"] == 12
    assert ((pairs["rho"].abs() >= pairs["critical"]) == (pairs["q"] < 0.05)).all() and (pairs["q"] >= pairs["p"]).all()
    assert not {("explainability", "insertion"), ("insertion", "insertion_normalised")} & set(pairs.index)
    assert ("test_accuracy", "explainability") in pairs.index


def test_clusters_taken_out_leave_no_correlation_that_clusters_made() -> None:
    random = np.random.default_rng(0)
    clusters = pd.Series(["vanilla"] * 30 + ["robust"] * 30)
    shift = np.repeat([0.0, 10.0], 30)
    x, y = shift + random.normal(size=60), shift + random.normal(size=60)
    assert stats.spearmanr(x, y).statistic > 0.7
    assert abs(correlation.within_clusters(x, y, clusters)) < 0.3
    assert np.isnan(correlation.within_clusters(x[:2], y[:2], clusters[:2]))


def test_networks_are_compared_on_the_same_shifted_images(study) -> None:
    """Two networks that are right on the same images differ by nothing, however few the images are."""
    same = study.accuracy.groupby("shift")["right"].transform("first")
    alike = dataclasses.replace(study, accuracy=study.accuracy.assign(right=same))
    draws = correlation.model_criteria(alike, 100, 0).get("shift_accuracy")
    assert np.ptp(draws, axis=1).max() < 1e-12 and draws[1:].std() > 0.001
    gone = dataclasses.replace(study, accuracy=study.accuracy.drop(columns="right"))
    assert "shift_accuracy" not in correlation.model_criteria(gone, 100, 0).table


def test_explainability_does_not_follow_confidence(study) -> None:
    """Raw Insertion and Deletion do: with half the confidence, only the raw composite moves."""
    removal = study.scores["metric"].isin(["insertion", "deletion"])
    dimmed = study.scores["value"].where(~removal, study.scores["value"] / 2)
    ours, theirs = (
        correlation.model_criteria(one, 50, 0).table
        for one in (study, dataclasses.replace(study, scores=study.scores.assign(value=dimmed)))
    )
    pd.testing.assert_series_equal(ours["explainability"], theirs["explainability"])
    assert (ours["explainability_raw"] - theirs["explainability_raw"]).abs().min() > 0.001
    good = scores.means(study.by(dict.fromkeys(("insertion", "deletion"), "value_normalised")), 50, 0)
    good = good.at(method=scores.shared_methods(good)).mean("method", "metric").values[0]
    np.testing.assert_allclose(ours["explainability"], good)


def test_study_without_shifts_or_attack(study) -> None:
    clean = dataclasses.replace(study, accuracy=study.accuracy[study.accuracy["shift"] == "clean"])
    criteria = correlation.model_criteria(clean, 100, 0)
    assert "shift_accuracy" not in criteria.table and "adversarial_accuracy" not in criteria.table
    assert correlation.points(criteria, ["test_accuracy"], ["shift_accuracy"]).empty


def test_confidence_histogram_sums_to_one(study) -> None:
    histogram = correlation.confidence_histogram(study)
    np.testing.assert_allclose(histogram.groupby("model")["share"].sum(), 1.0)
    assert histogram.groupby("training_algorithm")["mean"].first()["robust"] < 0.7


def test_description_counts(study) -> None:
    text = tables.describe("made_up", study, study.only_correct())
    assert re.search(r"12 networks, 9 methods, 4 metrics, 3 controls, 40 images", text)


def test_images_without_labels_are_said_to_have_none() -> None:
    study = synthetic.study()
    bare = dataclasses.replace(study, predictions=study.predictions.assign(correct=float("nan")))
    assert "none of which has a label" in tables.describe("made_up", bare, bare)
    assert "classifies" in tables.describe("made_up", study, study)
