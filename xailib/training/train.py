"""Train one miniature network from its parameter file and ship its weights."""

import time
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from xailib.errors import InputError, nearest
from xailib.models import build_network, wrap
from xailib.models.checkpoints import lay_in, load_file_weights, save_weights
from xailib.params import ROOT, load_params
from xailib.training.fit import Recipe, fit


def recipe_of(record: dict[str, Any]) -> Recipe:
    """Return the recipe in a model record's `training` block; an unknown key is an `InputError`."""
    where = f"params/models/{record['model']}.yaml"
    if "training" not in record:
        raise InputError(f"{where}: has no 'training' block, so the suite cannot train this model")
    known = {field.name for field in fields(Recipe)}
    for key in record["training"]:
        if key not in known:
            raise InputError(f"{where}: unknown key training.{key}{nearest(key, known)}")
    return Recipe(**record["training"])


def train(id: str, *, report: Callable[[str], None] = print) -> dict[str, Any]:
    """Train the model `id` from its recipe, write its weights where its record says, and return what it cost.

    A killed training resumes from its last checkpoint in `resources/`, to the same weights.
    """
    record = load_params("models", id)
    recipe = recipe_of(record)
    pixels, labels = training_set(record["model_dataset"], recipe.images)
    torch.manual_seed(recipe.seed)
    network = build_network(record)
    if recipe.initial:
        initial = {key: value for key, value in load_params("models", recipe.initial).items()}
        initial["weights"] = {**initial["weights"], "sha256": None}
        lay_in(network, load_file_weights(initial), recipe.initial)
    checkpoint = ROOT / "resources" / "training" / f"{id}.pt"
    model = wrap(network, record)
    began = time.perf_counter()
    network = fit(
        network, model.normalise, pixels, labels, recipe,
        advprop=record["training_algorithm"] == "advprop", checkpoint=checkpoint, report=report,
    )  # fmt: skip
    path = ROOT / record["weights"]["path"]
    sha256 = save_weights(network, path)
    checkpoint.unlink(missing_ok=True)
    seconds = round(time.perf_counter() - began, 1)
    report(f"{id}: wrote {record['weights']['path']} ({path.stat().st_size / 1e6:.2f} MB) after {seconds} s")
    return {"model": id, "sha256": sha256, "seconds": seconds, "steps": recipe.steps, "bytes": path.stat().st_size}


def training_set(dataset: str, count: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Return `count` training images uint8 `(n, 3, h, w)` and labels `(n,)`; kept in `resources/` after the first call."""
    kept = ROOT / "resources" / "training" / f"{dataset}_{count}_{seed}.npz"
    if not kept.exists():
        _keep(kept, dataset, count, seed)
    arrays = np.load(kept)
    return torch.from_numpy(arrays["pixels"]), torch.from_numpy(arrays["labels"])


def _keep(path: Path, dataset: str, count: int, seed: int) -> None:
    from xailib.datasets import load_images

    images = load_images(dataset, split="train", limit=count, seed=seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial.npz")
    np.savez(partial, pixels=(images.pixels * 255).round().byte().numpy(), labels=images.labels.numpy())
    partial.replace(path)
