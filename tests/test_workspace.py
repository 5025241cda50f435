"""Files are looked for in the workspace, then in what is shipped; what is written goes to the workspace."""

import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from snakemake.exceptions import WorkflowError

import xailib as xai
from tests.world import SNAKEFILE
from xailib import params
from xailib.errors import InputError
from xailib.params import made_from
from xailib.results import provenance
from xailib.workflow import rules, snakefile
from xailib.workflow.study import check, keep, open_studies, open_study
from xailib.workspace import SHIPPED, environment, find, findings_path, place, shown, workspace

METHOD = "method: mine\nmethod_function: gradient\n"
STUDY = "study: own\ndataset: pictograms\nmodels: mini_resnet_vanilla\nmethods: [mine, rise]\nmetrics: pointing_game\n"


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A workspace with a method and a study, in which we are."""
    for name, text in (("methods/mine", METHOD), ("studies/own", STUDY)):
        path = tmp_path / "params" / f"{name}.yaml"
        path.parent.mkdir(parents=True)
        path.write_text(text)
    monkeypatch.delenv("XAILIB_WORKSPACE", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_workspace_is_the_folder_at_or_above_with_parameter_files(
    root: Path, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    (root / "a" / "b").mkdir(parents=True)
    monkeypatch.chdir(root / "a" / "b")
    assert workspace() == root and place("x") == root / "x"
    other = tmp_path_factory.mktemp("other")
    monkeypatch.chdir(other)
    assert workspace() == other, "an empty folder is a workspace too"
    monkeypatch.setenv("XAILIB_WORKSPACE", str(root))
    assert workspace() == root


def test_own_files_come_first_and_shipped_ones_are_there(root: Path) -> None:
    assert {"mine", "rise"} <= set(params.ids("methods")) and "mini_resnet_vanilla" in xai.list_models()
    assert params.load_params("methods", "rise")["method_options"]
    (root / "params/methods/rise.yaml").write_text("method: rise\nmethod_options: {masks: 7}\n")
    assert params.load_params("methods", "rise")["method_options"] == {"masks": 7}
    assert params.ids("methods").count("rise") == 1
    assert find("notebooks/predict.ipynb") == SHIPPED / "notebooks/predict.ipynb"
    assert find("data") == root / "data" and find(root / "x") == root / "x"
    assert xai.load_model("mini_resnet_vanilla", device="cpu").id == "mini_resnet_vanilla"


def test_faults_name_the_file_as_it_is_found(root: Path) -> None:
    path = root / "params/methods/mine.yaml"
    path.write_text(METHOD + "colour: red\n")
    with pytest.raises(InputError, match=r"^params/methods/mine\.yaml: colour: unknown key"):
        params.load_params("methods", "mine")
    path.write_text("method: yours\n")
    with pytest.raises(InputError, match=r"^params/methods/mine\.yaml: method: 'yours' is not the file's name"):
        params.load_params("methods", "mine")
    assert shown(params.path_of("methods", "rise")) == "params/methods/rise.yaml"


def test_what_is_written_goes_to_the_workspace(root: Path) -> None:
    study = open_study("own")
    keep(study)
    assert (root / "results/own/study.yaml").is_file() and str(study.kept) == "results/own/study.yaml"
    assert made_from.plain_path("data/x") == "data/x" and made_from.plain_path(str(root / "data")) == "data"
    assert findings_path("pictograms_full", "results") == SHIPPED / "docs/findings/pictograms_full.csv"
    from xailib.models.sources import marker

    assert marker("m").is_relative_to(root)


@pytest.mark.parametrize("name", ["own", "params/studies/own.yaml"])
@pytest.mark.parametrize("text", ["study: [", "study: own\nlimit: 3\n", None])
def test_a_study_that_runs_is_what_it_was_whatever_becomes_of_its_file(root: Path, name: str, text: str | None) -> None:
    keep(open_study("own"))
    file = root / "params/studies/own.yaml"
    file.write_text(text) if text else file.unlink()
    assert open_studies(name, running=True)[0].values["limit"] == 32
    with pytest.raises(InputError):
        open_studies(name)


def test_results_that_cannot_be_written_are_one_sentence(root: Path) -> None:
    (root / "results").symlink_to(root / "nowhere/scratch")
    workflow = SimpleNamespace(_onstart=lambda log: None)
    rules.at_start(workflow, lambda: keep(open_study("own")))
    with pytest.raises(
        WorkflowError, match=r"results/own: cannot be written \(File exists\); let .*results be a folder"
    ):
        workflow._onstart("log")


@pytest.mark.parametrize("path", ["results", "results/own", "logs", "logs/own"])
@pytest.mark.parametrize("link", [False, True])
def test_a_file_in_the_place_of_a_folder_is_one_sentence(root: Path, path: str, link: bool) -> None:
    (root / path).parent.mkdir(exist_ok=True)
    (root / path).symlink_to(root / "nowhere") if link else (root / path).touch()
    with pytest.raises(InputError, match=f"^{root / path}: is no folder, as .* need; move it away"):
        check(open_study("own"))


def test_a_shipped_study_keeps_its_name(root: Path) -> None:
    (root / "own.yaml").write_text(STUDY.replace("study: own", "study: smoke"))
    with pytest.raises(InputError, match=r"'smoke' is the name of params/studies/smoke\.yaml, whose results"):
        params.load_study(root / "own.yaml")


def test_a_workspace_in_a_repository_is_not_the_repository_of_xailib(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wheel in somebody's `.venv` must not give their commit for its own."""
    subprocess.run(["git", "init", "-q", str(root)], check=True)
    words = ["-c", "user.name=n", "-c", "user.email=e", "commit", "-q", "--allow-empty", "-m", "m"]
    subprocess.run(["git", "-C", str(root), *words], check=True)
    monkeypatch.setattr(provenance, "PACKAGE", root / "site-packages" / "xailib")
    (root / "site-packages").mkdir()
    assert provenance.git_state() == {"commit": None, "changed": None}


# ---- Snakemake


def test_rules_take_no_file_for_granted_that_may_be_shipped_alone(repository: Path) -> None:
    for path in (repository / "Snakefile", *(repository / "rules").glob("*.smk")):
        found = re.findall(r'(.{9})"(?:notebooks|params)/', path.read_text())
        assert all(before.endswith(("tracked(", "tracked(f")) for before in found), path


def snakemake(folder: Path, *words: str) -> tuple[int, str]:
    command = [sys.executable, "-m", "snakemake", "--cores", "2", *words]
    given = {"capture_output": True, "text": True, "cwd": folder, "env": {**environment(), "XAILIB_WARM": "0"}}
    del given["env"]["XAILIB_WORKSPACE"]
    run = subprocess.run(command, **given)
    return run.returncode, run.stdout + run.stderr


def jobs(said: str) -> dict[str, int]:
    found = {rule: int(count) for rule, count in re.findall(r"^(\w+)\s+(\d+)$", said, flags=re.M)}
    found.pop("total", None)
    return found


@pytest.fixture
def expected() -> dict[str, int]:
    """The slices of study `own`."""
    return {"predict": 1, "probe": 1, "choose": 1, "attribute": 2, "evaluate": 2, "collect": 1}


def test_snakemake_runs_in_another_folder(root: Path, tmp_path_factory: pytest.TempPathFactory, expected: dict) -> None:
    """By `--directory`, and by the few lines of a workspace's own Snakefile, from the folder itself."""
    elsewhere, target = tmp_path_factory.mktemp("elsewhere"), "results/own/scores.parquet"
    words = ["-s", snakefile(), "--directory", str(root), "-n", "--config", "study=own", "--", target]
    status, said = snakemake(elsewhere, *words)
    assert status == 0 and jobs(said) == expected, said
    assert not list(elsewhere.iterdir()) and not (root / "results").exists()
    (root / "Snakefile").write_text(SNAKEFILE)
    status, said = snakemake(root, "-n")
    assert status == 0 and expected.items() <= jobs(said).items() and jobs(said)["report"] == 1, said


def test_another_workflow_takes_the_study_in(root: Path) -> None:
    """By `module:`; its slices run, and find the study's values as they were when it began."""
    (root / "Snakefile").write_text(
        "from xailib.workflow import snakefile\n\n"
        'module xai:\n    snakefile: snakefile()\n    config: {"study": "own"}\n\n'
        "use rule * from xai as xai_*\n\n"
        'rule ours:\n    default_target: True\n    input: "results/own/mini_resnet_vanilla/mine/maps.npz"\n'
        '    output: "ours.txt"\n    shell: "ls {input} > {output}"\n'
    )
    (root / "params/studies/own.yaml").write_text(
        STUDY + "limit: 2\nscale: smoke\nshifts: none\naccuracy_images: 24\nattack_images: 0\n"
    )
    (root / "params/models").mkdir()
    record = find("params/models/mini_resnet_vanilla.yaml").read_text()
    (root / "params/models/mini_resnet_vanilla.yaml").write_text(re.sub(r"(?m)^accuracy: .*\n", "", record))
    status, said = snakemake(root)
    assert status == 0 and (root / "ours.txt").is_file(), said
    assert (root / "results/own/study.yaml").read_text().startswith("# Study 'own' as it runs")
    assert set(os.listdir(root)) == {"Snakefile", ".snakemake", "logs", "ours.txt", "params", "results"}


def test_a_folder_that_cannot_be_written_is_one_sentence(monkeypatch: pytest.MonkeyPatch, root: Path) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(InputError, match=r"cannot be written \(Permission denied\); run snakemake in a folder of your"):
        rules.use_this_folder()


def test_two_workspaces_at_once_are_refused(monkeypatch: pytest.MonkeyPatch, root: Path) -> None:
    monkeypatch.setenv("XAILIB_WORKSPACE", str(root / "params"))
    with pytest.raises(InputError, match=r"XAILIB_WORKSPACE is .*params, but Snakemake works in .*; add --directory"):
        rules.use_this_folder()
