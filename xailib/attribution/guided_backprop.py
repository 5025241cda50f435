"""Guided Backprop: the gradient with every ReLU letting only positive gradients through."""

import weakref
from collections import Counter
from typing import NoReturn

import torch
from torch import Tensor

from xailib import engine
from xailib.attribution.gradients import Pooling, pixel_gradients, pool_channels
from xailib.attribution.relus import HandWrittenRelus, guide
from xailib.errors import InputError
from xailib.models.model import Model
from xailib.models.probes import gradient_fault
from xailib.registry import method

# Networks in which no ReLU is written by hand. What a network is does not change while its weights stay (`folding`).
_looked_at: "weakref.WeakSet[Model]" = weakref.WeakSet()


def guided_backprop_channels(
    model: Model, pixels: Tensor, targets: Tensor, *, seed: int = 0, output: engine.Output = "logit"
) -> Tensor:
    """`guided_backprop` before its pooling: `(n, 3, h, w)`, signed."""
    for name, module in model.named_modules():
        if isinstance(module, torch.jit.ScriptModule):
            raise InputError(
                f"method 'guided_backprop': model '{model.id}' runs the scripted module '{name}', whose operations "
                "cannot be guided; it needs a network of Python modules"
            )

    if model not in _looked_at:  # which takes longer than the pass itself
        with torch.no_grad(), HandWrittenRelus() as relus:
            model(pixels[:2])
        if relus.found:
            _refuse(model, relus.found)
        _looked_at.add(model)

    def forward(inputs: Tensor, part: slice) -> Tensor:
        logits = engine.all_logits(model, inputs)
        _guided(model, logits, inputs)
        outputs = logits.softmax(dim=1) if output == "probability" else logits
        return outputs.gather(1, targets[part, None])

    return pixel_gradients(pixels, forward, "guided_backprop")


def _guided(model: Model, logits: Tensor, inputs: Tensor) -> None:
    """Guide the pass that gave `logits`, or refuse a network whose guided gradient would be wrong, or the plain one."""
    guided, missed = guide(logits)
    fault = gradient_fault(model, *inputs.shape[-2:]) if missed or not guided else None
    if fault:
        raise InputError(f"method 'guided_backprop' needs a gradient, and {fault}")
    if missed:
        _refuse(model, missed)
    if not guided:
        raise InputError(
            f"method 'guided_backprop': model '{model.id}' executes no ReLU, so there is nothing to guide; method "
            "'gradient' is what it would give"
        )


def _refuse(model: Model, missed: Counter[str]) -> NoReturn:
    found = " and ".join(f"'{name}' ({count}x)" for name, count in sorted(missed.items()))
    raise InputError(
        f"method 'guided_backprop': model '{model.id}' executes {found}, which has no guided gradient; it needs a "
        "network whose activations are all ReLU or ReLU6, called by torch's own functions"
    )


@method(
    "guided_backprop",
    family="gradient",
    label="GuidedBP",
    paper="Springenberg et al. 2015",
    channels=guided_backprop_channels,
)
def guided_backprop(
    model: Model,
    pixels: Tensor,
    targets: Tensor,
    *,
    seed: int = 0,
    pooling: Pooling = "abs_max",
    output: engine.Output = "logit",
) -> Tensor:
    """The gradient of the target's output, where each ReLU passes on positive gradients of active units only.

    Works on operations, so functional, reused, in-place and six-capped ReLUs are all guided; a network that executes
    any other activation, or none, is refused. In units of output per unit of [0, 1] intensity.

    Options:
        pooling, output: as in `gradient`.
    """
    return pool_channels(guided_backprop_channels(model, pixels, targets, output=output), pooling)
