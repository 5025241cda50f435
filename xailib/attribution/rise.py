"""RISE: the mean of random smooth masks, each weighted by the score the network gives to the masked image.

Petsiuk, Das, Saenko: RISE, Randomized Input Sampling for Explanation of Black-box Models, BMVC 2018, equation 6.
"""

import math
from typing import Annotated, Literal

import torch
from annotated_types import Ge, Gt, Le
from torch import Tensor

from xailib import engine
from xailib.attribution.designs import halves
from xailib.errors import InputError
from xailib.models.model import Model
from xailib.registry import method
from xailib.seeding import generator

Fill = Literal["mean", "black"]
Weighting = Literal["plain", "centred", "regression"]
Design = Literal["independent", "paired"]

BLOCK = 256  # masks built at a time when the map is summed


class Masks:
    """`count` random masks over `height` x `width` pixels, kept as bits and shifts and built when asked for.

    Recipe (section 3.2 of the paper and its released code): a grid of `cells` x `cells` independent bits that are 1
    with probability `p`, stretched bilinearly to (cells + 1) cells a side, then cropped at a random shift of less than
    one cell. A mask is rows @ bits @ columns, where the rows of the bilinear stretch are the same for every mask.
    The draw depends on the seed alone, so that images and networks share their masks. Paired masks 2k and 2k + 1
    add up to one.
    """

    def __init__(
        self,
        count: int,
        height: int,
        width: int,
        cells: int,
        p: float,
        seed: int,
        device: torch.device,
        design: Design = "independent",
    ) -> None:
        stream, group = generator(seed, "rise"), 1 if design == "independent" else 2
        if design == "independent":
            bits = torch.rand(count, cells, cells, generator=stream) < p
        else:
            bits = halves(design, count, cells**2, stream).view(count, cells, cells)
        self.bits = bits.float().to(device)
        sides = [math.ceil(side / cells) for side in (height, width)]
        self.shifts = [
            torch.randint(cell, (count // group,), generator=stream).repeat_interleave(group).to(device)
            for cell in sides
        ]
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
    masks: Annotated[int, Ge(1)] = 8000,
    cells: Annotated[int, Ge(2)] = 7,
    p: Annotated[float, Gt(0), Le(1)] = 0.5,
    fill: Fill = "mean",
    output: engine.Output = "probability",
    weighting: Weighting = "plain",
    design: Design = "independent",
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
        weighting: "plain" as in the paper. Two others estimate the same map from fewer masks: "centred" takes an
            image's mean score off before the sum and adds it to the map; "regression" fits the scores by masks, so
            that the masks' own chance correlations drop out (see `regressed`).
        design: "independent" grids as in the paper; or "paired", each with its complement, which needs p = 0.5 and an
            even number of masks.
    """
    n, _, height, width = pixels.shape
    if cells > (side := min(height, width)):
        raise InputError(f"method 'rise': option cells must be at most the image's side of {side} pixels, not {cells}")
    if design != "independent" and (p != 0.5 or masks % 2):
        raise InputError(
            f"method 'rise': option design '{design}' draws pairs, so p must be 0.5 and masks even, not {p} and {masks}"
        )
    build = Masks(masks, height, width, cells, p, seed, pixels.device, design)
    ground = model.mean_colour if fill == "mean" else torch.zeros_like(model.mean_colour)
    above = pixels - ground

    def perturbed(images: Tensor, samples: Tensor) -> Tensor:
        return torch.addcmul(ground, build(samples)[:, None], above[images])

    scores = engine.scores(model, targets, masks, perturbed, output, description="RISE")
    if weighting == "regression" and p < 1:  # every mask is whole otherwise, and the sum is the mean score
        return regressed(build, scores.double(), p, paired=design != "independent").float()
    mean = scores.mean(1, keepdim=True) if weighting == "centred" else torch.zeros_like(scores[:, :1])
    maps = torch.zeros(n, height * width, device=pixels.device)
    for start in range(0, masks, BLOCK):
        part = slice(start, start + BLOCK)
        maps += (scores[:, part] - mean) @ build(part).flatten(1)
    return (maps / (masks * p) + mean).view(n, height, width)


def regressed(build: Masks, scores: Tensor, p: float, paired: bool) -> Tensor:
    """Return what RISE's sum tends to, `mean score + cov(score, mask) / p`, from a ridge regression: `(n, h, w)`.

    Scores are fitted by the masks read at a lattice of points (three a cell hold 99.9 % of a mask's variance); the
    covariance follows from the coefficients by the masks' exact covariance in place of the drawn one, which is what a
    control variate does (regression-based Monte Carlo: Salaun et al. 2022). The fit need not be good: by least squares
    the two are equal for any network as masks grow. The ridge of each image is the best by generalised
    cross-validation (Golub, Heath, Wahba 1979).

    Args:
        scores: float64 `(n, masks)`.
        paired: masks 2k and 2k + 1 are complements; their difference alone is fitted, as their sum says nothing here.
    """
    sides = [rows.shape[1] for rows in build.rows]
    counts = [min(side, 3 * build.bits.shape[1]) for side in sides]  # of evenly spaced pixels
    lattice = [((torch.arange(n) + 0.5) * side / n).long() for n, side in zip(counts, sides, strict=True)]
    points = [one.to(scores.device) for one in lattice]
    parts = torch.arange(scores.shape[1], device=scores.device).split(BLOCK)
    features = torch.cat([build(part)[:, points[0]][:, :, points[1]].flatten(1).double() for part in parts]) - p
    means = scores.mean(1, keepdim=True)
    values = scores - means
    if paired:
        features, values = features[::2], (scores[:, ::2] - scores[:, 1::2]) / 2
    weights = ridge_by_validation(features, values).view(-1, *map(len, points))
    down, across = ((rows.double() @ rows.double().mT).mean(0) for rows in build.rows)
    return means[:, :, None] + (1 - p) * (down[:, points[0]] @ weights @ across[points[1]])


def ridge_by_validation(features: Tensor, values: Tensor) -> Tensor:
    """Coefficients `(n, d)` of ridge regressions through the origin that share their features.

    Args:
        features: float64 `(samples, d)`. values: float64 `(n, samples)`; each row gets a penalty of its own.
    """
    left, scale, right = torch.linalg.svd(features, full_matrices=False)
    power, seen = scale**2, values @ left  # (r,), (n, r)
    penalties = power.mean() * torch.logspace(-3, 2, 26, dtype=power.dtype, device=power.device)
    kept = power / (power + penalties[:, None])  # (penalties, r)
    missed = values.square().sum(1) - seen.square().sum(1)
    loss = ((1 - kept) ** 2 @ seen.square().T + missed) / (values.shape[1] - kept.sum(1, keepdim=True)) ** 2
    penalty = penalties[loss.argmin(0)][:, None]
    return seen * scale / (power + penalty) @ right
