"""Charts of methods: their mean ranks, and what robust training changes for each family."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from xailib.plots.style import FAMILIES, FAMILY_LABELS, GREY, MARKERS, empty, styled, subplots


@styled
def method_ranks(ranks: pd.DataFrame) -> Figure:
    """Draw the mean rank of each method with its interval, and its mean rank under each metric beside it.

    Args:
        ranks: `rankings.method_ranks`; may be empty.
    """
    if ranks.empty:
        return empty("This study has no method beside the controls: nothing to rank.")
    whole = ranks[ranks["metric"] == "all"].sort_values("rank", ascending=False, kind="stable")
    metrics = [name for name in dict.fromkeys(ranks["metric"]) if name != "all"]
    figure, ((axes, grid),) = subplots(1, 2, figsize=(12, 0.5 * len(whole) + 1.8), width_ratios=(1.5, 1), sharey=True)
    for y, row in enumerate(whole.itertuples()):
        axes.plot(
            [row.low, row.high], [y, y], color=FAMILIES[row.family], linewidth=3, solid_capstyle="round", alpha=0.6
        )
        axes.plot(row.rank, y, "o", color=FAMILIES[row.family], markersize=10)
    methods = len(whole)
    axes.set(yticks=range(methods), yticklabels=whole["label"], xlim=(0.7, methods + 0.3), ylim=(-0.6, methods - 0.4))
    axes.set_xticks(range(1, methods + 1))
    axes.set_xlabel(f"Mean rank over all metrics (1 is best of {methods})")
    axes.grid(axis="x")
    present = [name for name in FAMILIES if name in set(whole["family"])]
    handles = [
        Line2D([], [], color=FAMILIES[name], marker="o", linewidth=3, label=FAMILY_LABELS[name]) for name in present
    ]
    figure.legend(handles=handles, loc="outside upper left", ncols=len(handles), title=None)

    table = ranks.pivot(index="method", columns="metric", values="rank").loc[whole["method"], metrics].to_numpy()
    grid.imshow(table, cmap="cividis_r", vmin=1, vmax=methods, aspect="auto")
    for (y, x), value in np.ndenumerate(table):
        dark = value > (methods + 1) / 2
        grid.text(
            x,
            y,
            "-" if np.isnan(value) else f"{value:.1f}",
            ha="center",
            va="center",
            color="white" if dark else "black",
        )
    labels = ranks.dropna(subset=["metric_label"]).set_index("metric")["metric_label"].to_dict()
    grid.set_xticks(range(len(metrics)), [labels[name].replace(" ", "\n", 1) for name in metrics])
    grid.tick_params(length=0, labelsize=12)
    grid.spines[:].set_visible(False)
    grid.set_title("Mean rank under each metric", fontsize=13)
    n = whole.iloc[0]
    axes.set_title(
        f"n = {whole['models'].max()} networks, {n['images']} images; bars: 95 % intervals over both",
        fontsize=12,
        color=GREY,
        loc="left",
    )
    return figure


@styled
def robust_differences(differences: pd.DataFrame) -> Figure:
    """Draw robust minus vanilla by family and metric: mean with interval over architectures, and each architecture.

    Args:
        differences: `rankings.robust_differences`; may be empty.
    """
    if differences.empty:
        return empty("No robust network with a vanilla twin in this study: nothing to compare.")
    metrics, families = list(dict.fromkeys(differences["metric"])), list(dict.fromkeys(differences["family"]))
    architectures = [name for name in dict.fromkeys(differences["architecture"]) if name != "all"]
    figure, (row,) = subplots(1, len(metrics), figsize=(3.1 * len(metrics) + 0.8, 5.2), sharey=True)
    for axes, metric in zip(row, metrics, strict=True):
        part = differences[differences["metric"] == metric]
        axes.axhline(0, color="black", linewidth=1)
        for x, family in enumerate(families):
            cell = part[part["family"] == family].set_index("architecture")
            for i, name in enumerate(architectures):
                offset = x + 0.22 + 0.2 * i / max(len(architectures) - 1, 1)
                axes.plot(
                    offset,
                    cell["value"].get(name),
                    MARKERS[i],
                    color=FAMILIES[family],
                    markersize=6,
                    alpha=0.75,
                    markeredgewidth=0,
                )
            whole = cell.loc["all"]
            axes.plot(
                [x, x],
                [whole["low"], whole["high"]],
                color=FAMILIES[family],
                linewidth=3,
                solid_capstyle="round",
                alpha=0.6,
            )
            axes.plot(x, whole["value"], "o", color=FAMILIES[family], markersize=11)
        axes.set_xticks(
            np.arange(len(families)) + 0.15, [FAMILY_LABELS[name] for name in families], rotation=25, ha="right"
        )
        axes.set_xlim(-0.3, len(families) - 0.4)
        axes.set_title(part["metric_label"].iloc[0])
        axes.grid(axis="y")
    row[0].set_ylabel("Robust minus vanilla\n(above 0: robust network better)")
    labels = dict(zip(differences["architecture"], differences["label"], strict=True))
    handles = [Line2D([], [], color=GREY, marker="o", markersize=11, linewidth=3, label="mean and 95 % interval")]
    handles += [
        Line2D([], [], color=GREY, marker=MARKERS[i], linewidth=0, label=labels[name])
        for i, name in enumerate(architectures)
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=min(len(handles), 6))
    n, images = len(architectures), int(differences["images"].iloc[0])
    figure.suptitle(
        f"n = {n} pairs of networks, {images} images; intervals over both" + few(n), fontsize=12, color=GREY
    )
    return figure


def few(units: int) -> str:
    """Say why there is no interval over so few networks."""
    from xailib.analysis.draws import FEWEST_UNITS

    return f" (too few pairs for an interval: {FEWEST_UNITS} are needed)" if units < FEWEST_UNITS else ""
