"""A made-up ROAR study whose accuracies are planted, so that every verdict is known beforehand. Never shipped."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import ndtri

from xailib.analysis import roar_claims
from xailib.analysis.roar_frames import COLUMNS, TRUST_COLUMNS, RoarFrames, estimator_facts
from xailib.results import write_table

CLEAN, CLASSES = 0.95, 12
CHANCE = 1 / CLASSES
# Accuracy lost when everything is removed, by what an estimator's id begins with; the longest match counts.
SLOPES = {
    "": 0.15, "smoothgrad_": 0.05, "squared_": 0.33, "smoothgrad_squared_": 0.80, "vargrad_": 0.75,
    "smoothgrad_squared_integrated": 0.60, "vargrad_integrated": 0.60,
    "random": 0.30, "sobel": 0.25, "blurred_gradient": 0.25, "blurred_random": 0.40, "random_redrawn": 0.28,
}  # fmt: skip
METRICS = {"pointing_game": 1, "localisation": 1, "deletion": -1, "insertion": 1}


def study(
    seed: int = 0,
    images: int = 400,
    seeds: int = 2,
    levels: tuple[int, ...] = (10, 50, 90),
    slopes: dict[str, Any] | None = None,
    keep_slopes: dict[str, Any] | None = None,
    no_retraining: float = 0.9,
    training_sd: dict[int, float] | None = None,
    uneven: float = 0.0,
    beyond_mask: float | dict[str, float] | None = None,
    mask_levels: tuple[int, ...] = (),
    networks: int = 1,
    network_sd: float = 0.0,
    alike: float = 0.0,
    estimators: tuple[str, ...] = (*roar_claims.RANKINGS, "random_redrawn", "blurred_gradient"),
) -> RoarFrames:
    """Return a study whose accuracies are CLEAN - slope t, t the share removed, plus image and training noise.

    Args:
        seed: of the noise.
        images, seeds, levels: test images, trainings a cell, percents.
        slopes: overrides of SLOPES by estimator or prefix of one; a dict is the accuracy lost at each level.
        keep_slopes: the same when the most important inputs are kept (0.1 for all others).
        no_retraining: accuracy that is lost without retraining, whatever the ranking.
        training_sd: standard deviation of accuracy between trainings of a cell, by level; 0.004 where it does not say.
        uneven: standard deviation, between cells, of that one's logarithm.
        beyond_mask: accuracy after retraining minus that from the mask alone, of all or by prefix ("" for all others);
            where None, masks tell less the more a ranking loses.
        mask_levels: of the masks; the highest where none is given.
        networks: base networks, whose rankings the trainings share out.
        network_sd: standard deviation of accuracy between the rankings of different base networks, the same at all levels;
            nothing for those that look at none. Without retraining all rankings move, by twice as much.
        alike: share of that variance which all rankings of a network have in common.
        estimators: which of them.
    """
    random = np.random.default_rng(seed)
    difficulty = random.normal(size=images)
    rows, checks = [], []
    own = np.random.default_rng([seed, 1])  # the study of one seed is the same whether networks differ or not
    common = np.sqrt(alike) * own.normal(size=networks)
    bases = {name: network_sd * (common + np.sqrt(1 - alike) * own.normal(size=networks)) for name in estimators}
    blind = ("random", "sobel", "blurred_random", "none")

    def hits(accuracy: float, sd: float = 0.004) -> np.ndarray:
        accuracy = np.clip(accuracy + random.normal(0, sd), 0.001, 0.999)
        return ndtri(accuracy) + 0.8 * difficulty + 0.6 * random.normal(size=images) > 0

    def add(name: str, mode: str, level: int, accuracy: float) -> None:
        sd = (training_sd or {}).get(level, 0.004) * (np.exp(random.normal(0, uneven)) if uneven else 1)
        for number in range(seeds):
            base = number % networks
            moved = 0.0 if name.startswith(blind) else bases[name][base] * (1 if mode == "remove" else -1)
            right = hits(accuracy + moved, sd)
            facts = [name, mode, level, number, base, right.mean(), images, 4, 1.5, "ok"]
            rows.append([*facts, np.packbits(right).tobytes()])

    def check(name: str, kind: str, mode: str, level: int, accuracy: float, sd: float = 0.004) -> None:
        for base in range(networks if kind == "no_retraining" else 1):
            moved = 2 * bases[name][base] if kind == "no_retraining" else 0.0
            right = hits(accuracy + moved, sd)
            checks.append([name, kind, mode, level, 0, base, right.mean(), images, np.packbits(right).tobytes()])

    add("none", "remove", 0, CLEAN)
    for name in estimators:
        for level in levels:
            share = level / 100
            lost = loss(name, level, share, {**SLOPES, **(slopes or {})})
            lost_keeping = loss(name, level, 1 - level / 100, {"": 0.1, **(keep_slopes or {})})
            add(name, "remove", level, CLEAN - lost)
            add(name, "keep", level, CLEAN - lost_keeping)
            check(name, "no_retraining", "remove", level, max(CHANCE, CLEAN - no_retraining * min(1, 2 * share)))
            check(name, "no_retraining", "keep", level, max(CHANCE, CLEAN - 0.6 * (1 - level / 100)))
            check(name, "road", "remove", level, CLEAN - 0.9 * lost)
            check(name, "road", "keep", level, CLEAN - lost_keeping)
            if level not in (mask_levels or levels[-1:]):
                continue
            alone, sd = CHANCE + 0.5 * max(0, 0.8 - lost), 0.004
            if beyond_mask is not None:
                ahead = beyond_mask if isinstance(beyond_mask, dict) else {"": beyond_mask}
                alone, sd = CLEAN - lost - loss(name, 0, 1.0, ahead), (training_sd or {}).get(level, 0.004)
            check(name, "mask_only", "remove", level, alone, sd)
        for metric, sign in METRICS.items():
            value = 0.4 + sign * 0.3 * lost + random.normal(0, 0.02)
            checks.append([name, metric, "", 0, 0, 0, value, images, b""])
    return RoarFrames(
        roar=pd.DataFrame(rows, columns=COLUMNS),
        trust=pd.DataFrame(checks, columns=TRUST_COLUMNS),
        failed=pd.DataFrame(columns=["estimator", "mode", "level", "seed", "status"]),
        estimators=estimator_facts(list(estimators)),
        study={"study": "made_up", "description": "A made-up study.", "dataset": "pictograms"},
        classes=CLASSES,
        chance=CHANCE,
    )


def loss(name: str, level: int, share: float, table: dict[str, Any]) -> float:
    """The accuracy that a ranking loses, by the longest prefix of its id that the table has."""
    slope = table[max((prefix for prefix in table if name.startswith(prefix)), key=len)]
    return slope[level] if isinstance(slope, dict) else slope * share


def toy() -> pd.DataFrame:
    """A made-up table of the toy problem, in its shape."""
    removed = np.arange(17)
    shapes = {
        "truth": np.where(removed < 4, 0.99, 0.5),
        "random": 0.99 - 0.49 * (removed / 16) ** 3,
        "inverted": np.where(removed <= 12, 0.99, np.linspace(3.0, 0.5, 17)),
    }
    rows = [
        {"noise_term": noise, "ranking": ranking, "mode": mode, "removed": n, "sd": 0.02, "n": 10,
         "accuracy": 0.5 + (value - 0.5) * (0.66 if noise == "vector" else 1) * (1 if mode == "retrained" else 1 - n / 20)}
        for noise in ("scalar", "vector") for mode in ("retrained", "not retrained")
        for ranking, values in shapes.items() for n, value in zip(removed, np.minimum(values, 0.99), strict=True)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def write(frames: RoarFrames, folder: Path) -> Path:
    """Write a study as a results folder."""
    write_table(folder / "roar.parquet", frames.roar)
    write_table(folder / "trust.parquet", frames.trust)
    write_table(folder / "toy.csv", toy())
    return folder


def without(frames: RoarFrames, lost: Any) -> RoarFrames:
    """Take trainings out of a study, as if they had failed; `lost` marks rows of its `roar`."""
    failed = frames.roar[lost].assign(status="failed: made up")[list(frames.failed)]
    return dataclasses.replace(frames, roar=frames.roar[~lost].reset_index(drop=True), failed=failed)
