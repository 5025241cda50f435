"""What a network of a ROAR study gets to see: one test image at every level of several rankings."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from xailib.analysis.frames import find_folder
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


@dataclass(frozen=True)
class Examples:
    """Images for a figure: `rows` maps labels to pixels `(3, h, w)` in [0, 1], one for each of `titles`.

    Without images `rows` is empty and `caption` says why.
    """

    rows: dict[str, list[NDArray[np.float32]]]
    titles: list[str]
    caption: str
    table: pd.DataFrame


def examples(
    frames: RoarFrames,
    results_dir: str | Path,
    estimators: Sequence[str] = (),
    image: int = 0,
    mode: str = "remove",
    store_dir: str | Path | None = None,
) -> Examples:
    """Take one test image at every level of some rankings, as the retrained networks saw it.

    Args:
        frames: the study.
        results_dir: its folder, with a folder an estimator.
        estimators: whose rankings; by default up to seven telling ones of those that are there.
        image: position of the test image.
        mode: remove or keep.
        store_dir: the study's images; by default `store` in its folder.

    Raises:
        InputError: an estimator that the study does not have, or no such image.
    """
    unknown = [name for name in estimators if name not in frames.estimators.index]
    if unknown:
        raise InputError(
            f"estimators: '{unknown[0]}' is not in this study{nearest(unknown[0], frames.estimators.index)}"
        )
    from xailib.roar.store import open_store

    folder = find_folder(results_dir)
    names = ["estimator", "mode", "level", "image"]
    try:
        part, mean = (store := open_store(find_folder(store_dir) if store_dir else folder / "store")).test, store.mean
    except InputError as error:
        return Examples({}, [], f"No example images: {error}", pd.DataFrame(columns=names))
    if not 0 <= image < len(part):
        raise InputError(f"example: there is no test image {image}; there are {len(part)}, counted from 0")
    chosen = estimators or [name for name in TELLING if name in frames.estimators.index] or frames.estimators.index[:6]
    rows, table, levels = {}, [], frames.levels
    for name in chosen:
        try:
            seen = at_levels(folder / name, part, mean, image, levels, mode)
        except InputError:
            continue  # its ranking was cleared away; the others are still worth a look
        rows[frames.estimators.loc[name, "label"]] = seen
        table += [[name, mode, level, part.ids[image]] for level in levels]
    word = {"remove": "removed", "keep": "kept"}[mode]
    caption = f"Test image {part.ids[image]} with the most important pixels {word}"
    caption = caption if rows else f"No example images: none of {', '.join(chosen)} has a ranking in {folder}."
    titles = ["Unchanged", *(f"{level} %" for level in levels)]
    return Examples(rows, titles, caption, pd.DataFrame(table, columns=names))


def at_levels(
    folder: Path, part: "Part", mean: "Tensor", image: int, levels: Sequence[int], mode: str
) -> list[NDArray[np.float32]]:
    """Return one test image unchanged and at each level of the ranking in a folder: `(3, h, w)` each."""
    import torch

    from xailib.roar.view import View, open_ranking

    ranking, rows, device = open_ranking(folder, "test", part), torch.tensor([image]), torch.device("cpu")
    views = [View(part, mean, device), *(View(part, mean, device, ranking, level, mode) for level in levels)]
    return [view.batch(rows)[0][0].numpy() for view in views]
