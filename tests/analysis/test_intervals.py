"""Intervals and tests against SciPy, against analysis of variance by hand, and against planted truth."""

import math

import numpy as np
import pytest
from scipy import stats

from xailib.analysis import intervals
from xailib.analysis.draws import mean_draws
from xailib.analysis.intervals import Contrast


def planted(random, units: int, images: int, own: float, shared: float, both: float) -> np.ndarray:
    """Measurements `(units, images)` of mean zero, with effects of units, of images and of both."""
    noise = own * random.normal(size=(units, 1)) + shared * random.normal(size=(1, images))
    return noise + both * random.normal(size=(units, images))


@pytest.mark.parametrize("copies", [60, 400])
def test_crossed_variance_is_that_of_the_two_way_analysis(copies: int) -> None:
    """By mean squares: V = (MS units + MS images - MS both) / (units x images), whatever the seed."""
    values = planted(np.random.default_rng(0), 5, 24, 0.2, 0.2, 0.3)
    a, n = values.shape
    rows, columns = values.mean(axis=1), values.mean(axis=0)
    left = values - rows[:, None] - columns + values.mean()
    squares = n * rows.var(ddof=1), a * columns.var(ddof=1), (left**2).sum() / ((a - 1) * (n - 1))
    for seed in (0, 1):
        found = intervals.crossed(mean_draws(values, copies, seed), n)
        assert found.value == pytest.approx(values.mean())
        assert found.variance == pytest.approx((squares[0] + squares[1] - squares[2]) / (a * n), rel=1e-6)
        parts = squares[0] ** 2 / (a - 1) + squares[1] ** 2 / (n - 1) + squares[2] ** 2 / ((a - 1) * (n - 1))
        assert found.df == pytest.approx((squares[0] + squares[1] - squares[2]) ** 2 / parts, rel=1e-6)


@pytest.mark.parametrize(
    ("own", "shared", "both"), [(0.04, 0.05, 0.3), (0.1, 0.1, 0.2), (0.0, 0.3, 0.1), (0.1, 0.0, 0.1), (0.0, 0.0, 0.3)]
)
def test_crossed_intervals_hold_the_truth_and_are_no_wider_than_that(own: float, shared: float, both: float) -> None:
    """A double bootstrap holds it in 99.9 % of these studies, 1.8 times too wide."""
    random, held = np.random.default_rng(1), 0
    for _ in range(400):
        found = intervals.crossed(mean_draws(planted(random, 5, 24, own, shared, both), 40, 0), 24)
        held += abs(found.value) <= found.half()
    assert held / 400 > 0.925
    if min(own, shared) >= 0.1:
        assert held / 400 < 0.975


def test_more_of_what_is_asked_for_decides() -> None:
    """The part of the variance that images bring, at so many of them: the interval must then end at zero."""
    contrast = Contrast(0.05, 0.001, math.inf, {"images": (24, 0.0006), "architectures": (5, 0.0008)})
    assert contrast.needs() == "about 58 images or 9 architectures, if the number stays"
    least = (contrast.value / intervals.quantile(math.inf)) ** 2
    assert 0.0004 + 0.0006 * 24 / 58 <= least < 0.0004 + 0.0006 * 24 / 57
    assert (
        Contrast(0.05, 0.001, 4.0, contrast.sources).needs()
        == "about 95 images or 13 architectures, if the number stays"
    )
    assert Contrast(0.01, 0.001, 10.0, contrast.sources).needs() == (
        "about 38.7 times as many images and architectures, if the number stays"
    )
    assert not Contrast(0.0, 0.001, 10.0, contrast.sources).needs()


def test_smallest_lead_is_above_zero_when_all_are_and_below_when_any_is() -> None:
    ahead, even, behind = (Contrast(value, 1.0) for value in (3.0, 0.5, -2.4))
    assert intervals.smallest([ahead, ahead], 9).low == pytest.approx(3 - 1.96, abs=0.001)
    assert intervals.smallest([ahead, even], 9).low < 0 < intervals.smallest([ahead, even], 9).high
    alone, among = intervals.smallest([behind], 9), intervals.smallest([ahead, ahead, ahead, behind], 9)
    assert alone.high < 0 < among.high, "one of four needs more"
    assert among.value == -2.4 and among.low == alone.low


def test_p_is_below_5_percent_where_the_interval_leaves_zero_out() -> None:
    random = np.random.default_rng(3)
    for _ in range(300):
        leads = [Contrast(value, 1.0, 9.0) for value in random.normal(1, 2, size=3)]
        rows = [[Contrast(value, 1.0, 9.0) for value in row] for row in random.normal(0, 2.5, size=(3, 4))]
        theirs, ours = random.normal(0, 4, size=(2, 3))
        pairs = [[Contrast(a - b, 1.0, 9.0) for b in theirs] for a in ours]
        for found in (
            intervals.smallest(leads, 3), intervals.largest(leads, 3), intervals.smallest(leads, 3, tests=9),
            intervals.largest_smallest(rows, 3), intervals.best_beside(pairs, 3),
        ):  # fmt: skip
            assert (found.p < 0.05) == (found.low > 0 or found.high < 0) and found.low <= found.value <= found.high


@pytest.mark.parametrize("kind", ["smallest", "largest_smallest", "best_beside", "spread"])
def test_extremes_of_equals_are_seldom_called_different(kind: str) -> None:
    """Six numbers that are all the same: an extreme of their differences must not pass for an effect."""
    random, wrong = np.random.default_rng(4), 0
    for _ in range(1000):
        values = random.normal(size=6)
        pairs = [[Contrast(a - b, 2.0) for j, b in enumerate(values) if i != j] for i, a in enumerate(values)]
        if kind == "smallest":
            found = intervals.smallest([Contrast(values[0] - other, 2.0) for other in values[1:]], 6)
        elif kind == "largest_smallest":
            found = intervals.largest_smallest(pairs, 6)
        elif kind == "best_beside":
            found = intervals.best_beside([[Contrast(a - b, 2.0) for b in values[:3]] for a in values[3:]], 6)
        else:
            _, low, _ = intervals.spread([pair for row in pairs for pair in row])
            wrong += low > 0
            continue
        wrong += found.low > 0 or found.high < 0
    assert wrong <= 65, wrong


def test_unknown_variance_gives_the_number_alone() -> None:
    unknown = [Contrast(0.2), Contrast(0.1)]
    for found in (
        intervals.smallest(unknown, 5), intervals.largest_smallest([unknown, unknown], 5),
        intervals.best_beside([unknown, unknown], 5),
    ):  # fmt: skip
        assert found.value == pytest.approx(0.1) and math.isnan(found.low) and math.isnan(found.p)


def test_multipliers_have_exact_moments_and_further_ones_are_not_correlated() -> None:
    first = intervals.multipliers(100, 30, (0, 1))
    second = intervals.beside(first, 20, (0, 2))
    together = np.hstack([first, second])
    np.testing.assert_allclose(together.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(together.T @ together / 100, np.eye(50), atol=1e-12)
    assert not np.allclose(intervals.multipliers(100, 30, (0, 2)), first)


def test_false_discovery_is_scipys() -> None:
    p = np.random.default_rng(6).uniform(size=20) ** 3
    np.testing.assert_allclose(intervals.false_discovery(p), stats.false_discovery_control(p))
    holed = intervals.false_discovery([np.nan, *p])
    assert math.isnan(holed[0]) and holed[1:] == pytest.approx(stats.false_discovery_control(p))
    assert not len(intervals.false_discovery([]))


def test_an_interval_is_narrowed_by_more_of_what_it_rests_on() -> None:
    """To 80 % of its width the variance must fall from 4 to 2.56: by images alone (3 of it), or by both together."""
    contrast = Contrast(1.0, 4.0, sources={"images": (100, 3.0), "trainings": (2, 1.0)})
    assert contrast.narrowed(0.8) == "about 193 images, if the number stays"
    assert contrast.narrowed(0.4) == "about 6.2 times as many images and trainings, if the number stays"
    assert contrast.needs() == "about 15.4 times as many images and trainings, if the number stays"


@pytest.mark.parametrize("rho", [0.3, 0.5, -0.45])
def test_a_rank_correlation_says_how_many_networks_would_decide_it(rho: float) -> None:
    """As many as it says exclude zero at this correlation, and one fewer does not."""
    found = intervals.rank_correlation(rho, 12)
    assert found.low < 0 < found.high
    enough = int(found.needs.removeprefix("about ").split(" networks")[0].replace(",", ""))
    decided = [intervals.rank_correlation(rho, n) for n in (enough - 1, enough)]
    assert [one.low > 0 or one.high < 0 for one in decided] == [False, True]
