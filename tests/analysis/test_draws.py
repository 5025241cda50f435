"""Statistics against SciPy and against what is known in closed form."""

import itertools
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
    assert draws.spearman(alone(x), alone(y)).value == pytest.approx(stats.spearmanr(x, y).statistic, abs=1e-12)


def test_spearman_p_is_the_exact_permutation_p() -> None:
    random = np.random.default_rng(1)
    x, y = random.normal(size=(2, 6))
    found = stats.permutation_test(
        (x,), lambda part: stats.spearmanr(part, y).statistic, permutation_type="pairings", n_resamples=np.inf
    )
    assert draws.spearman_p(x, y) == pytest.approx(found.pvalue, abs=1e-12)


def test_spearman_p_by_shuffles_is_near_scipys_for_twelve() -> None:
    random = np.random.default_rng(2)
    x = random.normal(size=12)
    y = x + random.normal(size=12)
    assert draws.spearman_p(x, y) == pytest.approx(stats.spearmanr(x, y).pvalue, abs=0.01)


def test_spearman_interval_holds_the_uncertainty_of_the_values() -> None:
    random = np.random.default_rng(3)
    x = np.linspace(0, 1, 12)
    y = x + random.normal(scale=0.2, size=12)
    sharp = draws.spearman(alone(x, 1000), alone(y, 1000))
    noisy = draws.spearman(np.vstack([x, x + random.normal(scale=0.5, size=(1000, 12))]), alone(y, 1000))
    assert noisy.value == sharp.value
    assert noisy.low < sharp.low


@pytest.mark.parametrize("n", range(5, 9))
def test_critical_rho_is_exact(n: int) -> None:
    ranks = np.arange(n) - (n - 1) / 2
    rho = np.array([np.dot(ranks, order) for order in itertools.permutations(ranks)]) / (ranks @ ranks)
    values = np.unique(rho.round(9))
    significant = [value for value in values if value > 0 and (np.abs(rho) >= value - 1e-9).mean() <= 0.05]
    assert draws.critical_rho(n) == pytest.approx(min(significant), abs=6e-4)


def test_critical_rho_for_twelve_networks_and_beyond() -> None:
    assert draws.critical_rho(12) == 0.587
    assert draws.critical_rho(4) == math.inf
    assert draws.critical_rho(100) == pytest.approx(0.197, abs=0.002)
    assert all(draws.critical_rho(n) > draws.critical_rho(n + 1) for n in range(5, 40))


def test_mean_interval_is_scipys_percentile_bootstrap() -> None:
    values = np.random.default_rng(4).gamma(2, size=40)
    ours = draws.estimate(mean_draws(values, 9000, 0), 40)
    assert (ours.value, ours.n) == (pytest.approx(values.mean()), 40)
    theirs = stats.bootstrap((values,), np.mean, method="percentile", n_resamples=9000, rng=0).confidence_interval
    assert ours.low == pytest.approx(theirs.low, abs=0.03)
    assert ours.high == pytest.approx(theirs.high, abs=0.03)


@pytest.mark.parametrize(("units", "method", "least"), [(5, "t", 0.93), (12, "percentile", 0.92)])
def test_intervals_over_few_units_hold_the_truth(units: int, method: str, least: float) -> None:
    """In 400 samples of a few normal values, the interval must hold the true mean about as often as it says."""
    random, hits = np.random.default_rng(5), 0
    for trial in range(400):
        values = random.normal(size=units)
        found = mean_draws(values, 500, trial)
        wide = draws.interval(found[1:], units=units)
        low, high = draws.t_interval(found[0], found[1:], units) if method == "t" else wide
        hits += low <= 0 <= high
    assert least < hits / 400 < 0.985


def test_t_interval_is_students() -> None:
    values = np.random.default_rng(6).normal(size=5)
    ours = draws.t_interval(values.mean(), mean_draws(values, 20_000, 0)[1:], 5)
    theirs = stats.ttest_1samp(values, 0).confidence_interval()
    np.testing.assert_allclose(ours, theirs, rtol=0.03)


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


def test_same_seed_same_interval_other_seed_other() -> None:
    values = np.random.default_rng(8).normal(size=20)
    first, again, other = (draws.estimate(mean_draws(values, 300, seed), 20) for seed in (1, 1, 2))
    assert first == again != other


def test_units_are_drawn_anew_in_the_copies_alone() -> None:
    values = np.random.default_rng(9).normal(size=(101, 6, 2))
    found = draws.redrawn(values, 0)
    np.testing.assert_array_equal(found[0], values[0])
    assert not np.array_equal(found, values)
    assert all(np.isin(found[i, :, 0], values[i, :, 0]).all() for i in range(101))


def test_mean_over_units_leaves_out_units_without_a_value() -> None:
    values = alone(np.array([0.3, 0.1, np.nan, 0.2, 0.4, 0.25]), 400)
    found, fewer = draws.over_units(values, 0), draws.over_units(values[:, :5], 0)
    assert found.value == pytest.approx(0.25) and found.n == 5 and found.p == 2 / 32 and found.low > 0
    assert fewer.n == 4 and math.isnan(fewer.low) and fewer.p == 2 / 16
    assert math.isnan(draws.over_units(values[:, 2:3], 0).value)


def test_ties_up_to_rounding_share_a_rank() -> None:
    """Sums that differ in their last bit are equal: no network is before another by that."""
    values = np.array([0.3, 0.1 + 0.2, 0.9])
    assert values[0] != values[1]
    np.testing.assert_array_equal(draws.ranks(values, axis=0), [2.5, 2.5, 1])


def test_sign_flips_are_scipys_exact_test() -> None:
    differences = np.array([0.3, 0.1, -0.05, 0.2, 0.4, 0.15])
    found = stats.permutation_test(
        (differences, np.zeros(6)), lambda a, b: np.mean(a - b), permutation_type="samples", n_resamples=np.inf
    )
    assert draws.sign_flip_p(differences) == pytest.approx(found.pvalue, abs=1e-12)
    assert draws.sign_flip_p([1, 2, 3, 4, 5]) == 2 / 32
    assert math.isnan(draws.sign_flip_p([]))


def test_nothing_to_average() -> None:
    assert np.isnan(mean_draws([np.nan], 20, 0)).all() and np.isnan(mean_draws(np.empty((2, 0)), 20, 0)).all()
    assert math.isnan(draws.spearman(alone(np.array([1.0, 2.0])), alone(np.array([2.0, 1.0]))).value)
    assert all(map(math.isnan, draws.interval([np.nan])))
    assert all(map(math.isnan, draws.interval([1.0, 2.0], units=1)))
