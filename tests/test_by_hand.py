"""Notebooks that are run by hand: where they write follows their parameters, and nothing passes for something else."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest

from xailib import results
from xailib.datasets.items import Item
from xailib.errors import InputError
from xailib.registry import dataset

sys.path.insert(0, str(Path(__file__).parent / "analysis"))
from cells import run_cells

MODEL = "mini_resnet_vanilla"


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty workspace, whose results are the test's own."""
    matplotlib.use("Agg")
    monkeypatch.setenv("XAILIB_WORKSPACE", str(tmp_path))
    return tmp_path / "results" / "by_hand"


def test_scores_are_recorded_as_the_method_that_made_the_maps(root: Path) -> None:
    """Gradient's maps, then Sobel's: each lies in its own folder, and neither can be scored as the other."""
    given = {"limit": 2, "metrics": ["pointing_game"], "device": "cpu"}
    for method in ("gradient", "sobel"):
        run_cells("attribute", given | {"method": method})
        space = run_cells("evaluate", given | {"method": method})
        assert set(space["scores"]["method"]) == {method}
        table = results.read_table(root / MODEL / method / "scores.parquet")
        assert table.attrs["made_from"]["maps"]["method"] == method
    sobel = str(root / MODEL / "sobel" / "maps.npz")
    with pytest.raises(InputError, match=r"sobel/maps\.npz: was made with method 'sobel', not 'gradient'"):
        run_cells("evaluate", given | {"maps_path": sobel})
    with pytest.raises(InputError, match=r"maps\.npz: was made with seed 0, not 1"):
        run_cells("evaluate", given | {"method": "sobel", "seed": 1})
    with pytest.raises(InputError, match="target: 'foo' is not one of label, predicted"):
        run_cells("attribute", given | {"target": "foo"})


def test_a_copy_is_fine_tuned_and_scored(root: Path) -> None:
    """The copy's weights are found where they were written, and scores stand for the maps' own classes."""
    given, learnt = {"limit": 2, "device": "cpu"}, {"finetune_images": 64, "finetune_steps": 2}
    run_cells("attribute", given)
    space = run_cells("finetune", learnt | {"device": "cpu"})
    assert (root / MODEL / "finetuned" / "idsds" / "weights.safetensors").is_file()
    assert list(space["accuracy"]) == ["network", "copy"]
    run_cells("indomain", given | learnt)
    table = results.read_table(root / MODEL / "gradient" / "indomain.parquet")
    assert table["metric"].tolist() == ["idsds"] * 2 and table["value"].between(-1, 1).all()
    assert table.attrs["made_from"]["judges"]["idsds"]["grid"] == 4
    with pytest.raises(InputError, match="unknown metric 'idsd'; did you mean 'idsds'"):
        run_cells("indomain", given | learnt | {"metrics": ["idsd"]})


def test_a_notebook_refuses_images_of_other_classes(root: Path, tmp_path: Path) -> None:
    from PIL import Image

    (tmp_path / "d" / "ant").mkdir(parents=True)
    Image.new("RGB", (40, 40)).save(tmp_path / "d" / "ant" / "0.png")
    given = {"dataset": "folder", "root": "d", "split": None, "limit": 1, "shifts": "none", "device": "cpu"}
    for name in ("attribute", "predict"):
        with pytest.raises(InputError, match=r"the 1 classes of the data set \(ant\) are not the network's 12 \(chess"):
            run_cells(name, given)
    unknown = given | {"dataset_classes": "unknown", "target": "predicted", "accuracy_images": 1}
    maps = results.read_maps(run_cells("attribute", unknown)["maps_path"] and root / MODEL / "gradient" / "maps.npz")
    assert 0 <= int(maps["targets"][0]) < 12
    space = run_cells("predict", unknown)
    assert space["accuracy"]["accuracy"].isna().all() and space["table"]["correct"].isna().all()
    assert space["table"]["confidence"].between(0, 1).all() and (space["table"]["label"] == -1).all()


COLOURS = {"ant": "red", "bee": "lime", "cat": "blue"}
ALWAYS_RIGHT = """
import torch
from torch import nn


def make():
    network = nn.Sequential(nn.Conv2d(3, 3, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    network[0].weight.data = 10 * torch.eye(3)[:, :, None, None]
    network[0].bias.data.zero_()
    return network
"""


@pytest.fixture
def splits(root: Path, tmp_path: Path) -> dict[str, Any]:
    """Splits of other classes each, and a network that is right on all their images: a class has a colour."""
    import yaml
    from PIL import Image

    for split, names in (("train", ("ant", "bee", "cat")), ("val", ("ant", "cat"))):
        for name in names:
            (tmp_path / "d" / split / name).mkdir(parents=True)
            for i in range(3):
                Image.new("RGB", (40, 40), COLOURS[name]).save(tmp_path / "d" / split / name / f"{i}.png")
    (tmp_path / "net.py").write_text(ALWAYS_RIGHT)
    record = {"model": "mine", "architecture": "function", "model_options": {"name": "net.py:make"}, "input_size": 32}
    record |= {"training_algorithm": "vanilla", "class_names": [*COLOURS], "weights": {"source": "code"}}
    (tmp_path / "params/models").mkdir(parents=True)
    (tmp_path / "params/models/mine.yaml").write_text(yaml.safe_dump(record | {"cam_layer": "1"}))
    return {"dataset": "folder", "dataset_classes": "by_name", "root": "d", "model": "mine", "device": "cpu"}


@pytest.mark.parametrize(("split", "other"), [("train", "val"), ("val", "train")])
def test_accuracy_counts_the_classes_of_its_own_split(splits: dict[str, Any], split: str, other: str) -> None:
    given = {"split": split, "dataset_accuracy_options": {"split": other}, "limit": 2, "accuracy_images": 6}
    space = run_cells("predict", splits | given | {"shifts": ["gaussian_noise_1"], "attack_images": 0})
    assert space["accuracy"]["accuracy"].tolist() == [1.0, 1.0] and space["table"]["correct"].all()


@pytest.mark.parametrize(("split", "other"), [("train", "val"), ("val", "train")])
def test_a_copy_learns_from_the_classes_of_its_own_split(splits: dict[str, Any], split: str, other: str) -> None:
    given = {"split": split, "finetune_split": other, "finetune_images": None, "finetune_steps": 1}
    space = run_cells("finetune", splits | given)
    assert space["accuracy"].loc["as they are", "network"] == 1
    assert set(space["images"].labels.tolist()) == ({0, 1, 2} if other == "train" else {0, 2})


def test_an_answer_is_right_where_it_is_one_of_several_and_chosen_among_the_data_sets_classes(
    splits: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Red is called a bee, of which ant and bee are right answers; blue, which no answer may be, is called an ant."""
    monkeypatch.setattr(dataset, "entries", dict(dataset.entries))
    facts = {"splits": ("train", "val"), "class_names": lambda: [*COLOURS]}

    @dataset("two", label="Two", among=lambda: (0, 1), **facts)
    def two(split: str) -> list[Item]:
        def drawn(place: int) -> Callable[[], tuple[np.ndarray, np.ndarray]]:
            pixels = np.zeros((32, 32, 3), np.uint8)
            pixels[..., place] = 255
            return lambda: (pixels, np.ones((32, 32), bool))

        return [Item("red", None, 1, answers=(0, 1), draw=drawn(0)), Item("blue", None, 0, answers=(0,), draw=drawn(2))]

    given = {"dataset": "two", "root": None, "split": "val", "model": "mine", "device": "cpu"}
    space = run_cells("finetune", given | {"dataset_classes": None, "finetune_steps": 1, "finetune_images": None})
    assert space["accuracy"].loc["as they are", "network"] == 1
    space = run_cells("attribute", given | {"dataset_classes": None, "target": "predicted", "limit": 2})
    assert space["targets"].tolist() == [0, 0], "blue is chosen among ant and bee"


@pytest.mark.parametrize("name", ["explainability", "gallery"])
def test_a_final_notebook_leaves_the_study_its_own_figures(name: str, root: Path, tmp_path: Path) -> None:
    import synthetic

    from xailib.datasets import load_images

    ids = load_images("pictograms", split="test", limit=4, seed=0).ids
    folder = synthetic.write(synthetic.study(ids=ids, architectures=("mini_resnet",)), tmp_path / "results" / "made")
    before = sorted(folder.rglob("*"))
    run_cells(name, {"study": "made", "results_dir": str(folder), "bootstrap": 100, "several": 2})
    assert sorted(folder.rglob("*")) == before
    assert list((root / "made").glob("*.png"))
    assert (root / "made" / "findings.csv").exists() == (name == "explainability")
