"""What the notebooks of ROAR share: opening images, rankings and the explained network, and tidying up."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from xailib import params
from xailib.errors import InputError
from xailib.images import ImageBatch
from xailib.models.checkpoints import lay_in, read_state
from xailib.models.model import Model
from xailib.params.made_from import TRUST_METRICS, require
from xailib.params.recipe import Recipe
from xailib.roar.network import as_model, new_network
from xailib.roar.retrain import Trainer
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


def views(
    store: Store, ranking_dir: str | None, estimator: str, level: int, mode: str, device: torch.device
) -> tuple[View, View]:
    """What a network sees of the training and of the test images; without a ranking, the images themselves."""
    if ranking_dir is None:
        return View(store.train, store.mean, device), View(store.test, store.mean, device)
    found = rankings(store, ranking_dir, estimator)
    redraw = params.load_params("estimators", estimator)["estimator_redraw"]
    train = View(store.train, store.mean, device, found["train"], level, mode, redraw=redraw)
    return train, View(store.test, store.mean, device, found["test"], level, mode)


def by_hand(estimator: str) -> str | None:
    """Where a notebook run by hand finds an estimator's ranking; None for unchanged images."""
    return None if estimator == "none" else f"results/by_hand/roar/{estimator}"


def rankings(store: Store, ranking_dir: str, estimator: str) -> dict[str, Ranking]:
    """The rankings of both parts: {"train": ..., "test": ...}; those of another estimator are refused."""
    folder = place(ranking_dir)
    found = {name: open_ranking(folder, name, getattr(store, name)) for name in ("train", "test")}
    record = json.loads((folder / "ranking.json").read_text(encoding="utf-8"))
    require(folder / "ranking.json", record, {"estimator": estimator}, ("estimator",))
    return found


def origin(store: Store, ranking_dir: str | None) -> dict[str, Any]:
    """What the images of a training come from: facts of the store and the digest of the ranking."""
    facts = {"images": {**store.facts, "train": len(store.train), "test": len(store.test), "side": store.side}}
    if ranking_dir is None:
        return facts
    return {**facts, "ranking": json.loads(place(Path(ranking_dir, "ranking.json")).read_text(encoding="utf-8"))}


def explained(store: Store, architecture: str, weights_path: str | None, device: torch.device) -> Model:
    """The network that estimators explain; without weights, one that is trained for some seconds."""
    classes = len(store.class_names)
    if weights_path is None:
        recipe = Recipe(epochs=4, batch_size=32, learning_rate=0.8, schedule="one_cycle", crop="none", mirror=False)
        view = View(store.train, store.mean, device)
        network = Trainer(architecture, classes, store.mean, recipe, device).train(view, 0)
    else:
        network = new_network(architecture, classes, seed=0)
        lay_in(network, read_state(place(weights_path)), weights_path)
    return as_model(network, architecture, store, device)


def trained(network: nn.Module | None, rows: pd.DataFrame) -> nn.Module:
    """Return the network that estimators are to explain; if its training failed there is nothing to explain."""
    if network is None:
        raise InputError(f"the network to explain could not be trained: {rows['status'].iloc[0]}")
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
    found = {}
    for name in TRUST_METRICS:
        values = params.load_params("metrics", name)
        found[name] = (values.get("metric_function", name), params.options(values, "metrics", scale))
    return found


def forget(kept: Path, seeds: int) -> None:
    """Delete the rows that were kept for a killed slice to go on with: the slice's own table holds them now."""
    for training in range(seeds):
        kept.with_name(f"{kept.name}_{training}.json").unlink(missing_ok=True)
