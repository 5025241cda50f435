"""ImageNet as the Kaggle download lays it out, with the boxes of its XML annotations; or in class folders, without.

The Kaggle folder holds `ILSVRC/Data/CLS-LOC/val/*.JPEG`, `ILSVRC/Annotations/CLS-LOC/val/*.xml`, and, beside or inside
`ILSVRC`, `LOC_val_solution.csv` and `LOC_synset_mapping.txt`. Its training images lie in `train/WNID/`; where the folder
has `train/WNID/` and `val/WNID/` alone, as torchvision's `ImageNet` has it, labels count the 1,000 sorted WordNet ids.
"""

import csv
import math
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from xailib.datasets.files import SUFFIXES, Box, Crop, Files, Item, check_split, image_files, look, shuffled
from xailib.datasets.layouts import choose, class_folders, class_items
from xailib.errors import InputError, nearest
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
    """Load ImageNet images, those of the validation split with the boxes of the labelled class.

    Args:
        root: the folder that holds `ILSVRC`, or `ILSVRC` itself, or the folder that holds `train` and `val`.
        split: val, or train. Images in class folders come without boxes.
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
    items: list[Item] = []
    for item in _items(Path(root), split, seed, bad_boxes):
        if limit is not None and len(items) == limit:
            break
        areas = [(x2 - x1) * (y2 - y1) for x1, y1, x2, y2 in item.boxes]
        if (not one_box or len(areas) == 1) and max(areas, default=0.0) <= max_box_area:
            items.append(item)
    if not items:
        raise InputError(f"{root}: no image passes one_box={one_box} and max_box_area={max_box_area}")
    return Files(items, side, crop)


def _items(root: Path, split: str, seed: int, bad_boxes: str) -> Iterator[Item]:
    """The split's images with labels and boxes, in the seed's order; annotations are read as they are asked for."""
    top = root / "ILSVRC" if (root / "ILSVRC").is_dir() else root
    places = (top / "Data" / "CLS-LOC" / split, root / split)
    folder = next((place for place in places if place.is_dir()), None)
    if folder is None:
        wanted = root / "ILSVRC" / "Data" / "CLS-LOC" / split
        raise InputError(f"{root}: not an ImageNet folder: looked for {wanted} and {places[1]}; {look(root)}")
    if split == "train" or any(path.is_dir() for path in folder.iterdir()):
        yield from choose(class_items(folder, _folder_labels(root, top, folder)), seed, None)
        return
    files = {path.stem: path for path in image_files(folder)}
    if not files:
        raise InputError(f"{folder}: no images: looked for *.JPEG and the like ({', '.join(SUFFIXES)}); {look(folder)}")
    classes = read_synsets(_table(root, top, "LOC_synset_mapping.txt"))
    solution = _table(root, top, f"LOC_{split}_solution.csv")
    synsets = _read_solution(solution)
    for id in shuffled(files, seed):
        if id not in synsets:
            raise InputError(f"{solution}: no row for {files[id].name}; every image of {folder} needs one")
        if synsets[id] not in classes:
            raise InputError(f"{solution}: {id} has class '{synsets[id]}', which LOC_synset_mapping.txt does not list")
        annotation = top / "Annotations" / "CLS-LOC" / split / f"{id}.xml"
        try:
            boxes = read_boxes(annotation, synsets[id])
        except InputError:
            if bad_boxes == "refuse":
                raise
            boxes = []
        yield Item(id, files[id], classes[synsets[id]], boxes)


def _folder_labels(root: Path, top: Path, folder: Path) -> dict[str, int]:
    """Class folder -> label, from `LOC_synset_mapping.txt` where it is, else by counting all 1,000."""
    names = class_folders(folder)
    try:
        labels = read_synsets(_table(root, top, "LOC_synset_mapping.txt"))
    except InputError as error:
        if len(names) != 1000:
            raise InputError(f"{folder}: {len(names)} class folders, not 1,000, and no list of their labels: {error}") from None
        labels = {name: label for label, name in enumerate(names)}
    stranger = next((name for name in names if name not in labels), None)
    if stranger is not None:
        raise InputError(f"{folder / stranger}: LOC_synset_mapping.txt lists no such class{nearest(stranger, labels)}")
    return {name: labels[name] for name in names}


def _table(root: Path, top: Path, name: str) -> Path:
    found = next((folder / name for folder in (root, top, top.parent) if (folder / name).is_file()), None)
    if found is None:
        raise InputError(f"{root}: looked for {name} there and in {top}; {look(root)}")
    return found


def read_synsets(path: Path) -> dict[str, int]:
    """Return class folder (WordNet id) -> label from a file whose lines begin with one each, in the order of labels."""
    try:
        words = [line.split()[0] for line in path.read_text().splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as a list of classes ({error})") from None
    return {word: label for label, word in enumerate(words)}


def _read_solution(path: Path) -> dict[str, str]:
    """Image id -> WordNet id, from rows such as `ILSVRC2012_val_00000001,n01751748 111 108 431 323`."""
    with path.open(newline="") as file:
        rows = list(csv.reader(file))[1:]
    bad = next((row for row in rows if row and (len(row) < 2 or not row[1].strip())), None)
    if bad is not None:
        raise InputError(f"{path}: the row {','.join(bad)!r} gives no class; rows are 'image id,class x1 y1 x2 y2 ...'")
    return {row[0]: row[1].split()[0] for row in rows if row}


def read_boxes(path: Path, synset: str) -> list[Box]:
    """Return an annotation's boxes of one class, as fractions of the annotated width and height.

    The image may have another size than the annotated one, so the size comes from the XML. Its coordinates count
    pixels from 0 and include the last one: a box up to the right edge of 500 pixels says 499.

    Raises:
        InputError: an annotation that is missing, no XML, or without size or box of the class; a box outside the image.
    """
    try:
        tree = ElementTree.parse(path).getroot()
    except FileNotFoundError:
        raise InputError(f"{path}: no such annotation; add it, or set bad_boxes: drop to go without") from None
    except ElementTree.ParseError as error:
        raise InputError(f"{path}: not a complete XML file ({error})") from None
    width, height = (_number(path, tree, f"size/{key}") for key in ("width", "height"))
    if width < 1 or height < 1:
        raise InputError(f"{path}: size {width:g} x {height:g} is not the size of an image")
    objects = [found for found in tree.iter("object") if (found.findtext("name") or "").strip() == synset]
    if not objects:
        raise InputError(f"{path}: no box of class {synset}; add one, or set bad_boxes: drop to go without")
    boxes = []
    for found in objects:
        x1, y1, x2, y2 = (_number(path, found, f"bndbox/{key}") for key in ("xmin", "ymin", "xmax", "ymax"))
        if not (0 <= x1 <= x2 <= width and 0 <= y1 <= y2 <= height):
            raise InputError(
                f"{path}: box ({x1:g}, {y1:g}, {x2:g}, {y2:g}) is not inside the image of {width:g} x {height:g} pixels"
            )
        boxes.append((x1 / width, y1 / height, min(x2 + 1, width) / width, min(y2 + 1, height) / height))
    return boxes


def _number(path: Path, node: ElementTree.Element, key: str) -> float:
    text = node.findtext(key)
    try:
        if math.isfinite(value := float(text or "")):
            return value
    except ValueError:
        pass
    raise InputError(f"{path}: {node.tag}/{key} is {text!r}, not a number of pixels")
