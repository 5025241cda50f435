"""Gradient and Integrated Gradients, and what every gradient-based method of this folder shares.

They run in fp32 whatever the engine's precision: bf16 shifts the ranks of pixel gradients (Spearman 0.95 to 0.99 with
the exact ones on a robust network), which metrics are made of.
"""

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from xailib import engine
from xailib.attribution.seeding import generators
from xailib.errors import InputError
from xailib.models.model import Model
from xailib.registry import method

Pooling = Literal["abs_max", "abs_sum", "signed_mean", "signed_sum"]
Reference = Literal["black", "mean", "random"]


def pool_channels(values: Tensor, pooling: Pooling) -> Tensor:
    """Reduce attributions `(n, 3, h, w)` over colour channels to `(n, h, w)`."""
    if pooling == "abs_max":
        return values.abs().amax(dim=1)
    if pooling == "abs_sum":
        return values.abs().sum(dim=1)
    return values.mean(dim=1) if pooling == "signed_mean" else values.sum(dim=1)


class ImageSums:
    """Sums `(n, 3, h, w)` of what a sampler hands over, image by image.

    A product with a 0/1 matrix instead of `index_add_`, whose order of additions is random on a GPU.
    """

    def __init__(self, like: Tensor) -> None:
        self.total = torch.zeros_like(like)

    def add(self, rows: slice, images: Tensor, values: Tensor) -> None:
        """Add `values` `(b, 3, h, w)` to the images with the (ascending) indices `images` `(b,)`, all within `rows`."""
        if len(images) == rows.stop - rows.start:  # each image once
            self.total[rows] += values
            return
        belongs = (images == torch.arange(rows.start, rows.stop, device=images.device)[:, None]).to(values.dtype)
        self.total[rows] += (belongs @ values.flatten(1)).view(-1, *values.shape[1:])


def exact_gradients(*arguments: Any) -> None:
    """`engine.gradients` in fp32, for methods that differentiate the network."""
    with engine.using(precision="fp32"):
        engine.gradients(*arguments)


def pixel_gradients(pixels: Tensor, forward: Callable[[Tensor, slice], Tensor], description: str) -> Tensor:
    """Gradients `(n, 3, h, w)` of `forward(inputs, part)`, an output for each of `inputs` = `pixels[part]`, in fp32."""

    def work(part: slice) -> Tensor:
        inputs = pixels[part].detach().requires_grad_()
        return engine.backward(forward(inputs, part), inputs)[0]

    with engine.using(precision="fp32"), torch.enable_grad():
        return torch.cat(engine.chunked(len(pixels), work, description=description))


def gradient_channels(
    model: Model, pixels: Tensor, targets: Tensor, *, seed: int = 0, output: engine.Output = "logit"
) -> Tensor:
    """`gradient` before its pooling: `(n, 3, h, w)`, signed."""

    def forward(inputs: Tensor, part: slice) -> Tensor:
        return engine.target_output(model, inputs, targets[part], output)

    return pixel_gradients(pixels, forward, "gradient")


@method(
    "gradient", family="gradient", label="Gradient", paper="Simonyan et al. 2014, section 3", channels=gradient_channels
)
def gradient(
    model: Model,
    pixels: Tensor,
    targets: Tensor,
    *,
    seed: int = 0,
    pooling: Pooling = "abs_max",
    output: engine.Output = "logit",
) -> Tensor:
    """The derivative of the target's output with respect to the pixels, units of output per unit of [0, 1] intensity.

    Options:
        pooling: over colour channels: `abs_max` (the paper), `abs_sum`, or signed `signed_mean`, `signed_sum`.
        output: what is derived, `logit` (the paper) or `probability` (after softmax).
    """
    return pool_channels(gradient_channels(model, pixels, targets, output=output), pooling)


def integrated_gradients_channels(
    model: Model,
    pixels: Tensor,
    targets: Tensor,
    *,
    seed: int = 0,
    steps: int = 50,
    reference: Reference = "black",
    trials: int = 10,
    output: engine.Output = "logit",
) -> Tensor:
    """`integrated_gradients` before its pooling: `(n, 3, h, w)`, signed, complete over all values."""
    positive("integrated_gradients", steps=steps, trials=trials)
    nodes, weights = np.polynomial.legendre.leggauss(steps)
    alphas = torch.tensor((nodes + 1) / 2, dtype=pixels.dtype, device=pixels.device).view(-1, 1, 1, 1)
    weights = torch.tensor(weights / 2, dtype=pixels.dtype, device=pixels.device).view(-1, 1, 1, 1)
    if reference != "random":
        start = model.mean_colour.expand_as(pixels) if reference == "mean" else torch.zeros_like(pixels)
        return _path_gradients(model, pixels, targets, start, alphas, weights, output) * (pixels - start)
    streams = generators(pixels, seed, "integrated_gradients")
    total = torch.zeros_like(pixels)
    for _ in range(trials):
        start = torch.stack([torch.rand(pixels.shape[1:], generator=stream) for stream in streams]).to(pixels)
        total += _path_gradients(model, pixels, targets, start, alphas, weights, output) * (pixels - start)
    return total / trials


@method(
    "integrated_gradients",
    family="gradient",
    label="IG",
    paper="Sundararajan et al. 2017, equation 1",
    channels=integrated_gradients_channels,
)
def integrated_gradients(
    model: Model,
    pixels: Tensor,
    targets: Tensor,
    *,
    seed: int = 0,
    steps: int = 50,
    reference: Reference = "black",
    trials: int = 10,
    pooling: Pooling = "signed_sum",
    output: engine.Output = "logit",
) -> Tensor:
    """(x - reference) times the mean gradient on the straight line between them, by Gauss-Legendre quadrature.

    With signed pooling the map sums to output(x) - output(reference) (completeness) up to the quadrature's error.

    Options:
        steps: quadrature nodes on the line, one pass forward and back each.
        reference: `black`, `mean` (the colour the model normalises to zero) or `random` (uniform noise, averaged).
        trials: noise images an image, for the `random` reference only; passes grow with it.
        pooling, output: as in `gradient`; the default keeps the sign and completeness.
    """
    options = {"seed": seed, "steps": steps, "reference": reference, "trials": trials, "output": output}
    return pool_channels(integrated_gradients_channels(model, pixels, targets, **options), pooling)


def _path_gradients(
    model: Model, pixels: Tensor, targets: Tensor, start: Tensor, alphas: Tensor, weights: Tensor, output: engine.Output
) -> Tensor:
    """Weighted mean gradient `(n, 3, h, w)` at the points `start + alpha (pixels - start)`."""
    steps, total = len(alphas), torch.zeros_like(pixels)

    def work(part: slice) -> None:
        images = range(part.start // steps, (part.stop - 1) // steps + 1)
        places = [slice(max(part.start - i * steps, 0), min(part.stop - i * steps, steps)) for i in images]
        lines = [torch.lerp(start[i], pixels[i], alphas[place]) for i, place in zip(images, places, strict=True)]
        inputs = torch.cat(lines).requires_grad_()
        classes = targets[torch.arange(part.start, part.stop, device=targets.device) // steps]
        (gradient,) = engine.backward(engine.target_output(model, inputs, classes, output), inputs)
        slopes = zip(places, gradient.split([len(line) for line in lines]), strict=True)
        sums = torch.stack([(weights[place] * slope).sum(0) for place, slope in slopes])
        total[images.start : images.stop] += sums

    with engine.using(precision="fp32"), torch.enable_grad():
        engine.chunked(len(pixels) * steps, work, description="integrated_gradients")
    return total


def positive(name: str, **counts: int) -> None:
    """Refuse an option of method `name` that counts something and is below 1."""
    for key, count in counts.items():
        if count < 1:
            raise InputError(f"method '{name}': option {key} must be at least 1, not {count}")
