"""Scores as arrays over (models, methods, metrics, images), their bootstrap copies, and who is compared with whom."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from xailib.analysis import statistics
from xailib.analysis.frames import Frames

Array = NDArray[np.float64]
AXES = ("model", "method", "metric", "image")


@dataclass(frozen=True)
class Cube:
    """Scores as one array `(models, methods, metrics, images)`, NaN where there is none."""

    values: Array
    models: list[str]
    methods: list[str]
    metrics: list[str]
    images: list[str]


def cube(frames: Frames, column: str = "value", controls: bool = False) -> Cube:
    """Arrange one column of the scores as a `Cube`, with or without the control methods."""
    methods = list(frames.methods.index[controls | (frames.methods["family"] != "control")])
    axes = [list(frames.models.index), methods, list(frames.metrics.index), frames.images]
    values = np.full([len(axis) for axis in axes], np.nan)
    if column in frames.scores:
        rows = frames.scores[frames.scores["method"].isin(methods)]
        places = [pd.Index(axis, dtype=object).get_indexer(rows[name]) for axis, name in zip(axes, AXES, strict=True)]
        values[tuple(places)] = rows[column].to_numpy(float)
    return Cube(values, *axes)


def goodness(values: Array, frames: Frames, metrics: list[str]) -> Array:
    """Put `values` `(..., metrics, images)` on one scale: 0 is the metric's worst score and 1 its best."""
    facts = frames.metrics.loc[metrics]
    low, high = (facts[side].to_numpy(float)[:, None] for side in ("low", "high"))
    scaled = (values - low) / (high - low)
    return np.where((facts["better"] == "lower").to_numpy()[:, None], 1 - scaled, scaled)


@dataclass(frozen=True)
class Means:
    """Means over images, and the same over bootstrap copies of the images.

    Attributes:
        values: `(models, methods, metrics)`.
        samples: `(resamples, models, methods, metrics)`; copies are shared by all cells, so differences are paired.
        cube: the scores behind them.
    """

    values: Array
    samples: Array
    cube: Cube

    @property
    def images(self) -> int:
        """Number of images."""
        return len(self.cube.images)

    def pick(self, *, methods: list[str] | None = None, metrics: list[str] | None = None) -> tuple[Array, Array]:
        """Return values `(models,)` and samples `(resamples, models)`: the mean over some methods and metrics."""
        rows = [i for i, name in enumerate(self.cube.methods) if methods is None or name in methods]
        columns = [i for i, name in enumerate(self.cube.metrics) if metrics is None or name in metrics]
        return tuple(nanmean(part[..., rows, :][..., columns], axis=(-2, -1)) for part in (self.values, self.samples))


@lru_cache(maxsize=8)
def means(frames: Frames, bootstrap: int, seed: int, column: str = "value", oriented: bool = True) -> Means:
    """Average scores over images; `oriented` puts every metric on the scale of `goodness` first."""
    data = cube(frames, column)
    values = goodness(data.values, frames, data.metrics) if oriented else data.values
    return Means(nanmean(values, axis=-1), statistics.resampled_means(values, bootstrap, seed), data)


def nanmean(values: Array, axis: int | tuple[int, ...]) -> Array:
    """Mean over the values that are not NaN; NaN, without a warning, where there is none."""
    known = np.isfinite(values)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(known, values, 0.0).sum(axis=axis) / known.sum(axis=axis)


def shared_methods(data: Cube) -> list[str]:
    """Return the methods that have scores on every model, so that a mean over them compares like with like."""
    measured = np.isfinite(data.values).any(axis=(2, 3)).all(axis=0)
    return [name for name, known in zip(data.methods, measured, strict=True) if known]


def twins(frames: Frames, kind: str = "robust", base: str = "vanilla") -> list[tuple[str, str, str]]:
    """Return (architecture, model, base model) for every model trained as `kind` with a `base` twin."""
    first = frames.models.reset_index().groupby(["architecture", "training_algorithm"], sort=False)["model"].first()
    rows = frames.models[frames.models["training_algorithm"] == kind]
    return [
        (row.architecture, model, first[row.architecture, base])
        for model, row in rows.iterrows()
        if (row.architecture, base) in first.index
    ]
