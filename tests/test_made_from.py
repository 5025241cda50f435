"""What a result was made from travels with it and is compared."""

import dataclasses
import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
import yaml
from PIL import Image

from xailib import params, results
from xailib.analysis import frames
from xailib.errors import InputError
from xailib.params import contents, made_from
from xailib.params.facts import registry_facts
from xailib.params.stages import STAGES
from xailib.workflow import study as workflow

NOTEBOOK = {"dataset": "pictograms", "split": "test", "limit": 4, "seed": 0, "precision": "fp32", "scale": "smoke"}
NOTEBOOK |= {"model": "mini_resnet_vanilla", "method": "rise", "target": "label", "root": None, "dataset_options": {}}
NOTEBOOK |= {
    "method_options": {"masks": 8000},
    "method_scales": {"smoke": {"masks": 40}},
    "device": "cpu",
    "maps_path": "x",
}


def test_it_holds_what_decides_and_nothing_else() -> None:
    found = made_from.made_from("attribute", NOTEBOOK)
    assert found["options"] == {"masks": 40} and found["limit"] == 4 and len(found["network"]) == 12
    assert not {"device", "maps_path", "root", "dataset_options"} & set(found)
    assert found == json.loads(json.dumps(found))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"limit": 3}, "was made with limit 3, not 4"),
        ({"seed": 5}, "was made with seed 5, not 0"),
        ({"method": "sobel"}, "was made with method 'sobel', not 'rise'"),
        ({"method_scales": {}}, "was made with options.masks 8000, not 40"),
        ({"root": "elsewhere"}, "was made with root 'elsewhere', not null"),
        ({"model": "mini_resnet_robust"}, "was made with model 'mini_resnet_robust', not 'mini_resnet_vanilla'"),
    ],
)
def test_a_difference_is_one_sentence(change: dict, said: str) -> None:
    wanted = made_from.made_from("attribute", NOTEBOOK)
    other = made_from.made_from("attribute", NOTEBOOK | change)
    with pytest.raises(InputError, match=f"^maps.npz: {said}; run"):
        made_from.require("maps.npz", other, wanted)
    made_from.require("maps.npz", wanted, wanted)


def test_another_network_under_the_same_name_is_another_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import shutil

    shutil.copytree(params.find("params"), tmp_path / "params")
    monkeypatch.setenv("XAILIB_WORKSPACE", str(tmp_path))
    before = made_from.network("mini_resnet_vanilla")
    file = tmp_path / "params/models/mini_resnet_vanilla.yaml"
    file.write_text(file.read_text().replace("label: ResNet", "label: Net").replace("steps: 1500", "steps: 9"))
    assert made_from.network("mini_resnet_vanilla") == before
    file.write_text(file.read_text().replace("[0.5, 0.5, 0.5]", "[0.5, 0.5, 0.4]"))
    assert made_from.network("mini_resnet_vanilla") != before


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"target": "foo"}, "target: 'foo' is not one of label, predicted"),
        ({"scale": "tiny"}, "scale: no method, metric or estimator has a scale 'tiny'"),
        ({"seed": -1}, "seed: -1 is less than the minimum of 0"),
        ({"limit": 4.0}, "limit: 4.0 is not a whole number or null; write 4"),
    ],
)
def test_a_notebook_refuses_words_that_no_file_could_hold(change: dict, said: str) -> None:
    with pytest.raises(InputError, match=said):
        made_from.made_from("attribute", NOTEBOOK | change)


def test_a_study_and_its_slices_agree_on_what_a_result_is_made_from() -> None:
    """Otherwise every slice would be made again by every run."""
    study = workflow.open_study("smoke")
    values = study.values | params.load_params("datasets", "pictograms") | params.load_params("methods", "gradient")
    names = ["dataset_function", "root", "method_function", "dataset_classes"]
    notebook = dict.fromkeys(names) | values | {"model": "mini_resnet_vanilla", "device": "cpu"}
    for stage in ("predict", "attribute"):
        one = {"model": "mini_resnet_vanilla", **({"method": "gradient"} if stage == "attribute" else {})}
        assert made_from.made_from(stage, notebook) == study.made_from(stage, **one)


def test_maps_say_whose_they_are(tmp_path: Path) -> None:
    origin = made_from.made_from("attribute", NOTEBOOK)
    path = results.write_maps(
        tmp_path / "maps.npz", torch.rand(2, 4, 4), ["a", "b"], torch.tensor([0, 1]), made_from=origin
    )
    assert results.read_maps(path, made_from=origin)["made_from"] == origin
    evaluation = made_from.made_from("evaluate", NOTEBOOK | {"metrics": "all", "method": "gradient"})
    with pytest.raises(InputError, match="was made with method 'rise', not 'gradient'"):
        results.read_maps(path, made_from=evaluation)
    bare = results.write_maps(tmp_path / "bare.npz", torch.rand(1, 4, 4), ["a"], torch.tensor([0]))
    with pytest.raises(InputError, match="does not say what it was made from"):
        results.read_maps(bare, made_from=evaluation)


def test_final_notebooks_refuse_the_tables_of_another_study(tmp_path: Path) -> None:
    import sys

    sys.path.insert(0, str(Path(__file__).parent / "analysis"))
    import synthetic

    made = synthetic.study(images=4, architectures=("mini_resnet",))
    folder = synthetic.write(made, tmp_path / "made")
    frames.read_frames(folder, study="other")  # tables made by hand say nothing
    for name in ("scores", "predictions", "accuracy"):
        table: pd.DataFrame = getattr(made, name)
        table.attrs["made_from"] = {"study": "made", "seed": 0}
        results.write_table(folder / f"{name}.parquet", table)
    assert len(frames.read_frames(folder, study="made", seed=0).scores) == len(dataclasses.replace(made).scores)
    with pytest.raises(InputError, match=r"scores\.parquet: was made with study 'made', not 'other'"):
        frames.read_frames(folder, study="other")


@pytest.mark.parametrize("keys", [None, ("limit",)])
def test_stale_records(tmp_path: Path, keys: tuple[str, ...] | None) -> None:
    record = tmp_path / "attribute.json"
    assert not made_from.stale("attribute", record, {"limit": 4}, keys), "what is not there is not stale"
    results.write_json(record, {"made_from": {"limit": 4}})
    assert not made_from.stale("attribute", record, {"limit": 4}, keys)
    assert made_from.stale("attribute", record, {"limit": 3}, keys)
    results.write_json(record, {"seconds": 3})
    assert made_from.stale("attribute", record, {"limit": 4}, keys)
    for damaged in (b"", b'{"made_from": {"limit": 4', b"\0\xff"):
        record.write_bytes(damaged)
        assert made_from.stale("attribute", record, {"limit": 4}, keys)


# ---- What is in files of one's own


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A workspace with images of one's own, by folders and in a table, and a network whose files say nothing of themselves."""
    root = tmp_path / "own"
    for split in ("train", "val"):
        for name in ("ant", "bee"):
            (root / "d" / split / name).mkdir(parents=True)
            for i in range(2):
                Image.new("RGB", (32, 32), (i, 0, 0)).save(root / "d" / split / name / f"{i}.bmp")
    (root / "d/t.csv").write_text("file, label, box\nval/ant/0.bmp,ant,1 1 9 9\nval/bee/0.bmp,bee,\n")
    (root / "classes.txt").write_text("ant\nbee\n")
    (root / "net").mkdir()
    (root / "net/config.json").write_text("{}")
    (root / "net/w.pt").write_bytes(b"weights")
    (root / "net/order.txt").write_text("ant\nbee\n")
    record = {"model": "mine", "architecture": "huggingface", "model_options": {"name": "net"}, "input_size": 32}
    record |= {"training_algorithm": "vanilla", "class_names": "classes.txt"}
    record |= {"weights": {"source": "file", "path": "net/w.pt", "sha256": None}}
    write(root, "models", "mine", record)
    write(root, "datasets", "pets", {"dataset": "pets", "dataset_function": "folder", "dataset_references": "train"})
    write(root, "datasets", "listed", {"dataset": "listed", "dataset_function": "table"})
    known = registry_facts()  # asked of a fresh Python for each workspace, as it may have plug-ins; these have none
    monkeypatch.setattr("xailib.params.facts._asked", lambda: {"known": known})
    monkeypatch.setenv("XAILIB_WORKSPACE", str(root))
    return root


def write(root: Path, kind: str, id: str, values: dict[str, Any]) -> None:
    path = root / "params" / kind / f"{id}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(values))


def study(root: Path, /, **changes: Any) -> workflow.Study:
    values = {
        "study": "own",
        "dataset": "pets",
        "root": "d",
        "split": "val",
        "models": ["mine"],
        "methods": ["gradient"],
    }
    values |= {"metrics": ["deletion", "idsds"], "scale": "smoke", "only_correct": False}
    (root / "own.yaml").write_text(yaml.safe_dump(values | changes))
    return workflow.open_study(root / "own.yaml")


MAPS = ("attribute", "evaluate", "sanity", "indomain")
SLICES = {"predict": {}, "probe": {}, "finetune": {"metric": "idsds"}} | {
    stage: {"method": "gradient"} for stage in MAPS
}


def stale(root: Path, /, **changes: Any) -> set[str]:
    """Make the slices of a study, have something done to its files, and return those that are to be made again."""
    edit, found = changes.pop("edit"), study(root, **changes)
    for stage, one in SLICES.items():
        results.write_json(root / f"{stage}.json", {"made_from": found.made_from(stage, model="mine", **one)})
    edit()
    again = study(root, **changes)
    return {stage for stage, one in SLICES.items() if again.stale(stage, root / f"{stage}.json", model="mine", **one)}


def rewrite(path: Path, old: bytes, new: bytes) -> None:
    """Edit a file; its time stays as it was."""
    time = path.stat().st_mtime_ns
    assert old in path.read_bytes()
    path.write_bytes(path.read_bytes().replace(old, new))
    os.utime(path, ns=(time, time))


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("net/w.pt", b"weights", b"another"),  # retrained at the same place
        ("classes.txt", b"ant\nbee", b"bee\nant"),
        ("net/config.json", b"{}", b"[]"),
    ],
)
def test_files_of_a_network_are_part_of_it(own: Path, file: str, old: bytes, new: bytes) -> None:
    assert stale(own, edit=lambda: None) == set()
    assert stale(own, edit=lambda: rewrite(own / file, old, new)) == set(SLICES)


@pytest.mark.parametrize(("old", "new"), [(b"val/bee/0.bmp,bee", b"val/bee/0.bmp,ant"), (b"1 1 9 9", b"1 1 8 8")])
def test_a_table_is_part_of_its_images(own: Path, old: bytes, new: bytes) -> None:
    given = {"dataset": "listed", "root": "d/t.csv", "split": None, "metrics": ["deletion"]}
    assert stale(own, edit=lambda: None, **given) == set()
    assert stale(own, edit=lambda: rewrite(own / "d/t.csv", old, new), **given) == set(SLICES)
    image = own / "d/val/ant/0.bmp"
    assert stale(own, edit=lambda: Image.new("RGB", (32, 32), "red").save(image), **given) == set(SLICES)
    assert stale(own, edit=lambda: shutil.copy(image, own / "d/val/other.bmp"), **given) == set(), (
        "it lists no such image"
    )


READ = {"train": {"attribute", "evaluate", "sanity", "indomain", "finetune"}, "val": set(SLICES)}


@pytest.mark.parametrize("split", READ)
def test_images_of_a_folder_are_those_of_the_splits_that_a_slice_reads(own: Path, split: str) -> None:
    """Of another size or content under the same name, one more or one less; what is no image is no matter."""
    folder = own / "d" / split / "bee"
    edits = [
        lambda: Image.new("RGB", (32, 32), "red").save(folder / "0.bmp"),  # of the same size
        lambda: Image.new("RGB", (64, 32)).save(folder / "0.bmp"),
        lambda: shutil.copy(folder / "0.bmp", folder / "2.bmp"),
        lambda: (folder / "2.bmp").unlink(),
        lambda: folder.rename(folder.with_name("bat")),
    ]
    for edit in edits:
        assert stale(own, edit=edit) == READ[split]
    (own / "d" / split / "Thumbs.db").touch()
    assert stale(own, edit=(own / "d" / split / "ant/.hidden.bmp").touch) == set()


def test_a_file_that_a_data_set_names_is_part_of_its_images(own: Path) -> None:
    known, options = {"dataset": "pets", "dataset_function": "folder"}, {"classes": "net/order.txt"}
    write(own, "datasets", "pets", known | {"dataset_options": options})
    assert stale(own, edit=lambda: rewrite(own / "net/order.txt", b"ant\nbee", b"bee\nant")) == set(SLICES)
    write(own, "datasets", "pets", known | {"dataset_accuracy_options": options})
    assert stale(own, edit=lambda: rewrite(own / "net/order.txt", b"bee\nant", b"ant\nbee")) == {"predict", "probe"}


def test_a_copied_study_is_finished_and_one_without_its_files_too(
    own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On another machine files have other times; where they are not there, nothing says that they were others."""

    def move() -> None:
        shutil.copytree(own, tmp_path / "copy", copy_function=shutil.copyfile)
        monkeypatch.setenv("XAILIB_WORKSPACE", str(tmp_path / "copy"))
        for path in (tmp_path / "copy").rglob("*.*"):
            os.utime(path, (1, 1))

    assert stale(own, edit=move) == set()
    assert stale(tmp_path / "copy", edit=lambda: shutil.rmtree(tmp_path / "copy/d")) == set()
    assert stale(tmp_path / "copy", edit=lambda: (tmp_path / "copy/net/w.pt").unlink()) == set()


def test_a_large_data_set_is_looked_through_once_and_a_few_of_its_images_into(
    own: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    monkeypatch.setattr(contents, "images", lambda path, look=contents.images: asked.append(path) or look(path))
    one = study(own)
    for stage, facts in SLICES.items():
        one.made_from(stage, model="mine", **facts)
    assert sorted(asked) == [own / "d/train", own / "d/val"]
    monkeypatch.undo()
    monkeypatch.setattr(contents, "SAMPLED", 2)
    before = contents.images(own / "d/train")
    Image.new("RGB", (32, 32), "red").save(own / "d/train/ant/1.bmp")
    assert contents.images(own / "d/train") == before, "two of four are looked into, the first and the third"
    Image.new("RGB", (32, 32), "red").save(own / "d/train/bee/0.bmp")
    assert contents.images(own / "d/train") != before


def test_a_table_is_read_as_its_data_set_reads_it(tmp_path: Path) -> None:
    table, image = tmp_path / "t.csv", tmp_path / "a.bmp"
    image.write_bytes(b"one")
    table.write_text("File,label\na.bmp,ant\n")
    before = contents.images(table)
    image.write_bytes(b"two")
    assert contents.images(table) != before, "the column is found in any case, as the data set finds it"
    table.write_text("path,label\na.bmp,ant,more\n")
    assert contents.images(table), "what is wrong with it is the data set's to say"


def test_a_roar_study_builds_its_images_again(own: Path) -> None:
    values = yaml.safe_load(params.find("params/studies/roar_smoke.yaml").read_text())
    values |= {"study": "own_roar", "dataset": "pets", "root": "d", "test_split": "val", "image_options": {}}
    (own / "roar.yaml").write_text(yaml.safe_dump(values))
    for split in ("train", "val"):
        before = workflow.open_study(own / "roar.yaml").made_from("roar_images")
        assert set(before["other_images"]) == {"train", "val"} and "images" not in before
        Image.new("RGB", (40, 40)).save(own / "d" / split / "ant/0.bmp")
        assert workflow.open_study(own / "roar.yaml").made_from("roar_images") != before


def test_what_names_no_file_of_ones_own_has_the_digest_that_it_had() -> None:
    """Finished studies do not run again: shipped networks are what their files say, shipped pictures what their options do."""
    for id in params.ids("models"):
        record = params.load_params("models", id)
        if record["weights"].get("sha256") or record["weights"]["source"] != "file":
            weights = {key: value for key, value in record["weights"].items() if key not in ("license", "origin")}
            parts = {**{key: record.get(key) for key in made_from._NETWORK}, "weights": weights}
            expected = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:12]
            assert made_from.network(id) == expected, id
    assert made_from.network("mini_resnet_vanilla") == "f5eac970d1f5"
    smoke, roar = workflow.open_study("smoke"), workflow.open_study("roar_smoke")
    for stage, facts in SLICES.items():
        found = smoke.made_from(stage, model="mini_resnet_vanilla", **facts)
        assert set(found) & set(STAGES[stage].files) and not {"images", "other_images"} & {
            *found,
            *found.get("maps", ()),
        }
    assert set(roar.made_from("roar_images")) <= set(STAGES["roar_images"].study) | {"dataset_options"}


def test_maps_of_other_images_are_not_scored(own: Path) -> None:
    given = NOTEBOOK | {"dataset": "pets", "dataset_function": "folder", "root": "d", "split": "val", "model": "mine"}
    path = results.write_maps(
        own / "maps.npz",
        torch.rand(1, 4, 4),
        ["a"],
        torch.tensor([0]),
        made_from=made_from.made_from("attribute", given),
    )
    results.read_maps(path, made_from=made_from.made_from("evaluate", given | {"metrics": ["deletion"]}))
    Image.new("RGB", (32, 32), "red").save(own / "d/val/ant/0.bmp")
    with pytest.raises(InputError, match="was made with images"):
        results.read_maps(path, made_from=made_from.made_from("evaluate", given | {"metrics": ["deletion"]}))
