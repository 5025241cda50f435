"""`ImageBatch`, the one container of images, labels and where the object is; and safe reading of image files."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from PIL import Image, ImageFile, UnidentifiedImageError
from torch import Tensor

from xailib.errors import InputError

ImageFile.LOAD_TRUNCATED_IMAGES = False


class Images(Protocol):
    """Images that are read or rendered when they are asked for; an `ImageBatch` is one where all are at hand."""

    def __len__(self) -> int: ...

    def select(self, indices: slice) -> "ImageBatch":
        """Return the images of a slice."""
        ...


@dataclass(frozen=True)
class ImageBatch:
    """Images with their ground truth.

    Attributes:
        pixels: float32 `(n, 3, h, w)` in [0, 1], RGB.
        labels: int64 `(n,)`, class indices.
        boxes: `n` float32 tensors `(k, 4)`: x1, y1, x2, y2 in pixels, x2 and y2 exclusive; `k` may be 0.
        masks: bool `(n, h, w)`: the object's exact pixels where known, else the union of its boxes.
        ids: `n` unique names.
        answers: `n` groups of class indices, each of which is a right answer; None where the label alone is.
        classes: the class indices that an answer is chosen among; None for all of the network's.
    """

    pixels: Tensor
    labels: Tensor
    boxes: list[Tensor]
    masks: Tensor
    ids: list[str]
    answers: list[tuple[int, ...]] | None = None
    classes: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        n = len(self.pixels)
        if not (len(self.labels) == len(self.boxes) == len(self.masks) == len(self.ids) == n):
            raise InputError(f"an ImageBatch of {n} images needs {n} labels, boxes, masks and ids")
        if self.answers is not None and len(self.answers) != n:
            raise InputError(f"an ImageBatch of {n} images needs {n} groups of answers, or None")

    def __len__(self) -> int:
        return len(self.pixels)

    def select(self, indices: list[int] | Tensor | slice) -> "ImageBatch":
        """Return the images at `indices`, in that order."""
        rows = list(range(len(self)))[indices] if isinstance(indices, slice) else [int(i) for i in indices]
        return replace(
            self,
            pixels=self.pixels[rows],
            labels=self.labels[rows],
            boxes=[self.boxes[i] for i in rows],
            masks=self.masks[rows],
            ids=[self.ids[i] for i in rows],
            answers=None if self.answers is None else [self.answers[i] for i in rows],
        )

    def with_pixels(self, pixels: Tensor) -> "ImageBatch":
        """Return the same ground truth over other pixels (a corruption, an attack)."""
        return replace(self, pixels=pixels)

    def right(self, predicted: Tensor) -> Tensor:
        """Return bool `(n,)`: which of the predicted class indices `(n,)` are right."""
        if self.answers is None:
            return predicted == self.labels
        return torch.tensor([int(one) in group for one, group in zip(predicted, self.answers, strict=True)], dtype=torch.bool)


def box_masks(boxes: list[Tensor], height: int, width: int) -> Tensor:
    """Return bool masks `(n, height, width)`: each the union of one image's boxes.

    A pixel belongs to a box when its centre lies inside it.
    """
    masks = torch.zeros(len(boxes), height, width, dtype=torch.bool)
    y = torch.arange(height)[:, None] + 0.5
    x = torch.arange(width)[None, :] + 0.5
    for i, group in enumerate(boxes):
        for x1, y1, x2, y2 in group.tolist():
            masks[i] |= (x >= x1) & (x < x2) & (y >= y1) & (y < y2)
    return masks


def read_image(path: str | Path) -> Image.Image:
    """Read any image file as 8-bit RGB.

    Greyscale, palette and CMYK files are converted; 16-bit ones are scaled to 8 bits; alpha is laid on white.
    A missing, truncated or unreadable file is an `InputError` that names it.
    """
    path = Path(path)
    try:
        with Image.open(path) as image:
            image.load()
            return to_rgb(image)
    except FileNotFoundError:
        raise InputError(f"{path}: no such image file") from None
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
        raise InputError(f"{path}: not a complete image file ({error}); replace it with a readable JPEG or PNG") from None


def to_rgb(image: Image.Image) -> Image.Image:
    """Convert a Pillow image of any mode to 8-bit RGB without clipping 16-bit values."""
    if image.mode.startswith("I") or image.mode == "F":
        values = np.asarray(image, dtype=np.float64)
        top = 65535.0 if values.max() > 255 else 255.0
        return Image.fromarray(np.round(values / top * 255).clip(0, 255).astype(np.uint8), "L").convert("RGB")
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return image.convert("RGB")


def to_pixels(image: Image.Image) -> Tensor:
    """Return a Pillow RGB image as float32 `(3, h, w)` in [0, 1]."""
    return torch.from_numpy(np.array(image, dtype=np.uint8)).permute(2, 0, 1).float().div_(255)
