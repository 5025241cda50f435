"""What the notebooks of ROAR share: opening images, rankings and the explained network, and tidying up."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from xailib import params
from xailib.errors import InputError
from xailib.images import ImageBatch
from xailib.models.checkpoints import lay_in, read_state
from xailib.models.model import Model
from xailib.params.made_from import TRUST_METRICS, require
from xailib.params.recipe import Recipe
from xailib.roar.retrain import Trainer, as_model, new_network
from xailib.roar.store import Part, Store, build, open_store
from xailib.roar.view import Ranking, View, open_ranking
from xailib.workspace import place

# What a notebook opened by hand works on where nothing was made before: two large pictograms, 16 pixels, seconds.
BY_HAND = {"classes": 2, "smallest": 0.7, "largest": 0.85, "turn": 5.0}


def store_of(folder: Path) -> Store:
    """Open a store; in `results/by_hand`, where notebooks run with their defaults, make a small one if there is none."""
    if "by_hand" in folder.parts and not (folder / "store.json").exists():
        return build(folder, "pictograms", side=16, train_images=480, test_images=120, options=BY_HAND)
    return open_store(folder)


def base_dir(bases_dir: str, base: int) -> Path:
    """The folder of a base network, one that estimators explain: its `weights.safetensors`, and a folder an estimator."""
    return place(bases_dir) / f"base_{base}"


def base_of(training: int, networks: int) -> int:
    """Return the base network whose rankings a training uses: all serve equally many trainings.

    So the spread of the explained network is inside that of the trainings, at no further training. Training i and network
    i start from the same weights and see the images in the same order; with several networks no training uses its twin's.
    """
    return (training + 1) % networks


def views(store: Store, folder: Path, estimator: str, level: int, mode: str, device: torch.device) -> tuple[View, View]:
    """What a network sees of the training and of the test images; of estimator `none`, the images themselves.

    `folder` is that of the base network whose ranking it is.
    """
    if estimator == "none":
        return View(store.train, store.mean, device), View(store.test, store.mean, device)
    found = rankings(store, folder, estimator)
    redraw = params.load_params("estimators", estimator)["estimator_redraw"]
    train = View(store.train, store.mean, device, found["train"], level, mode, redraw=redraw)
    return train, View(store.test, store.mean, device, found["test"], level, mode)


def rankings(store: Store, folder: Path, estimator: str) -> dict[str, Ranking]:
    """An estimator's rankings of both parts, {"train": ..., "test": ...}; `folder` is their base network's."""
    folder = folder / estimator
    found = {name: open_ranking(folder, name, getattr(store, name)) for name in ("train", "test")}
    record = json.loads((folder / "ranking.json").read_text(encoding="utf-8"))
    require(folder / "ranking.json", record, {"estimator": estimator}, ("estimator",))
    return found


def origin(store: Store, folder: Path, estimator: str) -> dict[str, Any]:
    """What the images of a training come from: facts of the store and the digest of the ranking."""
    facts = {"images": {**store.facts, "train": len(store.train), "test": len(store.test), "side": store.side}}
    if estimator == "none":
        return facts
    return {**facts, "ranking": json.loads((folder / estimator / "ranking.json").read_text(encoding="utf-8"))}


def explained(store: Store, architecture: str, folder: Path, device: torch.device) -> Model:
    """The base network of a folder; in `results/by_hand`, where there are no weights, one is trained for some seconds."""
    classes, weights = len(store.class_names), folder / "weights.safetensors"
    if "by_hand" in folder.parts and not weights.exists():
        recipe = Recipe(epochs=4, batch_size=32, learning_rate=0.8, schedule="one_cycle", crop="none", mirror=False)
        view = View(store.train, store.mean, device)
        network = Trainer(architecture, classes, store.mean, recipe, device).train(view, 0)
    else:
        network = new_network(architecture, classes, seed=0)
        lay_in(network, read_state(weights), str(weights))
    return as_model(network, architecture, store, device)


def trained(network: nn.Module | None, row: dict[str, Any]) -> nn.Module:
    """Return a network that estimators are to explain; if its training failed there is nothing to explain."""
    if network is None:
        raise InputError(f"network {row['seed']}, which is to be explained, could not be trained: {row['status']}")
    return network


def pixels_of(part: Part, count: int) -> Tensor:
    """The first images of a part, float32 `(n, 3, h, w)` in [0, 1]."""
    return torch.from_numpy(np.array(part.pixels[:count])).float().div_(255)


def images_of(store: Store, count: int) -> ImageBatch:
    """The first test images of a store with their boxes and masks."""
    from xailib.datasets import load_images

    facts = store.facts
    return load_images(
        facts["dataset"], split=facts["test_split"], limit=count, seed=facts["seed"],
        root=facts["root"] and place(facts["root"]), side=store.side,
        **facts["options"],
    )  # fmt: skip


def metrics_at(scale: str) -> dict[str, tuple[str, dict[str, Any]]]:
    """The four metrics of the explainability study: id -> (registered function, options at a scale)."""
    return {name: params.setting("metrics", name, scale) for name in TRUST_METRICS}


def forget(kept: Path, seeds: int) -> None:
    """Delete the rows that were kept for a killed slice to go on with: the slice's own table holds them now."""
    for training in range(seeds):
        kept.with_name(f"{kept.name}_{training}.json").unlink(missing_ok=True)
