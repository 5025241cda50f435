"""Relevance against the object's exact pixels: how much of a map lies on the object, without boxes, margins or thresholds."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from torch import Tensor

from xailib.images import ImageBatch
from xailib.metrics.checks import objects
from xailib.metrics.ranks import share_of_highest
from xailib.models.model import Model
from xailib.registry import metric

if TYPE_CHECKING:
    import pandas as pd

Truth = Literal["auto", "mask", "boxes"]
UNDEFINED = "the map is constant, or the image has no such true pixels"
FACTS = {"better": "higher", "passes": False, "range": (0, 1), "columns": ("exact",)}


@metric(
    "relevance_mass",
    label="Relevance mass",
    nan=f"{UNDEFINED}, or no relevance is positive",
    paper="Arras et al. 2022, CLEVR-XAI, arXiv 2003.07258, relevance mass accuracy",
    **FACTS,
)
def relevance_mass(maps: Tensor, model: Model, images: ImageBatch, *, truth: Truth = "auto") -> "pd.DataFrame":
    """Share of the map's positive relevance that lies on the object, in [0, 1].

    A map that is positive everywhere, as RISE's, can reach little more than the object's share of the image.

    Args:
        truth: the object's pixels: its exact `mask`, or the union of its `boxes`; `auto` is the mask where there is one. An
            image has one where its mask is not just the union of its boxes.

    Returns:
        `value`, and `exact`: 1 where the truth was an exact mask, 0 where boxes.
    """
    return _table(maps, images, truth, _mass)


@metric(
    "relevance_rank",
    label="Relevance rank",
    nan=UNDEFINED,
    paper="Arras et al. 2022, CLEVR-XAI, arXiv 2003.07258, relevance rank accuracy",
    **FACTS,
)
def relevance_rank(maps: Tensor, model: Model, images: ImageBatch, *, truth: Truth = "auto") -> "pd.DataFrame":
    """Share of the K highest pixels that lie on the object of K pixels, in [0, 1].

    Of equal values at the K-th place, as many as are needed count with the share of them that lies on the object: what a
    random choice among them would expect. `truth` and columns as in `relevance_mass`.
    """
    return _table(maps, images, truth, _rank)


@metric(
    "average_precision",
    label="Average precision",
    nan=UNDEFINED,
    paper="the area under precision and recall, sum of (R_k - R_k-1) P_k, as scikit-learn's average_precision_score",
    **FACTS,
)
def average_precision(maps: Tensor, model: Model, images: ImageBatch, *, truth: Truth = "auto") -> "pd.DataFrame":
    """Average precision of the map's values as a detector of the object's pixels, in [0, 1]; chance is the object's area.

    Equal values are one threshold. `truth` and columns as in `relevance_mass`.
    """
    return _table(maps, images, truth, _precision)


def _table(
    maps: Tensor, images: ImageBatch, truth: Truth, score: Callable[[np.ndarray, np.ndarray], float]
) -> "pd.DataFrame":
    """Score every map's pixels `(p,)` against bool ones, true on the object."""
    import pandas as pd

    boxes, exact = objects(images)
    exact &= truth != "boxes"
    true = torch.where(exact[:, None, None], images.masks.cpu(), boxes)
    if truth == "mask":
        true &= exact[:, None, None]
    pairs = zip(maps.flatten(1).numpy(), true.flatten(1).numpy(), strict=True)
    found = [score(values, there) if values.min() < values.max() and there.any() else np.nan for values, there in pairs]
    return pd.DataFrame({"value": found, "exact": exact.numpy()}, dtype=float)


def _mass(values: np.ndarray, there: np.ndarray) -> float:
    positive = values.clip(min=0).astype(float)
    inside, outside = positive[there].sum(), positive[~there].sum()
    return inside / (inside + outside) if inside + outside > 0 else np.nan


def _rank(values: np.ndarray, there: np.ndarray) -> float:
    return share_of_highest(values, there, there.sum())


def _precision(values: np.ndarray, there: np.ndarray) -> float:
    order = np.argsort(-values)
    falling = values[order]
    ends = np.append(np.flatnonzero(falling[1:] != falling[:-1]), len(values) - 1)  # the last of each of equal values
    hits = there[order].cumsum()[ends]
    return (np.diff(hits, prepend=0) * hits / (ends + 1)).sum() / hits[-1]
