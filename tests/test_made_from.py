"""What a result was made from travels with it and is compared."""

import dataclasses
import json
from pathlib import Path

import pandas as pd
import pytest
import torch

from xailib import params, results
from xailib.analysis import frames
from xailib.errors import InputError
from xailib.params import made_from
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
