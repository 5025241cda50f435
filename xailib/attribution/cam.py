"""CAM-based methods: class activation maps by class weights (CAM) or by gradients (GradCAM)."""

import contextlib
from collections.abc import Iterator
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from xailib import engine
from xailib.errors import InputError
from xailib.models.model import Model
from xailib.registry import method

Relu = Literal["before", "after", "none"]
Upsampling = Literal["bilinear", "nearest"]

_TOLERANCE = {"fp32": 1e-3, "bf16": 5e-2}  # of the head's check, by what rounding does to the largest logit


@method("cam", family="cam", needs=("cam_layer", "gap_linear_head"), label="CAM", paper="Zhou et al. 2016, equation 2")
def cam(
    model: Model,
    pixels: Tensor,
    targets: Tensor,
    *,
    seed: int = 0,
    relu: Relu = "none",
    upsampling: Upsampling = "bilinear",
    align_corners: bool = False,
) -> Tensor:
    """The last convolutional maps, summed with the target's weights of the linear head; signed.

    The mean of the map before upsampling is the target's logit less its bias. A model whose logits are not that linear
    function of its maps is refused, whatever its record says.

    Options:
        relu: clip negative values `before` or `after` upsampling, or `none` (the paper).
        upsampling, align_corners: to the size of the pixels.
    """
    head = [module for module in model.network.modules() if isinstance(module, nn.Linear)][-1]
    weights = head.weight.float()

    @torch.no_grad()
    def work(part: slice) -> tuple[Tensor, Tensor]:
        with _tap(model) as tap:
            logits = engine.all_logits(model, pixels[part])
        maps = tap.maps.float()
        return _weighted(maps, weights[targets[part]]), _misfit(head, maps, logits)

    found, misfits = zip(*engine.chunked(len(pixels), work, description="cam"), strict=True)
    if torch.stack(misfits).max() > _TOLERANCE[engine.precision_on(pixels.device, engine.current().precision)]:
        raise InputError(
            f"model '{model.id}' offers gap_linear_head, but its logits are not linear in the mean of its maps; "
            "correct cam_layer or offers in its record"
        )
    maps = torch.cat(found)
    return _upsample(maps, pixels, relu, upsampling, align_corners)


@method("gradcam", family="cam", needs=("cam_layer",), label="GradCAM", paper="Selvaraju et al. 2017, eq. 1 and 2")
def gradcam(
    model: Model,
    pixels: Tensor,
    targets: Tensor,
    *,
    seed: int = 0,
    relu: Relu = "before",
    upsampling: Upsampling = "bilinear",
    align_corners: bool = False,
    output: engine.Output = "logit",
) -> Tensor:
    """The last convolutional maps, summed with the mean of the target's gradient over each map, then ReLU.

    The backward pass runs through the layers after the maps only. With a GAP + linear head this is the ReLU of CAM
    divided by the number of cells.

    Options:
        relu: clip negative values `before` (the paper) or `after` upsampling, or `none` (captum's LayerGradCam).
        upsampling, align_corners: to the size of the pixels.
        output: what is derived, `logit` (the paper) or `probability`.
    """

    def work(part: slice) -> Tensor:
        with _tap(model, differentiable=True) as tap, torch.enable_grad():
            outputs = engine.target_output(model, pixels[part], targets[part], output)
            (gradient,) = engine.backward(outputs, tap.maps)
        weights = gradient.float().mean((2, 3))
        return _weighted(tap.maps.detach().float(), weights)

    maps = torch.cat(engine.chunked(len(pixels), work, description="gradcam"))
    return _upsample(maps, pixels, relu, upsampling, align_corners)


def _weighted(maps: Tensor, weights: Tensor) -> Tensor:
    """Sum over channels `(n, h, w)` of maps `(n, c, h, w)` times weights `(n, c)`."""
    return (weights[:, None] @ maps.flatten(2)).view(-1, *maps.shape[2:])


def _misfit(head: nn.Linear, maps: Tensor, logits: Tensor) -> Tensor:
    """How far logits are from `head` of the mean of the maps, `()`, as a fraction of the largest (of 1 at least)."""
    wrong = functional.linear(maps.mean((2, 3)), head.weight, head.bias) - logits
    return wrong.abs().max() / logits.abs().max().clamp(min=1)


class _Tap:
    """What a forward pass left at the model's `cam_layer`: `maps` `(n, c, hc, wc)`."""

    maps: Tensor


@contextlib.contextmanager
def _tap(model: Model, differentiable: bool = False) -> Iterator[_Tap]:
    """Record the last convolutional maps of the one pass inside the block.

    The maps are cut from the graph before them and, where `differentiable`, are a leaf that gradients reach. What
    goes on through the network is a clone: an in-place ReLU there must not change them.
    """
    tap = _Tap()

    def hook(_module: Any, _inputs: Any, output: Any) -> Tensor:
        if not isinstance(output, Tensor) or output.ndim != 4:
            raise InputError(f"model '{model.id}': cam_layer must give maps (n, c, h, w); name a convolutional stage")
        if hasattr(tap, "maps"):
            raise InputError(f"model '{model.id}': cam_layer runs twice in one pass; name a layer that is used once")
        tap.maps = output.detach()
        if differentiable:
            tap.maps.requires_grad_()
        return tap.maps.clone()

    handle = model.cam_layer.register_forward_hook(hook)
    try:
        yield tap
    finally:
        handle.remove()


def _upsample(maps: Tensor, pixels: Tensor, relu: Relu, upsampling: Upsampling, align_corners: bool) -> Tensor:
    """Bring maps `(n, hc, wc)` to the size of `pixels`, with the ReLU at the named place."""
    corners = align_corners if upsampling == "bilinear" else None
    maps = maps.relu() if relu == "before" else maps
    maps = functional.interpolate(maps[:, None], tuple(pixels.shape[-2:]), mode=upsampling, align_corners=corners)[:, 0]
    return maps.relu() if relu == "after" else maps
