"""How well the ranks of each method's maps repeat under a second seed."""

import pandas as pd
from matplotlib.figure import Figure

from xailib.analysis.reliability import NOT_MEASURED, RELIABLE
from xailib.plots.style import FAMILIES, FAMILY_LABELS, GREY, empty, styled, subplots


@styled
def reliability(networks: pd.DataFrame) -> Figure:
    """Draw the rank correlation of two seeds' maps: a dot a network, a line at the mean, methods in order of it.

    Args:
        networks: `analysis.reliability.by_network`; may be empty.
    """
    import seaborn as sns

    if networks.empty:
        return empty(NOT_MEASURED)
    means = networks.groupby("label", sort=False)["correlation"].mean().sort_values(ascending=False, kind="stable")
    palette = {label: FAMILIES[family] for family, label in FAMILY_LABELS.items() if family in set(networks["family"])}
    shown = networks.assign(Family=networks["family"].map(FAMILY_LABELS))
    figure, ((axes,),) = subplots(figsize=(9, 0.42 * len(means) + 1.8))
    sns.stripplot(
        shown, x="correlation", y="label", order=list(means.index), hue="Family", hue_order=list(palette),
        palette=palette, size=8, alpha=0.5, jitter=False, ax=axes,
    )  # fmt: skip
    axes.scatter(means, range(len(means)), marker="|", s=350, color="black", linewidth=2, zorder=3)
    axes.axvline(RELIABLE, color="black", linestyle="--", linewidth=1.5, zorder=1)
    fixed = set(networks.loc[networks["deterministic"], "label"])
    right = axes.secondary_yaxis("right")
    told = ["deterministic" if name in fixed else f"{mean:.2f}" for name, mean in means.items()]
    right.set_yticks(range(len(told)), told)
    right.tick_params(length=0)
    right.spines[:].set_visible(False)
    lowest = min(0, networks["correlation"].min())
    axes.set(
        ylabel="",
        xlabel="Rank correlation of two seeds' maps",
        xlim=(lowest - 0.05, 1.05),
        ylim=(len(means) - 0.4, -0.6),
    )
    axes.grid(axis="x")
    axes.set_title(
        f"n = {networks['images'].max()} images; dots: {networks['model'].nunique()} networks; "
        f"black: mean; dashed: {RELIABLE}",
        fontsize=12, color=GREY, loc="left",
    )  # fmt: skip
    if axes.get_legend():  # one dot has none
        sns.move_legend(axes, "lower left", bbox_to_anchor=(0, 1.06), ncols=len(palette), title=None)
    return figure
