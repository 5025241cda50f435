"""How a data set lies on disk: finding its folder, its tables, its classes and their images, and saying what is amiss."""

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from xailib.datasets.items import Item
from xailib.errors import InputError, nearest
from xailib.image_files import SUFFIXES, image_files, is_junk

Classes = int | Sequence[str] | None
ARCHIVES = (".tar", ".tgz", ".gz", ".zip")


def path_id(path: Path) -> str:
    """Return a path as text, the same in every locale; bytes that are no UTF-8 are spelt out."""
    return os.fsencode(path).decode(errors="backslashreplace")


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


def find_home(root: Path, names: Sequence[str], holds: str) -> Path:
    """Return the first of `root` and its folders `names` in which there is a file or folder `holds`."""
    found = next((place for place in (root, *(root / name for name in names)) if (place / holds).exists()), None)
    if found is None:
        nearly = next((root / name for name in names if (root / name).exists()), root)
        inside = f" or in {names[0]}" if nearly == root else ""
        raise InputError(f"{nearly}: looked for {holds} there{inside}; {look(nearly)}")
    return found


def subfolders(top: Path) -> list[str]:
    """Return the names of the folders in `top`, sorted: as numbers where all are numbers.

    Hidden folders, and those that systems leave behind, are none.
    """
    if not top.is_dir():
        raise InputError(f"{top}: looked for one folder a class there; {look(top)}")
    found = sorted(path.name for path in top.iterdir() if path.is_dir() and not is_junk(path.name))
    return sorted(found, key=int) if all(name.isdecimal() for name in found) else found


def class_folders(top: Path) -> list[str]:
    """Return the names of the folders in `top`, one a class, of which there must be one; see `subfolders`."""
    found = subfolders(top)
    if not found:
        raise InputError(f"{top}: looked for one folder a class there; {look(top)}")
    return found


def class_items(top: Path, labels: Mapping[str, int]) -> list[Item]:
    """Return the images of `top/CLASS/` for every class folder -> label; their ids are CLASS/FILE.

    Raises:
        InputError: a class has no folder, or no image in it.
    """
    items = []
    for name, label in labels.items():
        folder = top / name
        files = image_files(folder) if folder.is_dir() else []
        if not files:
            raise InputError(f"{folder}: looked for the images of a class ({', '.join(SUFFIXES)}); {look(folder)}")
        items += [Item(f"{name}/{path.name}", path, label) for path in files]
    return items


def listed_items(table: Path, folder: Path, listed: Mapping[str, Item]) -> list[Item]:
    """Return the items of what a table lists, by its own names for them; their files must lie in the folder."""
    here = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    missing = next((name for name, item in listed.items() if item.path.name not in here), None)
    if missing is not None:
        raise InputError(f"{table}: names {missing}, which is not in {folder}; {look(folder)}")
    return list(listed.values())


def numbered(names: Iterable[str]) -> dict[str, int]:
    """Return class -> label, counted in this order."""
    return {name: label for label, name in enumerate(names)}


def pick_classes(name: str, known: Mapping[str, str], classes: Classes) -> dict[str, str]:
    """Return class id -> readable name of the classes asked for; their place is the label.

    Args:
        name: of the data set, for messages.
        known: class id -> readable name of all classes, in label order.
        classes: None for all, a number for the first so many, or a list of ids or readable names in the order of labels.

    Raises:
        InputError: a class that is not known or named twice, or a number that is not within 1 to all.
    """
    if classes is None:
        return dict(known)
    if isinstance(classes, int) and not isinstance(classes, bool):
        if not 1 <= classes <= len(known):
            raise InputError(f"classes: {classes} is not a number of classes; {name} has {len(known)} here")
        return dict(list(known.items())[:classes])
    if isinstance(classes, bool | str) or not classes or not all(isinstance(word, str) for word in classes):
        raise InputError(f"classes: {classes!r} is not a choice of classes; give a number, or a list of their names")
    ids = {**{readable: id for id, readable in known.items()}, **{id: id for id in known}}
    unknown = next((word for word in classes if word not in ids), None)
    if unknown is not None:
        raise InputError(f"classes: {name} has no class '{unknown}'{nearest(unknown, ids)}")
    picked = {ids[word]: known[ids[word]] for word in classes}
    if len(picked) < len(classes):
        raise InputError(f"classes: a class of {name} is named twice in {list(classes)}")
    return picked


def read_text(path: Path, what: str) -> str:
    """Return the text of a file in UTF-8, whatever the locale, without the byte order mark that Windows puts first."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as {what} ({error}); {path.parent}: {look(path.parent)}") from None


def read_lines(path: Path, what: str) -> list[str]:
    """Return the lines of a text that hold anything, stripped."""
    return [line.strip() for line in read_text(path, what).splitlines() if line.strip()]


def read_json(path: Path, what: str) -> Any:
    """Return what a JSON file holds."""
    text = read_text(path, what)
    try:
        return json.loads(text)
    except ValueError as error:
        raise InputError(f"{path}: cannot be read as {what} ({error})") from None


def read_classes(path: Path) -> list[str]:
    """Return the lines of a list of classes; a line's number, from 0, is the label, so none between others is empty."""
    lines = [line.strip() for line in read_text(path, "a list of classes").rstrip().splitlines()]
    if not all(lines) or not lines:
        number = lines.index("") + 1 if lines else 1
        raise InputError(f"{path}: line {number} is empty; a class needs a line each, as they count")
    return lines


def distinct(source: str | Path, names: Sequence[str]) -> list[str]:
    """Return the names of a list, in which none may occur twice."""
    first: dict[str, int] = {}
    for number, name in enumerate(names, start=1):
        if first.setdefault(name, number) != number:
            raise InputError(f"{source}: names '{name}' twice (as {first[name]} and {number}); a class has one label")
    return list(names)
