"""Twenty natural photographs with ImageNet labels, from the pip package foolbox, with boxes drawn by hand.

The package's code is not imported; its photographs are found through its metadata and checked by their sha256.
"""

import hashlib
import json
from functools import lru_cache
from typing import Any

from xailib.datasets.imagenet.labels import imagenet_class_names
from xailib.datasets.items import Item, shuffled
from xailib.errors import InputError
from xailib.params.installed import package_file
from xailib.registry import dataset
from xailib.workspace import SHIPPED

BOXES = SHIPPED / "params" / "datasets" / "photos_boxes.json"


@dataset("photos", label="Photographs", splits=("test",), side=224, class_names=imagenet_class_names)
def photos(*, seed: int, limit: int | None) -> list[Item]:
    """The photographs in the seed's order of their file names; only those that are wanted are checked.

    Raises:
        InputError: the package is missing, or its photographs are not those that the boxes were drawn on.
    """
    records = photo_records()
    return [_item(name, records[name]) for name in shuffled(records, seed)[:limit]]


@lru_cache
def photo_records() -> dict[str, dict[str, Any]]:
    """Return file name -> sha256, width, height, label, class_name, boxes and, for some, a note."""
    return json.loads(BOXES.read_text(encoding="utf-8"))["images"]


def _item(name: str, record: dict[str, Any]) -> Item:
    path = package_file("foolbox", f"foolbox/data/{name}")
    if hashlib.sha256(path.read_bytes()).hexdigest() != record["sha256"]:
        raise InputError(f"{path}: not the photograph that its boxes were drawn on; run: pip install foolbox==3.3.4")
    width, height = record["width"], record["height"]
    boxes = [(x1 / width, y1 / height, x2 / width, y2 / height) for x1, y1, x2, y2 in record["boxes"]]
    return Item(path.stem, path, record["label"], boxes)
