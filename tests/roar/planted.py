"""Stores whose truth is known: noise images with a patch that carries the class, and rankings to remove it by."""

import numpy as np
import torch

from xailib.params.recipe import Recipe
from xailib.roar.removal import buckets, pack
from xailib.roar.retrain import Trainer
from xailib.roar.store import Part, Store
from xailib.roar.view import Ranking, View

SIDE, LEVELS, CPU = 16, [10, 50, 90], torch.device("cpu")
PATCH = (slice(6, 11), slice(5, 10))  # 25 of 256 pixels: just under the first level
RECIPE = Recipe(
    epochs=6, batch_size=32, learning_rate=0.4, schedule="one_cycle", label_smoothing=0.0, crop="none", mirror=False
)


def part(name: str, n: int, seed: int) -> Part:
    """Grey noise; in class 1 the patch is brighter, in class 0 darker, than everything around it."""
    draws = np.random.default_rng(seed)
    labels = torch.arange(n) % 2
    pixels = draws.normal(0.5, 0.12, (n, 3, SIDE, SIDE))
    for i, label in enumerate(labels.tolist()):
        pixels[i, :, *PATCH] += 0.3 * (2 * label - 1)
    return Part((pixels.clip(0, 1) * 255).round().astype(np.uint8), labels, [f"{name}-{i}" for i in range(n)])


def store(train: int = 512, test: int = 200) -> Store:
    """512 images to train on, 200 to test."""
    facts = {"dataset": "planted", "root": None, "options": {}, "seed": 0, "train_split": "train", "test_split": "test"}
    return Store(part("train", train, 1), part("test", test, 2), torch.full((3,), 0.5), ["dark", "bright"], SIDE, facts)


def trainer(recipe: Recipe = RECIPE) -> Trainer:
    return Trainer("roar_cnn", 2, torch.full((3,), 0.5), recipe, CPU)


def ranking(part: Part, kind: str) -> Ranking:
    """Rank pixels: `truth` has the patch first, `inverted` last, `random` anywhere; `leaking` tells the class by its place."""
    n = len(part)
    maps = torch.rand(n, SIDE, SIDE, generator=torch.Generator().manual_seed(len(part)))
    if kind in ("truth", "inverted"):
        maps[:, *PATCH] += 1 if kind == "truth" else -1
    if kind == "leaking":
        bright = part.labels == 1
        maps[bright, : SIDE // 2] += 1
        maps[~bright, SIDE // 2 :] += 1
    return Ranking(pack(buckets(maps, LEVELS, part.ids)).numpy(), LEVELS, (SIDE, SIDE))


def views(of: Store, kind: str, level: int, mode: str = "remove", **options: str) -> tuple[View, View]:
    return tuple(View(part, of.mean, CPU, ranking(part, kind), level, mode, **options) for part in (of.train, of.test))  # type: ignore[return-value]
