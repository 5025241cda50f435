"""Numbers as draws, and what is read off them: intervals, ranks, Spearman's rho.

Draws `(1 + copies, ...)` hold the observed numbers first and their bootstrap copies over the images after them, so that
any difference, mean or rank of draws has its interval too. Claims here rest on few networks (five architectures, twelve
networks) and tens of images: how numbers over both get their intervals is told in `intervals`.
"""

import math

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from xailib.analysis.intervals import (
    EXACT,
    Array,
    Contrast,
    Estimate,
    crossed,
    exact_p,
    multipliers,
    orders,
    over_images,
    quantile,
    rank_correlation,
    smallest,
)

FEWEST_UNITS = 5  # fewer than this say nothing of others like them
IMAGES = 0  # names the stream of the images' copies
TIE = 1e-9  # of the largest value: differences up to this are rounding, as GradCAM and CAM can be the same map


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
    flat = values.reshape(math.prod(values.shape[:-1]), n)
    known = np.isfinite(flat)
    count = known.sum(axis=1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        means = np.where(known, flat, 0.0).sum(axis=1, keepdims=True) / count
        influence = np.where(known, flat - means, 0.0) / np.sqrt(count * np.maximum(count - 1, 1))
    dealt = groups(n, copies)
    if n > dealt:
        influence = np.stack([influence[:, i::dealt].sum(axis=1) for i in range(dealt)], axis=1)
    moved = multipliers(copies, dealt, (seed, IMAGES, n)) @ influence.T
    return np.concatenate([means.T, means.T + moved]).reshape(1 + copies, *values.shape[:-1])


def groups(n: int, copies: int) -> int:
    """Return into how many groups `n` images are dealt: one each, or where they outnumber the copies, fewer groups."""
    return n if n < copies else max(copies // 2, 1)


def estimate(draws: Array, n: int, unit: str = "images") -> Estimate:
    """Turn draws `(1 + copies,)` of a number over `n` images into the number with Student's interval and p."""
    return smallest([over_images(draws, n, unit)], n)


def over_units(
    draws: Array, images: int, unit: str = "architectures", tests: int = 1, *, ranks: bool = False
) -> Estimate:
    """Return the mean over units that were measured on the same images, with an interval over both (`crossed`).

    Below five units there is no interval: whether a handful differs as a normal sample does cannot be seen.

    Args:
        draws: `(1 + copies, units)` over copies of the images, such as robust-minus-vanilla differences of
            architectures; NaN units are left out.
        images: how many.
        unit: what the units are called.
        tests: how many such numbers could contradict one claim (`smallest`).
        ranks: see `crossed`.
    """
    return smallest([of_units(draws, images, unit, ranks=ranks)], measured(draws), tests)


def of_units(draws: Array, images: int, unit: str = "architectures", *, ranks: bool = False) -> Contrast:
    """Return the mean of `over_units` with its variance; below five units that is not known."""
    found, enough = crossed(draws, images, unit, ranks=ranks), measured(draws) >= FEWEST_UNITS
    return found if enough else Contrast(found.value, lacking=f"at least {FEWEST_UNITS} {unit}")


def measured(draws: Array) -> int:
    """Return how many units of draws `(1 + copies, units)` have a value."""
    return int(np.isfinite(draws[0]).sum())


def interval(copies: ArrayLike, level: float = 0.95) -> tuple[float, float]:
    """Return the percentile interval of bootstrap `copies`, for figures; NaN copies are left out."""
    copies = np.asarray(copies, float)
    copies = copies[np.isfinite(copies)]
    if not len(copies):
        return math.nan, math.nan
    low, high = np.quantile(copies, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def ranks(values: Array, axis: int) -> Array:
    """Rank along one axis: 1 is the highest value, ties share.

    Where one has no value, the others' ranks are stretched to the full range, so that the first and the last mean the
    same everywhere.
    """
    rows = np.moveaxis(values, axis, 0)
    known = np.isfinite(rows)
    with np.errstate(invalid="ignore"):
        tie = TIE * np.abs(np.where(known, rows, 0.0)).max(axis=0, initial=0.0)
        rank = 0.5 + sum((other > rows + tie) + 0.5 * (np.abs(other - rows) <= tie) for other in rows)
    stretched = 1 + (rank - 1) * (len(rows) - 1) / np.maximum(known.sum(axis=0) - 1, 1)
    return np.moveaxis(np.where(known, stretched, np.nan), 0, axis)


def spearman(x: Array, y: Array, tests: int = 1, unit: str = "networks") -> Estimate:
    """Return Spearman's rho of `x` and `y` `(units,)`, with interval and p value by one method (`rank_correlation`).

    Units that lack one of the two are left out; average ranks for ties; NaN where one of the two does not vary.
    """
    known = np.isfinite(x) & np.isfinite(y)
    n = int(known.sum())
    a, b = (pd.Series(values[known]).rank().to_numpy() - (n + 1) / 2 for values in (x, y))
    spread = math.sqrt(float((a @ a) * (b @ b)))
    if n < 3 or not spread:
        return rank_correlation(math.nan, n, tests, unit=unit)
    exact = exact_p(a, b) if FEWEST_UNITS <= n <= EXACT else math.nan
    return rank_correlation(float(a @ b) / spread, n, tests, exact, unit)


def critical_rho(n: int, level: float = 0.05) -> float:
    """Return the smallest |rho| of `n` pairs without ties with a p below `level` by `spearman`; infinite when no rho has."""
    if n < FEWEST_UNITS:
        return math.inf
    if n <= EXACT:
        ranks = np.arange(n) - (n - 1) / 2
        sums, counts = np.unique(ranks[orders(n)] @ ranks, return_counts=True)
        p = 2 * np.cumsum(counts[::-1])[::-1] / counts.sum()
        return float(sums[p < level].min(initial=math.inf) / (ranks @ ranks))
    values = np.linspace(0, 1, 10_001)[:-1]
    found = np.arctanh(values) / np.sqrt((1 + values**2 / 2) / (n - 3)) > quantile(math.inf, 0.05 / level)
    return float(values[np.argmax(found)]) if found.any() else math.inf


def critical_rhos(pairs: pd.DataFrame, level: float) -> Array:
    """Return the |rho| from which a pair's p is below `level`: `pairs` has rho, p and n.

    Ties can put a p on the other side of it than `critical_rho` says: then the pair's own rho, or infinite, as p is.
    """
    found = np.array([critical_rho(n, level) for n in pairs["n"]], float)
    size, passed = pairs["rho"].abs().to_numpy(float), (pairs["p"] < level).to_numpy()
    return np.where(passed, np.fmin(found, size), np.where(size >= found, np.inf, found))
