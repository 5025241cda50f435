"""The Kaggle layout of ImageNet: labels, boxes, filters, and everything that can be wrong with it."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import xailib as xai
from tests.datasets.conftest import save_noise
from xailib.errors import InputError
from xailib.images import ImageBatch


def by_number(images: ImageBatch) -> dict[int, tuple[int, torch.Tensor]]:
    rows = zip(images.ids, images.labels.tolist(), images.boxes, strict=True)
    return {int(id[-8:]): (label, boxes) for id, label, boxes in rows}


def test_labels_and_boxes(kaggle: Path) -> None:
    images = xai.load_images("imagenet", root=kaggle, side=20)
    truth = by_number(images)
    assert {number: label for number, (label, _) in truth.items()} == {1: 0, 2: 1, 3: 2, 4: 0, 5: 1}
    # Annotated on 400 x 200, x from 100 to 199 inclusive: a quarter to a half of the width.
    torch.testing.assert_close(truth[1][1], torch.tensor([[5.0, 5.0, 10.0, 15.0]]))
    torch.testing.assert_close(truth[2][1], torch.tensor([[0.0, 0.0, 20.0, 20.0]]))
    torch.testing.assert_close(truth[3][1], torch.tensor([[2.0, 4.0, 6.0, 8.0], [10.0, 10.0, 20.0, 20.0]]))
    assert images.pixels.shape == (5, 3, 20, 20)
    assert images.masks[[int(id[-8:]) for id in images.ids].index(1)].sum() == 50


def test_root_may_be_the_inner_folder(kaggle: Path) -> None:
    outer = xai.load_images("imagenet", root=kaggle, side=16)
    inner = xai.load_images("imagenet", root=kaggle / "ILSVRC", side=16)
    assert outer.ids == inner.ids and torch.equal(outer.pixels, inner.pixels)


def test_only_the_labelled_class_counts(kaggle: Path, rewrite: Callable[..., Path]) -> None:
    path = rewrite([(100, 50, 199, 149)])
    box = "<bndbox><xmin>0</xmin><ymin>0</ymin><xmax>9</xmax><ymax>9</ymax></bndbox>"
    other = f"<object><name>n01443537</name>{box}</object>"
    path.write_text(path.read_text().replace("</annotation>", other + "</annotation>"))
    assert len(by_number(xai.load_images("imagenet", root=kaggle, side=20))[1][1]) == 1


def test_limit_is_a_prefix_and_seed_chooses(kaggle: Path) -> None:
    everything = xai.load_images("imagenet", root=kaggle, side=16)
    assert xai.load_images("imagenet", root=kaggle, side=16, limit=2).ids == everything.ids[:2]
    assert any(xai.load_images("imagenet", root=kaggle, side=16, seed=s).ids != everything.ids for s in range(1, 4))
    with pytest.warns(UserWarning, match="holds 5 images; limit 9 gives all"):
        assert len(xai.load_images("imagenet", root=kaggle, side=16, limit=9)) == 5


def test_filters(kaggle: Path) -> None:
    assert set(by_number(xai.load_images("imagenet", root=kaggle, one_box=True))) == {1, 2, 4, 5}
    assert set(by_number(xai.load_images("imagenet", root=kaggle, max_box_area=0.5))) == {1, 3, 4, 5}
    assert len(xai.load_images("imagenet", root=kaggle, max_box_area=0.5, one_box=True, limit=2)) == 2
    with pytest.raises(InputError, match=r"no image passes one_box=True and max_box_area=0\.001"):
        xai.load_images("imagenet", root=kaggle, one_box=True, max_box_area=0.001)
    with pytest.raises(InputError, match=r"option max_box_area must be .*at most 1, not 50"):
        xai.load_images("imagenet", root=kaggle, max_box_area=50)


def test_centre_crop_cuts_boxes(kaggle: Path) -> None:
    """The square files become 64 pixels, of which the middle 56 stay; image 4's box lies in the cut corner."""
    truth = by_number(xai.load_images("imagenet", root=kaggle, side=56, crop="centre"))
    torch.testing.assert_close(truth[2][1], torch.tensor([[0.0, 0.0, 56.0, 56.0]]))
    torch.testing.assert_close(truth[1][1], torch.tensor([[12.0, 12.0, 28.0, 44.0]]))
    torch.testing.assert_close(truth[4][1], torch.tensor([[0.0, 0.0, 2.4, 2.4]]))
    with pytest.raises(InputError, match="crop: 'center' is not known"):
        xai.load_images("imagenet", root=kaggle, crop="center")


@pytest.mark.parametrize(
    ("boxes", "sentence"),
    [
        ([], r"00000001\.xml: no box of class n01440764"),
        ([(0, 0, 500, 10)], r"00000001\.xml: box \(0, 0, 500, 10\) is not inside the image of 400 x 200"),
        ([(-3, 0, 50, 10)], "is not inside the image"),
        ([(0, 0, 50, 201)], "is not inside the image"),
        ([(60, 0, 50, 10)], "is not inside the image"),
        ([("wide", 0, 50, 10)], r"bndbox/xmin is 'wide', not a number"),
        ([("nan", 0, 50, 10)], r"bndbox/xmin is 'nan', not a number"),
    ],
)
def test_bad_boxes(kaggle: Path, rewrite: Callable[..., Path], boxes: list, sentence: str) -> None:
    rewrite(boxes)
    with pytest.raises(InputError, match=sentence):
        xai.load_images("imagenet", root=kaggle)
    kept = by_number(xai.load_images("imagenet", root=kaggle, bad_boxes="drop"))
    assert kept[1][1].shape == (0, 4) and len(kept) == 5


def test_bad_annotation_files(kaggle: Path, rewrite: Callable[..., Path]) -> None:
    path = rewrite([(0, 0, 5, 5)], size=(0, 0))
    with pytest.raises(InputError, match="size 0 x 0 is not the size of an image"):
        xai.load_images("imagenet", root=kaggle)
    path.write_text("<annotation><size>")
    with pytest.raises(InputError, match=r"00000001\.xml: not a complete XML file"):
        xai.load_images("imagenet", root=kaggle)
    path.unlink()
    with pytest.raises(InputError, match=r"00000001\.xml: no such annotation; .*bad_boxes: drop"):
        xai.load_images("imagenet", root=kaggle)
    assert len(xai.load_images("imagenet", root=kaggle, bad_boxes="drop")) == 5
    with pytest.raises(InputError, match="option bad_boxes must be one of refuse, drop, not 'skip'"):
        xai.load_images("imagenet", root=kaggle, bad_boxes="skip")


def test_missing_and_empty_folders(kaggle: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere: not an ImageNet folder: looked for .*val; there is no such folder"):
        xai.load_images("imagenet", root=tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"not an ImageNet folder: .*it is empty"):
        xai.load_images("imagenet", root=tmp_path / "empty")
    (tmp_path / "other" / "cats").mkdir(parents=True)
    with pytest.raises(InputError, match=r"not an ImageNet folder: .*it holds cats/"):
        xai.load_images("imagenet", root=tmp_path / "other")
    for path in (kaggle / "ILSVRC/Data/CLS-LOC/val").iterdir():
        path.unlink()
    with pytest.raises(InputError, match=r"no images: looked for .*it is empty"):
        xai.load_images("imagenet", root=kaggle)


def test_missing_tables_and_rows(kaggle: Path) -> None:
    solution = kaggle / "LOC_val_solution.csv"
    text = solution.read_text()
    solution.write_text(text.replace("ILSVRC2012_val_00000003", "ILSVRC2012_val_99999999"))
    with pytest.raises(InputError, match=r"solution\.csv: no row for ILSVRC2012_val_00000003\.JPEG"):
        xai.load_images("imagenet", root=kaggle)
    solution.write_text(text.replace("00000003,n01484850", "00000003,n99999999"))
    with pytest.raises(InputError, match="has class 'n99999999', which"):
        xai.load_images("imagenet", root=kaggle)
    solution.write_text(text + "ILSVRC2012_val_00000006\n")
    with pytest.raises(InputError, match="gives no class; rows are"):
        xai.load_images("imagenet", root=kaggle)
    solution.unlink()
    with pytest.raises(InputError, match=r"looked for LOC_val_solution\.csv"):
        xai.load_images("imagenet", root=kaggle)


def test_truncated_image_is_named(kaggle: Path) -> None:
    path = kaggle / "ILSVRC/Data/CLS-LOC/val/ILSVRC2012_val_00000002.JPEG"
    path.write_bytes(path.read_bytes()[:400])
    with pytest.raises(InputError, match=r"ILSVRC2012_val_00000002\.JPEG: not a complete image file"):
        xai.load_images("imagenet", root=kaggle)
    shutil.copy(path.with_name("ILSVRC2012_val_00000001.JPEG"), path)
    assert len(xai.load_images("imagenet", root=kaggle)) == 5


def test_unknown_split(kaggle: Path) -> None:
    with pytest.raises(InputError, match="unknown split 'test' of imagenet; known: train, val"):
        xai.load_images("imagenet", root=kaggle, split="test")


def test_training_images_lie_in_class_folders(kaggle: Path) -> None:
    for seed, name in enumerate(
        ["n01484850/n01484850_7.JPEG", "n01440764/n01440764_3.JPEG", "n01440764/n01440764_4.JPEG"]
    ):
        save_noise(kaggle / "ILSVRC/Data/CLS-LOC/train" / name, seed)
    images = xai.load_images("imagenet", root=kaggle, split="train", side=16)
    assert dict(zip(images.ids, images.labels.tolist(), strict=True)) == {
        "n01440764/n01440764_3.JPEG": 0, "n01440764/n01440764_4.JPEG": 0, "n01484850/n01484850_7.JPEG": 2,
    }  # fmt: skip
    assert all(len(boxes) == 0 for boxes in images.boxes)
    (kaggle / "ILSVRC/Data/CLS-LOC/train/n01443538").mkdir()
    with pytest.raises(
        InputError, match=r"n01443538: LOC_synset_mapping\.txt lists no such class; did you mean 'n01443537'"
    ):
        xai.load_images("imagenet", root=kaggle, split="train")
    (kaggle / "ILSVRC/Data/CLS-LOC/train/n01443538").rename(kaggle / "ILSVRC/Data/CLS-LOC/train/n01443537")
    with pytest.raises(InputError, match=r"train/n01443537: looked for the images of a class .*; it is empty"):
        xai.load_images("imagenet", root=kaggle, split="train")


def test_class_folders_alone_must_be_all_thousand(tmp_path: Path) -> None:
    for number in range(1000):
        (tmp_path / "val" / f"n{number:08d}").mkdir(parents=True)
    save_noise(tmp_path / "noise.JPEG", 0)
    for folder in (tmp_path / "val").iterdir():
        (folder / f"ILSVRC2012_val_{folder.name}.JPEG").symlink_to(tmp_path / "noise.JPEG")
    images = xai.load_images("imagenet", root=tmp_path, side=8, limit=20)
    assert images.labels.tolist() == [int(id[1:9]) for id in images.ids]
    shutil.rmtree(tmp_path / "val/n00000999")
    with pytest.raises(
        InputError, match=r"val: 999 class folders, not 1,000, and no list of their labels: .*synset_mapping"
    ):
        xai.load_images("imagenet", root=tmp_path, side=8)


def test_real_sample(imagenet_sample: Path) -> None:
    images = xai.load_images("imagenet", root=imagenet_sample, limit=40, side=96)
    assert len(images) == 40 and images.labels.max() < 1000
    assert all(len(boxes) >= 1 for boxes in images.boxes)
    assert all(((boxes >= 0) & (boxes <= 96)).all() for boxes in images.boxes)
