"""ImageNet's images in the three ways that they lie on disks, with one id for one image in all of them, and their boxes.

Kaggle: `ILSVRC/Data/CLS-LOC/val/*.JPEG` and `LOC_val_solution.csv`. torchvision: `val/WNID/*.JPEG`, where the folder is
the label. Flat: `ILSVRC2012_val_*.JPEG` in `val`, `ILSVRC2012_img_val` or the folder itself, and a table of labels. The
release with blurred faces calls its folders `train_blurred` and `val_blurred`.
"""

import math
import os
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from xailib.datasets.files import class_folders, class_items, look, numbered
from xailib.datasets.imagenet.labels import (
    NUMBER,
    class_label,
    find_table,
    image_classes,
    read_synsets,
    wordnet_labels,
)
from xailib.datasets.items import Box, Item, choose
from xailib.errors import InputError, nearest
from xailib.image_files import SUFFIXES, image_files, is_junk

MAPPING = "LOC_synset_mapping.txt"


@dataclass(frozen=True)
class Home:
    """Where a split of ImageNet was found.

    Attributes:
        root: the folder the user gives.
        top: the `ILSVRC` in it, or `root` again.
        folder: what holds the images or their class folders.
        split: train or val.
        in_classes: whether the images lie in one folder a class.
    """

    root: Path
    top: Path
    folder: Path
    split: str
    in_classes: bool

    @property
    def tables(self) -> list[Path]:
        """Folders in which label tables are looked for."""
        kit = self.root / "ILSVRC2012_devkit_t12"
        kits = [kit / "data", kit, self.root / "devkit" / "data", self.root / "data"]
        return list(dict.fromkeys([self.root, self.top, self.top.parent, self.folder, *kits]))

    @property
    def annotation_places(self) -> list[Path]:
        """Folders in which XML annotations are looked for; they may lie beside the images or their class folders too."""
        archive = self.root / "ILSVRC2012_bbox_val_v3"  # the archive of the boxes, which holds `val/*.xml`
        places = [home / "Annotations" / "CLS-LOC" / self.split for home in (self.top, self.root)]
        places += [home / self.split for home in (self.root / "Annotations", self.root / "annotations", archive)]
        return list(dict.fromkeys([*places, archive, self.root / self.split, self.folder]))

    def annotations(self) -> Path | None:
        """Return the folder of XML annotations of a validation split, if there is one.

        The Kaggle layout always has one: there a missing annotation is a fault of that image.
        """
        if self.split != "val":
            return None
        places = self.annotation_places
        kaggle = self.folder == self.top / "Data" / "CLS-LOC" / self.split and not self.in_classes
        found = (place for place in places if place.is_dir() and next(place.glob("*.xml"), None))
        return next(found, places[0] if kaggle else None)


def find_split(root: Path, split: str) -> Home:
    """Find the images of a split, or say what was looked for and what is there."""
    top = root / "ILSVRC" if (root / "ILSVRC").is_dir() else root
    flat = [root / f"ILSVRC2012_img_{split}"]
    places = [top / "Data" / "CLS-LOC" / split, root / split, root / f"{split}_blurred", *flat]
    folder = next((place for place in places if place.is_dir()), None)
    if folder is None and split == "val" and root.is_dir() and next(root.glob("ILSVRC2012_val_*.*"), None):
        folder = root
    if folder is None:
        wanted = [f"{split}_blurred", flat[0].name, f"ILSVRC/Data/CLS-LOC/{split}", split]
        raise InputError(
            f"{root}: not an ImageNet folder: looked for ILSVRC2012_{split}_*.JPEG there and for {', '.join(wanted)};"
            f" {look(root)}"
        )
    # scandir tells folders from files without asking for each of 50,000, which takes minutes on a network drive.
    with os.scandir(folder) as entries:
        inner = any(entry.is_dir() and not is_junk(entry.name) for entry in entries)
    in_classes = folder != root and (split == "train" or inner)
    return Home(root, top, folder, split, in_classes)


def items(home: Home, seed: int, bad_boxes: str) -> Iterator[Item]:
    """The split's images with labels and boxes, in the seed's order; annotations are read as they are asked for."""
    found = _in_folders(home) if home.in_classes else _in_one_folder(home)
    annotations = home.annotations()
    for item in choose((item for item, _ in found.values()), seed):
        if annotations is not None:
            try:
                boxes, size = read_boxes(annotations / f"{item.path.stem}.xml", found[item.id][1])
                item = replace(item, boxes=boxes, turn=size)
            except InputError:
                if bad_boxes == "refuse":
                    raise
        yield item


def _in_folders(home: Home) -> dict[str, tuple[Item, str]]:
    """Image id -> image and WordNet id. Validation images go by their name alone, as in the other layouts."""
    found: dict[str, tuple[Item, str]] = {}
    for item in class_items(home.folder, _folder_labels(home)):
        id = item.path.stem if NUMBER.fullmatch(item.path.stem) else item.id
        if id in found:
            raise InputError(
                f"{item.path}: the same image lies in class folder {found[id][1]} too; an image has one class"
            )
        found[id] = replace(item, id=id), item.path.parent.name
    return found


def _in_one_folder(home: Home) -> dict[str, tuple[Item, str]]:
    paths = image_files(home.folder)
    files = {path.stem: path for path in paths}
    double = next((path for path in paths if files[path.stem] != path), None)
    if double is not None:
        raise InputError(
            f"{double}: {files[double.stem].name} has the same name but for its suffix; take one of them away"
        )
    if not files:
        looked = f"looked for *.JPEG and the like ({', '.join(SUFFIXES)})"
        raise InputError(f"{home.folder}: no images: {looked}; {look(home.folder)}")
    mapping = find_table(home.tables, MAPPING)
    labels = read_synsets(mapping) if mapping else wordnet_labels()
    table, classes = image_classes(home.tables, home.split)
    names = list(labels)
    found = {}
    for id, path in files.items():
        if id not in classes:
            raise InputError(f"{table}: no row for {path.name}; every image of {home.folder} needs one")
        label = class_label(classes[id], labels, table, id, MAPPING if mapping else "ImageNet")
        found[id] = Item(id, path, label), names[label]
    return found


def _folder_labels(home: Home) -> dict[str, int]:
    """Class folder -> label: from `LOC_synset_mapping.txt` where it is, by counting all 1,000, or by the known ids."""
    names = class_folders(home.folder)
    mapping = find_table(home.tables, MAPPING)
    if mapping is not None:
        labels, source = read_synsets(mapping), MAPPING
    elif len(names) == 1000:
        return numbered(names)
    else:
        labels, source = wordnet_labels(), "ImageNet"
    unknown = next((name for name in names if name not in labels), None)
    if unknown is None:
        return {name: labels[name] for name in names}
    if mapping is None:
        raise InputError(
            f"{home.folder}: {len(names)} class folders, not 1,000, and no list of their labels: '{unknown}' is no class of"
            f" ImageNet, and there is no {MAPPING} in {home.root}; {look(home.root)}"
        )
    raise InputError(f"{home.folder / unknown}: {source} lists no such class{nearest(unknown, labels)}")


def read_boxes(path: Path, synset: str) -> tuple[list[Box], tuple[float, float]]:
    """Return an annotation's boxes of one class, as fractions of the annotated width and height, and these.

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
    return boxes, (width, height)


def _number(path: Path, node: ElementTree.Element, key: str) -> float:
    text = node.findtext(key)
    try:
        if math.isfinite(value := float(text or "")):
            return value
    except ValueError:
        pass
    raise InputError(f"{path}: {node.tag}/{key} is {text!r}, not a number of pixels")
