"""Quantus' metrics that explain again: robustness against noise on the image, and against another class."""

import math
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from annotated_types import Ge, Gt
from torch import Tensor

from xailib.attribution.calls import as_explain_func
from xailib.images import ImageBatch
from xailib.metrics.again import recipe
from xailib.metrics.quantus import scored, spearman
from xailib.metrics.shown import CONSTANT
from xailib.models.model import Model
from xailib.registry import metric

if TYPE_CHECKING:
    import pandas as pd

AGAIN = {"better": "lower", "nan": CONSTANT, "explains": True}


@metric("avg_sensitivity", range=(0, math.inf), label="Mean sensitivity", paper="Yeh et al. 2019; Quantus", **AGAIN)
def avg_sensitivity(
    maps: Tensor,
    model: Model,
    images: ImageBatch,
    *,
    samples: Annotated[int, Ge(1)] = 10,
    radius: Annotated[float, Gt(0)] = 0.02,
    seed: int = 0,
) -> "pd.DataFrame":
    """The mean change of a map, as a share of its norm, over noisy images; as captum's `max_sensitivity`, its options too."""
    return _again("AvgSensitivity", maps, model, images, seed, nr_samples=samples, lower_bound=radius)


@metric(
    "local_lipschitz", range=(0, math.inf), label="Local Lipschitz",
    paper="Alvarez-Melis & Jaakkola 2018, arXiv 1806.08049; Quantus", **AGAIN,
)  # fmt: skip
def local_lipschitz(
    maps: Tensor,
    model: Model,
    images: ImageBatch,
    *,
    samples: Annotated[int, Ge(1)] = 10,
    noise: Annotated[float, Gt(0)] = 0.1,
    seed: int = 0,
) -> "pd.DataFrame":
    """The largest change of a map divided by its maximum, a unit of change of the image, over noisy images.

    Args:
        samples: noisy images, each explained anew.
        noise: its standard deviation, pixels in [0, 1].
        seed: of the noise, a stream that belongs to (seed, image).
    """
    return _again("LocalLipschitzEstimate", maps, model, images, seed, nr_samples=samples, perturb_std=noise)


@metric(
    "random_logit",
    range=(-1, 1),
    label="Random logit",
    paper="Sixt et al. 2020, arXiv 1912.09818; Quantus",
    **{**AGAIN, "nan": f"{CONSTANT}, or that of the other class is"},
)
def random_logit(maps: Tensor, model: Model, images: ImageBatch, *, seed: int = 0) -> "pd.DataFrame":
    """Rank correlation with the map of another class, drawn from (seed, image), in place of Quantus' SSIM of rows of pixels."""
    classes = len(model.class_names)
    return _again("RandomLogit", maps, model, images, seed, num_classes=classes, similarity_func=spearman)


def _again(name: str, maps: Tensor, model: Model, images: ImageBatch, seed: int, **options: Any) -> "pd.DataFrame":
    """Scores of a metric that needs the method itself: the one that made the maps."""
    maps, own = recipe(maps, model, f"Quantus' {name}")
    images = images.with_labels(maps.targets)
    method = as_explain_func(maps.method, **own)

    def explain(*inputs: Any, **named: Any) -> np.ndarray:
        return method(*inputs, **named).astype(float)  # as the maps are

    given = {"model": model, "explain_func": explain, "device": str(model.device)}
    return scored(name, maps.values, images, seed=seed, call=lambda i: given, **options)
