"""Numbers as draws, and what is read off them: intervals, ranks, Spearman's rho, permutation p values.

Draws `(1 + copies, ...)` hold the observed numbers first and their bootstrap copies after them, so that any difference,
mean or rank of draws has its interval too. Claims here rest on few networks (five architectures, twelve networks) and
tens of images. So networks and images are both resampled, and intervals over few units are widened as Hesterberg (2015,
The American Statistician 69:371) advises.
"""

import itertools
import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr, stdtrit

Array = NDArray[np.float64]

FEWEST_UNITS = 5  # fewer than this, and chance would make all of them agree more than once in twenty
TIE = 1e-9  # differences up to this are rounding: GradCAM and CAM can be the same map
# Two-sided 5 % critical values of Spearman's rho, exact up to n = 16 (Ramsey 1989, J. Educational Statistics 14:245).
_CRITICAL = [1.000, 0.886, 0.786, 0.738, 0.700, 0.648, 0.618, 0.587, 0.560, 0.538, 0.521, 0.503]
_EXACT_PERMUTATIONS = 50_000


@dataclass(frozen=True)
class Estimate:
    """A number with its 95 % interval, the number of units behind it and, where there is one, a p value."""

    value: float
    low: float = math.nan
    high: float = math.nan
    n: int = 0
    p: float = math.nan


def nanmean(values: Array, axis: int | tuple[int, ...]) -> Array:
    """Mean over the values that are not NaN; NaN, without a warning, where there is none."""
    known = np.isfinite(values)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(known, values, 0.0).sum(axis=axis) / known.sum(axis=axis)


def mean_draws(values: ArrayLike, copies: int, seed: int) -> Array:
    """Return draws `(1 + copies, ...)` of the means of `values` `(..., n)` over bootstrap copies of the last axis.

    NaN values are left out of their mean; a mean of nothing is NaN. Arrays with the same `n` and seed meet the same
    copies, so differences of their means are paired.
    """
    values = np.asarray(values, float)
    n = values.shape[-1]
    if n == 0:
        return np.full((1 + copies, *values.shape[:-1]), np.nan)
    flat = values.reshape(-1, n)
    known = np.isfinite(flat)
    filled, weights = np.where(known, flat, 0.0), known.T.astype(float)
    random, chunk = np.random.default_rng([seed, n]), max(1, 4_000_000 // n)  # 32 MB of counts
    with np.errstate(invalid="ignore", divide="ignore"):
        draws = [filled.sum(axis=1)[None] / known.sum(axis=1)]
        for start in range(0, copies, chunk):
            indices = random.integers(n, size=(min(chunk, copies - start), n))
            counts = np.apply_along_axis(np.bincount, 1, indices, minlength=n).astype(float)
            draws.append((counts @ filled.T) / (counts @ weights))
    return np.concatenate(draws).reshape(1 + copies, *values.shape[:-1])


def redrawn(draws: Array, seed: int) -> Array:
    """Draw the units of draws `(1 + copies, units, ...)` anew in every copy, with replacement; the observed ones stay."""
    copies, n = len(draws) - 1, draws.shape[1]
    chosen = np.vstack([np.arange(n), np.random.default_rng([seed, n]).integers(n, size=(copies, n))])
    return np.take_along_axis(draws, chosen.reshape(*chosen.shape, *[1] * (draws.ndim - 2)), axis=1)


def estimate(draws: Array, n: int, units: int | None = None) -> Estimate:
    """Turn draws `(1 + copies,)` into the number with its `interval`."""
    return Estimate(float(draws[0]), *interval(draws[1:], units=units), n=n)


def over_units(draws: Array, seed: int) -> Estimate:
    """Return the mean over units with an interval over units and images, and its sign-flip p value.

    Below five units there is no interval: even if all of them agreed, chance would do as well more than once in twenty.

    Args:
        draws: `(1 + copies, units)` over bootstrap copies of the images, such as robust-minus-vanilla differences of
            architectures; NaN units are left out.
        seed: of the units drawn.
    """
    draws = draws[:, np.isfinite(draws[0])]
    n = draws.shape[1]
    if n == 0:
        return Estimate(math.nan)
    value, p = float(draws[0].mean()), sign_flip_p(draws[0], seed)
    if n < FEWEST_UNITS:
        return Estimate(value, n=n, p=p)
    return Estimate(value, *t_interval(value, redrawn(draws, seed)[1:].mean(axis=1), n), n=n, p=p)


def interval(copies: ArrayLike, level: float = 0.95, units: int | None = None) -> tuple[float, float]:
    """Return the percentile interval of bootstrap `copies`; NaN copies are left out.

    With `units`, the number of independent units resampled, the percentiles are moved outward so that the interval of
    a mean is as wide as Student's t asks for: alpha/2 -> Phi(-sqrt(u / (u - 1)) t(alpha/2, u - 1)).
    """
    copies = np.asarray(copies, float)
    copies = copies[np.isfinite(copies)]
    if not len(copies) or (units is not None and units < 2):
        return math.nan, math.nan
    tail = (1 - level) / 2
    if units is not None:
        tail = float(ndtr(math.sqrt(units / (units - 1)) * stdtrit(units - 1, tail)))
    low, high = np.quantile(copies, [tail, 1 - tail])
    return float(low), float(high)


def t_interval(value: float, copies: ArrayLike, units: int, level: float = 0.95) -> tuple[float, float]:
    """Return Student's interval with the bootstrap's standard error, for a mean over few `units`.

    value ± t(alpha/2, u - 1) sqrt(u / (u - 1)) sd(copies): with nothing but the units resampled this is exactly the
    t interval of their mean; percentiles of five units hold the truth in 82 % of cases instead of 95 %.
    """
    copies = np.asarray(copies, float)
    copies = copies[np.isfinite(copies)]
    if units < 2 or not len(copies):
        return math.nan, math.nan
    half = -stdtrit(units - 1, (1 - level) / 2) * math.sqrt(units / (units - 1)) * float(copies.std())
    return value - half, value + half


def ranks(values: Array, axis: int) -> Array:
    """Rank along one axis: 1 is the highest value, ties share.

    Where one has no value, the others' ranks are stretched to the full range, so that the first and the last mean the
    same everywhere.
    """
    rows = np.moveaxis(values, axis, 0)
    known = np.isfinite(rows)
    with np.errstate(invalid="ignore"):
        rank = 0.5 + sum((other > rows + TIE) + 0.5 * (np.abs(other - rows) <= TIE) for other in rows)
    stretched = 1 + (rank - 1) * (len(rows) - 1) / np.maximum(known.sum(axis=0) - 1, 1)
    return np.moveaxis(np.where(known, stretched, np.nan), 0, axis)


def spearman(x: Array, y: Array, seed: int = 0) -> Estimate:
    """Return Spearman's rho over units, with a bootstrap interval over the units and a permutation p value.

    Args:
        x, y: draws `(1 + copies, units)`; the interval also holds the uncertainty of each value (for networks: the
            images). Units that lack one of the two are left out.
        seed: of the units drawn and of the permutations.
    """
    known = np.isfinite(x[0]) & np.isfinite(y[0])
    x, y = x[:, known], y[:, known]
    n = x.shape[1]
    if n < 3:
        return Estimate(math.nan, n=n)
    rho = rank_correlation(redrawn(x, seed), redrawn(y, seed))
    return Estimate(float(rho[0]), *interval(rho[1:], units=n), n=n, p=spearman_p(x[0], y[0], seed))


def rank_correlation(x: Array, y: Array) -> Array:
    """Return Spearman's rho of each row of `x` and `y` `(k, n)`, with average ranks for ties; NaN for constant rows."""
    a, b = (pd.DataFrame(v).rank(axis=1).to_numpy() for v in (x, y))
    a, b = a - a.mean(axis=1, keepdims=True), b - b.mean(axis=1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        return (a * b).sum(axis=1) / np.sqrt((a**2).sum(axis=1) * (b**2).sum(axis=1))


def critical_rho(n: int) -> float:
    """Return the smallest |rho| of `n` pairs with a two-sided p below 0.05; above 1 when no rho can be."""
    if n < 5:
        return math.inf
    if n <= 16:
        return _CRITICAL[n - 5]
    quantile = stdtrit(n - 2, 0.975)
    return float(quantile / math.sqrt(quantile**2 + n - 2))


def spearman_p(x: Array, y: Array, seed: int = 0) -> float:
    """Return the two-sided permutation p value of Spearman's rho: exact up to n = 8, else 50,000 shuffles."""
    a, b = (pd.Series(v).rank().to_numpy() - (len(v) + 1) / 2 for v in (x, y))
    orders, exact = _orders(len(a), seed)
    return _tail(np.abs(b[orders] @ a), abs(a @ b), exact)


def sign_flip_p(differences: ArrayLike, seed: int = 0) -> float:
    """Return the two-sided p value that paired `differences` `(n,)` have mean zero, by flipping their signs.

    Exact (all 2^n flips) up to n = 15. With five pairs it cannot fall below 2/32.
    """
    differences = np.asarray(differences, float)
    n = len(differences)
    if n == 0:
        return math.nan
    exact = 2**n <= _EXACT_PERMUTATIONS
    if exact:
        signs = np.array(list(itertools.product((1, -1), repeat=n)))
    else:
        signs = np.random.default_rng(seed).choice((1, -1), size=(_EXACT_PERMUTATIONS, n))
    return _tail(np.abs(signs @ differences), abs(differences.sum()), exact)


@lru_cache(maxsize=4)  # a matrix of criteria asks for the same orders again and again
def _orders(n: int, seed: int) -> tuple[NDArray[np.int64], bool]:
    """All orders of `n` things `(n!, n)` where they are few, else 50,000 drawn ones; and whether they are all."""
    if math.factorial(n) <= _EXACT_PERMUTATIONS:
        return np.array(list(itertools.permutations(range(n)))), True
    return np.random.default_rng(seed).permuted(np.tile(np.arange(n), (_EXACT_PERMUTATIONS, 1)), axis=1), False


def _tail(extremes: Array, observed: float, exact: bool) -> float:
    """Share of permutations at least as extreme as the observed one; a drawn sample counts the observed one too."""
    hits = int((extremes >= observed - 1e-9).sum())
    return hits / len(extremes) if exact else (hits + 1) / (len(extremes) + 1)
