"""LIME: a linear model of the network over superpixels, fitted around the image."""

from typing import Annotated

import torch
from annotated_types import Ge, Gt
from torch import Tensor

from xailib import engine
from xailib.attribution.designs import Design, halves
from xailib.attribution.superpixels import Coalitions, Hidden, Spread, counts, hide, paint, stack_padded, superpixels
from xailib.errors import InputError
from xailib.models.model import Model
from xailib.registry import method
from xailib.seeding import generators


@method("lime", family="perturbation", label="LIME", paper="Ribeiro et al. 2016, algorithm 1")
def lime(
    model: Model,
    pixels: Tensor,
    targets: Tensor,
    *,
    seed: int = 0,
    samples: Annotated[int, Ge(1)] = 1000,
    segments: Annotated[int, Ge(1)] = 50,
    kernel_width: Annotated[float, Gt(0)] = 0.25,
    alpha: Annotated[float, Gt(0)] = 1.0,
    hidden: Hidden = "mean",
    output: engine.Output = "probability",
    spread: Spread = "whole",
    compactness: Annotated[float, Gt(0)] = 30.0,
    sigma: Annotated[float, Ge(0)] = 3.0,
    design: Design = "independent",
) -> Tensor:
    """Coefficients of a ridge regression from shown superpixels to the target's output; signed.

    Each superpixel is shown with probability 1/2; the first of independent samples shows all. Samples are weighted by
    exp(-d^2 / (2 kernel_width^2)), d the cosine distance between the coalition and the full one, as in the authors'
    package.

    Options:
        samples: coalitions an image, one pass each.
        segments, compactness, sigma: of SLIC; sigma in pixels of a 224 px side.
        kernel_width, alpha: of the sample weights; strength of the ridge (intercept free).
        hidden: what a hidden superpixel shows: the model's `mean` colour, as in Deletion and RISE; its own
            `segment_mean`, the package's default, which leaves evenly coloured objects in sight; or `black`.
        output: `probability` (the package) or `logit`.
        spread: `whole`, each pixel carries its superpixel's coefficient (do not sum such a map), or `shared` by area.
        design: `independent` coalitions as in the package; `paired`, each with its complement; `orthogonal`, pairs in
            which no two superpixels correlate (see `designs`). All three have the same coefficients in the limit; the
            last two need an even number of samples.
    """
    if design != "independent" and samples % 2:
        raise InputError(f"method 'lime': option samples must be even for design '{design}', not {samples}")
    labels = superpixels(pixels, segments, compactness, sigma)
    shown = []
    for count, stream in zip(counts(labels), generators(pixels, seed, "lime"), strict=True):
        shown.append(halves(design, samples, count, stream))
        if design == "independent":
            shown[-1][0] = True
    coalitions = Coalitions(pixels, hide(model, pixels, labels, hidden), labels, stack_padded(shown).to(pixels.device))
    return paint(surrogates(model, targets, coalitions, counts(labels), output, kernel_width, alpha), labels, spread)


def surrogates(
    model: Model,
    targets: Tensor,
    coalitions: Coalitions,
    totals: list[int],
    output: engine.Output,
    kernel_width: float,
    alpha: float,
) -> Tensor:
    """Fit the linear models; returns coefficients float64 `(n, s)`, 0 where an image has no such superpixel.

    Args:
        totals: how many superpixels each image has.
    """
    scores = coalitions.scores(model, targets, output, "lime")
    weights = _weights(coalitions.shown, torch.tensor(totals, device=scores.device), kernel_width)
    parts = torch.arange(len(scores)).split(64)  # float64 coalitions of 64 images at a time
    return torch.cat([ridge(coalitions.shown[part].double(), scores[part], weights[part], alpha) for part in parts])


def _weights(shown: Tensor, totals: Tensor, kernel_width: float) -> Tensor:
    """Kernel weights `(n, samples)`: the cosine between a coalition of k of s and the full one is sqrt(k / s)."""
    distance = 1 - (shown.sum(2).double() / totals[:, None]).sqrt()
    return torch.exp(-(distance**2) / (2 * kernel_width**2))


def ridge(features: Tensor, values: Tensor, weights: Tensor, alpha: float) -> Tensor:
    """Weighted ridge regressions with a free intercept, one an image; returns coefficients `(n, s)`.

    Args:
        features: float64 `(n, samples, s)`. values, weights: float64 `(n, samples)`.
    """
    share = (weights / weights.sum(1, keepdim=True))[:, :, None]
    features = features - (share * features).sum(1, keepdim=True)
    values = values[:, :, None] - (share * values[:, :, None]).sum(1, keepdim=True)
    weighted = (weights[:, :, None] * features).mT
    penalty = alpha * torch.eye(features.shape[2], dtype=features.dtype, device=features.device)
    return torch.linalg.solve(weighted @ features + penalty, weighted @ values).squeeze(2)
