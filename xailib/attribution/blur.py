"""Gaussian blur as two small matrix products: the same on every device, and per image."""

import math

import torch
from torch import Tensor


def gaussian_rows(side: int, sigma: float, *, edges: str = "zero", device: torch.device | str = "cpu") -> Tensor:
    """Return the matrix `(side, side)` that blurs one axis with a Gaussian of standard deviation `sigma` pixels.

    The kernel is cut at 4 sigma and sums to one. `edges`: "zero" reads zeros outside the image (as TorchRay does),
    "renormalise" divides each row by its sum, so that a constant stays constant; "reflect" mirrors the image about its
    outermost pixels, which keeps a constant too. `sigma` 0 is the identity.
    """
    if sigma <= 0:
        return torch.eye(side, device=device)
    width = math.ceil(4 * sigma)
    taps = torch.arange(-width, width + 1, dtype=torch.float64)
    weights = torch.exp(-(taps**2) / (2 * sigma**2))
    weights /= weights.sum()
    # Where each tap of each row falls: pixels before the first and after the last are outside.
    places = torch.arange(side)[:, None] + torch.arange(-width, width + 1)
    inside = (places >= 0) & (places < side)
    if edges == "reflect":
        places = side - 1 - (places % max(2 * side - 2, 1) - (side - 1)).abs()
        inside = torch.ones_like(inside)
    rows = torch.zeros(side, side, dtype=torch.float64)
    rows.scatter_add_(1, places.clamp(0, side - 1), weights * inside)
    if edges == "renormalise":
        rows /= rows.sum(dim=1, keepdim=True)
    return rows.float().to(device)


def blur(images: Tensor, sigma: float, *, edges: str = "zero") -> Tensor:
    """Blur `(..., h, w)` with a Gaussian of standard deviation `sigma` pixels; see `gaussian_rows` for `edges`."""
    down = gaussian_rows(images.shape[-2], sigma, edges=edges, device=images.device)
    across = gaussian_rows(images.shape[-1], sigma, edges=edges, device=images.device)
    return down @ images @ across.T
