"""What a study's folder tells beside its tables: its values, what was left out, where its slices come from."""

import contextlib
import json
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from xailib.analysis.table import Table
from xailib.params import ids, load_params, read
from xailib.results import read_table
from xailib.workspace import find

# Where the records of slices lie, in the order of the work; those of ROAR's rankings are called after what they rank by.
_STAGES = "probe predict attribute sanity evaluate finetune indomain rank retrain trust toy"
RECORDS = {stage: f"**/{stage}.json" for stage in _STAGES.split()} | {"rank": "**/ranks/*.json"}


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


def fewer(folder: Path) -> str:
    """Return a sentence where every network is right on fewer images than the study asks for; else an empty string."""
    values, path = study_values(folder), folder / "choose.json"
    if not values.get("only_correct", True) or not path.exists():
        return ""
    found = json.loads(path.read_text(encoding="utf-8"))
    wanted = values["limit"] or 1  # null: as many as there are
    if found["right_by_all"] >= wanted:
        return ""
    looked = f"of the first {found['candidates']} images"
    if not found["right_by_all"]:
        return f"Every network is right on none {looked}: the first {found['chosen']} were explained, and none of them counts."
    return (
        f"Every network is right on {found['right_by_all']} {looked}, fewer than the {wanted} that the study asks for; "
        "a larger accuracy_images looks through more."
    )


def question(values: dict[str, Any]) -> str:
    """Return what a study of maps asks, from its values."""
    if values.get("kind") != "compare":
        return "How explainable are CNNs?"
    labels = [literal(load_params("models", id)["label"]) for id in values["models"]]
    return f"Which explanation can you trust on {listed(labels) if len(labels) <= 3 else f'{len(labels)} networks'}?"


def parameters(folder: Path) -> Table:
    """Return those of a study's values that say something, as a reader would write them."""
    values = {key: written(value) for key, value in study_values(folder).items() if value not in (None, "", [], {})}
    return Table(pd.DataFrame({"Value": values}), f"Parameters of {folder.name}")


def model_cards(folder: Path) -> str:
    """Return where the weights of a study's networks come from, as Markdown: model cards linked, sources named."""
    values = study_values(folder)
    names = values.get("models") or []
    known = [name for name in names if name in ids("models")] if isinstance(names, list) else []
    told: dict[str, list[str]] = {}
    for name in known:
        weights = load_params("models", name)["weights"]
        card = find(Path(str(weights.get("path", ""))).parent / "README.md")
        if weights["source"] == "file" and card.exists():
            origin = f"[model card]({os.path.relpath(card, folder)})"
        else:
            repo = weights.get("repo") if weights["source"] == "huggingface" else None
            origin = f"weights from {f'[{repo}](https://huggingface.co/{repo})' if repo else weights['source']}"
        told.setdefault(origin, []).append(name)
    return "\n".join(f"- {', '.join(models)}: {origin}" for origin, models in told.items())


def skipped(folder: Path) -> Table:
    """Return the pairs of network and method that were left out, with the reason."""
    path = folder / "skipped.csv"
    if not path.exists() or path.stat().st_size < 2:
        return Table(pd.DataFrame(), "Pairs left out: none, every method was run on every network.")
    table = read_table(path).astype(str)
    return Table(table.set_index(table.columns[0]), f"Pairs left out, since they do not apply: {len(table)}")


def slice_records(*folders: Path) -> pd.DataFrame:
    """Return what the provenance of every slice in these folders says, one row a slice.

    Columns: stage, seconds (of these in the network: network), images through it (forward, backward), memory (MiB at
    most), commit, packages (a list), device, platform, finished (ISO time); empty where a record does not say.
    """
    rows = []
    for stage, pattern in RECORDS.items():
        for path in sorted(path for folder in folders for path in folder.glob(pattern)):
            with contextlib.suppress(OSError, ValueError):  # a slice that is being written again
                rows.append({"stage": stage, **_flat(json.loads(path.read_text(encoding="utf-8")))})
    return pd.DataFrame(rows, columns=["stage", *_flat({})])


def _flat(record: dict[str, Any]) -> dict[str, Any]:
    passes, git = record.get("passes") or {}, record.get("git") or {}
    versions = {"python": record.get("python"), **(record.get("packages") or {})}
    return {
        "seconds": record.get("seconds"),
        "network": passes.get("seconds"),
        "forward": passes.get("forward"),
        "backward": passes.get("backward"),
        "memory": (record.get("peak_memory_mib") or {}).get("resident"),
        "commit": (git.get("commit") or "unknown")[:12] + " with local changes" * bool(git.get("changed")),
        "packages": [f"{name} {version}" for name, version in sorted(versions.items()) if version],
        "device": written(record["device"]) if record.get("device") else None,
        "platform": record.get("platform") or None,
        "finished": record.get("finished") or None,
    }


def costs(slices: pd.DataFrame) -> Table:
    """Return what each stage cost, from `slice_records`."""
    columns = {"seconds": "Seconds", "network": "of these in the network"}
    columns |= {"forward": "Images forward", "backward": "Images backward"}
    stages = slices.astype(dict.fromkeys([*columns, "memory"], float)).groupby("stage", sort=False)
    table = stages[list(columns)].sum(min_count=1).rename(columns=columns)  # trainings do not count their passes
    table.insert(0, "Slices", stages.size())
    return Table(table.assign(**{"Largest memory (MiB)": stages["memory"].max()}), "What each stage cost", digits=0)


def origins(slices: pd.DataFrame) -> Table:
    """Return commit, versions, device and dates of `slice_records`; several values where slices differ."""
    names = {"commit": "Code (commit)", "packages": "Packages", "device": "Device", "platform": "Platform"}
    facts = {label: ", ".join(slices[name].explode().dropna().unique()) or "unknown" for name, label in names.items()}
    dates = slices["finished"].dropna().sort_values()
    facts["Slices finished"] = " to ".join(dates.iloc[[0, -1]].unique()) if len(dates) else ""
    return Table(pd.DataFrame({"Value": facts}), "Where the results come from")


def listed(words: Iterable[Any]) -> str:
    """Write words as a list: "a, b and c"."""
    *most, last = map(str, words)
    return f"{', '.join(most)} and {last}" if most else last


def literal(text: object) -> str:
    """Write a label so that Markdown shows it as it is: `ResNet <small>` would lose a word, as a tag of HTML."""
    return re.sub(r"([\\`*~$<\[])", r"\\\1", str(text))


def many(n: int, noun: str) -> str:
    """Write a number of things: "1 image", "2 images"."""
    return f"{n} {noun}{'' if n == 1 else 's'}"


def written(value: Any) -> str:
    """A parameter's value as a reader would write it."""
    if isinstance(value, dict):
        return ", ".join(f"{key}: {written(item)}" for key, item in value.items())
    return ", ".join(map(written, value)) if isinstance(value, list | tuple) else str(value)
