"""Images that a CSV file lists, with labels and boxes where it has them: how most annotation tools write theirs."""

import csv
import functools
import io
import re
from collections.abc import Iterator
from pathlib import Path

from PIL import Image

from xailib.datasets.files import distinct, numbered, read_text
from xailib.datasets.items import Box, Item
from xailib.errors import InputError, nearest
from xailib.images.truth import NO_LABEL
from xailib.registry import dataset

COLUMNS = ("file", "label", "box")
_ON_ITS_SIDE = (5, 6, 7, 8)  # EXIF orientations that swap width and height


def table_class_names(root: Path, classes: list[str] | None = None) -> list[str]:
    """Return the class names in label order: `classes`, else the labels, sorted (as numbers where all are numbers)."""
    if classes:
        return distinct("classes", classes)
    labels = {label for label, _ in _rows(root).values() if label}
    return sorted(labels, key=int) if all(label.isdecimal() for label in labels) else sorted(labels)


@dataset("table", label="Images of a table", side=224, class_names=table_class_names)
def table(root: Path, *, classes: list[str] | None = None) -> list[Item]:
    """Images that a CSV file lists, in its columns `file`, `label` and `box`; the last two may be absent.

    Photographs are turned as their EXIF orientation says, and boxes are taken to be drawn on them so turned, as viewers
    show them.

    Args:
        root: the CSV file. `file` is the image's path from its folder; `label` its class; `box` four numbers, x1 y1 x2 y2
            in pixels of the picture, between any of spaces, commas and brackets. A file with several boxes has a line each.
        classes: the labels in the order of the network's outputs; by default they are sorted.

    Raises:
        InputError: no such file or column, images without a label beside others with one, two labels of an image, a label
            that is not in `classes`, what is no box, or an image that cannot be read.
    """
    rows, known = _rows(root), numbered(table_class_names(root, classes))
    bare = [name for name, (label, _) in rows.items() if not label]
    if bare and len(bare) < len(rows):
        raise InputError(f"{root}: '{bare[0]}' has no label, but others have; give all of them one, or none")
    unknown = next(((name, label) for name, (label, _) in rows.items() if label and label not in known), None)
    if unknown:
        raise InputError(f"{root}: '{unknown[0]}': classes has no '{unknown[1]}'{nearest(unknown[1], known)}")
    items = []
    for name, (label, boxes) in rows.items():
        path = root.parent / name
        if not path.is_file():
            raise InputError(f"{root}: names '{name}', which is not there: {path}; paths start from the table's folder")
        width, height = _size(path) if boxes else (1, 1)
        shares = [_share(root, name, box, width, height) for box in boxes]
        items.append(Item(name, path, known[label] if label else NO_LABEL, shares, turn=True))
    return items


def _rows(root: Path) -> dict[str, tuple[str, list[str]]]:
    """File -> its label, empty where there is none, and its boxes as they are written."""
    return _parsed(root, read_text(root, "a table of images (CSV)"))


@functools.lru_cache(maxsize=8)
def _parsed(root: Path, text: str) -> dict[str, tuple[str, list[str]]]:
    found: dict[str, tuple[str, list[str]]] = {}
    reader = csv.DictReader(io.StringIO(text))
    columns = [str(name).strip() for name in reader.fieldnames or ()]
    if "file" not in columns:
        has = ", ".join(columns[:6]) or "nothing"
        raise InputError(f"{root}: its first line must name the columns {', '.join(COLUMNS)}; it has {has}")
    for number, row in enumerate(_lines(root, reader), start=2):
        values = {
            str(key).strip(): (value or "").strip() for key, value in row.items() if isinstance(value, str | None)
        }
        name, label, box = (values.get(column, "") for column in COLUMNS)
        if not name:
            raise InputError(f"{root}: line {number} names no file")
        before, boxes = found.setdefault(name, (label, []))
        if before != label:
            raise InputError(f"{root}: line {number}: '{name}' has the label '{label}', and '{before}' before")
        boxes += [box] if box else []
    if not found:
        raise InputError(f"{root}: lists no image")
    return found


def _lines(root: Path, reader: "csv.DictReader[str]") -> Iterator[dict[str, str]]:
    try:
        yield from reader
    except csv.Error as error:  # such as a cell of more than 131,072 characters
        raise InputError(f"{root}: cannot be read as CSV ({error}); leave out columns that are not looked at") from None


def _size(path: Path) -> tuple[int, int]:
    """Width and height of the picture as viewers show it; its pixels are not read."""
    try:
        with Image.open(path) as image:
            turned = image.getexif().get(0x0112, 1) in _ON_ITS_SIDE
            return image.size[::-1] if turned else image.size
    except Exception as error:  # of a broken file Pillow raises nearly anything
        raise InputError(
            f"{path}: not a complete image file ({error}); replace it with a readable JPEG or PNG"
        ) from None


def _share(root: Path, name: str, box: str, width: int, height: int) -> Box:
    """A box as shares of the picture's width and height."""
    words = re.split(r"[\s,;\[\]()]+", box.strip(" ,;[]()"))
    try:
        x1, y1, x2, y2 = map(float, words)
    except ValueError:
        raise InputError(f"{root}: '{name}': '{box}' is no box; write x1 y1 x2 y2 in pixels") from None
    if not (0 <= x1 < x2 <= width and 0 <= y1 < y2 <= height):
        raise InputError(
            f"{root}: '{name}': the box {x1:g} {y1:g} {x2:g} {y2:g} is not x1 < x2, y1 < y2 within the picture's"
            f" {width} x {height} pixels"
        )
    return x1 / width, y1 / height, x2 / width, y2 / height
