"""Distribution shifts: corruptions that any data set can take, and the styles that the pictogram renderer draws.

A shift is named by one word, corruptions with a severity 1 to 3: `gaussian_noise_2`.
"""

import io
import math

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from xailib.errors import InputError, nearest
from xailib.images import ImageBatch, to_pixels
from xailib.seeding import generators

# Parameter of each corruption at severity 1, 2, 3.
SEVERITIES: dict[str, tuple[float, float, float]] = {
    "gaussian_noise": (0.04, 0.08, 0.16),  # standard deviation, pixel range [0, 1]
    "gaussian_blur": (1.0, 1.5, 2.5),  # sigma in pixels of a 64-pixel side
    "contrast": (0.6, 0.4, 0.2),  # share of the contrast that is left
    "jpeg": (50, 25, 10),  # JPEG quality
}
RENDERED = {"pictograms": ("silhouette", "outline", "unseen_photographs", "texture_swap")}


def list_shifts(dataset: str) -> list[str]:
    """Return the names of the shifts a data set can take, rendered ones first."""
    corruptions = [f"{name}_{severity}" for name in SEVERITIES for severity in (1, 2, 3)]
    return [*RENDERED.get(dataset, ()), *corruptions]


def corrupt(images: ImageBatch, shift: str, seed: int = 0) -> ImageBatch:
    """Return the images under a corruption such as `jpeg_3`; labels, boxes and masks stay."""
    name, _, severity = shift.rpartition("_")
    if name not in SEVERITIES or severity not in ("1", "2", "3"):
        raise InputError(f"unknown shift '{shift}'{nearest(shift, list_shifts(''))}")
    strength = SEVERITIES[name][int(severity) - 1]
    return images.with_pixels(_CORRUPTIONS[name](images.pixels, strength, seed))


def _gaussian_noise(pixels: Tensor, deviation: float, seed: int) -> Tensor:
    noise = torch.stack([torch.randn(pixels.shape[1:], generator=g) for g in generators(pixels, seed)])
    return (pixels + deviation * noise).clamp(0, 1)


def _gaussian_blur(pixels: Tensor, sigma: float, seed: int) -> Tensor:
    from torchvision.transforms.functional import gaussian_blur

    sigma = sigma * pixels.shape[-1] / 64
    return gaussian_blur(pixels, 2 * math.ceil(3 * sigma) + 1, sigma).clamp(0, 1)  # rounding passes 1 by a hair


def _contrast(pixels: Tensor, share: float, seed: int) -> Tensor:
    mean = pixels.mean(dim=(1, 2, 3), keepdim=True)
    return ((pixels - mean) * share + mean).clamp(0, 1)


def _jpeg(pixels: Tensor, quality: float, seed: int) -> Tensor:
    return torch.stack([_jpeg_one(image, int(quality)) for image in pixels])


def _jpeg_one(image: Tensor, quality: int) -> Tensor:
    file = io.BytesIO()
    array = np.uint8(np.round(image.permute(1, 2, 0).numpy() * 255))
    Image.fromarray(array).save(file, "JPEG", quality=quality)
    return to_pixels(Image.open(file).convert("RGB"))


_CORRUPTIONS = {"gaussian_noise": _gaussian_noise, "gaussian_blur": _gaussian_blur, "contrast": _contrast, "jpeg": _jpeg}
