"""Masks of Extremal Perturbation: a coarse grid of parameters, spread by a kernel, joined by a smooth maximum.

Fong, Patrick, Vedaldi: Understanding Deep Networks via Extremal Perturbations and Smooth Masks, ICCV 2019, section 3.2.
"""

import math
import warnings

import torch
from torch import Tensor

COLDNESS = 20.0
BLOCK = 16  # masks at a time on a CPU, whose exponentials its cache holds


class SmoothMax:
    """The map from parameters `(rows * columns, k)` to masks `(height * width, k)`, all in [0, 1], k masks at once.

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
