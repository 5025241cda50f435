"""Ladders of radii: which networks stand on one, by how much a number rises along it, and when that is asked."""

import dataclasses

import numpy as np
import pandas as pd
import planted
import pytest
from matplotlib.text import Text
from planted import World

from xailib import plots
from xailib.analysis import claims, findings, ladder
from xailib.analysis.frames import Frames, model_facts, radius
from xailib.params import ids

GAINS = {("robust", "gradient"): 0.15}


@pytest.fixture(scope="module")
def study() -> Frames:
    return planted.study(World((), 3, planted.RADII, images=40, gains=GAINS), 2)


def test_rungs_are_the_radii_in_their_order(study: Frames) -> None:
    found = ladder.rungs(study)
    assert found["epsilon"].tolist() == [0.0, *planted.RADII] and found["rung"].tolist() == list(range(7))
    assert set(found["seeds"]) == {3}


def test_other_networks_stand_on_no_ladder() -> None:
    beside = planted.study(World(("alexnet", "resnet"), 2, planted.RADII, images=4), 2)
    assert set(ladder.rungs(beside)["architecture"]) == {"ladder"}
    assert not ladder.there(planted.study(World(images=4), 2))
    assert not ladder.there(planted.study(World((), 2, planted.RADII[:2], images=4), 2))  # three radii


def test_the_rise_is_that_of_the_least_squares_line(study: Frames) -> None:
    """Against numpy's own fit, on numbers without noise over the images."""
    values = np.random.default_rng(0).normal(size=len(study.models))
    draws = np.tile(values, (101, 1))
    found = ladder.rise(draws, study, 40, 0)
    rung = study.models["epsilon"].rank(method="dense").to_numpy() - 1
    slope = np.polyfit(rung, values, 1)[0]
    assert found.value == pytest.approx(6 * slope)
    # Between seeds alone: the textbook variance of a slope, residuals pooled within rungs, widened for 14 degrees of freedom.
    within = sum(values[rung == r].var(ddof=1) for r in range(7)) / 7
    textbook = 36 * within / (3 * ((np.arange(7) - 3) ** 2).sum())
    assert found.variance == pytest.approx(textbook * (2.144787 / 1.959964) ** 2, rel=0.2)


def test_without_the_vanilla_networks_the_line_is_the_robust_ones(study: Frames) -> None:
    values = np.random.default_rng(1).normal(size=len(study.models))
    rung = study.models["epsilon"].rank(method="dense").to_numpy() - 1
    slope = np.polyfit(rung[rung > 0], values[rung > 0], 1)[0]
    assert ladder.rise(np.tile(values, (101, 1)), study, 40, 0, first=1).value == pytest.approx(5 * slope)


def test_several_ladders_are_averaged(study: Frames) -> None:
    def named(table: pd.DataFrame) -> pd.DataFrame:
        return table.assign(model="second_" + table["model"])

    second = study.models.assign(architecture="second", recipe="second_" + study.models["recipe"])
    second.index = "second_" + second.index
    tables = {name: getattr(study, name) for name in ("scores", "predictions", "accuracy")}
    both = {name: pd.concat([table, named(table)], ignore_index=True) for name, table in tables.items()}
    both = dataclasses.replace(study, **both, models=pd.concat([study.models, second]))
    one, two = (claims.f7_dose(frames, 100, 0).parts[0].estimate for frames in (study, both))
    assert one.value == pytest.approx(two.value)


def test_it_is_asked_only_of_studies_with_a_ladder(study: Frames) -> None:
    assert list(claims.asked(study)) == [*claims.asked(planted.study(World(images=4), 2)), "F7"]
    heads = findings.examine(study, 100, 0).query("part == 'headline'").set_index("finding")
    assert (
        heads.loc["F7", "verdict"] == "supported" and "7 recipes, at least 3 seeds each" in heads.loc["F7", "sentence"]
    )
    assert (heads.loc[["F1", "F2", "F6"], "verdict"] == "undecided").all()


@pytest.mark.parametrize(
    ("world", "lacking"),
    [
        (World((), 1, planted.RADII, images=4), "two seeds"),
        (World((), 2, planted.RADII[:2], images=4), "4 radii"),
    ],
    ids=["one seed", "three radii"],
)
def test_too_little_gets_a_sentence(world: World, lacking: str) -> None:
    found = claims.f7_dose(planted.study(world, 2), 100, 0)
    assert found.verdict == "undecided" and lacking in found.sentence and not found.parts


def test_a_ladder_without_a_vanilla_network_says_nothing_of_radius_0(study: Frames) -> None:
    robust = dataclasses.replace(study, models=study.models[study.models["training_algorithm"] != "vanilla"])
    assert ladder.there(study) and not ladder.there(robust)


def test_doses_are_means_of_the_seeds(study: Frames) -> None:
    found = ladder.doses(study, claims.LOCALISING, 100, 0)
    row = found.query("what == 'gradient' and rung == 6").iloc[0]
    scored = study.scores.assign(
        epsilon=study.scores["model"].map(study.models["epsilon"]),
        family=study.scores["method"].map(study.methods["family"]),
    )
    own = scored[(scored["epsilon"] == 1) & (scored["family"] == "gradient") & scored["metric"].isin(claims.LOCALISING)]
    assert row["value"] == pytest.approx(own["value"].mean()) and row["low"] < row["value"] < row["high"]
    right = found.query("what == 'clean' and rung == 0").iloc[0]
    clean = right["value"]
    assert right["low"] < clean < right["high"] and right["images"] == study.accuracy["n"].max()
    rows = study.accuracy[study.accuracy["model"].map(study.models["epsilon"]) == 0]
    assert clean == pytest.approx(rows.query("shift == 'clean'")["accuracy"].mean())


def test_the_figure_draws_every_number(study: Frames) -> None:
    found = ladder.doses(study, claims.LOCALISING, 100, 0)
    left, right = plots.dose(found).axes
    for axes, side in ((left, "Hit rate"), (right, "Accuracy")):
        drawn = [line.get_ydata() for line in axes.lines if len(line.get_ydata()) == 7]
        for what, own in found[found["axis"] == side].sort_values("rung").groupby("what"):
            assert any(np.allclose(line, own["value"]) for line in drawn), what
        assert [text.get_text() for text in axes.get_xticklabels()][:3] == ["0", "0.03", "0.06"]


@pytest.mark.parametrize(
    ("seeds", "told"),
    [
        (1, "40 images, 1 seed a radius; bands: 95 % intervals over images"),
        (2, "40 images, 2 seeds a radius; bands: 95 % intervals over both"),
    ],
)
def test_the_figure_says_what_it_counts(study: Frames, seeds: int, told: str) -> None:
    found = ladder.doses(study, claims.LOCALISING, 100, 0).assign(seeds=seeds)
    assert any(told in text.get_text() for text in plots.dose(found).findobj(Text))


def test_shipped_ladder_has_seven_radii_of_one_recipe() -> None:
    names = [
        name for name in ids("models") if name.startswith(("ladder_", "hard_resnet_vanilla", "hard_resnet_robust"))
    ]
    facts = model_facts(names)
    assert sorted(facts["epsilon"].unique()) == [0, 0.03125, 0.0625, 0.125, 0.25, 0.5, 1]
    assert facts["recipe"].value_counts().eq(3).all() and facts["recipe"].nunique() == 7


def test_radius_of_a_network_that_others_trained() -> None:
    assert radius({"training_algorithm": "robust", "epsilon": 3.0}) == 3.0
    assert radius({"training_algorithm": "vanilla"}) == 0.0 and np.isnan(radius({"training_algorithm": "robust"}))
    assert radius({"training_algorithm": "robust", "training": {"epsilon": 0.5}}) == 0.5
