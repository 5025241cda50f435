"""What the controls say of metrics: one by which no method is ahead of the centre is void, and carries no verdict."""

import dataclasses

import numpy as np
import pandas as pd
import planted
import pytest
import synthetic
from planted import World

from xailib.analysis import claims, controls, correlation, findings, limits, rankings, tables
from xailib.analysis.frames import metric_facts

GAINS = {("", family): 0.2 for family in ("gradient", "cam", "perturbation")}


def blind(study, *metrics: str):
    """The study with what the centred Gaussian scores in the place of every method's, under some metrics."""
    rows = study.scores
    centre = rows[rows["method"] == "centre_gaussian"].set_index(["model", "metric", "image"])["value"]
    own = pd.MultiIndex.from_frame(rows[["model", "metric", "image"]])
    value = rows["value"].where(~rows["metric"].isin(metrics), centre.reindex(own).to_numpy())
    return dataclasses.replace(study, scores=rows.assign(value=value))


def test_a_metric_is_void_unless_a_method_is_shown_to_be_ahead_of_the_centre() -> None:
    """Of 24 studies where all are as good as the centre, a metric is not void in one or two at most, by chance."""
    wrong = {name: 0 for name in planted.METRICS}
    for seed in range(24):
        for name in set(wrong) - set(controls.void(planted.study(World(controls=True), seed), 100, seed)):
            wrong[name] += 1
    assert max(wrong.values()) <= 3, wrong


def test_a_metric_by_which_methods_are_ahead_is_not_void() -> None:
    found = [controls.void(planted.study(World(controls=True, gains=GAINS), seed), 100, seed) for seed in range(8)]
    assert sum(bool(void) for void in found) <= 1, found


def test_without_the_centre_no_metric_is_void(study) -> None:
    assert not controls.void(planted.study(World()), 100)
    assert controls.telling(planted.study(World()), 100) == list(planted.METRICS)


def test_extra_metrics_stand_beside_and_carry_no_verdict() -> None:
    """What a study judges by as well does not change what the papers' claims rest on."""
    study = planted.study(World())
    beside = study.metrics.assign(extra=study.metrics.index == "deletion")
    others = [name for name in planted.METRICS if name != "deletion"]
    assert controls.telling(dataclasses.replace(study, metrics=beside), 100) == others
    known = metric_facts(["deletion", "road_morf"])
    assert known["extra"].to_dict() == {"deletion": False, "road_morf": True}


def test_a_metric_with_a_score_on_one_of_several_images_carries_no_verdict() -> None:
    """Its mean has no error that one could see, so that explainability by it would be taken for certain."""
    study, words = World(("resnet",)), []
    for seed in range(12):
        drawn = planted.study(study, seed)
        rows = drawn.scores["metric"].isin(["pointing_game", "localisation"]) & (drawn.scores["image"] != "image_0000")
        one = dataclasses.replace(drawn, scores=drawn.scores.assign(value=drawn.scores["value"].mask(rows)))
        assert controls.telling(one, 100) == ["deletion", "insertion"]
        words.append(claims.f2_advprop(one, 100).verdict)
    assert "contradicted" not in words, "AdvProp networks are explained no better here"
    alone = dataclasses.replace(one, scores=one.scores[one.scores["image"] == "image_0000"])
    assert controls.telling(alone, 100) == list(planted.METRICS), (
        "of a single image no interval says more than it knows"
    )


def test_what_is_void_carries_no_verdict(study) -> None:
    one = blind(study, "pointing_game")
    assert controls.void(one, 100) == ["pointing_game"]
    part = claims.f1_robust_gradients(one, 100).parts[0]
    assert "localisation" in part.statistic and "pointing" not in part.statistic
    alone = dataclasses.replace(one, scores=one.scores[one.scores["metric"] != "pointing_game"])
    alone = dataclasses.replace(alone, metrics=one.metrics.drop(index="pointing_game"))
    for test in (claims.f1_robust_gradients, claims.f3_best_methods, claims.f2_advprop):
        assert [row.estimate for row in test(one, 100).parts] == [row.estimate for row in test(alone, 100).parts]
    pd.testing.assert_series_equal(
        *(correlation.model_criteria(frames, 100).table["explainability"] for frames in (one, alone))
    )
    ranks = [rankings.method_ranks(frames, 100).query("metric == 'all'")["rank"] for frames in (one, alone)]
    np.testing.assert_allclose(*ranks)


def test_what_is_void_is_said_in_tables_and_findings(study) -> None:
    one = blind(study, "pointing_game")
    table = controls.table(one, 100)
    assert "nan" not in controls.table(planted.study(World(images=1, controls=True)), 100)._repr_html_()
    assert table.frame["Here"].to_dict() == {"Pointing game": "void"} | dict.fromkeys(
        ("Localisation", "Deletion", "Insertion"), "can tell"
    )
    plain = table.plain.set_index("metric")
    means = one.scores.groupby(["method", "metric"])["value"].mean()
    assert plain.loc["deletion", "centre"] == pytest.approx(means["centre_gaussian", "deletion"])
    assert plain.loc["deletion", "chance"] == pytest.approx(means["random", "deletion"])
    assert (plain["low"] > 0).tolist() == [False, True, True, True]
    assert "Pointing game ↑ (void)" in tables.by_method(one).frame
    found = findings.examine(one, 100)
    heads = found[found["part"] == "headline"]
    assert set(heads["void"]) == {"Pointing game"}
    assert "without Pointing game, void here" in findings.headlines(found).caption


@pytest.mark.parametrize(
    ("metrics", "ids", "missing"),
    [
        (("pointing_game", "localisation"), ["F1"], "ahead of the image's centre"),
        (("insertion", "deletion"), ["F4"], "ahead of the image's centre by Insertion and Deletion"),
        (tuple(synthetic.METRICS), ["F1", "F2", "F3", "F4", "F5", "F6"], ""),
    ],
)
def test_where_all_that_a_claim_rests_on_is_void_it_has_no_verdict(study, metrics, ids, missing: str) -> None:
    found = findings.examine(blind(study, *metrics), 100)
    heads = found[found["part"] == "headline"].set_index("finding")
    assert set(heads.loc[ids, "verdict"]) == {"undecided"}
    assert heads.loc[ids, "sentence"].str.contains("needs").all() and missing in heads.loc[ids[0], "sentence"]


def test_an_interval_is_of_the_images_that_have_a_score(study) -> None:
    rows, few = study.scores, study.images[:4]
    hits = rows["metric"].isin(claims.LOCALISING)
    bare = dataclasses.replace(study, scores=rows.assign(value=rows["value"].mask(hits & ~rows["image"].isin(few))))
    alone = dataclasses.replace(study, scores=rows[rows["image"].isin(few)])
    for frames in (bare, alone):
        assert [frames.scored(name) for name in claims.LOCALISING] == [4, 4]
    found = [controls.leads(frames, 100)["pointing_game"].low for frames in (bare, alone)]
    assert found[0] == pytest.approx(found[1])
    tables = [rankings.robust_differences(frames, 100).query("metric == 'localisation'") for frames in (bare, alone)]
    np.testing.assert_allclose(*(table[["low", "high", "images"]] for table in tables))
    parts = [claims.f1_robust_gradients(frames, 100).parts for frames in (bare, alone)]
    assert [one.estimate.low for one in parts[0]] == pytest.approx([one.estimate.low for one in parts[1]])


def hits(study, method: str, images: int, metric: str = "pointing_game"):
    """The study with a method that hits on so many images, those on which the centre does not, and else has no score."""
    rows = study.scores[(study.scores["metric"] == metric)]
    centre = rows[rows["method"] == "centre_gaussian"].groupby("image")["value"].mean().sort_values(kind="stable")
    own = (study.scores["metric"] == metric) & (study.scores["method"] == method)
    value = study.scores["value"].mask(own)
    value[own & study.scores["image"].isin(centre.index[:images])] = 1.0
    return dataclasses.replace(study, scores=study.scores.assign(value=value))


def test_a_few_images_of_one_method_revive_no_metric(study) -> None:
    """It is compared on its own images, and on fewer than a third of them it is not asked."""
    one = blind(study, "pointing_game")
    for images in (2, 13):
        assert controls.void(hits(one, "rise", images), 100) == ["pointing_game"], images
    assert not controls.void(hits(one, "rise", 40), 100)


def test_a_lead_is_over_the_centre_on_the_same_images(study) -> None:
    """RISE hits where the centre does, and has no score on the harder half of the images."""
    rows = study.scores[study.scores["metric"] == "pointing_game"]
    centre = rows[rows["method"] == "centre_gaussian"].set_index(["model", "image"])["value"]
    easy = centre.groupby("image").mean().sort_values(kind="stable").index[-20:]
    own = (study.scores["metric"] == "pointing_game") & (study.scores["method"] != "centre_gaussian")
    same = centre.reindex(pd.MultiIndex.from_frame(study.scores[["model", "image"]])).to_numpy()
    value = study.scores["value"].mask(own, same).mask(own & ~study.scores["image"].isin(easy))
    found = controls.leads(dataclasses.replace(study, scores=study.scores.assign(value=value)), 100)["pointing_game"]
    assert found.value == found.low == found.high == 0


def test_what_a_study_cannot_say_is_said(study) -> None:
    told = "\n".join(limits.limits(study, 100))
    assert "each was trained once" in told and "no image has an exact mask" in told and "Nothing by" not in told
    seeds = planted.study(World(seeds=3, controls=True))
    told = "\n".join(limits.limits(seeds, 100))
    assert "trained once" not in told and told.count("Nothing by") == 4 and "(F1, F4)" not in told


def test_one_architecture_two_networks_no_boxes_and_nothing_right() -> None:
    one = synthetic.study(architectures=("mini_resnet",))
    told = "\n".join(limits.limits(one, 100))
    assert "4 networks of the 5" in told and "1 architecture with a robust and a vanilla network, of the 5" in told
    two = synthetic.only(one, ["mini_resnet_vanilla", "mini_resnet_robust"])
    hits = two.scores["metric"].isin(claims.LOCALISING)
    blank = dataclasses.replace(two, scores=two.scores.assign(value=two.scores["value"].mask(hits)))
    told = "\n".join(limits.limits(blank, 100))
    assert "2 networks of the 5" in told and "no image has a box" in told
    found = findings.examine(blank, 100)
    heads = found[found["part"] == "headline"].set_index("finding")
    assert set(heads.loc[["F1", "F3", "F4", "F6"], "verdict"]) == {"undecided"}
    empty = dataclasses.replace(one, predictions=one.predictions.assign(correct=False)).only_correct()
    (sentence,) = limits.limits(empty, 100)
    assert "no image is classified correctly by every network" in sentence
    assert set(findings.examine(empty, 100)["verdict"]) == {"undecided"}
    bare = dataclasses.replace(one, predictions=one.predictions.assign(correct=np.nan)).only_correct()
    assert "no image has a label" in limits.limits(bare, 100)[0]
    assert findings.examine(bare, 100)["sentence"].str.contains("needs labels of the images").all()
