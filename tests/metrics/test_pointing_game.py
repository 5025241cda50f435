"""The pointing game on planted maps, against TorchRay's rule, and at chance."""

import math

import numpy as np
import pytest
import torch

import xailib as xai
from xailib.errors import InputError

SIDE = 64
VALUES = ["value_original", "value_input", "value_mask"]
BOX = [10.0, 30.0, 20.0, 50.0]  # x 10..19, y 30..49: off the diagonal, so that swapped axes miss


def point(y: int, x: int, side: int = SIDE) -> torch.Tensor:
    map_ = torch.zeros(1, side, side)
    map_[0, y, x] = 1
    return map_


@pytest.fixture
def score(batch, evidence):
    model = evidence(torch.full((SIDE, SIDE), 1 / SIDE**2))

    def run(maps, boxes=None, images=None, **options):
        images = images or batch(torch.rand(len(maps), 3, *maps.shape[1:]), boxes or [[BOX]] * len(maps))
        return xai.evaluate("pointing_game", maps, model, images, **{"margin": "input"} | options)

    return run


def test_planted_points(score):
    maps = torch.cat([point(40, 15), point(15, 40), point(0, 63), point(40, 22)])
    frame = score(maps)
    assert list(frame.columns) == ["image", "metric", "value", "distance", *VALUES]
    assert frame["value"].tolist() == [1, 0, 0, 1]  # inside; axes swapped; far; 3 px away with a margin of 4.3
    assert frame["distance"].tolist() == pytest.approx([0, math.hypot(40 - 19, 30 - 15), math.hypot(63 - 19, 30), 3])


def test_margin_scales_with_the_side(score):
    # 15 px at 224 are 15 * 64 / 224 = 4.29 px here: 4 px right of the last column (19) hits, 5 px misses.
    assert score(torch.cat([point(40, 23), point(40, 24)]))["value"].tolist() == [1, 0]
    assert score(point(40, 24), tolerance=18.0)["value"].item() == 1


def test_torchrays_margin_is_of_the_original_photograph(score):
    # 15 px of a shorter side of 375 are 2.56 px here: 2 px away hits, 3 px miss, which 15 px of 224 would take.
    maps = torch.cat([point(40, 15), point(40, 21), point(40, 22), point(40, 24)])
    found = score(maps, margin="original")
    assert found["value"].tolist() == found["value_original"].tolist() == [1, 1, 0, 0]
    assert found["value_input"].tolist() == score(maps)["value"].tolist() == [1, 1, 1, 0]
    assert found["value_mask"].isna().all(), "the mask is just the box"


def test_every_convention_is_beside_the_value(score, batch):
    images = batch(torch.rand(2, 3, SIDE, SIDE), [[[0, 0, 40, 40]]] * 2)
    images.masks[0] = False
    images.masks[0, 30:40, 30:40] = True
    found = score(torch.cat([point(2, 2), point(2, 2)]), images=images)
    assert found["value"].tolist() == found["value_original"].tolist() == [1, 1]
    assert found["value_mask"].fillna(-1).tolist() == [0, -1]
    tied = point(35, 35) + point(2, 2) + point(60, 60) + point(61, 61)
    assert score(tied, images=images.select([0]))["value_mask"].item() == 0.25


def test_a_point_exactly_at_the_margin_misses_unless_inclusive(score, batch):
    """As TorchRay (peers V14): strict by default, an option makes it inclusive."""
    images = batch(torch.rand(1, 3, 224, 224), [[[50, 50, 60, 60]]])
    at_margin = point(55, 59 + 15, side=224)
    assert score(at_margin, images=images)["value"].item() == 0
    assert score(at_margin, images=images, strict=False)["value"].item() == 1
    assert score(point(55, 55, side=224), images=images, tolerance=0)["value"].item() == 1


def test_a_constant_map_and_an_image_without_boxes_are_nan_never_a_hit(score):
    """Quantus counts both as hits (peers V4)."""
    frame = score(torch.cat([torch.ones(1, SIDE, SIDE), point(40, 15), point(40, 15)]), boxes=[[BOX], [], [BOX]])
    assert np.isnan(frame["value"][:2]).all() and frame["value"][2] == 1
    assert np.isnan(frame["distance"][:2]).all()


def test_any_of_two_boxes_counts(score):
    boxes = [[BOX, [50, 0, 60, 5]]] * 3
    assert score(torch.cat([point(40, 15), point(2, 55), point(2, 15)]), boxes)["value"].tolist() == [1, 1, 0]


def test_equal_maxima_give_the_share_that_hits(score):
    map_ = point(40, 15) + point(45, 12) + point(2, 60) + point(3, 60)
    assert score(map_)["value"].item() == 0.5


@pytest.mark.parametrize("maxima", [1, 4, 5, 50])
def test_distances_equal_the_distance_transform_for_few_and_many_maxima(score, maxima):
    from scipy.ndimage import distance_transform_edt

    rng = np.random.default_rng(maxima)
    map_ = torch.zeros(1, SIDE, SIDE)
    map_.view(-1)[rng.choice(SIDE**2, maxima, replace=False)] = 1
    away = np.ones((SIDE, SIDE))
    away[30:50, 10:20] = 0
    assert score(map_)["distance"].item() == distance_transform_edt(away)[map_[0].bool().numpy()].mean()


def test_mask_truth(score, batch):
    images = batch(torch.rand(1, 3, SIDE, SIDE), [[[0, 0, 40, 40]]])
    images.masks[:] = False
    images.masks[0, 30:, 30:] = True
    assert score(point(2, 2), images=images)["value"].item() == 1
    assert score(point(2, 2), images=images, truth="mask")["value"].item() == 0
    assert score(point(60, 60), images=images, truth="mask")["value"].item() == 1


def test_random_maps_score_at_chance(score, batch):
    """Chance is the share of the image that the widened box covers."""
    n = 3000
    maps = torch.rand(n, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    value = score(maps, images=batch(torch.zeros(1, 3, SIDE, SIDE).expand(n, -1, -1, -1), [[BOX]] * n))["value"]
    y, x = np.mgrid[:SIDE, :SIDE]
    away = np.hypot(np.clip(np.maximum(10 - x, x - 19), 0, None), np.clip(np.maximum(30 - y, y - 49), 0, None))
    chance = (away < 15 * SIDE / 224).mean()
    assert abs(value.mean() - chance) < 3.5 * math.sqrt(chance * (1 - chance) / n)


def test_agrees_with_torchray(score, batch):
    pointing_game = pytest.importorskip("torchray.benchmark.pointing_game")
    game = pointing_game.PointingGame(1, tolerance=15)
    rng = np.random.default_rng(3)
    corners = rng.integers(30, 130, (60, 2))
    peaks = [(int(y + rng.integers(-25, 65)), int(x + rng.integers(-25, 85))) for x, y in corners]
    maps = torch.cat([point(y, x, side=224) for y, x in peaks])
    images = batch(
        torch.zeros(1, 3, 224, 224).expand(60, -1, -1, -1), [[[x, y, x + 60, y + 40]] for x, y in corners.tolist()]
    )
    frame = score(maps, images=images)
    expected = [game.evaluate(mask, (x, y)) for mask, (y, x) in zip(images.masks, peaks, strict=True)]
    assert frame["value"].tolist() == [float(hit == 1) for hit in expected]
    assert ((frame["distance"] > 0) & (frame["value"] == 1)).sum() > 5 and (frame["value"] == 0).sum() > 5


def test_bad_options_are_named(score):
    with pytest.raises(InputError, match="no option 'tolerence'; did you mean 'tolerance'"):
        score(point(0, 0), tolerence=3)
    with pytest.raises(InputError, match="truth must be one of boxes, mask, not 'box'"):
        score(point(0, 0), truth="box")
    with pytest.raises(InputError, match="margin must be one of original, input, not 'box'"):
        score(point(0, 0), margin="box")
    with pytest.raises(InputError, match="tolerance must be a number, not '15'"):
        score(point(0, 0), tolerance="15")
    with pytest.raises(InputError, match="tolerance must be at least 0, not -1"):
        score(point(0, 0), tolerance=-1)
