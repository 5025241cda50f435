"""A copy of a network that knows images with parts deleted, for metrics that delete parts."""

import copy
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from torch import Tensor

from xailib.errors import InputError
from xailib.models import Model, build_network, from_record
from xailib.models.checkpoints import lay_in, read_state
from xailib.models.probes import check
from xailib.models.targets import as_images, as_targets
from xailib.params import load_params
from xailib.training.fit import Recipe, fit
from xailib.training.loop import fingerprint
from xailib.workspace import place


def finetune(
    model: Model,
    pixels: Tensor,
    labels: Tensor,
    deletes: Callable[[Tensor, Tensor], Tensor],
    *,
    steps: int,
    learning_rate: float = 0.001,
    batch_size: int = 64,
    seed: int = 0,
    facts: Mapping[str, Any] | None = None,
    report: Callable[[str], None] = print,
) -> Model:
    """Return a copy of a model that was fine-tuned on images with parts deleted; the model itself stays as it is.

    As Hesse et al. (2024) do: cross-entropy, SGD with momentum 0.9 and weight decay 1e-4, whatever the network was trained
    against; so a robust one loses some of that. Deletions are drawn from torch's stream.

    Args:
        model: where it lies is where the copy is trained.
        pixels, labels: training images, float `(n, 3, h, w)` in [0, 1], and their classes `(n,)`.
        deletes: from pixels and the colour that stands for nothing to what the copy sees of them; see `metrics.finetuned`.
        steps, learning_rate, batch_size, seed: of the training; the rate is the peak of one cycle.
        facts: what the copy is made from; a killed training goes on from the checkpoint that belongs to it. None for no
            checkpoint.
        report: called with a progress line every 100 steps.

    Raises:
        InputError: fewer than two images or none in [0, 1], labels that are no classes of the model or not one an image, no
            positive number of the recipe, or a loss that is not finite.
    """
    images = as_images(pixels, model)
    pixels, labels = images.pixels, as_targets(labels, model, images)
    if len(pixels) < 2:
        raise InputError(
            f"pixels: {len(pixels)} training image is too few to fine-tune on; give 2 or more, better 1,000"
        )
    for name, value, whole in (
        ("steps", steps, True),
        ("batch_size", batch_size, True),
        ("learning_rate", learning_rate, False),
    ):
        if (whole and value < 1) or not 0 < value < math.inf:
            raise InputError(f"{name}: {value} is not {'a number from 1' if whole else 'a finite number above 0'}")
    recipe = Recipe(
        steps=steps, batch_size=min(batch_size, len(pixels)), learning_rate=learning_rate, weight_decay=1e-4, seed=seed
    )
    own = copy.deepcopy(model)
    stored = (pixels * 255).round().byte().to(model.device)
    checkpoint = None
    if facts:
        name = fingerprint(dict(facts), asdict(recipe), stored, labels, *own.state_dict().values())
        checkpoint = place(f"resources/training/finetune_{name}.pt")
    fit(
        own,
        lambda batch: deletes(batch, model.mean_colour),  # the copy normalises by itself
        stored,
        labels.to(model.device),
        recipe,
        checkpoint=checkpoint,
        report=report,
    )
    if checkpoint:
        checkpoint.unlink(missing_ok=True)
    return own.requires_grad_(False)


def load_finetuned(id: str, path: str | Path, *, device: str = "auto") -> Model:
    """Return a copy of the model `id` with the weights that its slice of stage `finetune` wrote.

    Raises:
        InputError: weights that are missing, damaged or of another architecture.
    """
    record, path = load_params("models", id), place(path)
    network = build_network(record)
    lay_in(network, read_state(path), str(path))
    model = from_record(network, record, device)
    check(model, model.input_size, model.input_size)
    return model
