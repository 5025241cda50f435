"""Do the ways to judge a ranking agree on which is better? ROAR, KAR, ROAD, the leak, and the explainability metrics."""

import numpy as np
import pandas as pd

from xailib.analysis import statistics
from xailib.analysis.frames import metric_facts
from xailib.analysis.roar_curves import Curves, racu
from xailib.analysis.roar_frames import RoarFrames

FEWEST = 4  # estimators that a pair must share
# Criterion -> label and the sign that makes higher better. Lower accuracy after removal is a better ranking.
MEANS = {
    "remove": ("ROAR", -1),
    "keep": ("KAR", 1),
    "no_retraining_remove": ("Remove, not retrained", -1),
    "no_retraining_keep": ("Keep, not retrained", 1),
    "road_remove": ("ROAD, most relevant first", -1),
    "road_keep": ("ROAD, least relevant first", 1),
    "mask_only_remove": ("Mask alone tells less", -1),
}


def criteria(frames: RoarFrames, found: Curves) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return what each estimator is judged by, oriented so that higher is better, and the criteria's labels.

    Accuracies are means over the levels that an estimator's mode was run at. The blurred and redrawn rankings are left
    out: they are near copies of others. Of a mask that tells the class, less is better: it keeps retrained accuracy up.

    Returns:
        values: estimators x criteria, NaN where not measured.
        facts: indexed by criterion: label, better (empty: all are turned round already).
    """
    names = [name for name in frames.estimators.index if frames.estimators.loc[name, "family"] != "check"]
    columns: dict[str, pd.Series] = {}
    for mode, (label, sign) in MEANS.items():
        known = found.known(mode, names)
        levels = found.shared_levels(mode, known) if known else []
        if levels:
            columns[label] = pd.Series(sign * found.of(mode, known, levels)[0].mean(axis=1), known)
        if mode == "remove":
            areas = {name: draws[0] for name, draws in racu(found).items()}
            columns["ROAR area score (RACU)"] = pd.Series(areas, dtype=float)
    metrics = frames.trust[~frames.trust["check"].isin(["no_retraining", "road", "mask_only"])]
    for metric, facts in metric_facts(list(dict.fromkeys(metrics["check"]))).iterrows():
        values = metrics[metrics["check"] == metric].groupby("estimator")["value"].mean()
        columns[facts["label"]] = values if facts["better"] == "higher" else -values
    values = pd.DataFrame(columns, index=names)
    values = values.loc[:, values.notna().sum() >= FEWEST] if len(values.columns) else values
    facts = pd.DataFrame(
        {"label": list(values.columns), "better": ""}, index=pd.Index(values.columns, name="criterion")
    )
    return values, facts


def agreement(values: pd.DataFrame, bootstrap: int = 1000, seed: int = 0) -> pd.DataFrame:
    """Return Spearman's rho of each pair of criteria over the estimators that both have, at least four.

    Columns: first, second, rho (+1: the same order of estimators), low, high (95 %, over estimators), p (permutation),
    n (estimators), critical (the |rho| that n must pass for p < 0.05).

    Args:
        values: `criteria`, estimators x criteria.
    """
    rows = []
    names = list(values)
    for first, second in [(a, b) for i, a in enumerate(names) for b in names[i + 1 :]]:
        shared = values[[first, second]].dropna()
        if len(shared) < FEWEST:
            continue
        own = statistics.spearman(shared[first], shared[second], bootstrap, seed)
        row = {"first": first, "second": second, "rho": own.value, "low": own.low, "high": own.high, "p": own.p}
        rows.append(row | {"n": own.n, "critical": statistics.critical_rho(own.n)})
    return pd.DataFrame(rows, columns=["first", "second", "rho", "low", "high", "p", "n", "critical"])


def told(pairs: pd.DataFrame) -> str:
    """Return one sentence on what agrees with ROAR best and least; empty when nothing was compared."""
    ours = pairs[(pairs["first"] == "ROAR") | (pairs["second"] == "ROAR")].dropna(subset=["rho"])
    ours = ours[~ours[["first", "second"]].isin(["ROAR area score (RACU)"]).any(axis=1)]
    if ours.empty:
        return ""
    best, worst = ours.loc[ours["rho"].idxmax()], ours.loc[ours["rho"].idxmin()]
    other = [row["second"] if row["first"] == "ROAR" else row["first"] for row in (best, worst)]
    return (
        f"Of {len(ours)} other ways to judge, ROAR's order of the rankings is closest to *{other[0]}* "
        f"(rho {best['rho']:+.2f}) and furthest from *{other[1]}* (rho {worst['rho']:+.2f}), "
        f"over {np.min(ours['n'])} rankings or more."
    )
