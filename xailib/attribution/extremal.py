"""Extremal Perturbation: the mask of a given area that keeps the class score highest when all else is blurred.

Fong, Patrick, Vedaldi: Understanding Deep Networks via Extremal Perturbations and Smooth Masks, ICCV 2019; the numbers
are those of TorchRay, the authors' code. Lengths are given at 224 pixels a side and scale with the image.
"""

import functools
import math
import warnings
from collections.abc import Sequence
from typing import Annotated

import torch
import torch.nn.functional as F
from annotated_types import Ge, Gt, Len, Lt
from torch import Tensor

from xailib import engine
from xailib.attribution.blur import blur
from xailib.models.model import Model
from xailib.registry import method

Share = Annotated[float, Gt(0), Lt(1)]

AREA_WEIGHT = 300.0  # lambda at the first step
AREA_WEIGHT_GROWTH = 1.0035**800  # from the first step to the last
MOMENTUM = 0.9
COLDNESS = 20.0
BLOCK = 16  # masks at a time on a CPU, whose exponentials its cache holds


class BlurPyramid:
    """Images blurred to `levels` strengths, read at a fractional level that differs from pixel to pixel.

    Mask value 1 shows the image, 0 its strongest blur (standard deviation `max_blur` pixels); the standard deviation
    falls linearly and neighbouring levels are mixed linearly (equation 5). Outside the image lies the `ground` colour.
    """

    def __init__(self, images: Tensor, ground: Tensor, max_blur: float, levels: int) -> None:
        steps = torch.linspace(1, 0, levels).tolist()
        pyramid = torch.stack([ground + blur(images - ground, step * max_blur) for step in steps], dim=1)
        slopes = (pyramid[:, 1:] - pyramid[:, :-1]) * (levels - 1)
        # (n, levels - 1, 3, h, w) twice -> one row of six numbers for every (image, level, pixel)
        table = torch.cat([pyramid[:, :-1], slopes], dim=2).permute(0, 1, 3, 4, 2)
        self.table, self.levels = table.reshape(-1, 6).contiguous(), levels
        n, self.size = len(images), images.shape[-2] * images.shape[-1]
        place = torch.arange(self.size, dtype=torch.int32, device=images.device).view(images.shape[-2:])
        first = torch.arange(n, dtype=torch.int32, device=images.device).view(n, 1, 1, 1) * (self.size * (levels - 1))
        self.rows = {mirrored: first + (place.flip(1) if mirrored else place) for mirrored in (False, True)}

    def __call__(self, masks: Tensor, mirrored: bool = False) -> tuple[Tensor, Tensor]:
        """Return, for masks `(n, areas, h, w)`, the mixed images and d image / d mask, both `(n * areas, 3, h, w)`.

        `mirrored` returns both flipped left to right, which costs less than to flip them.
        """
        masks = masks.contiguous()  # a part of masks that lie otherwise
        level = (masks.flip(3) if mirrored else masks) * (self.levels - 1)
        lower = level.floor().clamp_(0, self.levels - 2)
        rows = F.embedding(lower.int().mul_(self.size).add_(self.rows[mirrored]), self.table).flatten(0, 1)
        base, slope = rows[..., :3], rows[..., 3:]
        weight = level.sub_(lower).div_(self.levels - 1).flatten(0, 1)
        mixed = torch.empty_like(base, memory_format=torch.contiguous_format)
        for channel in range(3):  # long loops over pixels: on a CPU several times as fast as over three channels
            torch.addcmul(base[..., channel], weight, slope[..., channel], out=mixed[..., channel])
        return mixed.permute(0, 3, 1, 2), slope.permute(0, 3, 1, 2)


class SmoothMax:
    """The map from parameters `(rows * columns, k)` to masks `(height * width, k)`, all in [0, 1], k masks at once.

    A coarse grid of parameters is spread by a kernel and joined by a smooth maximum (section 3.2):
    mask(u) = sum_i z_i exp(20 z_i) / sum_i exp(20 z_i),  z_i = kernel(|u - u_i| / sigma) p_i,
    kernel(d) = exp(-2 max(d - 1/2, 0)^2), over the grid points u_i in a window of about sigma around pixel u; points
    outside the grid count as p = 0 (TorchRay's `MaskGenerator`). The mask has a margin of sigma around the image, so
    that an object at the border does not cost less area.

    The grid is regular, so few distances occur: parameters times distances give all exponentials, and a sparse 0/1
    matrix adds those that belong to a pixel. That needs far fewer exponentials, and far less memory, than windows.

    Attributes:
        grid: rows and columns of the parameter grid.
        shape: height and width of the mask with its margin.
        margin: pixels of margin on the top and the left.
    """

    def __init__(self, height: int, width: int, step: int, sigma: float, device: torch.device | str = "cpu") -> None:
        radius = 1 + math.ceil(sigma / step)
        padding = 1 + math.ceil(2 * sigma / step)
        self.grid = tuple(math.ceil(side / step) for side in (height, width))
        self.margin = round(sigma)
        self.shape = tuple(
            max(step * (cells + 2 * padding - 2 * radius - 1) + 1, side + self.margin)
            for cells, side in zip(self.grid, (height, width), strict=True)
        )

        axes = [
            _axis(size, cells, step, sigma, radius, padding) for size, cells in zip(self.shape, self.grid, strict=True)
        ]
        (row, row_distance), (column, column_distance) = axes
        rows, row_kind = torch.unique(row_distance.abs(), return_inverse=True)
        columns, column_kind = torch.unique(column_distance.abs(), return_inverse=True)
        distance = torch.sqrt(rows[:, None] ** 2 + columns**2)
        kernel = torch.exp(-2 * (distance / sigma - 0.5).clamp(min=0) ** 2)
        weights, kind = torch.unique((kernel * 1e6).round() / 1e6, return_inverse=True)
        self.weights = weights.float().to(device)  # (d,), the distinct kernel values

        # Axes below: row, column, row tap, column tap. An exponential is known by its kernel value and its grid point.
        kind = kind[row_kind[:, None, :, None], column_kind[None, :, None, :]]
        point = row[:, None, :, None] * self.grid[1] + column[None, :, None, :]
        on_rows, on_columns = (row >= 0) & (row < self.grid[0]), (column >= 0) & (column < self.grid[1])
        inside = on_rows[:, None, :, None] & on_columns[None, :, None, :]
        exponential = (kind * self.grid[0] * self.grid[1] + point)[inside]
        count = inside.sum((2, 3)).flatten()
        self._outside = (
            (inside[0, 0].numel() - count).float().view(-1, 1).to(device)
        )  # exp(0) for each point off the grid
        pixel = torch.repeat_interleave(torch.arange(len(count)), count)
        shape = (len(count), len(weights) * self.grid[0] * self.grid[1])
        order = exponential.argsort(stable=True)
        ones = torch.ones(len(pixel))
        self._add = _sparse(pixel, exponential, ones, shape, device)  # pixels <- sum of exponentials
        self._weigh = _sparse(pixel, exponential, weights[kind[inside]].float(), shape, device)  # times the kernel
        self._spread = _sparse(exponential[order], pixel[order], ones, shape[::-1], device)  # exponentials <- pixels

    def __call__(self, parameters: Tensor) -> Tensor:
        """Return masks `(pixels, k)` for parameters `(cells, k)`; keeps what `gradient` needs."""
        self._block = BLOCK if parameters.device.type == "cpu" else parameters.shape[1]
        self._kept = [self._forward(part.contiguous()) for part in parameters.split(self._block, dim=1)]
        return torch.cat([mask for *_, mask in self._kept], dim=1)

    def _forward(self, parameters: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Parameters, exponentials `(d, cells, k)`, and for each pixel their total and the mask `(pixels, k)`."""
        e = ((COLDNESS * self.weights)[:, None, None] * parameters).exp_()
        total = self._add @ e.flatten(0, 1) + self._outside
        return parameters, e, total, (self._weigh @ (e * parameters).flatten(0, 1)) / total

    def gradient(self, slope: Tensor) -> Tensor:
        """Return d loss / d parameters `(cells, k)` of the last call, given d loss / d mask `(pixels, k)`."""
        parts = zip(slope.split(self._block, dim=1), self._kept, strict=True)
        return torch.cat([self._backward(part.contiguous(), *kept) for part, kept in parts], dim=1)

    def _backward(self, slope: Tensor, parameters: Tensor, e: Tensor, total: Tensor, mask: Tensor) -> Tensor:
        """With e_i = exp(20 w_i p), the numerator is sum w_i p e_i and the total sum e_i, so that
        d / dp = sum_i w_i e_i (s_i (1 + 20 w_i p) - 20 t_i), s and t the slopes of the numerator and of -total.
        """
        share = slope / total
        direct = (self._spread @ share).view_as(e).mul_(e).flatten(1)
        less = (self._spread @ share.mul_(mask)).view_as(e).mul_(e).flatten(1)
        once, twice = (torch.stack([self.weights, self.weights**2]) @ direct).view(2, *parameters.shape)
        return once + COLDNESS * (parameters * twice - (self.weights @ less).view_as(once))

    def crop(self, masks: Tensor, height: int, width: int) -> Tensor:
        """Return the image part `(k, height, width)` of masks `(pixels, k)`, as a view."""
        m = self.margin
        return masks.T.reshape(-1, *self.shape)[:, m : m + height, m : m + width]


def _axis(size: int, cells: int, step: int, sigma: float, radius: int, padding: int) -> tuple[Tensor, Tensor]:
    """Index and signed distance in pixels `(size, taps)` of the grid points around each pixel, on one axis."""
    pixel = torch.arange(size)
    cell = (pixel // step)[:, None] + torch.arange(2 * radius + 1)[None, :] - padding
    return cell, pixel[:, None] - (sigma + step * cell.double())


def _sparse(row: Tensor, column: Tensor, values: Tensor, shape: tuple[int, int], device: torch.device | str) -> Tensor:
    """A matrix for products with dense ones, from entries in the order of their rows.

    Compressed rows where this build of torch can multiply them on a CPU, else a list of entries. MKL counts in 32 bits:
    longer indices would be converted in every product.
    """
    if torch.device(device).type == "cpu" and not torch.backends.mkl.is_available():
        return torch.sparse_coo_tensor(torch.stack([row, column]), values, shape, check_invariants=False).coalesce()
    ends = torch.bincount(row, minlength=shape[0]).cumsum(0)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse")  # "in beta", and a note on checks
        starts = torch.cat([torch.zeros(1, dtype=ends.dtype), ends]).int()
        return torch.sparse_csr_tensor(starts, column.int(), values, shape, check_invariants=False).to(device)


@method("extremal_perturbation", family="perturbation", label="Extremal Perturbation", paper="Fong et al. 2019")
def extremal_perturbation(
    model: Model,
    pixels: Tensor,
    targets: Tensor,
    *,
    seed: int = 0,
    areas: Annotated[Sequence[Share], Len(1)] | Share = (0.05, 0.1, 0.2),
    steps: Annotated[int, Ge(1)] = 800,
    lr: float = 0.01,
    step: Annotated[float, Gt(0)] = 7.0,
    sigma: Annotated[float, Gt(0)] = 21.0,
    max_blur: Annotated[float, Ge(0)] = 20.0,
    levels: Annotated[int, Ge(2)] = 8,
    jitter: bool = True,
    smooth: Annotated[float, Ge(0)] = 0.09,
    output: engine.Output = "logit",
) -> Tensor:
    """Return Extremal Perturbation maps `(n, h, w)`: the sum of one mask an area, smoothed.

    Plays the preservation game. Nothing is random (`seed` is not used): the jitter flips every other step.
    All images and areas are optimised in one batch; their losses are separate, so each mask is its own.

    Args:
        areas: shares of the image that the masks keep.
        steps: optimisation steps. The weight of the area term grows from 300 by 1.0035 a step in the paper's 800; with
            fewer steps it grows faster, so that it ends at the same weight.
        lr: learning rate of the descent (momentum and dampening 0.9).
        step: pixels between mask parameters, at 224 pixels.
        sigma: width of the masks' smooth kernel in pixels, at 224 pixels; rounded along with `step`, in ratio to it.
        max_blur: standard deviation of the strongest blur in pixels, at 224 pixels.
        levels: levels of the blur pyramid.
        jitter: flip the masked image left to right in every other step.
        smooth: standard deviation of a final blur of the summed masks, as a share of the shorter side; 0 for none.
        output: what is preserved, the "logit" (as in TorchRay) or the softmax "probability".
    """
    areas = list(areas) if isinstance(areas, Sequence) else [areas]
    height, width = pixels.shape[-2:]
    scale = min(height, width) / 224
    pitch = max(1, round(step * scale))
    layer = SmoothMax(height, width, pitch, pitch * sigma / step, pixels.device)
    size = layer.shape[0] * layer.shape[1]
    kept = [size - int(size * (1 - area)) for area in areas]  # mask pixels of each area, at least one
    growth = AREA_WEIGHT_GROWTH ** (1 / steps)

    def optimise(part: slice) -> Tensor:
        images, n = pixels[part], part.stop - part.start
        pyramid = BlurPyramid(images, model.mean_colour, max_blur * scale, levels)
        labels = targets[part].repeat_interleave(len(areas))
        parameters = torch.ones(layer.grid[0] * layer.grid[1], n * len(areas), device=pixels.device)
        velocity, weight = None, AREA_WEIGHT
        slope_at = engine.gradient_of(model, output)
        for t in range(steps):
            masks, mirrored = layer(parameters), jitter and t % 2 == 0
            cropped = layer.crop(masks, height, width).reshape(n, len(areas), height, width)
            mixed, slope = pyramid(cropped, mirrored)
            gradient = slope_at(mixed, labels).float()
            pulls = (a * b for a, b in zip(gradient.unbind(1), slope.unbind(1), strict=True))
            pull = functools.reduce(torch.add, pulls)
            down = area_slope(masks, kept).mul_(weight)
            layer.crop(down, height, width).sub_(pull.flip(2) if mirrored else pull)
            down = layer.gradient(down)
            velocity = down if velocity is None else velocity.mul_(MOMENTUM).add_(down, alpha=1 - MOMENTUM)
            parameters = (parameters - lr * velocity).clamp_(0, 1)
            weight *= growth
        return layer.crop(masks, height, width).reshape(n, len(areas), height, width).sum(1)

    # In fp32 always: hundreds of steps enlarge bf16's rounding, and the maps' ranks agree to 0.91-0.99 only.
    with engine.using(precision="fp32"):
        maps = torch.cat(engine.chunked(len(pixels), optimise, weight=len(areas), description="Extremal Perturbation"))
    return blur(maps, smooth * min(height, width))


def area_slope(masks: Tensor, kept: list[int]) -> Tensor:
    """Return d/d mask of mean((sorted mask - ideal)^2) (equation 7) for masks `(pixels, k)`.

    The ideal has `kept` ones for the largest values and zeros for the rest, so each pixel is pulled to 1 or to 0; the
    columns take the counts `kept` in turn. Pixels that tie at the border value share the remaining ones, where a sort
    would favour the bottom of the image.
    """
    columns = masks.T.contiguous().view(-1, len(kept), len(masks))
    largest = [columns[:, i].topk(count, sorted=False).values for i, count in enumerate(kept)]
    border = torch.stack([values.amin(1) for values in largest], dim=1).flatten()
    above, tied = (masks > border).to(masks.dtype), (masks == border).to(masks.dtype)
    ones = torch.tensor(kept, device=masks.device).repeat(len(columns))
    share = (ones - above.sum(0)) / tied.sum(0)
    return (masks - above).addcmul_(share, tied, value=-1).mul_(2 / len(masks))
