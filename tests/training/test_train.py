"""What is kept of a training serves the same training only: its checkpoint, and its images."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from safetensors.torch import load_file

from xailib.params import load_params
from xailib.training import card, fit, train
from xailib.training.loop import fingerprint


@pytest.fixture
def place(tmp_path: Path, repository: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A workspace with a folder of 2 x 8 images, the data set `mine`, and the network `own` to train on it."""
    rng = np.random.default_rng(0)
    for name, low in (("dark", 0), ("light", 150)):
        (tmp_path / "A/train" / name).mkdir(parents=True)
        for i in range(8):
            Image.fromarray(rng.integers(low, low + 100, (64, 64, 3), np.uint8)).save(
                tmp_path / "A/train" / name / f"{i}.png"
            )
    (tmp_path / "params/datasets").mkdir(parents=True)
    (tmp_path / "params/models").mkdir()
    words = {"dataset": "mine", "dataset_function": "folder", "dataset_options": {"side": 64}}
    (tmp_path / "params/datasets/mine.yaml").write_text(yaml.safe_dump(words))
    record = load_params("models", "mini_alexnet_vanilla") | {"model": "own", "model_dataset": "mine"}
    record["weights"] = {"source": "file", "path": "own.safetensors"}
    record["class_names"] = ["dark", "light"]
    record.pop("accuracy", None)
    (tmp_path / "record.yaml").write_text(yaml.safe_dump(record))
    monkeypatch.setenv("XAILIB_WORKSPACE", str(tmp_path))
    recipe(tmp_path, learning_rate=0.01)
    return tmp_path


def recipe(place: Path, **changes: float | str) -> None:
    record = yaml.safe_load((place / "record.yaml").read_text())
    record["training"] = {"optimiser": "sgd", "steps": 101, "batch_size": 4, "images": None} | changes
    (place / "params/models/own.yaml").write_text(yaml.safe_dump(record))


def test_an_edited_recipe_begins_anew_and_the_same_goes_on(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(*arguments: object, **parts: object) -> None:
        save(*arguments, **parts)
        raise KeyboardInterrupt

    def run() -> tuple[dict[str, torch.Tensor], list[str]]:
        lines: list[str] = []
        monkeypatch.setattr(
            fit, "resume_checkpoint", lambda *a, **k: lines.append(str(resume(*a, **k))) or int(lines[-1])
        )
        train.train("own", root=place / "A", report=lambda line: None)
        return load_file(place / "own.safetensors"), lines

    save, resume = fit.save_checkpoint, fit.resume_checkpoint
    monkeypatch.setattr(fit, "save_checkpoint", killed)
    with pytest.raises(KeyboardInterrupt):
        run()
    monkeypatch.setattr(fit, "save_checkpoint", save)
    recipe(place, learning_rate=0.001)
    edited, began = run()
    assert began == ["0"], "the first recipe's checkpoint is not the second's"
    shutil.rmtree(place / "resources")
    fresh, _ = run()
    assert all(torch.equal(value, fresh[name]) for name, value in edited.items())


def test_other_files_are_other_training_images(place: Path) -> None:
    shutil.copytree(place / "A", place / "B")
    first, labels = train.training_set("mine", None, root=place / "A")
    assert len(labels) == 16 and torch.equal(train.training_set("mine", None, root=place / "A")[0], first)
    Image.new("RGB", (64, 64), (9, 9, 9)).save(place / "B/train/dark/9.png")
    assert len(train.training_set("mine", None, root=place / "B")[1]) == 17
    Image.new("RGB", (64, 64), (9, 9, 9)).save(place / "A/train/dark/9.png")
    assert len(train.training_set("mine", None, root=place / "A")[1]) == 17
    (place / "C").mkdir()
    (place / "C/train").symlink_to(place / "A/train")
    assert len(train.training_set("mine", None, root=place / "C")[1]) == 17
    Image.new("RGB", (64, 64), (8, 8, 8)).save(place / "A/train/dark/8.png")
    assert len(train.training_set("mine", None, root=place / "C")[1]) == 18, "files behind a link count too"


def test_a_card_counts_the_images_that_there_were(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe(place, images=100, steps=8)
    monkeypatch.setattr(card, "load_model", lambda id: torch.nn.Linear(1, 1))
    monkeypatch.setattr(card, "measure", lambda *arguments, **options: {})
    with pytest.warns(UserWarning, match="holds 16 images; limit 100 gives all of them"):
        facts = card.describe("own", place / "A")
    assert facts["training_images"] == 16 and facts["epochs"] == 2.0


def test_heirs_that_nothing_attacked_say_no_radius(place: Path) -> None:
    recipe(place, initial="own")
    assert card.twin_epsilon("own") == 1.0


@pytest.mark.parametrize("in_one_line", [None, False])
@pytest.mark.parametrize("before", [{}, {"sha256": "a" * 64}])
def test_what_is_measured_goes_into_a_file_of_any_style(
    place: Path, before: dict[str, str], in_one_line: bool | None
) -> None:
    path, old = place / "params/models/own.yaml", {"dataset": "mine", "value": 0.1, "source": "s"}
    values = yaml.safe_load(path.read_text())
    values |= {"weights": {"path": "own.safetensors", **before, "source": "file"}, "accuracy": old, "label": "größer"}
    for given in (values, {key: value for key, value in values.items() if key != "accuracy"}):
        path.write_text(yaml.safe_dump(given, default_flow_style=in_one_line, allow_unicode=True), encoding="utf-8")
        card.pin("own", "b" * 64)
        card.pin_accuracy("own", "mine", 0.75, place)
        found = load_params("models", "own")
        assert found["weights"] == values["weights"] | {"sha256": "b" * 64} and found["label"] == "größer"
        assert found["accuracy"] == {"dataset": "mine", "value": 0.75, "source": "card.json"}


def test_a_fingerprint_is_of_values_types_and_shapes() -> None:
    ones = torch.ones(2, 3)
    assert fingerprint({"a": 1, "b": 2}, ones) == fingerprint({"b": 2, "a": 1}, ones.clone())
    others = [ones.T, ones.double(), ones * 2, torch.tensor(1.0), torch.ones(0)]
    assert len({fingerprint(one) for one in [ones, *others]}) == 6


@pytest.mark.parametrize(
    ("dataset", "right"), [("tiny_imagenet_10", {"max_box_area": 1.0}), ("imagenet_paper", {"one_box": False})]
)
def test_networks_learn_from_and_are_measured_on_more_images_than_are_explained(
    dataset: str, right: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train, "load_images", lambda name, **given: given)
    for split in ("train", None):
        given = train.split_images(dataset, split, limit=3)
        assert right.items() <= given.items() and given["split"] == split and given["limit"] == 3
