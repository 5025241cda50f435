"""Data sets that are folders of image files without boxes: any of your own, Imagenette, Food-101 and Birdsnap."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from xailib.datasets.files import (
    Classes,
    class_folders,
    class_items,
    distinct,
    find_home,
    listed_items,
    look,
    numbered,
    path_id,
    pick_classes,
    read_classes,
    read_json,
    read_lines,
    subfolders,
)
from xailib.datasets.imagenet.labels import imagenet_class_names, wordnet_labels
from xailib.datasets.items import Item
from xailib.errors import InputError, nearest, warn
from xailib.image_files import SUFFIXES, has_images, image_files
from xailib.images.truth import NO_LABEL
from xailib.registry import dataset
from xailib.workspace import expanded

ClassList = str | Path | Sequence[str] | None
SPLITS = {"train", "training", "val", "valid", "validation", "test", "testing", "dev", "eval"}


def folder_class_names(root: Path, split: str = "all", classes: ClassList = None) -> list[str]:
    """Return the class names in label order: as `classes` has them, else the sorted class folders.

    A flat folder has none: its images have no labels.
    """
    if classes:
        top = root if split == "all" else root / split
        return _listed(classes, _filled(top) if top.is_dir() else [])
    return _class_folders(_split_folder(root, split), None)


@dataset("folder", label="Image folder", side=224, class_names=folder_class_names)
def folder(root: Path, split: str = "all", *, classes: ClassList = None) -> list[Item]:
    """Images of your own in `root/CLASS/**` or, with a split, in `root/SPLIT/CLASS/**`; or in a flat folder, without labels.

    Photographs are turned as their EXIF orientation says. Hidden files and folders are passed over.

    Args:
        root: the folder. Where it holds images and no folders with any, they come without labels.
        split: `all` where the class folders lie in `root` itself, else the name of the folder between, such as val.
        classes: the class folders in the order of their labels: a list, or a file with a line a class, numbered from 0,
            that is the folder's name or begins with it. ImageNet's `LOC_synset_mapping.txt` makes labels of WordNet ids,
            and the word `imagenet` of WordNet ids or of ImageNet's class names. By default labels count the sorted
            folders, as numbers where all are numbers.

    Raises:
        InputError: no such folder, no images in it, a class folder without any or not in `classes`, folders that are
            splits, or images beside folders of images.
    """
    top = _split_folder(root, split)
    names = _class_folders(top, classes)
    if not names:
        return _items(top, top, NO_LABEL)
    items = {name: _items(top, top / name, label) for name, label in _labels(top, names, classes).items()}
    # A class that is empty in one split keeps its label where another split has it.
    others = [] if split == "all" else [top.parent / name for name in subfolders(top.parent)]
    empty = next((name for name in names if not items[name] and not any(has_images(p / name) for p in others)), None)
    if empty is not None:
        raise InputError(
            f"{top / empty}: a class folder without images; {look(top / empty)}: take it away, or list `classes`"
        )
    return [item for group in items.values() for item in group]


def _split_folder(root: Path, split: str) -> Path:
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
        suffixes = f"no images: looked for CLASS/*.jpg ({', '.join(SUFFIXES)})"
        looked = suffixes if names else "looked for one folder a class there"
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
    labels = numbered(_listed(classes, folders) if classes else folders)
    if classes == "imagenet":
        labels |= wordnet_labels()
    unknown = next((name for name in folders if name not in labels), None)
    if unknown is not None:
        listed = classes if isinstance(classes, str | Path) else "classes"
        raise InputError(f"{top / unknown}: {listed} lists no class of this name{nearest(unknown, labels)}")
    return {name: labels[name] for name in folders}


def _listed(classes: str | Path | Sequence[str], folders: list[str]) -> list[str]:
    """The names of a list of classes, or of a file: its lines, or what they begin with where some folder is no whole line."""
    if classes == "imagenet":
        return imagenet_class_names()
    if not isinstance(classes, str | Path):
        if not isinstance(classes, list | tuple) or not all(isinstance(name, str) for name in classes):
            raise InputError("classes: a list of folder names, a file of them, or imagenet is needed")
        return distinct("classes", classes)
    path = expanded(classes)
    lines = read_classes(path)
    if folders and set(folders) <= set(lines):
        return distinct(path, lines)
    longest = sorted(folders, key=len, reverse=True)
    return distinct(path, [next((name for name in longest if _begins(line, name)), line.split()[0]) for line in lines])


def _begins(line: str, name: str) -> bool:
    return line == name or line.startswith((f"{name} ", f"{name}\t", f"{name},"))


def _items(top: Path, place: Path, label: int) -> list[Item]:
    return [Item(path_id(path.relative_to(top)), path, label, turn=True) for path in image_files(place, True)]


# WordNet ids in the order of labels, which is torchvision's.
IMAGENETTE = {
    "n01440764": "tench",
    "n02102040": "English springer",
    "n02979186": "cassette player",
    "n03000684": "chain saw",
    "n03028079": "church",
    "n03394916": "French horn",
    "n03417042": "garbage truck",
    "n03425413": "gas pump",
    "n03445777": "golf ball",
    "n03888257": "parachute",
}


def imagenette_class_names(classes: Classes = None) -> list[str]:
    """Return the class names in label order."""
    return list(pick_classes("imagenette", IMAGENETTE, classes).values())


@dataset("imagenette", label="Imagenette", splits=("val", "train"), side=128, class_names=imagenette_class_names)
def imagenette(root: Path, split: str, *, classes: Classes = None) -> list[Item]:
    """Imagenette (https://github.com/fastai/imagenette): ten easily told classes of ImageNet, 3,925 or 9,469 images.

    Args:
        root: the folder that holds `imagenette2-160`, `-320` or `imagenette2` (the first of them is taken), or one of
            these itself, with `{train,val}/WNID/` as torchvision lays them out.
        classes: the first so many classes, or a list of their names or WordNet ids; all ten by default.
    """
    top = find_home(root, ("imagenette2-160", "imagenette2-320", "imagenette2"), split) / split
    return class_items(top, numbered(pick_classes("imagenette", IMAGENETTE, classes)))


def food101_class_names(root: Path, classes: Classes = None) -> list[str]:
    """Return the class names in label order, which is that of the alphabet, as in torchvision."""
    return list(pick_classes("food101", _spaced(sorted(_food101(root, "train")[1])), classes).values())


@dataset("food101", label="Food-101", splits=("test", "train"), side=224, class_names=food101_class_names)
def food101(root: Path, split: str, *, classes: Classes = None) -> list[Item]:
    """Food-101 (Bossard et al., ECCV 2014): 25,250 images of 101 dishes, or 75,750 whose labels were left uncleaned.

    Args:
        root: the folder that holds `food-101`, or that folder itself, with `images/CLASS/*.jpg` and `meta/SPLIT.json` as
            torchvision lays them out.
        classes: the first so many classes, or a list of their names; all by default.
    """
    table, listed = _food101(root, split)
    images, items = table.parents[1] / "images", []
    for name, label in numbered(pick_classes("food101", _spaced(sorted(listed)), classes)).items():
        found = {id: Item(id, images / f"{id}.jpg", label) for id in listed[name]}
        items += listed_items(table, images / name, found)
    return items


def _food101(root: Path, split: str) -> tuple[Path, dict[str, list[str]]]:
    """The list of a split's images, and what it holds: class -> its images as CLASS/NUMBER."""
    path = find_home(root, ("food-101",), "meta") / "meta" / f"{split}.json"
    listed = read_json(path, "a list of images")
    if not isinstance(listed, dict) or not all(isinstance(ids, list) and ids for ids in listed.values()):
        raise InputError(f"{path}: looked for class: [images] with at least one image each; a class has none")
    return path, listed


def birdsnap_class_names(root: Path, classes: Classes = None) -> list[str]:
    """Return the species in label order: the names of the class folders, sorted."""
    return list(pick_classes("birdsnap", _spaced(class_folders(_birdsnap(root)[0])), classes).values())


@dataset("birdsnap", label="Birdsnap", splits=("test", "train"), side=224, class_names=birdsnap_class_names)
def birdsnap(root: Path, split: str, *, classes: Classes = None) -> list[Item]:
    """Birdsnap (Berg et al., CVPR 2014): 500 species of North American birds.

    The release names its images by their addresses at Flickr, which no longer has all of them, so copies differ. Listed
    test images that are not there are left out, with a warning that counts them.

    Args:
        root: the folder that holds `train/CLASS/` and `test/CLASS/`, or `test_images.txt` with `images/CLASS/` or
            `download/images/CLASS/` as the release's own script makes them; or the folder around a folder `birdsnap` of
            this kind.
        classes: the first so many classes, or a list of their names; all by default.
    """
    tree, table = _birdsnap(root)
    labels = numbered(pick_classes("birdsnap", _spaced(class_folders(tree)), classes))
    if table is None:
        return class_items(tree.parent / split, labels)
    items = class_items(tree, labels)
    listed = {line for line in read_lines(table, "a list of test images")[1:] if line.split("/")[0] in labels}
    test = [item for item in items if item.id in listed]
    if not test:
        looked = look(items[0].path.parent)
        raise InputError(f"{table}: none of the {len(listed)} test images that it lists is there; {looked}")
    if split == "train":
        return [item for item in items if item.id not in listed]
    if len(test) < len(listed):
        gone = len(listed) - len(test)
        warn(f"{table}: {gone:,} of {len(listed):,} test images are not there and are left out")
    return test


def _birdsnap(root: Path) -> tuple[Path, Path | None]:
    """The folder of class folders that has every class, and the list of test images where there is one."""
    for home in (root, root / "birdsnap"):
        if (home / "test_images.txt").is_file():
            return find_home(home, ("download",), "images") / "images", home / "test_images.txt"
    return find_home(root, ("birdsnap",), "train") / "train", None


def _spaced(names: Iterable[str]) -> dict[str, str]:
    """Class folder -> readable name, with spaces for underscores."""
    return {name: name.replace("_", " ") for name in names}
