"""Charts of methods: mean curves, what a rank costs, what robust training adds, how alike their maps are."""

from collections.abc import Sequence
from itertools import cycle

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatter

from xailib.plots.networks import label_points
from xailib.plots.style import FAMILIES, FAMILY_LABELS, FAMILY_PALETTE, empty, styled, subplots

# Okabe and Ito (2008), and three more that stay apart from them; controls are greys, and dashed.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8B6914", "#7B3294", "#A50F15")
GREYS = ("#000000", "#6F6F6F", "#A0A0A0")


@styled
def mean_curves(curves: pd.DataFrame) -> Figure:
    """Draw the mean curve of each method, one panel a metric; controls are grey and dashed.

    Args:
        curves: `slice_files.mean_curves`; may be empty.
    """
    import seaborn as sns

    if curves.empty:
        return empty("No metric of this study has a curve, as Deletion and Insertion have.")
    facts = curves.drop_duplicates("label").set_index("label")["family"]
    control = {label: family == "control" for label, family in facts.items()}
    palettes = {True: cycle(GREYS), False: cycle(COLOURS)}
    colours = {label: next(palettes[grey]) for label, grey in control.items()}
    panels = list(curves.groupby("metric_label", sort=False))
    figure, (row,) = subplots(1, len(panels), figsize=(5.4 * len(panels) + 2.2, 4.6))
    dashes = {label: (3, 1.5) if grey else "" for label, grey in control.items()}
    for axes, (metric, part) in zip(row, panels, strict=True):
        for label, own in part.groupby("label", sort=False):
            axes.fill_between(own["fraction"], own["low"], own["high"], color=colours[label], alpha=0.08, linewidth=0)
        style = {"hue": "label", "palette": colours, "style": "label", "dashes": dashes, "linewidth": 2.2}
        sns.lineplot(part, x="fraction", y="mean", **style, legend=axes is row[-1], ax=axes)
        axes.set(title=metric, xlabel="Share of the pixels changed", ylabel="Probability of the class", xlim=(0, 1))
        axes.set_ylim(bottom=0)
        axes.grid()
    sns.move_legend(row[-1], "center left", bbox_to_anchor=(1.02, 0.5), title=None)
    return figure


@styled
def cost_and_rank(paid: pd.DataFrame) -> Figure:
    """Draw each method's mean rank against the passes that one map costs, with the rank's interval.

    Args:
        paid: `slice_files.costs` with the columns rank, low and high of `rankings.method_ranks`; may be empty.
    """
    import seaborn as sns

    if paid.empty:
        return empty("No slice says what its maps cost, or no method is ranked.")
    figure, ((axes,),) = subplots(figsize=(8.2, 4.4))
    colours = paid["family"].map(FAMILIES)
    axes.vlines(paid["passes"], paid["low"], paid["high"], colors=colours, alpha=0.5, linewidth=3)
    family = paid["family"].map(FAMILY_LABELS)
    sns.scatterplot(paid, x="passes", y="rank", hue=family, palette=FAMILY_PALETTE, s=110, zorder=3, ax=axes)
    axes.set(xscale="log", xlabel="Images through the network for one map", ylabel="Mean rank (1 is best)")
    axes.xaxis.set_major_formatter("{x:,g}")
    axes.xaxis.set_minor_formatter(LogFormatter())  # Matplotlib's own writes formulas
    axes.margins(x=0.14)
    axes.invert_yaxis()
    axes.grid()
    sns.move_legend(axes, "lower left", bbox_to_anchor=(0, 1), ncols=3, title=None)
    figure.draw_without_rendering()  # labels need the final places of the points
    label_points(axes, paid[["passes", "rank"]].to_numpy(float), list(paid["label"]))
    return figure


@styled
def gains(differences: pd.DataFrame, families: pd.Series) -> Figure:
    """Draw robust minus vanilla with its interval, a row a method and one panel a metric.

    Args:
        differences: `rankings.robust_differences` of groups that are single methods, called by their labels; may be empty.
        families: of the methods, by label.
    """
    whole = differences[differences["architecture"] == "all"] if len(differences) else differences
    if whole.empty:
        return empty("No robust network with a vanilla twin in this study: nothing to compare.")
    panels = list(whole.groupby("metric_label", sort=False))
    labels = list(families.index)
    figure, (row,) = subplots(1, len(panels), figsize=(12.5, 0.34 * len(labels) + 1.3), sharey=True)
    for axes, (metric, part) in zip(row, panels, strict=True):
        colours, places = part["family"].map(families).map(FAMILIES).tolist(), part["family"].map(labels.index)
        axes.axvline(0, color="black", linewidth=1)
        axes.hlines(places, part["low"], part["high"], colors=colours, linewidth=3, alpha=0.6)
        axes.scatter(part["value"], places, c=colours, s=55, zorder=3)
        axes.set(title=metric, ylim=(len(labels) - 0.5, -0.5))
        axes.set_yticks(range(len(labels)), labels)
        axes.grid(axis="x")
    return figure


@styled
def agreement(alike: pd.DataFrame, labels: Sequence[str]) -> Figure:
    """Draw how alike the maps of every two methods are, as numbers in colours.

    Args:
        alike: `slice_files.agreement`; may be empty.
        labels: the methods, in order.
    """
    import seaborn as sns

    if alike.empty:
        return empty("There are no maps to compare.")
    cells = alike.pivot(index="second", columns="first", values="rho").reindex(labels, columns=labels)
    figure, ((axes,),) = subplots(figsize=(0.72 * len(labels) + 3.4, 0.44 * len(labels) + 1.8))
    marks = {"annot": True, "fmt": "z.2f", "annot_kws": {"size": 11}, "cbar_kws": {"label": "Spearman's ρ"}}
    sns.heatmap(cells, vmin=-1, vmax=1, cmap="RdBu_r", linewidths=1, **marks, ax=axes)
    axes.set(xlabel="", ylabel="")
    axes.tick_params(length=0)
    axes.set_xticks(axes.get_xticks(), axes.get_xticklabels(), rotation=35, ha="right")
    return figure
