"""Rankings of every image of a store by several estimators, made a chunk at a time and stored as removal levels."""

import hashlib
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from xailib import engine
from xailib.attribution.estimators import estimate, pool
from xailib.errors import InputError
from xailib.models.model import Model
from xailib.results import write_json, write_maps
from xailib.roar.removal import buckets, check_levels, pack
from xailib.roar.store import Part, Store, array_file, chunks

Unit = Literal["pixel", "channel"]
CHUNK = 256  # images whose maps are in memory at once
PARTS = ("train", "test")


def rank(
    folders: dict[str, Path],
    records: Sequence[dict[str, Any]],
    store: Store,
    model: Model,
    *,
    levels: list[int],
    unit: Unit = "pixel",
    target: Literal["predicted", "label"] = "predicted",
    scale: str = "full",
    seed: int = 0,
    maps_of: int = 128,
    report: Callable[[str], Any] = print,
) -> None:
    """Rank the values of all images of a store by estimators that share their passes, and write the rankings.

    For each estimator its folder gets `train_levels.npy` and `test_levels.npy` (4 bits a value: the first level that
    takes it), `maps.npz` (the maps of the first test images, which the metrics score) and, last, `ranking.json`.

    Args:
        folders: where each estimator's files go, by its id.
        records: values of the estimators' files.
        store: the images.
        model: the network to explain.
        levels: ascending percentages.
        unit: rank whole pixels (channels averaged), or each channel value by itself (the released code).
        target: explain the class that the network predicts (the paper) or the label.
        scale: which of the estimators' scales to use.
        seed: of noise and ties.
        maps_of: test images whose maps are kept.
        report: is called with a line on the way.
    """
    check_levels(levels)
    if unit not in ("pixel", "channel") or target not in ("predicted", "label"):
        raise InputError(f"unit, target: '{unit}', '{target}' are not known; use pixel or channel, predicted or label")
    shape = (store.side, store.side) if unit == "pixel" else (3, store.side, store.side)
    width = (int(np.prod(shape)) + 1) // 2
    for folder in folders.values():  # an older ranking's record would vouch for levels that are half new
        (folder / "ranking.json").unlink(missing_ok=True)
    digests: dict[str, dict[str, str]] = {id: {} for id in folders}
    kept: dict[str, list[tuple[Tensor, Tensor]]] = {id: [] for id in folders}
    for name in PARTS:
        part: Part = getattr(store, name)
        hashes = {id: hashlib.sha256() for id in folders}
        with ExitStack() as stack:
            files = {
                id: stack.enter_context(array_file(folder / f"{name}_levels.npy", (len(part), width)))
                for id, folder in folders.items()
            }
            for rows in chunks(name, len(part), CHUNK, report):
                pixels = torch.from_numpy(np.array(part.pixels[rows])).float().div_(255)
                targets = part.labels[rows] if target == "label" else engine.logits(model, pixels).argmax(dim=1)
                for id, maps in estimate(records, model, pixels, targets, seed=seed, scale=scale).items():
                    packed = pack(buckets(_shaped(maps, shape), levels, part.ids[rows], seed)).numpy().tobytes()
                    files[id].write(packed)
                    hashes[id].update(packed)
                    if name == "test" and rows.start < maps_of:
                        kept[id].append((pool(maps), targets))
        for id in folders:
            digests[id][name] = hashes[id].hexdigest()
    for id, folder in folders.items():
        maps, targets = (torch.cat(parts)[:maps_of] for parts in zip(*kept[id], strict=True))
        write_maps(folder / "maps.npz", maps, store.test.ids[: len(maps)], targets)
        write_json(folder / "ranking.json", {"levels": levels, "shape": shape, "estimator": id, "sha256": digests[id]})


def _shaped(maps: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Maps as values to rank: averaged over channels, or a value a channel (a map without channels counts for each)."""
    if len(shape) == 2:
        return pool(maps)
    return maps if maps.ndim == 4 else maps[:, None].expand(-1, 3, -1, -1)
