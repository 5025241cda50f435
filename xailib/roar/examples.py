"""What a network of a ROAR study gets to see: one test image at every level of several rankings."""

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from xailib.errors import InputError, nearest
from xailib.plots.maps import Grid
from xailib.results import find_folder
from xailib.roar.store import Part, open_store
from xailib.roar.view import View, open_ranking

TELLING = (
    "random",
    "sobel",
    "gradient",
    "squared_gradient",
    "smoothgrad_gradient",
    "smoothgrad_squared_gradient",
    "vargrad_guided_backprop",
)


def examples(
    labels: Mapping[str, str],
    levels: Sequence[int],
    results_dir: str | Path,
    estimators: Sequence[str] = (),
    image: int = 0,
    mode: str = "remove",
    store_dir: str | Path | None = None,
) -> Grid:
    """Take one test image at every level of some rankings, as the retrained networks saw it.

    Args:
        labels: of the study's estimators, by id.
        levels: percentages of the pixels.
        results_dir: its folder, with the first base network's rankings.
        estimators: whose rankings; by default up to seven telling ones of those that are there.
        image: position of the test image.
        mode: remove or keep.
        store_dir: the study's images; by default `store` in its folder.

    Raises:
        InputError: an estimator that the study does not have, or no such image.
    """
    unknown = [name for name in estimators if name not in labels]
    if unknown:
        raise InputError(f"estimators: '{unknown[0]}' is not in this study{nearest(unknown[0], labels)}")
    folder = find_folder(results_dir)
    names = ["estimator", "mode", "level", "image"]
    try:
        store = open_store(find_folder(store_dir) if store_dir else folder / "store")
    except InputError as error:
        return Grid([], [], f"No example images: {error}", pd.DataFrame(columns=names))
    part = store.test
    if not 0 <= image < len(part):
        raise InputError(f"example: there is no test image {image}; there are {len(part)}, counted from 0")
    chosen = estimators or [name for name in TELLING if name in labels] or list(labels)[:6]
    rows, table = [], []
    for name in chosen:
        with contextlib.suppress(InputError):  # a ranking that was cleared away; the others are still worth a look
            rows.append((labels[name], at_levels(folder / "base_0" / name, part, store.mean, image, levels, mode)))
            table += [[name, mode, level, part.ids[image]] for level in levels]
    word = {"remove": "removed", "keep": "kept"}[mode]
    caption = f"Test image {part.ids[image]} with the most important pixels {word}"
    caption = caption if rows else f"No example images: none of {', '.join(chosen)} has a ranking in {folder}."
    titles = ["Unchanged", *(f"{level} %" for level in levels)]
    return Grid(rows, titles, caption, pd.DataFrame(table, columns=names))


def at_levels(
    folder: Path, part: Part, mean: Tensor, image: int, levels: Sequence[int], mode: str
) -> list[NDArray[np.float32]]:
    """Return one test image unchanged and at each level of the ranking in a folder: `(3, h, w)` each."""
    ranking, rows, device = open_ranking(folder, "test", part), torch.tensor([image]), torch.device("cpu")
    views = [View(part, mean, device), *(View(part, mean, device, ranking, level, mode) for level in levels)]
    return [view.batch(rows)[0][0].numpy() for view in views]
