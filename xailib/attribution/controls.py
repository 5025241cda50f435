"""Controls: maps that know nothing of the network. A method that does not beat them explains nothing."""

from typing import Annotated

import torch
from annotated_types import Gt
from torch import Tensor
from torch.nn import functional

from xailib.models.model import Model
from xailib.registry import method
from xailib.seeding import generators


@method("random", family="control", label="Random", paper="control")
def random(model: Model, pixels: Tensor, targets: Tensor, *, seed: int = 0) -> Tensor:
    """Independent uniform noise in [0, 1), from (seed, image content)."""
    return torch.stack([torch.rand(pixels.shape[-2:], generator=one) for one in generators(pixels, seed, "random")])


def _random_channels(model: Model, pixels: Tensor, targets: Tensor, *, seed: int = 0) -> Tensor:
    """As `random`, a draw of its own for every channel value `(n, 3, h, w)`."""
    streams = generators(pixels, seed, "random channels")
    return torch.stack([torch.rand(pixels.shape[1:], generator=stream) for stream in streams])


random.channels = _random_channels  # what ROAR ranks; not `pooled`, whose means would not be uniform


@method("centre_gaussian", family="control", label="Centre", paper="control; after Choe et al. 2020")
def centre_gaussian(
    model: Model, pixels: Tensor, targets: Tensor, *, seed: int = 0, sigma: Annotated[float, Gt(0)] = 0.25
) -> Tensor:
    """A Gaussian hill, 1 at the centre of the image.

    Options:
        sigma: its standard deviation as a fraction of each side.
    """
    curves = []
    for side in pixels.shape[-2:]:
        offset = (torch.arange(side) + 0.5) / side - 0.5
        curves.append(torch.exp(-0.5 * (offset / sigma) ** 2))
    return (curves[0][:, None] * curves[1]).expand(len(pixels), -1, -1)


@method("sobel", family="control", label="Sobel", paper="control; the edge detector of Adebayo et al. 2018")
def sobel(model: Model, pixels: Tensor, targets: Tensor, *, seed: int = 0) -> Tensor:
    """Root mean square of the two Sobel derivatives of the image's luma (ITU-R BT.601), edges repeated; in [0, 1]."""
    luma = (pixels * pixels.new_tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)).sum(1, keepdim=True)
    across = pixels.new_tensor([[1, 0, -1], [2, 0, -2], [1, 0, -1]]) / 4
    kernels = torch.stack([across, across.T])[:, None]
    derivatives = functional.conv2d(functional.pad(luma, (1, 1, 1, 1), mode="replicate"), kernels)
    return derivatives.square().mean(1).sqrt()
