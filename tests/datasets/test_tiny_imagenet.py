"""Tiny ImageNet in the release's layout: generated folders, and the real ones where they are at hand."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import xailib as xai
from tests.datasets.conftest import save_noise
from xailib.datasets import class_names, open_images
from xailib.errors import InputError

# In the order of wnids.txt, which is not sorted; the last has no folder.
WNIDS = ["n02124075", "n01629819", "n07747607", "n99999999"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three of four classes, two training images and one of validation each, in `tiny-imagenet-200`."""
    top = tmp_path / "tiny-imagenet-200"
    val = []
    for label, wnid in enumerate(WNIDS[:3]):
        for number in range(2):
            save_noise(top / "train" / wnid / "images" / f"{wnid}_{number}.JPEG", 10 * label + number, (64, 64))
        rows = [f"{wnid}_{number}.JPEG\t{8 * label}\t0\t{31 + label}\t63" for number in range(2)]
        (top / "train" / wnid / f"{wnid}_boxes.txt").write_text("\n".join(rows) + "\n")
        save_noise(top / "val/images" / f"val_{label}.JPEG", label, (64, 64))
        val.append(f"val_{label}.JPEG\t{wnid}\t0\t32\t44\t62")
    val.append("val_3.JPEG\tn99999999\t0\t0\t9\t9")
    (top / "val/val_annotations.txt").write_text("\n".join(val) + "\n")
    (top / "wnids.txt").write_text("\n".join(WNIDS))
    names = ["Egyptian cat", "European fire salamander, Salamandra salamandra", "orange", "nothing"]
    (top / "words.txt").write_text("\n".join(f"{id}\t{name}" for id, name in zip(WNIDS, names, strict=True)))
    return tmp_path


@pytest.fixture
def replace(folder: Path) -> Callable[[str, str, str], None]:
    """Replace words in a file of the folder."""

    def write(name: str, old: str, new: str) -> None:
        path = folder / "tiny-imagenet-200" / name
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new))

    return write


def test_labels_names_and_boxes(folder: Path) -> None:
    train = xai.load_images("tiny_imagenet", root=folder, split="train")
    assert train.pixels.shape == (6, 3, 64, 64)
    truth = {
        id: (label, boxes.tolist())
        for id, label, boxes in zip(train.ids, train.labels.tolist(), train.boxes, strict=True)
    }
    # Rows count pixels and include the last one: 0 to 31 is 32 wide.
    expected = {
        f"{wnid}_{n}": (label, [[8 * label, 0, 32 + label, 64]]) for label, wnid in enumerate(WNIDS[:3]) for n in (0, 1)
    }
    assert truth == expected
    val = xai.load_images("tiny_imagenet", root=folder / "tiny-imagenet-200", side=32)
    assert dict(zip(val.ids, val.labels.tolist(), strict=True)) == {"val_0": 0, "val_1": 1, "val_2": 2}
    assert all(torch.equal(boxes, torch.tensor([[0.0, 16.0, 22.5, 31.5]])) for boxes in val.boxes)
    assert class_names("tiny_imagenet", root=folder) == ["Egyptian cat", "European fire salamander", "orange"]


def test_some_classes(folder: Path) -> None:
    images = xai.load_images("tiny_imagenet", root=folder, classes=["orange", "Egyptian cat"])
    assert dict(zip(images.ids, images.labels.tolist(), strict=True)) == {"val_2": 0, "val_0": 1}
    assert class_names("tiny_imagenet", root=folder, classes=2) == ["Egyptian cat", "European fire salamander"]
    with pytest.raises(InputError, match="tiny_imagenet has no class 'orang'; did you mean 'orange'"):
        xai.load_images("tiny_imagenet", root=folder, classes=["orang"])
    with pytest.raises(InputError, match="class names of data set 'tiny_imagenet' need 'root'"):
        class_names("tiny_imagenet")


def test_images_whose_object_fills_them_are_left_out_of_val(folder: Path, replace) -> None:
    replace(VAL, "val_1.JPEG\tn01629819\t0\t32", "val_1.JPEG\tn01629819\t0\t0")
    few = xai.load_images("tiny_imagenet", root=folder, max_box_area=0.4)
    assert dict(zip(few.ids, few.labels.tolist(), strict=True)) == {"val_0": 0, "val_2": 2}
    assert len(xai.load_images("tiny_imagenet", root=folder, split="train", max_box_area=0.4)) == 6
    with pytest.raises(InputError, match=r"no image passes max_box_area=0\.1"):
        xai.load_images("tiny_imagenet", root=folder, max_box_area=0.1)
    with pytest.raises(InputError, match=r"option max_box_area must be .*not 40"):
        xai.load_images("tiny_imagenet", root=folder, max_box_area=40)


def test_a_list_of_names_needs_no_folder() -> None:
    assert class_names("tiny_imagenet", classes=["orange", "bison"]) == ["orange", "bison"]


VAL, BOXES = "val/val_annotations.txt", "train/n07747607/n07747607_boxes.txt"


@pytest.mark.parametrize(
    ("name", "old", "new", "split", "sentence"),
    [
        (VAL, "val_1.JPEG", "val_8.JPEG", "val", r"val_annotations\.txt: names val_8\.JPEG, which is not in"),
        (VAL, "32\t44\t62", "32\t44\t64", "val", "val_0.JPEG has '0 32 44 64', not a box x1 y1 x2 y2 within 0 to 63"),
        (VAL, "n01629819", "n99999999", "val", "no row for class n01629819, which has a folder in train"),
        (VAL, "\t62", "", "val", "looked for rows of 6 columns; the row 'val_0.JPEG n02124075 0 32 44' has 5"),
        (BOXES, "07_1.", "07_7.", "train", r"boxes\.txt: names n07747607_7\.JPEG, which is not in .*images"),
        (BOXES, "\t16", "\tx", "train", "n07747607_0.JPEG has 'x 0 33 63', not a box"),
        (
            "wnids.txt",
            "n01629819",
            "n01629818",
            "val",
            "n01629819: wnids.txt lists no such class; did you mean 'n01629818'",
        ),
        (
            "words.txt",
            "n01629819",
            "n01629818",
            "val",
            r"words\.txt: no line for n01629819, which has a folder in train",
        ),
    ],
)
def test_bad_tables(folder: Path, replace: Callable, name: str, old: str, new: str, split: str, sentence: str) -> None:
    replace(name, old, new)
    with pytest.raises(InputError, match=sentence):
        xai.load_images("tiny_imagenet", root=folder, split=split)


def test_missing_and_empty_folders(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"none: looked for wnids\.txt there or in tiny-imagenet-200; there is no such folder"
    ):
        xai.load_images("tiny_imagenet", root=tmp_path / "none")
    train = folder / "tiny-imagenet-200/train/n07747607"
    for path in (train / "images").iterdir():
        path.unlink()
    with pytest.raises(InputError, match=r"names n07747607_0\.JPEG, which is not in .*images; it is empty"):
        xai.load_images("tiny_imagenet", root=folder, split="train")
    (train / "n07747607_boxes.txt").write_text("")
    with pytest.raises(InputError, match=r"boxes\.txt: looked for rows of 5 columns; it is empty"):
        xai.load_images("tiny_imagenet", root=folder, split="train")
    (train / "n07747607_boxes.txt").unlink()
    with pytest.raises(InputError, match=r"boxes\.txt: cannot be read as a table .*n07747607: it holds images/"):
        xai.load_images("tiny_imagenet", root=folder, split="train")
    (folder / "tiny-imagenet-200/train").rename(folder / "tiny-imagenet-200/training")
    with pytest.raises(InputError, match="train: looked for one folder a class there; there is no such folder"):
        xai.load_images("tiny_imagenet", root=folder)


def test_real_images(data_folder: Path) -> None:
    if not (data_folder / "tiny-imagenet-200").is_dir():
        pytest.skip("needs tiny-imagenet-200 in data/")
    names = class_names("tiny_imagenet", root=data_folder)
    val = open_images("tiny_imagenet", root=data_folder)
    assert len(val) == 50 * len(names) and len(set(names)) == len(names)
    train = open_images("tiny_imagenet", root=data_folder, split="train", classes=2)
    assert len(train) == 1000
    images = train.select(slice(0, 30))
    assert sorted(images.labels.unique().tolist()) == [0, 1]
    assert all(boxes.shape == (1, 4) and (boxes[0, 2:] > boxes[0, :2]).all() for boxes in images.boxes)
