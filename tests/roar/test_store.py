"""The store: exact pixels, labels and means, built in chunks, and never half a store that looks whole."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import xailib as xai
from xailib.errors import InputError
from xailib.roar import slices
from xailib.roar import store as stores
from xailib.roar.store import build, open_store


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> tuple[stores.Store, list[str]]:
    """A store of 40 + 12 pictograms, written 16 images at a time, and the lines that were reported."""
    lines: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stores, "CHUNK", 16)
        patch.setattr(stores, "REPORT_SECONDS", 0.0)
        folder = tmp_path_factory.mktemp("store")
        build(folder, "pictograms", side=16, train_images=40, test_images=12, seed=3, report=lines.append)
    return open_store(folder), lines


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    """Class folders of a training and a test split, of plain colours in no square shape."""
    for split, count in (("train", 3), ("test", 2)):
        for label, name in enumerate(("ant", "bee")):
            for number in range(count):
                path = tmp_path / "images" / split / name / f"{number}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                noise = np.random.default_rng([label, number]).integers(0, 256, (30, 40, 3), dtype=np.uint8)
                Image.fromarray(noise).save(path)
    return tmp_path / "images"


def test_pixels_labels_and_ids_are_those_of_load_images(small: tuple[stores.Store, list[str]]) -> None:
    store, _ = small
    for part, split in ((store.train, "train"), (store.test, "test")):
        images = xai.load_images("pictograms", split=split, limit=len(part), seed=3, side=16)
        assert torch.equal(torch.from_numpy(part.pixels[:].copy()).float().div(255), images.pixels)
        assert torch.equal(part.labels, images.labels) and part.ids == images.ids
    few = xai.load_images("pictograms", limit=5, seed=3, side=16)
    assert store.test.ids[:5] == few.ids and np.array_equal(store.test.pixels[:5], np.round(few.pixels.numpy() * 255))
    assert store.class_names == xai.datasets.class_names("pictograms") and store.side == 16
    assert (len(store.train), len(store.test)) == (40, 12)


def test_mean_is_that_of_all_training_pixels(small: tuple[stores.Store, list[str]]) -> None:
    store, _ = small
    expected = store.train.pixels.astype(np.float64).mean(axis=(0, 2, 3)) / 255
    np.testing.assert_allclose(store.mean.numpy(), expected, rtol=1e-6)
    assert store.mean.dtype == torch.float32


def test_pixels_stay_on_disk(small: tuple[stores.Store, list[str]]) -> None:
    assert isinstance(small[0].train.pixels, np.memmap) and not small[0].train.pixels.flags.writeable


def test_progress_says_how_much_and_how_long(small: tuple[stores.Store, list[str]]) -> None:
    lines = small[1]
    assert lines[0] == "train: 40 images of 16 pixels, 0 MB"
    assert any(line.startswith("train: 16 of 40 images, about ") and line.endswith(" s left") for line in lines)
    assert lines[-1].startswith("test: 12 images in ")


def test_chunks_change_nothing(tmp_path: Path, small: tuple[stores.Store, list[str]]) -> None:
    whole = build(tmp_path, "pictograms", side=16, train_images=40, test_images=12, seed=3, report=lambda line: None)
    assert np.array_equal(whole.train.pixels, small[0].train.pixels) and torch.equal(whole.mean, small[0].mean)


def test_files_are_cut_as_at_test_time_unless_told(tmp_path: Path, photographs: Path) -> None:
    arguments = {"side": 16, "root": photographs, "report": lambda line: None}
    cut = build(tmp_path / "cut", "folder", **arguments)
    images = xai.load_images("folder", root=photographs, split="test", side=16, **cut.facts["options"])
    assert cut.facts["options"] == {"crop": "centre"}
    assert torch.equal(torch.from_numpy(cut.test.pixels[:].copy()).float().div(255), images.pixels)
    squeezed = build(tmp_path / "squeezed", "folder", options={"crop": "resize"}, **arguments)
    assert squeezed.test.ids == cut.test.ids and not np.array_equal(squeezed.test.pixels, cut.test.pixels)
    assert cut.class_names == ["ant", "bee"] and sorted(cut.train.labels.tolist()) == [0, 0, 0, 1, 1, 1]


def test_what_a_training_was_made_from_tells_other_images_under_the_same_names(
    tmp_path: Path, photographs: Path
) -> None:
    """A killed slice keeps finished rows: they may serve for the same images only, which files of one's own may not be."""

    def origin() -> dict:
        built = build(tmp_path / "store", "folder", side=16, root=photographs, report=lambda line: None)
        return slices.origin(built, tmp_path, "none")

    ant, bee = (photographs / "test" / name / "0.png" for name in ("ant", "bee"))
    before, pictures = origin(), (ant.read_bytes(), bee.read_bytes())
    assert origin() == before
    ant.write_bytes(pictures[1])
    edited = origin()
    bee.write_bytes(pictures[0])
    assert before != edited != origin() != before


def test_a_class_without_training_images_is_named(tmp_path: Path, photographs: Path) -> None:
    with pytest.raises(InputError, match=r"class 'note' has no image among the 11 of training; give more train_images"):
        build(tmp_path / "a", "pictograms", side=8, train_images=11, test_images=1, report=lambda line: None)
    for path in (photographs / "train" / "bee").iterdir():
        path.unlink()
    with pytest.raises(InputError, match="class 'bee' has no image among the 3 of training"):
        build(tmp_path / "b", "folder", side=8, root=photographs, report=lambda line: None)
    for place in ("a", "b"):
        with pytest.raises(InputError, match="no finished store"):
            open_store(tmp_path / place)


def test_splits_must_fit_together(tmp_path: Path, photographs: Path) -> None:
    with pytest.raises(InputError, match="test_split: 'train' is the training split too"):
        build(tmp_path / "a", "pictograms", side=8, test_split="train")
    (photographs / "test" / "cat").mkdir()
    with pytest.raises(InputError, match="splits 'train' and 'test' of folder have different classes"):
        build(tmp_path / "a", "folder", side=8, root=photographs)
    with pytest.raises(InputError, match="data set 'pictograms' takes no 'colour'"):
        build(tmp_path / "a", "pictograms", side=8, options={"colour": 1})


KILLED = """
import os, signal, sys
from xailib.roar import store
store.CHUNK, store.REPORT_SECONDS = 8, 0.0
def die(line):
    if line.startswith("test: 8 of"):
        os.kill(os.getpid(), signal.SIGKILL)
store.build(sys.argv[1], "pictograms", side=8, train_images=24, test_images=16, report=die)
"""


def test_a_killed_build_leaves_nothing_that_looks_finished(tmp_path: Path) -> None:
    arguments = {"side": 8, "train_images": 24, "test_images": 16, "report": lambda line: None}
    first = build(tmp_path, "pictograms", **arguments)
    expected = first.train.pixels[:].copy()
    killed = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], check=False)
    assert killed.returncode == -9
    with pytest.raises(InputError, match=r"no finished store of images \(no store\.json\)"):
        open_store(tmp_path)
    again = build(tmp_path, "pictograms", **arguments)
    assert np.array_equal(again.train.pixels, expected)
    assert {path.name for path in tmp_path.iterdir()} == {"store.json", "train_pixels.npy", "test_pixels.npy"}


def test_damaged_stores_are_refused(tmp_path: Path) -> None:
    build(tmp_path, "pictograms", side=8, train_images=12, test_images=2, report=lambda line: None)
    record = json.loads((tmp_path / "store.json").read_text())
    pixels = (tmp_path / "train_pixels.npy").read_bytes()
    (tmp_path / "train_pixels.npy").write_bytes(pixels[:300])
    with pytest.raises(InputError, match="not a whole store of images"):
        open_store(tmp_path)
    (tmp_path / "train_pixels.npy").write_bytes(pixels)
    (tmp_path / "store.json").write_text(json.dumps({**record, "side": 16}))
    with pytest.raises(InputError, match=r"train_pixels\.npy: .* are not the 12 images of store\.json"):
        open_store(tmp_path)
    (tmp_path / "store.json").write_text("{")
    with pytest.raises(InputError, match="not a whole store of images"):
        open_store(tmp_path)
    (tmp_path / "store.json").write_text(json.dumps(record))
    (tmp_path / "test_pixels.npy").unlink()
    with pytest.raises(InputError, match=r"no finished store of images \(no test_pixels\.npy\)"):
        open_store(tmp_path)
