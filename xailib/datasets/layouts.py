"""How image files lie in folders: finding a data set's folder, its classes, and the images of each class."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from xailib.datasets.files import SUFFIXES, Item, image_files, is_junk, look, shuffled
from xailib.errors import InputError, nearest

Classes = int | Sequence[str] | None


def find_home(root: str | Path, names: Sequence[str], holds: str) -> Path:
    """Return the first of `root` and its folders `names` in which there is a file or folder `holds`."""
    root = Path(root)
    found = next((place for place in (root, *(root / name for name in names)) if (place / holds).exists()), None)
    if found is None:
        nearly = next((root / name for name in names if (root / name).exists()), root)
        inside = f" or in {names[0]}" if nearly == root else ""
        raise InputError(f"{nearly}: looked for {holds} there{inside}; {look(nearly)}")
    return found


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
    stranger = next((word for word in classes if word not in ids), None)
    if stranger is not None:
        raise InputError(f"classes: {name} has no class '{stranger}'{nearest(stranger, ids)}")
    picked = {ids[word]: known[ids[word]] for word in classes}
    if len(picked) < len(classes):
        raise InputError(f"classes: a class of {name} is named twice in {list(classes)}")
    return picked


def class_folders(top: Path) -> list[str]:
    """Return the names of the folders in `top`, one a class, sorted: as numbers where all are numbers.

    Hidden folders, and those that systems leave behind, are no class.
    """
    found = subfolders(top)
    if not found:
        raise InputError(f"{top}: looked for one folder a class there; {look(top)}")
    return found


def subfolders(top: Path) -> list[str]:
    """Return what `class_folders` does, of a folder that may have none."""
    if not top.is_dir():
        raise InputError(f"{top}: looked for one folder a class there; {look(top)}")
    found = sorted(path.name for path in top.iterdir() if path.is_dir() and not is_junk(path.name))
    return sorted(found, key=int) if all(name.isdecimal() for name in found) else found


def class_items(top: Path, labels: Mapping[str, int]) -> list[Item]:
    """Return the images of `top/CLASS/` for every class folder -> label; their ids are CLASS/FILE.

    Raises:
        InputError: a class has no folder, or no image in it.
    """
    items = []
    for place, label in labels.items():
        folder = top / place
        files = image_files(folder) if folder.is_dir() else []
        if not files:
            raise InputError(f"{folder}: looked for the images of a class ({', '.join(SUFFIXES)}); {look(folder)}")
        items += [Item(f"{place}/{path.name}", path, label) for path in files]
    return items


def choose(items: Iterable[Item], seed: int, limit: int | None) -> list[Item]:
    """Return the first `limit` items in the seed's order; see `files.shuffled`."""
    by_id = {item.id: item for item in items}
    return [by_id[id] for id in shuffled(by_id, seed)[:limit]]
