"""Tiny ImageNet: 200 classes of ImageNet at 64 pixels, with a box on every image; any part of the classes will do.

The Stanford CS231n release: `wnids.txt`, `words.txt`, `train/WNID/images/`, `train/WNID/WNID_boxes.txt`, `val/images/`
and `val/val_annotations.txt`.
"""

from pathlib import Path

from xailib.datasets.files import (
    Classes,
    class_folders,
    find_home,
    listed_items,
    numbered,
    pick_classes,
    read_lines,
)
from xailib.datasets.items import BoxArea, Item
from xailib.errors import InputError, nearest
from xailib.registry import dataset

SIDE = 64


def tiny_imagenet_class_names(root: Path | None = None, classes: Classes = None) -> list[str]:
    """Return the class names in label order: the first word of each class in `words.txt`.

    A list of names says it all, so that a network trained on these classes can be opened where the images are not.
    """
    if root is None and isinstance(classes, list | tuple) and classes:
        return [str(name) for name in classes]
    if root is None:
        raise InputError("class names of data set 'tiny_imagenet' need 'root', or a list of 'classes'")
    return list(_classes(_home(root), classes).values())


@dataset(
    "tiny_imagenet", label="Tiny ImageNet", splits=("val", "train"), side=SIDE, class_names=tiny_imagenet_class_names
)
def tiny_imagenet(root: Path, split: str, *, classes: Classes = None, max_box_area: BoxArea = 1.0) -> list[Item]:
    """Images with their boxes: 500 a class in train, 50 in val.

    Args:
        root: the folder that holds `tiny-imagenet-200`, or that folder itself.
        classes: the first so many classes, or a list of their names or WordNet ids. By default all that have a folder in
            `train`, in the order of `wnids.txt`.
        max_box_area: of val only images whose box covers at most this share; networks are trained on all.

    Raises:
        InputError: a folder, list, class or image that is missing, or a row that is no box.
    """
    home = _home(root)
    labels = numbered(_classes(home, classes))
    if split == "train":
        return _train_items(home, labels)
    found = [item for item in _val_items(home, labels) if item.box_area <= max_box_area]
    if not found:
        raise InputError(f"{root}: no image passes max_box_area={max_box_area}")
    return found


def _home(root: Path) -> Path:
    return find_home(root, ("tiny-imagenet-200",), "wnids.txt")


def _classes(home: Path, classes: Classes) -> dict[str, str]:
    """WordNet id -> readable name of the classes that have a training folder, or of those among them asked for."""
    here = class_folders(home / "train")
    listed = [row[0] for row in _rows(home / "wnids.txt", 1)]
    unknown = next((wnid for wnid in here if wnid not in set(listed)), None)
    if unknown is not None:
        raise InputError(f"{home / 'train' / unknown}: wnids.txt lists no such class{nearest(unknown, listed)}")
    words = dict(_rows(home / "words.txt", 2, "\t"))
    nameless = next((wnid for wnid in here if wnid not in words), None)
    if nameless is not None:
        raise InputError(f"{home / 'words.txt'}: no line for {nameless}, which has a folder in train")
    return pick_classes("tiny_imagenet", {id: words[id].split(",")[0] for id in listed if id in set(here)}, classes)


def _train_items(home: Path, labels: dict[str, int]) -> list[Item]:
    items = []
    for wnid, label in labels.items():
        table, images = home / "train" / wnid / f"{wnid}_boxes.txt", home / "train" / wnid / "images"
        found = {name: _item(table, images / name, label, box) for name, *box in _rows(table, 5)}
        items += listed_items(table, images, found)
    return items


def _val_items(home: Path, labels: dict[str, int]) -> list[Item]:
    table, images = home / "val" / "val_annotations.txt", home / "val" / "images"
    rows = [row for row in _rows(table, 6) if row[1] in labels]
    empty = next((wnid for wnid in labels if wnid not in {row[1] for row in rows}), None)
    if empty is not None:
        raise InputError(f"{table}: no row for class {empty}, which has a folder in train")
    return listed_items(
        table, images, {name: _item(table, images / name, labels[wnid], box) for name, wnid, *box in rows}
    )


def _item(table: Path, path: Path, label: int, words: list[str]) -> Item:
    """An image with its box, whose row counts pixels of 64 from 0 and includes the last one."""
    try:
        x1, y1, x2, y2 = (int(word) for word in words)
    except ValueError:
        x1, y1, x2, y2 = 0, 0, -1, -1
    if not (0 <= x1 <= x2 < SIDE and 0 <= y1 <= y2 < SIDE):
        row = f"the row of {path.name} has {' '.join(words)!r}"
        raise InputError(f"{table}: {row}, not a box x1 y1 x2 y2 within 0 to {SIDE - 1}")
    return Item(path.stem, path, label, [(x1 / SIDE, y1 / SIDE, (x2 + 1) / SIDE, (y2 + 1) / SIDE)])


def _rows(path: Path, columns: int, separator: str | None = None) -> list[list[str]]:
    """The lines of a table in words."""
    rows = [line.split(separator) for line in read_lines(path, "a table")]
    bad = next((row for row in rows if len(row) != columns), None)
    if bad is not None or not rows:
        what = "it is empty" if bad is None else f"the row {' '.join(bad)!r} has {len(bad)} columns"
        raise InputError(f"{path}: looked for rows of {columns} columns; {what}")
    return rows
