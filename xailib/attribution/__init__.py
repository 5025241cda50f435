"""Attribution methods: which pixels speak for a class.

A method is a plain function under `@method(...)` in a file of this folder:

    @method("occlusion", family="perturbation", label="Occlusion", paper="Zeiler & Fergus 2014")
    def occlusion(model: Model, pixels: Tensor, targets: Tensor, *, seed: int, patch: int = 16) -> Tensor:
        ...  # pixels (n, 3, h, w) and targets (n,) on model.device -> maps (n, h, w)

Its keyword-only arguments are its options; `attribute` checks them, the input and the result. A method that gives a
value a colour channel `(n, 3, h, w)` says by `@pooled("abs_max")` under `@method` how they become maps.
"""

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from xailib import engine, registry
from xailib.errors import InputError, warn
from xailib.maps import Maps
from xailib.models.folding import lent
from xailib.models.model import Model
from xailib.models.probes import check, gradient_asked
from xailib.models.targets import as_images, as_targets
from xailib.params import signatures
from xailib.registry import Entry
from xailib.seeding import whole

__all__ = ["attribute", "defaults", "lacking", "list_methods"]


def list_methods(pattern: str = "*", *, family: str | None = None) -> list[str]:
    """Return the ids of the methods that match a shell pattern and, where given, belong to a family."""
    return [name for name in registry.method.names(pattern) if family in (None, registry.method.get(name).family)]


def defaults(name: str) -> dict[str, Any]:
    """Return the options of a method with their defaults."""
    return signatures.defaults(registry.method.get(name).function)


def lacking(name: str, model: Model) -> list[str]:
    """Return what a method needs that a model does not offer; an empty list means that the pair is possible."""
    needs = [need for need in registry.method.get(name).needs if need not in model.offers]
    return [need for need in needs if need != "cam_layer" or model.cam_layer is None]


def check_pair(entry: Entry, model: Model, pixels: Tensor) -> None:
    """Refuse a method and a model of which the one needs what the other does not offer, or a model that is unsound."""
    missing = lacking(entry.name, model) if entry.needs else []
    if missing:
        needed = " and ".join(missing)
        raise InputError(f"method '{entry.name}' needs {needed}, which model '{model.id}' does not offer")
    height, width = pixels.shape[-2:]
    check(model, height, width, entry.needs)


def check_values(values: Tensor, name: str, model: Model) -> None:
    """Refuse NaN or infinity in what a method gave."""
    # The sum of what is finite mostly is, and is found in a fifth of the time.
    if not torch.isfinite(values.sum()) and not torch.isfinite(values).all():
        raise InputError(f"method '{name}' gave NaN or infinity for model '{model.id}'; check weights and options")


def attribute(
    name: str | Callable[..., Tensor],
    model: Model,
    images: Any,
    targets: Any = None,
    *,
    seed: int = 0,
    batch_size: int | None = None,
    precision: Literal["fp32", "bf16"] | None = None,
    progress: bool | None = None,
    **options: Any,
) -> Maps:
    """Explain a class on every image by a method: the class that the model predicts, unless told.

    The result does not depend on the batch size (1e-5), on the order of the images or on what else is in the batch,
    and repeats bit for bit for one seed on one machine. The model is left exactly as it was found. One exception:
    the descent of Meaningful Perturbation enlarges the network's own rounding, which differs between batch sizes, to
    as much as 0.04 of a map in [0, 1].

    Args:
        name: a method (`list_methods()` names them; "Grad-CAM" is "gradcam"), or a function of your own like those of this
            folder: `(model, pixels, targets, *, ...) -> maps (n, h, w)`, with `seed` if it draws.
        images: an `ImageBatch`, or what `load_images` takes: a folder, paths, Pillow images, a tensor `(n, 3, h, w)` in
            [0, 1]. Photographs get the side of the model's input.
        targets: the classes to explain: "predicted" (None), "label", a class's name or index, or one of these an image.
        seed: a whole number, start of every random stream; a stream belongs to (seed, image content).
        batch_size: images a network pass at most; None keeps the engine's setting. So for precision and progress.
        precision: fp32, or bf16 where ranks survive it: gradients with respect to pixels are always fp32.
        options: the method's own keyword arguments (`defaults(name)` lists them).

    Returns:
        Maps float32 `(n, h, w)` on the CPU, a tensor that knows its targets; higher speaks more for the class, signed where
        the method is.

    Raises:
        InputError: unknown method, option or class, images that are none, a seed that is no whole number, a model that
            lacks what the method needs or that answers NaN, a result that is not finite or of another shape.
    """
    entry, seed = _entry(name), whole(seed)
    options = signatures.check("method", entry.name, entry.function, options)
    batch = as_images(images, model)
    check_pair(entry, model, batch.pixels)
    settings = {"batch_size": batch_size, "precision": precision, "progress": progress}
    # A caller's no_grad or inference_mode must not reach the methods: they switch gradients off where they can.
    with torch.inference_mode(False), torch.enable_grad(), engine.using(model, **settings):
        classes = as_targets(targets, model, batch)
        pixels = batch.pixels.to(model.device, copy=True)
        given = {"seed": seed, **options} if signatures.takes(entry.function, "seed") else options
        with gradient_asked(entry.name, model, pixels), lent(model, pixels, entry.function) as fast:
            maps = entry.function(fast, pixels, classes.to(model.device, copy=True), **given)
    maps = _checked(maps, entry.name, model, pixels)
    empty = int((maps == 0).flatten(1).all(1).sum())
    if empty and options.get("output") == "probability":
        warn(
            f"method '{entry.name}': {empty} of {len(maps)} maps are zero throughout, as the probability of the class does not "
            "change there or is too small for float32; output='logit' tells which"
        )
    facts = {"method": entry.name, "label": entry.label, "options": {"seed": seed, **options}, "model": model.id}
    facts["ids"] = None if isinstance(images, Tensor | np.ndarray) else batch.ids
    return Maps.of(maps, targets=classes, target_names=[model.class_names[i] for i in classes.tolist()], **facts)


def _checked(maps: Any, name: str, model: Model, pixels: Tensor) -> Tensor:
    """What a method returned, as float32 `(n, h, w)` on the CPU."""
    expected = (len(pixels), *pixels.shape[-2:])
    if not isinstance(maps, Tensor) or tuple(maps.shape) != expected:
        found = f"the shape {tuple(maps.shape)}" if isinstance(maps, Tensor) else type(maps).__name__
        hint = "; @pooled makes maps of values a channel" if getattr(maps, "shape", ()) == pixels.shape else ""
        raise InputError(f"method '{name}' must return maps, a tensor of the shape {expected}, not {found}{hint}")
    maps = maps.detach().to("cpu", torch.float32)
    check_values(maps, name, model)
    return maps


def _entry(name: str | Callable[..., Tensor]) -> Entry:
    """The entry of a method, or of a function that is none."""
    if not callable(name):
        return registry.method.get(name)
    known = next((one for one in registry.method.entries.values() if one.function is name), None)
    word = getattr(name, "__name__", type(name).__name__)
    if not known and (fault := registry.uncallable(name, registry.method.takes)):
        raise InputError(f"method '{word}': {fault}")
    return known or Entry(word, name, {"family": "own", "needs": (), "label": word, "paper": ""})
