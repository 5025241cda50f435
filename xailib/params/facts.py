"""What the registries know, as plain data, so that reading the Snakefile does not load torch every time.

The facts are asked of a fresh Python once for each state of the sources and plug-ins, and kept in `.snakemake/`.
"""

import contextlib
import functools
import hashlib
import inspect
import json
import os
import subprocess
import sys
from typing import Any

from xailib.errors import InputError
from xailib.workspace import PACKAGE, environment, place

# Kind of parameter file -> the registry of its functions; a model file names an architecture, an estimator file a form
# (and a method).
REGISTRIES = {
    "methods": "method",
    "metrics": "metric",
    "estimators": "estimator",
    "datasets": "dataset",
    "models": "architecture",
}


def registry_facts() -> dict[str, dict[str, Any]]:
    """Return {kind: {name: {"module": "xailib...", "options": [...], "needs": [...], "offers": [...]}}} of all registries.

    Raises:
        InputError: two plug-ins, or a plug-in and what is shipped, have one name.
    """
    facts = _asked()
    if "refused" in facts:
        raise InputError(facts["refused"])
    return facts["known"]


def broken_plugins() -> list[str]:
    """Return one sentence for each plug-in that cannot be loaded."""
    return _asked().get("broken", [])


def _asked() -> dict[str, Any]:
    """What a fresh Python answers in these sources and plug-ins."""
    return _answer(sources())


def sources() -> str:
    """Return a digest of what is in the files of xailib and of plug-ins, and of where they lie there."""
    digest = hashlib.sha256()
    for root in (PACKAGE, place("plugins")):
        for path in sorted(root.rglob("[!.]*.py")):
            digest.update(os.fsencode(path.relative_to(root)) + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


@functools.cache
def _answer(state: str) -> dict[str, Any]:
    """What is kept of a state or, where nothing is, asked and kept, unless something may be well without an edit."""
    kept = place(f".snakemake/xailib/facts-{state}.json")
    with contextlib.suppress(OSError, ValueError):
        return json.loads(kept.read_text(encoding="utf-8"))
    command = [sys.executable, "-W", "ignore", "-m", "xailib.params.facts"]
    run = subprocess.run(command, env=environment(), capture_output=True, encoding="utf-8")
    if run.returncode:
        raise RuntimeError(f"xailib cannot be imported:\n{run.stderr}")
    facts = json.loads(run.stdout.splitlines()[-1])
    if facts.get("broken"):  # by a package that may be installed next
        return facts
    with contextlib.suppress(OSError, ValueError):  # a read-only workspace asks again next time
        kept.parent.mkdir(parents=True, exist_ok=True)
        partial = kept.with_suffix(f".{os.getpid()}")
        partial.write_text(json.dumps(facts), encoding="utf-8")
        partial.replace(kept)
    return facts


def ask() -> dict[str, Any]:
    """Fill every registry and return its facts; what a function needs beside its options is not among them."""
    from xailib import registry

    try:
        known = {
            kind: {id: describe(entry) for id, entry in getattr(registry, name).entries.items()}
            for kind, name in REGISTRIES.items()
        }
    except registry.RegisteredTwice as error:
        return {"refused": str(error)}
    return {"known": known, "broken": registry.broken()}


def describe(entry: Any) -> dict[str, Any]:
    """Return one entry's module, its options, what it needs of a model and what it offers a method."""
    parameters = list(inspect.signature(entry.function).parameters.values())
    options = [p.name for p in parameters if p.kind is p.KEYWORD_ONLY] or [p.name for p in parameters[1:]]
    options += ["side", "crop"] if entry.facts.get("side") else []  # of a data set of files
    offers = {*entry.facts.get("offers", ()), *(["cam_layer"] if entry.facts.get("cam_layer") else [])}
    settled = {"seed", "split", "limit", "root"}  # the study's, not the parameter file's
    return {
        "module": entry.function.__module__,
        "options": [name for name in options if name not in settled],
        "needs": list(entry.facts.get("needs", ())),
        "offers": sorted(offers),
        **{key: entry.facts.get(key) for key in ("family", "label", "better", "range", "shift_of")},
        **{key: bool(entry.facts.get(key)) for key in ("noisy", "explains")},
        "channels": hasattr(entry.function, "channels"),
        "finetuned": hasattr(entry.function, "deletes"),
        "relabels": entry.facts.get("relabel") is not None,
    }


if __name__ == "__main__":
    print(json.dumps(ask()))
