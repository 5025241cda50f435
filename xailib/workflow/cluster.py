"""What a slice asks of a cluster, and what Slurm's logs say of jobs that it ended.

    python -m xailib.workflow endings FOLDER [SECONDS]     say it of the logs below a folder, written since a time

The Snakefile does so at the end of a run. Locally, time and memory limit nothing; no result depends on them.
"""

import argparse
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from xailib.params.stages import of_rule

# Minutes of a slice's first attempt in studies of these scales, which are made of short slices; others take those of `STAGES`.
MINUTES = {"smoke": 10, "quick": 30, "small": 60}
# MiB of host memory: libraries and kernel take 1.5 GiB, 2,000 images at 224 px with maps and copies 6 GiB.
MEMORY = {"smoke": 3000, "quick": 4000, "small": 4000}
MEMORY_IN_FULL = 16000

# How slurmstepd, slurmctld and srun word the end of a job, in the order of precedence.
_REASONS = {
    "memory": r"oom.?kill|[Oo]ut [Oo]f [Mm]emory|OUT_OF_MEMORY|[Ee]xceeded (?:job |step )?memory limit",
    "time": r"DUE TO TIME LIMIT",
    "node": r"DUE TO NODE FAILURE",
    "preemption": r"DUE TO PREEMPTION",
    "cancelled": r"\*\*\* (?:JOB|STEP) \S+ ON \S+ CANCELLED",
}


def runtime(study: Any, stage: str = "") -> Callable[[Any, int, str], int]:
    """Return what Snakemake asks for a slice's time limit in minutes: the n-th attempt gets n times the first's.

    Args:
        study: a `Study`; its `scale` says how long slices take.
        stage: a key of `STAGES`, where the rule is called otherwise.
    """
    scale = study.values.get("scale")

    def minutes(wildcards: Any, attempt: int, rulename: str = "") -> int:
        found = of_rule(stage or rulename)
        return attempt * (found.minutes if found.any_scale else MINUTES.get(scale, found.minutes))

    return minutes


def memory(study: Any) -> Callable[[Any, int], int]:
    """Return what Snakemake asks for a slice's memory in MiB: the n-th attempt gets n times the first's."""
    first = MEMORY.get(study.values.get("scale"), MEMORY_IN_FULL)
    return lambda wildcards, attempt: first * attempt


def endings(folder: str | Path, since: float = 0.0) -> list[str]:
    """Return one sentence for every slice whose job Slurm ended itself: its last attempt, oldest first.

    Args:
        folder: where the executor keeps the logs of jobs, `<rule>/<wildcards>/<job>.log` below it; it may be missing.
        since: logs that were written to before this time (seconds since 1970) are of earlier runs.
    """
    logs = [path for path in Path(folder).rglob("*.log") if path.stat().st_mtime >= since]
    said: dict[str, str] = {}
    for path in sorted(logs, key=lambda path: (path.stat().st_mtime, path.name)):
        name, sentence = ending(path.stem, path.read_text(encoding="utf-8", errors="replace"))
        if sentence:
            said[name] = sentence
    return list(said.values())


def ending(job: str, text: str) -> tuple[str, str]:
    """Return the name of a job's slice and a sentence on why Slurm ended it, empty where it did not.

    Args:
        job: its number.
        text: its log; the files it names are looked for below the current folder, to see if a later attempt made them.
    """
    rule, name = _last_slice(text)
    reason = next((name for name, pattern in _REASONS.items() if re.search(pattern, text)), "")
    if not reason:
        return name, ""
    mebibytes, minutes = _resource(text, "mem_mb"), _resource(text, "runtime")
    why, more = {
        "memory": (f"because it used more memory than its {mebibytes or '?'} MiB", f"mem_mb={2 * mebibytes or 8000}"),
        "time": (f"at its time limit of {minutes or '?'} min", f"runtime={2 * minutes or 120}"),
        "node": ("because its node failed", ""),
        "preemption": ("to make room for another one", ""),
        "cancelled": ("because somebody cancelled it", ""),
    }[reason]
    outputs = re.findall(r"^\s+output: (.+)$", text, re.M)
    done = bool(outputs) and all(Path(path).exists() for path in outputs[-1].split(", "))
    what = "a later attempt finished" if done else "run the same command again"
    option = f", {'and' if done else 'with'} --set-resources {rule}:{more} gives more" if more else ""
    return name, f"{'note' if done else 'error'}: {name}: Slurm ended job {job} {why}; {what}{option}"


def _last_slice(text: str) -> tuple[str, str]:
    """The rule and the name of the slice that a log speaks of last: in a bundle, those before it are done."""
    rules = re.findall(r"^(?:local)?rule (\w+):", text, re.M)
    wildcards = re.findall(r"^\s+wildcards: (.+)$", text, re.M)
    if not rules:
        return "RULE", "a slice"
    values = re.findall(r"\w+=([^,\s]+)", wildcards[-1]) if wildcards else []
    return rules[-1], " ".join([rules[-1], *([f"of {' x '.join(values)}"] if values else [])])


def _resource(text: str, name: str) -> int:
    """The value of a resource where a log gives it last, or 0."""
    found = re.findall(rf"\b{name}=(\d+)", text)
    return int(found[-1]) if found else 0


def main(words: list[str] | None = None) -> int:
    """Run the command line: say it of the logs below a folder, written since a time."""
    parser = argparse.ArgumentParser(prog="python -m xailib.workflow endings", description=__doc__.splitlines()[0])
    parser.add_argument("folder", help="where Snakemake's executor keeps the logs of jobs")
    parser.add_argument("since", type=float, nargs="?", default=0.0, help="seconds since 1970; by default all logs")
    arguments = parser.parse_args(words)
    for line in endings(arguments.folder, arguments.since):
        print(line, file=sys.stderr)
    return 0
