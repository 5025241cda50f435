"""The renderer is a pure function, its masks and boxes are exact, and no split sees another's photographs."""

import numpy as np
import pytest
import torch

import xailib as xai
from xailib.datasets.renderer import CLASS_NAMES, PHOTOGRAPHS, Picture, photographs, render, shrink
from xailib.errors import InputError


def test_same_seed_and_index_give_the_same_picture_in_any_order() -> None:
    forward = [render(3, "test", i).pixels for i in range(6)]
    backward = [render(3, "test", i).pixels for i in reversed(range(6))][::-1]
    assert all(np.array_equal(a, b) for a, b in zip(forward, backward, strict=True))
    assert not np.array_equal(forward[0], render(4, "test", 0).pixels)
    assert not np.array_equal(forward[0], render(3, "train", 0).pixels)


def test_batch_has_the_promised_shapes_and_ranges() -> None:
    images = xai.load_images("pictograms", split="test", limit=24)
    assert images.pixels.shape == (24, 3, 64, 64) and images.pixels.dtype == torch.float32
    assert images.pixels.min() >= 0 and images.pixels.max() <= 1
    assert images.labels.tolist() == [i % 12 for i in range(24)]
    assert len(set(images.ids)) == 24 and len(CLASS_NAMES) == 12


def test_a_smaller_limit_is_a_prefix() -> None:
    few, many = (xai.load_images("pictograms", limit=n) for n in (3, 7))
    assert torch.equal(few.pixels, many.pixels[:3]) and few.ids == many.ids[:3]


def test_boxes_are_tight_around_the_masks() -> None:
    images = xai.load_images("pictograms", limit=12)
    for mask, boxes in zip(images.masks, images.boxes, strict=True):
        x1, y1, x2, y2 = boxes[0].int().tolist()
        assert mask[y1:y2, x1:x2].sum() == mask.sum()
        assert mask[y1, x1:x2].any() and mask[y2 - 1, x1:x2].any()
        assert mask[y1:y2, x1].any() and mask[y1:y2, x2 - 1].any()


@pytest.mark.parametrize("side", [32, 16])
def test_smaller_pictures_are_averages_with_masks_and_tight_boxes(side: int) -> None:
    large, images = (xai.load_images("pictograms", limit=24, side=size) for size in (64, side))
    squares = (24, 3, side, 64 // side, side, 64 // side)
    mean = large.pixels.reshape(squares).mean(dim=(3, 5))
    assert images.pixels.shape == (24, 3, side, side) and (images.pixels - mean).abs().max() <= 0.5 / 255 + 1e-6
    levels = images.pixels * 255
    assert (levels - levels.round()).abs().max() < 1e-3
    cover = large.masks.reshape(24, side, 64 // side, side, 64 // side).float().mean(dim=(2, 4))
    for mask, boxes, share in zip(images.masks, images.boxes, cover, strict=True):
        assert torch.equal(mask, share >= 0.5) and mask.any()
        x1, y1, x2, y2 = boxes[0].int().tolist()
        assert mask[y1:y2, x1:x2].sum() == mask.sum() and mask[y1].any() and mask[y2 - 1].any()
        assert mask[:, x1].any() and mask[:, x2 - 1].any()


def test_a_mask_is_never_empty_however_thin_the_object() -> None:
    thin = np.zeros((64, 64), dtype=bool)
    thin[:, 9] = thin[9, 10] = True
    picture = Picture(np.zeros((64, 64, 3), dtype=np.uint8), thin)
    assert np.argwhere(shrink(picture, 32).mask).tolist() == [[y, 4] for y in range(32)]
    assert np.argwhere(shrink(picture, 16).mask).tolist() == [[2, 2]]


def test_silhouette_shows_exactly_the_mask() -> None:
    images = xai.load_images("pictograms", limit=12, shift="silhouette")
    dark = images.pixels.mean(dim=1) < 0.5
    assert (dark == images.masks).float().mean() > 0.999


@pytest.mark.parametrize("shift", ["silhouette", "outline", "unseen_photographs", "texture_swap"])
def test_drawn_shifts_keep_object_and_label_but_change_pixels(shift: str) -> None:
    clean, shifted = xai.load_images("pictograms", limit=6), xai.load_images("pictograms", limit=6, shift=shift)
    assert torch.equal(clean.masks, shifted.masks) and torch.equal(clean.labels, shifted.labels)
    assert (clean.pixels - shifted.pixels).abs().mean() > 0.05


def test_object_stands_out_from_what_lies_behind_it() -> None:
    images = xai.load_images("pictograms", limit=48)
    luma = (images.pixels * torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)).sum(1)
    inside = torch.stack([value[mask].mean() for value, mask in zip(luma, images.masks, strict=True)])
    outside = torch.stack([value[~mask].mean() for value, mask in zip(luma, images.masks, strict=True)])
    assert (inside - outside).abs().mean() > 0.2


def test_no_photograph_serves_two_splits() -> None:
    names = [name for group in PHOTOGRAPHS.values() for name in group]
    assert len(names) == len(set(names))
    arrays = {split: photographs(split) for split in PHOTOGRAPHS}
    test, train = arrays["test"], arrays["train"]
    assert all(a.shape != b.shape or not np.array_equal(a, b) for a in test for b in train)


def test_unknown_split_is_refused_with_the_nearest() -> None:
    with pytest.raises(InputError, match="did you mean 'test'"):
        xai.load_images("pictograms", split="tests")


def test_fewer_classes_larger_objects_and_less_turning() -> None:
    images = xai.load_images("pictograms", limit=12, classes=3, smallest=0.6, largest=0.7, turn=0.0)
    assert images.labels.tolist() == [0, 1, 2] * 4
    sides = torch.stack([(box[0, 2:] - box[0, :2]).max() for box in images.boxes]) / 64
    assert (sides > 0.55).all() and (sides < 0.72).all()
    heights = torch.stack([(box[0, 3] - box[0, 1]) / (box[0, 2] - box[0, 0]) for box in images.boxes]).view(4, 3)
    assert (heights.std(dim=0) < 0.06).all()  # without turning, a class keeps its proportions


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"classes": 1}, "classes"),
        ({"classes": 13}, "classes"),
        ({"classes": 3.0}, "classes: 3.0 is not a whole number"),
        ({"class_by": "colour", "classes": 12}, "classes: 12 is not a whole number from 2 to the 6 colours"),
        ({"class_by": "size"}, "class_by"),
        ({"smallest": 0.8}, "smallest"),
        ({"turn": -1.0}, "turn"),
        ({"contrast": [0.3, 0.2]}, "contrast"),
        ({"contrast": [0.3]}, "option contrast must be a list of 2 or more"),
        ({"contrast": 0.3}, "option contrast must be a list, not 0.3"),
        ({"turn": "x"}, "option turn must be a number, not 'x'"),
        ({"distractor": 1.0}, "distractor"),
        ({"distractor": 0.6, "largest": 0.5}, "distractor: 0.6 is no share from 0 to 1 that leaves room"),
        ({"symbol": "distractor"}, "symbol"),
        ({"off_centre": 0.2}, "off_centre: 0.2 is no share from 0 to the 0.12 that an object of 0.72 leaves"),
    ],
)
def test_layouts_out_of_range_are_refused(options: dict[str, float], word: str) -> None:
    with pytest.raises(InputError, match=word):
        xai.load_images("pictograms", limit=1, **options)


def test_a_class_may_be_a_colour_that_any_symbol_has() -> None:
    """Hues of what the mask holds are those of the class; its pixels are those of another symbol as often as not."""
    images = xai.load_images("pictograms", limit=120, classes=6, class_by="colour")
    assert images.class_names == ["red", "yellow", "green", "cyan", "blue", "magenta"]
    colour = torch.stack([pixels[:, mask].mean(1) for pixels, mask in zip(images.pixels, images.masks, strict=True)])
    corners = torch.tensor([[1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 1, 1], [0, 0, 1], [1, 0, 1]], dtype=torch.float)
    colour, corners = (rgb - rgb.mean(1, keepdim=True) for rgb in (colour, corners))
    nearest = (torch.nn.functional.normalize(colour) @ torch.nn.functional.normalize(corners).T).argmax(1)
    assert (nearest == images.labels).float().mean() > 0.95
    areas = images.masks.float().mean((1, 2)).view(20, 6)
    shapes = xai.load_images("pictograms", limit=120, classes=6).masks.float().mean((1, 2)).view(20, 6)
    assert areas.mean(0).std() < 0.5 * shapes.mean(0).std()  # where it is tells nothing of the class


HARD = {"smallest": 0.25, "largest": 0.42, "contrast": (0.12, 0.28), "off_centre": 0.2, "distractor": 0.6}


def test_objects_away_from_the_centre_leave_it_free() -> None:
    images = xai.load_images("pictograms", limit=48, **HARD)
    boxes = torch.stack([box[0] for box in images.boxes])
    middles = (boxes[:, :2] + boxes[:, 2:]) / 2
    assert ((middles - 32).abs().amax(dim=1) > 0.2 * 64 - 2).all()
    assert not images.masks[:, 32, 32].any()
    anywhere = xai.load_images("pictograms", limit=48, **{**HARD, "off_centre": 0.0})
    assert anywhere.masks[:, 24:40, 24:40].any(dim=(1, 2)).float().mean() > 0.3


def test_fainter_objects_differ_less_from_what_lies_behind_them() -> None:
    """By the same pictures: luminance under the object with it and, as its twin of other contrast shows, without it."""
    faint, bold = (
        xai.load_images("pictograms", limit=48, **{**HARD, "contrast": (least, least)}) for least in (0.1, 0.4)
    )
    assert torch.equal(faint.masks, bold.masks)
    luma = torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)
    change = ((faint.pixels - bold.pixels) * luma).sum(1).abs()
    inside = torch.stack([value[mask].mean() for value, mask in zip(change, bold.masks, strict=True)])
    assert 0.2 < inside.mean() < 0.35


def test_a_distractor_is_a_smaller_symbol_of_another_class_beside_the_object() -> None:
    images, others = (xai.load_images("pictograms", limit=48, **HARD, symbol=name) for name in ("object", "distractor"))
    assert torch.equal(images.pixels, others.pixels) and images.ids == others.ids
    assert (images.labels != others.labels).all() and len(set(others.labels.tolist())) == 12
    assert not (images.masks & others.masks).any() and others.masks.any(dim=(1, 2)).all()
    sides = [torch.stack([(box[0, 2:] - box[0, :2]).max() for box in batch.boxes]) for batch in (images, others)]
    assert (sides[1] < sides[0]).all() and 0.5 < (sides[1] / sides[0]).mean() < 0.7


def test_silhouettes_show_both_symbols_and_nothing_else() -> None:
    options = {"limit": 24, "shift": "silhouette", **HARD}
    images, others = (xai.load_images("pictograms", **options, symbol=name) for name in ("object", "distractor"))
    dark = images.pixels.mean(dim=1) < 0.5
    assert (dark == (images.masks | others.masks)).float().mean() > 0.999


@pytest.mark.parametrize("shift", ["silhouette", "outline", "unseen_photographs", "texture_swap"])
def test_shifts_of_hard_pictograms_keep_both_symbols(shift: str) -> None:
    for symbol in ("object", "distractor"):
        clean, shifted = (
            xai.load_images("pictograms", limit=6, **HARD, symbol=symbol, shift=style) for style in (None, shift)
        )
        assert torch.equal(clean.masks, shifted.masks) and torch.equal(clean.labels, shifted.labels)
