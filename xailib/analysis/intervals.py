"""Intervals that hold: numbers sampled over two things, the smallest of several leads, and what would decide a claim.

Draws `(1 + copies, ...)` hold the observed numbers first and their copies over the images after them. The copies only
give variances here, and those are exact for means (`multipliers`), so that no verdict hangs on a seed.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import chain, permutations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri, stdtr, stdtrit

Array = NDArray[np.float64]
TAIL = 0.025  # each side of a 95 % interval
# Copies are drawn around ranks that chance has already set apart. Among equals they change places half as often as new
# studies do: their variance is 1 - (6 / pi asin(1 / sqrt 8))^2 = 0.52 of that of normal values (the bootstrap of ranks:
# Hall and Miller 2009, Annals of Statistics 37:3929).
RANKS = 2.0
EXACT = 8  # as many pairs or fewer are tried in all orders: 40,320
_MOST, _TIMES = 1e7, 1e3  # a count beyond this, or so many times as much, decides nothing


@dataclass(frozen=True)
class Estimate:
    """A number with its 95 % interval, the number of units behind it, and the p value that goes with the interval.

    `needs` says how much more data would decide what its interval leaves open.
    """

    value: float
    low: float = math.nan
    high: float = math.nan
    n: int = 0
    p: float = math.nan
    needs: str = ""

    def __neg__(self) -> "Estimate":
        return replace(self, value=-self.value, low=-self.high, high=-self.low)


@dataclass(frozen=True)
class Contrast:
    """A difference, with the variance of its estimate.

    Attributes:
        value: above zero when it is as claimed.
        variance: of the estimate; NaN when it is not known.
        df: degrees of freedom of the variance.
        sources: what was sampled -> (how many, the part of the variance that shrinks as one over how many).
        lacking: what a variance that is not known would need.
        unseen: how many more are sampled than `sources` counts, as the three of a rank correlation's.
    """

    value: float
    variance: float = math.nan
    df: float = math.inf
    sources: Mapping[str, tuple[int, float]] = field(default_factory=dict)
    lacking: str = ""
    unseen: int = 0

    @property
    def t(self) -> float:
        """The value in standard errors."""
        if self.variance > 0:
            return self.value / math.sqrt(self.variance)
        return math.nan if math.isnan(self.variance) else math.copysign(math.inf, self.value) if self.value else 0.0

    def half(self, tests: int = 1) -> float:
        """Half the width of a 95 % interval, or of the widest of `tests` intervals that hold together."""
        return quantile(self.df, tests) * math.sqrt(self.variance)

    def __neg__(self) -> "Contrast":
        return replace(self, value=-self.value)

    def needs(self, tests: int = 1) -> str:
        """How many of each source, the others as they are, would take zero out of the interval at this value."""
        if not self.value or math.isnan(self.variance):
            return ""
        return self._enough(lambda df: (self.value / quantile(df, tests)) ** 2)

    def narrowed(self, share: float) -> str:
        """How many of each source, the others as they are, would narrow its interval to this share of its width."""
        if math.isnan(self.variance):
            return ""
        return self._enough(lambda df: (share * quantile(self.df) / quantile(df)) ** 2 * self.variance)

    def _enough(self, allowed: Callable[[float], float]) -> str:
        """How many of each source bring the variance down to what is `allowed` at so many degrees of freedom.

        Where no number of one is enough, how many times as many of all; the degrees of freedom grow with them.
        """
        counts = {unit: self._count(unit, allowed) for unit in self.sources}
        told = " or ".join(f"{count:,} {unit}" for unit, count in counts.items() if count)
        if told:
            return f"about {told}, if the number stays"
        every, times = " and ".join(self.sources), 1.0
        for _ in range(10):
            times = self.variance / max(allowed(self.df * max(times, 1.0)), self.variance / _MOST)
        if self.sources and times < _TIMES:
            return f"about {times:,.1f} times as many {every}, if the number stays"
        return f"more {every} together" if self.sources else ""

    def _count(self, unit: str, allowed: Callable[[float], float]) -> int:
        """How many of one source; 0 when no number of it is enough. The degrees of freedom grow with it."""
        count, share = self.sources[unit]
        needed, df = 0.0, math.inf
        for _ in range(10):
            left = allowed(df) - (self.variance - share)
            if left <= share * count / _MOST:
                return 0
            needed = count * share / left
            df = self.df * max(needed / count, 1.0)
        return math.ceil(needed) + self.unseen


def quantile(df: float, tests: float = 1) -> float:
    """Student's quantile of a two-sided 5 % test, by Bonferroni one of `tests`."""
    tail = TAIL / tests
    return float(-stdtrit(df, tail) if math.isfinite(df) else -ndtri(tail))


@lru_cache(maxsize=8)
def multipliers(copies: int, n: int, stream: tuple[int, ...]) -> Array:
    """Return `(copies, n)` standard normal multipliers whose moments are exact: mean 0, variance 1, no correlation.

    A copy of a mean is the mean plus its influences times a row (Gaussian multiplier bootstrap, Chernozhukov et al.
    2013, Annals of Statistics 41:2786). With exact moments (second-order balance, Graham et al. 1990, J. Royal
    Statistical Society B 52:185) its variance over the copies is the textbook one under every seed. That asks for more
    copies than columns; with fewer only the mean is exact.
    """
    return _balanced(np.random.default_rng(stream).normal(size=(copies, n)))


def beside(first: Array, n: int, stream: Sequence[int]) -> Array:
    """Return `n` further `multipliers` that are not correlated with the `first` ones, where the copies suffice."""
    copies, columns = first.shape
    drawn = np.random.default_rng(tuple(stream)).normal(size=(copies, n))
    if columns + n < copies:
        drawn -= first @ (first.T @ drawn) / copies
    return _balanced(drawn)


def _balanced(drawn: Array) -> Array:
    copies, n = drawn.shape
    drawn = drawn - drawn.mean(axis=0)
    return np.linalg.qr(drawn)[0] * math.sqrt(copies) if n < copies else drawn


def over_images(
    draws: ArrayLike, images: int, unit: str = "images", *, ranks: bool = False, seeds: bool = False
) -> Contrast:
    """Return a number sampled over images alone, a statement about these very networks.

    Args:
        draws: `(1 + copies,)`.
        images: how many; Student's interval has one degree of freedom less.
        unit: what the images are called.
        ranks: see `crossed`.
        seeds: the draws vary between seeds too; how much of it is the images' alone is then not told apart.
    """
    draws = np.asarray(draws, float)
    if images < 2:
        return Contrast(float(draws[0]), lacking=f"at least two {unit}")
    variance = (RANKS if ranks else 1.0) * float(draws[1:].var())
    sources = {f"{unit} and seeds": (images, 0.0)} if seeds else {unit: (images, variance)}
    return Contrast(float(draws[0]), variance, max(images - 1, 1), sources)


def crossed(draws: ArrayLike, images: int, unit: str = "architectures", *, ranks: bool = False) -> Contrast:
    """Return the mean over units that were all measured on the same images: both are samples.

    A copy that draws units and images anew counts what is particular to a unit and image three times (Owen 2007,
    Annals of Applied Statistics 1:386). So the variance is added up from its components, as in a two-way analysis of
    variance with random effects, and is at least that of units or images alone; degrees of freedom by Satterthwaite.

    Args:
        draws: `(1 + copies, units)` over copies of the images; units without a value are left out.
        images: how many.
        unit: what the units are called.
        ranks: the draws are (differences of) ranks, whose variance over the images is `RANKS` times what copies show.
    """
    draws = np.asarray(draws, float)
    draws = draws[:, np.isfinite(draws[0])]
    units = draws.shape[1]
    value = float(draws[0].mean()) if units else math.nan
    if units < 2 or images < 2:
        return Contrast(value, lacking=f"at least two {unit} and two images")
    by_unit = float(draws[0].var(ddof=1)) / units  # units + both
    more = RANKS if ranks else 1.0
    by_image = more * float(draws[1:].mean(axis=1).var())  # images + both
    each = more * float(draws[1:].var(axis=0).mean())  # units times (images + both)
    both = min(max((each - by_image) / (units - 1), 0.0), by_unit + by_image)
    variance = max(by_unit + by_image - both, by_unit, by_image)
    spread = by_unit**2 / (units - 1) + by_image**2 / (images - 1) + both**2 / ((units - 1) * (images - 1))
    own, shared = max(variance - by_image, 0.0), max(variance - by_unit, 0.0)
    sources = {unit: (units, min(own + both, variance)), "images": (images, min(shared + both, variance))}
    return Contrast(value, variance, variance**2 / spread if spread else math.inf, sources)


def smallest(leads: Sequence[Contrast], n: int, tests: int | None = None) -> Estimate:
    """Return the smallest of several leads: above zero when every lead is, below zero when any is.

    All leads must be above zero to support a claim, which needs no correction (intersection-union test). One below
    zero contradicts it, so the upper bound holds for all together (Bonferroni, the first step of Holm's test). The
    interval holds the smallest true lead in at least 95 % of studies; p is below 0.05 where it leaves zero out.

    Args:
        leads: that are all claimed.
        n: how many units are behind them.
        tests: how many leads could contradict the claim; by default as many as are given.
    """
    value = min(lead.value for lead in leads)
    if any(math.isnan(lead.variance) for lead in leads):
        return _alone(value, n, leads)
    tests = tests or len(leads)
    low = min(lead.value - lead.half() for lead in leads)
    high = min(lead.value + lead.half(tests) for lead in leads)
    up = max(_tail(lead) for lead in leads)
    down = min(1.0, tests * min(_tail(-lead) for lead in leads))
    weakest = min(leads, key=lambda lead: lead.t)
    needs = "" if low > 0 or high < 0 else weakest.needs(1 if weakest.value > 0 else tests)
    return Estimate(value, low, high, n, min(1.0, 2 * min(up, down)), needs)


def largest(leads: Sequence[Contrast], n: int, tests: int | None = None) -> Estimate:
    """Return the largest of several leads that are claimed not to be: `smallest`, turned round."""
    return -smallest([-lead for lead in leads], n, tests)


def largest_smallest(rows: Sequence[Sequence[Contrast]], n: int) -> Estimate:
    """Return the smallest lead of the candidate for whom it is largest: is any one ahead of all others in everything?

    Below zero when every candidate is out: each trails somewhere, by a bound that holds for all its leads together, so
    that the true best is wrongly out in at most 2.5 % of studies (a confidence set of the best, after Hsu 1984, Annals
    of Statistics 12:1136). Above zero when one candidate is ahead everywhere, each lead at its own bound.

    Args:
        rows: one row a candidate, of its leads.
        n: how many units are behind them.
    """
    found = [smallest(row, n) for row in rows]
    if any(math.isnan(one.low) for one in found):
        return _alone(max(one.value for one in found), n, chain(*rows))
    nearest, low = max(found, key=lambda one: one.high), max(one.low for one in found)
    up = min(max(_tail(lead) for lead in row) for row in rows)
    down = max(min(1.0, len(row) * min(_tail(-lead) for lead in row)) for row in rows)
    needs = "" if nearest.high < 0 or low > 0 else nearest.needs
    return Estimate(max(one.value for one in found), low, nearest.high, n, min(1.0, 2 * min(up, down)), needs)


def best_beside(ours: Sequence[Sequence[Contrast]], n: int) -> Estimate:
    """Return the lead of the best of one group over the best of another, from all pairs.

    Above zero when each one of the others is behind some of ours, below zero when each of ours is behind some other,
    both by bounds that hold for all of its comparisons together.

    Args:
        ours: rows of ours, columns of the others: the lead of each pair.
        n: how many units are behind them.
    """
    columns = list(zip(*ours, strict=True))
    value = max(min(pair.value for pair in row) for row in ours)
    if any(math.isnan(pair.variance) for pair in chain(*ours)):
        return _alone(value, n, chain(*ours))
    low = min(max(pair.value - pair.half(len(column)) for pair in column) for column in columns)
    high = max(min(pair.value + pair.half(len(row)) for pair in row) for row in ours)
    up = max(min(1.0, len(column) * min(_tail(pair) for pair in column)) for column in columns)
    down = max(min(1.0, len(row) * min(_tail(-pair) for pair in row)) for row in ours)
    closest = max((min(row, key=lambda pair: pair.t) for row in ours), key=lambda pair: pair.t)
    needs = "" if low > 0 or high < 0 else closest.needs(len(ours))
    return Estimate(value, low, high, n, min(1.0, 2 * min(up, down)), needs)


def spread(pairs: Sequence[Contrast]) -> tuple[float, float, float]:
    """Return how far apart the furthest two of several numbers are, and 95 % bounds; `pairs` are all differences.

    The lower bound holds for all pairs together, the upper is that of the widest pair. NaN where a pair has no variance.
    """
    both = [*pairs, *(-pair for pair in pairs)]
    value = max(pair.value for pair in both)
    if any(math.isnan(pair.variance) for pair in pairs):
        return value, math.nan, math.nan
    return (
        value,
        max(0.0, max(pair.value - pair.half(len(both)) for pair in both)),
        max(pair.value + pair.half() for pair in both),
    )


def rank_correlation(rho: float, n: int, tests: int = 1, exact: float = math.nan, unit: str = "networks") -> Estimate:
    """Return Spearman's rho of `n` pairs (a `unit` each) with an interval by Fisher's z and a p value that agrees with it.

    The standard error is that of Bonett and Wright (2000, Psychometrika 65:23), sqrt((1 + rho^2 / 2) / (n - 3)). Below
    five pairs there is no interval. `tests` as in `smallest`.

    Of a few pairs the normal p of z is wrong, and that of a perfect order as small as one likes: there the standard error
    is the one by which z has the `exact` p (`exact_p`). A perfect order counts as half a step short of it in z.
    """
    if n < 5 or math.isnan(rho):
        return Estimate(rho, n=n, needs=f"at least 5 {unit}" if n < 5 else "")
    known = not math.isnan(exact)
    most = 1 - (6 / (n**3 - n) if known else 1e-9)  # two neighbours that change places take away 12 / (n^3 - n)
    z = math.atanh(min(max(rho, -most), most))
    variance = (1 + rho**2 / 2) / (n - 3)
    if known and exact < 0.5:  # above, z is near zero, and both methods leave it inside
        variance = (z / float(ndtri(exact / 2))) ** 2
    unseen = 0 if known else 3
    contrast = Contrast(z, variance, sources={unit: (n - unseen, variance)}, unseen=unseen)
    found = smallest([contrast], n, tests)
    low, high = min(math.tanh(found.low), rho), max(math.tanh(found.high), rho)
    p = min(1.0, exact * (tests if rho < 0 else 1)) if known else found.p
    return Estimate(rho, low, high, n, p, found.needs)


@lru_cache(maxsize=4)
def orders(n: int) -> NDArray[np.int_]:
    """Return all orders of `n` things: `(n!, n)`."""
    return np.array(list(permutations(range(n))))


def exact_p(a: Array, b: Array) -> float:
    """Return the two-sided p of Spearman's rho over all orders of `b`, twice that of the side it is on.

    Args:
        a, b: ranks less their mean `(n,)`, n at most `EXACT`; halves at most, so that their sums are exact.
    """
    total = float(a @ b)
    return min(1.0, 2 * float((b[orders(len(b))] @ a * np.sign(total) >= abs(total)).mean()))


def holm(p: ArrayLike) -> Array:
    """Return p values adjusted by Holm (1979, Scandinavian J. Statistics 6:65): at most 5 % of tables with one below 0.05 err."""
    p = np.asarray(p, float)
    order = np.argsort(p, kind="stable")
    adjusted = np.empty(p.shape)
    adjusted[order] = np.minimum(np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)), 1.0)
    return adjusted


def false_discovery(p: ArrayLike) -> Array:
    """Return p values adjusted by Benjamini and Hochberg (1995, J. Royal Statistical Society B 57:289); NaN stays.

    Calling those at most q significant lets at most a share q of the calls be wrong, on average.
    """
    p = np.asarray(p, float)
    known = np.flatnonzero(np.isfinite(p))
    order = known[np.argsort(p[known])[::-1]]
    scaled = p[order] * len(order) / np.arange(len(order), 0, -1)
    adjusted = np.full(p.shape, np.nan)
    adjusted[order] = np.minimum(np.minimum.accumulate(scaled), 1.0) if len(order) else scaled
    return adjusted


def _alone(value: float, n: int, leads: Iterable[Contrast]) -> Estimate:
    """A number without an interval, and what is lacking for one."""
    return Estimate(value, n=n, needs=next((lead.lacking for lead in leads if lead.lacking), ""))


def _tail(lead: Contrast) -> float:
    """The one-sided p value that a lead is not above zero."""
    t = lead.t
    if math.isinf(t) or t == 0:
        return 0.0 if t > 0 else 0.5 if t == 0 else 1.0
    return float(stdtr(lead.df if math.isfinite(lead.df) else 1e9, -t))
