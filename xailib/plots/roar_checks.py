"""Figures that ask whether ROAR can be trusted: the leak of the mask, what a network gets to see."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from xailib.plots.maps import bare, draw_image
from xailib.plots.roar import colours_of
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
    level = int(masks["level"].iloc[0])
    retrained = accuracy[(accuracy["mode"] == "remove") & (accuracy["level"] == level)]
    figure, (row,) = subplots(1, 2, figsize=(12.5, 0.36 * len(masks) + 2.2), sharey=True)
    for axes, part in zip(row, (masks, retrained), strict=True):
        _dots(axes, part, masks, "accuracy")
        axes.axvline(chance, color=GREY, linestyle=":", linewidth=1.5)
        axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        axes.set_xlim(0, 1)
    row[0].set_title("A classifier that sees only which inputs are gone", fontsize=14)
    row[1].set_title("ROAR: retrained on what is left", fontsize=14)
    row[0].set_xlabel(f"Test accuracy from the mask alone, {level} % removed")
    row[1].set_xlabel(f"Test accuracy, {level} % removed")
    figure.suptitle(
        f"n = {int(masks['n'].max())} test images; bars: 95 % intervals; dotted: chance", fontsize=12, color=GREY
    )
    return figure


@styled
def roar_area(area: pd.DataFrame) -> Figure:
    """Draw Recursive ROAR's area score of each ranking with its interval; right of zero is better than Random.

    Args:
        area: `roar_tables.racu_table`.
    """
    area = area.dropna(subset=["racu"]).sort_values("racu", kind="stable")
    if area.empty:
        return empty("No area scores: they need the random ranking and trainings on unchanged images.")
    figure, ((axes,),) = subplots(figsize=(8.5, 0.34 * len(area) + 1.7))
    axes.axvline(0, color="black", linewidth=1)
    _dots(axes, area, area, "racu")
    axes.set_xlabel("Area between Random's curve and the ranking's (RACU; 1 is best)")
    note = f"n = {int(area['n'].max())} test images; bars: 95 % intervals over images and trainings"
    axes.set_title(note, fontsize=12, color=GREY, loc="left")
    return figure


def _dots(axes: Axes, part: pd.DataFrame, order: pd.DataFrame, column: str) -> None:
    """Draw one line a ranking of `order`, from the bottom up: its value in `part` as a dot, its interval as a bar."""
    colours, cells = colours_of(order), part.set_index("estimator")
    for y, name in enumerate(order["estimator"]):
        if name in cells.index:
            cell = cells.loc[name]
            axes.plot([cell["low"], cell["high"]], [y, y], color=colours[name], linewidth=3, alpha=0.5)
            axes.plot(cell[column], y, "o", color=colours[name], markersize=9)
    axes.set(yticks=range(len(order)), yticklabels=order["label"], ylim=(-0.6, len(order) - 0.4))
    axes.grid(axis="x")


@styled
def roar_examples(rows: Mapping[str, Sequence[Any]], titles: Sequence[str], caption: str = "") -> Figure:
    """Draw what the network gets to see: one row a ranking, one column a level.

    Args:
        rows: label -> pixels `(3, h, w)` in [0, 1], one for each of `titles`.
        titles: heads of the columns, such as "10 %".
        caption: of the figure.
    """
    if not rows:
        return empty(caption or "There are no images to show.")
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
