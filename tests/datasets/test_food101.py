"""Food-101 in torchvision's layout."""

import json
from pathlib import Path

import pytest
from torchvision.datasets import Food101

import xailib as xai
from tests.datasets.conftest import save_noise
from xailib.datasets import class_names
from xailib.errors import InputError

CLASSES = ["waffles", "apple_pie", "beef_tartare"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three classes of two training images and one of test each."""
    top = tmp_path / "food-101"
    (top / "meta").mkdir(parents=True)
    for split, numbers in (("train", (1, 2)), ("test", (3,))):
        listed = {name: [f"{name}/{number}" for number in numbers] for name in CLASSES}
        (top / "meta" / f"{split}.json").write_text(json.dumps(listed))
        for seed, id in enumerate(id for ids in listed.values() for id in ids):
            save_noise(top / "images" / f"{id}.jpg", seed, (24, 30))
    return tmp_path


@pytest.mark.parametrize("split", ["train", "test"])
def test_labels_are_those_of_torchvision(folder: Path, split: str) -> None:
    images = xai.load_images("food101", root=folder, split=split, side=16)
    reference = Food101(folder, split=split)
    files = [str(path.relative_to(folder / "food-101/images").with_suffix("")) for path in reference._image_files]
    assert dict(zip(images.ids, images.labels.tolist(), strict=True)) == dict(
        zip(files, reference._labels, strict=True)
    )
    assert class_names("food101", root=folder) == ["apple pie", "beef tartare", "waffles"]
    assert [name.replace("_", " ") for name in reference.classes] == class_names("food101", root=folder)


def test_some_classes_and_the_inner_folder(folder: Path) -> None:
    images = xai.load_images("food101", root=folder / "food-101", side=16, classes=["waffles", "apple_pie"])
    assert dict(zip(images.ids, images.labels.tolist(), strict=True)) == {"waffles/3": 0, "apple_pie/3": 1}


def test_bad_layouts(folder: Path, tmp_path: Path) -> None:
    top = folder / "food-101"
    with pytest.raises(InputError, match="unknown split 'val' of food101; known: test, train"):
        xai.load_images("food101", root=folder, split="val")
    (top / "images/waffles/3.jpg").unlink()
    with pytest.raises(
        InputError, match=r"test\.json: names waffles/3, which is not in .*waffles; it holds 1\.jpg, 2\.jpg"
    ):
        xai.load_images("food101", root=folder)
    assert len(xai.load_images("food101", root=folder, split="train", side=16)) == 6
    listed = json.loads((top / "meta/test.json").read_text())
    (top / "meta/test.json").write_text(json.dumps({**listed, "waffles": []}))
    with pytest.raises(InputError, match=r"test\.json: looked for class: \[images\] with at least one image each"):
        xai.load_images("food101", root=folder)
    (top / "meta/test.json").write_text("{")
    with pytest.raises(InputError, match=r"test\.json: cannot be read as a list of images"):
        xai.load_images("food101", root=folder)
    (top / "meta/test.json").unlink()
    with pytest.raises(InputError, match=r"test\.json: cannot be read .*meta: it holds train\.json"):
        xai.load_images("food101", root=folder)
    with pytest.raises(InputError, match="none: looked for meta there or in food-101; there is no such folder"):
        xai.load_images("food101", root=tmp_path / "none")
