"""`load_images` of what is no data set: folders, files, lists, Pillow images, arrays and tensors."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import xailib as xai
from tests.datasets.conftest import save_noise
from xailib.datasets import class_names
from xailib.datasets.items import fit
from xailib.errors import InputError
from xailib.images import ImageBatch
from xailib.images.pictures import read_image, to_pixels

TENSOR = torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def flat(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three photographs in a folder, which the working folder holds."""
    for seed, name in enumerate(["a.png", "b.jpg", "c.png"]):
        save_noise(tmp_path / "mine" / name, seed, (60, 40))
    monkeypatch.chdir(tmp_path)
    return Path("mine")


def test_a_flat_folder_has_no_labels(flat: Path) -> None:
    images = xai.load_images("mine/")
    assert sorted(images.ids) == ["a.png", "b.jpg", "c.png"]
    assert images.pixels.shape == (3, 3, 224, 224) and not images.has_labels and images.class_names is None
    for source in ("mine", "./mine", flat, flat.resolve()):
        again = xai.load_images(source, side=16, limit=2)
        assert again.ids == images.ids[:2] and again.pixels.shape == (2, 3, 16, 16)
    with pytest.raises(InputError, match="has no class names here: its images have no labels"):
        class_names("folder", root=flat)


def test_class_folders_give_labels_and_names(classes_folder: Path) -> None:
    images = xai.load_images(classes_folder, side=16)
    named = xai.load_images("folder", root=classes_folder, side=16)
    assert images.class_names == named.class_names == ["ant", "cat", "dog"]
    assert (
        images.ids == named.ids
        and torch.equal(images.pixels, named.pixels)
        and torch.equal(images.labels, named.labels)
    )
    assert all(
        Path(id).parts[0] == images.class_names[label] for id, label in zip(images.ids, images.labels, strict=True)
    )


def test_data_sets_carry_their_class_names() -> None:
    for name, options in (("pictograms", {"limit": 2}), ("pictograms", {"limit": 2, "classes": 5})):
        images = xai.load_images(name, **options)
        assert images.class_names == class_names(name, **{**options, "limit": None})
        assert images.select([0]).class_names == images.with_pixels(images.pixels).class_names == images.class_names


def test_files_and_pillow_images_keep_their_order(flat: Path) -> None:
    names = ["c.png", "a.png", "b.jpg"]
    images = xai.load_images([flat / "c.png", "mine/a.png", str(flat / "b.jpg")], side=32)
    assert images.ids == names and not images.has_labels
    expected = torch.stack([to_pixels(fit(read_image(flat / name), 32, "resize")[0]) for name in names])
    assert torch.equal(images.pixels, expected)
    opened = xai.load_images([Image.open(flat / name) for name in names], side=32)
    assert torch.equal(opened.pixels, expected) and opened.ids == ["image-0", "image-1", "image-2"]
    assert torch.equal(xai.load_images((flat / name for name in names), side=32).pixels, expected)
    for one in ("mine/c.png", flat / "c.png", Image.open(flat / "c.png")):
        assert torch.equal(xai.load_images(one, side=32).pixels, expected[:1])
    assert xai.load_images("mine/c.png").pixels.shape == (1, 3, 224, 224)
    assert xai.load_images(["mine/c.png", "mine/a.png"], limit=1).ids == ["c.png"]


def test_files_of_one_name_go_by_their_folders(flat: Path) -> None:
    save_noise(Path("other/a.png"), 9)
    assert xai.load_images(["mine/a.png", "other/a.png"], side=16).ids == ["mine/a.png", "other/a.png"]
    with pytest.raises(InputError, match=r"'mine/a\.png' occurs more than once"):
        xai.load_images(["mine/a.png", "mine/a.png"])


def test_arrays_and_tensors_keep_their_size() -> None:
    eight = (TENSOR * 255).byte()
    for source, expected in [
        (TENSOR, TENSOR),
        (TENSOR.numpy(), TENSOR),
        (TENSOR.movedim(1, -1).numpy(), TENSOR),
        (list(TENSOR.movedim(1, -1).numpy()), TENSOR),
        (list(eight), eight / 255),
        (eight.movedim(1, -1).numpy(), eight / 255),
        (TENSOR[0].numpy(), TENSOR[:1]),
    ]:
        assert torch.equal(xai.load_images(source).pixels, expected)
    assert torch.equal(xai.load_images(TENSOR, limit=2).pixels, TENSOR[:2])


@pytest.mark.parametrize("crop", ["resize", "centre"])
def test_arrays_are_fitted_as_photographs_are(crop: str) -> None:
    smooth = Image.fromarray(np.random.default_rng(0).integers(0, 256, (6, 9, 3), dtype=np.uint8)).resize((120, 80))
    photograph = xai.load_images(smooth, side=48, crop=crop).pixels
    array = xai.load_images([np.asarray(smooth)], side=48, crop=crop).pixels
    assert array.shape == (1, 3, 48, 48)
    assert (photograph - array).abs().max() < 1.5 / 255  # Pillow rounds to 8 bits
    both = xai.load_images([np.asarray(smooth), np.zeros((20, 20, 3), np.uint8)], side=48, crop=crop)
    assert torch.equal(both.pixels[:1], array) and not both.pixels[1].any()


def test_own_photographs_are_turned(tmp_path: Path) -> None:
    turned = Image.Exif()
    turned[0x0112] = 6
    (tmp_path / "d" / "ant").mkdir(parents=True)
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8))
    picture.save(tmp_path / "d" / "ant" / "a.png", exif=turned)
    expected = to_pixels(picture.transpose(Image.Transpose.ROTATE_270).resize((32, 32), Image.Resampling.BICUBIC))
    path = tmp_path / "d" / "ant" / "a.png"
    for source in (tmp_path / "d", path.parent, path, [path], [Image.open(path)]):
        assert torch.equal(xai.load_images(source, side=32).pixels[0], expected)


def test_shifts_of_own_images(flat: Path) -> None:
    clean = xai.load_images(flat, side=32)
    for source in (flat, clean.pixels):
        assert not torch.equal(xai.load_images(source, side=32, shift="jpeg_3").pixels, clean.pixels)
        with pytest.raises(InputError, match="unknown shift 'silhouette'"):
            xai.load_images(source, shift="silhouette")


def test_an_id_goes_before_a_folder_of_its_name(flat: Path) -> None:
    os.rename("mine", "photos")
    for source in ("./photos", "photos/", Path("photos")):
        assert len(xai.load_images(source, side=16)) == 3
    with pytest.warns(UserWarning, match=r"'pictograms' is the data set .* write '\./pictograms'"):
        os.rename("photos", "pictograms")
        assert xai.load_images("pictograms", limit=1).ids == ["test-0-00000"]
    os.rename("pictograms", "v1.photos")
    assert len(xai.load_images("v1.photos", side=16)) == 3


@pytest.mark.parametrize(
    ("source", "options", "sentence"),
    [
        ("pictogrms", {}, r"unknown data set 'pictogrms'; did you mean 'pictograms'\? \(nor is there a folder or file"),
        ("nowhere", {}, "unknown data set 'nowhere'; known: .*pictograms.*nor is there a folder or file"),
        ("no/where", {}, "no/where: there is no such file or folder"),
        ("mine/d.png", {}, r"mine/d\.png: there is no such file or folder; mine: it holds a\.png, b\.jpg"),
        ("mine/*.png", {}, "there is no such file or folder"),
        ("https://example.org/a.jpg", {}, "nothing is downloaded"),
        ("", {}, "is no path"),
        (["mine"], {}, "mine: is a folder; give load_images the folder itself"),
        ([], {}, "the list is empty"),
        (None, {}, "source: .* is needed, not NoneType"),
        (3, {}, "not int"),
        ({"mine/a.png": 0}, {}, "not dict"),
        ({"mine/a.png"}, {}, "not set"),
        (ImageBatch(TENSOR), {}, "not ImageBatch"),
        ([(TENSOR[0], 1)], {}, "image-0: .* is needed, not tuple"),
        (TENSOR * 255, {"side": 16}, r"divide by 255\?"),
        ([TENSOR[0] * 255], {"side": 16}, r"image-0: .*divide by 255\?"),
        (TENSOR.movedim(1, -1), {}, "channels last"),
        ([TENSOR[0], TENSOR[1, :, :20]], {}, r"side: the images differ in size \(32 x 20, 32 x 32\)"),
        (TENSOR, {"side": "64"}, "side: '64' is not a number of pixels"),
        (TENSOR, {"side": 4}, "side: 4 is not a number of pixels"),
        (TENSOR, {"crop": "center"}, "crop: 'center' is not known"),
        (TENSOR, {"limit": 0}, "limit: 0 is not a number of images"),
        (TENSOR, {"seed": 1.5}, "seed: 1.5 is not a whole number"),
        (TENSOR, {"split": "val"}, "take no 'split', only side, crop, limit and shift"),
        (TENSOR, {"colour": 1}, "take no 'colour'"),
        ("mine/", {"root": "mine"}, "root: 'mine' is one folder too many"),
        ("mine/", {"colour": 1}, "takes no 'colour'"),
        ("mine/", {"split": "val"}, "there is no such folder; mine: it holds a.png"),
        ([Image.new("RGB", (3000, 2))], {"crop": "centre"}, "image-0: 3000 x 2 pixels are too narrow"),
    ],
)
def test_what_cannot_be_loaded_is_one_sentence(flat: Path, source, options: dict, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        xai.load_images(source, **options)


def test_broken_files_are_named_whatever_they_came_in(flat: Path) -> None:
    (flat / "d.png").write_bytes((flat / "a.png").read_bytes()[:200])
    for source in (flat, flat / "d.png", [flat / "a.png", flat / "d.png"]):
        with pytest.raises(InputError, match=r"mine/d\.png: not a complete image file"):
            xai.load_images(source)
    with pytest.raises(InputError, match=r"image-1: cannot be read"):
        xai.load_images([Image.open(flat / "a.png"), Image.open(flat / "d.png")])


def test_a_limit_above_what_there_is_warns() -> None:
    with pytest.warns(UserWarning, match="there are 3 images; limit 5 gives all of them"):
        assert len(xai.load_images(TENSOR, limit=5)) == 3
