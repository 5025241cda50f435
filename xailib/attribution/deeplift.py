"""DeepLift by captum: a logit's difference to that of a reference image, shared out among the pixels. In fp32.

What it promises is what it is held to: shares add up to the difference. They do not where a network does what hooks on
modules cannot see, and captum says nothing then.
"""

import re
from typing import Annotated, Any, Literal
from unittest import mock

import torch
from annotated_types import Ge
from torch import Tensor, nn

from xailib import engine
from xailib.attribution.guided_backprop import UNTREATED
from xailib.attribution.hooks import hooked, operators, refuse, unshared
from xailib.attribution.pooling import pooled
from xailib.attribution.shap import background
from xailib.errors import InputError
from xailib.models.model import Model
from xailib.models.prepacked import unpacked
from xailib.registry import method

TOLERANCE = (0.01, 1e-4)  # of the sum: shares of the difference, and of the two outputs, whose rounding it has
MISSED = re.compile(f"{UNTREATED.pattern}|max_pool.*")  # what no hook sees where it is called as a function
# Activations value by value, for which the rescale rule holds as it does for those that captum lists.
ACTIVATIONS = (nn.ReLU6, nn.Hardtanh, nn.SiLU, nn.GELU, nn.Hardswish, nn.Hardsigmoid, nn.SELU, nn.CELU, nn.Mish)


@method("deeplift", family="gradient", label="DeepLift", paper="Shrikumar et al. 2017, rescale rule")
@pooled("signed_sum")
def deeplift(
    model: Model, pixels: Tensor, targets: Tensor, *, seed: int = 0, reference: Literal["black", "mean"] = "black"
) -> Tensor:
    """Each value's share of the logit's difference to a reference image; shares `(n, 3, h, w)` add up to it.

    Options:
        reference: `black`, or `mean`, the colour that the model normalises to zero.
        pooling: over colour channels; the default keeps the sign and the sum.
    """
    start = model.mean_colour if reference == "mean" else torch.zeros_like(model.mean_colour)
    return _shares(model, pixels, targets, start.expand_as(pixels[:1]), "deeplift")


@method("deeplift_shap", family="gradient", label="DeepLiftSHAP", paper="Lundberg & Lee 2017, section 4.2")
@pooled("signed_sum")
def deeplift_shap(
    model: Model,
    pixels: Tensor,
    targets: Tensor,
    *,
    seed: int = 0,
    references: Tensor | None = None,
    noise_references: Annotated[int, Ge(1)] = 10,
) -> Tensor:
    """The mean of DeepLift over reference images, an estimate of SHAP values; `(n, 3, h, w)`.

    Options:
        references: `(k, 3, h, w)` in [0, 1]. None: images of uniform noise from the seed, the same as `shap` has.
        noise_references: how many of them.
        pooling: over colour channels; the default keeps the sign and the sum.
    """
    images = background("deeplift_shap", references, noise_references, pixels, seed)
    return _shares(model, pixels, targets, images, "deeplift_shap")


def _shares(model: Model, pixels: Tensor, targets: Tensor, references: Tensor, name: str) -> Tensor:
    """Mean over references `(k, 3, h, w)` of DeepLift's shares `(n, 3, h, w)`, which must add up each time."""
    from captum.attr import DeepLift
    from captum.attr._core import deep_lift

    rules = {nn.MaxPool2d: _pooling_rule} | dict.fromkeys(ACTIVATIONS, deep_lift.nonlinear)
    total = torch.zeros_like(pixels)
    with mock.patch.dict(deep_lift.SUPPORTED_NON_LINEAR, rules), engine.using(precision="fp32"):
        now = engine.logits(model, pixels).to(pixels).gather(1, targets[:, None])[:, 0]
        before = engine.logits(model, references).to(pixels)[:, targets]
        model = unpacked(model)  # whose modules' types captum knows
        ran, calls = operators(model, pixels[:1])
        refuse(name, model, {one for one, kind in ran if kind is None and MISSED.fullmatch(one)})
        explain = DeepLift(unshared(model, calls)).attribute
        for reference, low in zip(references[:, None], before, strict=True):
            shares = hooked(name, explain, pixels, targets, weight=2, baselines=reference)
            gap = (shares.sum((1, 2, 3)) - (now - low)).abs()
            if not (gap <= TOLERANCE[0] * (now - low).abs() + TOLERANCE[1] * (now.abs() + low.abs())).all():
                raise InputError(
                    f"method '{name}': its values for model '{model.id}' do not add up to the difference of outputs, as the "
                    "network does what hooks on modules cannot follow (products of layers, attention, unknown activations)"
                )
            total += shares
    return total / len(references)


def _pooling_rule(module: Any, inputs: Tensor, outputs: Tensor, slope: Tensor, above: Tensor, eps: float) -> Tensor:
    """DeepLift's multipliers of a max pooling; where its windows overlap, captum's own keep one window's share a pixel.

    Args:
        inputs, outputs: of the images, and of their references after them.
        slope, above: the gradient with respect to the inputs, and to the outputs.
        eps: differences of inputs below it keep their gradient.
    """
    (now, before), (high, low) = inputs.chunk(2), outputs.chunk(2)
    peak = torch.maximum(high, low)
    with torch.enable_grad():
        leaf = inputs.detach().requires_grad_()
        again = type(module).forward(module, leaf)  # without its hooks
        (shares,) = torch.autograd.grad(again, leaf, above * torch.cat([peak - low, high - peak]))
    difference, shared = torch.cat(2 * [now - before]), torch.cat(2 * [torch.add(*shares.chunk(2))])
    return torch.where(difference.abs() < eps, slope, shared / difference)
