"""What the explorer says of networks, methods, metrics and pictures, wherever it is shown."""

import base64
import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from xailib.images import ImageBatch
from xailib.images.colours import palette
from xailib.results import read_curves

THUMB = 44  # pixels, as in component.js


def methods(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Return id, label and family of methods; `table` as in `Frames`."""
    return [{"id": id, "label": row["label"], "family": row["family"]} for id, row in table.iterrows()]


def metrics(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Return id, label, direction and range of metrics, None where that has no end; `table` as in `Frames`."""
    rows = table[["label", "better", "low", "high"]].astype(object).replace({math.inf: None, -math.inf: None})
    return [{"id": id, **row.to_dict()} for id, row in rows.iterrows()]


def pictures(images: ImageBatch, names: Sequence[str] | None) -> list[dict[str, str]]:
    """Return id and label of images; the label is the class's name among `names`, empty where there is none."""
    known = [""] * len(images)
    if names and images.has_labels:
        known = [names[label] if label < len(names) else str(label) for label in images.labels.tolist()]
    return [{"id": id, "label": label} for id, label in zip(images.ids, known, strict=True)]


def palettes() -> dict[str, list[list[int]]]:
    """Return the 256 colours of maps with and without negative values: RGB, 0 to 255."""
    from matplotlib import colormaps

    colours = {
        name: colormaps[palette(signed)](range(256), bytes=True) for name, signed in (("signed", 1), ("unsigned", 0))
    }
    return {name: found[:, :3].tolist() for name, found in colours.items()}


def thumbs(pixels: Any) -> dict[str, Any]:
    """Return one sheet of small pictures of pixels `(n, 3, h, w)` in [0, 1]."""
    small = [
        np.asarray(Image.fromarray(one).resize((THUMB, THUMB), Image.Resampling.LANCZOS)) for one in bytes_of(pixels)
    ]
    return sheet(np.stack(small), quality=85)


def bytes_of(pixels: Any) -> NDArray[np.uint8]:
    """Return pixels `(n, 3, h, w)` in [0, 1] as uint8 `(n, h, w, 3)`."""
    return (np.asarray(pixels).clip(0, 1) * 255).round().astype(np.uint8).transpose(0, 2, 3, 1)


def sheet(tiles: NDArray[np.uint8], quality: int | None = None) -> dict[str, Any]:
    """Return pictures `(n, h, w)` or `(n, h, w, 3)`, uint8, as one picture in a data URI, laid out row by row.

    Args:
        tiles: the pictures.
        quality: of WebP, up to 100; None keeps every byte.
    """
    n, height, width = tiles.shape[:3]
    columns = math.ceil(math.sqrt(n))  # a WebP may be 16,383 pixels wide and high
    filled = np.zeros((math.ceil(n / columns) * columns, *tiles.shape[1:]), np.uint8)
    filled[:n] = tiles
    rows = [np.concatenate(list(filled[i : i + columns]), axis=1) for i in range(0, len(filled), columns)]
    how = {"lossless": True, "quality": 60} if quality is None else {"quality": quality}
    file = io.BytesIO()
    Image.fromarray(np.concatenate(rows)).convert("RGB").save(file, "WEBP", **how)
    uri = "data:image/webp;base64," + base64.b64encode(file.getvalue()).decode()
    return {"uri": uri, "columns": columns, "width": width, "height": height}


def stored_curves(path: Path, ids: Sequence[str]) -> dict[str, NDArray[np.float32]]:
    """Return the curves `(n, steps + 1)` of a slice's images by metric; none where the slice kept none."""
    if not path.exists():
        return {}
    found = read_curves(path)
    places = [found["ids"].index(id) for id in ids]
    return {name: values[places] for name, values in found["curves"].items()}
