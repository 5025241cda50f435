"""Images of your own: one folder a class, as torchvision's `ImageFolder` lays them out, or one without labels; no boxes."""

from collections.abc import Sequence
from pathlib import Path

from xailib.datasets.files import SUFFIXES, Crop, Files, Item, has_images, image_files, look, path_id
from xailib.datasets.imagenet import imagenet_class_names
from xailib.datasets.imagenet_labels import distinct, read_classes, wordnet_ids
from xailib.datasets.layouts import choose, subfolders
from xailib.errors import InputError, nearest
from xailib.images.truth import NO_LABEL
from xailib.registry import dataset

ClassList = str | Path | Sequence[str] | None
SPLITS = {"train", "training", "val", "valid", "validation", "test", "testing", "dev", "eval"}


def folder_class_names(root: str | Path, split: str = "all", classes: ClassList = None) -> list[str]:
    """Return the class names in label order: as `classes` has them, else the sorted class folders.

    A flat folder has none: its images have no labels.
    """
    if classes:
        top = Path(root).expanduser() / (split if split != "all" else "")
        return _listed(classes, _filled(top) if top.is_dir() else [])
    return _class_folders(_split_folder(root, split), None)


@dataset("folder", label="Image folder", class_names=folder_class_names)
def folder(
    *,
    root: str | Path,
    split: str = "all",
    limit: int | None = None,
    seed: int = 0,
    side: int = 224,
    crop: Crop = "resize",
    classes: ClassList = None,
) -> Files:
    """Load images from `root/CLASS/**` or, with a split, `root/SPLIT/CLASS/**`; or from a flat folder, without labels.

    Photographs are turned as their EXIF orientation says. Hidden files and folders are passed over.

    Args:
        root: the folder. Where it holds images and no folders with any, they come without labels.
        split: `all` where the class folders lie in `root` itself, else the name of the folder between, such as val.
        limit, seed: how many images, and which; see `load_images`.
        side: side of the square input in pixels.
        crop: `resize` squeezes the whole image into the square, `centre` keeps the middle (256 -> 224).
        classes: the class folders in the order of their labels: a list, or a file with a line a class, numbered from 0,
            that is the folder's name or begins with it. ImageNet's `LOC_synset_mapping.txt` makes labels of WordNet ids,
            and the word `imagenet` of WordNet ids or of ImageNet's class names. By default labels count the sorted
            folders, as numbers where all are numbers.

    Raises:
        InputError: no such folder, no images in it, a class folder without any or not in `classes`, folders that are
            splits, images beside folders of images, or an unreadable image.
    """
    top = _split_folder(root, split)
    names = _class_folders(top, classes)
    if not names:
        return Files(choose(_items(top, top, NO_LABEL), seed, limit), side, crop, turn=True)
    labels = _labels(top, names, classes)
    items = {name: _items(top, top / name, labels[name]) for name in names}
    # A class that is empty in one split keeps its label where another split has it.
    others = [] if split == "all" else [top.parent / name for name in subfolders(top.parent)]
    empty = next((name for name in names if not items[name] and not any(has_images(p / name) for p in others)), None)
    if empty is not None:
        raise InputError(
            f"{top / empty}: a class folder without images; {look(top / empty)}: take it away, or list `classes`"
        )
    return Files(choose([item for group in items.values() for item in group], seed, limit), side, crop, turn=True)


def _split_folder(root: str | Path, split: str) -> Path:
    root = Path(root).expanduser()
    top = root if split == "all" else root / split
    if not top.is_dir():
        beside = "" if top == root else f"; {root}: {look(root)}"
        raise InputError(f"{top}: looked for one folder a class there; {look(top)}{beside}")
    return top


def _class_folders(top: Path, classes: ClassList) -> list[str]:
    """The names of the class folders; none where the images lie in `top` itself."""
    names, filled = subfolders(top), _filled(top)
    flat = image_files(top)
    if flat and filled:
        raise InputError(
            f"{top}: {flat[0].name} lies beside folders of images ({filled[0]}/): either all images lie in one folder a class,"
            " or none does; move them"
        )
    if flat and not classes:
        return []
    if not filled:
        looked = (
            f"no images: looked for CLASS/*.jpg ({', '.join(SUFFIXES)})"
            if names
            else "looked for one folder a class there"
        )
        raise InputError(f"{top}: {looked}; {look(top)} (no image)")
    splits = [name for name in filled if name.lower() in SPLITS]
    if not classes and (len(splits) > 1 or splits == filled):
        raise InputError(
            f"{top}: holds splits ({', '.join(splits)}), not classes; give split='{splits[0]}', or that folder"
        )
    return filled if classes else names


def _filled(top: Path) -> list[str]:
    return [name for name in subfolders(top) if has_images(top / name)]


def _labels(top: Path, folders: list[str], classes: ClassList) -> dict[str, int]:
    """Class folder -> label."""
    labels = {name: label for label, name in enumerate(_listed(classes, folders) if classes else folders)}
    if classes == "imagenet":
        labels |= {wnid: label for label, wnid in enumerate(wordnet_ids())}
    stranger = next((name for name in folders if name not in labels), None)
    if stranger is not None:
        listed = classes if isinstance(classes, str | Path) else "classes"
        raise InputError(f"{top / stranger}: {listed} lists no class of this name{nearest(stranger, labels)}")
    return labels


def _listed(classes: str | Path | Sequence[str], folders: list[str]) -> list[str]:
    """The names of a list of classes, or of a file: its lines, or what they begin with where some folder is no whole line."""
    if classes == "imagenet":
        return imagenet_class_names()
    if not isinstance(classes, str | Path):
        if not isinstance(classes, list | tuple) or not all(isinstance(name, str) for name in classes):
            raise InputError("classes: a list of folder names, a file of them, or imagenet is needed")
        return distinct("classes", classes)
    path = Path(classes).expanduser()
    lines = read_classes(path)
    if folders and set(folders) <= set(lines):
        return distinct(path, lines)
    longest = sorted(folders, key=len, reverse=True)
    return distinct(path, [next((name for name in longest if _begins(line, name)), line.split()[0]) for line in lines])


def _begins(line: str, name: str) -> bool:
    return line == name or line.startswith((f"{name} ", f"{name}\t", f"{name},"))


def _items(top: Path, place: Path, label: int) -> list[Item]:
    return [Item(path_id(path.relative_to(top)), path, label) for path in image_files(place, True)]
