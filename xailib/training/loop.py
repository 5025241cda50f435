"""What every training shares: the order of the images, the schedule, augmentation, and checkpoints to resume from."""

import hashlib
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from xailib.results import atomic


def batches(count: int, batch_size: int, steps: int, seed: int, start: int = 0) -> Iterator[tuple[int, Tensor]]:
    """Yield (step, row indices); the order is a function of the seed and the step alone, the last odd rows are left out."""
    per_epoch = count // batch_size
    order, epoch = torch.empty(0, dtype=torch.long), -1
    for step in range(start, steps):
        if step // per_epoch != epoch:
            epoch = step // per_epoch
            order = torch.randperm(count, generator=torch.Generator().manual_seed(1_000_003 * seed + epoch))
        first = step % per_epoch * batch_size
        yield step, order[first : first + batch_size]


def mirror_and_shift(batch: Tensor, shift: int, generator: torch.Generator, *, mirror: bool = True) -> Tensor:
    """Mirror half of the images `(b, 3, h, w)` and move the batch by up to `shift` pixels each way, edges reflected."""
    if mirror:
        mirrored = torch.rand(len(batch), generator=generator) < 0.5
        batch[mirrored.to(batch.device)] = batch[mirrored.to(batch.device)].flip(-1)
    if not shift:
        return batch
    height, width = batch.shape[-2:]
    down, right = (shift + torch.randint(-shift, shift + 1, (2,), generator=generator)).tolist()
    return F.pad(batch, (shift,) * 4, mode="reflect")[..., down : down + height, right : right + width]


def mirror_and_crop(batch: Tensor, smallest: float, generator: torch.Generator) -> Tensor:
    """Mirror half of the images `(b, 3, h, w)` and enlarge a random part of each: at least `smallest` of its area.

    Sides differ by up to a third, as in GoogLeNet's training (Szegedy 2015); the part never leaves the image.
    """
    area = smallest + (1 - smallest) * torch.rand(len(batch), generator=generator)
    ratio = torch.exp((torch.rand(len(batch), generator=generator) * 2 - 1) * math.log(4 / 3))
    sides = torch.stack([(area * ratio).sqrt(), (area / ratio).sqrt()]).clamp_max(1.0)
    places = (torch.rand(2, len(batch), generator=generator) * 2 - 1) * (1 - sides)
    mirrored = torch.where(torch.rand(len(batch), generator=generator) < 0.5, -1.0, 1.0)
    grid = torch.zeros(len(batch), 2, 3)
    grid[:, 0, 0], grid[:, 1, 1] = sides[0] * mirrored, sides[1]
    grid[:, 0, 2], grid[:, 1, 2] = places[0], places[1]
    points = F.affine_grid(grid.to(batch.device), list(batch.shape), align_corners=False)
    return F.grid_sample(batch, points, mode="bilinear", padding_mode="border", align_corners=False)


def parameter_groups(network: nn.Module, weight_decay: float) -> list[dict[str, object]]:
    """The network's parameters for an optimiser: biases and normalisation do not decay."""
    decayed = [p for p in network.parameters() if p.ndim > 1]
    free = [p for p in network.parameters() if p.ndim <= 1]
    return [{"params": decayed, "weight_decay": weight_decay}, {"params": free, "weight_decay": 0.0}]


def one_cycle(step: int, steps: int) -> float:
    """Share of the peak learning rate at a step: a linear rise over the first 15 %, then half a cosine to nothing."""
    warm = 0.15 * steps
    if step < warm:
        return max(0.02, step / warm)
    return max(0.002, 0.5 * (1 + math.cos(math.pi * (step - warm) / (steps - warm))))


def fingerprint(*parts: Any) -> str:
    """Twelve hexadecimal digits that stand for tensors, on any device, and for what JSON can write."""
    found = hashlib.sha256()
    for part in parts:
        if isinstance(part, Tensor):
            found.update(f"{part.dtype}{tuple(part.shape)}".encode())
            found.update(part.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
        else:
            found.update(json.dumps(part, sort_keys=True, default=str).encode())
    return found.hexdigest()[:12]


def save_checkpoint(path: Path | None, step: int, **parts: object) -> None:
    """Write the state of a training, whole or not at all; `parts` have a `state_dict`. None: nothing."""
    if path is None:
        return
    state = {name: part.state_dict() for name, part in parts.items()}  # type: ignore[attr-defined]
    with atomic(path) as partial:
        torch.save({"step": step, "random": torch.get_rng_state(), **state}, partial)


def resume_checkpoint(path: Path | None, **parts: object) -> int:
    """Bring a training back to where it was saved and return its step; 0 where nothing was saved."""
    if path is None or not path.exists():
        return 0
    state = torch.load(path, weights_only=True, map_location="cpu")
    for name, part in parts.items():
        part.load_state_dict(state[name])  # type: ignore[attr-defined]
    torch.set_rng_state(state["random"])
    return state["step"]
