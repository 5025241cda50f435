"""A race as a picture: one line a task and peer, a dot at the ratio of times, a bar from the lowest to the highest."""

import argparse
import textwrap

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from timing import machine
from xailib.plots.style import GREY, MARKERS, STYLE, styled, subplots

# Okabe and Ito (2008), with a marker each; the packages of a race in the order in which they come.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")


def save(name: str, frame: pd.DataFrame, chosen: argparse.Namespace, title: str) -> None:
    """Write `<name>.png` in `--save`; `frame` as `dots` wants it."""
    figure = dots(frame, title, machine(chosen))
    figure.savefig(chosen.save / f"{name}.png", dpi=110, bbox_inches=STYLE["savefig.bbox"], metadata={"Software": None})


@styled
def dots(frame: pd.DataFrame, title: str, footnote: str) -> Figure:
    """Draw the ratios of times on a logarithmic axis, a panel each `panel`.

    Args:
        frame: one row a dot: `panel`, `label` (of the line), `peer`, `ratio`, `ratio_low`, `ratio_high`, and `bound`,
            true where the ratio is the least that it can be.
    """
    panels, lines = list(dict.fromkeys(frame["panel"])), list(dict.fromkeys(frame["label"]))[::-1]
    names = list(dict.fromkeys(name.partition(" ")[0] for name in frame["peer"]))
    height = 0.36 * len(lines) + 2.6
    figure, (row,) = subplots(1, len(panels), figsize=(4.5 + 5 * len(panels), height), sharey=True)
    for axes, panel in zip(row, panels, strict=True):
        axes.axvline(1, color="black", linewidth=1.5)
        for one in frame[frame["panel"] == panel].itertuples():
            index = names.index(one.peer.partition(" ")[0])
            y, colour = lines.index(one.label), COLOURS[index % len(COLOURS)]
            axes.plot([one.ratio_low, one.ratio_high], [y, y], color=colour, linewidth=3, alpha=0.5)
            axes.plot(one.ratio, y, ">" if one.bound else MARKERS[index % len(MARKERS)], color=colour, markersize=9)
            more = "> " if one.bound else ""
            at = {"xytext": (8, 0), "textcoords": "offset points", "va": "center", "fontsize": 11}
            box = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1}
            axes.annotate(f"{more}{one.ratio:.2f}", (one.ratio_high, y), bbox=box, **at)
        axes.set_xscale("log")
        low, high = frame["ratio_low"].min(), frame["ratio_high"].max()
        axes.set(xlim=(min(low, 1) / 1.3, max(high, 1) * 2), ylim=(-0.7, len(lines) - 0.3), title=panel)
        axes.set_yticks(range(len(lines)), lines)
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.grid(axis="x")
        axes.set_xlabel("Peer's time over ours (right of 1: ours is faster)")
    handles = [
        Line2D([], [], color=COLOURS[i % len(COLOURS)], marker=MARKERS[i % len(MARKERS)], linewidth=3, label=name)
        for i, name in enumerate(names)
    ]
    figure.legend(
        handles=handles, loc="outside upper left", ncols=min(len(names), 4 * len(panels)), title=title, alignment="left"
    )
    figure.supxlabel("\n".join(textwrap.wrap(footnote, 60 * len(panels))), fontsize=11, color=GREY)
    return figure
