"""A study's results as a data set of the hub and as an RO-Crate: whole, described, and readable by others."""

import json
import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
import yaml

import xailib as xai
from xailib import results
from xailib.workflow import export

PLACES = [("mini_resnet_vanilla", "rise"), ("own_net", "gradcam")]


@pytest.fixture
def study(tmp_path: Path) -> Path:
    folder = tmp_path / "results" / "mine"
    values = {"study": "mine", "kind": "compare", "description": "A question.", "dataset": "pictograms", "seed": 3}
    values |= {"scale": "small"}
    values |= {"models": [model for model, _ in PLACES], "methods": ["rise", "gradcam"], "metrics": ["deletion"]}
    rows = []
    for model, method in PLACES:
        place = folder / model / method
        maps = torch.rand(2, 8, 8, generator=torch.Generator().manual_seed(len(rows)))
        made_from = {"model": model, "method": method, "seed": 3, "options": {"masks": 4}}
        results.write_maps(place / "maps.npz", maps, ["a", "b"], torch.tensor([0, 1]), made_from=made_from)
        record = {
            "finished": "2026-01-02T03:04:05+00:00",
            "seconds": 1.5,
            "git": {"commit": "abc" if model != "own_net" else None},
            "packages": {"torch": "2"},
        }
        results.write_json(place / "attribute.json", record)
        (place / "attribute.ipynb").write_text("{}")
        results.write_json(place / "sanity.json", record)
        results.write_table(place / "sanity.parquet", pd.DataFrame({"image": ["a", "b"], "value": [0.5, 0.25]}))
        rows += [{"model": model, "method": method, "image": id, "metric": "deletion", "value": 0.5} for id in "ab"]
    (folder / "study.yaml").write_text(yaml.safe_dump(values))
    scores = pd.DataFrame(rows).astype(dict.fromkeys(("model", "method", "metric"), "category"))
    results.write_table(folder / "scores.parquet", scores)
    return folder


def run(*words: Any) -> int:
    return export.main([str(word) for word in words])


def test_hub(study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert run(study, "--to", "hub", out) == 0, capsys.readouterr().err
    _, head, body = (out / "README.md").read_text().split("---\n", 2)
    head = yaml.safe_load(head)
    assert head["configs"] == [{"config_name": "scores", "data_files": "data/scores.parquet", "default": True}]
    assert head["size_categories"] == ["n<1K"]
    assert "@inproceedings{petsiuk2018rise," in body and "keywords" not in body and "A question." in body
    assert "2 attribution methods on 2 image classifiers, 2 images\n" in body
    table = pd.read_parquet(out / "data" / "scores.parquet")
    assert len(table) == 4 and not isinstance(table["model"].dtype, pd.CategoricalDtype)
    for model, method in PLACES:
        maps = xai.load_maps(out / "maps" / model / f"{method}.safetensors")
        assert torch.equal(maps.values, xai.load_maps(study / model / method / "maps.npz").values)
        assert (maps.model, maps.method, maps.ids, maps.options) == (model, method, ["a", "b"], {"seed": 3, "masks": 4})
        assert (out / "records" / model / method / "attribute.json").is_file()
    named = xai.load_maps(out / "maps" / "mini_resnet_vanilla" / "rise.safetensors").target_names
    assert named == xai.load_model("mini_resnet_vanilla").class_names[:2]
    assert yaml.safe_load((out / "study.yaml").read_text())["study"] == "mine"


@pytest.mark.parametrize("form", ["hub", "crate"])
def test_what_a_pair_left_behind_is_not_exported(study: Path, tmp_path: Path, form: str) -> None:
    """Its slices ran once, perhaps on other images or weights; then the study came to leave it out."""
    if form == "crate":
        pytest.importorskip("rocrate")
    scores = results.read_table(study / "scores.parquet")
    results.write_table(study / "scores.parquet", scores[scores["model"] != "own_net"])
    assert run(study, "--to", form, tmp_path / "out") == 0
    exported = [str(path) for path in (tmp_path / "out").rglob("*.*")]
    assert not [name for name in exported if "own_net" in name]
    assert [name for name in exported if "mini_resnet_vanilla" in name]


def test_a_card_tells_controls_from_methods_and_one_from_several(
    study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scores = pd.read_parquet(study / "scores.parquet").astype(str)
    scores = pd.concat([scores.head(1), scores.head(1).assign(method="random"), scores.head(1).assign(method="sobel")])
    results.write_table(study / "scores.parquet", scores)
    assert run(study, "--to", "hub", tmp_path / "out") == 0, capsys.readouterr().err
    assert (
        "1 attribution method and 2 controls on 1 image classifier, 1 image\n"
        in (tmp_path / "out/README.md").read_text()
    )


def test_crate(study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    crates = pytest.importorskip("rocrate.rocrate")
    out = tmp_path / "out"
    assert run(study, "--to", "crate", out) == 0, capsys.readouterr().err
    crate = crates.ROCrate(out)
    assert crate.mainEntity.id == "Snakefile" and "mine" in crate.name
    files = {entity["@id"] for entity in json.loads((out / "ro-crate-metadata.json").read_text())["@graph"]}
    for path in study.rglob("*"):
        if path.is_file():
            name = path.relative_to(study).as_posix()
            assert name in files and (out / name).read_bytes() == path.read_bytes()
    actions = [entity for entity in crate.get_entities() if entity.type == "CreateAction"]
    assert len(actions) == 4
    made = {result.id for action in actions for result in action["result"]}
    names = {f"own_net/gradcam/{name}" for name in ("maps.npz", "sanity.parquet")}
    assert names <= made and "mini_resnet_vanilla/rise/attribute.ipynb" in made
    assert {action["endTime"] for action in actions} == {"2026-01-02T03:04:05+00:00"}
    commits = [re.search(r"commit (\w+);", action["description"])[1] for action in actions]
    assert sorted(commits) == ["abc", "abc", "unknown", "unknown"]  # own_net was made where there is no checkout
    cited = (out / "citations.bib").read_text()
    assert all(key in cited for key in ("petsiuk2018rise", "benavoli2016should", "adebayo2018sanity"))
    assert "nourelahi2022explainable" not in cited


def test_refusals(study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: Any) -> None:
    def refused(*words: Any) -> str:
        assert run(*words) == 2
        return capsys.readouterr().err

    assert "holds no study.yaml; give a study's folder" in refused(tmp_path, "--to", "hub", tmp_path / "out")
    assert "nothing is ever overwritten" in refused(study, "--to", "hub", study)
    before = sorted(study.rglob("*"))
    (tmp_path / "link").symlink_to(study)
    for out in (study / "out", tmp_path / "link" / "out", study / "new" / ".." / "out"):
        for form in ("hub", "crate"):
            assert "which is what is exported; give a folder outside of it" in refused(study, "--to", form, out)
    assert sorted(study.rglob("*")) == before
    with monkeypatch.context() as patch:
        patch.setitem(__import__("sys").modules, "rocrate.rocrate", None)
        assert "needs the package rocrate" in refused(study, "--to", "crate", tmp_path / "out")
    text = (study / "study.yaml").read_text()
    (study / "study.yaml").write_text(text.replace("study: mine", "study: 3"))
    assert "study: 3 is not" in refused(study, "--to", "hub", tmp_path / "out")
    (study / "study.yaml").write_text(text)
    (study / "scores.parquet").unlink()
    assert "run the study to its end first" in refused(study, "--to", "hub", tmp_path / "out")
    assert not (tmp_path / "out").exists()
