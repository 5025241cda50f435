"""Training of the miniature networks: vanilla, L2-PGD-robust and AdvProp, from one recipe."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from xailib.engine.passes import precision_on
from xailib.errors import InputError
from xailib.training.adversary import network_attack
from xailib.training.advprop import auxiliary_view, join, split, without_auxiliary
from xailib.training.loop import (
    batches,
    mirror_and_crop,
    mirror_and_shift,
    one_cycle,
    parameter_groups,
    resume_checkpoint,
    save_checkpoint,
)


@dataclass(frozen=True)
class Recipe:
    """How one network is trained; the `training` block of its parameter file.

    Attributes:
        initial: id of the model whose weights it starts from, or None for random weights.
        steps, batch_size: how many batches of how many images.
        optimiser: sgd (Nesterov 0.9, one-cycle schedule) or adamw (one-cycle schedule).
        learning_rate, weight_decay: peak rate and decay.
        epsilon: L2 radius of the training attacker in pixels [0, 1]; 0 trains on clean images.
        attack_steps: steps of the attacker.
        ramp: share of the steps over which epsilon grows from 0 to its full size.
        images: size of the training set; null is all that the data set has.
        crop: least share of an image's area that augmentation shows; 1 moves images by up to 4 pixels instead.
        seed: of weights, order and attacks.
    """

    initial: str | None = None
    steps: int = 1500
    batch_size: int = 128
    optimiser: str = "sgd"
    learning_rate: float = 0.1
    weight_decay: float = 5e-4
    epsilon: float = 0.0
    attack_steps: int = 2
    ramp: float = 0.3
    images: int | None = 24_000
    crop: float = 1.0
    seed: int = 0


def fit(
    network: nn.Module,
    normalise: Callable[[Tensor], Tensor],
    pixels: Tensor,
    labels: Tensor,
    recipe: Recipe,
    *,
    advprop: bool = False,
    checkpoint: Path | None = None,
    report: Callable[[str], None] = print,
) -> nn.Module:
    """Train `network` on pixels uint8 `(n, 3, h, w)` and return it in evaluation mode.

    The loss is cross-entropy on clean images (epsilon 0), on attacked ones, or, with `advprop`, on both, each
    through batch-norm layers of its own (Xie 2020). With a `checkpoint` path a killed training resumes where it
    last saved. A loss that is not finite ends the training with an `InputError`, as do fewer images than a batch has.
    """
    torch.manual_seed(recipe.seed)
    network = (split(network) if advprop else network).to(memory_format=torch.channels_last).requires_grad_(True)
    optimiser, schedule = _optimiser(network, recipe)
    if len(pixels) < recipe.batch_size:
        raise InputError(
            f"training.batch_size: {recipe.batch_size} is more than the {len(pixels)} images; write {len(pixels)} or less"
        )
    parts = {"network": network, "optimiser": optimiser, "schedule": schedule}
    start = resume_checkpoint(checkpoint, **parts)
    began, running, precision = time.perf_counter(), 0.0, precision_on(torch.device("cpu"), "auto")
    for step, rows in batches(len(pixels), recipe.batch_size, recipe.steps, recipe.seed, start):
        generator = torch.Generator().manual_seed(7_919 * recipe.seed + step)
        batch = pixels[rows].float().div_(255)
        batch = (
            mirror_and_crop(batch, recipe.crop, generator) if recipe.crop < 1 else mirror_and_shift(batch, 4, generator)
        )
        batch, targets = batch.contiguous(memory_format=torch.channels_last), labels[rows]
        epsilon = recipe.epsilon * min(1.0, (step + 1) / max(1.0, recipe.ramp * recipe.steps))
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            loss = _loss(network, normalise, batch, targets, epsilon, recipe, advprop=advprop)
        if not torch.isfinite(loss):
            raise InputError(f"training diverged at step {step}: the loss is {loss.item()}; lower learning_rate")
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimiser.step()
        schedule.step()
        running = loss.item() if step == start else 0.98 * running + 0.02 * loss.item()
        if (step + 1) % 100 == 0:
            left = (time.perf_counter() - began) / (step + 1 - start) * (recipe.steps - step - 1)
            report(f"step {step + 1}/{recipe.steps}  loss {running:.3f}  epsilon {epsilon:.2f}  {left:.0f} s left")
            save_checkpoint(checkpoint, step + 1, **parts)
    network = without_auxiliary(network) if advprop else network
    return network.eval()


def _loss(
    network: nn.Module,
    normalise: Callable[[Tensor], Tensor],
    batch: Tensor,
    targets: Tensor,
    epsilon: float,
    recipe: Recipe,
    *,
    advprop: bool,
) -> Tensor:
    if epsilon == 0:
        return F.cross_entropy(network.train()(normalise(batch)).float(), targets)
    # The attacker sees the network as it is used: fixed batch-norm statistics, no dropout.
    victim = auxiliary_view(network.eval()) if advprop else network.eval()
    attacked = network_attack(lambda x: victim(normalise(x)), batch, targets, epsilon, recipe.attack_steps)
    network.train()
    if advprop:
        logits = network(normalise(join(batch, attacked))).float()
        return F.cross_entropy(logits, targets.repeat(2))
    return F.cross_entropy(network(normalise(attacked)).float(), targets)


def _optimiser(
    network: nn.Module, recipe: Recipe
) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]:
    groups = parameter_groups(network, recipe.weight_decay)
    if recipe.optimiser == "sgd":
        optimiser: torch.optim.Optimizer = torch.optim.SGD(groups, recipe.learning_rate, momentum=0.9, nesterov=True)
    elif recipe.optimiser == "adamw":
        optimiser = torch.optim.AdamW(groups, recipe.learning_rate)
    else:
        raise InputError(f"training.optimiser: '{recipe.optimiser}' is not known; use 'sgd' or 'adamw'")
    return optimiser, torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: one_cycle(step, recipe.steps))
