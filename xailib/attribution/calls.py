"""Our methods as other packages call theirs: as a captum `Attribution`, and as Quantus' `explain_func`."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from xailib import engine, registry
from xailib.attribution import check_pair, check_values
from xailib.errors import InputError
from xailib.images import ImageBatch
from xailib.images.pictures import of_array
from xailib.models.folding import lent
from xailib.models.model import Model
from xailib.models.probes import gradient_asked
from xailib.models.state import untouched
from xailib.models.targets import as_model, as_targets
from xailib.params import signatures
from xailib.registry import Entry
from xailib.seeding import whole

if TYPE_CHECKING:
    from captum.attr import Attribution

Target = int | str | Tensor | np.ndarray | list[int] | None


def explain_any(
    name: str, model: Model, pixels: Tensor, targets: Target, *, channels: bool = False, seed: int = 0, **options: Any
) -> Tensor:
    """Explain images of any values: noise that is added to a picture, as others' metrics do, makes none of [0, 1].

    Args:
        name, seed, options: as in `attribute`.
        pixels: `(n, 3, h, w)`.
        targets: a class, or one an image, as in `attribute`; None for the predicted class.
        channels: whether a method that has a value a channel gives it, `(n, 3, h, w)`; no `pooling` then.

    Returns:
        Maps `(n, h, w)` on the device of `pixels`, or values a channel.
    """
    entry, chosen = _checked(name, seed, options)
    function = entry.function
    if channels and hasattr(function, "channels"):
        function = function.channels
        chosen.pop("pooling", None)
    as_model(model)
    fits = isinstance(pixels, Tensor) and pixels.is_floating_point() and pixels.ndim == 4 and pixels.shape[1] == 3
    if not fits or not len(pixels):
        found = f"{pixels.dtype} {tuple(pixels.shape)}" if isinstance(pixels, Tensor) else type(pixels).__name__
        raise InputError(f"inputs: float images (n, 3, h, w) are needed, one at least, not {found}")
    if not torch.isfinite(pixels).all():
        raise InputError("inputs: the images hold NaN or infinity")
    inputs = pixels.detach().to(model.device, torch.float32)
    check_pair(entry, model, inputs)
    with torch.inference_mode(False), torch.enable_grad(), untouched(model), engine.using(model):
        if targets is None or (isinstance(targets, str) and targets == "predicted"):
            classes = engine.logits(model, inputs).argmax(1)
        else:
            one: Any = targets
            if isinstance(targets, Tensor) and targets.numel() == 1:  # captum's for all images
                one = targets.item()
            classes = as_targets(one, model, ImageBatch(inputs.clamp(0, 1)))
        with gradient_asked(entry.name, model, inputs), lent(model, inputs, function) as fast:
            given = {"seed": whole(seed), **chosen} if signatures.takes(function, "seed") else chosen
            values = function(fast, inputs.clone(), classes.to(model.device), **given)
    check_values(values, entry.name, model)
    return values.detach().to(pixels.device)


def _checked(name: str, seed: int, options: dict[str, Any]) -> tuple[Entry, dict[str, Any]]:
    """A method, and its options with the defaults of the others; or an `InputError`, as for a seed that is none."""
    entry = registry.method.get(name)
    whole(seed)
    return entry, signatures.check("method", entry.name, entry.function, options)


def as_captum(name: str, model: Model, *, seed: int = 0, **options: Any) -> "Attribution":
    """Return a method as a captum `Attribution`, for NoiseTunnel and for `captum.metrics`.

    Its `attribute(inputs, target=None)` gives values of the shape of `inputs` `(n, 3, h, w)`, pixels in [0, 1] or beyond:
    those of a method that has a value a channel, where no `pooling` is asked for; else a pixel's value in every channel, as
    captum's Occlusion has them.

    Args:
        name: a method, as in `xailib.attribute`.
        model: the network, a `Model`.
        seed: of what the method draws.
        options: the method's own.
    """
    from captum.attr import Attribution
    from captum.log import log_usage

    _checked(name, seed, options)

    class Method(Attribution):
        @log_usage()  # whose `__wrapped__` NoiseTunnel calls
        def attribute(self, inputs: Any, target: Target = None, additional_forward_args: Any = None) -> Any:
            pixels = inputs[0] if isinstance(inputs, tuple) and len(inputs) == 1 else inputs
            channels = "pooling" not in options
            values = explain_any(name, model, pixels, target, channels=channels, seed=seed, **options)
            values = (values if values.ndim == 4 else values[:, None].expand_as(pixels)).contiguous()
            return (values,) if isinstance(inputs, tuple) else values

        @property
        def multiplies_by_inputs(self) -> bool:
            return False

    return Method(model)


def as_explain_func(name: str, *, seed: int = 0, **options: Any) -> Callable[..., np.ndarray]:
    """Return a method as Quantus' `explain_func`: `(model, inputs, targets)` to maps `(n, 1, h, w)`, arrays all.

    The model that Quantus is given must be a `Model`, as `xailib.wrap` makes it.
    """
    _checked(name, seed, options)

    def explain_func(model: Model, inputs: np.ndarray, targets: np.ndarray, **_: Any) -> np.ndarray:
        try:
            pixels = inputs if isinstance(inputs, Tensor) else of_array(inputs)
        except (TypeError, ValueError):
            raise InputError(f"inputs: an array (n, 3, h, w) is needed, not {type(inputs).__name__}") from None
        return explain_any(name, model, pixels, targets, seed=seed, **options)[:, None].cpu().numpy()

    return explain_func
