"""Corruptions of ImageNet-C made on the fly, at its five severities (Hendrycks & Dietterich 2019, arXiv 1903.12261).

Called `shot_noise/3`; `shifts` has the suite's own four, at three severities, `gaussian_noise_2`. Parameters are
ImageNet-C's for 224 pixels, lengths scaled to the images' side. Differences: defocus blur has a disk whose edge falls over
one pixel instead of a blurred one, and images are not saved as JPEG after it.
"""

import io
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import conv2d, pad

from xailib.errors import InputError, nearest
from xailib.images import to_pixels
from xailib.seeding import generators

LEVELS = (1, 2, 3, 4, 5)
# Parameter of each corruption at severities 1 to 5; pixels in [0, 1], lengths in pixels of a 224-pixel side.
FIVE: dict[str, tuple[float | tuple[float, float], ...]] = {
    "gaussian_noise": (0.08, 0.12, 0.18, 0.26, 0.38),  # standard deviation
    "shot_noise": (60, 25, 12, 5, 3),  # photons of a white pixel
    "impulse_noise": (0.03, 0.06, 0.09, 0.17, 0.27),  # share of the values that become 0 or 1
    "speckle_noise": (0.15, 0.2, 0.35, 0.45, 0.6),  # standard deviation, as a share of the value
    "gaussian_blur": (1, 2, 3, 4, 6),  # sigma
    "defocus_blur": (3, 4, 6, 8, 10),  # radius
    "brightness": (0.1, 0.2, 0.3, 0.4, 0.5),  # added to the largest channel
    "contrast": (0.4, 0.3, 0.2, 0.1, 0.05),  # share of the contrast that is left
    "saturate": ((0.3, 0), (0.1, 0), (2, 0), (5, 0.1), (20, 0.2)),  # saturation's factor and what is added
    "pixelate": (0.6, 0.5, 0.4, 0.3, 0.25),  # share of the resolution
    "jpeg_compression": (25, 18, 15, 10, 7),  # quality
}


def list_five() -> list[str]:
    """Return the names, `CORRUPTION/SEVERITY`."""
    return [f"{name}/{level}" for name in FIVE for level in LEVELS]


def corrupt_five(pixels: Tensor, shift: str, seed: int = 0) -> Tensor:
    """Return pixels `(n, 3, h, w)` in [0, 1] under a corruption such as `shot_noise/3`; noise depends on (seed, image)."""
    if shift not in list_five():
        raise InputError(f"unknown shift '{shift}'{nearest(shift, list_five())}")
    name, _, level = shift.partition("/")
    return _FUNCTIONS[name](pixels, FIVE[name][int(level) - 1], seed).clamp(0, 1)


def _each(pixels: Tensor, seed: int, change: Callable[[Tensor, torch.Generator], Tensor]) -> Tensor:
    """Change images one by one, each with its own stream."""
    return torch.stack([change(one, stream) for one, stream in zip(pixels, generators(pixels, seed), strict=True)])


def _gaussian_noise(pixels: Tensor, deviation: float, seed: int) -> Tensor:
    return _each(pixels, seed, lambda x, g: x + deviation * torch.randn(x.shape, generator=g))


def _shot_noise(pixels: Tensor, photons: float, seed: int) -> Tensor:
    return _each(pixels, seed, lambda x, g: torch.poisson(x * photons, generator=g) / photons)


def _impulse_noise(pixels: Tensor, share: float, seed: int) -> Tensor:
    def change(x: Tensor, g: torch.Generator) -> Tensor:
        draw = torch.rand(x.shape, generator=g)
        return torch.where(draw < share / 2, 0.0, torch.where(draw < share, 1.0, x))

    return _each(pixels, seed, change)


def _speckle_noise(pixels: Tensor, deviation: float, seed: int) -> Tensor:
    return _each(pixels, seed, lambda x, g: x + x * deviation * torch.randn(x.shape, generator=g))


def _gaussian_blur(pixels: Tensor, sigma: float, seed: int) -> Tensor:
    from torchvision.transforms.functional import gaussian_blur

    sigma = sigma * pixels.shape[-1] / 224
    return gaussian_blur(pixels, 2 * math.ceil(4 * sigma) + 1, sigma)


def _defocus_blur(pixels: Tensor, radius: float, seed: int) -> Tensor:
    radius = radius * pixels.shape[-1] / 224
    reach = math.ceil(radius)
    line = torch.arange(-reach, reach + 1, dtype=torch.float32)
    disk = (radius + 0.5 - torch.hypot(line[:, None], line[None, :])).clamp(0, 1)
    kernel = (disk / disk.sum()).expand(3, 1, -1, -1)
    return torch.cat([conv2d(pad(one[None], (reach,) * 4, mode="reflect"), kernel, groups=3) for one in pixels])


def _contrast(pixels: Tensor, share: float, seed: int) -> Tensor:
    mean = pixels.mean(dim=(2, 3), keepdim=True)
    return (pixels - mean) * share + mean


def _hsv(pixels: Tensor, channel: int, change: Callable[[np.ndarray], np.ndarray]) -> Tensor:
    """Change one channel of hue, saturation and value, image by image."""
    from skimage.color import hsv2rgb, rgb2hsv

    done = torch.empty_like(pixels)
    for i, one in enumerate(pixels):
        array = rgb2hsv(one.permute(1, 2, 0).numpy())
        array[..., channel] = change(array[..., channel]).clip(0, 1)
        done[i] = torch.from_numpy(hsv2rgb(array)).permute(2, 0, 1)
    return done


def _brightness(pixels: Tensor, added: float, seed: int) -> Tensor:
    return _hsv(pixels, 2, lambda value: value + added)


def _saturate(pixels: Tensor, line: tuple[float, float], seed: int) -> Tensor:
    return _hsv(pixels, 1, lambda saturation: saturation * line[0] + line[1])


def _through_pillow(pixels: Tensor, change: Callable[[Image.Image], Image.Image]) -> Tensor:
    arrays = (np.uint8(np.round(one.permute(1, 2, 0).numpy() * 255)) for one in pixels)
    return torch.stack([to_pixels(change(Image.fromarray(array))) for array in arrays])


def _pixelate(pixels: Tensor, share: float, seed: int) -> Tensor:
    height, width = pixels.shape[-2:]
    few = (int(width * share), int(height * share))
    box = Image.Resampling.BOX
    return _through_pillow(pixels, lambda image: image.resize(few, box).resize((width, height), box))


def jpeg(image: Image.Image, quality: int) -> Image.Image:
    """Return the image after it was saved as JPEG."""
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return Image.open(file).convert("RGB")


def _jpeg_compression(pixels: Tensor, quality: float, seed: int) -> Tensor:
    return _through_pillow(pixels, lambda image: jpeg(image, int(quality)))


_FUNCTIONS: dict[str, Callable[[Tensor, Any, int], Tensor]] = {
    "gaussian_noise": _gaussian_noise,
    "shot_noise": _shot_noise,
    "impulse_noise": _impulse_noise,
    "speckle_noise": _speckle_noise,
    "gaussian_blur": _gaussian_blur,
    "defocus_blur": _defocus_blur,
    "brightness": _brightness,
    "contrast": _contrast,
    "saturate": _saturate,
    "pixelate": _pixelate,
    "jpeg_compression": _jpeg_compression,
}
