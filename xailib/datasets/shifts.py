"""Distribution shifts: corruptions that any data set can take, styles that the pictogram renderer draws, other images.

A shift is named by one word: the suite's corruptions with a severity 1 to 3, `gaussian_noise_2`; ImageNet-C's with one
of 1 to 5, `shot_noise/3`; and registered data sets that are variants of another one, `imagenet_v2`, whose folder a study
gives in `shift_roots`; of these ImageNet-C has parts, `imagenet_c/fog/3`.
"""

import inspect
import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from xailib import params, registry
from xailib.datasets.corruptions import corrupt_five, jpeg, list_five
from xailib.errors import InputError, nearest
from xailib.images import ImageBatch, to_pixels
from xailib.params import shift_roots
from xailib.seeding import generators

# Parameter of each corruption at severity 1, 2, 3.
SEVERITIES: dict[str, tuple[float, float, float]] = {
    "gaussian_noise": (0.04, 0.08, 0.16),  # standard deviation, pixel range [0, 1]
    "gaussian_blur": (1.0, 1.5, 2.5),  # sigma in pixels of a 64-pixel side
    "contrast": (0.6, 0.4, 0.2),  # share of the contrast that is left
    "jpeg": (50, 25, 10),  # JPEG quality
}
RENDERED = {"pictograms": ("silhouette", "outline", "unseen_photographs", "texture_swap")}

Roots = Mapping[str, str | None]


def list_shifts(dataset: str, roots: Roots | None = None) -> list[str]:
    """Return the names of the shifts that `all` stands for: rendered ones, the suite's corruptions, variants with a folder.

    Args:
        dataset: a registered data set.
        roots: folders of its variants, by name; see `shift_roots.check` for what is refused.
    """
    corruptions = [f"{name}_{severity}" for name in SEVERITIES for severity in (1, 2, 3)]
    shift_roots.check(dataset, roots or {}, variants())
    names = [*RENDERED.get(dataset, ()), *corruptions]
    for name, root in (roots or {}).items():
        parts = registry.dataset.get(name).facts["parts"]
        names += [f"{name}/{part}" for part in parts(str(params.place(root)))] if parts else [name]
    return names


def variants() -> dict[str, tuple[str, bool]]:
    """Return every variant -> the data set that it is a shift of, and whether it can do without a folder."""
    facts = {name: entry.facts for name, entry in registry.dataset.entries.items()}
    return {name: (f["shift_of"], f["relabel"] is not None) for name, f in facts.items() if f.get("shift_of")}


def choose_shifts(wanted: str | Iterable[str], dataset: str, roots: Roots | None = None) -> list[str]:
    """Return the shifts that "all", "none", a pattern or a list of them stands for.

    ImageNet-C's corruptions on the fly are among them where a pattern has a slash: `*/3` is each at severity 3.

    Raises:
        InputError: a shift that is not known or whose folder is not given, or a folder that is not there.
    """
    known = list_shifts(dataset, roots)
    found: dict[str, None] = {}
    for word in [wanted] if isinstance(wanted, str) else wanted:
        name = word.partition("/")[0]
        if variants().get(name, ("", False))[0] == dataset and name not in (roots or {}):
            raise InputError(
                f"shifts: '{word}' is read from a folder; give it in the study: shift_roots: {{{name}: FOLDER}}"
            )
        found |= dict.fromkeys(params.select(word, [*known, *(list_five() if "/" in word else [])], "shift"))
    return list(found)


def variant_images(images: ImageBatch, shift: str, root: str | None, source: Mapping[str, Any]) -> ImageBatch:
    """Return a variant's images instead of `images`, at most as many; or `images` with its labels.

    Args:
        images: those of the study.
        shift: name of the variant, with its part where it has some.
        root: its folder.
        source: what the study loads its images with; of it the variant takes side, crop and seed.
    """
    name, _, part = shift.partition("/")
    entry = registry.dataset.get(name)
    if entry.relabel is not None:
        return entry.relabel(images, root)
    takes = inspect.signature(entry.function).parameters
    options = {key: source[key] for key in ("side", "crop", "seed") if key in source and key in takes}
    options |= entry.parts(root)[part] if entry.parts else {}
    from xailib.datasets import load_images

    return load_images(name, root=root, limit=len(images), **options)


def is_corruption(shift: str) -> bool:
    """Whether `corrupt` knows a shift of this name, or of one much like it."""
    return shift.rpartition("_")[0] in SEVERITIES or shift in list_five()


def corrupt(images: ImageBatch, shift: str, seed: int = 0) -> ImageBatch:
    """Return the images under a corruption such as `jpeg_3` or `pixelate/5`; labels, boxes and masks stay."""
    if "/" in shift:
        return images.with_pixels(corrupt_five(images.pixels, shift, seed))
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
    array = np.uint8(np.round(image.permute(1, 2, 0).numpy() * 255))
    return to_pixels(jpeg(Image.fromarray(array), quality))


_CORRUPTIONS = {
    "gaussian_noise": _gaussian_noise,
    "gaussian_blur": _gaussian_blur,
    "contrast": _contrast,
    "jpeg": _jpeg,
}
