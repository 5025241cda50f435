"""A second setting of a method or metric is a parameter file alone: the analysis takes it from its record."""

import dataclasses
import shutil
from pathlib import Path

import pandas as pd
import pytest
import synthetic
from cells import run_cells

from xailib.analysis import findings, frames
from xailib.analysis.frames import Frames

METHOD = "method: shap_fine\nmethod_function: shap\nmethod_label: Fine SHAP\nmethod_options: {samples: 200}\n"
METRIC = "metric: deletion_fine\nmetric_function: deletion\nmetric_options: {steps: 56}\n"


def with_settings(study: Frames) -> Frames:
    """Give a study the scores of `shap` and `deletion` again, under ids that no function is registered as."""
    scores = study.scores
    for kind, name, other in (("method", "shap", "shap_fine"), ("metric", "deletion", "deletion_fine")):
        scores = pd.concat([scores, scores[scores[kind] == name].assign(**{kind: other})], ignore_index=True)
    return dataclasses.replace(study, scores=scores)


@pytest.fixture
def root(tmp_path: Path, repository: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The shipped parameter files and two more settings."""
    shutil.copytree(repository / "params", tmp_path / "params")
    (tmp_path / "params/methods/shap_fine.yaml").write_text(METHOD)
    (tmp_path / "params/metrics/deletion_fine.yaml").write_text(METRIC)
    monkeypatch.setenv("XAILIB_WORKSPACE", str(tmp_path))
    return tmp_path


@pytest.fixture
def written(root: Path) -> Path:
    """Results of a study with two settings of one method and of one metric."""
    from xailib.datasets import load_images

    ids = load_images("pictograms", split="test", limit=4, seed=0).ids
    architectures = ("mini_alexnet", "mini_googlenet", "mini_resnet")
    return synthetic.write(with_settings(synthetic.study(ids=ids, architectures=architectures)), root / "pictograms")


def test_a_setting_has_its_records_label_and_its_functions_facts(written: Path) -> None:
    read = frames.read_frames(written)
    assert read.methods.loc["shap_fine"].tolist() == ["Fine SHAP", "gradient", "shap"]
    assert read.methods.index.get_loc("shap_fine") == read.methods.index.get_loc("shap") + 1
    assert read.metrics.loc["deletion_fine", "better"] == "lower"
    # No label of its own: the two are told apart by their ids.
    assert read.metrics.loc["deletion_fine", "label"] == "Deletion (deletion_fine)"


@pytest.mark.parametrize("name", ["explainability", "correlation", "gallery"])
def test_final_notebooks_show_every_setting(name: str, written: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    space = run_cells(
        name, {"results_dir": str(written), "out_dir": str(out), "limit": 4, "bootstrap": 100, "several": 2}
    )
    if name == "explainability":
        table = pd.read_csv(out / "table_methods.csv", index_col="method")
        assert table.loc["shap_fine"].tolist() == table.loc["shap"].tolist()
        assert (out / "table_deletion_fine.csv").exists()
        assert set(pd.read_csv(out / "method_ranks.csv").query("method == 'shap_fine'")["family"]) == {"gradient"}
    elif name == "correlation":
        assert "deletion_fine" in space["criteria"].table and "deletion_fine_normalised" in space["criteria"].table
    else:
        assert "Fine SHAP" in space["teaser"].titles
        assert "shap_fine" in set(pd.read_csv(out / "gallery_teaser.csv")["method"])


def test_findings_speak_of_one_setting_a_method(study: Frames) -> None:
    """Two settings of RISE are not two methods: neither is the other's rival, nor do they count twice in a family."""
    facts = study.methods.loc[["rise"]].rename(index={"rise": "a_rise"})
    again = study.scores[study.scores["method"] == "rise"].assign(method="a_rise")
    more = dataclasses.replace(
        study, methods=pd.concat([facts, study.methods]), scores=pd.concat([again, study.scores], ignore_index=True)
    )
    assert more.one_setting().methods.equals(study.methods) and study.one_setting() is study
    pd.testing.assert_frame_equal(findings.examine(more, 100), findings.examine(study, 100))


def test_an_only_setting_stands_for_its_function(study: Frames) -> None:
    rename = {"rise": "rise_14", "deletion": "deletion_fine"}
    renamed = dataclasses.replace(
        study,
        scores=study.scores.replace({"method": rename, "metric": rename}),
        methods=study.methods.rename(index=rename),
        metrics=study.metrics.rename(index=rename),
    )
    pd.testing.assert_frame_equal(findings.examine(renamed, 100), findings.examine(study, 100))
