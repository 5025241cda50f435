"""Other images of ImageNet's classes, and other labels of its images: data sets of their own, and shifts of ImageNet.

Where nothing else is said, `root` is the folder named, or one that holds it, with one folder a class, called by its
WordNet id. A and R have 200 of the 1,000 classes: answers are chosen among these, and the logits of the others masked, as
their authors do.
"""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path

from xailib.datasets.files import class_folders, class_items, find_home, look, numbered, read_json
from xailib.datasets.imagenet.labels import IMAGES, NUMBER, imagenet_class_names, timm_file, wordnet_labels
from xailib.datasets.imagenet.layouts import find_split, items
from xailib.datasets.items import Item
from xailib.errors import InputError, nearest
from xailib.images import ImageBatch
from xailib.registry import dataset

FACTS = {"splits": ("val",), "side": 224, "class_names": imagenet_class_names, "shift_of": "imagenet"}
V2_FOLDERS = tuple(f"imagenetv2-{kind}-format-val" for kind in ("matched-frequency", "threshold0.7", "top-images"))


def _among(part: str) -> tuple[int, ...]:
    return tuple(wordnet_labels(part).values())


@dataset("imagenet_v2", label="ImageNet-V2", **FACTS)
def imagenet_v2(root: Path) -> list[Item]:
    """`imagenetv2-matched-frequency-format-val` (Recht 2019, arXiv 1902.10811), with folders 0 to 999, each the label.

    Where it is not there, that of the other two selections is taken.
    """
    names = [str(number) for number in range(1000)]
    return _all_classes(find_home(root, V2_FOLDERS, names[0]), numbered(names))


@dataset("imagenet_a", label="ImageNet-A", among=partial(_among, "imagenet_a"), **FACTS)
def imagenet_a(root: Path) -> list[Item]:
    """`imagenet-a` (Hendrycks 2019, arXiv 1907.07174): natural photographs that ResNet-50 got wrong, 200 classes."""
    return _by_wordnet_ids(root, "imagenet-a", wordnet_labels("imagenet_a"))


@dataset("imagenet_r", label="ImageNet-R", among=partial(_among, "imagenet_r"), **FACTS)
def imagenet_r(root: Path) -> list[Item]:
    """`imagenet-r` (Hendrycks 2020, arXiv 2006.16241): paintings, toys, cartoons and the like, 200 classes."""
    return _by_wordnet_ids(root, "imagenet-r", wordnet_labels("imagenet_r"))


@dataset("imagenet_sketch", label="ImageNet-Sketch", **FACTS)
def imagenet_sketch(root: Path) -> list[Item]:
    """`sketch` (Wang 2019, arXiv 1905.13549): black and white sketches."""
    return _by_wordnet_ids(root, "sketch", wordnet_labels())


@dataset("stylized_imagenet", label="Stylized-ImageNet", **FACTS)
def stylized_imagenet(root: Path) -> list[Item]:
    """`val` (Geirhos 2019, arXiv 1811.12231): validation images in the style of paintings."""
    return _by_wordnet_ids(root, "val", wordnet_labels())


def imagenet_c_folders(root: Path) -> dict[str, Path]:
    """Return "corruption/severity" -> folder of what `root` holds, itself or in groups such as `noise/`, sorted.

    Raises:
        InputError: no such folder in it.
    """
    found = sorted(root.glob("*/[1-5]")) or sorted(root.glob("*/*/[1-5]"))
    if not found:
        raise InputError(
            f"{root}: looked for CORRUPTION/SEVERITY/WNID/, such as gaussian_noise/3/n01440764/; {look(root)}"
        )
    return {f"{path.parent.name}/{path.name}": path for path in found}


def _parts(root: str | Path) -> dict[str, dict[str, str]]:
    """Shift name within ImageNet-C -> options of `imagenet_c`; its files are centre crops, and are not cropped again."""
    return {name: {"corruption": name, "crop": "resize"} for name in imagenet_c_folders(Path(root))}


@dataset("imagenet_c", label="ImageNet-C", parts=_parts, **FACTS)
def imagenet_c(root: Path, *, corruption: str = "gaussian_noise/3") -> list[Item]:
    """ImageNet-C (Hendrycks & Dietterich 2019, arXiv 1903.12261): corrupted validation images, 224-pixel centre crops.

    The same seed gives the same images under every corruption. Those made on the fly are in `corruptions`.

    Args:
        root: the folder of `CORRUPTION/SEVERITY/WNID/`, or of their groups: noise, blur, weather, digital, extra.
        corruption: name and severity (1 to 5), such as "jpeg_compression/5".
    """
    folders = imagenet_c_folders(root)
    if corruption not in folders:
        raise InputError(f"{root}: has no corruption '{corruption}'{nearest(corruption, folders)}")
    return _all_classes(folders[corruption], wordnet_labels())


def _by_wordnet_ids(root: Path, folder: str, labels: Mapping[str, int]) -> list[Item]:
    """The images of class folders in `folder`, or in `root` itself."""
    return _all_classes(find_home(root, (folder,), next(iter(labels))), labels)


def _all_classes(top: Path, labels: Mapping[str, int]) -> list[Item]:
    """The images of the class folders in `top`, each of which must be a class."""
    unknown = next((name for name in class_folders(top) if name not in labels), None)
    if unknown is not None:
        hint = nearest(unknown, labels, f", such as {next(iter(labels))}")  # all 1,000 would be no help
        raise InputError(f"{top / unknown}: is none of the {len(labels)} class folders looked for{hint}")
    return class_items(top, labels)


def read_real(path: str | Path | None) -> list[tuple[int, ...]]:
    """Return ReaL's labels of the 50,000 validation images in the order of their numbers; an image may have none.

    Args:
        path: `real.json`, or the folder that holds it; None for the copy that comes with timm.

    Raises:
        InputError: no such file, not 50,000 lists, or a label that is not within 0 to 999.
    """
    path = timm_file("imagenet_real_labels.json") if path is None else Path(path)
    path = path / "real.json" if path.is_dir() else path
    groups = read_json(path, "ReaL's lists of labels")
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
    root: Path, split: str, *, seed: int, limit: int | None, labels: str | Path | None = None
) -> list[Item]:
    """ImageNet's validation images with ReaL's answers (Beyer 2020, arXiv 2006.07159); those without any are left out.

    Args:
        root: the folder of ImageNet; see `imagenet`.
        labels: `real.json`, or the folder that holds it; by default the copy that comes with timm.
    """
    real = read_real(labels)
    found = (replace(item, answers=answers(item.id, real)) for item in items(find_split(root, split), seed, "drop"))
    return list(islice((item for item in found if item.answers), limit))
