"""`load_images`: what every data set shares."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import xailib as xai
from xailib.datasets import class_names, list_datasets, open_images, takes
from xailib.datasets.items import Images, Item, fit, shuffled
from xailib.errors import InputError
from xailib.images import read_image
from xailib.registry import dataset


def test_every_data_set_is_registered() -> None:
    files = {"photos", "imagenet", "folder", "imagenette", "tiny_imagenet", "food101", "birdsnap"}
    assert files | {"pictograms"} <= set(list_datasets())


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"name": "pictogramms"}, "unknown data set 'pictogramms'; did you mean 'pictograms'?"),
        ({"name": "pictograms", "split": "tset"}, "unknown split 'tset' of pictograms; did you mean 'test'?"),
        ({"name": "pictograms", "limit": 0}, "limit: 0 is not a number of images"),
        ({"name": "pictograms", "limit": "8"}, "limit: '8' is not a number of images"),
        ({"name": "pictograms", "limit": True}, "limit: True is not a number of images"),
        ({"name": "pictograms", "seed": 1.5}, "seed: 1.5 is not a whole number"),
        ({"name": "pictograms", "limit": 1, "colour": 3}, "data set 'pictograms' takes no 'colour'"),
        ({"name": "pictograms", "limit": 1, "root": "data"}, "data set 'pictograms' takes no 'root'"),
        ({"name": "pictograms", "limit": 1, "side": 224}, "side: pictograms have 64 pixels, .* 224 is none of these"),
        ({"name": "pictograms", "limit": 1, "side": 24}, "shrunk by whole factors to 32, 16 or 8; 24 is none of these"),
        ({"name": "pictograms", "limit": 1, "side": "32"}, "'32' is none of these"),
        ({"name": "pictograms", "shift": "silhouete"}, "unknown shift 'silhouete' .* did you mean 'silhouette'"),
        ({"name": "folder", "root": ".", "shift": "silhouette"}, "unknown shift 'silhouette' for data set 'folder'"),
        ({"name": "imagenet"}, "data set 'imagenet' needs 'root'"),
        ({"name": "imagenet", "root": "nowhere", "splitt": 1}, "takes no 'splitt'; did you mean 'split'"),
    ],
)
def test_wrong_arguments_are_one_sentence(arguments: dict, sentence: str) -> None:
    arguments = dict(arguments)
    with pytest.raises(InputError, match=sentence):
        xai.load_images(arguments.pop("name"), **arguments)


def test_a_data_set_of_one_size_refuses_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dataset, "entries", dict(dataset.entries))
    pixels = torch.zeros(2, 3, 48, 48)

    @dataset("grey", label="Grey")
    def grey(*, split: str = "test", limit: int | None = None, seed: int = 0) -> xai.ImageBatch:
        return xai.ImageBatch(pixels[:limit], ids=["a", "b"][:limit])

    @dataset("black", label="Black")
    def black() -> list[Item]:
        draw = (np.zeros((48, 48, 3), np.uint8), np.zeros((48, 48), bool))
        return [Item(id, None, 0, draw=lambda: draw) for id in "ab"]

    for name in ("grey", "black"):
        assert sorted(xai.load_images(name, side=48).ids) == ["a", "b"]
        assert torch.equal(xai.load_images(name, limit=1).pixels, pixels[:1])
        for option in ({"crop": "centre"}, {"root": "."}):
            with pytest.raises(InputError, match=f"data set '{name}' takes no '{next(iter(option))}'"):
                xai.load_images(name, **option)
        with pytest.raises(InputError, match=f"side: images of '{name}' have 48 pixels, not 224"):
            xai.load_images(name, side=224)
        with pytest.raises(InputError, match=f"data set '{name}' declares no class names"):
            class_names(name)


def test_what_a_data_set_does_not_name_is_done_for_it(monkeypatch: pytest.MonkeyPatch, classes_folder: Path) -> None:
    """A function returns items: split, seed, limit, side and crop are not its business."""
    monkeypatch.setattr(dataset, "entries", dict(dataset.entries))
    files = {path.stem: path for path in classes_folder.rglob("*.*")}

    @dataset(
        "mine", label="Mine", splits=("all", "part"), side=40, among=lambda: (0, 5), class_names=lambda: [*"abcdef"]
    )
    def mine(root: Path, split: str) -> list[Item]:
        assert root == classes_folder
        return [Item(id, path, 0) for id, path in files.items() if split == "all" or id < "c"]

    source = {"root": str(classes_folder)}
    whole = xai.load_images("mine", **source)
    assert whole.ids == shuffled(files, 0) and whole.pixels.shape == (5, 3, 40, 40) and whole.classes == (0, 5)
    assert xai.load_images("mine", **source, seed=3, limit=2, side=16).ids == shuffled(files, 3)[:2]
    assert sorted(xai.load_images("mine", **source, split="part").ids) == ["a", "b"]
    cropped = xai.load_images("mine", **source, crop="centre")
    assert not torch.equal(cropped.pixels, whole.pixels) and cropped.class_names == [*"abcdef"]
    assert takes("mine") == {"root", "split", "side", "crop"}
    with pytest.raises(InputError, match="unknown split 'al' of mine; did you mean 'all'"):
        xai.load_images("mine", **source, split="al")
    with pytest.raises(InputError, match="crop: 'center' is not known"):
        open_images("mine", **source, crop="center")


def drawn(pixels: np.ndarray | None = None, mask: np.ndarray | None = None, **values: Any) -> Item:
    """An item that is drawn, all right but for what is given."""
    pixels = np.full((32, 32, 3), 255, np.uint8) if pixels is None else pixels
    mask = np.ones((32, 32), bool) if mask is None else mask
    return Item(**{"id": "a", "path": None, "label": 0, "draw": lambda: (pixels, mask)} | values)


def test_a_plugins_pictures_are_taken_as_anybodys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shares from 0 to 1, channels first, one channel and masks of 255 mean what they do elsewhere."""
    monkeypatch.setattr(dataset, "entries", dict(dataset.entries))
    shares = np.linspace(0, 1, 32 * 32 * 3, dtype=np.float32).reshape(32, 32, 3)
    pictures = {"shares": shares, "first": shares.transpose(2, 0, 1), "grey": shares[..., 0]}
    dataset("made", label="Made")(lambda: [drawn(pixels, id=id) for id, pixels in pictures.items()])
    dataset("mask", label="Mask")(lambda: [drawn(mask=np.eye(32, dtype=np.uint8) * 255)])
    found = xai.load_images("made")
    for id, pixels in zip(found.ids, found.pixels, strict=True):
        expected = shares[..., :1].repeat(3, axis=2) if id == "grey" else shares
        assert np.array_equal(pixels.permute(1, 2, 0), expected)
    assert torch.equal(xai.load_images("mask").masks[0], torch.eye(32, dtype=torch.bool))


@pytest.mark.parametrize(
    ("facts", "make", "says"),
    [
        ({"side": 32}, lambda: [drawn()], "'own': image 'a' is drawn, not read; leave side= out"),
        ({}, lambda: [Item("a", Path("a.png"), 0)], "'own': image 'a' is a file; declare the side="),
        ({}, lambda: [drawn(), drawn()], "data set 'own' has two images 'a'"),
        ({}, lambda: [("a", None, 0)], "data set 'own' returns tuple, not Item"),
        ({}, lambda: None, "data set 'own' returns NoneType, not a list of Item or an ImageBatch"),
        ({}, lambda: [], "data set 'own' returns no images"),
        ({}, lambda: [drawn(draw=lambda: np.zeros((32, 32, 3), np.uint8))], "image 'a': draw returns pixels and the"),
        ({}, lambda: [drawn(), drawn(np.zeros((16, 16, 3), np.uint8), id="b")], "the images differ in size"),
        ({}, lambda: [drawn(mask=np.ones((16, 16), bool))], r"masks: the shape \(1, 16, 16\) does not fit"),
        ({}, lambda: [drawn(label="cat")], "image 'a': its label is a class index, not 'cat'"),
        ({}, lambda: [drawn(label=1.7)], "image 'a': its label is a class index, not 1.7"),
        ({}, lambda: [drawn(label=True)], "image 'a': its label is a class index, not True"),
        ({}, lambda: [drawn(path=Path("a.png"))], "image 'a': it needs either a file"),
        ({}, lambda: [drawn(draw=None)], "image 'a': it needs either a file"),
        (
            {},
            lambda: [drawn(boxes=[(3, 3, 20, 20)])],
            r"image 'a': \(3, 3, 20, 20\) is no box; x1, y1, x2, y2 as shares",
        ),
        ({}, lambda: [drawn(boxes=[(0.8, 0.1, 0.2, 0.3)])], "is no box"),
        ({}, lambda: [drawn(boxes=(0.1, 0.1, 0.2, 0.3))], "image 'a': 0.1 is no box"),
        ({}, lambda: [drawn(boxes=[(0.1, 0.1, float("nan"), 0.3)])], "is no box"),
        ({}, lambda: [drawn(answers=3)], "answers: class indices such as .* are needed, not 3"),
        ({}, lambda: [drawn(answers=("3",))], "answers: '3' is no class"),
        (
            {"class_names": lambda: ["a", "b"]},
            lambda: [drawn(answers=(9,))],
            "answers: 9 is no class; class_names has 2",
        ),
        ({"class_names": lambda: ["a", "b"], "among": lambda: (0, 2)}, lambda: [drawn()], "classes: 2 is no class"),
        ({"among": tuple}, lambda: [drawn()], "classes: there is none to choose an answer among"),
    ],
)
def test_what_a_plugin_hands_over_is_refused_in_a_sentence(
    facts: dict[str, Any], make: Callable[[], Any], says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dataset, "entries", dict(dataset.entries))
    dataset("own", label="Own", **facts)(lambda: make())
    with pytest.raises(InputError, match=says):
        xai.load_images("own")


@pytest.mark.parametrize("name", ["pictograms", "folder"])
def test_images_come_in_any_slices(name: str, classes_folder: Path) -> None:
    source = {"limit": 5, "side": 16, "root": classes_folder if name == "folder" else None}
    whole, parts = xai.load_images(name, **source), open_images(name, **source)
    slices = [parts.select(slice(start, start + 2)) for start in range(0, len(parts), 2)]
    assert len(parts) == 5 and [len(part) for part in slices] == [2, 2, 1]
    assert torch.equal(torch.cat([part.pixels for part in slices]), whole.pixels)
    assert [id for part in slices for id in part.ids] == whole.ids


def test_shifts_keep_the_truth() -> None:
    clean = xai.load_images("pictograms", limit=3)
    for shift in ("silhouette", "gaussian_noise_2", "jpeg_3"):
        shifted = xai.load_images("pictograms", limit=3, shift=shift)
        assert not torch.equal(shifted.pixels, clean.pixels)
        assert torch.equal(shifted.labels, clean.labels)
        assert torch.equal(shifted.masks, clean.masks)


def test_class_names() -> None:
    assert len(class_names("pictograms")) == 12
    names = class_names("imagenet")
    assert len(set(names)) == 1000
    assert (names[22], names[949]) == ("bald eagle", "strawberry")
    assert class_names("photos") == names
    assert class_names("pictograms", split="train", side=32) == class_names("pictograms")
    with pytest.raises(InputError, match="class names of data set 'folder' need 'root'"):
        class_names("folder", split="val")
    with pytest.raises(InputError, match="data set 'imagenet' takes no 'rot'; did you mean 'root'"):
        class_names("imagenet", rot="data")


def test_order_belongs_to_seed_and_id() -> None:
    ids = [f"image-{i}" for i in range(50)]
    order = shuffled(ids, 0)
    assert sorted(order) == sorted(ids) and order != ids
    assert shuffled(reversed(ids), 0) == order
    assert shuffled(ids, 1) != order
    kept = ids[::3]
    assert shuffled(kept, 0) == [id for id in order if id in kept]


@pytest.mark.parametrize("crop", ["resize", "centre"])
def test_boxes_follow_the_pixels(crop: str) -> None:
    """A bright rectangle and its box must land on the same pixels."""
    array = np.zeros((300, 500, 3), dtype=np.uint8)
    array[100:200, 200:340] = 255
    image, (left, top, width, height) = fit(Image.fromarray(array), 64, crop)
    x1, x2 = (left + x / 500 * width for x in (200, 340))
    y1, y2 = (top + y / 300 * height for y in (100, 200))
    bright = np.argwhere(np.asarray(image)[..., 0] > 127)
    found = (*bright.min(0)[::-1], *(bright.max(0)[::-1] + 1))
    assert np.abs(np.array(found) - (x1, y1, x2, y2)).max() <= 1
    assert image.size == (64, 64)


def test_too_many_images_for_memory_are_refused_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sysconf", lambda name: 1000)
    with pytest.raises(InputError, match="limit: 9 images of 224 pixels need"):
        Images([Item("a", Path("a.png"), 0)] * 9, 224).select(slice(None))


@pytest.mark.parametrize("side", [0, 4, 2.5, "224", True])
def test_wrong_side(side: object) -> None:
    with pytest.raises(InputError, match=r"side: .* is not a number of pixels"):
        Images([], side)  # type: ignore[arg-type]


def test_odd_image_files_become_rgb(tmp_path: Path) -> None:
    """Greyscale, 16-bit, CMYK, palette and transparent files keep their brightness."""
    grey = np.full((10, 10), 100, dtype=np.uint8)
    Image.fromarray(grey).save(tmp_path / "grey.png")
    Image.fromarray(grey.astype(np.uint16) * 257).save(tmp_path / "deep.png")
    Image.fromarray(np.stack([grey] * 3, 2)).convert("CMYK").save(tmp_path / "cmyk.jpg", quality=95)
    Image.fromarray(np.stack([grey] * 3, 2)).quantize().save(tmp_path / "palette.png")
    Image.fromarray(np.stack([grey] * 3 + [np.full_like(grey, 255)], 2)).save(tmp_path / "alpha.png")
    for path in tmp_path.iterdir():
        image = read_image(path)
        assert image.mode == "RGB"
        assert np.abs(np.asarray(image).astype(int) - 100).max() <= 2, path.name


def test_where_some_images_have_answers_the_label_stays_right_on_the_others() -> None:
    def draw() -> tuple[np.ndarray, np.ndarray]:
        return np.zeros((8, 8, 3), np.uint8), np.ones((8, 8), bool)

    images = Images([Item("plain", None, 2, draw=draw), Item("several", None, 1, answers=(1, 3), draw=draw)], None)
    for chosen in ([0], [0, 1]):  # whatever other images are in the batch
        assert images.select(chosen).right(torch.tensor([2, 3][: len(chosen)])).all()
    assert not images.select([0, 1]).right(torch.tensor([1, 2])).any()


def test_answers_and_classes_travel_with_the_images() -> None:
    images = xai.load_images("pictograms", limit=3)
    assert images.answers is None and torch.equal(images.right(images.labels), torch.ones(3, dtype=torch.bool))
    several = replace(images, answers=[(0, 5), (), (7,)], classes=(0, 5, 7))
    assert several.right(torch.tensor([5, 1, 0])).tolist() == [True, False, False]
    part = several.with_pixels(1 - several.pixels).select([2, 0])
    assert part.answers == [(7,), (0, 5)] and part.classes == (0, 5, 7) and part.ids == [images.ids[2], images.ids[0]]
    assert several.select(slice(1, None)).answers == [(), (7,)]
    with pytest.raises(InputError, match="an ImageBatch of 3 images needs 3 groups of answers"):
        replace(images, answers=[(1,)])
