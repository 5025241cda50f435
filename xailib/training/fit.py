"""Training of the miniature networks: vanilla, L2-PGD-robust and AdvProp, from one recipe."""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from xailib.errors import InputError
from xailib.training.adversary import network_attack
from xailib.training.advprop import auxiliary_view, join, split, without_auxiliary


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
        images: size of the rendered training set.
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
    images: int = 24_000
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
    last saved. A loss that is not finite ends the training with an `InputError`.
    """
    torch.manual_seed(recipe.seed)
    network = (split(network) if advprop else network).to(memory_format=torch.channels_last).requires_grad_(True)
    optimiser, schedule = _optimiser(network, recipe)
    start = _resume(checkpoint, network, optimiser, schedule)
    began, running = time.perf_counter(), 0.0
    for step, rows in _batches(len(pixels), recipe, start):
        batch = _augment(pixels[rows].float().div_(255), recipe.seed, step)
        batch, targets = batch.contiguous(memory_format=torch.channels_last), labels[rows]
        epsilon = recipe.epsilon * min(1.0, (step + 1) / max(1.0, recipe.ramp * recipe.steps))
        with torch.autocast("cpu", torch.bfloat16):
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
            _save(checkpoint, step + 1, network, optimiser, schedule)
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


def _batches(count: int, recipe: Recipe, start: int) -> Iterator[tuple[int, Tensor]]:
    """Yield (step, row indices); the order is a function of the seed and the step alone."""
    per_epoch = count // recipe.batch_size
    order, epoch = torch.empty(0, dtype=torch.long), -1
    for step in range(start, recipe.steps):
        if step // per_epoch != epoch:
            epoch = step // per_epoch
            order = torch.randperm(count, generator=torch.Generator().manual_seed(1_000_003 * recipe.seed + epoch))
        first = step % per_epoch * recipe.batch_size
        yield step, order[first : first + recipe.batch_size]


def _augment(batch: Tensor, seed: int, step: int) -> Tensor:
    """Mirror half of the images and shift each batch by up to 4 pixels."""
    generator = torch.Generator().manual_seed(7_919 * seed + step)
    mirrored = torch.rand(len(batch), generator=generator) < 0.5
    batch[mirrored] = batch[mirrored].flip(-1)
    down, right = torch.randint(-4, 5, (2,), generator=generator).tolist()
    return F.pad(batch, (4, 4, 4, 4), mode="reflect")[..., 4 + down : 68 + down, 4 + right : 68 + right]


def _optimiser(
    network: nn.Module, recipe: Recipe
) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]:
    decayed = [p for p in network.parameters() if p.ndim > 1]
    free = [p for p in network.parameters() if p.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": recipe.weight_decay}, {"params": free, "weight_decay": 0.0}]
    if recipe.optimiser == "sgd":
        optimiser: torch.optim.Optimizer = torch.optim.SGD(groups, recipe.learning_rate, momentum=0.9, nesterov=True)
    elif recipe.optimiser == "adamw":
        optimiser = torch.optim.AdamW(groups, recipe.learning_rate)
    else:
        raise InputError(f"training.optimiser: '{recipe.optimiser}' is not known; use 'sgd' or 'adamw'")

    def one_cycle(step: int) -> float:
        warm = 0.15 * recipe.steps
        if step < warm:
            return max(0.02, step / warm)
        return max(0.002, 0.5 * (1 + math.cos(math.pi * (step - warm) / (recipe.steps - warm))))

    return optimiser, torch.optim.lr_scheduler.LambdaLR(optimiser, one_cycle)


def _save(
    checkpoint: Path | None, step: int, network: nn.Module, optimiser: torch.optim.Optimizer, schedule: object
) -> None:
    if checkpoint is None:
        return
    state = {
        "step": step,
        "network": network.state_dict(),
        "optimiser": optimiser.state_dict(),
        "schedule": schedule.state_dict(),  # type: ignore[attr-defined]
        "random": torch.get_rng_state(),
    }
    partial = checkpoint.with_suffix(".partial")
    checkpoint.parent.mkdir(parents=True, exist_ok=True)
    torch.save(state, partial)
    partial.replace(checkpoint)


def _resume(checkpoint: Path | None, network: nn.Module, optimiser: torch.optim.Optimizer, schedule: object) -> int:
    if checkpoint is None or not checkpoint.exists():
        return 0
    state = torch.load(checkpoint, weights_only=True)
    network.load_state_dict(state["network"])
    optimiser.load_state_dict(state["optimiser"])
    schedule.load_state_dict(state["schedule"])  # type: ignore[attr-defined]
    torch.set_rng_state(state["random"])
    return state["step"]
