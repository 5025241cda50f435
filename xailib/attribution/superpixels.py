"""Superpixels and coalitions: what LIME and KernelSHAP switch on and off."""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from xailib import engine
from xailib.models.model import Model
from xailib.seeding import digest

Hidden = Literal["mean", "segment_mean", "black"]
Spread = Literal["whole", "shared"]

_KEPT = 1024  # images; int16 labels of a 224 px image take 100 KB
_cache: OrderedDict[tuple[bytes, int, float, float], Tensor] = OrderedDict()


def superpixels(pixels: Tensor, segments: int, compactness: float, sigma: float) -> Tensor:
    """Return SLIC labels int64 `(n, h, w)`, from 0 without gaps, on the pixels' device (Achanta et al. 2012).

    They depend on the image alone and are kept, so that all models in a process share them.

    Args:
        pixels: `(n, 3, h, w)` in [0, 1].
        segments: about how many; SLIC may find a few more or fewer.
        compactness: weight of nearness in space against nearness in Lab colour; at 10 a noisy image can end as one
            superpixel, at 30 it does not.
        sigma: width of the Gaussian blur beforehand, in pixels of a 224 px side.
    """
    labels = []
    for image in pixels.cpu():
        key = (digest(image), segments, float(compactness), float(sigma))
        if key not in _cache:
            _cache[key] = _slic(image, segments, compactness, sigma)
            if len(_cache) > _KEPT:
                _cache.popitem(last=False)
        labels.append(_cache[key])
    return torch.stack(labels).long().to(pixels.device)


def _slic(image: Tensor, segments: int, compactness: float, sigma: float) -> Tensor:
    """SLIC labels int16 `(h, w)` of one image `(3, h, w)`."""
    import numpy as np
    from skimage.segmentation import slic

    height, width = image.shape[1:]
    scaled = sigma * min(height, width) / 224
    found = slic(image.permute(1, 2, 0).double().numpy(), segments, compactness, sigma=scaled, start_label=0)
    return torch.from_numpy(np.unique(found, return_inverse=True)[1].reshape(height, width).astype(np.int16))


@dataclass(frozen=True)
class Coalitions:
    """Which superpixels are shown in which sample, and what hides the others.

    Attributes:
        pixels, hidden: `(n, 3, h, w)`: the images, and what a hidden superpixel shows instead.
        labels: int64 `(n, h, w)`, the superpixel of each pixel, `0..counts[i]-1`.
        shown: bool `(n, samples, s)`, `s` the largest count; columns beyond an image's count are false.
    """

    pixels: Tensor
    hidden: Tensor
    labels: Tensor
    shown: Tensor

    def perturbed(self, images: Tensor, samples: Tensor) -> Tensor:
        """Return the images `(b, 3, h, w)` with their hidden superpixels covered."""
        labels = self.labels[images]
        on = self.shown[images, samples].gather(1, labels.flatten(1)).view(labels.shape)[:, None]
        return torch.where(on, self.pixels[images], self.hidden[images])

    def scores(self, model: Model, targets: Tensor, output: engine.Output, description: str) -> Tensor:
        """Return the target's output `(n, samples)`, float64."""
        samples = self.shown.shape[1]
        return engine.scores(model, targets, samples, self.perturbed, output, description).double()


def counts(labels: Tensor) -> list[int]:
    """Return how many superpixels each image has."""
    return (labels.flatten(1).amax(1) + 1).tolist()


def stack_padded(shown: list[Tensor]) -> Tensor:
    """Stack bool coalitions `(samples, s_i)` to `(n, samples, max s_i)`, false where an image has no superpixel."""
    width = max(part.shape[1] for part in shown)
    return torch.stack([torch.nn.functional.pad(part, (0, width - part.shape[1])) for part in shown])


def hide(model: Model, pixels: Tensor, labels: Tensor, hidden: Hidden) -> Tensor:
    """Return what hidden superpixels show `(n, 3, h, w)`: the model's mean colour, their own mean, or black."""
    if hidden == "mean":
        return model.mean_colour.expand_as(pixels)
    if hidden == "black":
        return torch.zeros_like(pixels)
    flat = labels.flatten(1)[:, None].expand(-1, 3, -1)
    colours = torch.zeros(len(pixels), 3, max(counts(labels)), dtype=pixels.dtype)
    # On the CPU, where the order of additions is fixed.
    colours = colours.scatter_reduce(2, flat.cpu(), pixels.flatten(2).cpu(), "mean", include_self=False)
    return colours.to(pixels.device).gather(2, flat).view_as(pixels)


def paint(coefficients: Tensor, labels: Tensor, spread: Spread) -> Tensor:
    """Turn coefficients `(n, s)` into maps `(n, h, w)`.

    `whole`: every pixel carries its superpixel's coefficient. `shared`: its share by area, so that a map sums to its
    coefficients.
    """
    flat = labels.flatten(1)
    if spread == "shared":
        areas = torch.zeros_like(coefficients)
        # Sums of ones: whole numbers, so that their order does not matter on a GPU either.
        areas.scatter_add_(1, flat, torch.ones(1, 1, dtype=areas.dtype, device=flat.device).expand(flat.shape))
        coefficients = coefficients / areas.clamp(min=1)
    return coefficients.gather(1, flat).view(labels.shape).float()
