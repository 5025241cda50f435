"""Figures that ask whether ROAR can be trusted: the leak of the mask, what a network gets to see."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from xailib.plots.maps import bare, draw_image
from xailib.plots.roar import _colours
from xailib.plots.style import GREY, empty, styled, subplots


@styled
def roar_leak(accuracy: pd.DataFrame, chance: float) -> Figure:
    """Draw how well the class is told from the mask alone, beside the accuracy that ROAR reports at the same level.

    Args:
        accuracy: `roar_tables.accuracy_table`.
        chance: accuracy of a network that sees nothing.
    """
    masks = accuracy[accuracy["mode"] == "mask_only_remove"].sort_values("accuracy", kind="stable")
    if masks.empty:
        return empty("This study trained no classifier on the masks alone.")
    level, names = int(masks["level"].iloc[0]), list(masks["estimator"])
    retrained = accuracy[(accuracy["mode"] == "remove") & (accuracy["level"] == level)].set_index("estimator")
    figure, (row,) = subplots(1, 2, figsize=(12.5, 0.36 * len(names) + 2.2), sharey=True)
    colours, places = _colours(masks), {name: y for y, name in enumerate(names)}
    for axes, part in zip(row, (masks.set_index("estimator"), retrained), strict=True):
        for name in [name for name in names if name in part.index]:
            cell, y = part.loc[name], places[name]
            axes.plot([cell["low"], cell["high"]], [y, y], color=colours[name], linewidth=3, alpha=0.5)
            axes.plot(cell["accuracy"], y, "o", color=colours[name], markersize=9)
        axes.axvline(chance, color=GREY, linestyle=":", linewidth=1.5)
        axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        axes.set(xlim=(0, 1), yticks=range(len(names)), yticklabels=masks["label"], ylim=(-0.6, len(names) - 0.4))
        axes.grid(axis="x")
    row[0].set_title("A classifier that sees only which inputs are gone", fontsize=14)
    row[1].set_title("ROAR: retrained on what is left", fontsize=14)
    row[0].set_xlabel(f"Test accuracy from the mask alone, {level} % removed")
    row[1].set_xlabel(f"Test accuracy, {level} % removed")
    note = f"n = {int(masks['n'].max())} test images; bars: 95 % intervals; dotted: chance"
    figure.suptitle(note, fontsize=12, color=GREY)
    return figure


@styled
def roar_examples(rows: Mapping[str, Sequence[Any]], titles: Sequence[str], caption: str = "") -> Figure:
    """Draw what the network gets to see: one row a ranking, one column a level.

    Args:
        rows: label -> pixels `(3, h, w)` in [0, 1], one for each of `titles`.
        titles: heads of the columns, such as "10 %".
        caption: of the figure.
    """
    if not rows:
        return empty("There are no images to show.")
    figure, grid = subplots(len(rows), len(titles), figsize=(1.7 * len(titles) + 1.4, 1.7 * len(rows) + 0.9))
    figure.get_layout_engine().set(w_pad=0.01, h_pad=0.01, wspace=0.02, hspace=0.02)
    for cells, (label, images) in zip(grid, rows.items(), strict=True):
        for axes, pixels in zip(cells, images, strict=True):
            draw_image(axes, np.asarray(pixels, float))
            bare(axes)
        cells[0].set_ylabel(label, fontsize=13, rotation=0, ha="right", va="center")
    for axes, title in zip(grid[0], titles, strict=True):
        axes.set_title(title, fontsize=13)
    if caption:
        figure.suptitle(caption, fontsize=13)
    return figure
