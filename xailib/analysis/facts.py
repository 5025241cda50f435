"""What the report tells about a study beside its notebooks: parameters, verdicts, pairs left out, provenance."""

import contextlib
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pandas as pd

from xailib.errors import InputError
from xailib.params import ids, load_params, read
from xailib.results import read_table

# What a slice's record is called, in the order of the work.
STAGES = ("predict", "attribute", "evaluate", "rank", "retrain", "trust", "toy")


def study_values(folder: Path) -> dict[str, Any]:
    """Return the study's values: as it ran, else its parameter file's, else the notebooks' parameters."""
    if (folder / "study.yaml").exists():
        return read(folder / "study.yaml", "studies")[0]
    if folder.name in ids("studies"):
        return load_params("studies", folder.name)
    given: dict[str, Any] = {}
    for name in ("roar_results", "explainability"):
        with contextlib.suppress(OSError, ValueError):
            notebook = json.loads((folder / f"{name}.ipynb").read_text(encoding="utf-8"))
            given = notebook.get("metadata", {}).get("papermill", {}).get("parameters", {})
    return {"study": folder.name, "description": "", **given}


def parameter_rows(study: dict[str, Any]) -> dict[str, str]:
    """Return those of a study's values that say something, as a reader would write them."""
    return {key: told(value) for key, value in study.items() if value not in (None, "", [], {})}


def findings_rows(folder: Path) -> list[dict[str, Any]]:
    """Return the headline of each finding; none when the study has no findings yet."""
    path = folder / "findings.csv"
    if not path.exists():
        return []
    table = read_table(path).fillna({"claim": "", "sentence": ""})
    return table[table["part"] == "headline"].to_dict("records")


def skipped_rows(folder: Path) -> list[dict[str, str]]:
    """Return the pairs that were left out, with the reason."""
    path = folder / "skipped.csv"
    try:
        return read_table(path).astype(str).to_dict("records") if path.exists() else []
    except (pd.errors.EmptyDataError, InputError):
        return []


def slice_records(folder: Path) -> list[tuple[str, dict[str, Any]]]:
    """Return (stage, record) of every slice: what its provenance says."""
    found = []
    for stage in STAGES:
        for path in sorted(folder.glob(f"**/{stage}.json")):
            try:
                found.append((stage, json.loads(path.read_text(encoding="utf-8"))))
            except (OSError, ValueError):
                continue  # a slice that is being written again
    return found


def stage_rows(records: list[tuple[str, dict[str, Any]]]) -> list[dict[str, Any]]:
    """Return what each stage cost: slices, seconds, passes, and the largest memory of a slice."""
    rows = []
    for stage in dict.fromkeys(stage for stage, _ in records):
        part = [record for name, record in records if name == stage]
        passes = [record.get("passes") or {} for record in part]
        rows.append(
            {
                "stage": stage,
                "slices": len(part),
                "seconds": round(sum(record.get("seconds") or 0 for record in part)),
                "network": round(sum(item.get("seconds") or 0 for item in passes)),
                "forward": sum(item.get("forward") or 0 for item in passes),
                "backward": sum(item.get("backward") or 0 for item in passes),
                "memory": round(max((record.get("peak_memory_mib") or {}).get("resident") or 0 for record in part)),
            }
        )
    return rows


def origins(records: list[tuple[str, dict[str, Any]]]) -> dict[str, str]:
    """Return commit, versions, device and dates of the slices; several values where slices differ."""
    commits, packages, devices, platforms, dates = Counter(), Counter(), Counter(), Counter(), []
    for _, record in records:
        git = record.get("git") or {}
        commits[f"{(git.get('commit') or 'unknown')[:12]}{' with local changes' if git.get('changed') else ''}"] += 1
        versions = {"python": record.get("python"), **(record.get("packages") or {})}
        packages.update(f"{name} {version}" for name, version in versions.items() if version)
        devices[told(record.get("device") or "unknown")] += 1
        platforms[record.get("platform") or "unknown"] += 1
        dates.append(record.get("finished") or "")
    dates = sorted(filter(None, dates))
    named = {
        "Code (commit)": ", ".join(commits),
        "Packages": ", ".join(sorted(packages)),
        "Device": ", ".join(devices),
        "Platform": ", ".join(platforms),
        "Slices finished": " to ".join(dict.fromkeys([dates[0], dates[-1]])) if dates else "",
    }
    return {name: value for name, value in named.items() if value}


def told(value: Any) -> str:
    """A parameter's value as a reader would write it."""
    if isinstance(value, dict):
        return ", ".join(f"{key}: {told(item)}" for key, item in value.items())
    return ", ".join(map(told, value)) if isinstance(value, list | tuple) else str(value)
