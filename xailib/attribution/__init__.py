"""Attribution methods: which pixels speak for a class.

A method is a plain function under `@method(...)` in a file of this folder:

    @method("occlusion", family="perturbation", label="Occlusion", paper="Zeiler & Fergus 2014")
    def occlusion(model: Model, pixels: Tensor, targets: Tensor, *, seed: int, patch: int = 16) -> Tensor:
        ...  # pixels (n, 3, h, w) and targets (n,) on model.device -> maps (n, h, w)

Its keyword-only arguments are its options; `attribute` checks them, the input and the result.
"""

from typing import Any, Literal

import torch
from torch import Tensor

from xailib import engine, registry
from xailib import options as _options
from xailib.attribution.state import untouched
from xailib.errors import InputError
from xailib.models.model import Model
from xailib.models.probes import gradient_asked

__all__ = ["attribute", "checked", "defaults", "lacking", "list_methods"]


def list_methods(pattern: str = "*", *, family: str | None = None) -> list[str]:
    """Return the ids of the methods that match a shell pattern and, where given, belong to a family."""
    return [name for name in registry.method.names(pattern) if family in (None, registry.method.get(name).family)]


def defaults(name: str) -> dict[str, Any]:
    """Return the options of a method with their defaults."""
    return _options.defaults(registry.method.get(name).function)


def lacking(name: str, model: Model) -> list[str]:
    """Return what a method needs that a model does not offer; an empty list means that the pair is possible."""
    offers = set(model.offers) | ({"cam_layer"} if model.cam_layer is not None else set())
    return [need for need in registry.method.get(name).needs if need not in offers]


def attribute(
    name: str,
    model: Model,
    pixels: Tensor,
    labels: Tensor,
    *,
    seed: int = 0,
    batch_size: int | None = None,
    precision: Literal["fp32", "bf16"] | None = None,
    progress: bool | None = None,
    **options: Any,
) -> Tensor:
    """Explain the class `labels[i]` on image `pixels[i]` by the method called `name`.

    The result does not depend on the batch size (1e-5), on the order of the images or on what else is in the batch,
    and repeats bit for bit for one seed on one machine. The model is left exactly as it was found. One exception:
    the descent of Meaningful Perturbation enlarges the network's own rounding, which differs between batch sizes, to
    as much as 0.04 of a map in [0, 1].

    Args:
        pixels: float32 `(n, 3, h, w)` in [0, 1].
        labels: int64 `(n,)`, the classes to explain.
        seed: start of every random stream; a stream belongs to (seed, image content).
        batch_size: images a network pass; None keeps the engine's setting. So for precision and progress.
        precision: fp32, or bf16 where ranks survive it: gradients with respect to pixels are always fp32.
        options: the method's own keyword arguments (`defaults(name)` lists them).

    Returns:
        float32 `(n, h, w)` on the CPU; higher speaks more for the class, signed where the method is.

    Raises:
        InputError: unknown method or option, pixels or labels out of range, a model that lacks what the method
            needs or that answers NaN, a result that is not finite.
    """
    entry = registry.method.get(name)
    _options.check("method", name, entry.function, options)
    pixels, labels = checked(model, pixels, labels)
    missing = lacking(name, model)
    if missing:
        raise InputError(f"method '{name}' needs {' and '.join(missing)}, which model '{model.id}' does not offer")
    model.check(*pixels.shape[-2:], entry.needs)
    settings = {"batch_size": batch_size, "precision": precision, "progress": progress}
    # A caller's no_grad or inference_mode must not reach the methods: they switch gradients off where they can.
    with torch.inference_mode(False), torch.enable_grad(), untouched(model), engine.using(**settings):
        pixels = pixels.detach().to(model.device, copy=True)
        labels = labels.to(model.device, copy=True)
        with gradient_asked(name, model, pixels):
            maps = entry.function(model, pixels, labels, seed=seed, **options)
        maps = maps.detach().to("cpu", torch.float32)
    expected = (len(pixels), *pixels.shape[-2:])
    if tuple(maps.shape) != expected:
        raise RuntimeError(f"method '{name}' returned maps of shape {tuple(maps.shape)} where {expected} is right")
    if not torch.isfinite(maps).all():
        raise InputError(f"method '{name}' gave NaN or infinity for model '{model.id}'; check weights and options")
    return maps


def checked(model: Model, pixels: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Return pixels as float32 and labels as int64, or raise `InputError` for what no method could explain."""
    if not isinstance(model, Model):
        raise InputError(f"model: a xailib Model is needed, not {type(model).__name__}; xailib.wrap(network) makes one")
    if not isinstance(pixels, Tensor) or pixels.ndim != 4 or pixels.shape[1] != 3 or not pixels.is_floating_point():
        found = f"{pixels.dtype} {tuple(pixels.shape)}" if isinstance(pixels, Tensor) else type(pixels).__name__
        raise InputError(f"pixels: a float tensor (n, 3, h, w) in [0, 1] is needed, not {found}")
    if pixels.numel() == 0:
        raise InputError("pixels: there is no image to explain")
    low, high = pixels.min().item(), pixels.max().item()
    if not (low >= -1e-4 and high <= 1 + 1e-4):  # also true for NaN
        raise InputError(f"pixels: must be finite and in [0, 1] (the model normalises), found {low:.4g} to {high:.4g}")
    if not isinstance(labels, Tensor) or labels.shape != (len(pixels),) or labels.is_floating_point():
        raise InputError(f"labels: one whole number an image is needed, a tensor of shape ({len(pixels)},)")
    classes = len(model.class_names)
    if labels.min() < 0 or labels.max() >= classes:
        found = f"{labels.min()} to {labels.max()}"
        raise InputError(f"labels: model '{model.id}' knows classes 0 to {classes - 1}, found {found}")
    return pixels.float(), labels.long()


def _register() -> None:
    """Import every file of methods, in the order of the tables."""
    import importlib
    import pkgutil

    order = ["gradients", "shap", "guided_backprop", "cam", "extremal", "meaningful", "rise", "lime", "kernel_shap"]
    order.append("controls")
    found = [info.name for info in pkgutil.iter_modules(__path__)]
    for module in [*[name for name in order if name in found], *[name for name in found if name not in order]]:
        importlib.import_module(f"{__name__}.{module}")


_register()
