"""How many samples the maps of a new study are made from: what its networks take on this machine decides, in its own file."""

import io
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from xailib.errors import InputError
from xailib.workflow.init.text import commented
from xailib.workspace import environment

SCALES = (
    "small",
    "quick",
)  # from the one that samples more: the first that is done in time here is written, or the last
IN_TIME = 10  # minutes
SLICE_SECONDS = 5  # of a slice beside the network's passes: its notebook, reading, ranks
REPORT_SECONDS = 60  # of the final notebooks and the report, one after the other


def prices(place: Path, study: str) -> dict[str, float]:
    """Return how many minutes a study takes on this machine at each of `SCALES`.

    Passes, as `plan` counts them and times them on one core or GPU, and the notebooks around them are shared out among the
    cores; the report comes on top.

    Args:
        place: the workspace.
        study: an id of its `params/studies/`.

    Raises:
        InputError: what `plan` refuses.
    """
    import pandas as pd
    import torch

    words = ["plan", study, "--rounds", "1", "--csv", "-", "--scale", *SCALES]
    there = {**environment(), "XAILIB_WORKSPACE": str(place), "OMP_NUM_THREADS": "1"}  # as Snakemake starts slices
    run = subprocess.run(
        [sys.executable, "-m", "xailib.workflow", *words], cwd=place, capture_output=True, encoding="utf-8", env=there
    )
    if run.returncode:
        raise InputError((run.stderr.strip().splitlines() or ["?"])[-1].removeprefix("error: "))
    at_once = 1 if torch.cuda.is_available() else os.cpu_count() or 1  # slices share a GPU one after the other
    found = {}
    for scale, rows in pd.read_csv(io.StringIO(run.stdout)).groupby("scale"):
        stages = rows["stage"].value_counts()
        slices = rows["model"].nunique() + 2 * stages["attribute"] + stages.get("sanity", 0)
        seconds = 3600 * rows["hours"].sum() + slices * SLICE_SECONDS
        found[str(scale)] = (seconds / at_once + REPORT_SECONDS) / 60
    return found


def choose(place: Path, study: str, minutes: Mapping[str, float]) -> str:
    """Write into a study's file the scale that is done in time, beside what each takes, and return that in a sentence.

    Args:
        place, study: as in `prices`.
        minutes: what that returns.
    """
    scale = next((scale for scale in SCALES if minutes[scale] <= IN_TIME), SCALES[-1])
    (other,) = set(SCALES) - {scale}
    told = {name: f"{had:.0f} minutes" if had < 120 else f"{had / 60:.0f} hours" for name, had in minutes.items()}
    note = f"samples a map: {scale} takes about {told[scale]} here, {other} {told[other]}; full is the papers'"
    path = place / "params" / "studies" / f"{study}.yaml"
    line = commented({"scale": scale}, {"scale": note}).rstrip()
    path.write_text(re.sub(r"^scale: .*$", lambda _: line, path.read_text(encoding="utf-8"), flags=re.M), "utf-8")
    said = f"About {told[scale]} on this machine at scale {scale} ({other} takes {told[other]})"
    return f"{said}; it stops and goes on at any time."
