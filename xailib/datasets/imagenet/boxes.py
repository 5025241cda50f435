"""The boxes of ImageNet's XML annotations."""

import math
import xml.etree.ElementTree as ElementTree
from pathlib import Path

from xailib.datasets.items import Box
from xailib.errors import InputError


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
