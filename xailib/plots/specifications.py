"""The specification curve: a claim's number under every combination of conventions, and which combination each one is."""

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from xailib.plots import style


@style.styled
def specification_curve(table: pd.DataFrame, titles: dict[str, str], colours: Mapping[str, str]) -> plt.Figure:
    """Draw one column of panels a claim: effects sorted, with intervals; below, dots for what each combination chose.

    Args:
        table: `specifications.table`.
        titles: claim -> what its number is.
        colours: of the verdicts, in the order of the legend.
    """
    shown = [id for id in titles if (table["finding"] == id).sum() > 1]
    if not shown:
        return style.empty("This study has one convention of each kind: nothing to compare.")
    own = {id: _varied(table[table["finding"] == id]) for id in shown}
    most = max(sum(rows[name].nunique() for name in names) for rows, names in own.values())
    size, heights = (5.3 * len(shown) + 0.6, 3.2 + 0.3 * most), (2.8, 0.3 * most)
    figure, grid = plt.subplots(2, len(shown), figsize=size, height_ratios=heights, squeeze=False, sharex="col")
    for (upper, lower), id in zip(grid.T, shown, strict=True):
        rows, names = own[id]
        rows = rows.assign(colour=rows["verdict"].map(colours))
        _effects(upper, rows)
        upper.set_title(f"{id}: {titles[id]}\n(n = {len(rows)} combinations)", fontsize=13)
        _choices(lower, rows, names)
    met = [word for word in colours if any((rows["verdict"] == word).any() for rows, _ in own.values())]
    handles = [plt.Line2D([], [], color=colours[word], marker="o", label=word) for word in met]
    handles.append(plt.Line2D([], [], color="black", linestyle="--", label="the study's own conventions"))
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles))
    return figure


def _varied(rows: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """One claim's rows sorted by effect, and the conventions that it varies."""
    rows = rows.sort_values("value", kind="stable", ignore_index=True)
    facts = ["finding", "verdict", "value", "low", "high", "default"]
    return rows, [name for name in rows.columns.difference(facts, sort=False) if rows[name].nunique() > 1]


def _effects(axes: Axes, rows: pd.DataFrame) -> None:
    axes.axhline(0, color="black", linewidth=1)
    axes.vlines(rows.index, rows["low"], rows["high"], colors=rows["colour"], linewidth=1.5, alpha=0.5)
    axes.scatter(rows.index, rows["value"], c=rows["colour"], s=22, zorder=3)
    for place in rows.index[rows["default"].astype(bool)]:
        axes.axvline(place, color="black", linestyle="--", linewidth=1, zorder=0)
    axes.grid(axis="y")


def _choices(axes: Axes, rows: pd.DataFrame, names: list[str]) -> None:
    place, labels = 0.0, {}
    for name in names:
        for option in rows[name].unique():
            chosen = np.flatnonzero(rows[name] == option)
            axes.scatter(chosen, np.full(len(chosen), place), s=14, c=rows["colour"][chosen])
            labels[place] = f"{name}: {option}" if option == rows[name].unique()[0] else str(option)
            place += 1
        place += 0.4
    axes.set_yticks(list(labels), labels.values(), fontsize=12)
    axes.set(ylim=(place - 0.4, -0.8), xticks=[])
    axes.tick_params(axis="y", length=0)
