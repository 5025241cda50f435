"""Birdsnap as split folders, and as the release's own script leaves it."""

from pathlib import Path

import pytest

import xailib as xai
from tests.datasets.conftest import save_noise
from xailib.datasets import class_names
from xailib.errors import InputError

TRUTH = {
    "train": {"Blue_Jay/1.jpg": 0, "Blue_Jay/2.jpg": 0, "Mallard/1.jpg": 1},
    "test": {"Blue_Jay/7.jpg": 0, "Mallard/7.jpg": 1},
}


@pytest.fixture
def split_folders(tmp_path: Path) -> Path:
    for split, images in TRUTH.items():
        for seed, id in enumerate(images):
            save_noise(tmp_path / "birdsnap" / split / id, seed)
    return tmp_path


@pytest.fixture
def release(tmp_path: Path) -> Path:
    for seed, id in enumerate({**TRUTH["train"], **TRUTH["test"]}):
        save_noise(tmp_path / "download/images" / id, seed)
    (tmp_path / "test_images.txt").write_text("\n".join(["path", *TRUTH["test"]]) + "\n")
    return tmp_path


@pytest.mark.parametrize("layout", ["split_folders", "release"])
@pytest.mark.parametrize("split", ["train", "test"])
def test_both_layouts(layout: str, split: str, request: pytest.FixtureRequest) -> None:
    root = request.getfixturevalue(layout)
    images = xai.load_images("birdsnap", root=root, split=split, side=16)
    assert dict(zip(images.ids, images.labels.tolist(), strict=True)) == TRUTH[split]
    assert class_names("birdsnap", root=root) == ["Blue Jay", "Mallard"]
    one = xai.load_images("birdsnap", root=root, split=split, side=16, classes=["Mallard"])
    assert dict(zip(one.ids, one.labels.tolist(), strict=True)) == {id: 0 for id in TRUTH[split] if "Mallard" in id}


def test_listed_images_that_are_gone_are_counted(release: Path) -> None:
    (release / "download/images/Mallard/7.jpg").unlink()
    with pytest.warns(UserWarning, match=r"test_images\.txt: 1 of 2 test images are not there"):
        assert xai.load_images("birdsnap", root=release, side=16).ids == ["Blue_Jay/7.jpg"]
    assert len(xai.load_images("birdsnap", root=release, split="train", side=16)) == 3
    (release / "download/images/Blue_Jay/7.jpg").unlink()
    with pytest.raises(InputError, match=r"none of the 2 test images that it lists is there"):
        xai.load_images("birdsnap", root=release)


def test_bad_layouts(split_folders: Path, release: Path, tmp_path: Path) -> None:
    (tmp_path / "test_images.txt").unlink()
    with pytest.raises(InputError, match="unknown split 'val' of birdsnap; known: test, train"):
        xai.load_images("birdsnap", root=split_folders, split="val")
    for path in (split_folders / "birdsnap/test/Mallard").iterdir():
        path.unlink()
    with pytest.raises(InputError, match=r"test/Mallard: looked for the images of a class .*; it is empty"):
        xai.load_images("birdsnap", root=split_folders)
    with pytest.raises(InputError, match="download: looked for train there or in birdsnap; it holds images/"):
        xai.load_images("birdsnap", root=tmp_path / "download")
    with pytest.raises(InputError, match="none: looked for train there or in birdsnap; there is no such folder"):
        xai.load_images("birdsnap", root=tmp_path / "none")
    (tmp_path / "bare").mkdir()
    (tmp_path / "bare/test_images.txt").write_text("path\n")
    with pytest.raises(InputError, match=r"bare: looked for images there or in download; it holds test_images\.txt"):
        xai.load_images("birdsnap", root=tmp_path / "bare")
