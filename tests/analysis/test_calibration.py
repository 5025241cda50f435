"""Verdicts on worlds with planted truth: wrong words are rare, right ones frequent. The long form is a benchmark."""

import numpy as np
import planted
import pytest
import roar_synthetic
from planted import World

from xailib.analysis import claims, findings, rankings, roar_claims, rules
from xailib.analysis.roar_curves import curves

STUDIES = 24  # a rule that is wrong in every twentieth study is so four times in 24 once in forty tries
MOST = 4


def words(claim: str, world: object, studies: int = STUDIES) -> list[str]:
    """The verdicts on one claim over studies of one world."""
    if claim in claims.CLAIMS:
        return [claims.CLAIMS[claim].test(planted.study(world, seed), 100, seed).verdict for seed in range(studies)]
    shape = planted.SHAPE | {"images": 150}
    drawn = [curves(roar_synthetic.study(seed, **{**shape, **world}), 300, seed) for seed in range(studies)]
    return [roar_claims.CLAIMS[claim].test(one).verdict for one in drawn]


@pytest.mark.parametrize("claim", claims.CLAIMS)
def test_no_finding_comes_from_nothing(claim: str) -> None:
    world, wrong = planted.WORLDS[claim]["null"]
    found = words(claim, world)
    assert sum(word in wrong for word in found) <= MOST, found


def test_no_claim_of_roar_comes_from_nothing() -> None:
    """One null study serves all claims at once."""
    wrong = dict.fromkeys(roar_claims.CLAIMS, 0)
    for seed in range(STUDIES // 2):
        found = curves(roar_synthetic.study(seed, **planted.NOTHING | {"images": 150}), 300, seed)
        for claim, test in roar_claims.CLAIMS.items():
            wrong[claim] += test.test(found).verdict in planted.ROAR_WORLDS[claim]["null"][1]
    assert max(wrong.values()) <= 3, wrong


@pytest.mark.parametrize(
    ("claim", "name", "word"),
    [
        ("F1", "true", "supported"),
        ("F3", "true, 150 images", "supported"),
        ("F5", "false", "contradicted"),
        ("F7", "true", "supported"),
        ("F7", "false", "contradicted"),
    ],
)
def test_what_is_true_by_a_margin_is_mostly_found(claim: str, name: str, word: str) -> None:
    world, wrong = planted.WORLDS[claim][name]
    found = words(claim, world, 10)
    assert found.count(word) >= 7 and not set(found) & set(wrong), found


def test_the_verdict_is_the_same_under_every_seed_of_the_bootstrap() -> None:
    frames = planted.study(World(gains={("robust", "gradient"): 0.09}), 1)
    first, second = (findings.examine(frames, 150, seed).set_index(["finding", "part"]) for seed in (0, 1))
    linear = [id for id in first.index if id[0] in ("F1", "F2", "F4", "F5")]
    for name in ("value", "low", "high", "p"):
        assert (first.loc[linear, name] - second.loc[linear, name]).abs().max() < 1e-9
    assert first["verdict"].equals(second["verdict"])


def test_mean_ranks_of_equals_are_inside_their_intervals() -> None:
    """Nine methods that are all alike: the mean rank of each is 5; in the figure of ranks as among the parts of F3."""
    held = []
    for seed in range(20):
        study = planted.study(World(), 2000 + seed)
        shown = rankings.method_ranks(study, 100, 0).query("metric == 'all'")
        held += list((shown["low"] <= 5) & (shown["high"] >= 5))
    parts = [part.estimate for part in claims.f3_best_methods(study, 100, 0).parts if "mean rank of" in part.name]
    np.testing.assert_allclose([(one.low, one.high) for one in parts], shown[["low", "high"]])
    assert np.mean(held) > 0.95, np.mean(held)


def test_seeds_of_an_architecture_are_no_further_architectures() -> None:
    found = claims.f1_robust_gradients(planted.study(World(seeds=3, gains={("robust", "gradient"): 0.09})), 100, 0)
    assert found.parts[0].estimate.n == 5


def test_what_is_undecided_says_what_would_decide_it() -> None:
    table = findings.examine(planted.study(World(), 3), 100, 0)
    for row in table[table["part"] == "headline"].itertuples():
        assert (row.verdict != rules.UNDECIDED) or "about" in row.needs or "more" in row.needs, row


def test_one_training_a_ranking_decides_nothing() -> None:
    """How much trainings differ is then not known: numbers without intervals, and a sentence on what is missing."""
    table = findings.examine_roar(curves(roar_synthetic.study(seeds=1, **planted.NOISY), 100, 0))
    heads = table[table["part"] == "headline"]
    assert set(heads["verdict"]) == {"undecided"}
    assert heads["needs"].str.contains("two trainings").all()


@pytest.mark.parametrize(
    ("world", "lacking"),
    [
        (World(images=1), "at least two"),
        (World(architectures=("resnet",)), "at least 5 architectures"),
        (World(architectures=("alexnet",)), "at least 5"),
    ],
    ids=["one image", "one architecture", "two networks"],
)
def test_too_little_gets_a_sentence_and_no_verdict(world: World, lacking: str) -> None:
    table = findings.examine(planted.study(world, 2), 100, 0)
    heads = table[table["part"] == "headline"].set_index("finding")
    assert set(heads.loc[["F1", "F3", "F4", "F6"], "verdict"]) == {"undecided"}
    told = heads["needs"] + heads["sentence"]
    assert told[["F1", "F3", "F4"]].str.contains(lacking).any() and not told.str.contains("nan").any(), told.tolist()
    assert all(row.needs or "needs" in row.sentence for row in heads.loc[["F1", "F3", "F4", "F6"]].itertuples())


def test_explained_networks_that_differ_decide_nothing_unless_one_is_taken_for_all() -> None:
    """Two networks share out two trainings, or both trainings go by the rankings of one."""
    wrong = {world: dict.fromkeys(roar_claims.CLAIMS, 0) for world in planted.NULLS}
    for world, counts in wrong.items():
        for seed in range(STUDIES // 2):
            found = curves(roar_synthetic.study(seed, **planted.NULLS[world] | {"images": 150}), 500, seed)
            for claim, test in roar_claims.CLAIMS.items():
                counts[claim] += test.test(found).verdict in planted.ROAR_WORLDS[claim]["null"][1]
    assert max(wrong[planted.DIFFER].values()) <= 2 and sum(wrong[planted.TAKEN].values()) > 10, wrong
