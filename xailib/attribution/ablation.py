"""Superpixels taken away, by captum: Feature Ablation one at a time, Shapley Value Sampling one after the other."""

from typing import Annotated

from annotated_types import Ge
from torch import Tensor

from xailib import engine
from xailib.attribution.occlusion import explained
from xailib.attribution.superpixels import Hidden, hide, superpixels
from xailib.models.model import Model
from xailib.registry import method

SLIC = {"compactness": 30.0, "sigma": 3.0}  # as in LIME and KernelSHAP


@method("feature_ablation", family="perturbation", label="Ablation", paper="captum's FeatureAblation, over superpixels")
def feature_ablation(
    model: Model,
    pixels: Tensor,
    targets: Tensor,
    *,
    seed: int = 0,
    segments: Annotated[int, Ge(1)] = 50,
    hidden: Hidden = "mean",
    output: engine.Output = "probability",
) -> Tensor:
    """How far the output falls when a superpixel is covered; options as in `lime`."""
    from captum.attr import FeatureAblation

    labels = superpixels(pixels, segments, **SLIC)
    covered = hide(model, pixels, labels, hidden)
    return explained(FeatureAblation, model, pixels, targets, covered, output, seed, labels)


@method("shapley_value_sampling", family="perturbation", label="Shapley", paper="Castro et al. 2009, algorithm 1")
def shapley_value_sampling(
    model: Model,
    pixels: Tensor,
    targets: Tensor,
    *,
    seed: int = 0,
    samples: Annotated[int, Ge(1)] = 25,
    segments: Annotated[int, Ge(1)] = 50,
    hidden: Hidden = "mean",
    output: engine.Output = "probability",
) -> Tensor:
    """The mean over random orders of what the output gains when a superpixel is shown in its turn.

    Its superpixels' values add up to the difference between the whole image and the covered one, for any number of orders.

    Options:
        samples: orders an image, with as many passes each as there are superpixels.
        segments, hidden, output: as in `lime`.
    """
    from captum.attr import ShapleyValueSampling

    labels = superpixels(pixels, segments, **SLIC)
    covered = hide(model, pixels, labels, hidden)
    return explained(ShapleyValueSampling, model, pixels, targets, covered, output, seed, labels, n_samples=samples)
