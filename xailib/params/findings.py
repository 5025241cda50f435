"""Where the findings of a study lie: its own, or those that come with the repository."""

from pathlib import Path

from xailib.params import ROOT

SHIPPED_FINDINGS = ROOT / "docs" / "findings"
"""Findings that come with the repository, measured with the networks that come with it."""


def findings_path(study: str, results: str | Path) -> Path | None:
    """Return where a study's findings are: in its folder in `results`, else shipped in `docs/findings`, else None."""
    run, shipped = ROOT / results / study / "findings.csv", SHIPPED_FINDINGS / f"{study}.csv"
    return next((path for path in (run, shipped) if path.exists()), None)
