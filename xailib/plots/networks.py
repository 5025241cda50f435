"""Charts of networks: criteria against each other, correlations, confidence."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from xailib.plots.style import GREY, MARKERS, algorithms, empty, styled, subplots

ARROWS = {"higher": " ↑", "lower": " ↓"}


@styled
def scatter(points: pd.DataFrame, pairs: pd.DataFrame, columns: int = 2) -> Figure:
    """Draw one panel a pair of criteria, one labelled point a network, with intervals over images and rho in the title.

    Args:
        points: `correlation.points`; may be empty.
        pairs: `correlation.correlate`, for the titles.
        columns: panels a row.
    """
    if points.empty:
        return empty("These criteria were not measured in this study.")
    panels = list(points.groupby(["first", "second"], sort=False))
    columns = min(columns, len(panels))
    rows = -(-len(panels) // columns)
    figure, grid = subplots(rows, columns, figsize=(6.2 * columns, 5.0 * rows + 0.5))
    figure.get_layout_engine().set(h_pad=0.12, w_pad=0.08)
    architectures, kinds = list(dict.fromkeys(points["architecture"])), algorithms(points["training_algorithm"])
    for axes, ((first, second), part) in zip(grid.flat, panels, strict=False):
        for row in part.itertuples():
            colour = kinds[row.training_algorithm][0]
            axes.plot([row.x_low, row.x_high], [row.y, row.y], color=colour, linewidth=1.2, alpha=0.4)
            axes.plot([row.x, row.x], [row.y_low, row.y_high], color=colour, linewidth=1.2, alpha=0.4)
            axes.plot(
                row.x, row.y, MARKERS[architectures.index(row.architecture) % len(MARKERS)], color=colour, markersize=9
            )
        axes.set_xlabel(part["x_label"].iloc[0] + ARROWS.get(part["x_better"].iloc[0], ""))
        axes.set_ylabel(part["y_label"].iloc[0] + ARROWS.get(part["y_better"].iloc[0], ""))
        axes.set_title(_told(pairs, first, second), fontsize=12)
        axes.grid()
        axes.margins(0.14)
    for axes in grid.flat[len(panels) :]:
        axes.axis("off")
    handles = [
        Line2D([], [], color=colour, marker="o", linewidth=0, markersize=9, label=label)
        for colour, label in kinds.values()
    ]
    figure.legend(handles=handles, loc="outside upper center", ncols=len(handles))
    figure.draw_without_rendering()  # labels need the final places of the points
    for axes, (_, part) in zip(grid.flat, panels, strict=False):
        _label(axes, part["x"].to_numpy(float), part["y"].to_numpy(float), list(part["label"]))
    return figure


def _told(pairs: pd.DataFrame, first: str, second: str) -> str:
    """Spearman's rho of two criteria as a title, whichever way round the pair is stored."""
    rows = pairs[
        ((pairs["first"] == first) & (pairs["second"] == second))
        | ((pairs["first"] == second) & (pairs["second"] == first))
    ]
    if rows.empty or not np.isfinite(rows["rho"].iloc[0]):
        return "Spearman's ρ: too few networks"
    row = rows.iloc[0]
    interval = f" [{row['low']:+.2f}, {row['high']:+.2f}]" if np.isfinite(row["low"]) else ""
    return f"Spearman's ρ = {row['rho']:+.2f}{interval}, n = {int(row['n'])} networks"


def _label(axes: Axes, x: np.ndarray, y: np.ndarray, labels: list[str]) -> None:
    """Write each point's label at the place around it that meets fewest others, with a thin line when it is far."""
    places = axes.transData.transform(np.column_stack([x, y]))
    frame, unit = axes.get_window_extent(), axes.figure.dpi / 72
    known = [i for i in range(len(labels)) if np.isfinite(places[i]).all()]
    taken = [tuple(np.r_[places[i] - 6 * unit, places[i] + 6 * unit]) for i in known]
    angles = np.arange(16) * np.pi / 8
    for i in known:
        half = np.array([3.1 * len(labels[i]), 6.5]) * unit
        options = []
        for ring, radius in enumerate((9, 22, 38, 56)):
            for angle in angles:
                direction = np.array([np.cos(angle), np.sin(angle)])
                centre = places[i] + direction * (radius * unit + half * np.array([1, 0.6]))
                box = (*(centre - half), *(centre + half))
                outside = box[0] < frame.x0 or box[2] > frame.x1 or box[1] < frame.y0 or box[3] > frame.y1
                clash = sum(_overlap(box, other) for other in taken)
                options.append((clash + 1e6 * outside + 4 * ring * unit**2, len(options), ring, centre, box))
        _, _, ring, centre, box = min(options, key=lambda option: option[:2])
        taken.append(box)
        spot = axes.transData.inverted().transform(centre)
        line = {"arrowstyle": "-", "color": "#999999", "linewidth": 0.7, "shrinkA": 0, "shrinkB": 4} if ring else None
        axes.annotate(
            labels[i],
            (x[i], y[i]),
            spot,
            ha="center",
            va="center",
            fontsize=10,
            color="#222222",
            bbox={"boxstyle": "square,pad=0.05", "facecolor": "white", "edgecolor": "none", "alpha": 0.85},
            arrowprops=line,
            annotation_clip=False,
        ).set_in_layout(False)


def _overlap(a: tuple[float, ...], b: tuple[float, ...]) -> float:
    return max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[1], b[1]))


@styled
def correlation_matrix(pairs: pd.DataFrame, facts: pd.DataFrame, unit: str = "networks") -> Figure:
    """Draw Spearman's rho of each pair of criteria; coefficients below the critical value are set in grey.

    Args:
        pairs: `correlation.correlate` over all pairs.
        facts: `Criteria.facts`.
        unit: what n counts.
    """
    if pairs.empty or pairs["rho"].isna().all():
        return empty(f"Too few {unit} for correlations: at least three are needed.")
    names = list(dict.fromkeys([*pairs["first"], *pairs["second"]]))
    labels = [facts.loc[name, "label"] + ARROWS.get(facts.loc[name, "better"], "") for name in names]
    matrix = np.full((len(names), len(names)), np.nan)
    figure, ((axes,),) = subplots(figsize=(0.85 * len(names) + 3.2, 0.66 * len(names) + 2.2))
    for row in pairs.itertuples():
        y, x = names.index(row.second), names.index(row.first)
        matrix[y, x] = row.rho
        if np.isfinite(row.rho):
            strong = abs(row.rho) >= row.critical
            dark = abs(row.rho) > 0.7
            colour = ("white" if dark else "black") if strong else ("#D9D9D9" if dark else "#4D4D4D")
            axes.text(
                x,
                y,
                f"{row.rho:+.2f}",
                ha="center",
                va="center",
                color=colour,
                fontweight="bold" if strong else "normal",
                fontsize=12,
            )
    image = axes.imshow(matrix, cmap="RdBu_r", vmin=-1, vmax=1)
    axes.set_xticks(range(len(names) - 1), labels[:-1], rotation=40, ha="right", fontsize=12)
    axes.set_yticks(range(1, len(names)), labels[1:], fontsize=12)
    axes.set(xlim=(-0.5, len(names) - 1.5), ylim=(len(names) - 0.5, 0.5))
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    figure.colorbar(image, ax=axes, label="Spearman's ρ", shrink=0.6)
    counts = sorted({int(pairs["n"].min()), int(pairs["n"].max())})
    if np.isinf(pairs["critical"]).all():
        bold = "too few for p < 0.05"
    else:
        bold = "bold: " + (f"|ρ| ≥ {pairs['critical'].min():.2f} (p < 0.05)" if len(counts) == 1 else "p < 0.05")
    axes.set_title(
        f"n = {' to '.join(map(str, counts))} {unit}; {bold}",
        fontsize=12,
        color=GREY,
        loc="left",
    )
    return figure


@styled
def confidence_histograms(histogram: pd.DataFrame) -> Figure:
    """Draw how often each confidence occurs: one panel a training algorithm, a thin line a network, a filled mean.

    Args:
        histogram: `correlation.confidence_histogram`.
    """
    kinds = algorithms(histogram["training_algorithm"])
    figure, (row,) = subplots(1, len(kinds), figsize=(4.2 * len(kinds) + 0.8, 4.4), sharey=True)
    architectures = list(dict.fromkeys(histogram["architecture"]))
    for axes, (name, (colour, label)) in zip(row, kinds.items(), strict=True):
        part = histogram[histogram["training_algorithm"] == name]
        whole = part.groupby("low")["share"].mean()
        edges = [*whole.index, part["high"].max()]
        axes.stairs(whole, edges, fill=True, color=colour, alpha=0.35)
        for _, network in part.groupby("model"):
            style = ("-", "--", ":", "-.", (0, (6, 1)))[architectures.index(network["architecture"].iloc[0]) % 5]
            axes.stairs(network["share"], edges, color=colour, linewidth=1.2, linestyle=style)
        means = part.groupby("model")["mean"].first()
        axes.axvline(means.mean(), color="black", linestyle="--", linewidth=1.5)
        axes.set_title(
            f"{label}: mean {means.mean():.2f}\nn = {len(means)} networks x {int(part['n'].max())} images",
            fontsize=12,
        )
        axes.set(xlabel="Confidence (largest probability)", xlim=(0, 1.005))
        axes.grid(axis="y")
    row[0].set_ylabel("Share of images")
    return figure
