"""The findings F1 to F6 of "How explainable are adversarially-robust CNNs?" (arXiv 2205.13042), tested as directions.

The paper's own numbers are not public, so nothing is compared with them: each claim is a function of a study's frames
that returns what was measured, how sure it is, and the verdict.
"""

from pathlib import Path
from typing import Any

import pandas as pd

from xailib.analysis import verdicts
from xailib.analysis.claims import CLAIMS
from xailib.analysis.claims_methods import f1_robust_gradients, f3_best_methods, f4_confidence
from xailib.analysis.claims_networks import f2_advprop, f5_no_best_network, f6_resnet
from xailib.analysis.frames import Frames
from xailib.analysis.table import Table
from xailib.params import ROOT
from xailib.results import write_table

TESTS = (f1_robust_gradients, f2_advprop, f3_best_methods, f4_confidence, f5_no_best_network, f6_resnet)


def examine(frames: Frames, bootstrap: int = 2000, seed: int = 0) -> pd.DataFrame:
    """Test all findings on a study: a headline row a finding, followed by a row for each part (`verdicts.table`).

    Claims speak of methods and metrics, so one setting of each is tested (`Frames.one_setting`).

    Args:
        frames: the study, with the images that count (`Frames.only_correct`).
        bootstrap: copies behind each interval.
        seed: of the copies.
    """
    if not frames.images:
        lacking = "at least one image that every network classifies correctly"
        return verdicts.table([verdicts.needs(id, lacking) for id in CLAIMS]).assign(images=0)
    if (frames.methods["family"] == "control").all():
        lacking = "at least one method beside the controls"
        return verdicts.table([verdicts.needs(id, lacking) for id in CLAIMS]).assign(images=len(frames.images))
    frames = frames.one_setting()
    found = verdicts.table([test(frames, bootstrap, seed) for test in TESTS])
    return found.assign(images=len(frames.images))


def save(found: pd.DataFrame, results_dir: str | Path) -> Path:
    """Write the findings as `findings.csv` into a folder; a relative one starts from the repository."""
    return write_table(ROOT / results_dir / "findings.csv", found)


def headlines(found: pd.DataFrame) -> Table:
    """Return one row a finding: claim, verdict, number with interval, n, and how the verdict was reached."""
    rows = found[found["part"] == "headline"]
    table = pd.DataFrame(
        {
            "Claim": rows["claim"],
            "Verdict": rows["verdict"],
            "What was found": rows["sentence"],
            "Statistic": [_with_interval(row) for row in rows.itertuples()],
            "n": [_count(row) for row in rows.itertuples()],
            "Rule": rows["rule"],
        }
    ).set_index(rows["finding"])
    return Table(
        table,
        f"The paper's findings, tested on this study (n = {found['images'].max()} images; 95 % bootstrap intervals)",
        best=table.isin([verdicts.SUPPORTED, verdicts.CONTRADICTED]),
    )


def parts(found: pd.DataFrame) -> Table:
    """Return the numbers behind the verdicts, one row each."""
    rows = found[found["part"] != "headline"]
    table = pd.DataFrame(
        {
            "Part": rows["part"],
            "Value": [_value(row.value, row) for row in rows.itertuples()],
            "95 % interval": [_interval(row) or "-" for row in rows.itertuples()],
            "p": ["-" if pd.isna(p) else "< 0.001" if p < 0.001 else f"{p:.3f}" for p in rows["p"]],
            "n": [_count(row) for row in rows.itertuples()],
            "Verdict": rows["verdict"],
            "Statistic": rows["statistic"],
        }
    ).set_index(rows["finding"])
    return Table(table, "The numbers behind the verdicts")


def _with_interval(row: Any) -> str:
    if pd.isna(row.value):
        return "-"
    interval = f" ({_interval(row)})" if _interval(row) else ""
    return f"{_value(row.value, row)}{interval}: {row.statistic}"


def _interval(row: Any) -> str:
    return f"{_value(row.low, row)} to {_value(row.high, row)}" if pd.notna(row.low) else ""


def _value(value: float, row: Any) -> str:
    if pd.isna(value):
        return "-"
    return f"{value:.2f}" if "(1 is best)" in row.statistic else f"{value:+.3f}"


def _count(row: Any) -> str:
    return f"{int(row.n)} {row.unit}" if row.n else "-"
