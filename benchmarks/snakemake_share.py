"""How much of a study's CPU time is Snakemake's own?  python benchmarks/snakemake_share.py --help

A rehearsal runs the study's whole graph, with slices that sleep and write empty files: once as Snakemake is, once with
`xailib.workflow.scheduling`; nearly all of it is Snakemake's. `--real` runs the study itself, in this checkout, and its share is
the study's. Linux only.
"""

import argparse
import ctypes
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from timing import report

REPOSITORY = Path(__file__).resolve().parent.parent
TICKS = os.sysconf("SC_CLK_TCK")
PR_SET_CHILD_SUBREAPER = 36


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--study", default="pictograms")
    parser.add_argument("--cores", default="2")
    parser.add_argument("--seconds", type=float, default=0.2, help="that a slice of the rehearsal sleeps")
    parser.add_argument("--real", action="store_true", help="run the study itself: takes as long as that")
    chosen = parser.parse_args()
    words = ["--cores", chosen.cores, "--config", f"study={chosen.study}"]
    rows = []
    if chosen.real:
        rows.append({"run": f"{chosen.study}, real", **measure(REPOSITORY, words)})
    else:
        for name, ours in (("as it is", False), ("ours", True)):
            with tempfile.TemporaryDirectory() as folder:
                rehearsal(Path(folder), chosen.seconds, ours)
                rows.append({"run": f"{chosen.study}, {name}", **measure(Path(folder), words)})
    report("snakemake_share", rows)


def rehearsal(folder: Path, seconds: float, ours: bool) -> None:
    """Lay out the repository in `folder`, with commands that sleep and write empty files."""
    for name in ("xailib", "params", "notebooks", "profiles", "weights", "environment.yml"):
        (folder / name).symlink_to(REPOSITORY / name)
    (folder / "rules").mkdir()
    for name in ("Snakefile", "rules/roar.smk", "rules/networks.smk"):
        text = (REPOSITORY / name).read_text()
        text = re.sub(r'( +)shell:\n(?: +".*"\n)+', rf'\1shell:\n\1    "sleep {seconds}; touch {{output}}"\n', text)
        (folder / name).write_text(text if ours else text.replace("\nrest_between_jobs()\n", "\n"))


def measure(folder: Path, words: list[str]) -> dict[str, Any]:
    """Run Snakemake in `folder` and count: its own process, and it with all that came from it, warm server included."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began, threads = time.monotonic(), 0
    with tempfile.TemporaryDirectory() as temporary:
        environment = {**os.environ, "TMPDIR": temporary}  # a warm server of its own, which ends with the folder
        path = Path(temporary, "said")
        with path.open("w") as log:
            run = subprocess.Popen(
                [sys.executable, "-m", "snakemake", *words], cwd=folder, env=environment, stdout=log, stderr=log
            )
        while not os.waitid(os.P_PID, run.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG):
            threads = max(threads, len(os.listdir(f"/proc/{run.pid}/task")))
            time.sleep(0.1)
        wall = time.monotonic() - began
        fields = Path(f"/proc/{run.pid}/stat").read_text().rpartition(")")[2].split()  # not yet reaped: still there
        said = path.read_text()
    if run.wait():
        raise SystemExit(said)
    while True:  # the warm server and whatever else outlived its parent has become this process's child
        try:
            os.wait()
        except ChildProcessError:
            break
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    own = (int(fields[11]) + int(fields[12])) / TICKS
    everything = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    jobs = int((re.findall(r"(\d+) of \d+ steps", said) or ["0"])[-1])
    row = {
        "jobs": jobs,
        "wall_s": wall,
        "most_threads": threads,
        "snakemake_cpu_s": own,
        "ms_a_job": 1e3 * own / max(jobs, 1),
    }
    return {**row, "all_cpu_s": everything, "share": own / everything}


if __name__ == "__main__":
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    main()
