"""Tables: means of scores with direction arrows, controls beside the methods, the best marked, n in the caption."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from xailib.analysis import scores
from xailib.analysis.correlation import Criteria
from xailib.analysis.frames import Frames, correct_by_all
from xailib.results import write_table

ARROWS = {"higher": "↑", "lower": "↓"}
_STYLE = [
    {"selector": "caption", "props": "text-align: left; font-weight: 600; padding: 0.4em 0"},
    {"selector": "th, td", "props": "text-align: right; padding: 0.25em 0.7em"},
    {"selector": "th.row_heading, td.text", "props": "text-align: left; font-weight: normal"},
    {"selector": "td.text", "props": "text-align: left; vertical-align: top"},
]


@dataclass(frozen=True)
class Table:
    """A frame to look at: notebooks show it, `save` keeps its plain numbers.

    Attributes:
        frame: numbers or text, labelled for readers.
        caption: what it shows, with n.
        best: cells to set in bold, shaped like the frame.
        quiet: labels of rows to set in grey (controls).
        digits: decimals of numbers.
        plain: what to save instead of `frame`: tidy, with ids instead of labels.
    """

    frame: pd.DataFrame
    caption: str
    best: pd.DataFrame | None = None
    quiet: tuple[str, ...] = ()
    digits: int = 3
    plain: pd.DataFrame | None = None

    def save(self, out_dir: str | Path, name: str) -> Path:
        """Write the table as `{out_dir}/{name}.csv`."""
        return write_table(Path(out_dir) / f"{name}.csv", self.frame.reset_index() if self.plain is None else self.plain)

    def _repr_html_(self) -> str:
        frame = self.frame.rename_axis(index=None, columns=None)
        # Styler wants unique labels; a column of labels does the same.
        frame = frame.reset_index(names="") if not frame.index.is_unique else frame
        texts = frame.map(lambda value: isinstance(value, str))
        styler = frame.style.format(lambda value: value if isinstance(value, str) else "-" if pd.isna(value) else f"{value:.{self.digits}f}")
        styler = styler.set_caption(self.caption).set_table_styles(_STYLE).set_td_classes(texts.replace({True: "text", False: ""}))
        if self.best is not None:
            marks = np.where(self.best.to_numpy(bool), "font-weight: 700", "")
            styler = styler.apply(lambda _: pd.DataFrame(marks, frame.index, frame.columns), axis=None)
        if self.quiet:
            rows = frame.index.isin(self.quiet)
            styler = styler.apply(lambda part: np.where(rows, "color: #777", ""), axis=0)
            styler = styler.apply_index(lambda part: np.where(rows, "color: #777; font-style: italic", ""))
        return styler.to_html()


def arrowed(label: str, better: str) -> str:
    """Return a label with the arrow of its better direction: 'Deletion ↓'."""
    return f"{label} {ARROWS[better]}" if better in ARROWS else label


def by_method(frames: Frames) -> Table:
    """Return methods x metrics: means over networks and images; the best method of each metric in bold."""
    data = scores.cube(frames, controls=True)
    values = scores.nanmean(data.values, axis=(0, 3))
    return _table(
        frames, values, data.methods, data.metrics, "metrics",
        f"Mean score of each method (n = {len(data.models)} networks x {len(data.images)} images)",
    )  # fmt: skip


def by_model(frames: Frames, metric: str) -> Table:
    """Return methods x networks under one metric: means over images; the best method of each network in bold."""
    data = scores.cube(frames, controls=True)
    values = scores.nanmean(data.values[:, :, data.metrics.index(metric)], axis=2).T
    facts = frames.metrics.loc[metric]
    undefined = scored(frames, metric)["value"].isna().sum()
    note = f"; {undefined} undefined values left out" if undefined else ""
    direction = {"higher": "higher is better", "lower": "lower is better"}.get(facts["better"], "")
    return _table(
        frames, values, data.methods, data.models, "models",
        f"{arrowed(facts['label'], facts['better'])} ({direction}; mean over n = {len(data.images)} images{note})",
        metric,
    )  # fmt: skip


def compare_filters(frames: Frames) -> Table:
    """Return metrics x (images all networks get right, all images): means over networks and methods, and what is undefined."""
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
    """Return networks x criteria, the best network of each criterion in bold; saved with 95 % intervals over images."""
    from xailib.analysis.statistics import interval

    facts = criteria.facts
    good = criteria.table * facts["better"].map({"higher": 1.0, "lower": -1.0}).to_numpy(float)
    labels = [arrowed(row["label"], row["better"]) for _, row in facts.iterrows()]
    tidy = []
    for j, name in enumerate(criteria.table):
        for i, model in enumerate(criteria.table.index):
            low, high = interval(criteria.samples[:, i, j])
            tidy.append({"model": model, "criterion": name, "value": criteria.table.iloc[i, j], "low": low, "high": high, "n": facts.loc[name, "n"]})
    counts = ", ".join(f"{facts.loc[names, 'label'].iloc[0].lower()} {n}" for n, names in facts.groupby("n", sort=False).groups.items())
    frame = criteria.table.set_axis(labels, axis=1).set_index(criteria.models["label"].to_numpy())
    best = good.eq(good.max()).set_axis(labels, axis=1).set_axis(frame.index)
    return Table(frame, f"The networks on every criterion (n images: {counts} and those that follow)", best, plain=pd.DataFrame(tidy))


def correlations(pairs: pd.DataFrame, facts: pd.DataFrame) -> Table:
    """Return the pairs of criteria, the strongest correlation first; those beyond the critical rho in bold."""
    rows = pairs.reindex(pairs["rho"].abs().sort_values(ascending=False).index).dropna(subset=["rho"])
    frame = pd.DataFrame(
        {
            "Criteria": [f"{facts.loc[row.first, 'label']} ~ {facts.loc[row.second, 'label']}" for row in rows.itertuples()],
            "rho": [f"{rho:+.2f}" for rho in rows["rho"]],
            "95 % interval": [f"{row.low:+.2f} to {row.high:+.2f}" if pd.notna(row.low) else "-" for row in rows.itertuples()],
            "p": ["< 0.001" if p < 0.001 else f"{p:.3f}" for p in rows["p"]],
            "within training algorithms": ["-" if pd.isna(rho) else f"{rho:+.2f}" for rho in rows["within"]],
        }
    ).set_index("Criteria")
    strong = (rows["rho"].abs() >= rows["critical"]).to_numpy()
    best = pd.DataFrame(np.repeat(strong[:, None], frame.shape[1], axis=1), frame.index, frame.columns)
    count = f"n = {int(rows['n'].max())} networks; bold: |rho| of at least {rows['critical'].min():.2f}, p < 0.05" if len(rows) else "none"
    return Table(frame, f"Spearman's rank correlation of each pair of criteria ({count})", best)


def describe(study: str, everything: Frames, chosen: Frames) -> str:
    """Return one Markdown paragraph: what the study holds, which images count, what is left out."""
    families = everything.methods["family"]
    count = len(correct_by_all(everything))
    text = (
        f"Study **{study}**: {len(everything.models)} networks, {(families != 'control').sum()} methods, "
        f"{(families == 'control').sum()} controls, {len(everything.metrics)} metrics, {len(everything.images)} images, "
        f"of which every network classifies {count} correctly. **{len(chosen.images)} images count below.**"
    )
    if len(everything.skipped):
        text += f" {len(everything.skipped)} pairs of network and method do not apply and are left out."
    if len(chosen.images) < 10:
        text += " *So few images make wide intervals; read them as a check that everything runs.*"
    return text


def scored(frames: Frames, metric: str, controls: bool = True) -> pd.DataFrame:
    """Return the scores of one metric, with or without the controls."""
    rows = frames.scores[frames.scores["metric"] == metric]
    return rows if controls else rows[rows["method"].map(frames.methods["family"]) != "control"]


def _table(frames: Frames, values: np.ndarray, methods: list[str], columns: list[str], kind: str, caption: str, metric: str = "") -> Table:
    """Label a `(methods, columns)` array and mark the best method of each column, controls apart."""
    facts = frames.metrics.loc[columns] if kind == "metrics" else frames.metrics.loc[[metric] * len(columns)]
    signs = facts["better"].map({"higher": 1.0, "lower": -1.0}).to_numpy(float)
    control = (frames.methods.loc[methods, "family"] == "control").to_numpy()
    labels = [arrowed(row["label"], row["better"]) for _, row in facts.iterrows()] if kind == "metrics" else frames.models.loc[columns, "label"]
    frame = pd.DataFrame(values, index=frames.methods.loc[methods, "label"].to_numpy(), columns=list(labels))
    ranked = np.where(control[:, None] | ~np.isfinite(values), -np.inf, values * signs)
    best = pd.DataFrame((ranked == ranked.max(axis=0)) & np.isfinite(ranked), frame.index, frame.columns)
    plain = pd.DataFrame(values, index=methods, columns=columns).rename_axis(index="method").reset_index()
    return Table(frame, caption, best, tuple(frame.index[control]), plain=plain)
