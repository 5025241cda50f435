"""The figure of ROAR's toy problem: accuracy against the number of removed inputs, with and without retraining."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from xailib.plots.style import GREY, styled, subplots

# Okabe and Ito's colours, a marker and a label each.
RANKINGS = {
    "truth": ("#0072B2", "o", "true ranking: informative inputs first"),
    "random": ("#7F7F7F", "s", "random ranking"),
    "inverted": ("#D55E00", "^", "inverted ranking: informative inputs last"),
}
MODES = {"retrained": "With retraining (ROAR)", "not retrained": "Without retraining"}
NOISE_TERMS = {"scalar": "one noise an example", "vector": "one noise an input"}


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
