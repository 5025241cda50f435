"""Quantus' metrics of maps alone: how concentrated a map is, and how much of it lies on the object."""

import math
from typing import TYPE_CHECKING, Annotated

from annotated_types import Gt, Lt
from torch import Tensor

from xailib.images import ImageBatch
from xailib.metrics.quantus import scored
from xailib.metrics.ranks import share_of_highest
from xailib.metrics.shown import CONSTANT, table
from xailib.models.model import Model
from xailib.registry import metric

if TYPE_CHECKING:
    import pandas as pd

NO_OBJECT = f"{CONSTANT}, or the image has no object"
OF_MAPS = {"passes": False, "nan": CONSTANT}
ON_OBJECTS = {"better": "higher", "range": (0, 1), "passes": False, "nan": NO_OBJECT}


@metric(
    "sparseness", better="higher", range=(0, 1), label="Sparseness", paper="Chalasani et al. 2020; Quantus", **OF_MAPS
)
def sparseness(maps: Tensor, model: Model, images: ImageBatch) -> "pd.DataFrame":
    """Gini index of the map's absolute values: 0 where all are equal, near 1 where few have it all."""
    return scored("Sparseness", maps, images)


@metric(
    "complexity",
    better="lower",
    range=(0, 1),
    label="Complexity",
    paper="Bhatt et al. 2020, def. 4; Quantus",
    **OF_MAPS,
)
def complexity(maps: Tensor, model: Model, images: ImageBatch) -> "pd.DataFrame":
    """Entropy of the map's absolute values as shares of their sum, divided by what an even map has; Quantus gives nats."""
    return scored("Complexity", maps, images) / math.log(maps[0].numel())


@metric(
    "effective_complexity", better="lower", range=(0, 1), label="Effective complexity",
    paper="Nguyen & Martinez 2020, arXiv 2007.07584; Quantus", **OF_MAPS,
)  # fmt: skip
def effective_complexity(
    maps: Tensor, model: Model, images: ImageBatch, *, eps: Annotated[float, Gt(0), Lt(1)] = 0.05
) -> "pd.DataFrame":
    """Share of the pixels whose absolute value is above `eps` of the largest; Quantus counts them."""
    frame = scored("EffectiveComplexity", maps, images, eps=eps)
    return frame / maps[0].numel()


@metric(
    "attribution_localisation",
    label="Attribution localisation",
    paper="Kohlbrenner et al. 2020, eq. 5; Quantus",
    **ON_OBJECTS,
)
def attribution_localisation(maps: Tensor, model: Model, images: ImageBatch) -> "pd.DataFrame":
    """Share of the map's absolute values that lies on the object: its mask, or the union of its boxes."""
    return scored("AttributionLocalisation", maps, images, masks=True)


@metric(
    "roc_auc",
    label="ROC AUC",
    paper="Fawcett 2006, as Quantus' AUC",
    **{**ON_OBJECTS, "nan": f"{NO_OBJECT}, or nothing else"},
)
def roc_auc(maps: Tensor, model: Model, images: ImageBatch) -> "pd.DataFrame":
    """How likely a pixel of the object has a higher value than one off it; chance is 1/2."""
    return scored("AUC", maps, images, masks=True)


@metric("top_k_intersection", label="Top-k", paper="Theiner et al. 2021, arXiv 2104.14995, as Quantus'", **ON_OBJECTS)
def top_k_intersection(
    maps: Tensor, model: Model, images: ImageBatch, *, share: Annotated[float, Gt(0), Lt(1)] = 0.02
) -> "pd.DataFrame":
    """Share of the highest pixels that lies on the object; `share` says how many of all pixels these are.

    Of equal values at the last place, what a random choice among them would expect; Quantus takes those that its sort meets.
    """
    k = max(1, round(share * maps[0].numel()))
    pairs = zip(maps.flatten(1).numpy(), images.masks.cpu().flatten(1).numpy(), strict=True)
    return table([share_of_highest(*pair, k) if pair[1].any() else math.nan for pair in pairs], maps)
