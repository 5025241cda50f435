"""How ROAR retrains: the recipe of the paper, and the images as the network sees them while it trains."""

import math
from dataclasses import dataclass, fields
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from xailib.errors import InputError, nearest
from xailib.training.loop import mirror_and_shift, one_cycle, parameter_groups


@dataclass(frozen=True)
class Recipe:
    """How every network of a ROAR study is trained; the `recipe` block of its file. Defaults: the paper's, on ImageNet.

    Attributes:
        epochs: passes over the training set.
        batch_size: images a step; an odd rest of an epoch is left out.
        learning_rate: peak rate of SGD with Nesterov momentum 0.9 at a batch of 256; it grows with the batch.
        schedule: steps (linear warm-up, then a tenth at each of `drops`) or one_cycle.
        warmup, drops: in epochs; for `steps` only.
        weight_decay: not on biases and normalisation.
        label_smoothing: of the cross-entropy.
        crop: resized (random area of 8-100 %, ratio 3/4 to 4/3, bicubic), shift (by up to `shift` pixels) or none; after the
            removal, as in the released code.
        shift: in pixels.
        mirror: mirror half of the images.
    """

    epochs: int = 102
    batch_size: int = 256
    learning_rate: float = 0.1
    schedule: Literal["steps", "one_cycle"] = "steps"
    warmup: float = 5.0
    drops: tuple[float, ...] = (30.0, 60.0, 80.0)
    weight_decay: float = 1e-4
    label_smoothing: float = 0.1
    crop: Literal["resized", "shift", "none"] = "resized"
    shift: int = 2
    mirror: bool = True

    def __post_init__(self) -> None:
        _one_of("schedule", self.schedule, ("steps", "one_cycle"))
        _one_of("crop", self.crop, ("resized", "shift", "none"))
        for name in ("epochs", "batch_size", "learning_rate"):
            if not getattr(self, name) > 0:
                raise InputError(f"recipe.{name}: {getattr(self, name)!r} must be above 0")


def recipe_of(values: dict[str, Any]) -> Recipe:
    """Return the recipe of a `recipe` block; an unknown key is an `InputError`."""
    known = {field.name for field in fields(Recipe)}
    for key in values:
        if key not in known:
            raise InputError(f"recipe.{key}: unknown key{nearest(key, known)}")
    return Recipe(**{**values, **({"drops": tuple(values["drops"])} if "drops" in values else {})})


def optimiser(network: nn.Module, recipe: Recipe, images: int) -> tuple[torch.optim.Optimizer, Any, int]:
    """Return the optimiser, its schedule a step, and the number of steps."""
    per_epoch = images // recipe.batch_size
    if per_epoch == 0:
        raise InputError(f"recipe.batch_size: {recipe.batch_size} is more than the {images} training images")
    steps = recipe.epochs * per_epoch
    peak = recipe.learning_rate * recipe.batch_size / 256
    groups = parameter_groups(network, recipe.weight_decay)
    sgd = torch.optim.SGD(groups, peak, momentum=0.9, nesterov=True)

    def share(step: int) -> float:
        if recipe.schedule == "one_cycle":
            return one_cycle(step, steps)
        epoch = step / per_epoch
        if epoch < recipe.warmup:
            return (step + 1) / (recipe.warmup * per_epoch)
        return 0.1 ** sum(epoch >= drop for drop in recipe.drops)

    return sgd, torch.optim.lr_scheduler.LambdaLR(sgd, share), steps


def augment(batch: Tensor, recipe: Recipe, generator: torch.Generator) -> Tensor:
    """Crop and mirror a batch `(b, 3, h, w)` where it is; the draws come from the generator alone."""
    if recipe.crop == "resized":
        batch = resized_crop(batch, generator)
    return mirror_and_shift(batch, recipe.shift if recipe.crop == "shift" else 0, generator, mirror=recipe.mirror)


def resized_crop(batch: Tensor, generator: torch.Generator) -> Tensor:
    """Cut a random part of each image `(b, 3, h, w)` and stretch it to the whole, all on the batch's device.

    Area 8-100 %, ratio 3/4 to 4/3 (log-uniform), bicubic; a part that would not fit is cut down to the image's side.
    """
    draws = torch.rand(4, len(batch), generator=generator)
    area = 0.08 + 0.92 * draws[0]
    ratio = torch.exp((2 * draws[1] - 1) * math.log(4 / 3))
    width, height = (area * ratio).sqrt().clamp(max=1), (area / ratio).sqrt().clamp(max=1)
    x, y = (2 * draws[2] - 1) * (1 - width), (2 * draws[3] - 1) * (1 - height)
    zero = torch.zeros_like(x)
    affine = torch.stack([torch.stack([width, zero, x], 1), torch.stack([zero, height, y], 1)], 1).to(batch)
    grid = F.affine_grid(affine, list(batch.shape), align_corners=False)
    return F.grid_sample(batch, grid, mode="bicubic", padding_mode="reflection", align_corners=False)


def _one_of(name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise InputError(f"recipe.{name}: unknown word '{value}'{nearest(str(value), known)}")
