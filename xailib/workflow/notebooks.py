"""What the slice notebooks share: where their images come from, and a look at maps."""

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import interpolate

if TYPE_CHECKING:
    from collections.abc import Mapping

    from xailib.models.model import Model


def image_source(
    dataset: str, model: "Model", classes: "str | Mapping[str, str] | None" = None, /, **options: Any
) -> dict[str, Any]:
    """Return the arguments of `load_images` for images that fit the network.

    Data sets read from files take any `side`; unless the options give one, it is the network's. None is left out, and
    `root` starts from the repository.

    Args:
        dataset: as it is registered.
        model: whose classes the labels are to count.
        classes: `dataset_classes` of its parameter file; see `xailib.classes.mapping`.
        options: what `load_images` takes.

    Raises:
        InputError: the network's classes are not those of the data set.
    """
    from xailib import datasets, params
    from xailib.classes import mapping

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


def background(
    function: str, dataset: str, split: str | None, source: dict[str, Any], count: int = 50
) -> dict[str, Any]:
    """Return `{"references": pixels}`, images of another `split`, for methods that take a background."""
    from xailib import datasets, registry
    from xailib.params import signatures

    if split is None or "references" not in signatures.defaults(registry.method.get(function).function):
        return {}
    return {"references": datasets.load_images(dataset, limit=count, **{**source, "split": split}).pixels}


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
