"""What every metric may take for granted: finite maps of the right shape, known labels, a model that is one, in eval mode."""

from collections import Counter
from typing import Any

import numpy as np
import torch
from torch import Tensor

from xailib.errors import InputError
from xailib.images import ImageBatch, box_masks
from xailib.images.pictures import of_array
from xailib.maps import Maps, check_ids
from xailib.models.model import Model
from xailib.models.probes import check
from xailib.models.targets import as_images, as_targets


def checked_maps(maps: Tensor, images: ImageBatch) -> Tensor:
    """Return maps `(n, h, w)` as detached float32 on the CPU, or say in an `InputError` what is wrong with them."""
    try:
        given = maps if isinstance(maps, Tensor) else of_array(maps)
        maps = given.detach().to_dense().float().cpu()
    except (TypeError, ValueError, RuntimeError):
        raise InputError(f"maps: a tensor or array (n, h, w) is needed, not {type(maps).__name__}") from None
    n, _, height, width = images.pixels.shape
    if maps.shape != (n, height, width):
        raise InputError(f"maps: the shape {tuple(maps.shape)} does not fit the images; use {(n, height, width)}")
    broken = ~torch.isfinite(maps).flatten(1).all(dim=1)
    if broken.any():
        first = images.ids[int(broken.nonzero()[0])]
        found = f"{int(broken.sum())} of {n} hold NaN or infinity (first: image '{first}')"
        raise InputError(f"maps: {found}; attribute them again")
    return maps


def objects(images: ImageBatch) -> tuple[Tensor, Tensor]:
    """Return the boxes as bool masks `(n, h, w)`, and which images `(n,)` have an exact mask: not just their boxes' union."""
    boxes = box_masks(images.boxes, *images.pixels.shape[-2:])
    return boxes, (images.masks.cpu() != boxes).flatten(1).any(dim=1)


def explained(maps: Any, model: Model, images: Any, targets: Any, *, passes: bool = True) -> tuple[Tensor, ImageBatch]:
    """Return maps and images that fit each other; the images' labels are the classes that the maps are scored for.

    Args:
        maps, model, images, targets: as in `evaluate`.
        passes: whether the network will be asked; without, no class need be known.

    Raises:
        InputError: see `evaluate`.
    """
    batch = as_images(images, model)
    twice = [name for name, times in Counter(batch.ids).items() if times > 1]
    if twice:
        raise InputError(f"images: the id '{twice[0]}' occurs more than once; ids must be unique")
    if not isinstance(images, Tensor | np.ndarray):
        check_ids(maps, batch.ids)
    values = checked_maps(maps, batch)
    if targets is None and isinstance(maps, Maps):
        targets = maps.targets
    if passes:
        check(model, *batch.pixels.shape[-2:])
        if targets is None and not batch.has_labels:
            raise InputError(
                "targets: these maps do not say which class they explain, and the images have no labels; give targets=..."
            )
        batch = batch.with_labels(as_targets("label" if targets is None else targets, model, batch))
    return values, batch
