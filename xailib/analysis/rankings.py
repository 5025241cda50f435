"""Ranks of methods, and robust-minus-vanilla differences: the frames behind the two main figures."""

from dataclasses import replace
from functools import lru_cache

import numpy as np
import pandas as pd

from xailib.analysis import scores
from xailib.analysis.controls import telling
from xailib.analysis.draws import estimate, nanmean, over_units, ranks
from xailib.analysis.frames import Frames
from xailib.analysis.scores import Named

FAMILIES = {"gradient": "gradient", "cam": "CAM", "perturbation": "perturbation"}  # of methods, and as words


@lru_cache(maxsize=4)
def rank_draws(frames: Frames, bootstrap: int, seed: int) -> Named:
    """Return draws of the methods' ranks by recipe and metric (1 is the best)."""
    found = scores.means(frames, bootstrap, seed)
    return Named(ranks(found.values, found.place("method")), found.axes)


def families(frames: Frames) -> dict[str, list[str]]:
    """Return the methods of each family that the study has, controls apart."""
    found = {name: list(frames.methods.index[frames.methods["family"] == name]) for name in FAMILIES}
    return {name: methods for name, methods in found.items() if methods}


def method_ranks(frames: Frames, bootstrap: int = 2000, seed: int = 0) -> pd.DataFrame:
    """Return the mean rank of each method over the metrics that can tell, with its interval, and under each metric.

    Columns: method, label, family, metric ("all" or one), metric_label, rank, low, high, models, images.
    """
    found = rank_draws(frames, bootstrap, seed)
    means = found.at(metric=telling(frames, bootstrap, seed)).mean("metric").values  # (draws, networks, methods)
    rows = []
    for i, method in enumerate(found.axes["method"]):
        observed = found.values[0, :, i]  # (models, metrics)
        facts = {"method": method, **frames.methods.loc[method, ["label", "family"]]}
        facts |= {"models": int(np.isfinite(observed).any(axis=1).sum()), "images": len(frames.images)}
        own = over_units(means[..., i], len(frames.images), frames.unit, ranks=True)
        rows.append({**facts, "metric": "all", "rank": own.value, "low": own.low, "high": own.high})
        for metric, rank in zip(found.axes["metric"], nanmean(observed, 0), strict=True):
            label = frames.metrics.loc[metric, "label"]
            rows.append({**facts, "metric": metric, "metric_label": label, "rank": float(rank)})
    return pd.DataFrame(rows)


def robust_differences(
    frames: Frames, bootstrap: int = 2000, seed: int = 0, groups: dict[str, list[str]] | None = None
) -> pd.DataFrame:
    """Return robust minus vanilla by family and metric: one row an architecture, and one over all of them.

    With `groups` of methods, such as one a method, these take the place of the families.

    Columns: family, metric, metric_label, architecture ("all" or one), its label, value (above zero: robust is better),
    low, high (95 %: over architectures and images for "all", over images for one), n (architectures), images.
    """
    if not scores.twins(frames):
        return pd.DataFrame()
    gain, rows = scores.gain(scores.means(frames, bootstrap, seed), frames), []
    for family, methods in (families(frames) if groups is None else groups).items():
        found = gain.at(method=methods).mean("method")  # (draws, architectures, metrics)
        for metric, draws in zip(found.axes["metric"], np.moveaxis(found.values, -1, 0), strict=True):
            facts = {"family": family, "metric": metric, "metric_label": frames.metrics.loc[metric, "label"]}
            images = frames.scored(metric)
            units = [("all", "all", over_units(draws, images))]
            for name, own in zip(found.axes["model"], draws.T, strict=True):
                units.append((name, frames.architecture_label(name), replace(estimate(own, images), n=1)))
            for name, label, own in units:
                row = {"architecture": name, "label": label, "value": own.value, "low": own.low, "high": own.high}
                rows.append({**facts, "images": images, **row, "n": own.n})
    return pd.DataFrame(rows)
