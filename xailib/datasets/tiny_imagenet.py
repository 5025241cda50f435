"""Tiny ImageNet: 200 classes of ImageNet at 64 pixels, with a box on every image; any part of the classes will do.

The Stanford CS231n release: `wnids.txt`, `words.txt`, `train/WNID/images/`, `train/WNID/WNID_boxes.txt`, `val/images/`
and `val/val_annotations.txt`.
"""

from pathlib import Path

from xailib.datasets.files import Box, Crop, Files, Item, check_split, image_files, look
from xailib.datasets.layouts import Classes, choose, class_folders, find_home, pick_classes
from xailib.errors import InputError, nearest
from xailib.registry import dataset

SIDE = 64


def tiny_imagenet_class_names(root: str | Path | None = None, classes: Classes = None) -> list[str]:
    """Return the class names in label order: the first word of each class in `words.txt`.

    A list of names says it all, so that a network trained on these classes can be opened where the images are not.
    """
    if root is None and isinstance(classes, list | tuple) and classes:
        return [str(name) for name in classes]
    if root is None:
        raise InputError("class names of data set 'tiny_imagenet' need 'root', or a list of 'classes'")
    return list(_classes(_home(root), classes).values())


@dataset("tiny_imagenet", label="Tiny ImageNet", class_names=tiny_imagenet_class_names)
def tiny_imagenet(
    *,
    root: str | Path,
    split: str = "val",
    limit: int | None = None,
    seed: int = 0,
    side: int = SIDE,
    crop: Crop = "resize",
    classes: Classes = None,
) -> Files:
    """Load images with their boxes.

    Args:
        root: the folder that holds `tiny-imagenet-200`, or that folder itself.
        split: train (500 images a class) or val (50).
        limit, seed: how many images, and which; see `load_images`.
        side: side of the square input in pixels.
        crop: `resize` keeps the whole image, `centre` its middle (256 -> 224).
        classes: the first so many classes, or a list of their names or WordNet ids. By default all that have a folder in
            `train`, in the order of `wnids.txt`.

    Raises:
        InputError: a folder, list, class or image that is missing, or a row that is no box.
    """
    check_split("tiny_imagenet", split, ["train", "val"])
    home = _home(root)
    labels = {wnid: label for label, wnid in enumerate(_classes(home, classes))}
    items = _train_items(home, labels) if split == "train" else _val_items(home, labels)
    return Files(choose(items, seed, limit), side, crop)


def _home(root: str | Path) -> Path:
    return find_home(root, ("tiny-imagenet-200",), "wnids.txt")


def _classes(home: Path, classes: Classes) -> dict[str, str]:
    """WordNet id -> readable name of the classes that have a training folder, or of those among them asked for."""
    here = class_folders(home / "train")
    listed = [row[0] for row in _rows(home / "wnids.txt", 1)]
    stranger = next((wnid for wnid in here if wnid not in set(listed)), None)
    if stranger is not None:
        raise InputError(f"{home / 'train' / stranger}: wnids.txt lists no such class{nearest(stranger, listed)}")
    words = dict(_rows(home / "words.txt", 2, "\t"))
    nameless = next((wnid for wnid in here if wnid not in words), None)
    if nameless is not None:
        raise InputError(f"{home / 'words.txt'}: no line for {nameless}, which has a folder in train")
    return pick_classes("tiny_imagenet", {id: words[id].split(",")[0] for id in listed if id in set(here)}, classes)


def _train_items(home: Path, labels: dict[str, int]) -> list[Item]:
    items = []
    for wnid, label in labels.items():
        folder = home / "train" / wnid
        boxes = {row[0]: row[1:] for row in _rows(folder / f"{wnid}_boxes.txt", 5)}
        items += _boxed(folder / "images", folder / f"{wnid}_boxes.txt", boxes, dict.fromkeys(boxes, label))
    return items


def _val_items(home: Path, labels: dict[str, int]) -> list[Item]:
    table = home / "val" / "val_annotations.txt"
    rows = [row for row in _rows(table, 6) if row[1] in labels]
    found = {row[0]: labels[row[1]] for row in rows}
    empty = next((wnid for wnid, label in labels.items() if label not in set(found.values())), None)
    if empty is not None:
        raise InputError(f"{table}: no row for class {empty}, which has a folder in train")
    return _boxed(home / "val" / "images", table, {row[0]: row[2:] for row in rows}, found)


def _boxed(folder: Path, table: Path, boxes: dict[str, list[str]], labels: dict[str, int]) -> list[Item]:
    """The images that a table names, each with its one box."""
    files = {path.name: path for path in image_files(folder)} if folder.is_dir() else {}
    missing = next((name for name in boxes if name not in files), None)
    if missing is not None:
        raise InputError(f"{table}: names {missing}, which is not in {folder}; {look(folder)}")
    return [Item(Path(name).stem, files[name], labels[name], [_box(table, name, boxes[name])]) for name in boxes]


def _box(table: Path, name: str, words: list[str]) -> Box:
    """The box in shares of the side; the rows count pixels of 64 from 0 and include the last one."""
    try:
        x1, y1, x2, y2 = (int(word) for word in words)
    except ValueError:
        x1, y1, x2, y2 = 0, 0, -1, -1
    if not (0 <= x1 <= x2 < SIDE and 0 <= y1 <= y2 < SIDE):
        raise InputError(
            f"{table}: the row of {name} has {' '.join(words)!r}, not a box x1 y1 x2 y2 within 0 to {SIDE - 1}"
        )
    return x1 / SIDE, y1 / SIDE, (x2 + 1) / SIDE, (y2 + 1) / SIDE


def _rows(path: Path, columns: int, separator: str | None = None) -> list[list[str]]:
    """The lines of a table in words."""
    try:
        rows = [line.split(separator) for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as a table ({error}); {path.parent}: {look(path.parent)}") from None
    bad = next((row for row in rows if len(row) != columns), None)
    if bad is not None or not rows:
        what = "it is empty" if bad is None else f"the row {' '.join(bad)!r} has {len(bad)} columns"
        raise InputError(f"{path}: looked for rows of {columns} columns; {what}")
    return rows
