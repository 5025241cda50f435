"""Curves of ROAR: accuracy against the share of the inputs removed or kept, with intervals and direct labels."""

from collections.abc import Sequence
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
AXES = {
    "remove": "Most important inputs removed (%)",
    "keep": "Most important inputs kept (%)",
    "no_retraining_remove": "Most important inputs removed (%)",
    "no_retraining_keep": "Most important inputs kept (%)",
}


@styled
def roar_curves(accuracy: pd.DataFrame, chance: float, mode: str = "remove") -> Figure:
    """Draw accuracy against level: single estimates, SmoothGrad, and the ensembles, with Random and Sobel in each.

    Args:
        accuracy: `roar_tables.accuracy_table`.
        chance: accuracy of a network that sees nothing.
        mode: remove (ROAR: the lower, the better the ranking) or keep (KAR: the higher, the better).
    """
    part = accuracy[(accuracy["mode"] == mode) & (accuracy["level"] > 0)]
    tested = part[~part["family"].isin(["control", "check"])]
    panels = {title: tested[tested["form"].isin(forms)] for title, forms in PANELS.items()}
    controls = part[part["family"] == "control"]
    panels = {title: pd.concat([rows, controls]) for title, rows in panels.items() if len(rows)}
    better = {"remove": "lower: better ranking", "keep": "higher: better ranking"}[mode]
    return _panels(accuracy, panels, chance, f"Test accuracy after retraining\n({better})")


@styled
def roar_retraining(accuracy: pd.DataFrame, chance: float, estimators: Sequence[str] = ()) -> Figure:
    """Draw the same rankings with retraining and without, side by side.

    Args:
        accuracy: `roar_tables.accuracy_table`.
        chance: accuracy of a network that sees nothing.
        estimators: at most eight read well; by default the single estimates, the ensembles of the gradient and the
            controls.
    """
    without = accuracy[accuracy["mode"] == "no_retraining_remove"]
    chosen = list(estimators) or _telling(without)
    both = {"Retrained (ROAR)": accuracy[(accuracy["mode"] == "remove") & (accuracy["level"] > 0)]}
    both["The explained network, not retrained"] = without
    panels = {title: rows[rows["estimator"].isin(chosen)] for title, rows in both.items()}
    if any(rows.empty for rows in panels.values()):
        return empty("This study did not test the explained network without retraining.")
    return _panels(accuracy, panels, chance, "Test accuracy")


@styled
def roar_blurred(accuracy: pd.DataFrame, chance: float) -> Figure:
    """Draw what should change nothing: a blurred ranking beside its original, Random redrawn beside Random fixed."""
    part = accuracy[(accuracy["mode"] == "remove") & (accuracy["level"] > 0)]
    checks = part[part["family"] == "check"]
    if checks.empty:
        return empty("This study has no blurred or redrawn rankings.")
    panels = {}
    for method in dict.fromkeys(checks["method"]):
        ours = (part["method"] == method) & part["form"].isin(["plain"])
        original = part[ours & (part["family"] != "check")]
        label = original["label"].iloc[0] if len(original) else method
        panels[f"{label} and its variants"] = pd.concat([original, checks[checks["method"] == method]])
    return _panels(accuracy, panels, chance, "Test accuracy after retraining")


def _telling(part: pd.DataFrame) -> list[str]:
    """The rankings that tell most: single estimates, the gradient's ensembles, the controls."""
    gradients = (part["method"] == "gradient") & (part["family"] == "ensemble")
    return part[(part["form"] == "plain") & (part["family"] != "check") | gradients]["estimator"].unique().tolist()


def _panels(accuracy: pd.DataFrame, panels: dict[str, pd.DataFrame], chance: float, ylabel: str) -> Figure:
    """Draw one panel a group of rankings, with shared axes and n below."""
    if not panels:
        return empty("There are no trainings of these rankings.")
    figure, (row,) = subplots(1, len(panels), figsize=(5.6 * len(panels) + 0.6, 5.8), sharey=True)
    row[0].set(ylabel=ylabel, ylim=(0, 1.0))
    for axes, (title, rows) in zip(row, panels.items(), strict=True):
        _panel(axes, rows, accuracy[accuracy["level"] == 0], chance)
        axes.set_title(title, fontsize=14, pad=12)
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
    levels = sorted(rows["level"].unique())
    modes = rows["mode"].unique()
    keep = modes[0].endswith("keep")
    axes.axhline(chance, color=GREY, linestyle=":", linewidth=1.5)
    ends, colours, checks = [], colours_of(rows), 0
    for name, curve in rows.groupby("estimator", sort=False):
        curve = curve.sort_values("level")
        facts = curve.iloc[0]
        if len(clean) and modes[0] in ("remove", "keep"):  # unchanged images were trained on anew, too
            curve = pd.concat([clean.assign(level=100 if keep else 0), curve]).sort_values("level")
        x, y, low, high = (curve[key].to_numpy(float) for key in ("level", "accuracy", "low", "high"))
        control = facts["family"] == "control"
        checks += facts["family"] == "check"
        dashed = facts["form"] in DASHED or facts["family"] == "check" or name == "sobel"
        style = (":" if checks == 2 else "--") if dashed else "-"
        axes.fill_between(x, low, high, color=colours[name], alpha=0.13, linewidth=0)
        axes.plot(x, y, style, color=colours[name], linewidth=3.2 if control else 2.2)
        axes.plot(x, y, "s" if dashed else "o", color=colours[name], markersize=5.5)
        ends.append((y[0] if keep else y[-1], facts["label"], colours[name]))
    first, last = (min(levels), 100 if len(clean) else max(levels)) if keep else (0, max(levels))
    span = max(last - first, 1)
    axes.set_xticks(sorted({*levels, last, first}))
    axes.set_xlabel(AXES.get(modes[0], ""))
    axes.set_xlim((first - 0.02 * span, last + 0.4 * span) if not keep else (first - 0.4 * span, last + 0.02 * span))
    axes.spines["bottom"].set_bounds(first, last)
    axes.grid(axis="y")
    label_ends(axes, ends, first if keep else last, span, left=keep)


def colours_of(rows: pd.DataFrame) -> dict[str, str]:
    """Each ranking's colour: its method's; methods beyond the paper's take the next free ones."""
    others = [method for method in dict.fromkeys(rows["method"]) if method not in METHODS]
    table = METHODS | {method: OTHERS[i % len(OTHERS)] for i, method in enumerate(others)}
    return {row.estimator: table[row.method] for row in rows.itertuples()}


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
    gap = 0.046 * (high - low)
    order = sorted(range(len(ends)), key=lambda i: ends[i][0])
    places = np.array([ends[i][0] for i in order], float)
    for _ in range(200):  # neighbours that are too close move apart by half of what they lack
        lack = np.maximum(0, gap - np.diff(places))
        if lack.max(initial=0) < 1e-3 * gap:
            break
        places[1:] += lack / 2
        places[:-1] -= lack / 2
        places += max(0, low + gap / 2 - places[0]) - max(0, places[-1] - (high - gap / 3))
    sign = -1 if left else 1
    for i, place in zip(order, places, strict=True):
        y, text, colour = ends[i]
        axes.plot([x, x + sign * 0.05 * span], [y, place], color=colour, linewidth=0.8, clip_on=False)
        axes.text(x + sign * 0.06 * span, place, text, color=colour, va="center", ha="right" if left else "left",
                  fontsize=12)  # fmt: skip
