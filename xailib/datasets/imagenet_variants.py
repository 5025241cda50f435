"""Other images of ImageNet's classes: V2, A, R, Sketch and Stylized. Data sets of their own, and shifts of ImageNet.

A and R have 200 of the 1,000 classes: answers are chosen among these, and the logits of the others masked, as their
authors do.
"""

from collections.abc import Sequence
from pathlib import Path

from xailib.datasets.files import Crop, Files, check_split
from xailib.datasets.imagenet import imagenet_class_names
from xailib.datasets.imagenet_labels import wordnet_ids
from xailib.datasets.layouts import choose, class_folders, class_items, find_home
from xailib.errors import InputError, nearest
from xailib.registry import dataset

FACTS = {"class_names": imagenet_class_names, "shift_of": "imagenet"}
V2_FOLDERS = tuple(f"imagenetv2-{kind}-format-val" for kind in ("matched-frequency", "threshold0.7", "top-images"))


@dataset("imagenet_v2", label="ImageNet-V2", **FACTS)
def imagenet_v2(
    *,
    root: str | Path,
    split: str = "val",
    limit: int | None = None,
    seed: int = 0,
    side: int = 224,
    crop: Crop = "resize",
) -> Files:
    """Load ImageNet-V2 (Recht 2019, arXiv 1902.10811), whose folders are called 0 to 999, each the label.

    Args:
        root: `imagenetv2-matched-frequency-format-val`, or the folder that holds it; where that one is not there, that of
            the other two selections.
        split: val, the only one.
        limit, seed: how many images, and which; see `load_images`.
        side: side of the square input in pixels.
        crop: `resize` squeezes the whole image into the square, `centre` keeps the middle (256 -> 224).

    Raises:
        InputError: no such folder, another class folder than 0 to 999, one that is missing or empty, an unreadable image.
    """
    check_split("imagenet_v2", split, ["val"])
    top = find_home(root, V2_FOLDERS, "0")
    return class_files(top, [str(number) for number in range(1000)], limit, seed, side, crop)


@dataset("imagenet_a", label="ImageNet-A", **FACTS)
def imagenet_a(
    *,
    root: str | Path,
    split: str = "val",
    limit: int | None = None,
    seed: int = 0,
    side: int = 224,
    crop: Crop = "resize",
) -> Files:
    """Load ImageNet-A (Hendrycks 2019, arXiv 1907.07174): natural photographs that ResNet-50 got wrong, 200 classes.

    Args and errors as in `imagenet_v2`; `root` is `imagenet-a` or the folder that holds it, with one folder a WordNet id.
    """
    check_split("imagenet_a", split, ["val"])
    return _part("imagenet_a", "imagenet-a", root, limit, seed, side, crop)


@dataset("imagenet_r", label="ImageNet-R", **FACTS)
def imagenet_r(
    *,
    root: str | Path,
    split: str = "val",
    limit: int | None = None,
    seed: int = 0,
    side: int = 224,
    crop: Crop = "resize",
) -> Files:
    """Load ImageNet-R (Hendrycks 2020, arXiv 2006.16241): paintings, toys, cartoons and the like, 200 classes.

    Args and errors as in `imagenet_v2`; `root` is `imagenet-r` or the folder that holds it, with one folder a WordNet id.
    """
    check_split("imagenet_r", split, ["val"])
    return _part("imagenet_r", "imagenet-r", root, limit, seed, side, crop)


@dataset("imagenet_sketch", label="ImageNet-Sketch", **FACTS)
def imagenet_sketch(
    *,
    root: str | Path,
    split: str = "val",
    limit: int | None = None,
    seed: int = 0,
    side: int = 224,
    crop: Crop = "resize",
) -> Files:
    """Load ImageNet-Sketch (Wang 2019, arXiv 1905.13549): black and white sketches, 1,000 classes.

    Args and errors as in `imagenet_v2`; `root` is `sketch` or the folder that holds it, with one folder a WordNet id.
    """
    check_split("imagenet_sketch", split, ["val"])
    wnids = wordnet_ids()
    return class_files(find_home(root, ("sketch",), wnids[0]), wnids, limit, seed, side, crop)


@dataset("stylized_imagenet", label="Stylized-ImageNet", **FACTS)
def stylized_imagenet(
    *,
    root: str | Path,
    split: str = "val",
    limit: int | None = None,
    seed: int = 0,
    side: int = 224,
    crop: Crop = "resize",
) -> Files:
    """Load Stylized-ImageNet (Geirhos 2019, arXiv 1811.12231): validation images in the style of paintings.

    Args and errors as in `imagenet_v2`; `root` is the folder of the class folders, called by WordNet ids, or one with
    `val` in it.
    """
    check_split("stylized_imagenet", split, ["val"])
    wnids = wordnet_ids()
    return class_files(find_home(root, ("val",), wnids[0]), wnids, limit, seed, side, crop)


def _part(name: str, folder: str, root: str | Path, limit: int | None, seed: int, side: int, crop: Crop) -> Files:
    """Images of 200 of the classes, among which answers are chosen."""
    label = {wnid: number for number, wnid in enumerate(wordnet_ids())}
    wnids = wordnet_ids(name)
    top = find_home(root, (folder,), wnids[0])
    return class_files(top, wnids, limit, seed, side, crop, tuple(label[wnid] for wnid in wnids))


def class_files(
    top: Path,
    names: Sequence[str],
    limit: int | None,
    seed: int,
    side: int,
    crop: Crop,
    labels: tuple[int, ...] | None = None,
) -> Files:
    """Return the images of the class folders `names` in `top`, which must be all that are there.

    Args:
        top: folder of the class folders.
        names: their names, in the order of the labels.
        limit, seed, side, crop: see `imagenet_v2`.
        labels: one a name, where they do not count from 0; answers are then chosen among them.

    Raises:
        InputError: a class folder that is not among the names, is missing, or holds no image.
    """
    stranger = next((name for name in class_folders(top) if name not in set(names)), None)
    if stranger is not None:
        raise InputError(
            f"{top / stranger}: is none of the {len(names)} class folders looked for{_like(stranger, names)}"
        )
    found = class_items(top, dict(zip(names, labels or range(len(names)), strict=True)))
    return Files(choose(found, seed, limit), side, crop, labels)


def _like(name: str, names: Sequence[str]) -> str:
    """The nearest name, if one is near; all 1,000 would be no help."""
    hint = nearest(name, names)
    return hint if "did you mean" in hint else f", such as {names[0]}"
