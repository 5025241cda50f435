"""`make test-slurm`: the smoke study through a real Slurm, with a job lost, one out of time and one out of memory.

Everything happens in copies of this checkout below a temporary folder; the log is logs/slurm/test.log. Some 7 minutes.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TextIO

import pandas as pd

from tests.slurm import cluster

REPOSITORY = Path(__file__).resolve().parents[2]
LOG = REPOSITORY / "logs" / "slurm" / "test.log"
SCORES = "results/smoke/scores.parquet"
# The profile as it is, apart from the waits: everything is on one machine here.
SLURM = ["--profile", "profiles/slurm", "--slurm-init-seconds-before-status-checks", "5", "--latency-wait", "10"]
BUNDLES = ["--groups", "attribute=maps", "final=notes", "--group-components", "maps=3", "notes=3"]
# Without profiles/default, with a GPU a slice, and with limits that two slices of this study do not keep.
LIMITS = ["--workflow-profile", *SLURM[1:], "--config", "study=limits", "gpu=1", "--retries", "1"]
TIGHT = ["--set-resources", "attribute:runtime=1+4*(attempt-1)", "attribute:mem_mb=3000"]
MAPS = {name: f"results/limits/mini_resnet_vanilla/{name}/maps.npz" for name in ("sleepy", "hungry")}


class Checkout:
    """A copy of this checkout, with results and a temporary folder of its own."""

    def __init__(self, root: Path, log: TextIO) -> None:
        self.root, self.log, self.name = root, log, root.name
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=REPOSITORY, capture_output=True, text=True, check=True,
        )  # fmt: skip
        for name in filter(None, listed.stdout.split("\0")):
            if name.split("/")[0] not in ("docs", "tests", "benchmarks") and (REPOSITORY / name).is_file():
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(REPOSITORY / name, root / name)
        (root / "tmp").mkdir()
        self.process: subprocess.Popen[bytes] | None = None
        self.environment = {**os.environ, "TMPDIR": str(root / "tmp")}

    def start(self, *words: str) -> None:
        """Start Snakemake; what it says goes to a file that `said` reads."""
        command = [sys.executable, "-m", "snakemake", *words]
        self.log.write(f"\n$ [{self.name}] snakemake {' '.join(words)}\n")
        self.log.flush()
        self.process = subprocess.Popen(
            command, cwd=self.root, env=self.environment, stdout=(self.root / "said").open("w"), stderr=subprocess.STDOUT,
            start_new_session=True,
        )  # fmt: skip

    def finish(self, seconds: float = 1200) -> tuple[int, str]:
        """Wait for Snakemake; return its status and all that it said, which goes to the log as well."""
        try:
            status = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.stop()
            status = -1
        said = (self.root / "said").read_text()
        self.log.write(said + f"[{self.name}] exit status {status}\n")
        self.log.flush()
        return status, said

    def snakemake(self, *words: str) -> tuple[int, str]:
        """Run Snakemake to its end."""
        self.start(*words)
        return self.finish()

    def stop(self) -> None:
        """End a Snakemake that still runs."""
        if self.process is not None and self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def slices(self) -> set[str]:
        """Folders that hold a finished table of scores."""
        return {str(path.parent.relative_to(self.root)) for path in self.root.glob("results/*/*/*/scores.parquet")}


class Report:
    """Checks one by one: said at once and kept; the first that fails ends the test."""

    def __init__(self, log: TextIO) -> None:
        self.log, self.start = log, time.monotonic()

    def __call__(self, good: bool, text: str) -> None:
        line = f"{'ok  ' if good else 'FAIL'} {time.monotonic() - self.start:4.0f} s  {text}"
        print(line, flush=True)
        self.log.write(f"== {line}\n")
        self.log.flush()
        if not good:
            raise AssertionError(text)


def half_way(folder: Path) -> list[str]:
    """Running bundles of maps, once one map is there."""
    running = [job for job, comment in cluster.jobs(folder, "RUNNING").items() if "maps" in comment]
    return running if [*folder.glob("results/smoke/*/*/maps.npz")] else []


def lose_a_job(checkout: Checkout, check: Report) -> None:
    """Cancel a job half-way: the others go on, one sentence says so, nothing of it is left."""
    checkout.start(*SLURM, "--config", "study=smoke", "--retries", "0", *BUNDLES, "--", SCORES)
    here = checkout.root
    cluster.wait_for(lambda: half_way(here), 600, "no bundle of maps was half-way")
    lost = half_way(here)[0]
    had = [words for job, words in cluster.processes() if job == lost]
    cluster.ask("scancel", lost)
    ended = lambda: lost not in cluster.jobs(here, "RUNNING", "COMPLETING")  # noqa: E731
    cluster.wait_for(ended, 60, f"job {lost} went on after scancel")
    # This Slurm follows parents, not cgroups: the process of a slice that lost its caller ends by itself, within seconds.
    gone = lambda: all(job != lost for job, _ in cluster.processes())  # noqa: E731
    cluster.wait_for(gone, 15, f"processes of job {lost} live on")
    status, said = checkout.finish()
    sentences = re.findall(r"^error: .*Slurm ended job.*$", said, re.M)
    check(status != 0 and len(sentences) == 1 and f"job {lost} because somebody cancelled it" in sentences[0],
          f"scancel of a bundle of slices half-way: {sentences}")  # fmt: skip
    check(bool(had), f"none of its {len(had)} processes is left")
    check(0 < len(checkout.slices()) < 6, f"the others went on: {len(checkout.slices())} of 6 pairs have scores")


def go_on(checkout: Checkout, local: Checkout, check: Report) -> None:
    """The same command again makes what is missing; the scores are those of a local run."""
    before = {name: (checkout.root / name / "scores.parquet").stat().st_mtime_ns for name in checkout.slices()}
    status, said = checkout.snakemake(*SLURM, "--config", "study=smoke", *BUNDLES)
    check(status == 0, "the same command again finishes, up to the report")
    after = {name: (checkout.root / name / "scores.parquet").stat().st_mtime_ns for name in before}
    check(after == before, "what was finished was not made again")
    here, there = (pd.read_parquet(place.root / SCORES) for place in (checkout, local))
    pd.testing.assert_frame_equal(here, there, check_exact=True)
    check(True, f"scores.parquet: {len(here)} rows, equal to a local run's to the last bit")
    status, said = checkout.snakemake("--config", "study=smoke", "-n")
    check("Nothing to be done" in said, "a local run has nothing to do, whatever time and memory slices are given")
    check(not [*(checkout.root / "tmp").glob("xailib-*")], "no warm server was started")


def too_tight(checkout: Checkout, check: Report) -> None:
    """Out of time, then enough of it; out of memory in every attempt, and a re-run with more."""
    status, said = checkout.finish()
    late = re.findall(r"^note: .*sleepy: Slurm ended job \d+ at its time limit of 1 min; a later .*$", said, re.M)
    check(len(late) == 1 and (checkout.root / MAPS["sleepy"]).exists(), f"over its time, then with more: {late}")
    large = re.findall(r"^error: .*hungry: Slurm ended job \d+ because it used more memory than .*$", said, re.M)
    check(
        status != 0 and len(large) == 1 and not (checkout.root / MAPS["hungry"]).exists(), f"over its memory: {large}"
    )
    roomy = ["--set-resources", "attribute:runtime=5", "attribute:mem_mb=8000"]
    status, said = checkout.snakemake(*LIMITS, *roomy, "--", *MAPS.values())
    submitted = len(re.findall(r"has been submitted with SLURM jobid", said))
    check(status == 0 and submitted == 1, "with more memory the same command finishes, and runs that slice alone")


def run(folder: Path, log: TextIO) -> None:
    """All parts, in a running cluster."""
    check = Report(log)
    check(True, f"{cluster.ask('sinfo', '--version').strip()}: munged, slurmctld and slurmd are up")
    local, smoke, tight = (Checkout(folder / name, log) for name in ("local", "smoke", "limits"))
    shutil.copytree(REPOSITORY / "tests" / "slurm" / "extra", tight.root, dirs_exist_ok=True)
    try:
        tight.start(*LIMITS, *TIGHT, "--", *MAPS.values())  # mostly sleeps
        status, _ = local.snakemake("--cores", "1", "--config", "study=smoke", "--", SCORES)
        check(status == 0, "the smoke study has run locally, to compare")
        asked = cluster.gpus(tight.root)  # before Slurm forgets its first jobs
        check(asked == {"gres:gpu:1"}, f"with gpu=1, each slice asks for a GPU: {asked}")
        lose_a_job(smoke, check)
        go_on(smoke, local, check)
        too_tight(tight, check)
        check(not cluster.processes(), "no process of any job is left")
    finally:
        for checkout in (local, smoke, tight):
            checkout.stop()


def main() -> int:
    """Run the test; 0 when every check holds, 1 when one fails, 2 when there can be no Slurm here."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the daemons are stopped
    LOG.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="slurm-", dir="/tmp"))
    try:
        cluster.install()
        with open(LOG, "w") as log, cluster.Cluster(folder / "slurm", cpus=3, memory=24000):
            run(folder, log)
        print(f"All good. The whole log: {LOG.relative_to(REPOSITORY)}")
        return 0
    except cluster.NoCluster as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except AssertionError as error:
        print(f"error: {str(error).strip()}; see {LOG.relative_to(REPOSITORY)}", file=sys.stderr)
        return 1
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
