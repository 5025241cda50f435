"""The twenty photographs: found, checked, and boxed."""

import importlib.metadata
import json

import pytest
import torch

import xailib as xai
from xailib.datasets import class_names, photos
from xailib.errors import InputError

needs_foolbox = pytest.mark.skipif(
    not list(importlib.metadata.distributions(name="foolbox")), reason="needs the extra 'photos'"
)


def test_shipped_boxes_are_sound() -> None:
    records, names = photos.photo_records(), class_names("photos")
    assert len(records) == 20
    for name, record in records.items():
        assert int(name.removesuffix(".jpg").split("_")[2]) == record["label"]
        assert names[record["label"]] == record["class_name"]
        assert len(record["sha256"]) == 64 and record["boxes"]
        for x1, y1, x2, y2 in record["boxes"]:
            assert 0 <= x1 < x2 <= record["width"] and 0 <= y1 < y2 <= record["height"]


@needs_foolbox
def test_load() -> None:
    images = xai.load_images("photos", side=56)
    assert len(images) == 20 and len(set(images.ids)) == 20
    assert images.pixels.shape == (20, 3, 56, 56)
    drum = images.ids.index("imagenet_10_541")  # 1024 x 683: width and height are squeezed differently
    expected = torch.tensor([[121 / 1024, 77 / 683, 939 / 1024, 648 / 683]]) * 56
    torch.testing.assert_close(images.boxes[drum], expected)
    assert images.masks.flatten(1).any(1).all()
    assert xai.load_images("photos", side=56, limit=6).ids == images.ids[:6]
    assert xai.load_images("photos", side=64, limit=6).ids == images.ids[:6]
    with pytest.warns(UserWarning, match="'photos' holds 20 images"):
        assert len(xai.load_images("photos", side=56, limit=32)) == 20
    with pytest.raises(InputError, match="unknown split 'val' of photos; known: test"):
        xai.load_images("photos", split="val")


@needs_foolbox
def test_other_photographs_are_refused(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    record = json.loads(photos.BOXES.read_text())
    next(iter(record["images"].values()))["sha256"] = "0" * 64
    (tmp_path / "boxes.json").write_text(json.dumps(record))
    monkeypatch.setattr(photos, "BOXES", tmp_path / "boxes.json")
    photos.photo_records.cache_clear()
    with pytest.raises(InputError, match="not the photograph that its boxes were drawn on"):
        xai.load_images("photos", side=32)
    photos.photo_records.cache_clear()


def test_missing_package(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "files", missing)
    with pytest.raises(InputError, match=r"'foolbox' is not installed; run: pip install \"xailib\[photos\]\""):
        xai.load_images("photos")
