"""Curves of ROAR: accuracy against the share of the inputs removed or kept, with intervals and direct labels; its toy problem."""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from xailib.plots.style import GREY, empty, styled, subplots

# Okabe and Ito (2008), as in style.py; controls are black and grey.
METHODS = {"gradient": "#0072B2", "guided_backprop": "#D55E00", "integrated_gradients": "#009E73"}
METHODS |= {"random": "#000000", "sobel": "#7F7F7F"}
OTHERS = ("#CC79A7", "#E69F00", "#56B4E9", "#8B6914")
DASHED = ("squared", "smoothgrad_then_squared", "vargrad")
PANELS = {
    "Single estimates (dashed: squared)": ("plain", "squared"),
    "SmoothGrad (dashed: then squared)": ("smoothgrad", "smoothgrad_then_squared"),
    "SmoothGrad-Squared (dashed: VarGrad)": ("smoothgrad_squared", "vargrad"),
}
# Of the toy problem: Okabe and Ito's colours, a marker and a label each.
RANKINGS = {
    "truth": ("#0072B2", "o", "true ranking: informative inputs first"),
    "random": ("#7F7F7F", "s", "random ranking"),
    "inverted": ("#D55E00", "^", "inverted ranking: informative inputs last"),
}
MODES = {"retrained": "With retraining (ROAR)", "not retrained": "Without retraining"}
NOISE_TERMS = {"scalar": "one noise an example", "vector": "one noise an input"}


def by_form(accuracy: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return title -> rows of `accuracy`: single estimates, SmoothGrad, ensembles, others, each with the controls."""
    part = accuracy[accuracy["level"] > 0]
    tested, controls = part[~part["family"].isin(["control", "check"])], part[part["family"] == "control"]
    panels = {title: tested[tested["form"].isin(forms)] for title, forms in PANELS.items()}
    panels["Other forms"] = tested[~tested["form"].isin(itertools.chain(*PANELS.values()))]
    return {title: pd.concat([rows, controls]) for title, rows in panels.items() if len(rows)}


@styled
def roar_curves(panels: Mapping[str, pd.DataFrame], clean: pd.DataFrame, chance: float, ylabel: str) -> Figure:
    """Draw accuracy against level, one panel a group of rankings, with shared axes and n below.

    Args:
        panels: title -> rows of `roar_tables.accuracy_table` of one mode; at most eight rankings a panel read well.
        clean: its row of unchanged images, on which networks were trained, too; may be empty.
        chance: accuracy of a network that sees nothing.
        ylabel: what is drawn.
    """
    if not panels or any(rows.empty for rows in panels.values()):
        return empty("There are no trainings or tests of these rankings.")
    figure, (row,) = subplots(1, len(panels), figsize=(5.6 * len(panels) + 0.6, 5.8), sharey=True)
    row[0].set(ylabel=ylabel, ylim=(0, 1.0))
    for axes, (title, rows) in zip(row, panels.items(), strict=True):
        _panel(axes, rows, clean, chance)
        axes.set_title(title, pad=12)
    row[0].yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    trained = pd.concat(panels.values())
    seeds = trained.loc[trained["mode"].isin(["remove", "keep"]), "seeds"]
    counts = str(seeds.max()) if seeds.nunique() < 2 else f"{seeds.min()} to {seeds.max()}"
    where = " of the left panel" if "no_retraining_remove" in set(trained["mode"]) else ""
    note = f"n = {int(trained['n'].max())} test images, {counts} training{'s' * (counts != '1')} a point{where}; "
    figure.supxlabel(note + "bands: 95 % intervals over both; dotted: chance", fontsize=12, color=GREY)
    return figure


def _panel(axes: Axes, rows: pd.DataFrame, clean: pd.DataFrame, chance: float) -> None:
    """Draw the curves of one panel, the point of unchanged images included, and label them at their ends."""
    mode, levels = rows["mode"].iloc[0], sorted(rows["level"].unique())
    keep, retrained = mode.endswith("keep"), mode in ("remove", "keep")
    start = clean.assign(level=100 if keep else 0)[: retrained * len(clean)]
    axes.axhline(chance, color=GREY, linestyle=":", linewidth=1.5)
    ends, colours, checks = [], method_colours(rows["method"]), 0
    for name, curve in rows.groupby("estimator", sort=False):
        facts = curve.iloc[0]
        colour, checks = colours[facts["method"]], checks + (facts["family"] == "check")
        dashed = facts["form"] in DASHED or facts["family"] == "check" or name == "sobel"
        curve = pd.concat([start, curve]).sort_values("level")
        axes.fill_between(curve["level"], curve["low"], curve["high"], color=colour, alpha=0.13, linewidth=0)
        style = {"linestyle": (":" if checks == 2 else "--") if dashed else "-", "marker": "s" if dashed else "o"}
        style |= {"linewidth": 3.2 if facts["family"] == "control" else 2.2, "markersize": 5.5}
        axes.plot(curve["level"], curve["accuracy"], color=colour, **style)
        ends.append((curve["accuracy"].iloc[0 if keep else -1], facts["label"], colour))
    first, last = (min(levels), 100 if len(start) else max(levels)) if keep else (0, max(levels))
    span = max(last - first, 1)
    axes.set_xticks(sorted({*levels, last, first}))
    axes.set_xlabel(f"Most important inputs {'kept' if keep else 'removed'} (%)")
    axes.set_xlim((first - 0.4 * span, last + 0.02 * span) if keep else (first - 0.02 * span, last + 0.4 * span))
    axes.spines["bottom"].set_bounds(first, last)
    axes.grid(axis="y")
    label_ends(axes, ends, first if keep else last, span, left=keep)


def method_colours(methods: Iterable[str]) -> dict[str, str]:
    """Return method -> colour; methods beyond the paper's take the next free ones."""
    others = [method for method in dict.fromkeys(methods) if method not in METHODS]
    return METHODS | {method: OTHERS[i % len(OTHERS)] for i, method in enumerate(others)}


def label_ends(
    axes: Axes, ends: Sequence[tuple[float, str, Any]], x: float, span: float, *, left: bool = False
) -> None:
    """Write each curve's label beside its end, pushed apart where they would meet, with a thin line to its end.

    Args:
        axes: with limits set; labels keep 4.6 % of its height apart.
        ends: (y, label, colour) of each curve.
        x: where the curves end.
        span: width of the curves, in data units.
        left: labels stand left of `x`.
    """
    low, high = axes.get_ylim()
    gap, ends = 0.046 * (high - low), sorted(ends, key=lambda end: end[0])
    places = np.array([y for y, *_ in ends], float)
    for _ in range(200):  # neighbours that are too close move apart by half of what they lack
        lack = np.maximum(0, gap - np.diff(places))
        if lack.max(initial=0) < 1e-3 * gap:
            break
        places[1:] += lack / 2
        places[:-1] -= lack / 2
        places += max(0, low + gap / 2 - places[0]) - max(0, places[-1] - (high - gap / 3))
    step, side = (-span, "right") if left else (span, "left")
    for (y, text, colour), place in zip(ends, places, strict=True):
        axes.plot([x, x + 0.05 * step], [y, place], color=colour, linewidth=0.8, clip_on=False)
        axes.text(x + 0.06 * step, place, text, color=colour, va="center", ha=side, fontsize=12)


@styled
def toy_curves(frame: pd.DataFrame) -> Figure:
    """Draw the toy problem: a column with and one without retraining, a row a noise term, 95 % intervals over seeds.

    Args:
        frame: `roar.toy.curves`, or some of its noise terms.
    """
    rows = [name for name in NOISE_TERMS if name in set(frame["noise_term"])]
    figure, grid = subplots(len(rows), 2, figsize=(12, 3.6 * len(rows) + 1.2), sharex=True, sharey=True)
    for (y, x), axes in np.ndenumerate(grid):
        noise_term, mode = rows[y], list(MODES)[x]
        part = frame[(frame["noise_term"] == noise_term) & (frame["mode"] == mode)].sort_values("removed")
        axes.axhline(50, color="black", linewidth=1, linestyle=":")
        for ranking, (colour, marker, label) in RANKINGS.items():
            curve = part[part["ranking"] == ranking]
            mean, half = 100 * curve["accuracy"], 196 * curve["sd"] / np.sqrt(curve["n"])
            axes.fill_between(curve["removed"], mean - half, mean + half, color=colour, alpha=0.2, linewidth=0)
            axes.plot(curve["removed"], mean, color=colour, marker=marker, markersize=6, label=label)
        axes.set(ylim=(45, 102), xticks=range(0, int(frame["removed"].max()) + 1, 2))
        axes.set(
            title=f"{MODES[mode]}, {NOISE_TERMS[noise_term]}", xlabel=f"Inputs removed, of {frame['removed'].max()}"
        )
        axes.set_ylabel("Test accuracy (%)")
        axes.label_outer()
        axes.grid(axis="y")
    figure.legend(*grid[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=len(RANKINGS))
    figure.suptitle(f"n = {frame['n'].iloc[0]} problems; bands: 95 % intervals of the mean", fontsize=12, color=GREY)
    return figure
