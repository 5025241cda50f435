"""SHAP as expected gradients: Integrated Gradients averaged over reference images. In fp32, as every gradient here."""

from typing import Annotated, Literal

import torch
from annotated_types import Ge
from torch import Tensor

from xailib import engine
from xailib.attribution.pooling import pooled
from xailib.errors import InputError, named
from xailib.images.pictures import as_pixels
from xailib.models.model import Model
from xailib.registry import method
from xailib.seeding import generator, generators

Draws = Literal["independent", "stratified", "balanced"]


@method("shap", family="gradient", label="SHAP", paper="Lundberg & Lee 2017; Erion et al. 2021, eq. 2")
@pooled("signed_sum")
def shap(
    model: Model,
    pixels: Tensor,
    targets: Tensor,
    *,
    seed: int = 0,
    samples: Annotated[int, Ge(1)] = 50,
    references: Tensor | None = None,
    noise_references: Annotated[int, Ge(1)] = 50,
    draws: Draws = "stratified",
    output: engine.Output = "logit",
) -> Tensor:
    """GradientSHAP: the mean over samples of (x - r) times the gradient at a random point between x and r.

    An estimate of the Shapley values of the pixels for a model that is linear between x and a reference r drawn from
    a background distribution; equals Integrated Gradients averaged over references as the samples grow. No noise is
    added to x (as in captum's default). Values `(n, 3, h, w)` sum to output(x) - mean output(r) in expectation.

    Options:
        samples: random points (reference and place on the line) an image, one pass forward and back each.
        references: background images float32 `(k, 3, h, w)` in [0, 1]; a seeded sample of
            training images is the natural choice. None: images of uniform noise from the seed, shared by all images
            (Sturmfels et al. 2020, "uniform" and "expectation" baselines): a background that knows no data set.
        noise_references: how many noise images stand in for `references`.
        draws: `independent`, references with replacement and free places on the line, as captum draws; `stratified`,
            one place in each of `samples` equal parts of the line; `balanced`, stratified and with each reference
            equally often. All have the same expectation.
        output, pooling: as in `gradient`; the default keeps the sign.
    """
    references = background("shap", references, noise_references, pixels, seed)
    plan = [_draw(draws, samples, len(references), stream) for stream in generators(pixels, seed, "shap")]
    chosen, alphas = map(torch.stack, zip(*plan, strict=True))
    return expected_gradients(model, pixels, targets, references, chosen, alphas, output)


def background(name: str, references: Tensor | None, noise_references: int, pixels: Tensor, seed: int) -> Tensor:
    """Reference images `(k, 3, h, w)` for `pixels` `(n, 3, h, w)`: those that method `name` was given, or noise from the seed."""
    if references is None:
        shape = (noise_references, *pixels.shape[1:])
        references = torch.rand(shape, generator=generator(seed, "shap references"))
    if references.ndim != 4 or references.shape[1:] != pixels.shape[1:] or len(references) == 0:
        raise InputError(
            f"method '{name}': references must be images (k, {', '.join(map(str, pixels.shape[1:]))}) like the pixels, "
            f"not {tuple(references.shape)}"
        )
    with named(f"method '{name}': references"):
        return as_pixels(references).to(pixels)


def _draw(draws: Draws, samples: int, references: int, stream: torch.Generator) -> tuple[Tensor, Tensor]:
    """Which reference, and the place on the line, of every sample: both `(samples,)`."""
    if draws == "balanced":
        rounds = [torch.randperm(references, generator=stream) for _ in range(-(-samples // references))]
        chosen = torch.cat(rounds)[:samples][torch.randperm(samples, generator=stream)]
    else:
        chosen = torch.randint(references, (samples,), generator=stream)
    places = torch.rand(samples, generator=stream)
    return chosen, places if draws == "independent" else (torch.arange(samples) + places) / samples


def expected_gradients(
    model: Model,
    pixels: Tensor,
    targets: Tensor,
    references: Tensor,
    chosen: Tensor,
    alphas: Tensor,
    output: engine.Output = "logit",
) -> Tensor:
    """Mean over samples of (x - r) * gradient at r + alpha (x - r), `(n, 3, h, w)`.

    Args:
        references: `(k, 3, h, w)`.
        chosen, alphas: the draws `(n, samples)`: which reference, and the place on the line in [0, 1].
    """
    chosen, alphas = chosen.to(pixels.device), alphas.to(pixels)[:, :, None, None, None]
    total = torch.zeros_like(pixels)

    def perturbed(images: Tensor, samples: Tensor) -> Tensor:
        return torch.lerp(references[chosen[images, samples]], pixels[images], alphas[images, samples])

    def accumulate(rows: slice, images: Tensor, samples: Tensor, gradients: Tensor) -> None:
        values = gradients * (pixels[images] - references[chosen[images, samples]])
        if len(images) > rows.stop - rows.start:  # several samples an image
            # Summed by a 0/1 matrix: `index_add_` adds in a random order on a GPU.
            belongs = (images == torch.arange(rows.start, rows.stop, device=images.device)[:, None]).to(values.dtype)
            values = (belongs @ values.flatten(1)).view(-1, *values.shape[1:])
        total[rows] += values

    with engine.using(precision="fp32"):
        engine.gradients(model, targets, chosen.shape[1], perturbed, accumulate, output, "shap")
    return total / chosen.shape[1]
