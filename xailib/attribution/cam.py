"""CAM-based methods: class activation maps by class weights (CAM) or by gradients (GradCAM, HiResCAM, GradCAM++)."""

import contextlib
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any, Literal, NoReturn, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from xailib import engine
from xailib.errors import InputError
from xailib.models.model import Model
from xailib.registry import method

Relu = Literal["before", "after", "none"]
Upsampling = Literal["bilinear", "nearest"]

_TOLERANCE = {"fp32": 1e-3, "bf16": 5e-2}  # of the head's check, by what rounding does to a sum of terms


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
    weights, bias = model.class_weights.float(), getattr(model.head_layer, "bias", None)

    @torch.no_grad()
    def work(part: slice) -> tuple[Tensor, Tensor]:
        with _tap(model, pixels) as tap:
            logits = engine.all_logits(model, pixels[part])
        maps = tap.maps.float()
        if maps.shape[1] != weights.shape[1]:
            _refuse_head(model)
        means = maps.mean((2, 3))
        wrong = functional.linear(means, weights, bias) - logits
        terms = functional.linear(means.abs(), weights.abs(), bias if bias is None else bias.abs()).max()  # their sizes
        misfit = wrong.abs().max() / terms.clamp(min=torch.finfo(terms.dtype).tiny)
        return _weighted(maps, weights[targets[part]]), misfit

    found, misfits = zip(*engine.chunked(len(pixels), work, description="cam"), strict=True)
    if not torch.stack(misfits).max() <= _TOLERANCE[engine.precision_on(pixels.device, engine.current().precision)]:
        _refuse_head(model)
    maps = torch.cat(found)
    return upsample(maps, pixels, relu, upsampling, align_corners)


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
    return _of_gradients("gradcam", _by_map, model, pixels, targets, output, relu, upsampling, align_corners)


@method("hirescam", family="cam", needs=("cam_layer",), label="HiResCAM", paper="Draelos & Carin 2020, equation 3")
def hirescam(
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
    """The last convolutional maps times the target's gradient, cell by cell, summed over the maps, then ReLU.

    Where GradCAM takes the mean of a gradient over its map, each cell keeps its own, so that cells which the layers behind
    do not use get nothing. With a GAP + linear head it is GradCAM. Options as there.
    """
    return _of_gradients("hirescam", _by_cell, model, pixels, targets, output, relu, upsampling, align_corners)


@method("gradcam_pp", family="cam", needs=("cam_layer",), label="GradCAM++",
        paper="Chattopadhyay et al. 2018, equations 5, 9 and 19")  # fmt: skip
def gradcam_pp(model: Model, pixels: Tensor, targets: Tensor, *, seed: int = 0) -> Tensor:
    """Maps summed with weighted sums of their positive gradients, then ReLU; the weights take the output for an exponential.

    A cell with the gradient g of a map A weighs g^2 / (2 g^2 + g^3 sum A).
    """
    return _of_gradients("gradcam_pp", _plus_plus, model, pixels, targets, "logit", "before", "bilinear", False)


def _by_map(maps: Tensor, slopes: Tensor) -> Tensor:
    return _weighted(maps, slopes.mean((2, 3)))


def _by_cell(maps: Tensor, slopes: Tensor) -> Tensor:
    return (maps * slopes).sum(1)


def _plus_plus(maps: Tensor, slopes: Tensor) -> Tensor:
    positive = slopes.relu()
    return _weighted(maps, (positive / (2 + positive * maps.sum((2, 3), keepdim=True))).sum((2, 3)))


def _of_gradients(
    name: str,
    join: Callable[[Tensor, Tensor], Tensor],
    model: Model,
    pixels: Tensor,
    targets: Tensor,
    output: engine.Output,
    *size: Any,
) -> Tensor:
    """The last maps and their gradients, made one map an image by `join`, which is brought to size as `upsample` does.

    The backward pass runs through the layers after the maps only.
    """

    def work(part: slice) -> Tensor:
        with _tap(model, pixels, differentiable=True) as tap, torch.enable_grad():
            outputs = engine.target_output(model, pixels[part], targets[part], output)
            (gradient,) = engine.backward(outputs, tap.output)
        return join(tap.maps.float(), model.maps(gradient, *pixels.shape[-2:]).float())

    return upsample(torch.cat(engine.chunked(len(pixels), work, description=name)), pixels, *size)


def _weighted(maps: Tensor, weights: Tensor) -> Tensor:
    """Sum over channels `(n, h, w)` of maps `(n, c, h, w)` times weights `(n, c)`."""
    return (weights[:, None] @ maps.flatten(2)).view(-1, *maps.shape[2:])


def _refuse_head(model: Model) -> NoReturn:
    raise InputError(
        f"model '{model.id}' offers gap_linear_head, but its logits are not linear in the mean of its maps; "
        "correct cam_layer or offers in its record"
    )


@contextlib.contextmanager
def _tap(model: Model, pixels: Tensor, differentiable: bool = False) -> Iterator[SimpleNamespace]:
    """Record what the one pass inside the block leaves at the `cam_layer`: `output`, and that read as `maps` `(n, c, hc, wc)`.

    The output is cut from the graph before it and, where `differentiable`, is a leaf that gradients reach. What
    goes on through the network is a clone: an in-place ReLU there must not change it.
    """
    tap = SimpleNamespace()

    def hook(_module: Any, _inputs: Any, output: Any) -> Tensor:
        tap.output = output.detach()
        tap.maps = model.maps(tap.output, *pixels.shape[-2:])
        if differentiable:
            tap.output.requires_grad_()
        return tap.output.clone()

    with cast(nn.Module, model.cam_layer).register_forward_hook(hook):
        yield tap


def upsample(maps: Tensor, pixels: Tensor, relu: Relu, upsampling: Upsampling, align_corners: bool) -> Tensor:
    """Bring maps `(n, hc, wc)` to the size of `pixels`, with the ReLU at the named place."""
    corners = align_corners if upsampling == "bilinear" else None
    maps = maps.relu() if relu == "before" else maps
    maps = functional.interpolate(maps[None], tuple(pixels.shape[-2:]), mode=upsampling, align_corners=corners)[0]
    return maps.relu() if relu == "after" else maps
