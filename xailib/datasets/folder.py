"""Any images of your own: one folder a class, as torchvision's `ImageFolder` lays them out; no boxes."""

from pathlib import Path

from xailib.datasets.files import SUFFIXES, Crop, Files, Item, image_files, look
from xailib.datasets.imagenet_labels import read_synsets
from xailib.datasets.layouts import choose, class_folders
from xailib.errors import InputError, nearest
from xailib.registry import dataset


def folder_class_names(root: str | Path, split: str = "all", classes: str | Path | None = None) -> list[str]:
    """Return the names of the class folders in label order: as the file `classes` has them, else sorted."""
    if classes:
        return list(read_synsets(Path(classes)))
    return class_folders(_split_folder(Path(root), split))


@dataset("folder", label="Image folder", class_names=folder_class_names)
def folder(
    *,
    root: str | Path,
    split: str = "all",
    limit: int | None = None,
    seed: int = 0,
    side: int = 224,
    crop: Crop = "resize",
    classes: str | Path | None = None,
) -> Files:
    """Load images from `root/CLASS/**` or, with a split, `root/SPLIT/CLASS/**`.

    Args:
        root: the folder.
        split: `all` where the class folders lie in `root` itself, else the name of the folder between, such as val.
        limit, seed: how many images, and which; see `load_images`.
        side: side of the square input in pixels.
        crop: `resize` squeezes the whole image into the square, `centre` keeps the middle (256 -> 224).
        classes: a file whose lines begin with a class folder's name each; the line's number, from 0, is the label.
            ImageNet's `LOC_synset_mapping.txt` makes labels of WordNet ids. By default labels count the sorted folders.

    Raises:
        InputError: no such folder, no images in it, a class folder not in `classes`, or an unreadable image.
    """
    top = _split_folder(Path(root), split)
    names = class_folders(top)
    labels = read_synsets(Path(classes)) if classes else {name: label for label, name in enumerate(names)}
    stranger = next((name for name in names if name not in labels), None)
    if stranger is not None:
        raise InputError(f"{top / stranger}: {classes} lists no class of this name{nearest(stranger, labels)}")
    items = [
        Item(str(path.relative_to(top)), path, labels[name]) for name in names for path in image_files(top / name, True)
    ]
    if not items:
        raise InputError(f"{top}: no images: looked for CLASS/*.jpg ({', '.join(SUFFIXES)}); {look(top)}")
    return Files(choose(items, seed, limit), side, crop)


def _split_folder(root: Path, split: str) -> Path:
    top = root if split == "all" else root / split
    if not top.is_dir():
        beside = "" if top == root else f"; {root}: {look(root)}"
        raise InputError(f"{top}: looked for one folder a class there; {look(top)}{beside}")
    return top
