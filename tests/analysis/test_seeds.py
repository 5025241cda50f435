"""Seeds of one recipe are averaged and counted once: more of them are no further networks."""

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd
import planted
import pytest
from cells import figures, texts
from planted import World

from xailib import params, plots
from xailib.analysis import claims, controls, correlation, findings, frames, rankings, scores, tables
from xailib.analysis.frames import Frames, model_facts, recipe

NUMBERS = ["value", "low", "high", "p", "n"]


def trained_again(study: Frames, seeds: int) -> Frames:
    """The study as if every network had been trained `seeds` times, with the same outcome each time."""

    def copies(table: pd.DataFrame) -> pd.DataFrame:
        again = [table.assign(model=table["model"] + f"_s{seed}") for seed in range(seeds)]
        return pd.concat(again, ignore_index=True)

    models = study.models.loc[study.models.index.repeat(seeds)]
    models = models.assign(recipe=models.index + "_s0", recipe_label=models["label"])
    models.index = pd.Index([f"{name}_s{i % seeds}" for i, name in enumerate(models.index)], name="model")
    told = {name: copies(getattr(study, name)) for name in ("scores", "predictions", "accuracy")}
    return dataclasses.replace(study, **told, models=models)


@pytest.fixture(scope="module")
def once() -> Frames:
    gains = {("robust", "gradient"): 0.1} | {("", family): 0.15 for family in ("gradient", "cam", "perturbation")}
    return planted.study(World(images=60, controls=True, gains=gains, confidences={"robust": -0.1}), 1)


@pytest.fixture(scope="module")
def thrice(once: Frames) -> Frames:
    return trained_again(once, 3)


@pytest.mark.parametrize("claim", [id for id in claims.CLAIMS if id != "F7"])  # which asks for several seeds
def test_the_same_training_three_times_says_no_more_than_once(claim: str, once: Frames, thrice: Frames) -> None:
    test = claims.CLAIMS[claim].test
    one, three = test(once, 100, 0), test(thrice, 100, 0)
    assert one.verdict == three.verdict and len(one.parts) == len(three.parts) > 0
    for ours, theirs in zip(one.parts, three.parts, strict=True):
        own, other = ([getattr(part.estimate, name) for name in NUMBERS] for part in (ours, theirs))
        np.testing.assert_allclose(own, other, atol=1e-9, err_msg=ours.name)


def test_counted_as_networks_they_would_say_more(thrice: Frames) -> None:
    """What recipes are for: without them, copies of the same networks narrow intervals and make chance significant."""
    counted = dataclasses.replace(thrice, models=thrice.models.drop(columns=["recipe", "recipe_label"]))
    honest, false = (rankings.method_ranks(study, 100, 0).dropna(subset=["low"]) for study in (thrice, counted))
    shares = (false["high"] - false["low"]).to_numpy() / (honest["high"] - honest["low"]).to_numpy()
    assert (shares < 1).all() and np.median(shares) < 0.9, "the part of the images is the same in both"
    name = "insertion (normalised) with mean confidence"
    parts = [claims.f4_confidence(study, 100, 0).parts for study in (thrice, counted)]
    honest, false = (next(one.estimate for one in own if one.name == name) for own in parts)
    assert honest.p > 0.05 > false.p and (honest.n, false.n) == (12, 36)


def test_figures_and_tables_are_those_of_one_training(once: Frames, thrice: Frames) -> None:
    assert len(scores.means(thrice, 100, 0).axes["model"]) == len(once.models)
    assert controls.leads(once, 100, 0).keys() == controls.leads(thrice, 100, 0).keys()
    for metric, lead in controls.leads(once, 100, 0).items():
        np.testing.assert_allclose(lead.low, controls.leads(thrice, 100, 0)[metric].low, atol=1e-9)
    criteria = [correlation.model_criteria(study, 100, 0) for study in (once, thrice)]
    pairs = [correlation.correlate(own) for own in criteria]
    shown = [(own, every.facts) for own, every in zip(pairs, criteria, strict=True)]
    np.testing.assert_allclose(pairs[0][["rho", "p", "q", "n"]], pairs[1][["rho", "p", "q", "n"]], atol=1e-9)
    captions = [
        tables.correlations(*pair, unit=study.unit).caption for pair, study in zip(shown, (once, thrice), strict=True)
    ]
    assert "n = 12 networks" in captions[0] and "n = 12 recipes" in captions[1]
    assert tables.by_method(once, 100, 0).beside.equals(tables.by_method(thrice, 100, 0).beside)


def test_units_are_named_after_what_they_are(once: Frames, thrice: Frames) -> None:
    assert (once.unit, thrice.unit) == ("networks", "recipes")
    table = findings.examine(thrice, 100, 0)
    assert set(table.loc[table["finding"] == "F3", "unit"]) == {"recipes"}
    assert once.recipes.equals(once.models) and list(thrice.recipes["label"]) == list(once.models["label"])


def test_figures_of_criteria_count_what_their_points_are(thrice: Frames, tmp_path: Path) -> None:
    told_apart = dataclasses.replace(thrice, models=frames.distinct(thrice.models))
    drawn = figures("correlation", told_apart, tmp_path)
    assert "n = 12 recipes" in texts(drawn["correlations"]) and "n = 12 networks" not in texts(drawn["correlations"])
    assert "n = 12 recipes" in texts(drawn["accuracy_explainability"])
    criteria = correlation.model_criteria(thrice, 100, 0)
    assert tables.networks(criteria, thrice.unit).caption.startswith("The recipes on every criterion")
    points, none = correlation.points(criteria, ["confidence"], ["insertion"]), correlation.correlate(criteria)[:0]
    assert "too few recipes" in texts(plots.scatter(points, none, thrice.unit))


def test_seeds_that_differ_widen_nothing_but_are_averaged() -> None:
    frames = trained_again(planted.study(World(), 2), 2)
    second = frames.scores["model"].str.endswith("_s1")
    moved = dataclasses.replace(frames, scores=frames.scores.assign(value=frames.scores["value"] - 0.1 * second))
    before, after = (scores.means(one, 100, 0, oriented=False).values[0] for one in (frames, moved))
    np.testing.assert_allclose(after, before - 0.05, atol=1e-9)


def test_what_differs_between_seeds_decides_nothing_about_recipes() -> None:
    """All recipes alike, seeds 10 points apart: over images alone AdvProp is soon called worse, over seeds it is not."""
    honest, images_alone = [], []
    for seed in range(4):
        world = World(seeds=3, images=6, test_images=300)
        moved = np.random.default_rng([seed, 6]).normal(0, 0.1, (len(planted.networks(world)), 2))
        leads = {name: (*own, 0.0) for name, own in zip(planted.networks(world).index, moved, strict=True)}
        study = planted.study(dataclasses.replace(world, network_leads=leads), seed)
        networks = dataclasses.replace(study, models=study.models.drop(columns=["recipe", "recipe_label"]))
        honest.append(claims.f2_advprop(study, 100, seed).verdict)
        images_alone.append(claims.f2_advprop(networks, 100, seed).verdict)
    assert "contradicted" not in honest and images_alone.count("contradicted") >= 1


def test_more_images_alone_are_not_asked_for_where_seeds_differ() -> None:
    """Ten thousand test images more narrow nothing when it is the seeds that differ; and rho counts recipes, not networks."""
    world, widths = World(seeds=3, images=6), []
    moved = np.random.default_rng([1, 6]).normal(0, 0.05, (len(planted.networks(world)), 2))
    leads = {name: (*own, 0.0) for name, own in zip(planted.networks(world).index, moved, strict=True)}
    for images in (1000, 10_000):
        study = planted.study(dataclasses.replace(world, network_leads=leads, test_images=images), 1)
        parts = [
            part
            for test in (claims.f2_advprop, claims.f5_no_best_network, claims.f6_resnet)
            for part in test(study, 100, 0).parts
            if part.estimate.needs and part.statistic != "Spearman's rho"
        ]
        assert all("and seeds" in part.estimate.needs for part in parts) and len(parts) > 3, parts
        widths.append(parts[0].estimate.high - parts[0].estimate.low)
    assert widths[1] > 0.8 * widths[0]
    rho = [part for part in claims.f5_no_best_network(study, 100, 0).parts if part.statistic == "Spearman's rho"]
    assert all("about" not in part.estimate.needs or "recipes" in part.estimate.needs for part in rho)
    assert any("recipes" in part.estimate.needs for part in rho)


def test_copies_between_seeds_show_how_far_their_mean_may_be_off() -> None:
    world = World(seeds=3)
    models = planted.networks(world)
    study = dataclasses.replace(planted.study(World(images=2, test_images=2)), models=models)
    spread, found = 0.05, []
    for seed in range(12):
        values = np.random.default_rng(seed).normal(0, spread, len(models))
        draws = np.tile(values, (201, 1))  # no image moves it
        own = scores.over_recipes(scores.Named(draws, {"model": list(models.index)}), study, 40, (seed, 1))
        np.testing.assert_allclose(own.values[0, 0], values[:3].mean())
        found.append(own.values[1:].var(axis=0).mean())
    widened = (2.064 / 1.960) ** 2  # Student's quantile at 24 degrees of freedom
    np.testing.assert_allclose(np.mean(found), widened * spread**2 / 3, rtol=0.2)


def test_recipes_are_read_from_the_files_of_networks() -> None:
    ids = [
        f"hard_resnet_{kind}_s{seed}" for kind in ("vanilla", "robust", "advprop1", "advprop5") for seed in (0, 1, 2)
    ]
    facts = frames.distinct(model_facts([*ids, "mini_resnet_vanilla", "mini_resnet_robust", "resnet50_robust"]))
    own = facts.groupby("recipe", sort=False).groups
    assert sorted(len(group) for group in own.values()) == [1, 1, 1, 3, 3, 3, 3]
    assert all(len({name.rpartition("_s")[0] for name in group}) == 1 for group in own.values() if len(group) == 3)
    assert facts.loc["hard_resnet_robust_s1", ["label", "recipe"]].tolist() == ["ResNet-R 2", "hard_resnet_robust_s0"]
    assert facts["label"].is_unique


def test_another_start_or_step_is_another_recipe() -> None:
    record = params.load_params("models", "hard_resnet_robust_s0")
    for change in ({"epsilon": 0.1}, {"initial": "hard_alexnet_vanilla_s0"}, {"steps": 1}):
        assert recipe({**record, "training": {**record["training"], **change}}) != recipe(record)
    again = {**record["training"], "seed": 7, "initial": "hard_resnet_vanilla_s2"}
    assert recipe({**record, "training": again}) == recipe(record)
