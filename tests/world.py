"""A copy of the repository with untrained networks, which workflow tests may spoil."""

import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
SNAKEFILE = """\
from xailib.workflow import snakefile
config.setdefault("study", "own")
include: snakefile()
rule study: input: rules.all.input
"""  # of a workspace
SMOKE_MODELS = ("mini_resnet_vanilla", "mini_resnet_robust")


class World:
    """A copy of the repository with results of its own."""

    def __init__(self, root: Path, study: str = "smoke") -> None:
        self.study = study
        self.root = copy_repository(root / "w")
        (root / "t").mkdir()
        # A private TMPDIR: the warm server lives there and ends when the folder goes.
        self.environment = {**os.environ, "TMPDIR": str(root / "t")}
        self.environment.pop("SLURM_JOB_ID", None)
        self.results = self.root / "results" / study

    def start(self, *words: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "snakemake", "--cores", "2", "--config", f"study={self.study}", *words]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        return subprocess.Popen(command, cwd=self.root, env=self.environment, start_new_session=True, **pipes)

    def snakemake(self, *words: str) -> tuple[int, str]:
        process = self.start(*words)
        said, _ = process.communicate(timeout=540)
        return process.returncode, said

    def plan(self, target: str = "scores.parquet") -> dict[str, int]:
        """What a run would do up to a file of the study's results: {rule: number of jobs}."""
        status, said = self.snakemake("-n", "--", f"results/{self.study}/{target}")
        assert status == 0, said
        jobs = dict(re.findall(r"^(\w+)\s+(\d+)$", said, flags=re.M))
        jobs.pop("total", None)
        return {rule: int(count) for rule, count in jobs.items()}

    def edit(self, path: str, change: Callable[[str], str]) -> Callable[[], None]:
        """Change a file and return what undoes it."""
        file = self.root / path
        before = file.read_text()
        file.write_text(change(before))
        return lambda: file.write_text(before) and None


def copy_repository(target: Path) -> Path:
    """Copy what a study needs; untrained weights stand in for the trained ones, since only the plumbing is tested."""
    ignore = shutil.ignore_patterns("__pycache__", ".ipynb_checkpoints")
    for name in ("xailib", "params", "notebooks", "profiles", "rules"):
        shutil.copytree(REPOSITORY / name, target / name, ignore=ignore)
    for name in ("Snakefile", "environment.yml"):
        shutil.copy(REPOSITORY / name, target / name)
    for seed, model in enumerate(SMOKE_MODELS):
        write_untrained(target, model, seed)
    return target


def write_untrained(root: Path, model: str, seed: int) -> None:
    """Write random weights for a model into a copy, and their sha256 into its parameter file, which expects no accuracy."""
    import torch
    from safetensors.torch import save_file

    from xailib.models import build_network
    from xailib.params import load_params

    record = load_params("models", model)
    torch.manual_seed(seed)
    path = root / record["weights"]["path"]
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({key: value.contiguous() for key, value in build_network(record).state_dict().items()}, path)
    file = root / "params" / "models" / f"{model}.yaml"
    text = re.sub(r"sha256: \S+", f"sha256: {hashlib.sha256(path.read_bytes()).hexdigest()}", file.read_text())
    file.write_text(re.sub(r"^accuracy: .*\n", "", text, flags=re.MULTILINE))
