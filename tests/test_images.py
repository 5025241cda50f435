"""`ImageBatch`: what it takes, what it makes of it, and what it refuses, in one sentence each."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import xailib as xai
from xailib.datasets.corruptions import corrupt
from xailib.errors import InputError
from xailib.images import ImageBatch, box_masks, tight_box
from xailib.models.model import Model

SIDE = 32
PIXELS = torch.rand(2, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
BOX = torch.tensor([[4.0, 6, 20, 24]])
EIGHT = (PIXELS * 255).byte()


def batch(**changes) -> ImageBatch:
    """Two images with a box each, but for the changes."""
    return ImageBatch(
        **{"pixels": PIXELS, "labels": torch.tensor([0, 1]), "boxes": [BOX, BOX], "ids": ["u", "v"], **changes}
    )


def same(found: torch.Tensor, expected: torch.Tensor) -> bool:
    return found.dtype == torch.float32 and torch.equal(found, expected)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (PIXELS, PIXELS),
        (PIXELS.clone().requires_grad_(), PIXELS),
        (nn.Parameter(PIXELS), PIXELS),
        (PIXELS.double(), PIXELS),
        (PIXELS.half(), PIXELS.half().float()),
        (PIXELS.bfloat16(), PIXELS.bfloat16().float()),
        (PIXELS.numpy(), PIXELS),
        (PIXELS.numpy().astype(">f4"), PIXELS),
        (PIXELS.movedim(1, -1).numpy(), PIXELS),
        (PIXELS.flip(1).movedim(1, -1).numpy()[..., ::-1], PIXELS),
        (list(PIXELS), PIXELS),
        (PIXELS.tolist(), PIXELS),
        (EIGHT, EIGHT.float() / 255),
        ([Image.fromarray(image.movedim(0, -1).numpy()) for image in EIGHT], EIGHT.float() / 255),
        ([image.movedim(0, -1).numpy() for image in EIGHT], EIGHT.float() / 255),
        (PIXELS[:, :1], PIXELS[:, :1].repeat(1, 3, 1, 1)),
        (PIXELS[:, :, :20] > 0.5, (PIXELS[:, :, :20] > 0.5).float()),
    ],
)
def test_pixels_of_any_type_become_float32_in_rgb(given, expected):
    images = ImageBatch(given)
    assert same(images.pixels, expected) and not images.pixels.requires_grad
    assert images.pixels.is_leaf


@pytest.mark.parametrize("mode", ["RGBA", "RGBa", "LA", "La", "P", "PA"])
def test_alpha_is_laid_on_white_in_every_mode_that_has_it(mode):
    image = Image.new("RGBA", (8, 8), (100, 100, 100, 51))  # a fifth
    image = image.quantize() if mode[0] == "P" else image.convert(mode if mode[0] == "R" else "LA")
    image = image.convert(mode) if image.mode != mode else image
    assert (ImageBatch([image]).pixels * 255 - 224).abs().max() < 3, "51 of 255 of 100, the rest white"


def test_what_rounding_takes_past_the_ends_is_cut_for_all_that_need_the_range():
    given = torch.full((1, 3, 8, 8), 0.5)
    given[0, 0, 0, :2] = torch.tensor([-5e-5, 1 + 5e-5])
    images = ImageBatch(given)
    assert images.pixels[0, 0, 0, :2].tolist() == [0, 1] and given.min() < 0
    assert torch.isfinite(corrupt(images, "shot_noise/3").pixels).all(), "a photon count is never negative"


def test_float32_is_not_copied():
    assert ImageBatch(PIXELS).pixels.data_ptr() == PIXELS.data_ptr()


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (PIXELS * 255, r"pixels: floats in \[0, 1\] are needed, found .* to 25.*; divide by 255\?"),
        ((PIXELS - 0.5) / 0.2, "normalised already"),
        (PIXELS * 1e4, "scale them"),
        (PIXELS.clone().index_fill_(3, torch.tensor(3), float("nan")), "they hold NaN or infinity"),
        (PIXELS / 0, "they hold NaN or infinity"),
        ([PIXELS[0], PIXELS[1] * 255], r"image 1: .* divide by 255\?"),
        (PIXELS.movedim(1, -1), "has its channels last"),
        (torch.rand(2, 4, SIDE, SIDE), "has four channels"),
        (np.random.rand(2, SIDE, SIDE, 4), "has four channels"),
        (np.random.rand(1, SIDE, 3), "either end .* may be the channels"),  # a row in colour, or a grey strip
        (np.random.rand(2, 3, SIDE, 1), "either end .* may be the channels"),
        (torch.rand(2, 5, SIDE, SIDE), "three channels"),
        (PIXELS[:, 0], "three channels"),
        (PIXELS[:, :, :0], "at least one pixel"),
        (EIGHT.long(), "int64 is no type of pixels"),
        (EIGHT.numpy().astype(np.uint16), "uint16 is no type of pixels"),
        ((PIXELS > 0.5).byte(), "uint8 counts from 0 to 255"),
        (PIXELS + 0j, "complex64 is no type"),
        (PIXELS.to_sparse(), "dense tensor"),
        (PIXELS.to("meta"), "dense tensor"),
        ([Image.new("L", (8, 8)), Image.new("L", (9, 8))], r"differ in size \(8 x 8, 9 x 8\)"),
        (["a.png", "b.png"], r"'a\.png' is a path; load_images\(\) reads files"),
        ("a.png", "is a path"),
        (None, "not NoneType"),
        (np.array(["a", "b"]), "not ndarray"),
    ],
)
def test_what_is_no_picture_is_refused(given, sentence):
    with pytest.raises(InputError, match=sentence):
        ImageBatch(given)


def test_images_alone_have_no_labels_no_boxes_and_names_by_number():
    images = ImageBatch(PIXELS)
    assert not images.has_labels and images.labels.tolist() == [-1, -1] and images.class_names is None
    assert [len(boxes) for boxes in images.boxes] == [0, 0] and not images.masks.any()
    assert images.ids == ["image-0", "image-1"]
    named = replace(images, labels=[1, 0], class_names=["ant", "bee"])
    assert named.has_labels and named.class_names == ["ant", "bee"]
    assert named.select([1]).class_names == ["ant", "bee"] and not images.select([1]).has_labels


@pytest.mark.parametrize(
    "given",
    [[0, 1], (0, 1), range(2), np.array([0, 1]), np.array([0, 1], np.uint64), torch.tensor([0, 1], dtype=torch.uint8),
     torch.tensor([0, 1], dtype=torch.int32), [torch.tensor(0), torch.tensor(1)]],
)  # fmt: skip
def test_labels_become_int64(given):
    labels = batch(labels=given).labels
    assert labels.dtype == torch.int64 and labels.tolist() == [0, 1]


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (torch.eye(2), r"use labels\.argmax\(1\), if these are one-hot"),
        (np.eye(2, dtype=int), "one-hot"),
        (torch.tensor([[0], [1]]), r"use labels\.flatten\(\)"),
        ([0.0, 1.0], "whole numbers are needed"),
        ([0, float("nan")], "whole numbers are needed"),
        (["ant", "bee"], "names of classes go to class_names"),
        ([None, 1], "one whole number an image"),
        ([-2, 1], "-2 is no class"),
        ([-1, 1], "None where no image has a label"),
        ([0, 2], "2 is no class; class_names has 2, so use 0 to 1"),
        ([0, 1, 1], "2 images needs 2 labels"),
        (1, "2 images needs 2 labels"),
        ([10**30, 0], "one whole number an image"),
    ],
)
def test_what_is_no_label_is_refused(given, sentence):
    with pytest.raises(InputError, match=sentence):
        batch(labels=given, class_names=["ant", "bee"])


@pytest.mark.parametrize(
    "given",
    [[[[4, 6, 20, 24]]] * 2, [[4, 6, 20, 24]] * 2, np.array([[4, 6, 20, 24]] * 2), torch.tensor([[[4, 6, 20, 24]]] * 2),
     [np.array([[4.0, 6, 20, 24]])] * 2, [BOX.double().requires_grad_()] * 2, [[torch.tensor([4, 6, 20, 24])]] * 2],
)  # fmt: skip
def test_boxes_of_any_type_become_float32_rows(given):
    images = batch(boxes=given)
    assert all(same(boxes, BOX) for boxes in images.boxes)
    assert torch.equal(images.masks, box_masks([BOX, BOX], SIDE, SIDE))


def test_an_image_may_have_no_box_and_boxes_may_end_at_the_edge():
    images = batch(boxes=[None, [[0, 0, SIDE + 1e-4, SIDE]]])
    assert [boxes.shape for boxes in images.boxes] == [(0, 4), (1, 4)]
    assert images.masks[1].all()


@pytest.mark.parametrize(
    ("box", "sentence"),
    [
        ([8, 8, 8, 16], r"\(8, 8, 8, 16\) of 'v' has no area"),
        ([16, 16, 8, 8], "has no area; x1 < x2 and y1 < y2 are needed .*not x, y, width, height"),
        ([4, 8, 3, 16], "has no area"),
        ([40, 40, 60, 60], "is not inside the image of 32 x 32 pixels"),
        ([4, 4, 20, 33], "is not inside the image"),
        ([-1, 4, 20, 30], "is not inside the image"),
        ([4, float("nan"), 20, 30], "is not finite"),
        ([4, 4, float("inf"), 30], "is not finite"),
        ([4, 4, 20], "rows of four numbers"),
        ([[4, 4, 20, 20, 1]], "rows of four numbers"),
        ([[4, 4, 20, 20], [1, 2]], "rows of four numbers"),
        ([{"bbox": [4, 4, 20, 20]}], "rows of four numbers"),
        (["a", "b", "c", "d"], "rows of four numbers"),
    ],
)
def test_what_is_no_box_is_refused(box, sentence):
    with pytest.raises(InputError, match=sentence):
        batch(boxes=[BOX, box])


def test_shares_of_the_sides_are_no_boxes():
    with pytest.raises(InputError, match=r"lies within 0 and 1: shares of the sides\?"):
        batch(boxes=[[0.1, 0.2, 0.5, 0.6], [0, 0, 1, 1]])
    assert batch(boxes=[[0, 0, 1, 1], [0, 0, 9, 9]]).masks.sum(dim=(1, 2)).tolist() == [1, 81]


@pytest.mark.parametrize(("given", "found"), [([BOX], "not 1"), ([4, 6, 20, 24], "not 4"), ({"u": BOX}, "not dict")])
def test_boxes_of_another_number_are_refused(given, found):
    with pytest.raises(InputError, match=found):
        batch(boxes=given)


@pytest.mark.parametrize("scale", [1, 255])
@pytest.mark.parametrize("kind", [torch.bool, torch.uint8, torch.float32])
def test_masks_of_zeros_and_ones_become_bool(kind, scale):
    masks = torch.zeros(2, SIDE, SIDE, dtype=kind)
    masks[:, 6:24, 4:20] = scale
    for given in (masks, masks.numpy(), list(masks), masks[:, None]):
        images = batch(masks=given, boxes=None)
        assert images.masks.dtype == torch.bool and torch.equal(images.masks, box_masks([BOX, BOX], SIDE, SIDE))
        assert all(torch.equal(boxes, BOX) for boxes in images.boxes)  # tight around the masks


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (torch.ones(2, 16, 16), r"\(2, 16, 16\) does not fit the images; use \(2, 32, 32\)"),
        (torch.ones(3, SIDE, SIDE), "does not fit"),
        (torch.ones(SIDE, SIDE), "does not fit"),
        (torch.rand(2, SIDE, SIDE), "use masks > 0.5"),
        (torch.full((2, SIDE, SIDE), float("nan")), "use masks > 0.5"),
        ("masks.png", "a bool tensor"),
    ],
)
def test_what_is_no_mask_is_refused(given, sentence):
    with pytest.raises(InputError, match=sentence):
        batch(masks=given)


@pytest.mark.parametrize(
    ("given", "expected"),
    [(range(2), ["0", "1"]), (np.array(["a", "b"]), ["a", "b"]), (torch.arange(2), ["0", "1"]), ([b"a", b"b"], ["a", "b"]),
     (np.array([b"a", b"b"]), ["a", "b"]), ([b"\xff", "\u00ff".encode()], ["\\xff", "\u00ff"]),
     ([Path("a/b"), Path("c")], ["a/b", "c"])],
)  # fmt: skip
def test_ids_become_text(given, expected):
    assert batch(ids=given).ids == expected


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (["a", "a"], "'a' occurs more than once"),
        ([1, "1"], "'1' occurs more than once"),
        (["a"], "not 1"),
        ("uv", "not str"),
    ],
)
def test_wrong_ids_are_refused(given, sentence):
    with pytest.raises(InputError, match=sentence):
        batch(ids=given)


def test_other_pixels_must_have_the_same_size():
    assert same(batch().with_pixels(1 - PIXELS).pixels, 1 - PIXELS)
    with pytest.raises(InputError, match=r"does not fit the images; use \(2, 64, 64\)"):
        batch().with_pixels(torch.rand(2, 3, 64, 64))
    with pytest.raises(InputError, match="divide by 255"):
        batch().with_pixels(PIXELS * 255)


def test_images_are_chosen_by_number_or_by_a_mask():
    assert batch().select([1, 0]).ids == ["v", "u"]
    assert batch().select([False, True]).ids == batch().select(np.array([False, True])).ids == ["v"]
    with pytest.raises(InputError, match="a choice of 2 images is needed"):
        batch().select([True, False, True])
    assert batch().select([-1]).ids == ["v"] and len(batch().select([])) == 0 and batch().select(range(1)).ids == ["u"]


@pytest.mark.parametrize("indices", [[0.7], 1, [2], [-3], ["u"], [[0], [1]], None, np.array([0.0, 1.0])])
def test_what_are_no_places_of_images_is_refused(indices):
    with pytest.raises(InputError, match="indices: a list of places from 0 to 1 is needed, not "):
        batch().select(indices)


def test_tight_box_and_masks_fit_each_other():
    assert torch.equal(tight_box(box_masks([BOX], SIDE, SIDE)[0]), BOX)
    assert tight_box(torch.zeros(8, 8, dtype=torch.bool)).shape == (0, 4)
    mask = box_masks([torch.tensor([[3.6, 5.7, 4.4, 6.3]])], 8, 8)[0]  # no centre of a pixel lies inside
    assert mask.nonzero().tolist() == [[6, 4]]


@pytest.fixture
def toy() -> Model:
    network = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 2))
    return Model(
        network, id="toy", architecture="toy", training_algorithm="vanilla", input_size=SIDE, class_names=["a", "b"]
    )


def test_both_localisation_metrics_are_nan_for_the_same_images(toy):
    """Without a box, and for a constant map; never for a box that is smaller than a pixel."""
    pixels = torch.rand(8, 3, SIDE, SIDE)
    boxes = [[], None, [[3.6, 5.7, 4.4, 6.3]], [[0, 0, 32, 32]], [[1, 1, 2, 2]], BOX, BOX, BOX]
    images = ImageBatch(pixels, [0] * 8, boxes)
    maps = pixels.mean(1)
    maps[3] = 0.5
    scores = [
        xai.evaluate(metric, maps, toy, images)["value"].isna().tolist() for metric in ("pointing_game", "localisation")
    ]
    assert scores[0] == scores[1] == [True, True, False, True, False, False, False, False]
