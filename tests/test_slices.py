"""What the slice notebooks share."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

import xailib as xai
from xailib.datasets import class_names
from xailib.datasets.shifts import shift_images
from xailib.errors import InputError
from xailib.workflow.notebooks import background, contact_sheet, image_source


@pytest.mark.parametrize("shift", ["gaussian_noise_2", "jpeg_3", "silhouette"])
def test_a_shift_of_images_at_hand_is_the_shift_that_loading_gives(shift: str) -> None:
    source = {"split": "test", "seed": 3}
    images = xai.load_images("pictograms", limit=3, **source)
    expected = xai.load_images("pictograms", limit=3, shift=shift, **source)
    found = shift_images(images, "pictograms", shift, source)
    assert torch.equal(found.pixels, expected.pixels) and found.ids == expected.ids


def test_images_from_files_come_in_the_networks_size() -> None:
    model = SimpleNamespace(input_size=227, id="m", class_names=class_names("photos"))
    assert image_source("photos", model, split="test", root=None, crop="resize") == {
        "split": "test",
        "crop": "resize",
        "side": 227,
    }
    assert image_source("photos", model, side=160)["side"] == 160
    model.class_names = class_names("pictograms")
    assert image_source("pictograms", model, split=None, seed=0) == {"seed": 0, "side": 227}


def test_folders_start_from_the_workspace_wherever_in_it_the_notebook_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("params/models/mine.yaml", "notebooks/mine.ipynb"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path / "notebooks")
    monkeypatch.setenv("HOME", str(tmp_path))
    for root, place in (("data/x", tmp_path / "data/x"), ("~/x", tmp_path / "x"), (str(tmp_path), tmp_path)):
        place.mkdir(parents=True, exist_ok=True) if place.is_relative_to(tmp_path) else None
        model = SimpleNamespace(input_size=32, id="m", class_names=["ant"])
        assert image_source("folder", model, "unknown", root=root)["root"] == str(place)


def test_labels_count_the_networks_classes(photographs: Path) -> None:
    model = SimpleNamespace(input_size=32, id="m", class_names=["Bee_Eater", "cat", "ant"])
    with pytest.raises(
        InputError, match=r"the 2 classes of the data set \(ant, bee eater\) are not the network's 3 \(Bee_Eater"
    ):
        image_source("folder", model, root=str(photographs))
    source = image_source("folder", model, "by_name", root=str(photographs))
    images = xai.load_images("folder", **source)
    assert {id.split("/")[0]: label for id, label in zip(images.ids, images.labels.tolist(), strict=True)} == {
        "ant": 2,
        "bee eater": 0,
    }
    source = image_source("folder", model, {"bee eater": "cat"}, root=str(photographs))
    assert sorted(xai.load_images("folder", **source).labels.tolist()) == [1, 1, 2, 2]
    assert set(
        xai.load_images("folder", **image_source("folder", model, "unknown", root=str(photographs))).labels.tolist()
    ) == {-1}
    model.class_names = ["ant", "bee-eater"]
    assert "relabelled" not in image_source("folder", model, root=str(photographs)), "the same names need no mapping"


def test_a_background_of_a_split_with_other_classes(photographs: Path) -> None:
    import shutil

    (photographs / "val").mkdir()
    for name in ("ant", "bee eater"):
        shutil.move(photographs / name, photographs / "val" / name)
    shutil.copytree(photographs / "val" / "ant", photographs / "train" / "ant")
    model = SimpleNamespace(input_size=32, id="m", class_names=["bee eater", "ant"])
    source = image_source("folder", model, "by_name", split="val", root=str(photographs))
    assert source["relabelled"] == [1, 0]
    assert background("shap", "folder", "train", source)["references"].shape == (2, 3, 32, 32)
    with pytest.raises(InputError, match="relabelled: 2 labels for the 1 classes that the images have here"):
        xai.load_images("folder", **{**source, "split": "train"})
    with pytest.raises(InputError, match="relabelled: 2 labels for the 0 classes"):
        xai.load_images([photographs / "val/ant/0.png"], relabelled=[1, 0])


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    for name in ("ant", "bee eater"):
        (tmp_path / name).mkdir()
        for i in range(2):
            Image.new("RGB", (40, 40), (i, 0, 0)).save(tmp_path / name / f"{i}.png")
    return tmp_path


def test_a_contact_sheet_shows_images_above_maps() -> None:
    pixels = torch.ones(2, 3, 8, 8)
    maps = torch.zeros(2, 8, 8)
    maps[1, :, 4:] = 1
    sheet = np.asarray(contact_sheet(pixels, maps, side=16)).astype(int)
    assert sheet.shape == (32, 32, 3)
    assert (sheet[:16] == 255).all()
    right = sheet[16:, 16:]
    assert right[8, 13].sum() > right[8, 2].sum(), "more is brighter"
    signed = np.asarray(contact_sheet(pixels[:1], torch.linspace(-1, 1, 64).view(1, 8, 8))).astype(int)
    assert signed[-1, -1, 0] > signed[-1, -1, 2] and signed[100, 1, 2] > signed[100, 1, 0], "red for, blue against"
    contact_sheet(pixels, torch.zeros(2, 8, 8))
    lifted = np.asarray(contact_sheet(pixels, maps * 0.1 + 5, side=16)).astype(int)
    assert np.array_equal(lifted, sheet), "a large constant does not flatten a map"
