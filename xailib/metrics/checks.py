"""What every metric may take for granted: finite maps of the right shape, known labels, a model that is one, in eval mode."""

import torch
from torch import Tensor

from xailib.errors import InputError
from xailib.images import ImageBatch
from xailib.models.model import Model
from xailib.models.probes import evaluation_mode

__all__ = ["checked_images", "checked_maps", "evaluation_mode"]


def checked_maps(maps: Tensor, images: ImageBatch) -> Tensor:
    """Return maps `(n, h, w)` as detached float32 on the CPU, or say in an `InputError` what is wrong with them."""
    maps = torch.as_tensor(maps).detach().float().cpu()
    n, _, height, width = images.pixels.shape
    if maps.shape != (n, height, width):
        raise InputError(f"maps: the shape {tuple(maps.shape)} does not fit the images; use {(n, height, width)}")
    broken = ~torch.isfinite(maps).flatten(1).all(dim=1)
    if broken.any():
        first = images.ids[int(broken.nonzero()[0])]
        found = f"{int(broken.sum())} of {n} hold NaN or infinity (first: image '{first}')"
        raise InputError(f"maps: {found}; attribute them again")
    return maps


def checked_images(images: ImageBatch, model: Model, *, passes: bool = True) -> None:
    """Refuse what is no Model or, where `passes` will run, cannot be explained, an empty batch, repeated ids, and labels that are no class."""
    if not isinstance(model, Model):
        raise InputError(f"model: a xailib Model is needed, not {type(model).__name__}; xailib.wrap(network) makes one")
    if not len(images):
        raise InputError("images: the batch is empty; give at least one image")
    if len(set(images.ids)) < len(images):
        double = next(name for name in images.ids if images.ids.count(name) > 1)
        raise InputError(f"images: the id '{double}' occurs more than once; ids must be unique")
    classes = len(model.class_names)
    for name, label in zip(images.ids, images.labels.tolist(), strict=True):
        if not 0 <= label < classes:
            known = f"no class of model '{model.id}'; use 0 to {classes - 1}"
            raise InputError(f"images: label {label} of '{name}' is {known}")
    if passes:
        model.check(*images.pixels.shape[-2:])
