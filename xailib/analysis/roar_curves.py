"""Accuracy against removal level, with intervals over trainings and test images; Recursive ROAR's area score.

Every number here is carried as draws (`draws`), so that any difference, mean or area of accuracies has its interval too.
"""

from collections.abc import Sequence, Set
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pandas as pd

from xailib.analysis.draws import IMAGES, groups, interval, mean_draws
from xailib.analysis.intervals import Array, Contrast, Estimate, beside, multipliers, quantile
from xailib.analysis.roar_frames import RoarFrames, hits

CHECKS = ("no_retraining", "road", "mask_only")
# Name the streams of the copies: of trainings on what is left, of those on masks, of networks that are not retrained.
TRAININGS, MASKS, NETWORKS = 1, 2, 3
PRIOR = 3.0  # degrees of freedom: how far a cell's variance between trainings is drawn to that of others
LEAST = 0.2  # a smaller share of a cell's variance is not told from the noise of few copies
_MOST = 64_000_000  # hits unpacked at once: half a gigabyte as float64


@dataclass(frozen=True, eq=False)
class Curves:
    """Accuracies as draws: first the observed one, then its bootstrap copies.

    Attributes:
        modes: mode -> `(1 + bootstrap, estimators, levels)`, NaN where there is none. Modes: remove and keep
            (retrained), no_retraining_remove, no_retraining_keep, road_remove, road_keep, mask_only_remove.
        clean: `(1 + bootstrap,)`, unchanged images.
        estimators, levels: ids, and percents without 0.
        chance: accuracy of a network that sees nothing.
        n: test images.
        unit: what n counts, for tables.
        seeds: trainings a cell, at most.
        trainings: `(bootstrap, columns)`, what moves the copies beside the test images: a column a cell, and one for what
            several networks do to all rankings of a mode.
        freedom: degrees of freedom of the variance behind each column; none where no cell was trained twice.
        sources: `(columns,)`, numbers that are the same for columns whose variances are one estimate.
        networks: base networks that the rankings explain.
    """

    modes: dict[str, Array]
    clean: Array
    estimators: tuple[str, ...]
    levels: tuple[int, ...]
    chance: float
    n: int
    unit: str = "test images"
    seeds: int = 0
    trainings: Array | None = None
    freedom: Array | None = None
    sources: Array | None = None
    networks: int = 1

    def of(self, mode: str, estimators: str | Sequence[str], levels: Sequence[int] | None = None) -> Array:
        """Return draws of one estimator `(1 + bootstrap, levels)` or of several `(1 + bootstrap, estimators, levels)`.

        An estimator or mode that was not run is NaN.
        """
        names = [estimators] if isinstance(estimators, str) else list(estimators)
        columns = [self.levels.index(level) for level in (self.levels if levels is None else levels)]
        found = np.full((len(self.clean), len(names), len(columns)), np.nan)
        for i, name in enumerate(names):
            if mode in self.modes and name in self.estimators:
                found[:, i] = self.modes[mode][:, self.estimators.index(name)][:, columns]
        return found[:, 0] if isinstance(estimators, str) else found

    @property
    def top(self) -> int:
        """The highest level."""
        return self.levels[-1]

    def at_top(self, mode: str, estimators: Sequence[str]) -> Array:
        """Return draws of several estimators at the highest level: `(1 + bootstrap, estimators)`."""
        return self.of(mode, list(estimators), [self.top])[:, :, 0]

    def known(self, mode: str, estimators: Sequence[str] | None = None, level: int | None = None) -> list[str]:
        """Return those of the estimators (all by default) that have an accuracy in a mode, at a level or at any."""
        names = list(self.estimators if estimators is None else estimators)
        levels = None if level is None else [level]
        return [name for name in names if np.isfinite(self.of(mode, name, levels)[0]).any()]

    def shared_levels(self, mode: str, estimators: Sequence[str]) -> list[int]:
        """Return the levels at which every one of the estimators has an accuracy."""
        whole = np.isfinite(self.of(mode, estimators)[0]).all(axis=0)
        return [level for level, there in zip(self.levels, whole, strict=True) if there]

    def run_levels(self, mode: str, estimators: Sequence[str] | None = None) -> list[int]:
        """Return the levels at which any of the estimators (all by default) has an accuracy."""
        names = list(self.estimators if estimators is None else estimators)
        some = np.isfinite(self.of(mode, names)[0]).any(axis=0)
        return [level for level, there in zip(self.levels, some, strict=True) if there]

    def contrast(self, draws: Array) -> Contrast:
        """Return a linear number with the variance of its draws `(1 + bootstrap,)`, over test images and trainings.

        With several base networks a training stands for the network that its ranking explains, too. Without copies (the
        paper's table), of one test image, or where no ranking was trained twice the variance is not known.
        """
        copies = len(draws) - 1
        variance = float(draws[1:].var()) if copies and self.freedom is not None and self.n > 1 else np.nan
        if np.isnan(variance):
            lacking = f"at least two {'trainings of a ranking' if self.n > 1 else 'test images'}"
            return Contrast(float(draws[0]), lacking=lacking if copies else "")
        moved = (self.trainings.T @ (draws[1:] - draws[1:].mean()) / copies) ** 2
        trained = min(float(moved.sum()), variance)
        tested = variance - trained
        shared = np.bincount(self.sources, moved)[self.sources]
        squares = float((shared * moved / self.freedom).sum()) + tested**2 / (self.n - 1)
        varied = ("base networks", self.networks) if self.networks > 1 else ("trainings a ranking", self.seeds)
        sources = {"test images": (self.n, tested), varied[0]: (varied[1], trained)}
        return Contrast(float(draws[0]), variance, variance**2 / squares if squares else np.inf, sources)

    def contrasts(self, draws: Array) -> list[Contrast]:
        """Return every number of draws `(1 + bootstrap, ...)` by `contrast`."""
        return [self.contrast(own) for own in draws.reshape(len(draws), -1).T]

    def estimate(self, draws: Array) -> Estimate:
        """Turn draws `(1 + bootstrap,)` of a number into the number with its 95 % interval, for tables and figures.

        The copies are centred on the number: the largest or smallest of several noisy accuracies is further out in the
        copies than it was, which would put a spread outside its own interval. Their percentiles are then moved outward
        by as much as Student's quantiles are beyond the normal ones.
        """
        if len(draws) < 2:
            return Estimate(float(draws[0]), n=self.n)
        wider = quantile(self.contrast(draws).df) / quantile(np.inf)
        return Estimate(float(draws[0]), *interval(draws[0] + wider * (draws[1:] - draws[1:].mean())), n=self.n)


Cell = tuple[str, str, int]  # estimator, mode, level


@dataclass(frozen=True, eq=False)
class Shares:
    """How the cells of a mode move together when other networks are explained, in units of each cell's own spread.

    Attributes:
        levels: of the rows and columns of the matrices.
        every: `(levels, levels)`, what moves all rankings together.
        alone: `(levels, levels)`, what moves the levels of one ranking.
        freedom: degrees of freedom of `every`, one less than there are networks.
    """

    levels: tuple[int, ...]
    every: Array
    alone: Array
    freedom: int


@lru_cache(maxsize=2)
def curves(frames: RoarFrames, bootstrap: int = 1000, seed: int = 0) -> Curves:
    """Average the trainings of each cell (estimator, mode, level) and let test images, trainings and networks vary.

    A copy moves the test images once for all trainings, so that comparisons are paired, and the trainings of each cell
    apart (`moderated`). Where no cell was trained twice, trainings add nothing.

    Where the rankings explain several base networks, a cell varies as the means of its trainings on each network's ranking
    do: so the variance of network and training together is inside. What a network does to one ranking is much the same
    at all levels, and some of it to all rankings: copies move cells together as much as they moved (`shared`). With one
    network its choice is taken as given, and is in no interval.
    """
    names, levels, networks = tuple(frames.estimators.index), tuple(frames.levels), frames.networks
    blind = frames.blind if networks > 1 else set()
    cells, counts, squares, apart = cell_draws(frames.roar, "accuracy", bootstrap, seed, networks)
    between, freedom = moderated(squares)
    shares = shared(apart, between, blind) if networks > 1 else {}
    tested = multipliers(bootstrap, groups(frames.images, bootstrap), (seed, IMAGES, frames.images))
    sizes = {cell: np.sqrt(between.get(cell, 0.0) / counts[cell]) for cell in cells}
    trainings, freedoms, sources = vary(cells, sizes, freedom, shares, blind, tested, (seed, TRAININGS))
    checks = frames.trust[frames.trust["check"].isin(CHECKS)]
    for check, part in checks.groupby("check"):
        found, counts, squares, apart = cell_draws(part, "value", bootstrap, seed, networks)
        varying, df = moderated(squares)
        sizes = {cell: np.sqrt(varying[cell] / counts[cell]) for cell in found if cell in varying}
        given = (df, shared(apart, varying), set(), NETWORKS)  # not trained, but answered by each network
        if check == "mask_only":  # trained too, once: it varies as the retrained one of its ranking does
            sizes = {cell: np.sqrt(between[cell]) for cell in found if cell in between}
            given = (freedom, shares, blind, MASKS)
        if sizes:
            before, (*how, stream) = np.column_stack([tested, trainings]), given
            more, df, own = vary({cell: found[cell] for cell in sizes}, sizes, *how, before, (seed, stream))
            trainings, freedoms = np.column_stack([trainings, more]), np.append(freedoms, df)
            sources = np.append(sources, sources.max(initial=-1) + 1 + own)
        cells |= {(name, f"{check}_{mode}", level): draws for (name, mode, level), draws in found.items()}
    modes: dict[str, Array] = {}
    for (name, mode, level), draws in cells.items():
        if level in levels and name in names:
            empty = np.full((1 + bootstrap, len(names), len(levels)), np.nan)
            modes.setdefault(mode, empty)[:, names.index(name), levels.index(level)] = draws
    clean = next((draws for (name, _, level), draws in cells.items() if level == 0 and name == "none"), None)
    clean = np.full(1 + bootstrap, np.nan) if clean is None else clean
    facts = (names, levels, frames.chance, frames.images, unit_of(frames), frames.seeds, trainings)
    facts += (freedoms if freedom else None, sources, networks)
    return Curves(modes, clean, *facts)


def unit_of(frames: RoarFrames) -> str:
    """What numbers of a study count: test images x 2 trainings on the rankings of 2 networks."""
    cells = frames.roar.groupby(["estimator", "mode", "level"]).size()
    least = int(cells.min()) if len(cells) else 0
    told = f"{least} to {frames.seeds}" if least < frames.seeds else str(frames.seeds)
    unit = f"test images x {told} training{'s' * (told != '1')}"
    return f"{unit} on the rankings of {frames.networks} networks" if frames.networks > 1 else unit


def vary(
    cells: dict[Cell, Array],
    sizes: dict[Cell, float],
    freedom: dict[Cell, float],
    shares: dict[str, Shares],
    blind: set[str],
    before: Array,
    stream: tuple[int, ...],
) -> tuple[Array, Array, Array]:
    """Move the copies of cells where they are, and return what did it: a multiplier a cell, and one a mode's level.

    Args:
        cells: draws `(1 + bootstrap,)` of each.
        sizes: standard deviation of each.
        freedom: degrees of freedom of each.
        shares: how the cells of a mode move together (`shared`); without it each moves by itself.
        blind: rankings that no network moves: their cells move by themselves.
        before: multipliers that the new ones are not to be correlated with.
        stream: of their random numbers.

    Returns:
        The multipliers `(bootstrap, columns)`, and of each its degrees of freedom, and a number that is the same for those
        that rest on one estimate: the levels of a ranking that move together, and those of a mode.
    """
    own = list(cells)
    shares = {mode: how for mode, how in shares.items() if any(cell[1] == mode for cell in own)}
    common = [(mode, level) for mode, how in shares.items() for level in how.levels]
    columns = beside(before, len(own) + len(common), stream)
    moved, sources = columns[:, : len(own)].copy(), [*own, *(mode for mode, _ in common)]
    grouped: dict[tuple[str, str], list[int]] = {}
    for i, (name, mode, level) in enumerate(own):
        if mode in shares and level in shares[mode].levels and name not in blind:
            grouped.setdefault((name, mode), []).append(i)
    for (name, mode), places in grouped.items():
        how = shares[mode]
        levels = [how.levels.index(own[i][2]) for i in places]
        whole = columns[:, [len(own) + i for i, (one, _) in enumerate(common) if one == mode]]
        for i in places:
            sources[i] = (name, mode)
        moved[:, places] = moved[:, places] @ _root(how.alone[np.ix_(levels, levels)])
        moved[:, places] += (whole @ _root(how.every))[:, levels]
    for i, (cell, draws) in enumerate(cells.items()):
        draws[1:] += moved[:, i] * sizes[cell]
    df = [freedom.get(cell, np.inf) for cell in own] + [shares[mode].freedom for mode, _ in common]
    numbers = {source: i for i, source in enumerate(dict.fromkeys(sources))}
    return columns, np.array(df), np.array([numbers[source] for source in sources], int)


def shared(apart: dict[Cell, Array], between: dict[Cell, float], blind: Set[str] = frozenset()) -> dict[str, Shares]:
    """Return, of each mode, how its cells move together when other networks are explained, in units of their own spread.

    From the products of cells' deviations, summed over rankings and networks: of two levels of one ranking, and of two
    rankings. What all rankings have in common is seen but once a network, so that with two it may look small by chance:
    it is taken to be no smaller than what a ranking has alone, without which three words in a hundred more are wrong.

    Args:
        apart: of each cell its accuracy on each network's ranking less the mean `(networks,)`; NaN where there is none.
        between: its variance between networks.
        blind: rankings that no network moves.
    """
    shares = {}
    levels = sorted({level for _, _, level in apart if 0 < level < 100})
    for mode in dict.fromkeys(mode for _, mode, _ in apart):
        rankings = [name for name in dict.fromkeys(name for name, _, _ in apart) if name not in blind]
        rows = [[(name, mode, level) for level in levels] for name in rankings]
        rows = [row for row in rows if row and all(cell in between and np.isfinite(apart[cell]).all() for cell in row)]
        if not rows:
            continue
        moved = np.array([[apart[cell] for cell in row] for row in rows])  # rankings x levels x networks
        sizes = np.sqrt([[between[cell] for cell in row] for row in rows])[..., None] * np.sqrt(moved.shape[2] - 1)
        one, pair = ((of @ of.swapaxes(1, 2)).sum(axis=0) for of in (moved, sizes))
        total, most = ((of.sum(axis=0) @ of.sum(axis=0).T) for of in (moved, sizes))
        with np.errstate(divide="ignore", invalid="ignore"):
            inner, every = np.nan_to_num(one / pair), np.nan_to_num((total - one) / (most - pair))
        np.fill_diagonal(inner, 1.0)
        every = _positive(every)
        alone = _positive(inner - every)
        scale = np.sqrt(np.outer(*2 * [np.maximum(np.diag(every + alone), 1e-9)]))
        every, alone = every / scale, alone / scale
        lacking = max(1 - np.trace(every) / max(np.trace(alone), 1e-9), 0.0)
        shares[mode] = Shares(tuple(levels), every + lacking * alone, alone, moved.shape[2] - 1)
    return shares


def _positive(matrix: Array) -> Array:
    """The nearest matrix that is one of variances."""
    values, vectors = np.linalg.eigh((matrix + matrix.T) / 2)
    return (vectors * np.maximum(values, 0.0)) @ vectors.T


def _root(matrix: Array) -> Array:
    """The symmetric square root of a matrix of variances."""
    values, vectors = np.linalg.eigh(matrix)
    return (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T


def moderated(squares: dict[Cell, tuple[float, float, int]]) -> tuple[dict[Cell, float], dict[Cell, float]]:
    """Return how much trainings vary in each cell, and the degrees of freedom of that.

    Two or three trainings tell little of their own cell, and cells differ: so a cell's variance is drawn towards the
    mean of its mode and level, which counts as `PRIOR` degrees of freedom (Smyth 2004, Statistical Applications in
    Genetics and Molecular Biology 3:3). A cell with one training has that alone. What is particular to a training and
    an image is taken off, which makes the rest less certain: the degrees of freedom fall with the square of its share.

    Args:
        squares: of each cell the variance of its trainings' accuracies, how much of it is particular to a training and
            an image, and its degrees of freedom (0 for a single training).

    Returns:
        Both by cell. Of a mode and level where every ranking was trained once, beside others with more, the variance is NaN.
    """
    between, freedom = {}, {}
    for pool in {cell[1:] for cell, (_, _, df) in squares.items() if df}:
        parts = {cell: found for cell, found in squares.items() if cell[1:] == pool}
        values, both, weights = np.array(list(parts.values())).T
        mean, particular = (np.average(numbers, weights=weights) for numbers in (values, both))
        for cell, (value, _, df) in parts.items():
            whole = (PRIOR * mean + df * value) / (PRIOR + df)
            share = max(1 - particular / whole, 1e-3) if whole else 1.0
            between[cell], freedom[cell] = share * whole, max(share, LEAST) ** 2 * (PRIOR + df)
    if between:  # as nothing it would decide claims beside trainings that are known to vary
        between |= dict.fromkeys(squares.keys() - between.keys(), np.nan)
    return between, freedom


def cell_draws(
    rows: pd.DataFrame, column: str, bootstrap: int, seed: int, networks: int = 1
) -> tuple[dict[Cell, Array], dict[Cell, int], dict[Cell, tuple[float, float, int]], dict[Cell, Array]]:
    """Return the mean accuracy of each cell's rows over copies of the test images `(1 + bootstrap,)`, and how many rows.

    And the variance of its trainings' accuracies, in three parts (`moderated`). With several networks the means of the
    rows on each one's ranking stand for rows; how far each is from the cell's mean is returned too (`shared`). A row
    without hits counts by its value alone, without an interval.
    """
    found, counts, squares, apart = {}, {}, {}, {}
    draws = row_draws(rows, column, bootstrap, seed)
    known, bases = np.unique(rows["base"].to_numpy(int), return_inverse=True)
    for key, places in rows.reset_index(drop=True).groupby(["estimator", "mode", "level"], sort=False).indices.items():
        cell = (str(key[0]), str(key[1]), int(key[2]))
        own = draws[:, places]
        if networks > 1:
            labels = np.unique(bases[places])
            own = np.stack([own[:, bases[places] == label].mean(axis=1) for label in labels], axis=1)
            apart[cell] = np.full(len(known), np.nan)
            apart[cell][labels] = own[0] - own[0].mean()
        count = own.shape[1]
        found[cell], counts[cell] = own.mean(axis=1), count
        squares[cell] = (0.0, 0.0, 0)
        if count > 1:  # as in `intervals.crossed`
            both = max(own[1:].var(axis=0).mean() - found[cell][1:].var(), 0.0) * count / (count - 1)
            squares[cell] = (float(own[0].var(ddof=1)), float(both), count - 1)
    return found, counts, squares, apart


def row_draws(rows: pd.DataFrame, column: str, bootstrap: int, seed: int) -> Array:
    """Return the accuracy of each row and its copies over test images `(1 + bootstrap, rows)`, the same images in all."""
    draws = np.full((1 + bootstrap, len(rows)), np.nan)
    draws[0] = rows[column].to_numpy(float)
    lengths = np.where(rows["correct"].map(len).to_numpy(int) > 0, rows["n"].to_numpy(int), 0)
    for n in np.unique(lengths[lengths > 0]):
        places = np.flatnonzero(lengths == n)
        for part in np.array_split(places, -(-len(places) * int(n) // _MOST)):
            draws[1:, part] = mean_draws(hits(rows.iloc[part]), bootstrap, seed)[1:]
    return draws


def racu(found: Curves, random: str = "random") -> dict[str, Array]:
    """Return Recursive ROAR's area score of each estimator as draws `(1 + bootstrap,)`, in [-1, 1].

    Area between Random's curve and the estimator's, over the area between Random's curve and its own value at 100 %
    removed (Madsen et al. 2021, arXiv 2110.08412), by the trapezoid rule over 0 to 100 %. At 0 % all share
    the accuracy on unchanged images. At 100 % every image is the mean colour, so accuracy is chance whatever the
    ranking: no network is trained for that. 1: as if everything were gone at once; 0: as Random; below 0: worse.
    The ranking is not computed anew after each removal, as it is in Recursive ROAR. NaN where the estimator or Random
    lacks a level that others have: areas over other levels are other scores.
    """
    levels = found.run_levels("remove")
    fractions = np.array([0, *levels, 100]) / 100
    randoms, scores = _closed(found, random, levels), {}
    area = np.trapezoid(randoms - found.chance, fractions, axis=1)
    for name in found.known("remove"):
        ours = _closed(found, name, levels)
        with np.errstate(divide="ignore", invalid="ignore"):
            score = np.trapezoid(randoms - ours, fractions, axis=1) / np.where(area > 0, area, np.nan)
        scores[name] = np.clip(score, -1, 1)
    return scores


def _closed(found: Curves, name: str, levels: list[int]) -> Array:
    """Return a curve with both ends `(1 + bootstrap, levels + 2)`: unchanged images, and nothing left to see."""
    ends = np.full(len(found.clean), found.chance)
    return np.column_stack([found.clean, found.of("remove", name, levels), ends])
