"""Food-101 (Bossard et al., ECCV 2014): 101 dishes, as torchvision's `Food101` lays them out; no boxes."""

import json
from pathlib import Path

from xailib.datasets.files import Crop, Files, Item, check_split, look
from xailib.datasets.layouts import Classes, choose, find_home, pick_classes
from xailib.errors import InputError
from xailib.registry import dataset


def food101_class_names(root: str | Path, classes: Classes = None) -> list[str]:
    """Return the class names in label order, which is that of the alphabet, as in torchvision."""
    return list(_classes(_read(_home(root), "train"), classes).values())


@dataset("food101", label="Food-101", class_names=food101_class_names)
def food101(
    *,
    root: str | Path,
    split: str = "test",
    limit: int | None = None,
    seed: int = 0,
    side: int = 224,
    crop: Crop = "resize",
    classes: Classes = None,
) -> Files:
    """Load images of `ROOT/food-101/images/CLASS/*.jpg`, as `meta/train.json` or `meta/test.json` names them.

    Args:
        root: the folder that holds `food-101`, or that folder itself.
        split: train (75,750 images, whose labels its makers left uncleaned) or test (25,250).
        limit, seed: how many images, and which; see `load_images`.
        side: side of the square input in pixels.
        crop: `resize` squeezes the whole image into the square, `centre` keeps the middle (256 -> 224).
        classes: the first so many classes, or a list of their names; all by default.

    Raises:
        InputError: no such folder or list, a listed image that is not there, or an unreadable image.
    """
    check_split("food101", split, ["train", "test"])
    home = _home(root)
    listed = _read(home, split)
    items = []
    for label, name in enumerate(_classes(listed, classes)):
        folder = home / "images" / name
        here = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
        missing = next((id for id in listed[name] if f"{Path(id).name}.jpg" not in here), None)
        if missing is not None:
            raise InputError(f"{home / 'meta' / split}.json: names {missing}, which is not in {folder}; {look(folder)}")
        items += [Item(id, home / "images" / f"{id}.jpg", label) for id in listed[name]]
    return Files(choose(items, seed, limit), side, crop)


def _home(root: str | Path) -> Path:
    return find_home(root, ("food-101",), "meta")


def _classes(listed: dict[str, list[str]], classes: Classes) -> dict[str, str]:
    return pick_classes("food101", {name: name.replace("_", " ") for name in sorted(listed)}, classes)


def _read(home: Path, split: str) -> dict[str, list[str]]:
    """Class -> its images as CLASS/NUMBER."""
    path = home / "meta" / f"{split}.json"
    try:
        listed = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(
            f"{path}: cannot be read as a list of images ({error}); {path.parent}: {look(path.parent)}"
        ) from None
    if not isinstance(listed, dict) or not all(isinstance(ids, list) and ids for ids in listed.values()):
        raise InputError(f"{path}: looked for class: [images] with at least one image each; a class has none")
    return listed
