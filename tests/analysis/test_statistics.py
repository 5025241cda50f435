"""Statistics against SciPy and against what is known in closed form."""

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from xailib.analysis import statistics


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("n", [4, 12, 40])
def test_spearman_is_scipys(n: int, ties: bool) -> None:
    random = np.random.default_rng(n)
    x = random.normal(size=n)
    y = 0.6 * x + random.normal(size=n)
    if ties:
        x, y = x.round(0), y.round(0)
    assert statistics.spearman(x, y, 50).value == pytest.approx(stats.spearmanr(x, y).statistic, abs=1e-12)


def test_spearman_p_is_the_exact_permutation_p() -> None:
    random = np.random.default_rng(1)
    x, y = random.normal(size=(2, 6))
    found = stats.permutation_test(
        (x,), lambda part: stats.spearmanr(part, y).statistic, permutation_type="pairings", n_resamples=np.inf
    )
    assert statistics.spearman_p(x, y) == pytest.approx(found.pvalue, abs=1e-12)


def test_spearman_p_by_shuffles_is_near_scipys_for_twelve() -> None:
    random = np.random.default_rng(2)
    x = random.normal(size=12)
    y = x + random.normal(size=12)
    assert statistics.spearman_p(x, y) == pytest.approx(stats.spearmanr(x, y).pvalue, abs=0.01)


def test_spearman_interval_holds_the_uncertainty_of_the_values() -> None:
    random = np.random.default_rng(3)
    x = np.linspace(0, 1, 12)
    y = x + random.normal(scale=0.2, size=12)
    sharp = statistics.spearman(x, y, 1000)
    noisy = statistics.spearman(np.vstack([x, x + random.normal(scale=0.5, size=(1000, 12))]), y, 1000)
    assert noisy.value == sharp.value
    assert noisy.low < sharp.low


@pytest.mark.parametrize("n", range(5, 9))
def test_critical_rho_is_exact(n: int) -> None:
    ranks = np.arange(n) - (n - 1) / 2
    rho = np.array([np.dot(ranks, order) for order in itertools.permutations(ranks)]) / (ranks @ ranks)
    values = np.unique(rho.round(9))
    significant = [value for value in values if value > 0 and (np.abs(rho) >= value - 1e-9).mean() <= 0.05]
    assert statistics.critical_rho(n) == pytest.approx(min(significant), abs=6e-4)


def test_critical_rho_for_twelve_networks_and_beyond() -> None:
    assert statistics.critical_rho(12) == 0.587
    assert statistics.critical_rho(4) == math.inf
    assert statistics.critical_rho(100) == pytest.approx(0.197, abs=0.002)
    assert all(statistics.critical_rho(n) > statistics.critical_rho(n + 1) for n in range(5, 40))


def test_mean_interval_is_scipys_percentile_bootstrap() -> None:
    values = np.random.default_rng(4).gamma(2, size=40)
    ours = statistics.mean(values, resamples=9000)
    theirs = stats.bootstrap((values,), np.mean, method="percentile", n_resamples=9000, rng=0).confidence_interval
    assert ours.low == pytest.approx(theirs.low, abs=0.03)
    assert ours.high == pytest.approx(theirs.high, abs=0.03)


@pytest.mark.parametrize(("units", "method", "least"), [(5, "t", 0.93), (12, "percentile", 0.92)])
def test_intervals_over_few_units_hold_the_truth(units: int, method: str, least: float) -> None:
    """In 400 samples of a few normal values, the interval must hold the true mean about as often as it says."""
    random, hits = np.random.default_rng(5), 0
    for trial in range(400):
        values = random.normal(size=units)
        samples = statistics.resampled_means(values, 500, trial)
        wide = statistics.interval(samples, units=units)
        low, high = statistics.t_interval(values.mean(), samples, units) if method == "t" else wide
        hits += low <= 0 <= high
    assert least < hits / 400 < 0.985


def test_t_interval_is_students() -> None:
    values = np.random.default_rng(6).normal(size=5)
    ours = statistics.t_interval(values.mean(), statistics.resampled_means(values, 20_000, 0), 5)
    theirs = stats.ttest_1samp(values, 0).confidence_interval()
    np.testing.assert_allclose(ours, theirs, rtol=0.03)


def test_resampled_means_skip_nan_and_share_copies() -> None:
    values = np.random.default_rng(6).normal(size=(3, 30))
    holed = values.copy()
    holed[1, :10] = np.nan
    holed[2] = np.nan
    whole, part = statistics.resampled_means(values, 200, 7), statistics.resampled_means(holed, 200, 7)
    assert whole.shape == (200, 3)
    np.testing.assert_array_equal(whole[:, 0], part[:, 0])
    assert np.isfinite(part[:, 1]).all() and np.isnan(part[:, 2]).all()
    # Paired: a constant difference has no spread.
    shifted = statistics.resampled_means(values + 1.0, 200, 7) - whole
    np.testing.assert_allclose(shifted, 1.0, atol=1e-12)


def test_same_seed_same_interval_other_seed_other() -> None:
    values = np.random.default_rng(8).normal(size=20)
    assert statistics.mean(values, 300, 1) == statistics.mean(values, 300, 1)
    assert statistics.mean(values, 300, 1) != statistics.mean(values, 300, 2)


def test_sign_flips_are_scipys_exact_test() -> None:
    differences = np.array([0.3, 0.1, -0.05, 0.2, 0.4, 0.15])
    found = stats.permutation_test(
        (differences, np.zeros(6)), lambda a, b: np.mean(a - b), permutation_type="samples", n_resamples=np.inf
    )
    assert statistics.sign_flip_p(differences) == pytest.approx(found.pvalue, abs=1e-12)
    assert statistics.sign_flip_p([1, 2, 3, 4, 5]) == 2 / 32
    assert math.isnan(statistics.sign_flip_p([]))


def test_paired_difference_leaves_out_pairs_with_nan() -> None:
    found = statistics.paired_difference([1.0, 2.0, np.nan, 4.0], [0.0, 1.0, 5.0, np.nan], 100)
    assert (found.value, found.n) == (1.0, 2)


def test_nothing_to_average() -> None:
    assert math.isnan(statistics.mean([np.nan]).value)
    assert math.isnan(statistics.spearman([1, 2], [2, 1]).value)
    assert all(map(math.isnan, statistics.interval([np.nan])))
    assert all(map(math.isnan, statistics.interval([1.0, 2.0], units=1)))
