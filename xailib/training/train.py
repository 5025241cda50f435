"""Train one miniature network from its parameter file and ship its weights."""

import time
from collections.abc import Callable
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from xailib.datasets import load_images
from xailib.errors import InputError, nearest
from xailib.image_files import image_files
from xailib.images import ImageBatch
from xailib.models import build_network, from_record
from xailib.models.checkpoints import lay_in, load_file_weights, read_state, save_weights
from xailib.params import load_params
from xailib.results import atomic
from xailib.training.fit import Recipe, fit
from xailib.training.loop import fingerprint
from xailib.workspace import expanded, place


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


def train(
    id: str,
    *,
    path: Path | None = None,
    initial_path: Path | None = None,
    root: str | Path | None = None,
    steps: int = 0,
    report: Callable[[str], None] = print,
) -> dict[str, Any]:
    """Train the model `id` from its recipe, write its weights as fp16 safetensors, and return what it cost.

    A killed training resumes from its last checkpoint in `resources/`, to the same weights.

    Args:
        id: a model whose parameter file has a `training` block.
        path: where the weights go; by default where the model's record says.
        initial_path: weights of the recipe's `initial` model; by default that model's own file.
        root: folder of the images, for data sets that are read from one.
        steps: how many steps, when other than the recipe's.
        report: called with a progress line every 100 steps.
    """
    record = load_params("models", id)
    recipe = recipe_of(record)
    recipe = replace(recipe, steps=steps or recipe.steps)
    path = path or place(record["weights"]["path"])
    pixels, labels = training_set(record["model_dataset"], recipe.images, root=root)
    torch.manual_seed(recipe.seed)
    network = build_network(record)
    if recipe.initial:
        initial = load_params("models", recipe.initial)
        lay_in(network, read_state(initial_path) if initial_path else load_file_weights(initial), recipe.initial)
    began_from = fingerprint(record, asdict(recipe), pixels, labels, *network.state_dict().values())
    checkpoint = place(f"resources/training/{id}_{began_from}.pt")  # a training that began otherwise does not go on
    model = from_record(network, record)
    began = time.perf_counter()
    network = fit(
        network, model.normalise, pixels, labels, recipe,
        advprop=record["training_algorithm"] == "advprop", checkpoint=checkpoint, report=report,
    )  # fmt: skip
    sha256 = save_weights(network, path)
    checkpoint.unlink(missing_ok=True)
    seconds = round(time.perf_counter() - began, 1)
    report(f"{id}: wrote {path} ({path.stat().st_size / 1e6:.2f} MB) after {seconds} s")
    return {"model": id, "sha256": sha256, "seconds": seconds, "steps": recipe.steps, "bytes": path.stat().st_size}


def training_set(
    dataset: str, count: int | None, seed: int = 0, root: str | Path | None = None
) -> tuple[Tensor, Tensor]:
    """Return `count` training images uint8 `(n, 3, h, w)` and labels `(n,)`; kept in `resources/` after the first call.

    What is kept serves for the same parameter file and the same files below `root` only.

    Args:
        dataset: id of a file in `params/datasets/`.
        count: how many images; None for all of the training split.
        seed: chooses and orders them.
        root: folder of the images, for data sets that are read from one.
    """
    source = fingerprint(load_params("datasets", dataset), _files(root))
    kept = place(f"resources/training/{dataset}_{count or 'all'}_{seed}_{source}.npz")
    if not kept.exists():
        images = split_images(dataset, "train", limit=count, seed=seed, root=root)
        with atomic(kept) as partial, partial.open("wb") as file:
            np.savez(file, pixels=(images.pixels * 255).round().byte().numpy(), labels=images.labels.numpy())
    arrays = np.load(kept)
    return torch.from_numpy(arrays["pixels"]), torch.from_numpy(arrays["labels"])


def _files(root: str | Path | None) -> list[tuple[str, int, int]]:
    """Path, bytes and time of the files of a folder, or of one file."""
    if root is None:
        return []
    top = expanded(root).resolve()
    below = image_files(top, recursive=True) if top.is_dir() else []  # behind links too, which `rglob` passes by
    files = sorted({*below, *(path for path in [top, *top.rglob("*")] if path.is_file())})
    return [(str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in files]


def split_images(dataset: str, split: str | None, **arguments: Any) -> ImageBatch:
    """Return `load_images` of a data set of `params/datasets/` with the options of its file; None is its default split.

    Those of accuracy, which may take in more images than are explained.
    """
    record = load_params("datasets", dataset)
    options = {**record["dataset_options"], **record["dataset_accuracy_options"]}
    return load_images(record.get("dataset_function", dataset), split=split, **options, **arguments)
