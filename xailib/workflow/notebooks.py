"""What the slice notebooks share: where their images come from, and a look at maps."""

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import interpolate

from xailib.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from xailib.images import ImageBatch
    from xailib.models.model import Model


def image_source(
    dataset: str, model: "Model", classes: "str | Mapping[str, str] | None" = None, /, **options: Any
) -> dict[str, Any]:
    """Return the arguments of `load_images` for images that fit the network.

    Data sets read from files take any `side`; unless the options give one, it is the network's. None is left out, and
    `root` starts from the repository. They are for the split that the options name and no other: its labels count its own
    classes, so that images of another split are asked for anew.

    Args:
        dataset: as it is registered.
        model: whose classes the labels are to count.
        classes: `dataset_classes` of its parameter file; see `xailib.models.classes.mapping`.
        options: what `load_images` takes.

    Raises:
        InputError: the network's classes are not those of the data set.
    """
    from xailib import datasets, params
    from xailib.models.classes import mapping

    source = {key: value for key, value in options.items() if value is not None}
    if "root" in source:
        source["root"] = str(params.place(source["root"]))
    given = {key: value for key, value in source.items() if key != "seed"}
    names = [] if classes == "unknown" else datasets.class_names(dataset, **given)
    labels = mapping(names, model.class_names, classes, f"{dataset} and {model.id}: ")
    if labels is not None:
        source["relabelled"] = labels
    if "side" in datasets.takes(dataset):
        source.setdefault("side", model.input_size)
    return source


def study_images(
    dataset: str,
    source: "Mapping[str, Any]",
    limit: int | None,
    chosen: "str | Path | None" = None,
    most: int | None = None,
) -> "ImageBatch":
    """Load the images of a study that get maps.

    Args:
        dataset, source: as it is registered, and what `image_source` returns.
        limit: the first so many, None for all, unless a choice is given.
        chosen: `chosen.json` of `xailib.workflow.choose`, from the repository; None for no choice.
        most: only the first so many of them.

    Raises:
        InputError: no such file, or one that names other images than the data set has.
    """
    from xailib import datasets, params

    if chosen is None:
        counts = [count for count in (limit, most) if count is not None]
        return datasets.load_images(dataset, limit=min(counts, default=None), **source)
    path = params.place(chosen)
    try:
        places = json.loads(path.read_text(encoding="utf-8"))["images"]
    except FileNotFoundError:
        raise InputError(f"{path}: no such choice of images; run the study's step choose first") from None
    except (ValueError, TypeError, LookupError):
        places = None
    if not isinstance(places, dict) or not places:
        raise InputError(f"{path}: cannot be read as a choice of images; run the study's step choose again")
    images = datasets.load_images(dataset, at=list(places.values())[:most], **source)
    if images.ids != list(places)[:most]:
        raise InputError(f"{path}: its images are not those of '{dataset}' any more; run the study's step choose again")
    return images


def background(
    function: str, dataset: str, split: str | None, source: dict[str, Any], count: int = 50
) -> dict[str, Any]:
    """Return `{"references": pixels}`, images of another `split`, for methods that take a background; labels are no matter."""
    from xailib import datasets, registry
    from xailib.params import signatures

    if split is None or "references" not in signatures.defaults(registry.method.get(function).function):
        return {}
    given = {key: value for key, value in source.items() if key != "relabelled"} | {"split": split}
    return {"references": datasets.load_images(dataset, limit=count, **given).pixels}


def contact_sheet(pixels: Tensor, maps: Tensor, side: int = 96) -> Image.Image:
    """Return images `(n, 3, h, w)` in [0, 1] in a row, their maps `(n, h, w)` below, each tile `side` pixels wide.

    Drawn without pyplot, so that a slice pays nothing for it; in the colours that maps have everywhere.
    """
    from xailib.images import colours

    maps = maps.detach().float().cpu()
    signed = colours.is_signed(maps)
    coloured = np.stack([colours.coloured(map, signed) for map in maps.numpy()]) / 255
    height = round(side * pixels.shape[-2] / pixels.shape[-1])
    rows = [pixels.detach().float().cpu(), torch.from_numpy(coloured).permute(0, 3, 1, 2).float()]
    tiles = [interpolate(row, size=(height, side), mode="bilinear", antialias=True) for row in rows]
    sheet = np.concatenate([np.concatenate(list(row.permute(0, 2, 3, 1).numpy()), axis=1) for row in tiles], axis=0)
    return Image.fromarray((sheet.clip(0, 1) * 255).round().astype(np.uint8))
