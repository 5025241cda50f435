"""Training from scratch on what a view shows, and the test accuracy after the last epoch: one row a training.

The networks of a ROAR study are made here, by what their recipe says; a trained one becomes a `Model` that methods can explain.
"""

import hashlib
import json
import math
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from xailib.engine.passes import precision_on
from xailib.errors import InputError
from xailib.models import untrained
from xailib.models.model import Model
from xailib.params.recipe import Recipe
from xailib.registry import architecture
from xailib.results import write_json
from xailib.roar.store import Store
from xailib.roar.view import View
from xailib.seeding import generator
from xailib.training import loop

STD = (0.25, 0.25, 0.25)  # pixels are divided by it after their mean is taken off, so a replaced value enters as zero
CHECKPOINT_SECONDS = 30.0


def new_network(name: str, classes: int, seed: int) -> nn.Module:
    """Return a network of a registered architecture with random weights that depend on `seed` alone."""
    torch.manual_seed(seed)
    return untrained(name, classes).to(memory_format=torch.channels_last)


def as_model(network: nn.Module, name: str, store: Store, device: torch.device) -> Model:
    """Return the network, frozen, as a `Model` over pixels in [0, 1] of the store's images."""
    entry = architecture.get(name)
    model = Model(
        network,
        id=f"{name}_{store.facts['dataset']}",
        architecture=name,
        training_algorithm="vanilla",
        input_size=store.side,
        class_names=store.class_names,
        mean=store.mean.tolist(),
        std=STD,
        cam_layer=entry.cam_layer,
        offers=entry.offers,
    )
    return model.to(device).to(memory_format=torch.channels_last)


class Diverged(InputError):
    """The loss of a training was not finite."""


@dataclass(frozen=True)
class Trainer:
    """How every network of a study is made and trained.

    Attributes:
        architecture: a registered one.
        classes: outputs of the network.
        mean: `(3,)` in [0, 1], taken off the pixels.
        recipe: how it is trained.
        device: where.
        precision: fp32, bf16 under autocast, or auto: bf16 where the device computes it.
    """

    architecture: str
    classes: int
    mean: Tensor
    recipe: Recipe
    device: torch.device
    precision: str = "fp32"

    def __post_init__(self) -> None:
        object.__setattr__(self, "precision", precision_on(self.device, self.precision))

    def normalise(self, pixels: Tensor) -> Tensor:
        """Map pixels `(b, 3, h, w)` in [0, 1] to what the network is given."""
        mean, std = (torch.as_tensor(value).to(pixels).view(1, 3, 1, 1) for value in (self.mean, STD))
        return ((pixels - mean) / std).contiguous(memory_format=torch.channels_last)

    def train(
        self, view: View, seed: int, *, checkpoint: Path | None = None, report: Callable[[str], Any] = print
    ) -> nn.Module:
        """Train a new network on a view and return it in evaluation mode.

        Weights, order, crops and mirroring depend on the seed alone. A killed training resumes from `checkpoint` to
        the same weights.

        Raises:
            Diverged: a loss that is not finite.
        """
        network = new_network(self.architecture, self.classes, seed).to(self.device).train()
        sgd, schedule, steps = optimiser(network, self.recipe, len(view))
        parts = {"network": network, "optimiser": sgd, "schedule": schedule}
        start = loop.resume_checkpoint(checkpoint, **parts)
        per_epoch, began, saved = steps // self.recipe.epochs, time.perf_counter(), time.monotonic()
        total, counted = torch.zeros((), device=self.device), 0
        for step, rows in loop.batches(len(view), self.recipe.batch_size, steps, seed, start):
            stream = generator(seed, "augment", step)
            pixels, labels = view.batch(rows, draw=(seed, step))
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16"):
                logits = network(self.normalise(augment(pixels, self.recipe, stream)))
            loss = F.cross_entropy(logits.float(), labels, label_smoothing=self.recipe.label_smoothing)
            sgd.zero_grad(set_to_none=True)
            loss.backward()
            sgd.step()
            schedule.step()
            total, counted = total + loss.detach(), counted + 1
            if (step + 1) % per_epoch:
                continue
            mean_loss, epoch = (total / counted).item(), (step + 1) // per_epoch  # one wait for the device an epoch
            if not np.isfinite(mean_loss):
                raise Diverged(
                    f"training diverged in epoch {epoch}: the loss is {mean_loss}; lower recipe.learning_rate"
                )
            left = (time.perf_counter() - began) / (step + 1 - start) * (steps - step - 1)
            report(f"epoch {epoch}/{self.recipe.epochs}  loss {mean_loss:.3f}  {left:.0f} s left")
            total, counted = torch.zeros_like(total), 0
            if time.monotonic() - saved > CHECKPOINT_SECONDS:
                loop.save_checkpoint(checkpoint, step + 1, **parts)
                saved = time.monotonic()
        return network.eval()

    @torch.inference_mode()
    def hits(self, network: nn.Module, view: View, batch_size: int = 512) -> np.ndarray:
        """Return whether the network's first class is right, bool `(n,)`, for every image of a view.

        Raises:
            Diverged: answers that are not finite.
        """
        found = []
        for rows in torch.arange(len(view)).split(batch_size):
            pixels, labels = view.batch(rows)
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16"):
                logits = network(self.normalise(pixels))
            if not torch.isfinite(logits).all():
                raise Diverged(
                    "training diverged in its last steps: the network answers NaN; lower recipe.learning_rate"
                )
            found.append((logits.argmax(dim=1) == labels).cpu())
        return torch.cat(found).numpy()


def retrain(
    trainer: Trainer,
    train: View,
    test: View,
    seed: int,
    facts: dict[str, Any],
    *,
    kept: Path | None = None,
    fresh: bool = False,
    report: Callable[[str], Any] = print,
) -> tuple[dict[str, Any], nn.Module | None]:
    """Train one network and return its row of `roar.parquet`, and the network.

    Args:
        trainer: how it is trained.
        train, test: what it sees, the same replacement for both.
        seed: of weights and order.
        facts: columns that name the training (estimator, mode, level, base), and what else its result depends on; a
            kept row is used again only where all of it is the same.
        kept: a file (without suffix) that keeps the row, and the state of a training under way, until the slice is done.
        fresh: train even where a row was kept, because the network is wanted.
        report: is called with a line an epoch.

    Returns:
        the row (a training that diverged has accuracy NaN and a status that says so), and the network, or None where
        the row was kept from before or the training failed.
    """
    key = hashlib.sha256(
        json.dumps({**facts, **_settings(trainer, seed)}, sort_keys=True, default=str).encode()
    ).hexdigest()
    row_file, state = (
        (None, None) if kept is None else (kept.with_suffix(".json"), kept.with_name(f"{kept.name}-{key[:16]}.pt"))
    )
    if row_file is not None and not fresh:
        with suppress(OSError, ValueError):
            record = json.loads(row_file.read_text(encoding="utf-8"))
            if record["key"] == key:
                return {**record["row"], "correct": bytes.fromhex(record["row"]["correct"])}, None
    began, network = time.perf_counter(), None
    row = {name: facts[name] for name in ("estimator", "mode", "level")} | {"seed": seed, "base": facts["base"]}
    try:
        network = trainer.train(train, seed, checkpoint=state, report=report)
        hits = trainer.hits(network, test)
        result = {"accuracy": float(hits.mean()), "status": "ok", "correct": np.packbits(hits).tobytes()}
    except Diverged as error:
        report(f"failed: {error}")
        result = {"accuracy": float("nan"), "status": f"failed: {error}", "correct": b""}
    seconds = round(time.perf_counter() - began, 2)
    row |= {"n": len(test), "epochs": trainer.recipe.epochs, "seconds": seconds, **result}
    if row_file is not None:
        write_json(row_file, {"key": key, "row": {**row, "correct": row["correct"].hex()}})
        state.unlink(missing_ok=True)
    return row, network


def _settings(trainer: Trainer, seed: int) -> dict[str, Any]:
    """What a training's result depends on beside its images."""
    return {
        "architecture": trainer.architecture,
        "classes": trainer.classes,
        "mean": [round(value, 6) for value in trainer.mean.tolist()],
        "recipe": trainer.recipe.model_dump(),
        "precision": trainer.precision,
        "seed": seed,
    }


def optimiser(network: nn.Module, recipe: Recipe, images: int) -> tuple[torch.optim.Optimizer, Any, int]:
    """Return the optimiser, its schedule a step, and the number of steps."""
    per_epoch = images // recipe.batch_size
    if per_epoch == 0:
        raise InputError(f"recipe.batch_size: {recipe.batch_size} is more than the {images} training images")
    steps = recipe.epochs * per_epoch
    peak = recipe.learning_rate * recipe.batch_size / 256
    groups = loop.parameter_groups(network, recipe.weight_decay)
    sgd = torch.optim.SGD(groups, peak, momentum=0.9, nesterov=True)

    def share(step: int) -> float:
        if recipe.schedule == "one_cycle":
            return loop.one_cycle(step, steps)
        epoch = step / per_epoch
        if epoch < recipe.warmup:
            return (step + 1) / (recipe.warmup * per_epoch)
        return 0.1 ** sum(epoch >= drop for drop in recipe.drops)

    return sgd, torch.optim.lr_scheduler.LambdaLR(sgd, share), steps


def augment(batch: Tensor, recipe: Recipe, generator: torch.Generator) -> Tensor:
    """Crop and mirror a batch `(b, 3, h, w)` where it is; the draws come from the generator alone."""
    if recipe.crop == "resized":
        batch = resized_crop(batch, generator)
    return loop.mirror_and_shift(batch, recipe.shift if recipe.crop == "shift" else 0, generator, mirror=recipe.mirror)


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
