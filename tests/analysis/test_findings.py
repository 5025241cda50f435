"""Findings on studies with planted effects: the verdict must be the planted one, also when it is reversed or absent."""

import dataclasses
import math
from functools import partial

import numpy as np
import pytest
import synthetic

from xailib.analysis import claims, draws, findings, rankings, roar_claims, rules, scores
from xailib.analysis.claims import (
    f1_robust_gradients,
    f2_advprop,
    f3_best_methods,
    f4_confidence,
    f5_no_best_network,
    f6_resnet,
)
from xailib.analysis.intervals import Contrast, Estimate, rank_correlation, smallest
from xailib.analysis.verdicts import Part, part, together

PLANTED = [
    (f1_robust_gradients, {"gradient_gain": 0.3}, "supported"),
    (f1_robust_gradients, {"gradient_gain": 0.0}, "undecided"),
    (f1_robust_gradients, {"gradient_gain": -0.25}, "contradicted"),
    (f1_robust_gradients, {"gradient_gain": 0.3, "cam_gain": 0.3}, "contradicted"),
    (f2_advprop, {"advprop_gain": 0.0}, "supported"),
    (f2_advprop, {"advprop_gain": 0.3}, "contradicted"),
    (f2_advprop, {"advprop_accuracy": -0.2}, "contradicted"),
    (f3_best_methods, {"champions": 0.45, "gradient_gain": 0.0}, "supported"),
    (f3_best_methods, {"champions": 0.0, "gradient_gain": 0.0}, "undecided"),
    (f3_best_methods, {"champions": -0.3, "gradient_gain": 0.3}, "contradicted"),
    (f4_confidence, {"confidence_gap": 0.3}, "supported"),
    (f4_confidence, {"confidence_gap": -0.3}, "contradicted"),
    (f5_no_best_network, {"confidence_gap": 0.0, "gradient_gain": 0.6}, "supported"),
    (
        f5_no_best_network,
        {"accuracy": 0.8, "resnet_gain": 0.3, "gradient_gain": -0.3, "advprop_gain": -0.2, "advprop_accuracy": -0.1},
        "contradicted",
    ),
    (f6_resnet, {"resnet_gain": 0.1}, "supported"),
    (f6_resnet, {"resnet_gain": -0.2}, "contradicted"),
]


@pytest.mark.parametrize(
    ("test", "effects", "verdict"), PLANTED, ids=[f"{t.__name__[:2]}-{v}-{e}" for t, e, v in PLANTED]
)
def test_planted_verdict(test, effects: dict[str, float], verdict: str) -> None:
    found = test(synthetic.study(seed=3, **effects), 400, 0)
    assert found.verdict == verdict, found
    assert found.sentence and "nan" not in found.sentence


def test_a_criterion_that_a_network_lacks_is_no_number() -> None:
    study = synthetic.study(seed=3)
    lacking = (study.accuracy["model"] == "mini_resnet_vanilla") & (study.accuracy["shift"] != "clean")
    found = f2_advprop(dataclasses.replace(study, accuracy=study.accuracy[~lacking]), 100, 0)
    assert "nan" not in found.sentence and "shift accuracy" not in found.sentence and found.verdict != "undecided"


def test_a_claims_words_are_its_tests_docstring() -> None:
    every = {**claims.CLAIMS, **roar_claims.CLAIMS}
    assert list(every) == ["F1", "F2", "F3", "F4", "F5", "F6", "F7", *(f"R{i}" for i in range(1, 11))]
    for id, claim in every.items():
        assert claim.test.__name__.startswith(id.lower()) and claim.test.__doc__.startswith(f"{id}: {claim.text[:20]}")
        assert claim.text.endswith(".") and "Supported: " in claim.rule and "{" not in claim.rule + claim.text
    assert "not more than 0.02 below" in every["F2"].rule and "not more than 0.05 above" in every["F2"].rule
    assert "above minus 2 points" in every["R3"].rule and "above 10 points" in every["R5"].rule


def test_planted_sizes_are_recovered(study) -> None:
    parts = {part.name: part.estimate for part in f1_robust_gradients(study, 600, 0).parts}
    gain = parts["gradient methods"]
    assert gain.low < 0.3 < gain.high and gain.n == 5 and gain.p < 0.05
    assert parts["CAM methods"].low < 0 < parts["CAM methods"].high


def test_a_null_study_supports_nothing_directional() -> None:
    """Without any effect, F1, F3, F4 and F6 must hardly ever be supported: the intervals mean what they say."""
    wrong = 0
    for seed in range(3):
        null = synthetic.study(
            seed,
            images=24,
            gradient_gain=0,
            champions=0,
            confidence_gap=0,
            resnet_gain=0,
            robust_cost=0,
            architectures=synthetic.ARCHITECTURES,
        )
        for test in (f1_robust_gradients, f3_best_methods, f4_confidence, f6_resnet):
            wrong += test(null, 200, seed).verdict == rules.SUPPORTED
    assert wrong <= 1


def test_small_study_says_what_is_missing(small) -> None:
    table = findings.examine(small, 100, 0)
    headlines = table[table["part"] == "headline"].set_index("finding")
    assert list(headlines.index) == ["F1", "F2", "F3", "F4", "F5", "F6"]
    for name in ("F1", "F2", "F4", "F6"):
        assert headlines.loc[name, "verdict"] == "undecided"
        assert "needs" in headlines.loc[name, "sentence"]
    assert "robust twins" in headlines.loc["F1", "sentence"]


def test_one_pair_of_twins_is_undecided() -> None:
    frames = synthetic.study(architectures=("mini_resnet",))
    found = f1_robust_gradients(frames, 100, 0)
    assert found.verdict == "undecided" and np.isnan(found.parts[0].estimate.low)


def test_no_images_left(study) -> None:
    wrong = study.predictions.assign(correct=False)
    empty = dataclasses.replace(study, predictions=wrong).only_correct()
    table = findings.examine(empty, 100, 0)
    assert set(table["verdict"]) == {"undecided"}
    findings.headlines(table)._repr_html_()
    findings.parts(table)._repr_html_()


def test_same_seed_same_table(study) -> None:
    first = findings.examine(study, 200, 5)
    scores.means.cache_clear()
    rankings.rank_draws.cache_clear()
    assert first.equals(findings.examine(study, 200, 5))


def test_ranks_share_ties_and_stretch_missing() -> None:
    values = np.array([[0.9], [0.5], [0.5], [0.1], [np.nan]])
    np.testing.assert_allclose(draws.ranks(values, axis=0)[:, 0], [1, 1 + 1.5 * 4 / 3, 1 + 1.5 * 4 / 3, 5, np.nan])


def test_goodness_turns_lower_is_better_round(study) -> None:
    metrics = list(study.metrics.index)
    good = scores.goodness(scores.Named(np.full((len(metrics), 1), 0.2), {"metric": metrics, "image": ["a"]}), study)
    np.testing.assert_allclose(good.values[:, 0], [0.2, 0.2, 0.8, 0.2])


@pytest.mark.parametrize(
    ("estimate", "above", "not_above"),
    [
        (Estimate(0.3, 0.1, 0.5, 5), "supported", "contradicted"),
        (Estimate(-0.3, -0.5, -0.1, 5), "contradicted", "supported"),
        (Estimate(0.0, -0.2, 0.2, 5), "undecided", "undecided"),
        (Estimate(0.0, -0.02, 0.02, 5), "undecided", "equivalent"),
        (Estimate(0.03, 0.01, 0.06, 5), "supported", "undecided"),  # a gain, but perhaps one that counts as none
        (Estimate(0.02, 0.0, 0.04, 5), "undecided", "equivalent"),  # a bound at zero is not beyond it
        (Estimate(0.3), "undecided", "undecided"),
    ],
)
def test_verdict_rules(estimate: Estimate, above: str, not_above: str) -> None:
    assert rules.above(estimate) == above
    assert rules.not_above(estimate, 0.05) == not_above


@pytest.mark.parametrize(
    ("rule", "value", "half"),
    [
        (partial(rules.above, margin=0.02), -0.003, 0.05),  # equivalent long before zero is outside
        (partial(rules.not_below, margin=0.02), 0.002, 0.04),
        (partial(rules.not_below, margin=0.02), -0.026, 0.03),
        (partial(rules.not_above, margin=0.05), 0.01, 0.07),
        (partial(rules.above, least=0.10), 0.12, 0.15),  # zero is outside long before
        (partial(rules.above, least=0.10), -0.05, 0.08),
        (rules.above, 0.03, 0.05),
        (rules.below, 0.03, 0.05),
    ],
)
def test_as_much_more_as_an_open_number_asks_for_decides_it(rule: rules.Rule, value: float, half: float) -> None:
    """So many times as much of all data, or of images alone, at the same number; a tenth less leaves it open."""

    def found(images: float, trainings: float) -> Part:
        shares = {"images": (600, 0.9 * variance * images), "trainings": (3, 0.1 * variance * trainings)}
        lead = Contrast(value, sum(share for _, share in shares.values()), sources=shares)
        return part("", "", smallest([lead], 600, 3), "images", rule, lead)

    variance = (half / 1.96) ** 2
    told = found(1, 1).estimate.needs
    assert found(1, 1).verdict == "undecided" and told.startswith("about ")
    many = float(told.split()[1].replace(",", ""))
    alone = "times as many" not in told
    many = many / 600 if alone else many
    words = [found(1 / times, 1 if alone else 1 / times).verdict for times in (0.9 * many, 1.01 * many)]
    assert words[0] == "undecided" != words[1], (told, words)


def test_a_gain_needs_more_of_all_that_its_interval_is_over() -> None:
    """Images bring nearly all of the variance, so that architectures alone narrow nothing."""

    def contrast(draws: np.ndarray) -> Contrast:
        sources = {"architectures": (5, 1e-6), "images": (24, 9e-4)}
        return Contrast(float(draws[0, 0]), 9e-4, sources=sources)

    gains = {name: np.full((2, 5), value) for name, value in (("gradient", 0.2), ("cam", 0.01))}
    (_, cam, _), own = claims.gradients_only(gains, contrast, draws.measured, "gain", "architectures")[1], 0.04
    images = int(cam.estimate.needs.removeprefix("about ").removesuffix(" images, if the number stays"))
    assert cam.verdict == "undecided" and images == math.ceil(24 * 9e-4 / (own / 1.96) ** 2)


def test_correlation_verdict_and_p_are_one() -> None:
    for rho, verdict in ((0.60, "undecided"), (0.62, "supported"), (-0.62, "contradicted")):
        found = rank_correlation(rho, 12)
        assert rules.above(found) == verdict and (found.p < 0.05) == (verdict != "undecided")
    assert rules.above(rank_correlation(0.9, 4)) == "undecided"


def test_a_nil_makes_the_whole_nil_unless_nil_is_claimed() -> None:
    parts = [Part("", "", Estimate(0.0), "", word) for word in ("supported", "equivalent", "undecided", "")]
    assert together(parts[:2]) == together(parts[:3]) == "equivalent"
    assert together(parts[:2], "supported") == "supported" and together(parts[:3], "supported") == "undecided"
    assert together([*parts, Part("", "", Estimate(0.0), "", "contradicted")]) == "contradicted"
    assert together(parts[3:]) == "undecided"
