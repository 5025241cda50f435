"""Charts of criteria: networks as points on two of them, and the rank correlation of every two."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from xailib.plots.style import FAMILIES, FAMILY_LABELS, GREY, MARKERS, algorithms, empty, note, styled, subplots

ARROWS = {"higher": " ↑", "lower": " ↓"}
MOST = 40  # points with a name: more names would hide the points


@styled
def scatter(points: pd.DataFrame, pairs: pd.DataFrame, unit: str = "networks", columns: int = 2) -> Figure:
    """Draw one panel a pair of criteria, one labelled point a unit, with intervals over images and rho in the title.

    Args:
        points: `correlation.points`; may be empty.
        pairs: `correlation.correlate`, for the titles.
        unit: what n counts.
        columns: panels a row.
    """
    import seaborn as sns

    if points.empty:
        return empty("These criteria were not measured in this study.")
    panels = list(points.groupby(["first", "second"], sort=False))
    columns = min(columns, len(panels))
    rows = -(-len(panels) // columns)
    figure, grid = subplots(rows, columns, figsize=(6.2 * columns, 5.0 * rows + 0.5))
    figure.get_layout_engine().set(h_pad=0.12, w_pad=0.08)
    kinds = algorithms(points["training_algorithm"])
    colours = {label: colour for colour, label in kinds.values()}
    points = points.assign(kind=points["training_algorithm"].map({name: label for name, (_, label) in kinds.items()}))
    shapes = {name: MARKERS[i % len(MARKERS)] for i, name in enumerate(dict.fromkeys(points["architecture"]))}
    for axes, (names, _) in zip(grid.flat, panels, strict=False):
        part = points[(points["first"] == names[0]) & (points["second"] == names[1])]
        bars = {"colors": part["kind"].map(colours), "linewidth": 1.5, "alpha": 0.5}
        axes.hlines(part["y"], part["x_low"], part["x_high"], **bars)
        axes.vlines(part["x"], part["y_low"], part["y_high"], **bars)
        sns.scatterplot(part, x="x", y="y", hue="kind", palette=colours, style="architecture", markers=shapes, s=90,
                        linewidth=0, legend=False, zorder=3, ax=axes)  # fmt: skip
        axes.set_xlabel(part["x_label"].iloc[0] + ARROWS.get(part["x_better"].iloc[0], ""))
        axes.set_ylabel(part["y_label"].iloc[0] + ARROWS.get(part["y_better"].iloc[0], ""))
        axes.set_title(_rho(pairs, unit, *names), fontsize=12)
        axes.grid()
        axes.margins(0.14)
    for axes in grid.flat[len(panels) :]:
        axes.axis("off")
    legend = [axes.scatter([], [], color=colour, s=90, label=label) for label, colour in colours.items()]
    figure.legend(handles=legend, loc="outside upper center", ncols=len(legend))
    figure.draw_without_rendering()  # labels need the final places of the points
    for axes, (_, part) in zip(grid.flat, panels, strict=False):
        label_points(axes, part[["x", "y"]].to_numpy(float), list(part["label"]))
    return figure


def _rho(pairs: pd.DataFrame, unit: str, *names: str) -> str:
    """Spearman's rho of two criteria as a title, whichever way round the pair is stored."""
    rows = pairs[pairs["first"].isin(names) & pairs["second"].isin(names)].dropna(subset=["rho"])
    if rows.empty:
        return f"Spearman's ρ: too few {unit}"
    row = rows.iloc[0]
    interval = f" [{row['low']:+z.2f}, {row['high']:+z.2f}]" if np.isfinite(row["low"]) else ""
    return f"Spearman's ρ = {row['rho']:+z.2f}{interval}, n = {int(row['n'])} {unit}"


def label_points(axes: Axes, points: np.ndarray, labels: list[str]) -> None:
    """Write each label at the place around its point `(n, 2)` that meets fewest others, with a line when it is far.

    Of more than `MOST` points none is written.
    """
    if len(points) > MOST:
        return
    places, unit = axes.transData.transform(points), axes.figure.dpi / 72
    frame = axes.get_window_extent()
    known = np.flatnonzero(np.isfinite(places).all(axis=1))
    taken = [np.r_[places[i] - 6 * unit, places[i] + 6 * unit] for i in known]
    angles = np.arange(16) * np.pi / 8
    around = [(ring, radius * unit, angle) for ring, radius in enumerate((9, 22, 38, 56)) for angle in angles]
    for i in known:
        half, best = np.array([3.1 * len(labels[i]), 6.5]) * unit, None
        for ring, radius, angle in around:
            centre = places[i] + np.array([np.cos(angle), np.sin(angle)]) * (radius + half * [1, 0.6])
            box = np.r_[centre - half, centre + half]
            outside = (box[:2] < frame.min).any() or (box[2:] > frame.max).any()
            lost = sum(_overlap(box, other) for other in taken) + 1e6 * outside + 4 * ring * unit**2
            if best is None or lost < best[0]:
                best = lost, ring, centre, box
        _, ring, centre, box = best
        taken.append(box)
        line = {"arrowstyle": "-", "color": "#999999", "linewidth": 0.7, "shrinkA": 0, "shrinkB": 4} if ring else None
        axes.annotate(
            labels[i], points[i], axes.transData.inverted().transform(centre), ha="center", va="center", fontsize=10,
            bbox={"boxstyle": "square,pad=0.05", "facecolor": "white", "edgecolor": "none", "alpha": 0.85},
            arrowprops=line, annotation_clip=False,
        ).set_in_layout(False)  # fmt: skip


def _overlap(a: np.ndarray, b: np.ndarray) -> float:
    """The area that two boxes (left, bottom, right, top) share."""
    return float(np.prod(np.maximum(0, np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]))))


@styled
def dose(doses: pd.DataFrame) -> Figure:
    """Draw how often maps hit and networks are right against the radius that networks were trained against.

    Args:
        doses: `ladder.doses`.
    """
    import seaborn as sns

    figure, (panels,) = subplots(1, 2, figsize=(12, 4.4))
    labels = {name: f"{label} methods" for name, label in FAMILY_LABELS.items()}
    labels |= {"clean": "Clean images", "l2_pgd": "Under attack"}
    palette = {labels[name]: colour for name, colour in {**FAMILIES, "clean": "black", "l2_pgd": GREY}.items()}
    doses = doses.assign(what=doses["what"].map(labels))
    for axes, (name, part) in zip(panels, doses.sort_values("rung").groupby("axis", sort=False), strict=False):
        sns.lineplot(part, x="rung", y="value", hue="what", palette=palette, marker="o", errorbar=None, ax=axes)
        for what, own in part.groupby("what"):
            low, high = own["low"].clip(lower=0), own["high"].clip(upper=1)
            axes.fill_between(own["rung"], low, high, color=palette[what], alpha=0.15, linewidth=0)
        axes.set(xlabel="L2 radius that the network was trained against", ylabel=name)
        axes.set_xticks(part["rung"].unique(), part["epsilon"].map("{:.2g}".format).unique())
        axes.legend(title=None)
        axes.grid(axis="y")
        seeds = part["seeds"].min()
        n = f"n = {part['images'].max():,} images, {seeds} seed{'' if seeds == 1 else 's'} a radius"
        note(axes, f"{n}; bands: 95 % intervals over {'both' if part['seeds'].max() > 1 else 'images'}")
    return figure


@styled
def correlation_matrix(pairs: pd.DataFrame, facts: pd.DataFrame, unit: str = "networks") -> Figure:
    """Draw Spearman's rho of each pair of criteria; a star marks those that pass the critical value.

    Args:
        pairs: `correlation.correlate` over all pairs.
        facts: `Criteria.facts`.
        unit: what n counts.
    """
    import seaborn as sns

    if pairs.empty or pairs["rho"].isna().all():
        return empty(f"Too few {unit} for correlations: at least three are needed.")
    # A row or column that holds nothing, where pairs of a part and its whole are left out, is left out too.
    rows, columns = [[name for name in facts.index if name in set(pairs[side])] for side in ("second", "first")]
    names = [name for name in facts.index if name in {*rows, *columns}]
    labels = {name: facts.loc[name, "label"] + ARROWS.get(facts.loc[name, "better"], "") for name in names}
    star = np.where(pairs["rho"].abs() >= pairs["critical"], "*", "")
    cells = pairs.assign(text=pairs["rho"].map("{:+z.2f}".format) + star)
    rho, text = (
        cells.pivot(index="second", columns="first", values=key).reindex(rows, columns=columns).rename(labels)
        for key in ("rho", "text")
    )
    figure, ((axes,),) = subplots(figsize=(0.8 * len(names) + 3.2, 0.46 * len(names) + 2.2))
    sns.heatmap(rho.rename(columns=labels), annot=text, fmt="", vmin=-1, vmax=1, cmap="RdBu_r", linewidths=1,
                annot_kws={"size": 12}, cbar_kws={"label": "Spearman's ρ", "shrink": 0.6}, ax=axes)  # fmt: skip
    axes.set(xlabel="", ylabel="")
    axes.tick_params(length=0, labelsize=12)
    axes.set_xticks(axes.get_xticks(), axes.get_xticklabels(), rotation=40, ha="right")
    counts = sorted({int(pairs["n"].min()), int(pairs["n"].max())})
    least = pairs["critical"].min()
    passed = "too few for q < 0.05" if np.isinf(least) else "* q < 0.05"
    passed += f" (|ρ| ≥ {least:.2f})" if len(counts) == 1 and np.isfinite(least) else ""
    note(axes, f"n = {' to '.join(map(str, counts))} {unit}; {passed}")
    return figure
