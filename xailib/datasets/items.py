"""One image of a data set with its truth, and how many of them become pixels: read or drawn only when they are asked for."""

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from numbers import Integral
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
from annotated_types import Gt, Le
from PIL import Image
from torch import Tensor

from xailib.errors import InputError, named
from xailib.images import ImageBatch
from xailib.images.pictures import Size, read_image, to_pixels
from xailib.images.truth import NO_LABEL

Crop = Literal["resize", "centre"]
Box = tuple[float, float, float, float]
BoxArea = Annotated[float, Gt(0), Le(1)]  # a share of the picture

# The centre crop keeps 87.5 % of the short side, as in 256 -> 224.
CENTRE_SHARE = 0.875
# Of a strip narrower than this the centre crop would scale up gigabytes and keep next to nothing.
NARROWEST = 50


@dataclass(frozen=True)
class Item:
    """One image of a data set with its truth: a file, or a picture that is drawn when it is asked for.

    Attributes:
        id: its name, which no other image of the data set has.
        path: the file, which is fitted to the network's input, boxes and all; None for what is drawn.
        label: the class index.
        boxes: x1, y1, x2, y2 of the file's picture as fractions of its width and height.
        answers: the class indices that are right where not the label alone is.
        turn: whether the file is turned as its EXIF orientation says, or the width and height that its boxes were drawn
            on; see `read_image`. Photographs of one's own are turned; data sets are read as torchvision and their authors do.
        draw: what draws it, at its final size: uint8 pixels `(side, side, 3)` and the object's bool mask `(side, side)`.
    """

    id: str
    path: Path | None
    label: int
    boxes: list[Box] = field(default_factory=list)
    answers: tuple[int, ...] = ()
    turn: bool | Size = False
    draw: Callable[[], tuple[np.ndarray, np.ndarray]] | None = None

    def __post_init__(self) -> None:
        if isinstance(self.label, bool) or not isinstance(self.label, Integral):
            raise InputError(f"image '{self.id}': its label is a class index, not {self.label!r}")
        if (self.path is None) == (self.draw is None):
            raise InputError(f"image '{self.id}': it needs either a file (path) or what draws it (draw)")
        strange = [box for box in self.boxes if not _is_box(box)]
        if strange:
            needed = "x1, y1, x2, y2 as shares of the picture, 0 <= x1 < x2 <= 1 and 0 <= y1 < y2 <= 1"
            raise InputError(f"image '{self.id}': {strange[0]} is no box; {needed}, are needed")

    @property
    def right(self) -> tuple[int, ...]:
        """The class indices that are right: the answers, else the label alone; none where it is not known."""
        return self.answers or (self.label,) * (self.label != NO_LABEL)

    @property
    def box_area(self) -> float:
        """The share of the picture that the largest box covers; 0 without boxes."""
        return max(((x2 - x1) * (y2 - y1) for x1, y1, x2, y2 in self.boxes), default=0.0)


@dataclass(frozen=True)
class Images:
    """Images that are not read yet, so that a large set need never be in memory.

    Attributes:
        items: all files, or all drawn.
        side, crop: what files are fitted to; see `fit`.
        classes: the class indices that an answer is chosen among; None for all.

    Raises:
        InputError: an unknown crop, or a side below 8.
    """

    items: list[Item]
    side: int | None
    crop: Crop = "resize"
    classes: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        if self.side is not None:
            check_fit(self.side, self.crop)

    def __len__(self) -> int:
        return len(self.items)

    def select(self, indices: slice | Sequence[int]) -> ImageBatch:
        """Read or draw the images of a slice, or at these places, and no other.

        Raises:
            InputError: a file that cannot be read, or more images than memory holds.
        """
        items = self.items[indices] if isinstance(indices, slice) else [self.items[i] for i in indices]
        truth = {
            "labels": torch.tensor([item.label for item in items], dtype=torch.int64),
            "ids": [item.id for item in items],
            "answers": [item.right for item in items] if any(item.answers for item in items) else None,
            "classes": self.classes,
        }
        if self.side is None:
            drawn = [_drawn(item) for item in items]
            return ImageBatch([pixels for pixels, _ in drawn], masks=[mask for _, mask in drawn], **truth)
        check_memory(len(items), self.side)
        pixels = torch.empty(len(items), 3, self.side, self.side)
        boxes = []
        for i, item in enumerate(items):
            picture = read_image(item.path, turn=item.turn)
            with named(str(item.path)):
                picture, whole = fit(picture, self.side, self.crop)
            pixels[i] = to_pixels(picture)
            boxes.append(_fit_boxes(item.boxes, *whole, self.side))
        return ImageBatch(pixels, boxes=boxes, **truth)


def checked(found: Any, who: str, files: bool) -> list[Item]:
    """Return what a data set's function has found as a list of different images: all files, or all drawn.

    Args:
        found: what it returned.
        who: the data set, for messages.
        files: whether it declares a side that files are fitted to.

    Raises:
        InputError: what are no items, none at all, two of one id, or items without a file or without what draws them.
    """
    if isinstance(found, str | bytes) or not isinstance(found, Iterable):
        raise InputError(f"{who} returns {type(found).__name__}, not a list of Item or an ImageBatch")
    items = list(found)
    strange = next((one for one in items if not isinstance(one, Item)), None)
    if strange is not None or not items:
        raise InputError(f"{who} returns {'no images' if not items else type(strange).__name__ + ', not Item'}")
    double = next((id for id, count in Counter(item.id for item in items).items() if count > 1), None)
    if double is not None:
        raise InputError(f"{who} has two images '{double}'; an id is one image's")
    other = next((item.id for item in items if (item.path is not None) != files), None)
    if other is not None:
        remedy = "leave side= out where images are drawn" if files else "declare the side= that files are fitted to"
        raise InputError(f"{who}: image '{other}' is {'drawn, not read' if files else 'a file'}; {remedy}")
    return items


def choose(items: Iterable[Item], seed: int, limit: int | None = None) -> list[Item]:
    """Return the first `limit` items in the seed's order; see `shuffled`."""
    by_id = {item.id: item for item in items}
    return [by_id[id] for id in shuffled(by_id, seed)[:limit]]


def shuffled(ids: Iterable[str], seed: int) -> list[str]:
    """Return the ids in a random order that depends on (id, seed) alone.

    Every id draws its own place, so taking ids away leaves the order of the others as it was.
    """
    return sorted(ids, key=lambda id: hashlib.blake2b(f"{seed}/{id}".encode(), digest_size=16).digest())


def _drawn(item: Item) -> tuple[Any, Any]:
    """The pixels and the mask that an item draws."""
    found = item.draw()
    if not isinstance(found, tuple) or len(found) != 2:
        raise InputError(f"image '{item.id}': draw returns pixels and the object's mask, not {type(found).__name__}")
    return found


def _is_box(box: Any) -> bool:
    try:
        x1, y1, x2, y2 = box
        return bool(0 <= x1 < x2 <= 1 and 0 <= y1 < y2 <= 1)
    except (TypeError, ValueError):
        return False


def check_fit(side: int, crop: Crop) -> None:
    """Refuse what is no side of the input, and an unknown crop."""
    if crop not in ("resize", "centre"):
        raise InputError(f"crop: '{crop}' is not known; use 'resize' or 'centre'")
    if isinstance(side, bool) or not isinstance(side, int) or side < 8:
        raise InputError(f"side: {side!r} is not a number of pixels; give the model's input size, at least 8")


def fit(image: Image.Image, side: int, crop: Crop) -> tuple[Image.Image, tuple[float, float, float, float]]:
    """Return the image at `side` x `side`, and where its whole lies in it: left, top, width, height in pixels.

    `resize` squeezes the whole image into the square; `centre` scales the short side to side / 0.875 and cuts the
    middle out.
    """
    width, height, left, top = place(image.width, image.height, side, crop)
    image = image.resize((width, height), Image.Resampling.BICUBIC)
    return image.crop((left, top, left + side, top + side)), (-left, -top, width, height)


def place(width: int, height: int, side: int, crop: Crop) -> tuple[int, int, int, int]:
    """Return the size `(width, height)` that an image is scaled to, and the left and top of the square cut out of it."""
    if crop == "resize":
        return side, side, 0, 0
    if max(width, height) > NARROWEST * min(width, height):
        raise InputError(f"{width} x {height} pixels are too narrow for crop 'centre'; use crop='resize'")
    scale = round(side / CENTRE_SHARE) / min(width, height)
    width, height = round(width * scale), round(height * scale)
    return width, height, (width - side) // 2, (height - side) // 2


def _fit_boxes(boxes: list[Box], left: float, top: float, width: float, height: float, side: int) -> Tensor:
    """Boxes `(k, 4)` in pixels of the fitted image, clipped to it; those that the crop cut away are dropped."""
    fitted = torch.tensor(boxes, dtype=torch.float32).view(-1, 4) * torch.tensor([width, height, width, height])
    fitted = (fitted + torch.tensor([left, top, left, top])).clamp(0, side)
    return fitted[((fitted[:, 2:] - fitted[:, :2]) > 0).all(dim=1)]


def check_memory(count: int, side: int) -> None:
    """Refuse more images than half of the memory holds."""
    needed = count * side * side * (3 * 4 + 1)
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if needed > memory / 2:
        most = max(1, int(memory / 2 / (needed / count)))
        raise InputError(f"limit: {count} images of {side} pixels need {needed / 1e9:.1f} GB; give at most {most}")
