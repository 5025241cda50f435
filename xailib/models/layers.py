"""Layers whose outputs are maps: read in whatever layout they come, found by one pass, and tested for CAM."""

import contextlib
import math
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn

from xailib.errors import InputError

if TYPE_CHECKING:
    from xailib.models.model import Model

TRIES = 40  # layers that are looked at before the search gives up
PREFIX = 16  # most class and register tokens before a grid of tokens


def as_maps(output: Any, height: int, width: int) -> Tensor | None:
    """Read a layer's output as maps `(n, c, hc, wc)`, a view of it; None where it is none.

    Known are maps `(n, c, hc, wc)`, maps whose channels are last `(n, hc, wc, c)`, and tokens `(n, k + hc wc, c)`, where
    `k` class and register tokens come first. The cells have the proportions of the pixels, `height` x `width`.
    """
    if not isinstance(output, Tensor) or not output.is_floating_point():
        return None
    if output.ndim == 4:
        first, last = (
            abs(math.log(max(a * width, 1) / max(b * height, 1))) for a, b in (output.shape[2:], output.shape[1:3])
        )
        return output.permute(0, 3, 1, 2) if last < first - 0.05 else output
    if output.ndim == 3:
        for prefix in range(min(PREFIX, output.shape[1])):
            cells = output.shape[1] - prefix
            rows = max(1, round(math.sqrt(cells * height / width)))
            if cells % rows == 0 and rows * width == cells // rows * height:
                return output[:, prefix:].transpose(1, 2).unflatten(2, (rows, cells // rows))
    return None


def last_maps(model: "Model", pixels: Tensor) -> str | None:
    """Return the name of the layer that gives the last maps of more than one cell, or None.

    It runs once in a pass, the logits' gradient reaches its cells (that of a vision transformer's last block reaches its
    class token only), and all that the logits know of the pixels goes through it. Of layers that give the same maps the
    outermost is named, and pooling does not count as a layer.

    Args:
        model: whose forward gives logits.
        pixels: `(2, 3, h, w)` in [0, 1].
    """
    made, runs = _outputs(model, pixels)
    layers = dict(model.network.named_modules())
    if not runs and len([layer for layer in layers.values() if not isinstance(layer, torch.jit.ScriptModule)]) > 1:
        raise InputError(
            f"model '{model.id}': none of its network's layers runs in a pass, so others do, which a copy still shares (is its "
            "forward a function that was set from outside?); write forward as a method"
        )
    found = None
    for names, grid in made[:TRIES]:
        once = [name for name in names if runs[name] == 1 and not isinstance(layers[name], nn.Identity)]
        if not once or not grid or type(layers[names[0]]).__module__ == "torch.nn.modules.pooling":
            continue
        if found is None:
            found = once[-1]  # the best where no layer holds all
        if _holds_all(model, layers[once[-1]], pixels):
            return once[-1]
    return found


def _outputs(model: "Model", pixels: Tensor) -> tuple[list[tuple[list[str], bool]], Counter[str]]:
    """The layers by the maps they gave, last first, with whether gradients reach these; and how often each layer ran."""
    seen: dict[int, tuple[Tensor, list[str]]] = {}
    runs: Counter[str] = Counter()
    height, width = pixels.shape[-2:]

    def watch(name: str) -> Callable[..., None]:
        def hook(_module: Any, _inputs: Any, output: Any) -> None:
            runs[name] += 1
            maps = as_maps(output, height, width)
            if maps is not None and len(maps) == len(pixels) and maps[0, 0].numel() > 1 and maps.shape[1] > 1:
                _, names = seen.pop(id(output), (output, []))
                seen[id(output)] = output, [*names, name]

        return hook

    with contextlib.ExitStack() as stack, torch.enable_grad():
        for name, module in model.network.named_modules():
            if name and not isinstance(module, torch.jit.ScriptModule):
                stack.callback(module.register_forward_hook(watch(name)).remove)
        told: list[Tensor] = []
        head = model.head_layer
        if head is not None:
            hook = head.register_forward_pre_hook(lambda _module, inputs: told.append(inputs[0]))
            stack.callback(hook.remove)
        logits = model(pixels.clone().requires_grad_())
        outputs = [output for output, _ in seen.values()]
        grids = _reached(logits, outputs, pixels) if outputs else []
        if told and outputs and not any(grids):  # a new head, whose weights are zero: what it reads says the same
            grids = _reached(told[-1], outputs, pixels)
    return [(names, grid) for (_, names), grid in zip(seen.values(), grids, strict=True)][::-1], runs


def _reached(end: Tensor, outputs: list[Tensor], pixels: Tensor) -> list[bool]:
    """Of each layer's output, whether the gradient of `end` is not zero on more than one of its cells."""
    weights = torch.randn(end.shape, generator=torch.Generator().manual_seed(0)).to(end)
    try:
        slopes = torch.autograd.grad((end * weights).sum(), outputs, retain_graph=True, allow_unused=True)
    except RuntimeError:  # the network cuts its gradient, so that nothing is known of who is reached
        return [True] * len(outputs)
    maps = [None if slope is None else as_maps(slope, *pixels.shape[-2:]) for slope in slopes]
    return [slope is not None and bool((slope[0] != 0).any(0).sum() > 1) for slope in maps]


def _holds_all(model: "Model", layer: nn.Module, pixels: Tensor) -> bool:
    """Whether the logits depend on the pixels through a layer's output alone."""
    with torch.enable_grad(), layer.register_forward_hook(lambda _module, _inputs, output: output.detach()):
        return not model(pixels[:1].clone().requires_grad_()).requires_grad


def is_linear_in_means(model: "Model", pixels: Tensor) -> bool:
    """Whether logits = weights of the head x mean over the cells of the CAM layer's maps + constant, whatever the maps are.

    The layer is made to give random maps, which must leave the same rest in two answers.

    Args:
        model: whose forward gives logits.
        pixels: `(2, 3, h, w)` in [0, 1].
    """
    given: list[Tensor] = []

    def instead(_module: Any, _inputs: Any, output: Tensor) -> Tensor:
        noise = torch.randn(output.shape, generator=torch.Generator().manual_seed(1)).to(output)
        given.append(noise.abs() if output.min() >= 0 else noise)  # behind a ReLU no map is negative
        return given[-1].clone()

    with torch.no_grad(), cast(nn.Module, model.cam_layer).register_forward_hook(instead):
        logits = model(pixels)
    maps = as_maps(given[0], *pixels.shape[-2:])
    if maps is None:
        return False
    means, weights = maps.mean((2, 3)), model.class_weights
    if weights.shape != (logits.shape[1], means.shape[1]):
        return False
    rest = logits - means @ weights.T
    return bool((rest[0] - rest[1]).abs().max() < 1e-4 * (logits[0] - logits[1]).abs().max())
