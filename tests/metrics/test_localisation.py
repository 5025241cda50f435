"""WSL localisation on planted maps, against wsolevaluation's expectations, and its cross-fitted threshold."""

import time

import numpy as np
import pytest
import torch
from scipy import ndimage

import xailib as xai
from xailib.errors import InputError
from xailib.metrics.localisation import BoxRule, boxes_by_threshold, halves, iou, ious_by_threshold

SIDE = 32
BOTH = ["value_largest", "value_extent"]
BOX = [4.0, 12.0, 14.0, 28.0]  # off the diagonal


@pytest.fixture
def score(batch, evidence):
    model = evidence(torch.full((SIDE, SIDE), 1 / SIDE**2))

    def run(maps, boxes=None, **options):
        images = batch(torch.rand(len(maps), 3, *maps.shape[1:]), boxes or [[BOX]] * len(maps))
        return xai.evaluate("localisation", maps, model, images, **options)

    return run


def filled(box: list[float], value: float = 1.0) -> torch.Tensor:
    x1, y1, x2, y2 = map(int, box)
    map_ = torch.zeros(SIDE, SIDE)
    map_[y1:y2, x1:x2] = value
    return map_


def test_planted_maps(score):
    swapped = filled([BOX[1], BOX[0], BOX[3], BOX[2]])
    shifted = filled([BOX[0] + 5, BOX[1], BOX[2] + 5, BOX[3]])
    frame = score(torch.stack([filled(BOX), filled(BOX), 1 - filled(BOX), swapped, shifted, filled(BOX)]))
    assert list(frame.columns) == ["image", "metric", "value", "iou", "threshold", "max_box_acc", *BOTH]
    assert frame["value"].tolist() == [1, 1, 0, 0, 0, 1]
    # The inverted map's box is the whole image, the swapped one's shares 2 x 2 pixels, the shifted one's a half.
    assert frame["iou"].tolist() == pytest.approx([1, 1, 160 / 1024, 4 / 316, 80 / 240, 1])
    assert frame["max_box_acc"].tolist() == frame["value"].tolist()
    assert (frame["threshold"] == 0).all()


def test_constant_maps_and_images_without_boxes_are_nan(score):
    maps = torch.stack([torch.zeros(SIDE, SIDE), filled(BOX), filled(BOX), filled(BOX), filled(BOX)])
    frame = score(maps, boxes=[[BOX], [], [BOX], [BOX], [BOX]])
    assert frame[["value", "iou", "threshold", "max_box_acc"]][:2].isna().all().all()
    assert (frame["max_box_acc"][2:] == 1).all()


def test_any_of_two_boxes_counts(score):
    frame = score(torch.stack([filled(BOX)] * 4), boxes=[[[20, 0, 30, 6], BOX]] * 4)
    assert (frame["value"] == 1).all()


def test_the_box_rule_decides_between_the_largest_component_all_pixels_and_the_best_fitting_one(score):
    maps = torch.stack([filled(BOX) + filled([18, 0, 32, 12])] * 2)  # the larger block is beside the object
    scores = {rule: score(maps, box=rule, threshold=0.5)["iou"][0] for rule in ("largest", "extent", "any")}
    assert scores == pytest.approx({"largest": 0, "extent": 160 / (28 * 28), "any": 1})


@pytest.mark.parametrize("threshold", [None, 0.5])
def test_both_boxes_are_scored_beside_each_other_as_each_alone(score, threshold):
    specks = torch.zeros(SIDE, SIDE)
    specks[12:28:5, 4:14:9] = 1  # the object's corners and sides: their extent fits, none of them does
    specks[27, 13] = 0.9
    rng = np.random.default_rng(0)
    noise = [torch.from_numpy(ndimage.gaussian_filter(rng.random((SIDE, SIDE)), 2)).float() for _ in range(6)]
    maps = torch.stack([specks, specks, *noise, filled(BOX), specks])
    alone = {box: score(maps, box=box, threshold=threshold)["value"] for box in ("largest", "extent")}
    for box in ("largest", "extent", "any"):
        found = score(maps, box=box, threshold=threshold)
        for name, values in alone.items():
            np.testing.assert_array_equal(found[f"value_{name}"], values)
    assert alone["extent"][0] == 1 and alone["largest"][0] == 0


def test_wsolevaluation_multimodal_example():
    """The reference's own expectation; its x2, y2 are exclusive but clipped to the last pixel."""
    map_ = np.array(
        [[0.4, 0.0, 0.2, 0.2, 0.2], [0.4, 0.4, 0.0, 0.4, 0.0], [0.0, 0.0, 0.0, 0.4, 0.0], [1.0, 0.6, 0.8, 0.2, 0.2]],
        np.float32,
    )
    grid = np.arange(5) / 5
    boxes, _ = boxes_by_threshold(map_, grid, BoxRule(largest_by="contour"))
    expected = [[0, 0, 4, 3], [0, 0, 2, 2], [0, 3, 3, 3], [2, 3, 3, 3], [0, 3, 1, 3]]
    assert np.minimum(boxes, [4, 3, 4, 3]).tolist() == expected
    by_pixels, _ = boxes_by_threshold(map_, grid, BoxRule())
    assert by_pixels[1].tolist() == [0, 1, 4, 4]  # five pixels in a bent line beat a triangle of three


def test_contours_are_those_of_opencv():
    """wsolevaluation's own three lines: the largest of `findContours`, within which holes and what lies in them count."""
    cv2 = pytest.importorskip("cv2")
    rng = np.random.default_rng(0)
    ring = np.zeros((SIDE, SIDE))
    ring[2:16, 2:16], ring[3:15, 3:15], ring[18:28, 18:28] = 1, 0, 1  # more area within the ring, more pixels beside it
    noise = [ndimage.gaussian_filter(rng.random((SIDE, SIDE)), sigma) for sigma in (0.0, 0.5, 0.5, 1.0, 1.0, 2.0)]
    grid, rule, holes = np.arange(10) / 10, BoxRule(largest_by="contour"), 0
    for map_ in [ring, *noise]:
        scaled = ((map_ - map_.min()) / np.ptp(map_)).astype(np.float32)
        boxes, _ = boxes_by_threshold(scaled, grid, rule)
        for box, threshold in zip(boxes, grid.astype(np.float32), strict=True):
            above = (scaled > threshold).astype(np.uint8)
            found, tree = cv2.findContours(above, cv2.RETR_TREE, cv2.CHAIN_APPROX_SIMPLE)[-2:]
            x, y, width, height = cv2.boundingRect(max(found, key=cv2.contourArea))
            assert box.tolist() == [x, y, x + width, y + height]
            holes += (tree[0, :, 3] >= 0).any()
    assert holes > 30 and boxes_by_threshold(ring.astype(np.float32), grid, rule)[0][0].tolist() == [2, 2, 16, 16]


def test_wsolevaluation_unimodal_example():
    map_ = np.array(
        [[0, 0, 0, 0, 0], [0, 0.4, 0.4, 0.4, 0.6], [0, 0.4, 1, 0.8, 0.6], [0, 0.4, 0.4, 0.4, 0.6]], np.float32
    )
    grid = np.arange(5) / 5
    for rule in (BoxRule(), BoxRule(largest_by="contour"), BoxRule(box="extent")):
        boxes, _ = boxes_by_threshold(map_, grid, rule)
        assert np.minimum(boxes, [4, 3, 4, 3]).tolist() == [
            [1, 1, 4, 3],
            [1, 1, 4, 3],
            [2, 1, 4, 3],
            [2, 2, 4, 3],
            [2, 2, 3, 3],
        ]


def test_iou_of_the_reference():
    """wsolevaluation expects 8/27 for boxes with inclusive ends (1, 2, 5, 6) and (3, 1, 4, 5)."""
    assert iou(np.array([[1, 2, 6, 7]]), np.array([[3, 1, 5, 6]])).item() == pytest.approx(8 / 27)


@pytest.mark.parametrize("connectivity", [4, 8])
def test_agrees_with_one_labelling_per_threshold(connectivity):
    """Every rule against a plain loop with skimage's labels, on smooth and on noisy maps."""
    measure = pytest.importorskip("skimage.measure")
    rng = np.random.default_rng(0)
    grid = np.arange(20) / 20
    truth = np.array([BOX, [0.0, 0.0, 9.5, 7.0]])
    noise = rng.normal(size=(2, SIDE, SIDE))
    maps = [noise[0], ndimage.gaussian_filter(noise[1], 2), rng.integers(0, 4, (SIDE, SIDE))]
    maps = np.array(maps, dtype=np.float32)
    for box in ("largest", "extent", "any"):
        found = ious_by_threshold(maps, [truth] * len(maps), grid, BoxRule(box=box, connectivity=connectivity))
        for row, map_ in zip(found, maps, strict=True):
            scaled = (map_ - map_.min()) / (map_.max() - map_.min())
            for value, threshold in zip(row, grid, strict=True):
                labels = measure.label(scaled > threshold, connectivity=1 if connectivity == 4 else 2)
                regions = measure.regionprops(labels if box != "extent" else (labels > 0).astype(int))
                if box == "largest":
                    regions = [max(regions, key=lambda region: (region.area, region.label))]
                boxes = np.array([[r.bbox[1], r.bbox[0], r.bbox[3], r.bbox[2]] for r in regions])
                assert value == pytest.approx(iou(boxes, truth).max())


def test_the_threshold_is_tuned_on_the_other_half(score):
    """Maps of one half fit at a low threshold only, those of the other at a high one only: tuned across, all miss."""
    n = 8
    half = halves([f"image {i}" for i in range(n)])
    low = filled(BOX, 0.2) + filled([6, 14, 8, 16], 0.8)  # the box above 0, a speck above 0.2
    high = filled([0, 0, 32, 32], 0.6) + filled(BOX, 0.4)  # everything above 0, the box above 0.6
    high[0, 0] = 0
    frame = score(torch.stack([low if fold == 0 else high for fold in half]))
    assert (frame["value"] == 0).all()
    assert frame["threshold"][half == 0].between(0.59, 1).all() and (frame["threshold"][half == 1] < 0.2).all()
    assert frame["max_box_acc"].sum() == n / 2  # one threshold for all fits one half
    assert score(torch.stack([low] * n))["value"].eq(1).all()


def test_a_fixed_threshold_needs_no_other_half(score):
    one = filled(BOX)[None]
    assert score(one)[["value", "iou", "threshold"]].isna().all().all() and score(one)["max_box_acc"].item() == 1
    assert score(one, threshold=0.35)[["value", "iou", "threshold"]].values.tolist() == [[1, 1, 0.35]]


def test_halves_belong_to_the_ids():
    ids = [f"photo_{i}" for i in range(101)]
    half = halves(ids)
    assert sorted([(half == 0).sum(), (half == 1).sum()]) == [50, 51]
    order = np.random.default_rng(0).permutation(101)
    assert (halves([ids[i] for i in order]) == half[order]).all()


def test_scale_and_offset_of_a_map_do_not_matter(score):
    maps = torch.rand(6, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    expected = score(maps)
    for changed in (maps * 1e-9, maps * 1e30, maps * 3 - 7):
        assert np.allclose(score(changed)["iou"], expected["iou"], atol=0.05)


def test_random_maps_rarely_hit_and_true_masks_always_do(score):
    maps = torch.rand(40, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    assert score(maps)["value"].mean() <= 0.1
    assert score(filled(BOX).expand(40, -1, -1))["value"].mean() == 1


def test_a_hundred_thresholds_are_fast(score):
    maps = torch.randn(32, 64, 64, generator=torch.Generator().manual_seed(0))
    began = time.process_time()
    score(maps, boxes=[[BOX]] * 32)
    assert time.process_time() - began < 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"thresholds": 0}, "thresholds must be at least 1, not 0"),
        ({"threshold": 1.0}, "threshold must be below 1, not 1.0"),
        ({"min_iou": 50}, "min_iou must be at most 1, not 50"),
        ({"connectivity": 6}, "connectivity must be one of 4, 8, not 6"),
        ({"box": "biggest"}, "box must be one of largest, extent, any, not 'biggest'"),
        ({"thresholds": 10.5}, "thresholds must be a whole number, not 10.5"),
    ],
)
def test_bad_options_are_named(score, options, message):
    with pytest.raises(InputError, match=message):
        score(filled(BOX)[None], **options)
