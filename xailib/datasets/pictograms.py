"""Pictograms: rendered images with exact object masks; nothing to download."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from xailib.datasets.renderer import CLASS_NAMES, SIDE, Layout, Style, render
from xailib.errors import InputError, nearest
from xailib.images import ImageBatch, tight_box
from xailib.registry import dataset

SIZES = {"train": 24_000, "validation": 1_200, "test": 2_400}
SIDES = (64, 32, 16, 8)


def class_names(classes: int = len(CLASS_NAMES)) -> list[str]:
    """Return the names of the first `classes` of the 12 classes, in label order."""
    return CLASS_NAMES[:classes]


@dataclass(frozen=True)
class Pictures:
    """The first `count` pictures of a split; `select` renders those of a slice."""

    split: str
    seed: int
    shift: Style
    side: int
    count: int
    layout: Layout

    def __len__(self) -> int:
        return self.count

    def select(self, indices: slice) -> ImageBatch:
        """Render the pictures of a slice."""
        numbers = range(self.count)[indices]
        pictures = [render(self.seed, self.split, number, self.shift, self.layout) for number in numbers]
        masks = _shrink_masks(torch.from_numpy(np.stack([picture.mask for picture in pictures])), self.side)
        pixels = torch.from_numpy(np.stack([picture.pixels for picture in pictures])).permute(0, 3, 1, 2).float()
        return ImageBatch(
            # Rounded, so that a smaller picture too is one of 8 bits and can be stored as such.
            pixels=avg_pool2d(pixels, SIDE // self.side).round_().div_(255),
            labels=torch.tensor([picture.label for picture in pictures]),
            boxes=[tight_box(mask) for mask in masks],
            masks=masks,
            ids=[f"{self.split}-{self.seed}-{number:05d}" for number in numbers],
        )


@dataset("pictograms", label="Pictograms", class_names=class_names)
def pictograms(
    *,
    split: str = "test",
    limit: int | None = None,
    seed: int = 0,
    side: int = SIDE,
    shift: Style = "natural",
    classes: int = len(CLASS_NAMES),
    smallest: float = 0.38,
    largest: float = 0.72,
    turn: float = 35.0,
) -> Pictures:
    """Render the first `limit` pictures of a split.

    Args:
        split: train, validation or test; each draws its backgrounds from photographs of its own.
        limit: how many pictures; by default 24,000, 1,200 or 2,400. The renderer has no end: more may be asked for.
        seed: another seed is another data set.
        side: 64 pixels, or 32, 16 or 8: the same pictures, averaged over squares of 2, 4 or 8 pixels. A pixel of the
            mask is one that the object covers by half at least; the box is tight around the smaller mask.
        shift: natural, or a drawn shift that keeps the object's place: silhouette, outline, unseen_photographs, texture_swap.
        classes: how many of the symbols, the first ones: 2 to 12.
        smallest, largest: bounds of the object's long side, as shares of the picture's, up to 0.9.
        turn: the object is turned by up to this many degrees either way.
    """
    if split not in SIZES:
        raise InputError(f"unknown split '{split}' of pictograms{nearest(split, SIZES)}")
    if side not in SIDES or not isinstance(side, int):
        raise InputError(
            f"side: pictograms have 64 pixels, shrunk by whole factors to 32, 16 or 8; {side!r} is none of these"
        )
    if classes not in range(2, len(CLASS_NAMES) + 1):
        raise InputError(f"classes: {classes!r} is not a whole number from 2 to the {len(CLASS_NAMES)} pictograms")
    if not 0.1 <= smallest <= largest <= 0.9:
        raise InputError(f"smallest, largest: {smallest} and {largest} are no two shares from 0.1 to 0.9 in this order")
    if not 0 <= turn <= 180:
        raise InputError(f"turn: {turn} is not an angle from 0 to 180 degrees")
    return Pictures(
        split, seed, shift, side, SIZES[split] if limit is None else limit, Layout(classes, smallest, largest, turn)
    )


def _shrink_masks(masks: Tensor, side: int) -> Tensor:
    """Masks `(n, 64, 64)` at `side` pixels: covered by half at least, or most of all where that leaves nothing."""
    cover = avg_pool2d(masks[:, None].float(), SIDE // side)[:, 0]
    return cover >= cover.amax(dim=(1, 2), keepdim=True).clamp(max=0.5)
