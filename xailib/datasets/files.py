"""What the data sets made of image files share: which files come, how they are fitted to the input, and their boxes."""

import hashlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import torch
from PIL import Image
from torch import Tensor

from xailib.errors import InputError, nearest
from xailib.images import ImageBatch
from xailib.images.pictures import Drawn, read_image, to_pixels

Crop = Literal["resize", "centre"]
Box = tuple[float, float, float, float]
ARCHIVES = (".tar", ".tgz", ".gz", ".zip")
SUFFIXES = (
    *(".jpeg", ".jpg", ".jpe", ".jfif", ".png", ".gif", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm"),
    *(".avif", ".heic", ".heif"),  # refused by name where Pillow cannot read them, not passed over
)
# What file systems, archives and cloud folders leave behind; so do names that begin with a dot.
JUNK = {"__MACOSX", "@eaDir", "$RECYCLE.BIN", "System Volume Information", "lost+found", "__pycache__"}

# The centre crop keeps 87.5 % of the short side, as in 256 -> 224.
CENTRE_SHARE = 0.875
# Of a strip narrower than this the centre crop would scale up gigabytes and keep next to nothing.
NARROWEST = 50


@dataclass(frozen=True)
class Item:
    """One image file with its truth; boxes are x1, y1, x2, y2 as fractions of width and height.

    `answers` are the class indices that are right where not the label alone is. `drawn_on` are the width and height that
    the boxes were drawn on: where the picture has them only when turned as its EXIF orientation says, it is turned.
    """

    id: str
    path: Path
    label: int
    boxes: list[Box] = field(default_factory=list)
    answers: tuple[int, ...] = ()
    drawn_on: Drawn | None = None


@dataclass(frozen=True)
class Files:
    """Images still in their files; `select` reads those of a slice, so that a large set need never be in memory.

    `classes` are the class indices that an answer is chosen among; None for all. `turn`: whether pictures are turned as
    their EXIF orientation says. Photographs of one's own are; data sets are read as torchvision and their authors do.
    """

    items: list[Item]
    side: int
    crop: Crop
    classes: tuple[int, ...] | None = None
    turn: bool = False

    def __len__(self) -> int:
        return len(self.items)

    def select(self, indices: slice) -> ImageBatch:
        """Read the images of a slice; see `load`."""
        return load(self.items[indices], self.side, self.crop, self.classes, self.turn)


def shuffled(ids: Iterable[str], seed: int) -> list[str]:
    """Return the ids in a random order that depends on (id, seed) alone.

    Every id draws its own place, so taking ids away leaves the order of the others as it was.
    """
    return sorted(ids, key=lambda id: hashlib.blake2b(f"{seed}/{id}".encode(), digest_size=16).digest())


def image_files(folder: Path, recursive: bool = False) -> list[Path]:
    """Return the image files of a folder, sorted; hidden ones and what systems leave behind are none.

    A folder that links lead to several times is entered once, and those around it never, so that links in a circle end.
    """
    return sorted(_walk(folder, recursive))


def has_images(folder: Path) -> bool:
    """Whether there is an image file in a folder or in those below."""
    return next(_walk(folder, True), None) is not None


def _walk(folder: Path, recursive: bool) -> Iterator[Path]:
    entered = {os.path.realpath(parent) for parent in Path(folder).absolute().parents}
    for place, folders, names in os.walk(folder, followlinks=True, onerror=_unreadable):
        entered.add(os.path.realpath(place))
        inner = sorted(name for name in folders if recursive and not is_junk(name))
        folders[:] = [name for name in inner if os.path.realpath(os.path.join(place, name)) not in entered]
        yield from (Path(place, name) for name in names if name.lower().endswith(SUFFIXES) and not is_junk(name))


def path_id(path: Path) -> str:
    """Return a path as text, the same in every locale; bytes that are no UTF-8 are spelt out."""
    return os.fsencode(path).decode(errors="backslashreplace")


def is_junk(name: str) -> bool:
    """Whether a file or folder is hidden, or left behind by a system, by its name."""
    return name.startswith(".") or name in JUNK


def _unreadable(error: OSError) -> None:
    raise InputError(f"{error.filename}: cannot be listed ({error.strerror})")


def look(folder: Path) -> str:
    """Say in a few words what a folder holds, for messages."""
    if not folder.is_dir():
        if folder.name.endswith(ARCHIVES) and folder.exists():
            return "it is an archive: unpack it first"
        return "there is no such folder" if not folder.exists() else "it is not a folder"
    names = sorted(path.name + "/" * path.is_dir() for path in folder.iterdir() if not is_junk(path.name))
    more = f" and {len(names) - 4} more" if len(names) > 4 else ""
    unpack = " (archives must be unpacked first)" if any(name.endswith(ARCHIVES) for name in names) else ""
    return f"it holds {', '.join(names[:4])}{more}{unpack}" if names else "it is empty"


def check_split(name: str, split: str, known: Iterable[str]) -> None:
    """Refuse a split that a data set does not have."""
    if split not in (known := list(known)):
        raise InputError(f"unknown split '{split}' of {name}{nearest(split, known)}")


def load(
    items: list[Item], side: int, crop: Crop, classes: tuple[int, ...] | None = None, turn: bool = False
) -> ImageBatch:
    """Read the files and fit them to `side` x `side` pixels, boxes and masks alike.

    Raises:
        InputError: a file that cannot be read, an unknown crop, a side below 8, or more images than memory holds.
    """
    check_fit(side, crop)
    check_memory(len(items), side)
    pixels = torch.empty(len(items), 3, side, side)
    boxes = []
    for i, item in enumerate(items):
        picture = read_image(item.path, turn=turn or item.drawn_on or False)
        try:
            image, left = fit(picture, side, crop)
        except InputError as error:
            raise InputError(f"{item.path}: {error}") from None
        pixels[i] = to_pixels(image)
        boxes.append(_fit_boxes(item.boxes, *left, side))
    labels = torch.tensor([item.label for item in items], dtype=torch.int64)
    answers = [item.answers for item in items] if any(item.answers for item in items) else None
    return ImageBatch(pixels, labels, boxes, None, [item.id for item in items], answers, classes)


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
        fit = max(1, int(memory / 2 / (needed / count)))
        raise InputError(f"limit: {count} images of {side} pixels need {needed / 1e9:.1f} GB; give at most {fit}")
