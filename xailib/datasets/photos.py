"""Twenty natural photographs with ImageNet labels, from the pip package foolbox, with boxes drawn by hand.

The package's code is not imported; its photographs are found through its metadata and checked by their sha256.
"""

import hashlib
import json
from functools import lru_cache
from typing import Any

from xailib.datasets.files import Crop, Files, Item, check_split, shuffled
from xailib.datasets.imagenet import imagenet_class_names
from xailib.errors import InputError
from xailib.params import ROOT
from xailib.registry import dataset

BOXES = ROOT / "params" / "datasets" / "photos_boxes.json"


@dataset("photos", label="Photographs", class_names=imagenet_class_names)
def photos(
    *, split: str = "test", limit: int | None = None, seed: int = 0, side: int = 224, crop: Crop = "resize"
) -> Files:
    """Load the photographs.

    Args:
        split: test; there is no other.
        limit, seed: how many, and which; see `load_images`.
        side: side of the square input in pixels.
        crop: `resize` squeezes the whole photograph into the square, `centre` keeps the middle (256 -> 224).

    Raises:
        InputError: the package is missing, or its photographs are not those that the boxes were drawn on.
    """
    check_split("photos", split, ["test"])
    records = photo_records()
    return Files([_item(name, records[name]) for name in shuffled(records, seed)[:limit]], side, crop)


@lru_cache
def photo_records() -> dict[str, dict[str, Any]]:
    """Return file name -> sha256, width, height, label, class_name, boxes and, for some, a note."""
    return json.loads(BOXES.read_text(encoding="utf-8"))["images"]


def _item(name: str, record: dict[str, Any]) -> Item:
    from xailib.models.packages import package_file

    path = package_file("foolbox", f"foolbox/data/{name}")
    if hashlib.sha256(path.read_bytes()).hexdigest() != record["sha256"]:
        raise InputError(f"{path}: not the photograph that its boxes were drawn on; run: pip install foolbox==3.3.4")
    width, height = record["width"], record["height"]
    boxes = [(x1 / width, y1 / height, x2 / width, y2 / height) for x1, y1, x2, y2 in record["boxes"]]
    return Item(path.stem, path, record["label"], boxes)
