"""Max sensitivity by captum: how far does a map change where the image hardly does?"""

import math
from typing import TYPE_CHECKING, Annotated, Any

import torch
from annotated_types import Ge, Gt
from torch import Tensor

from xailib.attribution.calls import explain_any
from xailib.images import ImageBatch
from xailib.metrics.again import recipe
from xailib.metrics.shown import CONSTANT, table
from xailib.models.model import Model
from xailib.registry import metric
from xailib.seeding import generators

if TYPE_CHECKING:
    import pandas as pd


@metric(
    "max_sensitivity",
    better="lower",
    range=(0, math.inf),
    label="Max sensitivity",
    nan=CONSTANT,
    explains=True,
    paper="Yeh et al. 2019, arXiv 1901.09392, definition 3.1; by captum",
)
def max_sensitivity(
    maps: Tensor,
    model: Model,
    images: ImageBatch,
    *,
    samples: Annotated[int, Ge(1)] = 10,
    radius: Annotated[float, Gt(0)] = 0.02,
    seed: int = 0,
) -> "pd.DataFrame":
    """The largest change of a map, as a share of its norm, over images within `radius` of the image, value by value.

    What a method draws for an image (its stream belongs to the image's content) is drawn anew for each of them.

    Args:
        samples: noisy images, each explained anew.
        radius: of the noise, pixels in [0, 1].
        seed: of the noise, a stream that belongs to (seed, image).
    """
    from captum.metrics import sensitivity_max as measure

    maps, options = recipe(maps, model, "max sensitivity")
    found: list[float] = []

    def explain(pixels: Tensor | tuple[Tensor], target: Any) -> tuple[Tensor]:
        inputs = pixels[0] if isinstance(pixels, tuple) else pixels
        values = explain_any(maps.method, model, inputs, target, **options)
        return (values.double(),)  # in which squares of small values do not vanish

    for i, stream in enumerate(generators(images.pixels, seed, "max_sensitivity")):

        def disturb(pixels: Tensor, radius: float, stream: torch.Generator = stream) -> Tensor:
            return pixels + radius * (2 * torch.rand(pixels.shape, generator=stream) - 1)

        given = {"perturb_radius": radius, "n_perturb_samples": samples, "target": int(maps.targets[i])}
        found.append(float(measure(explain, images.pixels[i, None].cpu(), disturb, **given)))
    return table(found, maps.values)
