"""ImageNet-ReaL (Beyer 2020, arXiv 2006.07159): the validation images with reassessed labels, often several an image."""

import json
from dataclasses import replace
from itertools import islice
from pathlib import Path

from xailib.datasets.files import Crop, Files, check_split, look
from xailib.datasets.imagenet_labels import IMAGES, NUMBER, timm_file
from xailib.datasets.imagenet_layouts import find_home, items
from xailib.datasets.imagenet_variants import FACTS
from xailib.errors import InputError
from xailib.images import ImageBatch
from xailib.registry import dataset


def read_real(path: str | Path | None) -> list[tuple[int, ...]]:
    """Return the labels of the 50,000 validation images in the order of their numbers; an image may have none.

    Args:
        path: `real.json`, or the folder that holds it; None for the copy that comes with timm.

    Raises:
        InputError: no such file, not 50,000 lists, or a label that is not within 0 to 999.
    """
    path = timm_file("imagenet_real_labels.json") if path is None else Path(path)
    path = path / "real.json" if path.is_dir() else path
    try:
        groups = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path}: looked for ReaL's labels, real.json; {path.parent}: {look(path.parent)}") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as JSON ({error})") from None
    if not isinstance(groups, list) or len(groups) != IMAGES:
        found = f"{len(groups)} lists" if isinstance(groups, list) else "no list"
        raise InputError(f"{path}: holds {found}, not one list of labels for each of the {IMAGES} validation images")
    for number, group in enumerate(groups, start=1):
        if not isinstance(group, list) or not all(type(label) is int and 0 <= label < 1000 for label in group):
            raise InputError(f"{path}: image {number} has {group!r}, not a list of labels from 0 to 999")
    return [tuple(group) for group in groups]


def answers(id: str, real: list[tuple[int, ...]]) -> tuple[int, ...]:
    """Return ReaL's labels of the validation image with this id, which tells its number."""
    number = NUMBER.search(id)
    if number is None or not 1 <= int(number[1]) <= len(real):
        raise InputError(
            f"image '{id}': ReaL knows images by number; validation images are called ILSVRC2012_val_00000001"
        )
    return real[int(number[1]) - 1]


def relabel(images: ImageBatch, path: str | Path | None) -> ImageBatch:
    """Return the validation images with ReaL's answers; those that it gives none are left out."""
    real = read_real(path)
    groups = [answers(id, real) for id in images.ids]
    kept = [i for i, group in enumerate(groups) if group]
    if not kept:
        raise InputError(f"imagenet_real: none of the {len(images)} images has a ReaL label; use more images")
    return replace(images.select(kept), answers=[groups[i] for i in kept])


@dataset("imagenet_real", label="ImageNet-ReaL", relabel=relabel, **FACTS)
def imagenet_real(
    *,
    root: str | Path,
    split: str = "val",
    limit: int | None = None,
    seed: int = 0,
    side: int = 224,
    crop: Crop = "resize",
    labels: str | Path | None = None,
) -> Files:
    """Load ImageNet's validation images with ReaL's answers; images without any are left out.

    Args:
        root: the folder of ImageNet; see `imagenet`.
        split: val, the only one.
        limit, seed: how many images, and which; see `load_images`.
        side: side of the square input in pixels.
        crop: `resize` squeezes the whole image into the square, `centre` keeps the middle (256 -> 224).
        labels: `real.json`, or the folder that holds it; by default the copy that comes with timm.

    Raises:
        InputError: what `imagenet` refuses, and labels that are missing or of another length.
    """
    check_split("imagenet_real", split, ["val"])
    real = read_real(labels)
    found = (
        replace(item, answers=answers(item.id, real)) for item in items(find_home(Path(root), split), seed, "drop")
    )
    return Files(list(islice((item for item in found if item.answers), limit)), side, crop)
