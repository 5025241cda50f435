"""Accuracy against removal level, with intervals over trainings and test images; Recursive ROAR's area score.

Every number here is carried as draws (`draws`), so that any difference, mean or area of accuracies has its interval too.
"""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pandas as pd

from xailib.analysis.draws import Array, Estimate, estimate, mean_draws
from xailib.analysis.roar_frames import RoarFrames, hits

CHECKS = ("no_retraining", "road", "mask_only")
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
    """

    modes: dict[str, Array]
    clean: Array
    estimators: tuple[str, ...]
    levels: tuple[int, ...]
    chance: float
    n: int
    unit: str = "test images"

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

    def estimate(self, draws: Array) -> Estimate:
        """Turn draws `(1 + bootstrap,)` of a number into the number with its 95 % interval.

        The copies are centred on the number: the largest or smallest of several noisy accuracies is further out in the
        copies than it was, which would put a spread outside its own interval.
        """
        if len(draws) > 1:
            draws = np.append(draws[0], draws[1:] - draws[1:].mean() + draws[0])
        return estimate(draws, self.n)


@lru_cache(maxsize=2)
def curves(frames: RoarFrames, bootstrap: int = 1000, seed: int = 0) -> Curves:
    """Average the trainings of each cell (estimator, mode, level) and resample test images and trainings.

    A copy draws the test images once for all trainings, so that comparisons are paired, and the trainings anew within
    each cell. Few trainings vary less than many, so their deviations are stretched by sqrt(s / (s - 1)) (Rao and Wu
    1988, J. Am. Statistical Association 83:231); a single training adds nothing.
    """
    names, levels = tuple(frames.estimators.index), tuple(frames.levels)
    cells = cell_draws(frames.roar, "accuracy", bootstrap, seed)
    checks = frames.trust[frames.trust["check"].isin(CHECKS)]
    for check, part in checks.groupby("check"):
        found = cell_draws(part, "value", bootstrap, seed)
        cells |= {(name, f"{check}_{mode}", level): draws for (name, mode, level), draws in found.items()}
    modes: dict[str, Array] = {}
    for (name, mode, level), draws in cells.items():
        if level in levels and name in names:
            empty = np.full((1 + bootstrap, len(names), len(levels)), np.nan)
            modes.setdefault(mode, empty)[:, names.index(name), levels.index(level)] = draws
    clean = next((draws for (name, _, level), draws in cells.items() if level == 0 and name == "none"), None)
    counts = frames.roar.groupby(["estimator", "mode", "level"]).size()
    trainings = f"{counts.min()} to {counts.max()}" if counts.nunique() > 1 else str(frames.seeds)
    unit = f"test images x {trainings} training{'s' * (trainings != '1')}"
    missing = np.full(1 + bootstrap, np.nan)
    return Curves(modes, missing if clean is None else clean, names, levels, frames.chance, frames.images, unit)


def cell_draws(rows: pd.DataFrame, column: str, bootstrap: int, seed: int) -> dict[tuple[str, str, int], Array]:
    """Return (estimator, mode, level) -> mean accuracy of its rows and its copies `(1 + bootstrap,)`.

    A row without hits counts by its value alone, without an interval.
    """
    found = {}
    draws = row_draws(rows, column, bootstrap, seed)
    keys = ["estimator", "mode", "level"]
    for key, places in rows.reset_index(drop=True).groupby(keys, sort=False).indices.items():
        name, mode, level = str(key[0]), str(key[1]), int(key[2])
        cell = draws[:, places]
        mean, count = cell.mean(axis=1), len(places)
        if count > 1:
            stream = np.random.default_rng([seed, zlib.crc32(f"{name}/{mode}/{level}".encode())])
            chosen = stream.integers(count, size=(bootstrap, count))
            drawn = np.take_along_axis(cell[1:], chosen, axis=1).mean(axis=1)
            mean[1:] += np.sqrt(count / (count - 1)) * (drawn - mean[1:])
        found[name, mode, level] = mean
    return found


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
    The ranking is not computed anew after each removal, as it is in Recursive ROAR.
    """
    levels = found.shared_levels("remove", [random])
    scores = {}
    for name in found.known("remove"):
        shared = [level for level in levels if level in found.shared_levels("remove", [name])]
        if not shared:
            continue
        fractions = np.array([0, *shared, 100]) / 100
        ours, randoms = (_closed(found, who, shared) for who in (name, random))
        area = np.trapezoid(randoms - found.chance, fractions, axis=1)
        with np.errstate(divide="ignore", invalid="ignore"):
            score = np.trapezoid(randoms - ours, fractions, axis=1) / np.where(area > 0, area, np.nan)
        scores[name] = np.clip(score, -1, 1)
    return scores


def _closed(found: Curves, name: str, levels: list[int]) -> Array:
    """Return a curve with both ends `(1 + bootstrap, levels + 2)`: unchanged images, and nothing left to see."""
    ends = np.full(len(found.clean), found.chance)
    return np.column_stack([found.clean, found.of("remove", name, levels), ends])
