"""RISE: the mean of random smooth masks, each weighted by the score the network gives to the masked image.

Petsiuk, Das, Saenko: RISE, Randomized Input Sampling for Explanation of Black-box Models, BMVC 2018, equation 6.
"""

import math
from typing import Literal

import torch
from torch import Tensor

from xailib import engine
from xailib.attribution.seeding import shared_generator
from xailib.errors import InputError
from xailib.models.model import Model
from xailib.registry import method

Fill = Literal["mean", "black"]

BLOCK = 256  # masks built at a time when the map is summed


class Masks:
    """`count` random masks over `height` x `width` pixels, kept as bits and shifts and built when asked for.

    Recipe (section 3.2 of the paper and its released code): a grid of `cells` x `cells` independent bits that are 1
    with probability `p`, stretched bilinearly to (cells + 1) cells a side, then cropped at a random shift of less than
    one cell. A mask is rows @ bits @ columns, where the rows of the bilinear stretch are the same for every mask.
    The draw depends on the seed alone, so that images and networks share their masks.
    """

    def __init__(
        self, count: int, height: int, width: int, cells: int, p: float, seed: int, device: torch.device
    ) -> None:
        generator = shared_generator(seed, "rise")
        self.bits = (torch.rand(count, cells, cells, generator=generator) < p).float().to(device)
        sides = [math.ceil(side / cells) for side in (height, width)]
        self.shifts = [torch.randint(cell, (count,), generator=generator).to(device) for cell in sides]
        # (cell, side, cells): the rows of the stretch for every shift
        self.rows = [
            stretch(cells, (cells + 1) * cell).unfold(0, side, 1).transpose(1, 2)[:cell].to(device)
            for cell, side in zip(sides, (height, width), strict=True)
        ]

    def __call__(self, index: Tensor | slice) -> Tensor:
        """Return the masks `(b, h, w)`, in [0, 1], at `index`."""
        down, across = (rows[shift[index]] for rows, shift in zip(self.rows, self.shifts, strict=True))
        return down @ self.bits[index] @ across.transpose(1, 2)


def stretch(cells: int, size: int) -> Tensor:
    """Return the matrix `(size, cells)` of a bilinear stretch: half-pixel centres, mirrored at the edge cells."""
    position = (torch.arange(size, dtype=torch.float64) + 0.5) * cells / size - 0.5
    last = cells - 1
    position = last - (last - position.abs()).abs()
    return (1 - (position[:, None] - torch.arange(cells)).abs()).clamp(min=0).float()


@method("rise", family="perturbation", label="RISE", paper="Petsiuk et al. 2018")
def rise(
    model: Model,
    pixels: Tensor,
    targets: Tensor,
    *,
    seed: int = 0,
    masks: int = 8000,
    cells: int = 7,
    p: float = 0.5,
    fill: Fill = "mean",
    output: engine.Output = "probability",
) -> Tensor:
    """Return RISE maps `(n, h, w)`: sum over masks of score x mask, divided by (number of masks x p).

    Args:
        model: the network.
        pixels: `(n, 3, h, w)` in [0, 1], on the model's device.
        targets: `(n,)`, class indices.
        seed: of the grids and shifts; the same for all images.
        masks: number of masks, N in the paper.
        cells: cells a side of the grid.
        p: probability that a cell is kept.
        fill: what a masked pixel shows: "mean" is the network's mean colour (the released code multiplies the
            normalised image), "black" is 0.
        output: what is scored, the softmax "probability" of the paper or the "logit".
    """
    _check(masks, cells, p, fill, min(pixels.shape[-2:]))
    n, _, height, width = pixels.shape
    build = Masks(masks, height, width, cells, p, seed, pixels.device)
    ground = model.mean_colour if fill == "mean" else torch.zeros_like(model.mean_colour)
    above = (pixels - ground).contiguous(memory_format=torch.channels_last)

    def perturbed(images: Tensor, samples: Tensor) -> Tensor:
        return torch.addcmul(ground, build(samples)[:, None], above[images])

    scores = engine.scores(model, targets, masks, perturbed, output, description="RISE")
    maps = torch.zeros(n, height * width, device=pixels.device)
    for start in range(0, masks, BLOCK):
        part = slice(start, start + BLOCK)
        maps += scores[:, part] @ build(part).flatten(1)
    return maps.view(n, height, width) / (masks * p)


def _check(masks: int, cells: int, p: float, fill: str, side: int) -> None:
    """Raise `InputError` for an option out of range."""
    if masks < 1:
        raise InputError(f"method 'rise': option masks must be at least 1, not {masks}")
    if not 2 <= cells <= side:
        raise InputError(
            f"method 'rise': option cells must be from 2 to the image's side of {side} pixels, not {cells}"
        )
    if not 0 < p <= 1:
        raise InputError(f"method 'rise': option p, the share of kept cells, must be above 0 and at most 1, not {p}")
    if fill not in ("mean", "black"):
        raise InputError(f"method 'rise': option fill must be 'mean' or 'black', not '{fill}'")
