"""Ranks of methods, and robust-minus-vanilla differences: the frames behind the two main figures."""

from functools import lru_cache

import numpy as np
import pandas as pd

from xailib.analysis import scores, verdicts
from xailib.analysis.frames import Frames
from xailib.analysis.scores import Array
from xailib.analysis.statistics import draws, interval

FAMILIES = ("gradient", "cam", "perturbation")


def ranks(values: Array) -> Array:
    """Rank methods along the second-last axis of goodness `(..., methods, metrics)`: 1 is the best, ties share.

    Where a method has no score, the others' ranks are stretched to the full range, so that the first and the last mean
    the same everywhere.
    """
    known = np.isfinite(values)
    a, b = values[..., :, None, :], values[..., None, :, :]
    with np.errstate(invalid="ignore"):
        # Rounding noise of 1e-9 is no difference: GradCAM and CAM can be the same map.
        rank = 1 + (b > a + 1e-9).sum(axis=-2) + 0.5 * ((np.abs(b - a) <= 1e-9).sum(axis=-2) - 1)
    count, methods = known.sum(axis=-2, keepdims=True), values.shape[-2]
    stretched = 1 + (rank - 1) * (methods - 1) / np.maximum(count - 1, 1)
    return np.where(known, stretched, np.nan)


@lru_cache(maxsize=4)
def rank_samples(frames: Frames, bootstrap: int, seed: int, column: str = "value") -> tuple[Array, Array, scores.Means]:
    """Return ranks `(models, methods, metrics)`, bootstrap mean ranks `(resamples, methods)`, the means."""
    found = scores.means(frames, bootstrap, seed, column)
    observed = ranks(found.values)
    chosen = draws(len(found.cube.models), bootstrap, seed)
    parts = [  # in chunks: the pairwise comparison holds resamples x models x methods^2 x metrics numbers
        scores.nanmean(
            np.take_along_axis(ranks(found.samples[i : i + 100]), chosen[i : i + 100, :, None, None], axis=1),
            axis=(1, 3),
        )
        for i in range(0, bootstrap, 100)
    ]
    return observed, np.concatenate(parts), found


def method_ranks(frames: Frames, bootstrap: int = 2000, seed: int = 0) -> pd.DataFrame:
    """Return the mean rank of each method over all metrics, with its interval, and under each metric.

    Columns: method, label, family, metric ("all" or one), metric_label, rank, low, high, models, images.
    """
    observed, samples, found = rank_samples(frames, bootstrap, seed)
    rows = []
    for i, method in enumerate(found.cube.methods):
        facts = {"method": method, **frames.methods.loc[method, ["label", "family"]]}
        facts |= {"models": int(np.isfinite(observed[:, i]).any(axis=1).sum()), "images": found.images}
        low, high = interval(samples[:, i], units=len(found.cube.models))
        rows.append(
            {**facts, "metric": "all", "rank": float(scores.nanmean(observed[:, i], (0, 1))), "low": low, "high": high}
        )
        for j, metric in enumerate(found.cube.metrics):
            rows.append(
                {
                    **facts,
                    "metric": metric,
                    "metric_label": frames.metrics.loc[metric, "label"],
                    "rank": float(scores.nanmean(observed[:, i, j], 0)),
                }
            )
    return pd.DataFrame(rows)


def family_differences(found: scores.Means, frames: Frames, family: str, metrics: list[str]) -> tuple[Array, Array]:
    """Return robust minus vanilla goodness `(pairs,)` and samples `(resamples, pairs)` for one family of methods.

    Within a pair only methods that both networks have are averaged.
    """
    rows = [i for i, name in enumerate(found.cube.methods) if family in (frames.methods.loc[name, "family"], "all")]
    columns = [i for i, name in enumerate(found.cube.metrics) if name in metrics]
    values, samples = [], []
    for _, robust, vanilla in scores.twins(frames):
        first, second = found.cube.models.index(robust), found.cube.models.index(vanilla)
        for part, kept in ((found.values, values), (found.samples, samples)):
            cells = (part[..., first, :, :] - part[..., second, :, :])[..., rows, :][..., columns]
            kept.append(scores.nanmean(cells, axis=(-2, -1)))
    return np.array(values), np.stack(samples, axis=-1)


def robust_differences(frames: Frames, bootstrap: int = 2000, seed: int = 0) -> pd.DataFrame:
    """Return robust minus vanilla by family and metric: one row an architecture, and one over all of them.

    Columns: family, metric, metric_label, architecture ("all" or one), its label, value (above zero: robust is better),
    low, high (95 %: over architectures and images for "all", over images for one), n (architectures), images.
    """
    pairs = scores.twins(frames)
    if not pairs:
        return pd.DataFrame()
    found = scores.means(frames, bootstrap, seed)
    rows = []
    for family in [name for name in FAMILIES if (frames.methods["family"] == name).any()]:
        for metric in found.cube.metrics:
            values, samples = family_differences(found, frames, family, [metric])
            facts = {
                "family": family,
                "metric": metric,
                "metric_label": frames.metrics.loc[metric, "label"],
                "images": found.images,
            }
            whole = verdicts.over_units(values, samples, seed)
            rows.append(
                {
                    **facts,
                    "architecture": "all",
                    "label": "all",
                    "value": whole.value,
                    "low": whole.low,
                    "high": whole.high,
                    "n": whole.n,
                }
            )
            for (architecture, *_), value, copies in zip(pairs, values, samples.T, strict=True):
                low, high = interval(copies)
                rows.append(
                    {
                        **facts,
                        "architecture": architecture,
                        "label": frames.architecture_label(architecture),
                        "value": value,
                        "low": low,
                        "high": high,
                        "n": 1,
                    }
                )
    return pd.DataFrame(rows)
