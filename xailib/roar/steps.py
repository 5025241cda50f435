"""What a recipe does: the optimiser with its schedule, and the images as the network sees them while it trains."""

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from xailib.errors import InputError
from xailib.params.recipe import Recipe
from xailib.training.loop import mirror_and_shift, one_cycle, parameter_groups


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
