"""ImageNet, with the boxes of its XML annotations, in the layout of Kaggle, of torchvision, or in one flat folder."""

from pathlib import Path
from typing import Literal

from xailib.datasets.files import Crop, Files, Item, check_split
from xailib.datasets.imagenet_layouts import find_home, items
from xailib.errors import InputError
from xailib.registry import dataset


def imagenet_class_names(root: str | Path | None = None) -> list[str]:
    """Return the 1,000 class names, in the order of their WordNet ids, as torchvision lists them (all different)."""
    from torchvision.models import SqueezeNet1_1_Weights

    return list(SqueezeNet1_1_Weights.IMAGENET1K_V1.meta["categories"])


@dataset("imagenet", label="ImageNet", class_names=imagenet_class_names)
def imagenet(
    *,
    root: str | Path,
    split: str = "val",
    limit: int | None = None,
    seed: int = 0,
    side: int = 224,
    crop: Crop = "resize",
    one_box: bool = False,
    max_box_area: float = 1.0,
    bad_boxes: Literal["refuse", "drop"] = "refuse",
) -> Files:
    """Load ImageNet images, those of the validation split with the boxes of the labelled class where they are there.

    Which images come is the same in every layout: validation images go by their names. As torchvision does, the pixels are
    taken as they lie in the file, whatever its EXIF orientation; only where the size in an annotation is that of the
    turned picture, it is turned, so that its boxes lie right.

    Args:
        root: the folder that holds `ILSVRC`, or `ILSVRC` itself; or that holds `val` (and `train`), with or without
            class folders; or the images themselves. See `imagenet_layouts`, and `imagenet_boxes` for annotations.
        split: val, or train. Training images come without boxes.
        limit, seed: how many images, and which; see `load_images`.
        side: side of the square input in pixels.
        crop: `resize` squeezes the whole image into the square, `centre` keeps the middle (256 -> 224).
        one_box: only images with exactly one box of the labelled class.
        max_box_area: only images whose largest box covers at most this share of the image.
        bad_boxes: what to do with an annotation that is missing, has no box of the labelled class, or a box outside the
            image: `refuse` it, or `drop` the boxes and keep the image without any.

    Raises:
        InputError: a folder, table, image or annotation that is missing or wrong.
    """
    check_split("imagenet", split, ["train", "val"])
    if bad_boxes not in ("refuse", "drop"):
        raise InputError(f"bad_boxes: '{bad_boxes}' is not known; use 'refuse' or 'drop'")
    if not 0 < max_box_area <= 1:
        raise InputError(f"max_box_area: {max_box_area} is not a share of the image: above 0 and at most 1")
    home = find_home(Path(root), split)
    if one_box or max_box_area < 1:
        annotations, places = home.boxes() if split == "val" else (None, [])
        if annotations is None:
            looked = f"looked for *.xml in {', '.join(map(str, places))}" if places else "training images have none"
            raise InputError(f"{root}: one_box and max_box_area need the images' boxes; {looked}")
    found: list[Item] = []
    for item in items(home, seed, bad_boxes):
        if limit is not None and len(found) == limit:
            break
        areas = [(x2 - x1) * (y2 - y1) for x1, y1, x2, y2 in item.boxes]
        if (not one_box or len(areas) == 1) and max(areas, default=0.0) <= max_box_area:
            found.append(item)
    if not found:
        raise InputError(f"{root}: no image passes one_box={one_box} and max_box_area={max_box_area}")
    return Files(found, side, crop)
