"""What every metric may take for granted: finite maps of the right shape, known labels, options of the right kind."""

import contextlib
import inspect
from collections.abc import Callable, Iterator
from numbers import Real
from types import NoneType
from typing import Any, Literal, get_args, get_origin

import torch
from torch import Tensor, nn

from xailib.errors import InputError, nearest
from xailib.images import ImageBatch
from xailib.models.model import Model


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


def checked_images(images: ImageBatch, model: Model) -> None:
    """Refuse an empty batch, repeated ids, and labels that are no class of the model."""
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


def checked_options(owner: str, function: Callable[..., Any], options: dict[str, Any]) -> dict[str, Any]:
    """Return the function's keyword-only defaults overlaid with `options`, each checked against its annotation."""
    known = {p.name: p for p in inspect.signature(function).parameters.values() if p.kind is p.KEYWORD_ONLY}
    for key, value in options.items():
        if key not in known:
            raise InputError(f"{owner} has no option '{key}'{nearest(key, known)}")
        kinds = _kinds(known[key].annotation)
        if not any(_fits(value, kind) for kind in kinds):
            raise InputError(f"{owner}: {key}: {value!r} is not {' or '.join(map(_words, kinds))}")
    return {key: parameter.default for key, parameter in known.items()} | options


def _kinds(annotation: Any) -> list[Any]:
    """The alternatives of an annotation such as `float | None`; a Literal is one alternative."""
    return [annotation] if get_origin(annotation) is Literal or not get_args(annotation) else list(get_args(annotation))


def _fits(value: Any, kind: Any) -> bool:
    """Whether an option's value is of the annotated kind; a bool is no number."""
    if get_origin(kind) is Literal:
        return any(value == known and type(value) is type(known) for known in get_args(kind))
    if kind in (int, float):
        return isinstance(value, int if kind is int else Real) and not isinstance(value, bool)
    return isinstance(value, kind)


def _words(kind: Any) -> str:
    """An annotation in words."""
    if get_origin(kind) is Literal:
        return " or ".join(map(repr, get_args(kind)))
    return {int: "a whole number", float: "a number", bool: "true or false", str: "a word", NoneType: "null"}[kind]


@contextlib.contextmanager
def evaluation_mode(model: nn.Module) -> Iterator[None]:
    """Run the block with every module in eval mode, and give each its own mode back."""
    training = [module for module in model.modules() if module.training]
    model.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True
