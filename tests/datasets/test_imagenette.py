"""Imagenette in torchvision's layout: generated folders, and the real ones where they are at hand."""

from pathlib import Path

import pytest
import torch

import xailib as xai
from tests.datasets.conftest import save_noise
from xailib.datasets import class_names, open_images
from xailib.datasets.folders import IMAGENETTE
from xailib.errors import InputError

WNIDS = list(IMAGENETTE)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two training images and one of validation for each class."""
    for label, wnid in enumerate(WNIDS):
        for number in range(2):
            save_noise(
                tmp_path / "imagenette2-160/train" / wnid / f"{wnid}_{number}.JPEG", 10 * label + number, (24, 16)
            )
        save_noise(tmp_path / "imagenette2-160/val" / wnid / f"{wnid}_9.JPEG", label, (24, 16))
    return tmp_path


def labels(images: xai.ImageBatch) -> dict[str, int]:
    return dict(zip(images.ids, images.labels.tolist(), strict=True))


def test_labels_names_and_splits(folder: Path) -> None:
    train = xai.load_images("imagenette", root=folder, split="train", side=16)
    assert labels(train) == {f"{wnid}/{wnid}_{n}.JPEG": label for label, wnid in enumerate(WNIDS) for n in range(2)}
    val = xai.load_images("imagenette", root=folder, side=16)
    assert labels(val) == {f"{wnid}/{wnid}_9.JPEG": label for label, wnid in enumerate(WNIDS)}
    assert all(boxes.shape == (0, 4) for boxes in val.boxes)
    assert class_names("imagenette")[:2] == ["tench", "English springer"] and len(class_names("imagenette")) == 10
    with pytest.raises(InputError, match="unknown split 'test' of imagenette; known: train, val"):
        xai.load_images("imagenette", root=folder, split="test")


def test_root_may_be_the_inner_folder_and_any_size(folder: Path) -> None:
    outer = xai.load_images("imagenette", root=folder, side=16, limit=3)
    inner = xai.load_images("imagenette", root=folder / "imagenette2-160", side=16, limit=3)
    assert outer.ids == inner.ids and torch.equal(outer.pixels, inner.pixels)
    (folder / "imagenette2-160").rename(folder / "imagenette2")
    assert xai.load_images("imagenette", root=folder, side=16, limit=3).ids == outer.ids


def test_some_classes(folder: Path) -> None:
    three = xai.load_images("imagenette", root=folder, side=16, classes=3)
    assert labels(three) == {f"{wnid}/{wnid}_9.JPEG": label for label, wnid in enumerate(WNIDS[:3])}
    chosen = ["golf ball", "n01440764"]
    two = xai.load_images("imagenette", root=folder, side=16, classes=chosen)
    assert labels(two) == {"n03445777/n03445777_9.JPEG": 0, "n01440764/n01440764_9.JPEG": 1}
    assert class_names("imagenette", root=folder, classes=chosen) == ["golf ball", "tench"]


@pytest.mark.parametrize(
    ("classes", "sentence"),
    [
        (11, "classes: 11 is not a number of classes; imagenette has 10 here"),
        (0, "classes: 0 is not a number of classes"),
        (True, "classes: True is not a choice of classes"),
        ("tench", "classes: 'tench' is not a choice of classes; give a number, or a list of their names"),
        ([], r"classes: \[\] is not a choice"),
        ([1, 2], r"classes: \[1, 2\] is not a choice"),
        (["tensh"], "imagenette has no class 'tensh'; did you mean 'tench'"),
        (["tench", "n01440764"], "a class of imagenette is named twice"),
    ],
)
def test_wrong_classes(folder: Path, classes: object, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        xai.load_images("imagenette", root=folder, classes=classes)


def test_bad_layouts(folder: Path, tmp_path: Path) -> None:
    top = folder / "imagenette2-160"
    for path in (top / "val" / WNIDS[4]).iterdir():
        path.unlink()
    with pytest.raises(InputError, match=r"val/n03028079: looked for the images of a class \(.*\); it is empty"):
        xai.load_images("imagenette", root=folder)
    (top / "val" / WNIDS[4]).rmdir()
    with pytest.raises(
        InputError, match=r"val/n03028079: looked for the images of a class .*; there is no such folder"
    ):
        xai.load_images("imagenette", root=folder)
    (top / "val").rename(top / "validation")
    with pytest.raises(InputError, match=r"imagenette2-160: looked for val there; it holds train/, validation/"):
        xai.load_images("imagenette", root=folder)
    with pytest.raises(InputError, match=r"none: looked for val there or in imagenette2-160; there is no such folder"):
        xai.load_images("imagenette", root=tmp_path / "none")
    (tmp_path / "packed").mkdir()
    archive = tmp_path / "packed" / "imagenette2-160.tgz"
    archive.write_bytes(b"")
    with pytest.raises(InputError, match=r"it holds imagenette2-160\.tgz \(archives must be unpacked first\)"):
        xai.load_images("imagenette", root=archive.parent)
    with pytest.raises(InputError, match="it is an archive: unpack it first"):
        xai.load_images("imagenette", root=archive)


def test_real_images(data_folder: Path) -> None:
    if not (data_folder / "imagenette2-160").is_dir():
        pytest.skip("needs imagenette2-160 in data/")
    train, val = (open_images("imagenette", root=data_folder, split=split, side=32) for split in ("train", "val"))
    assert (len(train), len(val)) == (9469, 3925)
    few = val.select(slice(0, 40))
    assert len(few.labels.unique()) > 5 and 0.3 < few.pixels.mean() < 0.6
