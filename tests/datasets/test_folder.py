"""Images of one's own: one folder a class."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import xailib as xai
from xailib.datasets import class_names
from xailib.errors import InputError


def test_labels_count_the_sorted_folders(classes_folder: Path) -> None:
    images = xai.load_images("folder", root=classes_folder, side=16)
    assert class_names("folder", root=classes_folder) == ["ant", "cat", "dog"]
    assert dict(zip(images.ids, images.labels.tolist(), strict=True)) == {
        "ant/c.png": 0, "cat/a.png": 1, "cat/b.jpg": 1, "dog/deep/d.png": 2, "dog/e.png": 2,
    }  # fmt: skip
    assert all(boxes.shape == (0, 4) for boxes in images.boxes)
    assert not images.masks.any()
    assert xai.load_images("folder", root=classes_folder, side=16, limit=2).ids == images.ids[:2]


def test_split_and_classes_file(classes_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "classes.txt").write_text("dog a dog\nfish\nant\ncat the cat\n")
    images = xai.load_images(
        "folder", root=tmp_path, split="images", side=16, classes=tmp_path / "classes.txt"
    )
    assert dict(zip(images.ids, images.labels.tolist(), strict=True))["ant/c.png"] == 2
    assert class_names("folder", root=tmp_path, classes=tmp_path / "classes.txt") == ["dog", "fish", "ant", "cat"]
    (tmp_path / "classes.txt").write_text("dog\nant\n")
    with pytest.raises(InputError, match=r"cat: .*classes\.txt lists no class of this name"):
        xai.load_images("folder", root=classes_folder, classes=tmp_path / "classes.txt")
    with pytest.raises(InputError, match=r"none\.txt: cannot be read as a list of classes"):
        xai.load_images("folder", root=classes_folder, classes=tmp_path / "none.txt")


def test_missing_and_empty_folders(classes_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"val: looked for one folder a class there; there is no such .*it holds ant/"):
        xai.load_images("folder", root=classes_folder, split="val")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="empty: looked for one folder a class there; it is empty"):
        xai.load_images("folder", root=tmp_path / "empty")
    (tmp_path / "bare" / "cat").mkdir(parents=True)
    with pytest.raises(InputError, match=r"bare: no images: looked for CLASS/\*\.jpg"):
        xai.load_images("folder", root=tmp_path / "bare")
    with pytest.raises(InputError, match=r"a\.png: looked for one folder a class there; it is not a folder"):
        xai.load_images("folder", root=classes_folder / "cat" / "a.png")


def test_odd_files_load_and_broken_ones_are_named(classes_folder: Path) -> None:
    grey = np.arange(400, dtype=np.uint16).reshape(20, 20)
    Image.fromarray(grey.astype(np.uint8)).save(classes_folder / "cat" / "grey.png")
    Image.fromarray(grey * 150).save(classes_folder / "cat" / "deep.png")
    Image.new("CMYK", (20, 20), (10, 20, 30, 40)).save(classes_folder / "cat" / "cmyk.jpg")
    images = xai.load_images("folder", root=classes_folder, side=16)
    assert len(images) == 8
    assert images.pixels.min() >= 0 and images.pixels.max() <= 1
    (classes_folder / "dog" / "empty.jpg").write_bytes(b"")
    with pytest.raises(InputError, match=r"dog/empty\.jpg: not a complete image file"):
        xai.load_images("folder", root=classes_folder)
