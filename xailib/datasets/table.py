"""Images that a CSV file lists, with labels and boxes where it has them: how most annotation tools write theirs."""

import contextlib
import csv
import functools
import io
import os.path
import posixpath
import re
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from xailib.datasets.files import distinct, numbered, read_text
from xailib.datasets.items import Box, Item
from xailib.errors import InputError, nearest
from xailib.images.pictures import read_image
from xailib.images.truth import NO_LABEL
from xailib.registry import dataset

COLUMNS = ("file", "label", "box")
# Column -> what other tools call it, in letters and digits alone, and what to do about it.
_ALIKE = {
    "file": (r"(file|image|img|picture)s?(name|path|file|id)?|path|name", "write file for it"),
    "label": (
        r"(class|category|label)(es|s)?(name|id|idx|index)?|categories|targets?|species",
        "write label for it, or take it out",
    ),
    "box": (
        r"(b|bnd|bounding)?box(es)?(\w\w?|[xy]min|[xy]max)?|[xy](min|max|[012]|cent(er|re))",
        "write the four numbers in one column box, as x1 y1 x2 y2 in pixels, or take it out",
    ),
}


def table_class_names(root: Path, classes: list[str] | None = None) -> list[str]:
    """Return the class names in label order: `classes`, else the labels, sorted (as numbers where all are numbers)."""
    if classes:
        if not isinstance(classes, list | tuple) or not all(isinstance(name, str) for name in classes):
            raise InputError(
                f"classes: {classes!r} is no list of labels as they are written in {root}: text, even of numbers"
            )
        return distinct("classes", classes)
    labels = sorted({label for label, _ in _rows(root).values() if label})
    return sorted(labels, key=int) if all(label.isdecimal() for label in labels) else labels


@dataset("table", label="Images of a table", side=224, class_names=table_class_names)
def table(root: Path, *, classes: list[str] | None = None) -> list[Item]:
    """Images that a CSV file lists, in its columns `file`, `label` and `box`, in any case; the last two may be absent.

    Photographs are turned as their EXIF orientation says, and boxes are taken to be drawn on them so turned, as viewers
    show them.

    Args:
        root: the CSV file. `file` is the image's path from its folder; `label` its class; `box` four numbers, x1 y1 x2 y2
            in pixels of the picture, between any of spaces, commas and brackets. A file with several boxes has a line each.
        classes: the labels in the order of the network's outputs; by default they are sorted.

    Raises:
        InputError: no such file or column, a column that seems to be one of the three under another name, images without a
            label beside others with one, two labels of an image, a label that is not in `classes`, what is no box, or an
            image that cannot be read.
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
        if not os.path.isfile(path):  # False too of names that are too long, as a quote that never closes makes them
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
    try:
        reader.fieldnames = _columns(root, reader.fieldnames or ())
        rows = list(reader)
    except csv.Error as error:  # such as a cell of more than 131,072 characters
        raise InputError(
            f"{root}: cannot be read as CSV ({error}); close all quotes, and leave out columns that are not looked at"
        ) from None
    for number, row in enumerate(rows, start=2):
        name, label, box = ((row.get(column) or "").strip() for column in COLUMNS)
        if not name:
            raise InputError(f"{root}: line {number} names no file")
        name = posixpath.normpath(name)  # ./a.png is a.png
        before, boxes = found.setdefault(name, (label, []))
        if before != label:
            raise InputError(f"{root}: line {number}: '{name}' has the label '{label}', and '{before}' before")
        boxes += [box] if box else []
    if not found:
        raise InputError(f"{root}: lists no image")
    return found


def _columns(root: Path, names: Sequence[str]) -> list[str]:
    """The names of the columns as they are looked up; a table is refused whose columns seem to have other names."""
    columns = [name.strip().casefold() for name in names]
    for wanted in COLUMNS:
        if columns.count(wanted) > 1:
            raise InputError(f"{root}: its first line names the column {wanted} twice; take one of them out")
        form, remedy = _ALIKE[wanted]
        alike = next((name for name in columns if re.fullmatch(form, re.sub(r"[\W_]", "", name))), None)
        if wanted in columns or (alike is None and wanted != "file"):
            continue
        has = ", ".join(name.strip() for name in names[:6]) or "nothing"
        hint = f"; if '{alike}' is the {wanted}, {remedy}" if alike else ""
        raise InputError(
            f"{root}: its first line must name the columns {', '.join(COLUMNS)}; it has {has}, and no {wanted}{hint}"
        )
    return columns


def _size(path: Path) -> tuple[int, int]:
    """Width and height of the picture as viewers show it; the pixels of one that stands upright are not read."""
    with contextlib.suppress(Exception), Image.open(path) as image:  # what is broken, the reader of images tells
        if image.getexif().get(0x0112, 1) == 1:  # of others Pillow turns a TIFF at opening, a JPEG not
            return image.size
    return read_image(path).size


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
    if max(x2, y2) <= 1 and min(width, height) > 8:
        raise InputError(
            f"{root}: '{name}': the box '{box}' lies within 0 and 1: shares of the sides? Write x1 y1 x2 y2 in pixels"
        )
    return x1 / width, y1 / height, x2 / width, y2 / height
