"""Tables: means of scores with direction arrows, controls beside the methods, the best marked, n in the caption."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from xailib.analysis import controls, scores
from xailib.analysis.correlation import Criteria
from xailib.analysis.draws import Array, interval, nanmean, over_units
from xailib.analysis.facts import many
from xailib.analysis.frames import Frames, correct_by_all
from xailib.analysis.table import Table

ARROWS = {"higher": "↑", "lower": "↓"}


def arrowed(label: str, better: str) -> str:
    """Return a label with the arrow of its better direction: 'Deletion ↓'."""
    return f"{label} {ARROWS[better]}" if better in ARROWS else label


def best_of(frame: pd.DataFrame, better: Sequence[str] | str, among: np.ndarray | bool = True) -> pd.DataFrame:
    """Mark the best cells of each column, among those rows that may be it.

    Args:
        better: "higher" or "lower", for all columns or one each; of a column that is neither nothing is best.
        among: bool, one a row.
    """
    signs = pd.Series(better, frame.columns).map({"higher": 1.0, "lower": -1.0}).to_numpy(float)
    good = (frame.to_numpy(float) * signs).copy()
    good[~(np.isfinite(good) & np.broadcast_to(among, len(frame))[:, None])] = -np.inf
    return pd.DataFrame((good == good.max(axis=0, initial=-np.inf)) & np.isfinite(good), frame.index, frame.columns)


def by_method(frames: Frames, bootstrap: int = 2000, seed: int = 0) -> Table:
    """Return methods x metrics: means over networks and images with their intervals over both; the best in bold.

    The mean of a method that does not apply to every network is over other networks than the rest, so its row says so
    and it is nobody's best.
    """
    data = scores.cube(frames, controls=True)
    methods, metrics, networks = data.axes["method"], data.axes["metric"], len(frames.models)
    means = pd.DataFrame(nanmean(data.values, axis=(0, 3)), methods, metrics)
    applies = pd.Series(np.isfinite(data.values).any(axis=(2, 3)).sum(axis=0), methods)
    some = applies[applies.between(1, networks - 1)]
    facts, labels = frames.metrics.loc[metrics], frames.methods["label"].to_dict()
    labels |= {name: f"{labels[name]} (on {n} of {networks} networks)" for name, n in some.items()}
    caption = f"Mean score of each method (n = {networks} networks x {len(frames.images)} images)"
    void = controls.void(frames)
    heads = [arrowed(row.label, row.better) + " (void)" * (row.Index in void) for row in facts.itertuples()]
    table = _of_methods(frames, means, labels, heads, list(facts["better"]), caption, apart=list(some.index))
    draws = scores.means(frames, bootstrap, seed, oriented=False, controls=True).values  # by recipe, method and metric
    ranges = list(facts[["low", "high"]].itertuples(index=False))
    n = [frames.scored(metric) for metric in metrics]
    ends = [
        [_ends(draws[:, :, i, j], n[j], *ranges[j], frames.unit) for j in range(len(metrics))]
        for i in range(len(methods))
    ]
    return replace(table, beside=pd.DataFrame(ends, table.frame.index, table.frame.columns))


def _ends(draws: Array, images: int, least: float, most: float, unit: str) -> str:
    """The 95 % interval of a mean over units `(1 + bootstrap, units)` and images, inside its range, as text."""
    found = over_units(draws, images, unit)
    low, high = max(found.low, least), min(found.high, most)
    return f"{low:.2f} to {high:.2f}" if np.isfinite(found.low) else ""


def by_model(frames: Frames, metric: str) -> Table:
    """Return methods x networks under one metric, networks by architecture: means over images, each network's best in bold."""
    data = scores.cube(frames, controls=True)
    means = pd.DataFrame(
        nanmean(data.at(metric=[metric]).values[:, :, 0], axis=2).T, data.axes["method"], data.axes["model"]
    )
    label, better = frames.metrics.loc[metric, ["label", "better"]]
    undefined = scored(frames, metric)["value"].isna().sum()
    note = f"; {undefined} undefined values left out" if undefined else ""
    direction = f"{better} is better; " if better in ARROWS else ""
    caption = f"{arrowed(label, better)} ({direction}mean over n = {len(frames.images)} images{note})"
    heads = frames.models.loc[means.columns, "label"].tolist()
    if frames.models["architecture"].duplicated().any():
        heads = pd.MultiIndex.from_tuples([_two_heads(frames, model) for model in means.columns])
    return _of_methods(frames, means, frames.methods["label"].to_dict(), heads, better, caption, digits=2)


def _two_heads(frames: Frames, model: str) -> tuple[str, str]:
    """A network's architecture, and what is left of its label: 'ResNet' and 'R'; a vanilla network's is 'V'."""
    label, family = (
        frames.models.loc[model, "label"],
        frames.architecture_label(frames.models.loc[model, "architecture"]),
    )
    rest = label.removeprefix(family).lstrip("-").strip()
    return family, f"V {rest}" if rest.isdigit() else rest or "V"  # seeds are numbered


def _of_methods(
    frames: Frames,
    means: pd.DataFrame,
    labels: dict[str, str],
    heads: list[str] | pd.MultiIndex,
    better: Sequence[str] | str,
    caption: str,
    digits: int = 3,
    apart: Sequence[str] = (),
) -> Table:
    """Label means of methods; controls in grey are never the best, nor are the methods in `apart`."""
    control = (frames.methods.loc[means.index, "family"] == "control").to_numpy()
    names = [labels[name] for name in means.index]
    frame = means.set_axis(names).set_axis(heads, axis=1)
    best = best_of(frame, better, ~control & ~means.index.isin(apart))
    plain = means.rename_axis(index="method").reset_index()
    quiet = tuple(name for name, grey in zip(names, control, strict=True) if grey)
    return Table(frame, caption, best, quiet, digits, plain)


def compare_filters(frames: Frames) -> Table:
    """Return metrics x (images all networks get right, all images): means, and how many values are undefined."""
    choices = {"correct by all": frames.only_correct(), "all images": frames}
    caption = "Mean over networks and methods, without controls, by choice of images"
    if len(choices["correct by all"].images) == len(frames.images):
        caption += "; every network is right on every image with maps, so there is one choice"
    rows = {}
    for metric, facts in frames.metrics.iterrows():
        row = rows[arrowed(facts["label"], facts["better"])] = {}
        for name, part in choices.items():
            values = scored(part, metric, controls=False)["value"]
            row[f"{name} (n = {len(part.images)})"] = values.mean()
            row[f"undefined, {name}"] = f"{values.isna().sum()} of {len(values)}"
    return Table(pd.DataFrame(rows).T, caption)


def networks(criteria: Criteria, unit: str = "networks") -> Table:
    """Return networks x criteria, or another `unit` x criteria, the best of each criterion in bold.

    Saved, it also has the normalised scores, for which a page has no room, and 95 % intervals over images.
    """
    facts, table = criteria.facts, criteria.table
    tidy = table.rename_axis("model").reset_index().melt("model", var_name="criterion")
    ends = [interval(criteria.draws.values[1:, i, j]) for j in range(table.shape[1]) for i in range(len(table))]
    tidy[["low", "high"]], tidy["n"] = ends, tidy["criterion"].map(facts["n"])
    shown = [name for name in table if not name.endswith("_normalised")]
    heads = [arrowed(row.label, row.better) for row in facts.loc[shown].itertuples()]
    frame = table[shown].set_axis(heads, axis=1).set_axis(criteria.units["label"].to_numpy())
    counts = facts.groupby("n", sort=False)["label"].first()
    counted = ", ".join(f"{label.lower()} {n}" for n, label in counts.items())
    caption = f"The {unit} on every criterion (n images: {counted} and those that follow)"
    return Table(frame, caption, best_of(frame, list(facts.loc[shown, "better"])), plain=tidy)


def correlations(pairs: pd.DataFrame, facts: pd.DataFrame, most: int = 15, unit: str = "networks") -> Table:
    """Return the pairs of criteria with the strongest correlations over a `unit`; those beyond the critical rho in bold."""
    rows = pairs.dropna(subset=["rho"]).sort_values("rho", key=lambda rho: -rho.abs())
    if rows.empty:
        return Table(pd.DataFrame(), f"No correlations: at least three {unit} are needed.")
    total, rows = len(rows), rows.head(most)
    labels, within = facts["label"], rows["within"]
    cells = {
        "rho": rows["rho"].map("{:+z.2f}".format),
        "95 % interval": (rows["low"].map("{:+z.2f}".format) + " to " + rows["high"].map("{:+z.2f}".format)).where(
            rows["low"].notna(), "-"
        ),
        "p": rows["p"].map("{:.3f}".format).where(rows["p"] >= 0.001, "< 0.001"),
        "within training algorithms": within.map("{:+z.2f}".format).where(within.notna(), "-"),
    }
    frame = pd.DataFrame(cells).set_axis(rows["first"].map(labels) + " ~ " + rows["second"].map(labels))
    strong, least = (rows["rho"].abs() >= rows["critical"]).to_numpy(), rows["critical"].min()
    best = pd.DataFrame(np.tile(strong[:, None], frame.shape[1]), frame.index, frame.columns)
    bold = f"bold: |rho| of at least {least:.2f}, q < 0.05" if np.isfinite(least) else "too few for q < 0.05"
    count = f"n = {int(rows['n'].max())} {unit}; {bold}"
    caption = f"Spearman's rank correlation of criteria, the {len(rows)} strongest of {total} pairs ({count})"
    return Table(frame.rename_axis("Criteria"), caption, best)


def describe(study: str, everything: Frames, chosen: Frames) -> str:
    """Return one Markdown paragraph: what the study holds, which images count, what is left out."""
    families = everything.methods["family"]
    held = {"network": len(everything.models), "method": (families != "control").sum()}
    held |= {"metric": len(everything.metrics), "control": (families == "control").sum()}
    held |= {"image": len(everything.images)}
    counted = ", ".join(many(n, noun) for noun, n in held.items())
    right = f"of which every network classifies {len(correct_by_all(everything))} correctly"
    if not everything.labelled:
        right = "none of which has a label, so that none is classified rightly or wrongly"
    text = f"Study **{study}**: {counted}, {right}. **{len(chosen.images)} images count below.**"
    if len(everything.skipped):
        text += f" Pairs of network and method that do not apply and are left out: {len(everything.skipped)}."
    if not chosen.images:
        text += " *So there is nothing to compare: set `only_correct` to false to count all images.*"
    elif len(chosen.images) < 10:
        text += " *So few images make wide intervals; read them as a check that everything runs.*"
    return text


def scored(frames: Frames, metric: str, controls: bool = True) -> pd.DataFrame:
    """Return the scores of one metric, with or without the controls."""
    rows = frames.scores[frames.scores["metric"] == metric]
    return rows if controls else rows[rows["method"].map(frames.methods["family"]) != "control"]
