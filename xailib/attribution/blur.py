"""Gaussian blur as two small matrix products: the same on every device, and per image."""

import math

import torch
from torch import Tensor


def gaussian_rows(side: int, sigma: float, *, edges: str = "zero", device: torch.device | str = "cpu") -> Tensor:
    """Return the matrix `(side, side)` that blurs one axis with a Gaussian of standard deviation `sigma` pixels.

    The kernel is cut at 4 sigma and sums to one. `edges`: "zero" reads zeros outside the image (as TorchRay does),
    "renormalise" divides each row by its sum, so that a constant stays constant. `sigma` 0 is the identity.
    """
    if sigma <= 0:
        return torch.eye(side, device=device)
    distance = torch.arange(side, dtype=torch.float64)
    distance = (distance[:, None] - distance[None, :]).abs()
    width = math.ceil(4 * sigma)
    taps = torch.arange(-width, width + 1, dtype=torch.float64)
    rows = torch.exp(-(distance**2) / (2 * sigma**2)) * (distance <= width)
    rows /= torch.exp(-(taps**2) / (2 * sigma**2)).sum()
    if edges == "renormalise":
        rows /= rows.sum(dim=1, keepdim=True)
    return rows.float().to(device)


def blur(images: Tensor, sigma: float, *, edges: str = "zero") -> Tensor:
    """Blur `(..., h, w)` with a Gaussian of standard deviation `sigma` pixels; see `gaussian_rows` for `edges`."""
    down = gaussian_rows(images.shape[-2], sigma, edges=edges, device=images.device)
    across = gaussian_rows(images.shape[-1], sigma, edges=edges, device=images.device)
    return down @ images @ across.T
