"""Infidelity by captum: do a map's sums tell what the output loses?"""

from typing import TYPE_CHECKING, Annotated

import torch
from annotated_types import Ge, Gt, Le
from torch import Tensor

from xailib import engine
from xailib.images import ImageBatch
from xailib.metrics.shown import CONSTANT, Shown, table
from xailib.models.model import Model
from xailib.registry import metric
from xailib.seeding import generators

if TYPE_CHECKING:
    import pandas as pd


@metric(
    "infidelity",
    better="lower",
    range=(0, 1),
    label="Infidelity",
    nan=CONSTANT,
    paper="Yeh et al. 2019, arXiv 1901.09392, definition 2.1, normalised as in its code; by captum",
)
def infidelity(
    maps: Tensor,
    model: Model,
    images: ImageBatch,
    *,
    samples: Annotated[int, Ge(2)] = 100,
    window: Annotated[float, Gt(0), Le(1)] = 0.25,
    output: engine.Output = "probability",
    seed: int = 0,
) -> "pd.DataFrame":
    """How far the sum of a map over a square is from what the output loses when the square is covered; mean square.

    A map counts up to a factor, the best for it, be it negative: turning a map's sign changes nothing. 0 is a map whose sums
    tell every loss; no map exceeds the mean square of the losses.

    Args:
        samples: random squares, one pass each, and one of the whole image.
        window: side of a square, as a share of the image's shorter one; what it covers shows the model's mean colour.
        output: `probability`, or `logit`, whose losses may exceed 1.
        seed: of the squares' places, a stream that belongs to (seed, image).
    """
    from captum.metrics import infidelity as measure

    height, width = maps.shape[1:]
    side = max(1, round(window * min(height, width)))
    found = []
    for i, stream in enumerate(generators(images.pixels, seed, "infidelity")):
        top = torch.randint(height - side + 1, (samples, 1, 1, 1), generator=stream)
        left = torch.randint(width - side + 1, (samples, 1, 1, 1), generator=stream)
        rows, columns = torch.arange(height)[:, None], torch.arange(width)
        squares = ((rows >= top) & (rows < top + side) & (columns >= left) & (columns < left + side)).float()

        def cover(shown: Tensor, squares: Tensor = squares) -> tuple[Tensor, Tensor]:
            return squares, shown - squares

        network, whole = Shown(model, images.pixels[i], output), torch.ones(1, 1, height, width)
        given = {"target": int(images.labels[i]), "n_perturb_samples": samples, "normalize": True}
        found.append(float(measure(network, cover, whole, maps[i, None, None].double(), **given)))
    return table(found, maps)
