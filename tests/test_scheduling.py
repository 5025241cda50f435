"""Snakemake at rest: no timers where jobs wake the scheduler themselves, one where time alone lets more jobs start."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from snakemake.scheduling import job_scheduler

from xailib.workflow.scheduling import rest_between_jobs

# Counts the timers that Snakemake starts, and the threads that are there when the last job has ended.
SNAKEFILE = """
import json, sys, threading

timers = []

class Timer(threading.Timer):
    def start(self):
        timers.append(self)
        super().start()

threading.Timer = Timer
if config["ours"]:
    sys.path.insert(0, {root!r})
    from xailib.workflow.scheduling import rest_between_jobs
    rest_between_jobs()

onsuccess:
    with open("seen.json", "w") as file:
        json.dump({{"timers": len(timers), "threads": threading.active_count()}}, file)

rule all:
    input: expand("{{i}}.txt", i=range(int(config["jobs"])))

rule one:
    output: "{{i}}.txt"
    shell: {command!r}
"""


def start(folder: Path, repository: Path, command: str, jobs: int, *words: str, ours: int = 1) -> subprocess.Popen[Any]:
    (folder / "Snakefile").write_text(SNAKEFILE.format(root=str(repository), command=command))
    said = [sys.executable, "-m", "snakemake", "--profile", str(repository / "profiles" / "default"), *words]
    return subprocess.Popen(
        [*said, "--config", f"jobs={jobs}", f"ours={ours}"],
        cwd=folder, start_new_session=True, stdout=open(folder / "said", "w"), stderr=subprocess.STDOUT,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip


def finish(process: subprocess.Popen[Any], folder: Path) -> int:
    try:
        return process.wait(150)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        print((folder / "said").read_text())


def test_timers_do_not_pile_up(tmp_path: Path, repository: Path) -> None:
    seen = {}
    for ours in (0, 1):
        folder = tmp_path / str(ours)
        folder.mkdir()
        assert finish(start(folder, repository, "touch {output}", 60, "--cores", "2", ours=ours), folder) == 0
        seen[ours] = json.loads((folder / "seen.json").read_text())
    assert seen[1]["timers"] == 0 and seen[1]["threads"] <= 6, seen
    # Where this fails, Snakemake rests by itself and xailib.workflow.scheduling can go.
    assert seen[0]["timers"] >= 30, seen


def test_the_rate_limit_holds_and_does_not_hold_up(tmp_path: Path, repository: Path) -> None:
    """Only a timer starts the later jobs here: those before have long ended."""
    words = ("--cores", "8", "--max-jobs-per-timespan", "4/2s")
    assert finish(start(tmp_path, repository, "date +%s.%N > {output}", 12, *words), tmp_path) == 0
    timers = json.loads((tmp_path / "seen.json").read_text())["timers"]
    assert 2 <= timers <= 12
    times = sorted(float((tmp_path / f"{i}.txt").read_text()) for i in range(12))
    assert times[-1] - times[0] > 1  # three portions, two seconds apart, less what a busy machine delays a job


def test_failed_jobs_are_tried_again_at_once(tmp_path: Path, repository: Path) -> None:
    began = "if [ -e {wildcards.i}.tried ]; then touch {output}; else touch {wildcards.i}.tried; exit 1; fi"
    assert finish(start(tmp_path, repository, began, 6, "--cores", "2", "--retries", "1"), tmp_path) == 0
    assert len(list(tmp_path.glob("*.tried"))) == len(list(tmp_path.glob("*.txt"))) == 6


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_is_interrupted_while_it_rests(tmp_path: Path, repository: Path, number: int) -> None:
    """Ctrl-C ends what runs; SIGTERM lets it end, starts nothing more, and leaves."""
    last = 60 if number == signal.SIGINT else 4
    process = start(
        tmp_path, repository, f"touch {{wildcards.i}}.began; sleep {last}; touch {{output}}", 5, "--cores", "1"
    )
    deadline = time.monotonic() + 90
    while not list(tmp_path.glob("*.began")):
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.1)
    time.sleep(1)  # it rests by now
    stopped = time.monotonic()
    os.killpg(process.pid, number) if number == signal.SIGINT else process.send_signal(number)
    assert finish(process, tmp_path) != 0
    assert time.monotonic() - stopped < 40
    assert len(list(tmp_path.glob("*.began"))) == 1
    assert len(list(tmp_path.glob("*.txt"))) == (0 if number == signal.SIGINT else 1)


@pytest.fixture
def patched(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The delays of the timers that Snakemake's own way of starting them was asked for, under ours."""
    delays: list[float] = []
    theirs = lambda self, delay: delays.append(delay)  # noqa: E731
    monkeypatch.setattr(job_scheduler.JobScheduler, "_schedule_reevalutation", theirs)
    rest_between_jobs()
    rest_between_jobs()  # a second time changes nothing
    return delays


def scheduler(started: int, limit: int = 4, awaited: bool = False, **others: Any) -> SimpleNamespace:
    """What a scheduler knows that started so many of its `limit` jobs."""
    dag = SimpleNamespace(has_unfinished_queue_input_jobs=lambda: awaited)
    limiter = SimpleNamespace(_jobs=[0.0] * started, max_jobs=limit)
    return SimpleNamespace(**{"job_rate_limiter": limiter, "workflow": SimpleNamespace(dag=dag), **others})


def test_one_timer_and_only_where_time_helps(patched: list[float]) -> None:
    ask = job_scheduler.JobScheduler._schedule_reevalutation
    ask(scheduler(started=3), 1)
    assert patched == []  # jobs wait for cores
    held = scheduler(started=4)
    ask(held, 0.2), ask(held, 0.2), ask(held, 5)
    assert patched == [0.2]  # the first is on its way and serves all
    ask(held, 0.05)
    assert patched == [0.2, 0.05]  # sooner than the one that is on its way
    time.sleep(0.25)
    ask(held, 0.2)
    assert patched == [0.2, 0.05, 0.2]  # the others have gone off
    ask(scheduler(started=0, awaited=True), 10), ask(scheduler(0, awaited=True, job_rate_limiter=None), 10)
    assert patched[3:] == [10, 10]  # files arrive from outside


@pytest.mark.parametrize("unknown", [SimpleNamespace(), scheduler(0, job_rate_limiter=SimpleNamespace())])
def test_a_scheduler_made_otherwise_keeps_its_timer(patched: list[float], unknown: SimpleNamespace) -> None:
    job_scheduler.JobScheduler._schedule_reevalutation(unknown, 1)
    assert patched == [1]


@pytest.mark.parametrize("missing", ["method", "class", "module"])
def test_a_snakemake_without_such_timers_stays_as_it_is(monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    scheduler_class = job_scheduler.JobScheduler
    if missing == "method":
        monkeypatch.delattr(job_scheduler.JobScheduler, "_schedule_reevalutation")
    elif missing == "class":
        monkeypatch.delattr(job_scheduler, "JobScheduler")
    else:
        monkeypatch.setitem(sys.modules, "snakemake.scheduling.job_scheduler", None)
    before = dict(vars(scheduler_class))
    rest_between_jobs()
    assert dict(vars(scheduler_class)) == before


def test_the_snakefile_asks_for_it_before_any_job_runs(repository: Path) -> None:
    assert "\nrest_between_jobs()\n" in (repository / "Snakefile").read_text()
