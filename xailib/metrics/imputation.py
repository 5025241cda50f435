"""Noisy linear imputation (Rong et al. 2022, ROAD, arXiv 2202.00449): removed pixels become what their neighbours say.

A constant fill shows where pixels were removed, and the shape of the hole can tell the class. Here each removed pixel is
the weighted mean of its eight neighbours, removed ones included, so that holes close smoothly; a little noise hides them.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from xailib.errors import InputError
from xailib.seeding import generator

# (row, column, weight) of the neighbours ahead in reading order; those behind are their mirror images. Released code:
# 1/6 beside, above and below, 1/12 on the diagonals, which add up to 1.
AHEAD = ((0, 1, 1 / 6), (1, -1, 1 / 12), (1, 0, 1 / 6), (1, 1, 1 / 12))


def impute(
    pixels: Tensor,
    removed: Tensor,
    *,
    noise: float = 0.01,
    seed: int = 0,
    ids: Sequence[str | bytes],
    fill: float | Tensor = 0.5,
) -> Tensor:
    """Return `pixels` with the removed values imputed; float32 `(n, 3, h, w)` on the same device.

    One linear system an image is solved exactly (banded Cholesky, on the CPU; 0.5 ms for 922 of 32 x 32 pixels), so
    batch and order change nothing. Noise may carry a value out of [0, 1] by a few hundredths: the paper's is not clipped.

    Args:
        pixels: `(n, 3, h, w)`, float in [0, 1]; what is below a removed pixel is not looked at.
        removed: bool `(n, h, w)`, or `(n, 3, h, w)` where channels lose different values.
        noise: standard deviation of the Gaussian noise on imputed values, in units of the pixels.
        seed: of the noise, a stream that belongs to (seed, image); an image's values keep their noise at every level.
        ids: `n` names of the images, or what else tells their streams apart.
        fill: value, or one for each channel `(3,)`, of a channel that has nothing left; the training set's mean fits.

    Raises:
        InputError: shapes or types that do not fit, values outside [0, 1], negative noise.
    """
    empty = _check(pixels, removed, noise, ids, fill)
    values = pixels.detach().cpu().double().numpy()
    gone = removed.detach().cpu().numpy()
    filled = torch.from_numpy(np.stack([_image(*pair, empty) for pair in zip(values, gone, strict=True)])).float()
    if noise > 0:
        for image, mask, name in zip(filled, removed.detach().cpu(), ids, strict=True):
            image += noise * torch.randn(image.shape, generator=generator(seed, "road", name)) * mask
    return filled.to(pixels.device)


def _image(image: np.ndarray, gone: np.ndarray, empty: np.ndarray) -> np.ndarray:
    """Impute one image `(c, h, w)`; `gone` is `(h, w)`, or `(c, h, w)` with a system for each channel that differs."""
    if gone.ndim == 2 or (gone == gone[:1]).all():
        return harmonic(image, gone if gone.ndim == 2 else gone[0], empty)
    triples = zip(image[:, None], gone, empty[:, None], strict=True)
    return np.concatenate([harmonic(*triple) for triple in triples])


def harmonic(image: np.ndarray, gone: np.ndarray, empty: np.ndarray) -> np.ndarray:
    """Return `image` float64 `(c, h, w)` with each pixel of `gone` `(h, w)` the weighted mean of its neighbours.

    With the removed pixels x, the others k, the weights W between neighbours and their sums D (1, but less at the
    border), the released code's equations are (D - W) x = W k. D - W is symmetric and, while a pixel is left, positive
    definite; in reading order, neighbours are at most a row and a pixel apart, so it is a narrow band.
    """
    from scipy.linalg import solveh_banded

    if not gone.any():
        return image
    if gone.all():
        return np.broadcast_to(empty[:, None, None], image.shape)
    known = np.where(gone, 0, image)
    solution = solveh_banded(
        _band(gone), _neighbours(known)[:, gone].T, lower=True, overwrite_ab=True, overwrite_b=True, check_finite=False
    )
    known[:, gone] = solution.T
    return known


def _band(gone: np.ndarray) -> np.ndarray:
    """Return D - W over the `m` removed pixels as its lower band: row i, column j holds the entry (j + i, j)."""
    height, width = gone.shape
    number = np.full((height + 1, width + 2), -1)  # a frame of "not removed", so that no neighbour lies outside
    number[:height, 1:-1][gone] = np.arange(gone.sum())
    own = number[:height, 1:-1][gone]
    links = []
    for down, right, weight in AHEAD:
        other = number[down : down + height, 1 + right : 1 + right + width][gone]
        both = other >= 0
        links.append((other[both] - own[both], own[both], weight))
    band = np.zeros((1 + max(int(apart.max(initial=0)) for apart, _, _ in links), len(own)), order="F")
    band[0] = _neighbours(np.ones((height, width)))[gone]
    for apart, first, weight in links:
        band[apart, first] = -weight
    return band


def _neighbours(values: np.ndarray) -> np.ndarray:
    """Return the weighted sum of each pixel's neighbours within the image; `(..., h, w)`."""
    # Twelve times the weights are the outer product of (1, 2, 1) with itself, less the 4 in the middle.
    rows = 2 * values
    rows[..., 1:, :] += values[..., :-1, :]
    rows[..., :-1, :] += values[..., 1:, :]
    total = 2 * rows
    total[..., 1:] += rows[..., :-1]
    total[..., :-1] += rows[..., 1:]
    return (total - 4 * values) / 12


def _check(
    pixels: Tensor, removed: Tensor, noise: float, ids: Sequence[str | bytes], fill: float | Tensor
) -> np.ndarray:
    """Return `fill` as a value a channel, float64 `(c,)`."""
    if not isinstance(pixels, Tensor) or pixels.ndim != 4 or not pixels.is_floating_point():
        found = f"{pixels.dtype} {tuple(pixels.shape)}" if isinstance(pixels, Tensor) else type(pixels).__name__
        raise InputError(f"pixels: a float tensor (n, 3, h, w) in [0, 1] is needed, not {found}")
    fitting = tuple(pixels.shape), (len(pixels), *pixels.shape[2:])
    if not isinstance(removed, Tensor) or tuple(removed.shape) not in fitting or removed.dtype != torch.bool:
        found = f"{removed.dtype} {tuple(removed.shape)}" if isinstance(removed, Tensor) else type(removed).__name__
        raise InputError(f"removed: a bool tensor of shape {fitting[1]} or {fitting[0]} is needed, not {found}")
    if len(ids) != len(pixels):
        raise InputError(f"ids: {len(pixels)} images need as many names, not {len(ids)}")
    if not len(pixels):
        raise InputError("pixels: there is no image to impute")
    low, high = pixels.min().item(), pixels.max().item()
    if not (low >= 0 and high <= 1):  # NaN fails both
        raise InputError(f"pixels: must be finite and in [0, 1], found {low:.4g} to {high:.4g}")
    if not 0 <= noise < float("inf"):
        raise InputError(f"noise: {noise} is no standard deviation; use 0 or more (the paper's is 0.01)")
    empty = torch.as_tensor(fill, dtype=torch.float64).detach().cpu()
    channels = pixels.shape[1]
    if tuple(empty.shape) not in ((), (1,), (channels,)) or not torch.isfinite(empty).all():
        raise InputError(f"fill: one finite value is needed, or {channels}, not {empty.tolist()}")
    return empty.expand(channels).numpy()
