"""What a network of a ROAR study gets to see: one test image at every level of several rankings."""

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from xailib.analysis.frames import find_folder
from xailib.analysis.gallery import Grid
from xailib.analysis.roar_frames import RoarFrames
from xailib.errors import InputError, nearest

if TYPE_CHECKING:
    from torch import Tensor

    from xailib.roar.store import Part

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
    frames: RoarFrames,
    results_dir: str | Path,
    estimators: Sequence[str] = (),
    image: int = 0,
    mode: str = "remove",
    store_dir: str | Path | None = None,
) -> Grid:
    """Take one test image at every level of some rankings, as the retrained networks saw it.

    Args:
        frames: the study.
        results_dir: its folder, with the first base network's rankings.
        estimators: whose rankings; by default up to seven telling ones of those that are there.
        image: position of the test image.
        mode: remove or keep.
        store_dir: the study's images; by default `store` in its folder.

    Raises:
        InputError: an estimator that the study does not have, or no such image.
    """
    from xailib.roar.store import open_store

    known, labels = frames.estimators.index, frames.estimators["label"]
    unknown = [name for name in estimators if name not in known]
    if unknown:
        raise InputError(f"estimators: '{unknown[0]}' is not in this study{nearest(unknown[0], known)}")
    folder = find_folder(results_dir)
    names = ["estimator", "mode", "level", "image"]
    try:
        store = open_store(find_folder(store_dir) if store_dir else folder / "store")
    except InputError as error:
        return Grid([], [], f"No example images: {error}", pd.DataFrame(columns=names))
    part = store.test
    if not 0 <= image < len(part):
        raise InputError(f"example: there is no test image {image}; there are {len(part)}, counted from 0")
    chosen = estimators or [name for name in TELLING if name in known] or known[:6]
    rows, table, levels = [], [], frames.levels
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
    folder: Path, part: "Part", mean: "Tensor", image: int, levels: Sequence[int], mode: str
) -> list[NDArray[np.float32]]:
    """Return one test image unchanged and at each level of the ranking in a folder: `(3, h, w)` each."""
    import torch

    from xailib.roar.view import View, open_ranking

    ranking, rows, device = open_ranking(folder, "test", part), torch.tensor([image]), torch.device("cpu")
    views = [View(part, mean, device), *(View(part, mean, device, ranking, level, mode) for level in levels)]
    return [view.batch(rows)[0][0].numpy() for view in views]
