"""Training from scratch on what a view shows, and the test accuracy after the last epoch: one row a training."""

import hashlib
import json
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
from xailib.params.recipe import Recipe
from xailib.results import write_json
from xailib.roar.network import STD, new_network
from xailib.roar.steps import augment, optimiser
from xailib.roar.view import View
from xailib.seeding import generator
from xailib.training.loop import batches, resume_checkpoint, save_checkpoint

CHECKPOINT_SECONDS = 30.0


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
        start = resume_checkpoint(checkpoint, **parts)
        per_epoch, began, saved = steps // self.recipe.epochs, time.perf_counter(), time.monotonic()
        total, counted = torch.zeros((), device=self.device), 0
        for step, rows in batches(len(view), self.recipe.batch_size, steps, seed, start):
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
                save_checkpoint(checkpoint, step + 1, **parts)
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
