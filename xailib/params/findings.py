"""Where the findings of a study lie: its own, or those that come with xailib."""

from pathlib import Path

from xailib.workspace import SHIPPED, place

SHIPPED_FINDINGS = SHIPPED / "docs" / "findings"
"""Findings that come with xailib, measured with the networks that come with it."""


def findings_path(study: str, results: str | Path) -> Path | None:
    """Return where a study's findings are: in its folder in `results`, else shipped in `docs/findings`, else None."""
    run, shipped = place(Path(results, study, "findings.csv")), SHIPPED_FINDINGS / f"{study}.csv"
    return next((path for path in (run, shipped) if path.exists()), None)
