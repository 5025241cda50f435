"""A Slurm of one node on this machine: munged, slurmctld and slurmd, with all their files in a folder of their own."""

import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

CONFIG = Path("/etc/slurm/slurm.conf")  # the executor hides SLURM_CONF from its steps, so it must be this one
OURS = "# Made by tests/slurm and removed at its end.\n"
TEMPLATE = """ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller}
SlurmdPort={daemon}
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
ReturnToService=2
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=2
JobAcctGatherParams=OverMemoryKill
AccountingStorageType=accounting_storage/none
MinJobAge=3600
KillWait=10
SlurmdParameters=config_overrides
GresTypes=gpu
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory={memory} Gres=gpu:2 State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""
# Two GPUs in name only: what counts is what jobs ask for.
GPUS = "Name=gpu File=/dev/null\nName=gpu File=/dev/zero\n"


class NoCluster(Exception):
    """Slurm cannot be had here; the message is one sentence."""


def install() -> None:
    """Install Debian's Slurm where it is missing.

    Raises:
        NoCluster: without root, without apt-get, without the package, or with a Slurm of the machine's own.
    """
    if os.geteuid() != 0:
        raise NoCluster(
            "the Slurm test needs root, to install slurm-wlm and to start its daemons: run it in a container"
        )
    if CONFIG.exists() and not CONFIG.read_text().startswith(OURS):
        raise NoCluster(f"{CONFIG} says that this machine has a Slurm of its own; the test runs where there is none")
    if all(map(shutil.which, ("munged", "slurmctld", "slurmd", "sbatch"))):
        return
    if not shutil.which("apt-get"):
        raise NoCluster("the Slurm test installs Debian's package slurm-wlm, and there is no apt-get here")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    command = ["apt-get", "install", "--yes", "--no-install-recommends", "slurm-wlm", "munge"]
    quiet = {"env": environment, "stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True}
    if subprocess.run(command, **quiet).returncode:
        subprocess.run(["apt-get", "update"], **quiet)
        tried = subprocess.run(command, **quiet)
        if tried.returncode:
            raise NoCluster(f"apt-get could not install slurm-wlm: {tried.stderr.strip().splitlines()[-1]}")


class Cluster:
    """Daemons that live as long as the `with` block, and their jobs no longer."""

    def __init__(self, folder: Path, cpus: int = 2, memory: int = 9000) -> None:
        """Take a folder for all files; `cpus` and `memory` (MiB) are what the node says it has."""
        self.folder, self.daemons = folder, []
        self.values = {"folder": folder, "cpus": cpus, "memory": memory, "host": socket.gethostname().split(".")[0]}

    def __enter__(self) -> "Cluster":
        try:
            self._start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _start(self) -> None:
        for name in ("munge", "state", "spool"):
            (self.folder / name).mkdir(parents=True)
        for folder in (self.folder, self.folder.parent):
            folder.chmod(0o755)  # munge wants its socket to be in everybody's reach
        key = self.folder / "munge" / "key"
        key.write_bytes(os.urandom(1024))
        key.chmod(0o400)
        files = {"key-file": key} | {f"{name}-file": self.folder / "munge" / name for name in ("pid", "log", "seed")}
        words = [f"--{name}={path}" for name, path in files.items()]
        self._daemon("munged", "--foreground", f"--socket={self.folder}/munge/socket", *words)
        wait_for((self.folder / "munge" / "socket").exists, 20, "munged did not start")
        CONFIG.parent.mkdir(exist_ok=True)
        CONFIG.write_text(OURS + TEMPLATE.format(**self.values, controller=free_port(), daemon=free_port()))
        CONFIG.with_name("gres.conf").write_text(OURS + GPUS)
        self._daemon("slurmctld", "-D")
        self._daemon("slurmd", "-D")
        wait_for(lambda: "idle" in ask("sinfo", "--noheader", "--format=%T"), 60, "the node is not ready")

    def _daemon(self, *words: str) -> None:
        path = self.folder / f"{words[0]}.out"
        quiet = {"stdin": subprocess.DEVNULL, "stderr": subprocess.STDOUT}
        self.daemons.append(subprocess.Popen(words, stdout=path.open("w"), **quiet))

    def stop(self) -> None:
        """End all jobs, then the daemons, newest first, and take the configuration away."""
        if len(self.daemons) == 3:
            ask("scancel", "--signal=KILL", "--full", "--user=root")
            ask("scancel", "--user=root")
            for _ in range(30):
                if not jobs(None, "RUNNING", "COMPLETING"):
                    break
                time.sleep(1)
        for daemon in reversed(self.daemons):
            daemon.send_signal(signal.SIGTERM)
            try:
                daemon.wait(15)
            except subprocess.TimeoutExpired:
                daemon.kill()
        if CONFIG.exists() and CONFIG.read_text().startswith(OURS):
            CONFIG.unlink()
            CONFIG.with_name("gres.conf").unlink(missing_ok=True)


def ask(*words: str) -> str:
    """What a command of Slurm's says; nothing when it fails."""
    return subprocess.run(words, capture_output=True, text=True).stdout


def jobs(folder: Path | None = None, *states: str) -> dict[str, str]:
    """Jobs in these states: {number: comment}; the executor makes it of rule and wildcards.

    Args:
        folder: only those that were submitted from here.
        states: in Slurm's words.
    """
    rows = ask("squeue", "--noheader", f"--states={','.join(states)}", "--format=%i|%Z|%k").splitlines()
    split = [row.split("|", 2) for row in rows]
    return {job: comment for job, place, comment in split if folder is None or Path(place) == folder}


def gpus(folder: Path) -> set[str]:
    """What the jobs that were submitted from a folder asked for by --gpus, in Slurm's words."""
    asked = ask("squeue", "--noheader", "--states=all", "--Format=WorkDir:300,tres-per-job:60").splitlines()
    return {row.split()[-1] for row in asked if row.split()[0] == str(folder)}


def processes() -> list[tuple[str, str]]:
    """All processes that were started inside Slurm jobs: the job's number, the command line."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            job = re.search(rb"\0SLURM_JOB_ID=(\d+)\0", (folder / "environ").read_bytes())
            words = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if job and words:
            found.append((job.group(1).decode(), words))
    return found


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(condition: Callable[[], object], seconds: float, what: str) -> None:
    """Wait until a condition holds; complain after so many seconds."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"after {seconds:.0f} s: {what}")
        time.sleep(0.5)
