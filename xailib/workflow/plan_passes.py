"""How many passes a method, a metric or a `predict` slice makes: counted, by running it on a network of a few numbers.

Passes grow with the images as `fixed + images x each`, and depend on nothing else: not on the network, nor on the
images' size. So two runs, at a study's own options, say what thousands of images will need.
"""

import fnmatch
from collections.abc import Callable
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from xailib import engine, params, registry
from xailib.images import ImageBatch
from xailib.models.model import Model

SIDE = 8  # enough for a grid of 7 cells and a curve of 28 steps


@dataclass(frozen=True)
class Passes:
    """Images through the network.

    Attributes:
        forward, forward_bf16: forward alone, in fp32 and in bf16.
        both, both_bf16: forward and back.
    """

    forward: float = 0
    forward_bf16: float = 0
    both: float = 0
    both_bf16: float = 0

    def __add__(self, other: "Passes") -> "Passes":
        return Passes(*(a + b for a, b in zip(astuple(self), astuple(other), strict=True)))

    def __mul__(self, times: int) -> "Passes":
        return Passes(*(a * times for a in astuple(self)))

    @property
    def all_forward(self) -> int:
        """Passes forward, those that go back too included."""
        return round(self.forward + self.forward_bf16 + self.both + self.both_bf16)

    @property
    def all_backward(self) -> int:
        """Passes back."""
        return round(self.both + self.both_bf16)


def method_passes(function: str, options: dict[str, Any], images: int, precision: str = "fp32") -> Passes:
    """Passes of a registered method with these options on so many images."""
    import xailib.attribution  # fills the registry

    def run(model: Model, some: ImageBatch) -> None:
        xailib.attribution.attribute(function, model, some.pixels, some.labels, **options)

    return counted(run, images, precision)


def metric_passes(function: str, options: dict[str, Any], images: int, precision: str = "fp32") -> Passes:
    """Passes of a registered metric with these options on the maps of so many images."""
    import xailib.metrics

    def run(model: Model, some: ImageBatch) -> None:
        maps = some.pixels.mean(1) + torch.arange(SIDE * SIDE).view(SIDE, SIDE)
        xailib.metrics.evaluate(function, maps, model, some, **options)

    return counted(run, images, precision)


def predict_passes(values: dict[str, Any], images: int, sample: int, shifts: int) -> dict[str, Passes]:
    """Passes of one `predict` slice of a study: `accuracy`, `shifts` and `attack`.

    Args:
        values: the study's.
        images, sample: how many get maps, and how many accuracy is measured on.
        shifts: how many there are; a shift that has fewer images than `sample` needs less.
    """
    from xailib.metrics.accuracy import accuracy_table
    from xailib.training.adversary import l2_pgd

    def accuracy(model: Model, some: ImageBatch) -> None:
        accuracy_table(model, {"clean": some})

    def attack(model: Model, some: ImageBatch) -> None:
        how = {"epsilon": values["attack_epsilon"], "steps": values["attack_steps"]}
        attacked = some.with_pixels(l2_pgd(model, some.pixels, some.labels, **how))
        accuracy_table(model, {"l2_pgd": attacked})

    def passes(run: Callable[[Model, ImageBatch], None], count: int) -> Passes:
        return counted(run, count, values["precision"]) if count else Passes()

    return {
        "accuracy": passes(accuracy, images + 2 * sample),
        "shifts": passes(accuracy, shifts * sample),
        "attack": passes(attack, min(values["attack_images"], sample)),
    }


def target_passes(values: dict[str, Any], images: int) -> Passes:
    """Passes that every `attribute` slice needs to find the class it explains."""
    if values["target"] == "label":
        return Passes()
    return Passes(forward_bf16=images) if values["precision"] == "bf16" else Passes(forward=images)


def shift_count(values: dict[str, Any], function: str) -> int:
    """How many shifts a study names; of those whose folders are not there yet, each counts as it is written.

    Raises:
        InputError: a shift that the data set does not have.
    """
    from xailib.datasets.corruptions import list_five
    from xailib.datasets.shifts import choose_shifts

    roots = values.get("shift_roots") or {}
    here = {name: root for name, root in roots.items() if root is None or Path(root).exists()}
    absent = [name for name in roots if name not in here]
    parts = {name: registry.dataset.get(name).facts.get("parts") for name in absent}
    absent = [
        full for name in absent for full in ([f"{name}/{part}" for part in list_five()] if parts[name] else [name])
    ]
    wanted, found = values["shifts"], set()
    for word in [wanted] if isinstance(wanted, str) else wanted:
        later = {name for name in absent if word == "all" or fnmatch.fnmatchcase(name, word)}
        found |= later
        if not later or word == "all":
            found |= set(choose_shifts(word, function, here))
    return len(found)


def counted(run: Callable[[Model, ImageBatch], None], images: int, precision: str) -> Passes:
    """Count the passes of `run(model, images)` for one and for two images, and go on from there on a straight line."""
    model, some = _model(), _images(2)
    lines = []
    for count in (1, 2):
        with engine.using(precision=precision, batch_size=1024, compile="none") as settings:
            run(model, some.select(slice(count)))
        lines.append(_split(settings.cost))
    one, two = lines
    each = two + one * -1
    return one + each * -1 + each * images


def _split(cost: engine.Cost) -> Passes:
    """Sort the engine's count; a method goes back in one precision only."""
    fp32 = cost.backward - cost.backward_bf16
    forward = cost.forward - cost.forward_bf16 - fp32
    return Passes(forward, cost.forward_bf16 - cost.backward_bf16, fp32, cost.backward_bf16)


def _model() -> Model:
    """A network that every registered method can explain."""
    network = nn.Sequential(
        nn.Conv2d(3, 2, 3, stride=2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2, 2)
    )
    return Model(
        network, id="counter", architecture="counter", training_algorithm="vanilla", input_size=SIDE,
        class_names=["a", "b"], cam_layer="1", offers=("cam_layer", "gap_linear_head"),
    )  # fmt: skip


def _images(count: int) -> ImageBatch:
    pixels = torch.rand(count, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    box = torch.tensor([[2.0, 2.0, 6.0, 6.0]])
    masks = torch.zeros(count, SIDE, SIDE, dtype=torch.bool)
    masks[:, 2:6, 2:6] = True
    return ImageBatch(
        pixels, torch.zeros(count, dtype=torch.long), [box] * count, masks, [str(i) for i in range(count)]
    )


def options(kind: str, id: str, scale: str) -> tuple[str, dict[str, Any]]:
    """Return the registered function of a method or metric, and its options at a study's scale."""
    values = params.load_params(kind, id)
    return values.get(f"{params.KINDS[kind]}_function", id), params.options(values, kind, scale)
