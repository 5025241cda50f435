"""Statistics against SciPy and against what is known in closed form."""

import math

import numpy as np
import pytest
from scipy import stats

from xailib.analysis import draws
from xailib.analysis.draws import Array, mean_draws


def alone(values: Array, copies: int = 50) -> Array:
    """Values whose copies are the values themselves."""
    return np.tile(values, (1 + copies, 1))


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("n", [4, 12, 40])
def test_spearman_is_scipys(n: int, ties: bool) -> None:
    random = np.random.default_rng(n)
    x = random.normal(size=n)
    y = 0.6 * x + random.normal(size=n)
    if ties:
        x, y = x.round(0), y.round(0)
    found = draws.spearman(x, y)
    assert found.value == pytest.approx(stats.spearmanr(x, y).statistic, abs=1e-12)


def test_means_skip_nan_and_share_copies() -> None:
    values = np.random.default_rng(6).normal(size=(3, 30))
    holed = values.copy()
    holed[1, :10] = np.nan
    holed[2] = np.nan
    whole, part = mean_draws(values, 200, 7), mean_draws(holed, 200, 7)
    assert whole.shape == (201, 3)
    np.testing.assert_allclose(whole[0], values.mean(axis=1))
    np.testing.assert_array_equal(whole[:, 0], part[:, 0])
    assert np.isfinite(part[:, 1]).all() and np.isnan(part[:, 2]).all()
    # Paired: a constant difference has no spread.
    np.testing.assert_allclose(mean_draws(values + 1.0, 200, 7) - whole, 1.0, atol=1e-12)


def test_ties_up_to_rounding_share_a_rank() -> None:
    """Sums that differ in their last bit are equal: no network is before another by that."""
    values = np.array([0.3, 0.1 + 0.2, 0.9])
    assert values[0] != values[1]
    np.testing.assert_array_equal(draws.ranks(values, axis=0), [2.5, 2.5, 1])


def test_spearman_p_and_interval_are_one_method_near_scipys() -> None:
    random = np.random.default_rng(2)
    for trial in range(60):
        x = random.normal(size=12)
        y = 0.5 * x + random.normal(size=12)
        found = draws.spearman(x, y)
        assert found.p == pytest.approx(stats.spearmanr(x, y).pvalue, abs=0.06), trial
        assert (found.p < 0.05) == (found.low > 0 or found.high < 0) == (abs(found.value) > draws.critical_rho(12))


def test_the_p_of_a_few_pairs_is_that_of_all_orders() -> None:
    """A perfect order of five is one of 120, whatever Fisher's z of it is."""
    for n, p in ((5, 2 / 120), (6, 2 / 720), (8, 2 / 40_320)):
        found = draws.spearman(np.arange(n) * 1.0, np.arange(n) ** 2.0)
        assert found.p == pytest.approx(p) and 0 < found.low < 1 == found.high
    random = np.random.default_rng(3)
    for trial in range(24):
        x, y = random.normal(size=(2, 5 + trial % 2)).round(trial % 3)
        if draws.nanmean(np.abs(x - x.mean()), 0) and draws.nanmean(np.abs(y - y.mean()), 0):
            theirs = stats.permutation_test(
                (x,), lambda x, y=y: stats.spearmanr(x, y).statistic, permutation_type="pairings", n_resamples=np.inf
            )
            assert draws.spearman(x, y).p == pytest.approx(theirs.pvalue), trial


@pytest.mark.parametrize("tests", [1, 4])
def test_p_and_interval_of_a_few_pairs_say_one_thing(tests: int) -> None:
    random, decided = np.random.default_rng(4), 0
    for trial in range(200):
        n = 5 + trial % 4
        x = random.normal(size=n).round(trial % 2)
        found = draws.spearman(x, (trial % 3 - 1) * x + 0.5 * random.normal(size=n), tests)
        assert math.isnan(found.p) or (found.p < 0.05) == (found.low > 0 or found.high < 0), trial
        assert math.isnan(found.p) or found.low <= found.value <= found.high, trial
        decided += found.p < 0.05
    assert decided > 20


def test_critical_rho_of_a_few_pairs_is_the_exact_one() -> None:
    """As tabled for two-sided tests at 5 %."""
    assert [round(draws.critical_rho(n), 3) for n in (5, 6, 7, 8)] == [1.0, 0.886, 0.786, 0.738]
    assert draws.critical_rho(5, 0.01) == draws.critical_rho(6, 0.05 / 66) == math.inf


def test_critical_rho_is_a_little_beyond_the_exact_one() -> None:
    assert draws.critical_rho(12) == pytest.approx(0.611, abs=0.001)  # exact: 0.587
    assert draws.critical_rho(4) == math.inf
    assert draws.critical_rho(100) == pytest.approx(0.198, abs=0.002)
    assert all(draws.critical_rho(n) > draws.critical_rho(n + 1) for n in range(5, 40))


def test_mean_has_students_interval_under_every_seed() -> None:
    values = np.random.default_rng(4).gamma(2, size=40)
    theirs = stats.ttest_1samp(values, 0)
    for seed in (0, 1):
        ours = draws.estimate(mean_draws(values, 100, seed), 40)
        assert (ours.value, ours.n) == (pytest.approx(values.mean()), 40)
        np.testing.assert_allclose((ours.low, ours.high), theirs.confidence_interval(), rtol=1e-9)
        assert ours.p == pytest.approx(theirs.pvalue)


def test_more_images_than_copies_are_dealt_into_groups() -> None:
    values = np.random.default_rng(5).normal(size=(2, 5000))
    found = mean_draws(values, 200, 0)
    np.testing.assert_allclose(found[0], values.mean(axis=1))
    np.testing.assert_allclose(found[1:].std(axis=0), values.std(axis=1) / np.sqrt(5000), rtol=0.25)


def test_same_seed_same_copies_other_seed_other() -> None:
    values = np.random.default_rng(8).normal(size=20)
    first, again, other = (mean_draws(values, 300, seed) for seed in (1, 1, 2))
    assert np.array_equal(first, again) and not np.array_equal(first, other)


def test_mean_over_units_leaves_out_units_without_a_value() -> None:
    values = alone(np.array([0.3, 0.1, np.nan, 0.2, 0.4, 0.25]), 400)
    found, fewer = draws.over_units(values, 24), draws.over_units(values[:, :5], 24)
    assert found.value == pytest.approx(0.25) and found.n == 5 and found.low > 0
    np.testing.assert_allclose(found.p, stats.ttest_1samp([0.3, 0.1, 0.2, 0.4, 0.25], 0).pvalue)
    assert fewer.n == 4 and math.isnan(fewer.low) and fewer.needs == "at least 5 architectures"
    assert math.isnan(draws.over_units(values[:, 2:3], 24).value)


def test_nothing_to_average() -> None:
    assert np.isnan(mean_draws([np.nan], 20, 0)).all() and np.isnan(mean_draws(np.empty((2, 0)), 20, 0)).all()
    assert math.isnan(draws.spearman(np.array([1.0, 2.0]), np.array([2.0, 1.0])).value)
    assert math.isnan(draws.spearman(np.ones(6), np.arange(6.0)).value)
    assert all(map(math.isnan, draws.interval([np.nan])))
