"""Tables: means of scores with direction arrows, controls beside the methods, the best marked, n in the caption."""

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
import pandas as pd

from xailib.analysis import scores
from xailib.analysis.correlation import Criteria
from xailib.analysis.draws import interval, nanmean
from xailib.analysis.frames import Frames, correct_by_all
from xailib.analysis.table import Table

ARROWS = {"higher": "↑", "lower": "↓"}


def arrowed(label: str, better: str) -> str:
    """Return a label with the arrow of its better direction: 'Deletion ↓'."""
    return f"{label} {ARROWS[better]}" if better in ARROWS else label


def by_method(frames: Frames) -> Table:
    """Return methods x metrics: means over networks and images; the best method of each metric in bold.

    The mean of a method that does not apply to every network is over other networks than the rest, so its row says so
    and it is nobody's best.
    """
    data = scores.cube(frames, controls=True)
    values = nanmean(data.values, axis=(0, 3))
    applies = np.isfinite(data.values).any(axis=(2, 3)).sum(axis=0)
    some = {
        name: f"{frames.methods.loc[name, 'label']} (on {n} of {len(frames.models)} networks)"
        for name, n in zip(data.axes["method"], applies, strict=True)
        if 0 < n < len(frames.models)
    }
    return _table(
        frames, values, data.axes["method"], data.axes["metric"], "metrics",
        f"Mean score of each method (n = {len(frames.models)} networks x {len(frames.images)} images)",
        apart=some,
    )  # fmt: skip


def by_model(frames: Frames, metric: str) -> Table:
    """Return methods x networks under one metric: means over images; the best method of each network in bold."""
    data = scores.cube(frames, controls=True)
    values = nanmean(data.values[:, :, data.axes["metric"].index(metric)], axis=2).T
    facts = frames.metrics.loc[metric]
    undefined = scored(frames, metric)["value"].isna().sum()
    note = f"; {undefined} undefined values left out" if undefined else ""
    direction = {"higher": "higher is better", "lower": "lower is better"}.get(facts["better"], "")
    return _table(
        frames, values, data.axes["method"], data.axes["model"], "models",
        f"{arrowed(facts['label'], facts['better'])} ({direction}; mean over n = {len(frames.images)} images{note})",
        metric,
    )  # fmt: skip


def compare_filters(frames: Frames) -> Table:
    """Return metrics x (images all networks get right, all images): means, and how many values are undefined."""
    rows = {}
    kept, every = frames.only_correct(), frames
    for metric, facts in frames.metrics.iterrows():
        row = {}
        for name, part in (("correct by all", kept), ("all images", every)):
            values = scored(part, metric, controls=False)["value"]
            row[f"{name} (n = {len(part.images)})"] = values.mean()
            row[f"undefined, {name}"] = f"{values.isna().sum()} of {len(values)}"
        rows[arrowed(facts["label"], facts["better"])] = row
    return Table(pd.DataFrame(rows).T, "Mean over networks and methods, without controls, by choice of images")


def networks(criteria: Criteria) -> Table:
    """Return networks x criteria, the best network of each criterion in bold.

    Saved, it also has the normalised scores, for which a page has no room, and 95 % intervals over images.
    """
    facts = criteria.facts
    good = criteria.table * facts["better"].map({"higher": 1.0, "lower": -1.0}).to_numpy(float)
    labels = [arrowed(row["label"], row["better"]) for _, row in facts.iterrows()]
    tidy = []
    for j, name in enumerate(criteria.table):
        for i, model in enumerate(criteria.table.index):
            low, high = interval(criteria.draws.values[1:, i, j])
            tidy.append(
                {
                    "model": model,
                    "criterion": name,
                    "value": criteria.table.iloc[i, j],
                    "low": low,
                    "high": high,
                    "n": facts.loc[name, "n"],
                }
            )
    counts = ", ".join(
        f"{facts.loc[names, 'label'].iloc[0].lower()} {n}" for n, names in facts.groupby("n", sort=False).groups.items()
    )
    frame = criteria.table.set_axis(labels, axis=1).set_index(criteria.units["label"].to_numpy())
    best = good.eq(good.max()).set_axis(labels, axis=1).set_axis(frame.index)
    shown = ~criteria.table.columns.str.endswith("_normalised")
    frame, best = frame.loc[:, shown], best.loc[:, shown]
    return Table(
        frame,
        f"The networks on every criterion (n images: {counts} and those that follow)",
        best,
        plain=pd.DataFrame(tidy),
    )


def correlations(pairs: pd.DataFrame, facts: pd.DataFrame, most: int = 15) -> Table:
    """Return the pairs of criteria with the strongest correlations; those beyond the critical rho in bold."""
    rows = pairs.reindex(pairs["rho"].abs().sort_values(ascending=False).index).dropna(subset=["rho"])
    if rows.empty:
        return Table(pd.DataFrame(), "No correlations: at least three networks are needed.")
    total, rows = len(rows), rows.head(most)
    frame = pd.DataFrame(
        {
            "Criteria": [
                f"{facts.loc[row.first, 'label']} ~ {facts.loc[row.second, 'label']}" for row in rows.itertuples()
            ],
            "rho": [f"{rho:+.2f}" for rho in rows["rho"]],
            "95 % interval": [
                f"{row.low:+.2f} to {row.high:+.2f}" if pd.notna(row.low) else "-" for row in rows.itertuples()
            ],
            "p": ["< 0.001" if p < 0.001 else f"{p:.3f}" for p in rows["p"]],
            "within training algorithms": ["-" if pd.isna(rho) else f"{rho:+.2f}" for rho in rows["within"]],
        }
    ).set_index("Criteria")
    strong = (rows["rho"].abs() >= rows["critical"]).to_numpy()
    best = pd.DataFrame(np.repeat(strong[:, None], frame.shape[1], axis=1), frame.index, frame.columns)
    least = rows["critical"].min()
    bold = f"bold: |rho| of at least {least:.2f}, p < 0.05" if np.isfinite(least) else "too few for p < 0.05"
    count = f"n = {int(rows['n'].max())} networks; {bold}"
    return Table(
        frame, f"Spearman's rank correlation of criteria, the {len(rows)} strongest of {total} pairs ({count})", best
    )


def describe(study: str, everything: Frames, chosen: Frames) -> str:
    """Return one Markdown paragraph: what the study holds, which images count, what is left out."""
    families = everything.methods["family"]
    count = len(correct_by_all(everything))
    held = {
        "network": len(everything.models),
        "method": (families != "control").sum(),
        "metric": len(everything.metrics),
    }
    held |= {"control": (families == "control").sum(), "image": len(everything.images)}
    told = ", ".join(f"{n} {noun}{'s' if n != 1 else ''}" for noun, n in held.items())
    text = (
        f"Study **{study}**: {told}, "
        f"of which every network classifies {count} correctly. **{len(chosen.images)} images count below.**"
    )
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


def _table(
    frames: Frames,
    values: np.ndarray,
    methods: list[str],
    columns: list[str],
    kind: str,
    caption: str,
    metric: str = "",
    apart: Mapping[str, str] = MappingProxyType({}),
) -> Table:
    """Label a `(methods, columns)` array and mark the best method of each column.

    Controls are never the best, nor are the methods in `apart`, which have labels of their own.
    """
    facts = frames.metrics.loc[columns] if kind == "metrics" else frames.metrics.loc[[metric] * len(columns)]
    signs = facts["better"].map({"higher": 1.0, "lower": -1.0}).to_numpy(float)
    control = (frames.methods.loc[methods, "family"] == "control").to_numpy()
    labels = (
        [arrowed(row["label"], row["better"]) for _, row in facts.iterrows()]
        if kind == "metrics"
        else frames.models.loc[columns, "label"]
    )
    names = [apart.get(name, frames.methods.loc[name, "label"]) for name in methods]
    frame = pd.DataFrame(values, index=names, columns=list(labels))
    unranked = control | np.isin(methods, list(apart))
    ranked = np.where(unranked[:, None] | ~np.isfinite(values), -np.inf, values * signs)
    best = pd.DataFrame((ranked == ranked.max(axis=0)) & np.isfinite(ranked), frame.index, frame.columns)
    plain = pd.DataFrame(values, index=methods, columns=columns).rename_axis(index="method").reset_index()
    return Table(frame, caption, best, tuple(frame.index[control]), digits=3 if kind == "metrics" else 2, plain=plain)
