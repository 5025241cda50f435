"""Birdsnap (Berg et al., CVPR 2014): 500 species of North American birds; no boxes.

The release names its images by their addresses at Flickr, which no longer has all of them, so copies differ.
"""

import warnings
from pathlib import Path

from xailib.datasets.files import Crop, Files, Item, check_split, look
from xailib.datasets.layouts import Classes, choose, class_folders, class_items, find_home, pick_classes
from xailib.errors import InputError
from xailib.registry import dataset

LIST = "test_images.txt"


def birdsnap_class_names(root: str | Path, classes: Classes = None) -> list[str]:
    """Return the species in label order: the names of the class folders, sorted."""
    return list(_classes(_trees(Path(root))[0], classes).values())


@dataset("birdsnap", label="Birdsnap", class_names=birdsnap_class_names)
def birdsnap(
    *,
    root: str | Path,
    split: str = "test",
    limit: int | None = None,
    seed: int = 0,
    side: int = 224,
    crop: Crop = "resize",
    classes: Classes = None,
) -> Files:
    """Load images of `ROOT/{train,test}/CLASS/`, or of `ROOT/images/CLASS/` where `ROOT/test_images.txt` lists the test.

    Args:
        root: the folder that holds `train` and `test`, or `test_images.txt` with `images` or `download/images` as the
            release's own script makes them; or the folder around a folder `birdsnap` of this kind.
        split: train or test.
        limit, seed: how many images, and which; see `load_images`.
        side: side of the square input in pixels.
        crop: `resize` squeezes the whole image into the square, `centre` keeps the middle (256 -> 224).
        classes: the first so many classes, or a list of their names; all by default.

    Listed test images that are not there are left out, with a warning that counts them.

    Raises:
        InputError: no such folder, a class without images, no test image at all, or an unreadable image.
    """
    check_split("birdsnap", split, ["train", "test"])
    tree, table = _trees(Path(root))
    labels = {name: label for label, name in enumerate(_classes(tree, classes))}
    if table is None:
        items = class_items(tree.parent / split, labels)
    else:
        items = _listed(class_items(tree, labels), table, split, labels)
    return Files(choose(items, seed, limit), side, crop)


def _trees(root: Path) -> tuple[Path, Path | None]:
    """The folder of class folders that has every class, and the list of test images where there is one."""
    for home in (root, root / "birdsnap"):
        if (home / LIST).is_file():
            return find_home(home, ("download",), "images") / "images", home / LIST
    return find_home(root, ("birdsnap",), "train") / "train", None


def _classes(tree: Path, classes: Classes) -> dict[str, str]:
    return pick_classes("birdsnap", {name: name.replace("_", " ") for name in class_folders(tree)}, classes)


def _listed(items: list[Item], table: Path, split: str, labels: dict[str, int]) -> list[Item]:
    """The items of a split: those that the table lists are the test."""
    listed = {
        line.strip() for line in table.read_text(encoding="utf-8-sig").splitlines()[1:] if line.split("/")[0] in labels
    }
    test = [item for item in items if item.id in listed]
    if not test:
        raise InputError(
            f"{table}: none of the {len(listed)} test images that it lists is there; {look(items[0].path.parent)}"
        )
    if split == "test" and len(test) < len(listed):
        gone = len(listed) - len(test)
        warnings.warn(f"{table}: {gone:,} of {len(listed):,} test images are not there and are left out", stacklevel=5)
    return test if split == "test" else [item for item in items if item.id not in listed]
