"""Images that are no data set: a path, or a list of paths, Pillow images, arrays or tensors; they have no labels."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor
from torch.nn.functional import interpolate

from xailib.datasets.files import look, path_id
from xailib.datasets.items import Crop, check_fit, check_memory, fit, place
from xailib.errors import InputError, named
from xailib.images import ImageBatch
from xailib.images.pictures import as_pixels, one_picture, read_image, to_pixels, upright
from xailib.workspace import expanded

SIDE = 224


def find_path(word: str | Path) -> Path:
    """Return the file or folder of this name; `~` is the home folder."""
    if "://" in str(word) or not str(word):
        raise InputError(
            f"source: '{word}' is no path; nothing is downloaded, so save the images and give their folder"
        )
    path = expanded(word)
    if not path.exists():
        raise InputError(f"{path}: there is no such file or folder; {path.parent}: {look(path.parent)}")
    return path


def own_images(source: Any, side: int | None, crop: Crop, limit: int | None) -> ImageBatch:
    """Return images that were handed over one by one, or as an array, in their order; `limit` takes the first.

    Args:
        source: a path of an image, or what `xailib.images.pictures.as_pixels` takes, or a list with paths too.
        side, crop: as in `load_images`. Photographs (paths and Pillow images) get 224 pixels by default; arrays and
            tensors keep their size unless one of the two is given.

    Raises:
        InputError: what is no image, arrays of several sizes without a side, or a file named twice.
    """
    check_fit(SIDE if side is None else side, crop)
    if isinstance(source, Tensor | np.ndarray):
        return ImageBatch(_fitted(as_pixels(source)[:limit], side, crop))
    if isinstance(source, str | Path | Image.Image):
        source = [source]
    if isinstance(source, dict | set | bytes | ImageBatch) or not isinstance(source, Iterable):
        wanted = "the id of a data set, a path, a list of paths, Pillow images or arrays, or a tensor (n, 3, h, w)"
        raise InputError(f"source: {wanted} is needed, not {type(source).__name__}")
    things = list(source)
    if not things:
        raise InputError("source: the list is empty; give at least one image")
    things = things[:limit]
    check_memory(len(things), side or SIDE)
    ids = _ids(things)
    return ImageBatch([_picture(one, id, side, crop) for one, id in zip(things, ids, strict=True)], ids=ids)


def _ids(things: list[Any]) -> list[str]:
    """The files' names, with their folders where two are called alike; numbers for what is no file."""
    paths = [Path(one) if isinstance(one, str | Path) else None for one in things]
    names = [path_id(Path(path.name)) for path in paths if path is not None]
    alike = len(set(names)) < len(names)
    return [
        f"image-{i}" if path is None else path_id(path if alike else Path(path.name)) for i, path in enumerate(paths)
    ]


def _picture(source: Any, id: str, side: int | None, crop: Crop) -> Tensor:
    """One image `(3, h, w)`, fitted to the side."""
    if isinstance(source, str | Path):
        path = find_path(source)
        if path.is_dir():
            raise InputError(f"{path}: is a folder; give load_images the folder itself, or the images in it")
        image, id = read_image(path), str(path)
    elif isinstance(source, Image.Image):
        image = upright(source, id)
    else:
        return _fitted(one_picture(source, id)[None], side, crop)[0]
    with named(id):
        return to_pixels(fit(image, SIDE if side is None else side, crop)[0])


def _fitted(pixels: Tensor, side: int | None, crop: Crop) -> Tensor:
    """Pixels `(n, 3, h, w)` as they are, or as `fit` would make them of a photograph."""
    if side is None and crop == "resize":
        return pixels
    side = SIDE if side is None else side
    width, height, left, top = place(pixels.shape[3], pixels.shape[2], side, crop)
    if (height, width) != pixels.shape[2:]:
        pixels = interpolate(pixels, (height, width), mode="bicubic", antialias=True, align_corners=False).clamp(0, 1)
    return pixels[..., top : top + side, left : left + side]
