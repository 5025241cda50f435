"""What the report tells about a ROAR study beside its notebook: verdicts, and the trainings left out."""

from pathlib import Path
from typing import Any

from xailib.analysis import findings
from xailib.analysis.facts import study_values
from xailib.analysis.roar_frames import read_roar
from xailib.results import read_table


def claim_rows(folder: Path) -> list[dict[str, Any]]:
    """Return the headline of each claim of the ROAR paper, with `points` (ours) and `paper` (its own) as text."""
    path = folder / "roar_findings.csv"
    if not path.exists():
        return []
    table = read_table(path).fillna({"claim": "", "sentence": "", "statistic": ""})
    rows = table[table["part"] == "headline"].to_dict("records")
    return [{**row, "points": findings.number(row), "paper": findings.papers(row)} for row in rows]


def failed_rows(folder: Path) -> list[dict[str, str]]:
    """Return the trainings and checks of a ROAR study that failed or are missing, with the reason."""
    return read_roar(folder, study_values(folder)).failed.astype(str).to_dict("records")
