"""Pictograms: rendered images with exact object masks; nothing to download."""

import numpy as np
import torch

from xailib.datasets.renderer import CLASS_NAMES, Style, render
from xailib.errors import InputError, nearest
from xailib.images import ImageBatch
from xailib.registry import dataset

SIZES = {"train": 24_000, "validation": 1_200, "test": 2_400}


def class_names() -> list[str]:
    """Return the 12 class names in label order."""
    return list(CLASS_NAMES)


@dataset("pictograms", label="Pictograms", class_names=class_names)
def pictograms(
    *, split: str = "test", limit: int | None = None, seed: int = 0, shift: Style = "natural"
) -> ImageBatch:
    """Render the first `limit` pictures of a split.

    Args:
        split: train, validation or test; each draws its backgrounds from photographs of its own.
        limit: how many pictures; by default 24,000, 1,200 or 2,400. The renderer has no end: more may be asked for.
        seed: another seed is another data set.
        shift: natural, or a drawn shift that keeps the object's place: silhouette, outline, unseen_photographs, texture_swap.
    """
    if split not in SIZES:
        raise InputError(f"unknown split '{split}' of pictograms{nearest(split, SIZES)}")
    pictures = [render(seed, split, index, shift) for index in range(SIZES[split] if limit is None else limit)]
    masks = torch.from_numpy(np.stack([picture.mask for picture in pictures]))
    return ImageBatch(
        pixels=torch.from_numpy(np.stack([picture.pixels for picture in pictures])).permute(0, 3, 1, 2).float().div_(255),
        labels=torch.tensor([picture.label for picture in pictures]),
        boxes=[tight_box(mask) for mask in masks],
        masks=masks,
        ids=[f"{split}-{seed}-{index:05d}" for index in range(len(pictures))],
    )


def tight_box(mask: torch.Tensor) -> torch.Tensor:
    """Return the box `(1, 4)` (x1, y1, x2, y2; ends exclusive) around a mask `(h, w)` that is not empty."""
    y, x = mask.nonzero(as_tuple=True)
    return torch.tensor([[x.min(), y.min(), x.max() + 1, y.max() + 1]], dtype=torch.float32)

