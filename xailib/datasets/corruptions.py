"""Corruptions that any image can take, in two families, each name with its severity.

The suite's own four have severities 1 to 3, `gaussian_noise_2`. Eleven of ImageNet-C's (Hendrycks & Dietterich 2019, arXiv
1903.12261) are made on the fly at its five severities, `shot_noise/3`, with its parameters for 224 pixels, lengths scaled to
the images' shorter side. Differences: defocus blur has a disk whose edge falls over one pixel instead of a blurred one, and
images are not saved as JPEG after it.
"""

import io
import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import conv2d, pad

from xailib.errors import InputError, nearest
from xailib.images import ImageBatch, to_pixels
from xailib.seeding import generators


def corrupt(images: ImageBatch, shift: str, seed: int = 0) -> ImageBatch:
    """Return the images under a corruption such as `jpeg_3` or `pixelate/5`; labels, boxes and masks stay.

    Noise depends on (seed, image) alone.

    Raises:
        InputError: a name or a severity that is not known.
    """
    if shift not in CORRUPTIONS:
        raise InputError(f"unknown shift '{shift}'{nearest(shift, list_five() if '/' in shift else list_three())}")
    change, strength = CORRUPTIONS[shift]
    return images.with_pixels(change(images.pixels, strength, seed).clamp(0, 1))


def list_three() -> list[str]:
    """Return the names of the suite's own corruptions, `NAME_SEVERITY`."""
    return [name for name in CORRUPTIONS if "/" not in name]


def list_five() -> list[str]:
    """Return the names of ImageNet-C's corruptions, `NAME/SEVERITY`."""
    return [name for name in CORRUPTIONS if "/" in name]


def _each(pixels: Tensor, seed: int, change: Callable[[Tensor, torch.Generator], Tensor]) -> Tensor:
    """Change images one by one, each with its own stream."""
    return torch.stack([change(one, stream) for one, stream in zip(pixels, generators(pixels, seed), strict=True)])


def _gaussian_noise(pixels: Tensor, deviation: float, seed: int) -> Tensor:
    return pixels + deviation * _each(pixels, seed, lambda x, g: torch.randn(x.shape, generator=g, dtype=x.dtype))


def _shot_noise(pixels: Tensor, photons: float, seed: int) -> Tensor:
    return _each(pixels, seed, lambda x, g: torch.poisson(x * photons, generator=g) / photons)


def _impulse_noise(pixels: Tensor, share: float, seed: int) -> Tensor:
    def change(x: Tensor, g: torch.Generator) -> Tensor:
        draw = torch.rand(x.shape, generator=g, dtype=x.dtype)
        return torch.where(draw < share / 2, 0.0, torch.where(draw < share, 1.0, x))

    return _each(pixels, seed, change)


def _speckle_noise(pixels: Tensor, deviation: float, seed: int) -> Tensor:
    return _each(pixels, seed, lambda x, g: x + x * deviation * torch.randn(x.shape, generator=g, dtype=x.dtype))


def _gaussian_blur(pixels: Tensor, sigma: float, seed: int, *, unit: int, reach: int) -> Tensor:
    """Blur by `sigma` pixels of a side of `unit`; the kernel reaches as many sigmas."""
    from torchvision.transforms.functional import gaussian_blur

    side = min(pixels.shape[-2:])
    sigma = sigma * side / unit
    return gaussian_blur(pixels, 2 * min(math.ceil(reach * sigma), side - 1) + 1, sigma)


def _defocus_blur(pixels: Tensor, radius: float, seed: int) -> Tensor:
    side = min(pixels.shape[-2:])
    radius = radius * side / 224
    reach = min(math.ceil(radius), side - 1)
    line = torch.arange(-reach, reach + 1, dtype=torch.float32)
    disk = (radius + 0.5 - torch.hypot(line[:, None], line[None, :])).clamp(0, 1)
    kernel = (disk / disk.sum()).expand(3, 1, -1, -1)
    return torch.cat([conv2d(pad(one[None], (reach,) * 4, mode="reflect"), kernel, groups=3) for one in pixels])


def _contrast(pixels: Tensor, share: float, seed: int, *, around: tuple[int, ...]) -> Tensor:
    """Draw values towards their mean over the dimensions `around`."""
    mean = pixels.mean(dim=around, keepdim=True)
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
    few = (max(1, int(width * share)), max(1, int(height * share)))
    box = Image.Resampling.BOX
    return _through_pillow(pixels, lambda image: image.resize(few, box).resize((width, height), box))


def _jpeg(pixels: Tensor, quality: int, seed: int) -> Tensor:
    def save(image: Image.Image) -> Image.Image:
        file = io.BytesIO()
        image.save(file, "JPEG", quality=quality)
        return Image.open(file).convert("RGB")

    return _through_pillow(pixels, save)


Change = Callable[[Tensor, Any, int], Tensor]
"""Pixels `(n, 3, h, w)` in [0, 1], a strength and a seed -> pixels, which may pass 0 and 1."""
_blur = partial(_gaussian_blur, unit=64, reach=3)
_blur_224 = partial(_gaussian_blur, unit=224, reach=4)
# Each corruption with its strengths, at severities 1, 2, ...; how the name joins its severity tells the family.
FAMILIES: dict[str, tuple[Change, tuple[Any, ...]]] = {
    "gaussian_noise_": (_gaussian_noise, (0.04, 0.08, 0.16)),  # standard deviation
    "gaussian_blur_": (_blur, (1.0, 1.5, 2.5)),  # sigma in pixels of a 64-pixel side
    "contrast_": (partial(_contrast, around=(1, 2, 3)), (0.6, 0.4, 0.2)),  # share of the image's contrast that is left
    "jpeg_": (_jpeg, (50, 25, 10)),  # JPEG quality
    "gaussian_noise/": (_gaussian_noise, (0.08, 0.12, 0.18, 0.26, 0.38)),  # standard deviation
    "shot_noise/": (_shot_noise, (60, 25, 12, 5, 3)),  # photons of a white pixel
    "impulse_noise/": (_impulse_noise, (0.03, 0.06, 0.09, 0.17, 0.27)),  # share of the values that become 0 or 1
    "speckle_noise/": (_speckle_noise, (0.15, 0.2, 0.35, 0.45, 0.6)),  # standard deviation, as a share of the value
    "gaussian_blur/": (_blur_224, (1, 2, 3, 4, 6)),  # sigma in pixels of a 224-pixel side
    "defocus_blur/": (_defocus_blur, (3, 4, 6, 8, 10)),  # radius in pixels of a 224-pixel side
    "brightness/": (_brightness, (0.1, 0.2, 0.3, 0.4, 0.5)),  # added to the largest channel
    "contrast/": (partial(_contrast, around=(2, 3)), (0.4, 0.3, 0.2, 0.1, 0.05)),  # share that is left, each channel's
    "saturate/": (_saturate, ((0.3, 0), (0.1, 0), (2, 0), (5, 0.1), (20, 0.2))),  # factor of the saturation, and added
    "pixelate/": (_pixelate, (0.6, 0.5, 0.4, 0.3, 0.25)),  # share of the resolution
    "jpeg_compression/": (_jpeg, (25, 18, 15, 10, 7)),  # JPEG quality
}
CORRUPTIONS: dict[str, tuple[Change, Any]] = {
    f"{name}{severity}": (change, strength)
    for name, (change, strengths) in FAMILIES.items()
    for severity, strength in enumerate(strengths, start=1)
}
