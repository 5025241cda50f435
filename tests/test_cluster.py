"""What slices ask of a cluster, and the sentences on jobs that Slurm ended. `make test-slurm` runs a real one."""

import os
import re
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from xailib.params.stages import STAGES
from xailib.workflow import cluster
from xailib.workflow import rules as workflow

HEAD = """\
rule attribute:
    wildcards: model=mini_resnet_robust, method=gradient
    resources: tmpdir=<TBD>, mem_mb=3000, gpu=0, runtime=10
localrule attribute:
    wildcards: model=mini_resnet_vanilla, method=rise
    resources: tmpdir=/tmp, mem_mb=3000, mem_mib=2862, gpu=0, runtime=10
"""
TIME = "slurmstepd-n1: error: *** JOB 7 ON n1 CANCELLED AT 2026-01-01T10:00:00 DUE TO TIME LIMIT ***\n"
STEP = "slurmstepd-n1: error: *** STEP 7.0 ON n1 CANCELLED AT 2026-01-01T10:00:00 ***\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (HEAD, None),
        (HEAD + "Error in rule attribute:\n", None),
        (
            HEAD + TIME,
            "at its time limit of 10 min; run the same command again, with --set-resources attribute:runtime=20 gives more",
        ),
        (HEAD + STEP, "because somebody cancelled it; run the same command again"),
        (
            HEAD + "error: Detected 1 oom_kill event in StepId=7.0. Some of the step tasks have been OOM Killed.\n",
            "because it used more memory than its 3000 MiB; run the same command again,"
            " with --set-resources attribute:mem_mb=6000 gives more",
        ),
        # Without cgroups a step that takes too much memory is cancelled, which its log says as well.
        (HEAD + "error: Exceeded job memory limit\n" + STEP, "because it used more memory than its 3000 MiB; run"),
        (HEAD + "*** JOB 7 ON n1 CANCELLED AT x DUE TO NODE FAILURE ***\n", "because its node failed; run the"),
        (HEAD + "*** JOB 7 ON n1 CANCELLED AT x DUE TO PREEMPTION ***\n", "to make room for another one; run the"),
        (
            TIME,
            "at its time limit of ? min; run the same command again, with --set-resources RULE:runtime=120 gives more",
        ),
    ],
)
def test_a_job_that_slurm_ended_is_one_sentence(text: str, said: str | None) -> None:
    name, ending = cluster.ending("7", text)
    assert name == ("attribute of mini_resnet_vanilla x rise" if "rule" in text else "a slice")
    if said is None:
        assert ending == ""
    else:
        assert ending.startswith(f"error: {name}: Slurm ended job 7 {said}") and "\n" not in ending


def test_what_a_later_attempt_made_is_a_note(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = HEAD + "    output: maps.npz, record.json\n" + TIME
    Path("maps.npz").touch()
    assert cluster.ending("7", text)[1].startswith("error: ")
    Path("record.json").touch()
    assert cluster.ending("7", text)[1] == (
        "note: attribute of mini_resnet_vanilla x rise: Slurm ended job 7 at its time limit of 10 min;"
        " a later attempt finished, and --set-resources attribute:runtime=20 gives more"
    )


def test_the_last_attempt_of_every_slice_of_this_run_is_told(tmp_path: Path) -> None:
    other = HEAD.replace("vanilla, method=rise", "vanilla, method=shap")
    for number, age, head in ((3, 500, HEAD), (5, 20, other), (4, 10, HEAD), (6, 5, HEAD), (7, 1, HEAD)):
        path = tmp_path / "rule_attribute" / "a_b" / f"{number}.log"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(head + (TIME if number < 7 else ""))
        os.utime(path, (10_000 - age, 10_000 - age))
    found = cluster.endings(tmp_path, since=9_900)
    assert [re.search(r"x (\w+): Slurm ended job (\d+)", line).groups() for line in found] == [
        ("shap", "5"),
        ("rise", "6"),
    ]
    assert cluster.endings(tmp_path / "absent") == []


def test_time_and_memory_grow_with_the_attempt_and_the_scale() -> None:
    first, full = (SimpleNamespace(values={"scale": scale}) for scale in ("smoke", "full"))
    asked = cluster.runtime(first, "attribute")
    assert [asked(None, attempt=n) for n in (1, 2, 3)] == [10, 20, 30]
    assert cluster.runtime(first)(None, 1, "attribute") == 10 < cluster.runtime(first)(None, 1, "train")
    assert cluster.runtime(full, "attribute")(None, 1) > 60 * cluster.memory(first)(None, 1) / 3000
    assert cluster.memory(full)(None, attempt=2) == 2 * cluster.memory(full)(None, attempt=1)


def test_a_job_asks_for_the_gpus_that_slurm_gave_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "1")
    for name in ("SLURM_JOB_GPUS", "SLURM_GPUS", "SLURM_STEP_GPUS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os.path, "exists", lambda path: True)
    assert workflow.gpus("auto") == 0
    monkeypatch.setenv("SLURM_JOB_GPUS", "0")
    assert workflow.gpus("auto") == 1 and workflow.gpus("cpu") == 0


def test_the_profile_names_no_site_and_rules_that_exist(repository: Path) -> None:
    profile = yaml.safe_load((repository / "profiles/slurm/config.yaml").read_text())
    assert profile["executor"] == "slurm" and profile["retries"] > 0
    assert not {"default-resources", "set-resources"} & set(profile)
    assert set(profile["group-components"]) == set(profile["groups"].values())
    rules = re.findall(r"^(?:use rule \w+ as|rule) (\w+)", (repository / "Snakefile").read_text(), re.M)
    assert set(profile["groups"]) <= set(rules)
    for name in ("Snakefile", "rules/roar.smk", "profiles/slurm/config.yaml"):
        assert not re.search(r"^[^#]*slurm_(account|partition)", (repository / name).read_text(), re.M), name


def test_every_rule_that_runs_a_notebook_says_its_time_and_memory(repository: Path) -> None:
    """Itself, or by the rule that it inherits from, where it is called as its stage is."""
    text = "\n".join(path.read_text() for path in (repository / "Snakefile", *(repository / "rules").glob("*.smk")))
    rules = re.split(r"^ *(?=rule\b|use rule\b)", text, flags=re.M)[1:]
    running = [rule for rule in rules if "xailib.workflow slice" in rule]
    assert len(running) == 2
    for rule in running:
        assert "runtime=runtime(" in rule and "mem_mb=memory(" in rule and "gpu=gpu(" in rule, rule
    inheriting = dict(re.findall(r"^use rule \w+ as (\w+) with:((?:\n(?: .*)?)+)", text, flags=re.M))
    assert len(inheriting) > 9 and set(inheriting) - {"roar_slice"} <= set(STAGES)
    assert all("resources:" not in body for name, body in inheriting.items() if name != "roar_slice")


def test_without_root_the_slurm_test_says_what_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.slurm import cluster as daemons

    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(daemons.NoCluster, match="needs root"):
        daemons.install()
