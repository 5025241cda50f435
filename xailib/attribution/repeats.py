"""Maps with some of them made twice: what a second seed changes is chance."""

from typing import Any

import torch
from torch import Tensor

from xailib.attribution import attribute
from xailib.errors import InputError
from xailib.models.model import Model


def attribute_twice(
    name: str, model: Model, pixels: Tensor, labels: Tensor, *, repeats: int, seed: int = 0, **options: Any
) -> tuple[Tensor, Tensor]:
    """Explain every image by `attribute`, and the first of them again under the next seed.

    The images that are explained twice make a batch of their own both times, so that a method that draws nothing gives
    the same maps bit for bit: rounding depends on the batch, and differs from no seed's effect otherwise.

    Args:
        pixels, labels: as in `attribute`.
        repeats: how many images are explained twice; no more than there are, 0 for none.
        seed: of the maps; the repeats have `seed + 1`.
        options: further arguments of `attribute`.

    Returns:
        maps `(n, h, w)`, and those of the first images under the next seed `(min(repeats, n), h, w)`.

    Raises:
        InputError: a negative number of repeats; what `attribute` refuses.
    """
    if repeats < 0:
        raise InputError(f"reliability_images: {repeats} is no number of images; use 0 for none, or more")
    parts = [part for part in (slice(repeats), slice(repeats, None)) if len(pixels[part])] or [slice(None)]
    maps = [attribute(name, model, pixels[part], labels[part], seed=seed, **options) for part in parts]
    whole = torch.cat([*maps])
    if repeats == 0:
        return whole, whole[:0]
    return whole, attribute(name, model, pixels[parts[0]], labels[parts[0]], seed=seed + 1, **options)
