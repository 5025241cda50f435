"""The claims R1 to R8 of the ROAR paper (Hooker et al. 2019, arXiv 1806.10758), with the paper's numbers beside ours.

Each claim is a function of accuracies that returns what was measured, how sure it is, and the verdict. The paper's own
table goes through the same functions, at the levels and with the rankings that both have.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from xailib.analysis import verdicts
from xailib.analysis.roar_claims import r1_base_below_random, r2_widest_at_top, r3_sobel, r4_smoothgrad
from xailib.analysis.roar_claims_more import r5_ensembles, r6_best_base, r7_keep, r8_retraining
from xailib.analysis.roar_curves import Curves
from xailib.analysis.roar_paper import DATASETS, paper_curves
from xailib.analysis.table import Table
from xailib.params import ROOT
from xailib.results import write_table

TESTS = (
    r1_base_below_random,
    r2_widest_at_top,
    r3_sobel,
    r4_smoothgrad,
    r5_ensembles,
    r6_best_base,
    r7_keep,
    r8_retraining,
)


def examine(found: Curves) -> pd.DataFrame:
    """Test all claims: a headline row a claim, followed by its parts (`verdicts.table`); n images as `images`.

    The columns paper_<data set> hold the same statistic of the paper's own table; NaN where it does not say.
    """
    if not found.levels:
        lacking = "trainings with inputs removed"
        return verdicts.table([verdicts.needs(f"R{i}", lacking) for i in range(1, 9)]).assign(images=0)
    table = verdicts.table([test(found) for test in TESTS]).assign(images=found.n)
    for dataset in DATASETS:
        theirs = alike(paper_curves(dataset), found)
        if not theirs.levels:
            continue
        rows = verdicts.table([test(theirs) for test in TESTS]).drop_duplicates(["finding", "part"])
        known = rows.set_index(["finding", "part"])["value"]
        table[f"paper_{dataset}"] = known.reindex(pd.MultiIndex.from_frame(table[["finding", "part"]])).to_numpy(float)
    return table


def alike(paper: Curves, ours: Curves) -> Curves:
    """Keep of the paper's accuracies those whose ranking, mode and level we have too."""
    levels = tuple(level for level in ours.levels if level in paper.levels)
    modes = {
        mode: np.where(np.isfinite(ours.of(mode, ours.estimators, levels)[:1]), paper.of(mode, ours.estimators, levels), np.nan)
        for mode in paper.modes
    }  # fmt: skip
    return Curves(modes, paper.clean, ours.estimators, levels, paper.chance, paper.n, paper.unit)


def save(found: pd.DataFrame, out_dir: str | Path) -> Path:
    """Write the claims' table as `roar_findings.csv` into a folder; a relative one starts from the repository."""
    return write_table(ROOT / out_dir / "roar_findings.csv", found)


def headlines(found: pd.DataFrame) -> Table:
    """Return one row a claim: claim, verdict, number with interval, the paper's own, and how the verdict was reached."""
    rows = found[found["part"] == "headline"]
    table = pd.DataFrame(
        {
            "Claim": rows["claim"],
            "Verdict": rows["verdict"],
            "What was found": rows["sentence"],
            "Points": [f"{points(row)}: {row['statistic']}" for row in rows.to_dict("records")],
            "Paper": [paper_told(row) for row in rows.to_dict("records")],
            "Rule": rows["rule"],
        }
    ).set_index(rows["finding"])
    n = int(found["images"].max())
    caption = (
        f"The paper's claims, tested on this study (n = {n} test images; 95 % intervals over images and trainings)"
    )
    return Table(table, caption, best=table.isin([verdicts.SUPPORTED, verdicts.CONTRADICTED]))


def parts(found: pd.DataFrame) -> Table:
    """Return the numbers behind the verdicts, in points of accuracy, one row each, with the paper's own."""
    rows = found[found["part"] != "headline"]
    table = pd.DataFrame(
        {
            "Part": rows["part"],
            "Points": [_points(value) for value in rows["value"]],
            "95 % interval": [_interval(row) or "-" for row in rows.to_dict("records")],
            **{name.removeprefix("paper_"): [_points(value) for value in rows[name]] for name in _papers(rows)},
            "Verdict": rows["verdict"],
            "Statistic": rows["statistic"],
        }
    ).set_index(rows["finding"])
    unit = rows["unit"].iloc[0] if len(rows) else ""
    n = int(rows["n"].max()) if len(rows) else 0
    return Table(table, f"The numbers behind the verdicts (n = {n} {unit}), and the same numbers of the paper's table")


def points(row: dict[str, Any]) -> str:
    """A row's own number in points with its interval: '+6.3 (+3.7 to +9.0)'."""
    interval = f" ({_interval(row)})" if _interval(row) else ""
    return "-" if pd.isna(row["value"]) else f"{_points(row['value'])}{interval}"


def paper_told(row: dict[str, Any]) -> str:
    """The paper's own numbers of a row, such as 'Birdsnap +17.7, Food-101 +7.1', each kept on one line."""
    known = {str(name).removeprefix("paper_"): value for name, value in row.items() if str(name).startswith("paper_")}
    told = [f"{name} {_points(value)}" for name, value in known.items() if pd.notna(value)]
    return ", ".join(word.replace("-101", "\u2011101").replace(" ", "\u00a0") for word in told) or "-"


def _papers(rows: pd.DataFrame) -> list[str]:
    return [name for name in rows if name.startswith("paper_")]


def _interval(row: dict[str, Any]) -> str:
    return f"{_points(row['low'])} to {_points(row['high'])}" if pd.notna(row["low"]) else ""


def _points(value: float) -> str:
    return "-" if pd.isna(value) else f"{100 * value:+.1f}".replace("-0.0", "+0.0")
