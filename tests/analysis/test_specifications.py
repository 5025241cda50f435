"""Claims under every convention: their share, and that no verdict comes from the choice of one."""

import dataclasses

import numpy as np
import planted
import pytest
import synthetic
from cells import texts
from planted import World

from xailib import plots
from xailib.analysis import claims, findings, rules, specifications

CHAMPIONS = {("", "gradcam"): 0.3, ("", "rise"): 0.3}
RIVALS = {("", "shap"): 0.3}
FIGURE = {"F1": "gain", "F3": "lead", "F4": "difference"}


def examined(world: World, seed: int = 0, copies: int = 100):
    frames = planted.study(world, seed)
    found = findings.examine(frames, copies, seed)
    return found[found["part"] == "headline"].set_index("finding"), specifications.table(frames, frames, copies, seed)


def test_every_combination_of_what_the_study_has_is_tested() -> None:
    heads, table = examined(World(others={}, images=12))
    assert table.groupby("finding").size().to_dict() == {"F1": 4, "F3": 32, "F4": 4}
    assert table.groupby("finding")["default"].sum().to_dict() == {"F1": 1, "F3": 1, "F4": 1}
    own = table[table["default"] & (table["finding"] == "F3")].iloc[0]
    assert own["Deletion on"] == "mean colour" and own["Insertion on"] == "blurred image" and own["Scores"] == "raw"
    assert own["WSL box"] == "largest component" and own["Pointing margin"] == "4.0 % of the side"
    parts = claims.f3_best_methods(planted.study(World(others={}, images=12)), 100, 0).parts
    assert own["value"] == pytest.approx(parts[0].estimate.value)
    assert heads["specifications"].to_dict() == {"F1": 4, "F2": 0, "F3": 32, "F4": 4, "F5": 0, "F6": 0}
    assert heads.loc[["F2", "F5", "F6"], "share"].isna().all() and heads.loc["F3", "share"] >= 1 / 4


def test_a_study_of_one_convention_has_no_shares_and_no_figure() -> None:
    heads, table = examined(World(images=12))
    assert (table.groupby("finding").size() == [1, 2, 1]).all()  # raw and normalised are always there
    assert heads.loc[["F1", "F4"], "share"].isna().all()
    one = table[table["finding"] == "F1"]
    assert "nothing to compare" in texts(plots.specification_curve(one, FIGURE, rules.COLOURS))


def test_what_holds_under_one_half_of_the_conventions_is_no_verdict() -> None:
    """GradCAM and RISE are best by one substrate and box, SHAP by the other: which one decides must not be the study's."""
    heads, table = examined(World(images=40, gains=CHAMPIONS, others=RIVALS, areas=2.0))
    own = table[(table["finding"] == "F3") & table["default"]]["verdict"].item()
    assert own == rules.SUPPORTED
    row = heads.loc["F3"]
    assert row["verdict"] == rules.DEPENDS and row["share"] < specifications.ENOUGH
    assert "supported" in row["sentence"] and "Of 32 combinations" in row["sentence"] and row["needs"]
    assert row["verdict"] not in rules.DECIDED


def test_what_holds_under_all_conventions_is_printed_plainly() -> None:
    heads, _ = examined(World(images=40, gains=CHAMPIONS, others=CHAMPIONS, areas=2.0))
    assert heads.loc["F3", ["verdict", "share"]].tolist() == [rules.SUPPORTED, 1.0]
    assert heads.loc["F3", "needs"] == ""


def test_the_word_is_the_same_whichever_convention_is_the_studys_own() -> None:
    frames = planted.study(World(others={("robust", "gradient"): 0.2}, gains={("robust", "gradient"): 0.2}), 1)
    other = frames.by({metric: theirs for metric, (_, theirs) in planted.ALTERNATIVES.items()})
    first, second = (
        findings.examine(one, 100, 0).query("part == 'headline'").set_index("finding") for one in (frames, other)
    )
    for column in ("verdict", "share", "specifications"):
        assert first.loc[["F1", "F3", "F4"], column].tolist() == second.loc[["F1", "F3", "F4"], column].tolist()
    assert first.loc["F1", "value"] != second.loc["F1", "value"]


@pytest.mark.parametrize("seed", range(2))
def test_no_plain_word_comes_from_nothing(seed: int) -> None:
    heads, _ = examined(World(others={}), seed)
    assert not set(heads.loc[["F1", "F3", "F4"], "verdict"]) & set(planted.BOTH), heads["verdict"].tolist()


def test_which_images_count_is_a_convention(study) -> None:
    wrong = study.predictions["image"].isin(study.images[:10]) & (study.predictions["model"] == "mini_resnet_robust")
    predictions = study.predictions.assign(correct=study.predictions["correct"] & ~wrong)
    everything = dataclasses.replace(study, predictions=predictions)
    table = specifications.table(everything.only_correct(), everything, 100, 0)
    own = table[table["finding"] == "F1"]
    assert own["Images"].tolist() == ["right by all networks", "all"] and own["default"].tolist() == [True, False]
    turned = specifications.table(everything, everything, 100, 0)
    assert turned[turned["finding"] == "F1"]["default"].tolist() == [False, True]
    np.testing.assert_allclose(own["value"], turned[turned["finding"] == "F1"]["value"])


def test_another_setting_of_a_method_is_a_convention(study) -> None:
    more = study.scores[study.scores["method"] == "shap"].assign(method="shap_abs", value=0.0)
    facts = study.methods.loc[["shap"]].rename(index={"shap": "shap_abs"})
    scores = np.concatenate([study.scores, more])
    frames = dataclasses.replace(
        study,
        scores=type(more)(scores, columns=more.columns).infer_objects(),
        methods=type(facts)(np.concatenate([study.methods, facts]), [*study.methods.index, "shap_abs"], facts.columns),
    )
    frames.methods.index.name = "method"
    own = specifications.table(frames, frames, 100, 0).query("finding == 'F1'")
    assert own["Method settings"].tolist() == ["as named", "the other"]
    assert own["value"].iloc[1] < own["value"].iloc[0] == claims.f1_robust_gradients(study, 100).parts[0].estimate.value


def test_the_figure_shows_every_combination_and_names_the_studys_own() -> None:
    _, table = examined(World(others={}, images=12))
    figure = plots.specification_curve(table, FIGURE, rules.COLOURS)
    shown = texts(figure)
    for words in ("n = 32 combinations", "WSL box: ", "extent of all", "Scores: ", "the study's own conventions"):
        assert words in shown, shown
    upper = [axes for axes in figure.axes if "combinations" in axes.get_title()]
    assert [len(axes.collections[1].get_offsets()) for axes in upper] == [4, 32, 4]


def test_words_and_shares() -> None:
    words = ["supported"] * 3 + ["undecided"]
    assert specifications.agreed(words) == ("supported", 0.75)
    assert specifications.agreed(["supported", "contradicted"]) == (rules.DEPENDS, 0.5)
    assert specifications.agreed(["undecided"] * 5 + ["supported"]) == ("undecided", pytest.approx(5 / 6))
    assert specifications.counted(words) == "Of 4 combinations of conventions: 3 supported, 1 undecided."
    assert synthetic.METRICS.keys() >= {
        metric for one in specifications.COLUMNS.values() for o in one.values() for metric in o
    }
