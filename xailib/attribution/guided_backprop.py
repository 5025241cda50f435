"""Guided Backprop: the gradient with every ReLU letting only positive gradients through."""

from typing import Any

import torch
from torch import Tensor

from xailib import engine
from xailib.attribution.gradients import ImageSums, Pooling, exact_gradients, pool_channels
from xailib.attribution.relus import GuidedRelus
from xailib.errors import InputError
from xailib.models.model import Model
from xailib.registry import method


class Guided:
    """A model whose passes are guided; the model itself is not changed.

    Raises:
        InputError: at the start, the network holds a scripted module, whose operations cannot be caught; in a pass, it
            executes an activation other than a ReLU, a ReLU written by hand, or no ReLU at all. Its guided gradient would
            be wrong, or the plain one.
    """

    def __init__(self, model: Model) -> None:
        self.model, self._looked = model, False
        for name, module in model.named_modules():
            if isinstance(module, torch.jit.ScriptModule):
                raise InputError(
                    f"method 'guided_backprop': model '{model.id}' runs the scripted module '{name}', whose operations "
                    "cannot be guided; it needs a network of Python modules"
                )

    def __getattr__(self, name: str) -> Any:
        return getattr(self.model, name)

    def __call__(self, pixels: Tensor) -> Tensor:
        """Return logits `(b, classes)` for pixels `(b, 3, h, w)`; their gradient is guided."""
        if not self._looked:
            with GuidedRelus(zeros=True) as relus, torch.no_grad():
                self.model(pixels[:2])
            self._refuse(relus)
            self._looked = True
        with GuidedRelus() as relus:
            logits = self.model(pixels)
        self._refuse(relus)
        return logits

    def _refuse(self, relus: GuidedRelus) -> None:
        """Refuse a pass in which an activation was not guided, or none was."""
        if relus.missed:
            found = " and ".join(f"'{name}' ({count}x)" for name, count in sorted(relus.missed.items()))
            raise InputError(
                f"method 'guided_backprop': model '{self.model.id}' executes {found}, which has no guided gradient; it "
                "needs a network whose activations are all ReLU or ReLU6, called by torch's own functions"
            )
        if not relus.replaced:
            raise InputError(
                f"method 'guided_backprop': model '{self.model.id}' executes no ReLU, so there is nothing to guide; "
                "method 'gradient' is what it would give"
            )


def guided_backprop_channels(
    model: Model, pixels: Tensor, targets: Tensor, *, seed: int = 0, output: engine.Output = "logit"
) -> Tensor:
    """`guided_backprop` before its pooling: `(n, 3, h, w)`, signed."""
    sums = ImageSums(pixels)
    exact_gradients(
        Guided(model),
        targets,
        1,
        lambda images, _: pixels[images],
        lambda rows, images, _samples, _inputs, gradients: sums.add(rows, images, gradients),
        output,
        "guided_backprop",
    )
    return sums.total


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
