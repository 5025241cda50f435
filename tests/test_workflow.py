"""A small study through real Snakemake: it finishes, resumes, and re-runs what an edit touches and nothing else.

The networks are untrained: only the plumbing is tested here. The tests share one world and leave it as they found it.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pandas as pd
import pytest
import yaml

from tests.world import SMOKE_MODELS, World
from xailib import params
from xailib.errors import InputError
from xailib.params.facts import registry_facts
from xailib.workflow import grids
from xailib.workflow import study as workflow
from xailib.workflow.__main__ import main

METHODS = ("gradcam", "gradient", "random")
SMOKE = "params/studies/smoke.yaml"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    root = tmp_path_factory.mktemp("s")
    world = World(root)
    # The study's data set is a second setting of the pictograms: a file and nothing else.
    (world.root / "params/datasets/level.yaml").write_text(
        "dataset: level\ndataset_function: pictograms\ndataset_references: train\ndataset_options: {turn: 0.0}\n"
    )
    world.edit(SMOKE, lambda t: t.replace("dataset: pictograms", "dataset: level"))
    yield world
    for path in sorted((root / "t").rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()


@pytest.fixture(scope="module")
def finished(world: World) -> World:
    """The study cut off by kill -9 in the middle, and then run to its collected tables."""
    process = world.start("--", "results/smoke/scores.parquet")
    deadline = time.monotonic() + 400
    while len(list(world.results.glob("*/*/maps.npz"))) < 2:
        assert process.poll() is None and time.monotonic() < deadline, process.communicate()[0]
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    done = {path: path.stat().st_mtime_ns for path in world.results.glob("*/*/attribute.ipynb")}
    assert list((world.root / ".snakemake/locks").iterdir()), "what a dead process left"
    status, said = world.snakemake("--", "results/smoke/scores.parquet")  # the same command goes on
    assert status == 0, said
    # What had been recorded as finished was kept; what was cut off, at most one slice a core, was done again.
    again = [path for path, changed in done.items() if path.stat().st_mtime_ns != changed]
    assert len(again) <= 2
    return world


def test_the_tables_are_whole(finished: World) -> None:
    scores = pd.read_parquet(finished.results / "scores.parquet")
    metrics = params.load_study("smoke")["metrics"]
    assert list(scores.columns[:6]) == ["model", "method", "metric", "image", "target", "value"]
    assert len(scores) == len(SMOKE_MODELS) * len(METHODS) * len(metrics) * 4
    assert not scores.duplicated(["model", "method", "metric", "image"]).any()
    assert set(scores["method"]) == set(METHODS) and set(scores["metric"]) == set(metrics)
    predictions = pd.read_parquet(finished.results / "predictions.parquet")
    assert predictions.groupby(["model", "subset"], observed=True).size().tolist() == [24, 4, 24, 4]
    assert {"label", "predicted", "confidence", "label_probability", "correct"} <= set(predictions)
    accuracy = pd.read_parquet(finished.results / "accuracy.parquet")
    assert accuracy.groupby("model", observed=True)["shift"].apply(list).iloc[0] == [
        "clean", "silhouette", "gaussian_noise_2", "l2_pgd",
    ]  # fmt: skip
    targets = scores.merge(predictions[predictions["subset"] == "maps"], on=["model", "image"])
    assert (targets["target"] == targets["label"]).all()


def test_two_seeds_stand_side_by_side_and_what_draws_is_found(finished: World) -> None:
    table = pd.read_parquet(finished.results / "reliability.parquet")
    assert list(table) == ["model", "method", "metric", "image", "value", "second", "correlation", "same"]
    assert len(table) == len(SMOKE_MODELS) * len(METHODS) * len(params.load_study("smoke")["metrics"]) * 2
    assert set(table.loc[~table["same"], "method"]) == {"random"}
    assert (
        table.loc[table["same"], "correlation"].eq(1).all() and table["correlation"].where(~table["same"]).max() < 0.2
    )
    scores = pd.read_parquet(finished.results / "scores.parquet")
    both = table.merge(scores, on=["model", "method", "metric", "image"], suffixes=("", "_first"))
    assert len(both) == len(table) and both["value"].fillna(-1).eq(both["value_first"].fillna(-1)).all()


def test_every_slice_says_where_it_comes_from(finished: World) -> None:
    records = list(finished.results.rglob("*.json"))
    assert len(records) == 2 * (1 + 2 * len(METHODS)) + 1
    for path in [path for path in records if path.name != "collect.json"]:
        record = json.loads(path.read_text())
        assert record["parameters"]["seed"] == 0 and record["packages"]["torch"] and record["seconds"] > 0
        assert record["peak_memory_mib"]["resident"] < 4096 and record["passes"]["forward"] >= 0
    gradient = json.loads((finished.results / SMOKE_MODELS[0] / "gradient" / "attribute.json").read_text())
    # Four images, and two of them under a second seed; which changes nothing, so that these are not scored again.
    assert gradient["passes"]["forward"] == gradient["passes"]["backward"] == 4 + 2
    assert gradient["parameters"]["reliability_images"] == 2
    random, fixed = (
        json.loads((finished.results / SMOKE_MODELS[0] / method / "evaluate.json").read_text())["passes"]["forward"]
        for method in ("random", "gradient")
    )
    assert random == pytest.approx(fixed * 6 / 4, abs=1)


def test_a_second_setting_of_a_data_set_is_what_the_slices_explain(finished: World) -> None:
    record = json.loads((finished.results / SMOKE_MODELS[0] / "gradient" / "attribute.json").read_text())
    assert record["parameters"]["dataset"] == "level" and record["parameters"]["turn"] == 0.0


def test_slices_leave_no_machine_paths_in_their_notebooks(finished: World) -> None:
    for path in finished.results.rglob("*.ipynb"):
        cells = json.loads(path.read_text())["cells"]
        assert str(finished.root) not in json.dumps([cell for cell in cells if cell["cell_type"] == "code"])


def test_a_finished_study_has_nothing_to_do(finished: World) -> None:
    assert finished.plan() == {}


@pytest.mark.parametrize(
    ("path", "change", "jobs"),
    [
        # One method's file: that method, on both networks.
        ("params/methods/gradient.yaml", lambda t: t + "# a remark\n", {"attribute": 2, "evaluate": 2}),
        # One metric's file: scores, no maps.
        ("params/metrics/deletion.yaml", lambda t: t + "# a remark\n", {"evaluate": 6}),
        # One network's file: that network.
        (f"params/models/{SMOKE_MODELS[0]}.yaml", lambda t: t + "# x\n", {"predict": 1, "attribute": 3, "evaluate": 3}),
        # A third method in the study: its slices only.
        (SMOKE, lambda t: t.replace("gradcam,", "gradcam, sobel,"), {"attribute": 2, "evaluate": 2}),
        # Other images: everything.
        (SMOKE, lambda t: t.replace("seed: 0", "seed: 1"), {"predict": 2, "attribute": 6, "evaluate": 6}),
        # Fewer shifts: predictions only.
        (SMOKE, lambda t: t.replace("[silhouette, ", "["), {"predict": 2}),
        # How many are explained twice: their maps and scores.
        (SMOKE, lambda t: t.replace("images: 2\n", "images: 0\n"), {"attribute": 6, "evaluate": 6}),
        # A notebook's code: that stage, and what reads it.
        ("notebooks/attribute.ipynb", lambda t: t.replace("maps[:8]", "maps[:9]"), {"attribute": 6, "evaluate": 6}),
        # Sources of a stage.
        ("xailib/metrics/localisation.py", lambda t: t + "# a remark\n", {"evaluate": 6}),
        # Those of one method: its slices; of all methods: all.
        ("xailib/attribution/cam.py", lambda t: t + "# a remark\n", {"attribute": 2, "evaluate": 2}),
        ("xailib/attribution/repeats.py", lambda t: t + "# a remark\n", {"attribute": 6, "evaluate": 6}),
        # What every slice runs through.
        ("xailib/engine/settings.py", lambda t: t + "# a remark\n", {"predict": 2, "attribute": 6, "evaluate": 6}),
    ],
)  # fmt: skip
def test_an_edit_reruns_what_it_touches(
    finished: World, path: str, change: Callable[[str], str], jobs: dict[str, int]
) -> None:
    undo = finished.edit(path, change)
    try:
        assert finished.plan() == {**jobs, "collect": 1}
    finally:
        undo()


def test_edits_of_what_no_result_depends_on_rerun_nothing(finished: World) -> None:
    def remark(text: str) -> str:
        return text + "# a remark\n"

    edits = [
        (SMOKE, lambda text: text + "batch_size: 16\n"),
        ("notebooks/attribute.ipynb", lambda text: text.replace("Look at the first ones", "Look")),  # prose
        # A method, a data set and a kind of slices that the study does not have.
        ("xailib/attribution/rise.py", remark),
        ("xailib/datasets/tiny_imagenet.py", remark),
        ("xailib/roar/retrain.py", remark),
        ("xailib/params/__init__.py", remark),
        ("xailib/workflow/cluster.py", lambda text: text.replace('"smoke": 10', '"smoke": 20')),
        ("environment.yml", lambda text: text.replace("ruff>=0.12", "ruff>=0.13")),
    ]
    with ExitStack() as undo:
        for path, change in edits:
            before = (finished.root / path).read_text()
            undo.callback(finished.edit(path, change))
            assert (finished.root / path).read_text() != before, path
        assert finished.plan() == {}


def test_saving_a_notebook_with_its_outputs_reruns_nothing(finished: World) -> None:
    executed = finished.results / SMOKE_MODELS[0] / "gradient" / "attribute.ipynb"
    notebook = json.loads((finished.root / "notebooks/attribute.ipynb").read_text())
    outputs = [cell.get("outputs") for cell in json.loads(executed.read_text())["cells"] if cell["cell_type"] == "code"]
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            cell["outputs"], cell["execution_count"] = outputs.pop(), 3
    undo = finished.edit("notebooks/attribute.ipynb", lambda _: json.dumps(notebook))
    try:
        assert finished.plan() == {}
    finally:
        undo()


def test_a_failing_slice_stops_no_other_and_keeps_its_notebook(finished: World) -> None:
    """`sobel` and `rise` join the study, and `rise` gets a value that only its function can refuse."""
    grow = finished.edit(SMOKE, lambda t: t.replace("gradcam,", "gradcam, rise, sobel,"))
    spoil = finished.edit(
        "params/methods/rise.yaml", lambda t: t.replace("smoke: {masks: 40}", "smoke: {masks: 40, cells: 99}")
    )
    try:
        status, said = finished.snakemake("--", "results/smoke/scores.parquet")
        folder = finished.results / SMOKE_MODELS[0]
        assert status != 0 and "cells must be at most the image's side" in said and '"cell_type"' not in said
        assert (folder / "sobel" / "scores.parquet").exists()
        assert not (folder / "rise" / "maps.npz").exists() and not (folder / "rise" / "attribute.ipynb").exists()
        logs = finished.root / "logs" / "smoke" / SMOKE_MODELS[0] / "rise"
        assert "cells must be at most the image's side" in (logs / "attribute.ipynb").read_text()
        assert (logs / "attribute.log").read_text().splitlines()[-1].startswith("error: ")
    finally:
        spoil()
    try:  # Mended, only what failed is made again.
        assert finished.plan() == {"attribute": 2, "evaluate": 2, "collect": 1}
        status, said = finished.snakemake("--", "results/smoke/scores.parquet")
        assert status == 0, said
    finally:
        grow()
    status, said = finished.snakemake("--", "results/smoke/scores.parquet")
    assert status == 0, said


def test_results_that_snakemake_has_forgotten_still_know_their_study(finished: World) -> None:
    """Without `.snakemake`, only what was made from other values is made again."""
    for path in [*(finished.root / "params").rglob("*.yaml"), *(finished.root / "weights").rglob("*.safetensors")]:
        os.utime(path, (1e9, 1e9))  # tests before this one wrote them again
    (finished.root / ".snakemake").rename(finished.root / "forgotten")
    try:
        assert finished.plan() == {}
        for edit, jobs in (
            (lambda t: t.replace("limit: 4", "limit: 3"), {"predict": 2, "attribute": 6, "evaluate": 6, "collect": 1}),
            (lambda t: t.replace("attack_steps: 3", "attack_steps: 4"), {"predict": 2, "collect": 1}),
            (lambda t: t.replace("gradcam, ", ""), {"collect": 1}),
        ):
            undo = finished.edit(SMOKE, edit)
            try:
                assert finished.plan() == jobs
            finally:
                undo()
    finally:
        shutil.rmtree(finished.root / ".snakemake")
        (finished.root / "forgotten").rename(finished.root / ".snakemake")


def test_results_of_another_study_are_refused_when_tables_are_joined(finished: World) -> None:
    """As after a copy by hand: the table of one method in the place of another's, and maps in the place of others."""
    folder = finished.results / SMOKE_MODELS[0]
    kept = (folder / "gradient/scores.parquet").read_bytes()
    command = [sys.executable, "-m", "xailib.workflow", "collect", "results/smoke/study.yaml", "results/smoke"]
    try:
        shutil.copy(folder / "gradcam/scores.parquet", folder / "gradient/scores.parquet")
        run = subprocess.run(command, cwd=finished.root, capture_output=True, text=True)
    finally:
        (folder / "gradient/scores.parquet").write_bytes(kept)
    assert run.returncode == 2 and run.stderr.count("\n") == 1
    assert "gradient/scores.parquet: was made with method 'gradcam', not 'gradient'" in run.stderr
    assert subprocess.run(command, cwd=finished.root, capture_output=True).returncode == 0


def test_slices_read_the_study_as_it_was_when_it_started(finished: World) -> None:
    copy = yaml.safe_load((finished.results / "study.yaml").read_text())
    assert copy["models"] == list(SMOKE_MODELS) and copy["limit"] == 4 and copy["precision"]
    undo = finished.edit(SMOKE, lambda t: t.replace("limit: 4", "limit: 3"))
    try:
        finished.plan()
        assert yaml.safe_load((finished.results / "study.yaml").read_text()) == copy, "a dry run writes nothing"
    finally:
        undo()


def test_a_running_snakemake_is_still_respected(finished: World) -> None:
    undo = finished.edit(SMOKE, lambda t: t.replace("seed: 0", "seed: 7"))
    process = finished.start("--", "results/smoke/scores.parquet")
    try:
        deadline = time.monotonic() + 100
        while not list(finished.root.glob(".snakemake/locks/*")):
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.1)
        status, said = finished.snakemake("--", "results/smoke/scores.parquet")
        # The lock, or before it, while this one plans, a file that the first has just taken away to make it again.
        assert status != 0 and ("cannot be locked" in said or "a concurrent process has deleted it" in said)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        undo()
    status, said = finished.snakemake("--", "results/smoke/scores.parquet")
    assert status == 0, said


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["studdy=smoke"], "--config studdy: unknown key; did you mean 'study'?"),
        (
            ["study=absent/smoke.yaml"],
            "absent/smoke.yaml: no such parameter file; the shipped study of this name is 'smoke'",
        ),
        (["study=absent/smoke"], "absent/smoke: no such parameter file"),
        (["study=123"], "--config study=123: unknown study"),
        (["gpu=yes"], "--config gpu=yes: is not a number of GPUs"),
        (["gpu=-1"], "--config gpu=-1: is not a number of GPUs"),
    ],
)
def test_what_config_may_say(finished: World, words: list[str], said: str) -> None:
    words = words if any(word.startswith("study=") for word in words) else ["study=smoke", *words]
    command = [sys.executable, "-m", "snakemake", "-n", "--cores", "1", "--config", *words]
    run = subprocess.run(command, cwd=finished.root, env=finished.environment, capture_output=True, text=True)
    assert run.returncode != 0 and said in run.stdout + run.stderr and "Traceback" not in run.stderr


def test_a_path_may_hold_what_a_shell_would_read(finished: World) -> None:
    folder = finished.root / "my {studies}; $HOME & 'co'"
    folder.mkdir()
    text = (finished.root / SMOKE).read_text().replace("study: smoke", "study: odd").replace("[gradient, gradcam,", "[")
    text = re.sub("description: .*", "description: \"of {things}, $HOME and 'quotes'\"", text)
    (folder / "s.yaml").write_text(text)
    command = [
        sys.executable,
        "-m",
        "snakemake",
        "--cores",
        "2",
        "--config",
        f"study={folder.name}/s.yaml",
        "--",
        "results/odd/scores.parquet",
    ]
    run = subprocess.run(command, cwd=finished.root, env=finished.environment, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr
    assert "of {things}, $HOME and 'quotes'" in (finished.root / "results/odd/study.yaml").read_text()


def test_a_locale_without_umlauts_reads_the_same_files(finished: World) -> None:
    plain = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    command = [sys.executable, "-m", "snakemake", "-n", "--cores", "1", "--config", "study=smoke"]
    run = subprocess.run(command, cwd=finished.root, env=finished.environment | plain, capture_output=True)
    assert run.returncode == 0, run.stdout + run.stderr


def test_final_notebooks_and_report(finished: World) -> None:
    """With a second setting of a method and of a metric, each a file alone."""
    method, metric = (
        finished.root / f"params/{name}.yaml" for name in ("methods/gradient_sum", "metrics/deletion_grey")
    )
    method.write_text("method: gradient_sum\nmethod_function: gradient\nmethod_options: {pooling: abs_sum}\n")
    metric.write_text("metric: deletion_grey\nmetric_function: deletion\nmetric_options: {steps: 4}\n")
    undo = finished.edit(
        SMOKE,
        lambda t: t.replace("gradcam,", "gradcam, gradient_sum,").replace(
            "pointing_game]", "pointing_game, deletion_grey]"
        ),
    )
    try:
        status, said = finished.snakemake()
    finally:
        undo()
        method.unlink()
        metric.unlink()
    assert status == 0, said
    assert (finished.results / "report.html").stat().st_size > 10_000
    assert (finished.results / "findings.csv").exists()
    table = pd.read_csv(finished.results / "figures" / "table_methods.csv", index_col="method")
    assert table.loc["gradient_sum"].notna().any() and "deletion_grey" in table
    report = (finished.results / "report.html").read_text()
    assert "Gradient (gradient_sum)" in report and "Which of these differences are chance?" in report
    chance = pd.read_csv(finished.results / "figures" / "table_reliability.csv").set_index(["method", "metric"])
    assert chance.loc[("random", "deletion"), "noise"] > 0 == chance.loc[("gradient_sum", "deletion_grey"), "noise"]
    assert (finished.results / "figures" / "reliability.png").exists()


def test_faults_stop_the_study_before_it_starts(finished: World) -> None:
    undo = finished.edit(
        "params/methods/rise.yaml", lambda t: t.replace("  masks: 8000", "  maskz: 8000").replace("p: 0.5", "p: 5e-1")
    )
    grow = finished.edit(SMOKE, lambda t: t.replace("gradcam,", "gradcan, rise,"))
    try:
        status, said = finished.snakemake("-n")
        assert status != 0 and "Traceback" not in said
        assert "unknown method 'gradcan'; did you mean 'gradcam'?" in said
    finally:
        grow()
    grow = finished.edit(SMOKE, lambda t: t.replace("gradcam,", "rise,"))
    try:
        status, said = finished.snakemake("-n")
        assert status != 0 and "method_options.p: '5e-1' is text, not a number; write 5.0e-1" in said
    finally:
        grow()
        undo()


# ---- Without Snakemake


@pytest.fixture
def root(tmp_path: Path, repository: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of params/ that tests may spoil, with the registries of this checkout."""
    shutil.copytree(repository / "params", tmp_path / "params")
    monkeypatch.setenv("XAILIB_WORKSPACE", str(tmp_path))
    return tmp_path


def test_impossible_and_excluded_pairs_are_left_out_and_said(root: Path) -> None:
    path = root / "params/studies/mine.yaml"
    values = {"study": "mine", "dataset": "pictograms", "models": ["mini_alexnet_vanilla", "mini_resnet_vanilla"]}
    values |= {"methods": ["cam", "gradcam"], "metrics": "all", "exclude": [["mini_resnet_vanilla", "gradcam"]]}
    path.write_text(yaml.safe_dump(values))
    study = workflow.open_study(path)
    assert sorted(study.pairs) == [("mini_alexnet_vanilla", "gradcam"), ("mini_resnet_vanilla", "cam")]
    reasons = {(model, method): reason for model, method, reason in study.skipped}
    assert "gap_linear_head" in reasons["mini_alexnet_vanilla", "cam"]
    assert reasons["mini_resnet_vanilla", "gradcam"] == "excluded by the study"
    alone = {
        "models": ["mini_alexnet_vanilla"],
        "methods": ["cam", "gradcam"],
        "exclude": [["mini_alexnet_vanilla", "gradcam"]],
    }
    path.write_text(yaml.safe_dump(values | alone))
    with pytest.raises(InputError, match=r"mine.yaml: no method is left .*mini_alexnet_vanilla x gradcam: excluded"):
        workflow.open_study(path)
    path.write_text(yaml.safe_dump({**values, "exclude": [["mini_resnet", "gradcam"]]}))
    with pytest.raises(InputError, match="unknown model 'mini_resnet'"):
        workflow.open_study(path)


def test_options_are_checked_against_the_registered_function(root: Path) -> None:
    file = root / "params/methods/rise.yaml"
    file.write_text(file.read_text().replace("masks: 8000", "maskz: 8000").replace("{masks: 40}", "{seed: 40}"))
    metric = root / "params/metrics/deletion.yaml"
    metric.write_text(metric.read_text().replace("steps: 28", "stepz: 28"))
    model = root / "params/models/mini_resnet_vanilla.yaml"
    model.write_text(model.read_text().replace("architecture: mini_resnet", "architecture: mini_resnett"))
    with pytest.raises(InputError) as raised:
        workflow.open_study(root / "params/studies/pictograms.yaml")
    for said in (
        "methods/rise.yaml: method_options.maskz: unknown option; did you mean 'masks'?",
        "methods/rise.yaml: method_scales.smoke.seed: unknown option",
        "metrics/deletion.yaml: metric_options.stepz: unknown option; did you mean 'steps'?",
        "unknown architecture 'mini_resnett'; did you mean 'mini_resnet'?",
    ):
        assert said in str(raised.value)


def test_a_second_setting_of_a_method_is_a_file_and_nothing_else(root: Path) -> None:
    (root / "params/methods/rise_14.yaml").write_text(
        "method: rise_14\nmethod_function: rise\nmethod_options: {cells: 14}\n"
    )
    study = root / SMOKE
    study.write_text(study.read_text().replace("gradcam,", "'rise*',"))
    assert workflow.open_study(study).methods == ["gradient", "rise", "rise_14", "random"]


def test_every_file_fits_its_function_and_every_function_has_a_file() -> None:
    facts = registry_facts()
    for kind in ("methods", "metrics", "datasets", "models"):
        for id in params.ids(kind):
            assert grids.faults(kind, id, params.load_params(kind, id), facts[kind]) == []
    for kind in ("methods", "metrics", "datasets"):
        assert {name for name, one in facts[kind].items() if not one["explains"]} <= set(params.ids(kind))


def test_a_metric_that_explains_again_is_refused_in_a_study() -> None:
    known = registry_facts()["metrics"]
    (fault,) = grids.faults("metrics", "mine", {"metric": "mine", "metric_function": "sanity"}, known)
    assert fault.startswith("params/metrics/mine.yaml: metric_function: 'sanity' explains again")


def test_what_a_stage_depends_on_is_stable_text() -> None:
    study = workflow.open_study("pictograms")
    assert study.needs("attribute") == workflow.open_study("pictograms").needs("attribute")
    assert json.loads(study.needs("attribute"))["limit"] == study.values["limit"] and "models" not in study.needs(
        "evaluate"
    )


def test_one_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["where", "smoke"]) == 0
    assert capsys.readouterr().out == "Report: results/smoke/report.html\n"
    assert main(["collect", "absent", "results/absent"]) == 2
    assert "unknown study 'absent'" in capsys.readouterr().err
    for command, study in (("images", "smoke"), ("choose", "smoke"), ("choose", "roar_smoke")):
        assert main([command, study, "results/absent"]) == 2
        assert capsys.readouterr().err.startswith(f"error: {study} ")
    for words in (["slyce"], ["slice"], ["images", "smoke"]):
        with pytest.raises(SystemExit):
            main(words)
    assert "COMMAND" in capsys.readouterr().err
    for command in ("slice", "plan", "report", "fetch", "endings", "collect"):
        with pytest.raises(SystemExit, match="0"):
            main([command, "--help"])
        assert "usage:" in capsys.readouterr().out
