"""ImageNet, with the boxes of its XML annotations, in the layout of Kaggle, of torchvision, or in one flat folder."""

from itertools import islice
from pathlib import Path
from typing import Literal

from xailib.datasets.imagenet.labels import imagenet_class_names
from xailib.datasets.imagenet.layouts import find_split, items
from xailib.datasets.items import BoxArea, Item
from xailib.errors import InputError
from xailib.registry import dataset


@dataset("imagenet", label="ImageNet", splits=("val", "train"), side=224, class_names=imagenet_class_names)
def imagenet(
    root: Path,
    split: str,
    *,
    seed: int,
    limit: int | None,
    one_box: bool = False,
    max_box_area: BoxArea = 1.0,
    bad_boxes: Literal["refuse", "drop"] = "refuse",
) -> list[Item]:
    """ImageNet's images in the seed's order, those of val with the boxes of the labelled class where they are there.

    Which images come is the same in every layout: validation images go by their names. As torchvision does, the pixels are
    taken as they lie in the file, whatever its EXIF orientation; only where the size in an annotation is that of the
    turned picture, it is turned, so that its boxes lie right. Annotations are read up to the limit and no further.

    Args:
        root: the folder that holds `ILSVRC`, or `ILSVRC` itself; or that holds `val` (and `train`), with or without
            class folders; or the images themselves. See `layouts`.
        split: val, or train. Training images come without boxes.
        one_box: only images with exactly one box of the labelled class.
        max_box_area: only images whose largest box covers at most this share of the image.
        bad_boxes: what to do with an annotation that is missing, has no box of the labelled class, or a box outside the
            image: `refuse` it, or `drop` the boxes and keep the image without any.

    Raises:
        InputError: a folder, table, image or annotation that is missing or wrong.
    """
    home = find_split(root, split)
    if (one_box or max_box_area < 1) and home.annotations() is None:
        places = f"looked for *.xml in {', '.join(map(str, home.annotation_places))}"
        looked = places if split == "val" else "training images have none"
        raise InputError(f"{root}: one_box and max_box_area need the images' boxes; {looked}")

    def passes(item: Item) -> bool:
        return (not one_box or len(item.boxes) == 1) and item.box_area <= max_box_area

    found = list(islice(filter(passes, items(home, seed, bad_boxes)), limit))
    if not found:
        raise InputError(f"{root}: no image passes one_box={one_box} and max_box_area={max_box_area}")
    return found
