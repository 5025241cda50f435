"""Imagenette: ten easily told classes of ImageNet, as torchvision's `Imagenette` lays them out; no boxes.

https://github.com/fastai/imagenette
"""

from pathlib import Path

from xailib.datasets.files import Crop, Files, check_split
from xailib.datasets.layouts import Classes, choose, class_items, find_home, pick_classes
from xailib.registry import dataset

# WordNet ids in the order of labels, which is torchvision's.
CLASSES = {
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
FOLDERS = ("imagenette2-160", "imagenette2-320", "imagenette2")


def imagenette_class_names(classes: Classes = None) -> list[str]:
    """Return the class names in label order."""
    return list(pick_classes("imagenette", CLASSES, classes).values())


@dataset("imagenette", label="Imagenette", class_names=imagenette_class_names)
def imagenette(
    *,
    root: str | Path,
    split: str = "val",
    limit: int | None = None,
    seed: int = 0,
    side: int = 128,
    crop: Crop = "resize",
    classes: Classes = None,
) -> Files:
    """Load images of `ROOT/imagenette2-160/{train,val}/WNID/`.

    Args:
        root: the folder that holds `imagenette2-160`, `-320` or `imagenette2` (the first of them is taken), or one of
            these itself.
        split: train (9,469 images) or val (3,925).
        limit, seed: how many images, and which; see `load_images`.
        side: side of the square input in pixels.
        crop: `resize` squeezes the whole image into the square, `centre` keeps the middle (256 -> 224).
        classes: the first so many classes, or a list of their names or WordNet ids; all ten by default.

    Raises:
        InputError: no such folder, a class without images, an unknown class, or an unreadable image.
    """
    check_split("imagenette", split, ["train", "val"])
    top = find_home(root, FOLDERS, split) / split
    labels = {wnid: label for label, wnid in enumerate(pick_classes("imagenette", CLASSES, classes))}
    return Files(choose(class_items(top, labels), seed, limit), side, crop)
