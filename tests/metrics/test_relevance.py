"""Relevance mass, relevance rank and average precision on planted maps, against formulas and scikit-learn."""

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score

import xailib as xai
from xailib.errors import InputError
from xailib.images import ImageBatch

NAMES = ["relevance_mass", "relevance_rank", "average_precision"]
SIDE = 16


@pytest.fixture
def score(evidence):
    model = evidence(torch.full((SIDE, SIDE), 1 / SIDE**2))
    return lambda name, maps, images, **options: xai.evaluate(name, maps, model, images, **options)


def discs(n: int) -> torch.Tensor:
    """Masks `(n, SIDE, SIDE)` of discs off the diagonal, each of another place and size."""
    y, x = torch.meshgrid(torch.arange(SIDE), torch.arange(SIDE), indexing="ij")
    return torch.stack([(y - 10 + i % 3) ** 2 + (x - 5 - i % 4) ** 2 < (4 + i % 3) ** 2 for i in range(n)])


def masked(n: int) -> ImageBatch:
    """Images with exact masks, and boxes tight around them."""
    return ImageBatch(torch.rand(n, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(9)), masks=discs(n))


@pytest.mark.parametrize("name", NAMES)
def test_the_mask_itself_is_perfect_its_opposite_nil_and_swapped_axes_are_seen(name, score):
    images = masked(3)
    true = images.masks.float()
    assert score(name, true, images)["value"].tolist() == [1, 1, 1]
    assert (score(name, true.transpose(1, 2), images)["value"] < 0.9).all()
    away = score(name, 1 - true, images)["value"]
    area = true.mean(dim=(1, 2)).double()
    # Of average precision the last threshold is left, where all pixels are in: the object's area.
    expected = area if name == "average_precision" else torch.zeros(3)
    assert away.to_numpy() == pytest.approx(expected.numpy())


def test_mass_is_the_positive_share_by_hand(score):
    images, maps = masked(1), torch.zeros(1, SIDE, SIDE)
    maps[0, 10, 5:7], maps[0, 0, 15], maps[0, 0, 0] = torch.tensor([3.0, -5.0]), 1, -7
    assert images.masks[0, 10, 5:7].all() and not images.masks[0, 0, [0, 15]].any()
    assert score("relevance_mass", maps, images)["value"].item() == pytest.approx(3 / (3 + 1))


def test_rank_takes_ties_as_a_random_choice_expects(score):
    """K = 4 pixels of the object: one above, then five equal ones of which two are on it."""
    mask = torch.zeros(1, SIDE, SIDE, dtype=torch.bool)
    mask[0, 0, :3], mask[0, 1, 0] = True, True
    maps = torch.zeros(1, SIDE, SIDE)
    maps[0, 0, 0] = 2
    maps[0, 0, 1] = maps[0, 0, 2] = maps[0, 9, 9] = maps[0, 9, 10] = maps[0, 9, 11] = 1
    images = ImageBatch(torch.rand(1, 3, SIDE, SIDE), masks=mask)
    assert score("relevance_rank", maps, images)["value"].item() == pytest.approx((1 + 3 * 2 / 5) / 4)


@pytest.mark.parametrize("levels", [2, 5, 10**6])
def test_average_precision_and_rank_equal_independent_ones(levels, score):
    """With many ties, some and next to none; Arras et al.'s rank by its own definition, over all orders of ties."""
    images = masked(12)
    rng = np.random.default_rng(levels)
    values = rng.integers(-levels // 2, levels, (12, SIDE, SIDE)) + images.masks.numpy() * levels // 3
    maps = torch.from_numpy(values.astype(np.float32))
    truth, flat = images.masks.flatten(1).numpy(), maps.flatten(1).numpy()
    expected = [average_precision_score(there, one) for there, one in zip(truth, flat, strict=True)]
    assert score("average_precision", maps, images)["value"].to_numpy() == pytest.approx(np.array(expected), abs=1e-12)
    drawn = []
    for there, one in zip(truth, flat, strict=True):
        orders = (np.lexsort((rng.random(one.size), -one)) for _ in range(2000))
        drawn.append(np.mean([there[order[: there.sum()]].mean() for order in orders]))
    assert score("relevance_rank", maps, images)["value"].to_numpy() == pytest.approx(np.array(drawn), abs=0.015)


@pytest.mark.parametrize("name", NAMES)
def test_random_maps_score_at_chance(name, score):
    """Chance is the object's area, of average precision a little more."""
    images = ImageBatch(torch.zeros(1, 3, SIDE, SIDE).expand(400, -1, -1, -1), masks=discs(1).expand(400, -1, -1))
    maps = torch.rand(400, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    area = discs(1).float().mean().item()
    assert area - 0.01 < score(name, maps, images)["value"].mean() < area + 0.04


@pytest.mark.parametrize("name", NAMES)
def test_which_truth_is_used_and_said(name, score, batch):
    images, boxed = masked(2), batch(torch.rand(1, 3, SIDE, SIDE), [[[3, 8, 7, 12], [9, 2, 11, 4]]])
    maps = torch.rand(2, SIDE, SIDE, generator=torch.Generator().manual_seed(1))
    auto, exact, boxes = (score(name, maps, images, truth=truth) for truth in ("auto", "mask", "boxes"))
    assert auto.equals(exact) and auto["exact"].tolist() == [1, 1] and boxes["exact"].tolist() == [0, 0]
    assert (boxes["value"] != auto["value"]).all()
    only = score(name, maps[:1], boxed)
    assert only["exact"].item() == 0 and only["value"].notna().all()
    assert only.equals(score(name, maps[:1], boxed, truth="boxes"))
    assert score(name, maps[:1], boxed, truth="mask")["value"].isna().all(), "boxes never pass for an exact mask"
    # Boxes beside a mask that is smaller than they are.
    images = ImageBatch(
        boxed.pixels, boxes=boxed.boxes, masks=torch.zeros(1, SIDE, SIDE).index_fill(1, torch.tensor(9), 1)
    )
    assert score(name, images.masks.float(), images)["value"].item() == 1
    assert score(name, images.masks.float(), images, truth="boxes")["value"].item() < 1


@pytest.mark.parametrize("name", NAMES)
def test_what_is_not_defined_is_nan(name, score):
    masks = discs(3)
    masks[1] = False
    images = ImageBatch(torch.rand(3, 3, SIDE, SIDE), masks=masks)
    maps = torch.rand(3, SIDE, SIDE)
    maps[0] = 4
    assert score(name, maps, images)["value"].isna().tolist() == [True, True, False]
    negative = score(name, -maps[2:] - 1, images.select([2]))["value"].isna().item()
    assert negative == (name == "relevance_mass"), "no positive relevance has no share; the others rank"


@pytest.mark.parametrize("name", NAMES)
def test_no_pass_is_made_and_neither_order_nor_batch_matters(name, score, evidence):
    images, maps = masked(7), torch.randn(7, SIDE, SIDE, generator=torch.Generator().manual_seed(3)).round(decimals=1)
    whole = score(name, maps, images)
    order = [4, 1, 6, 0, 3, 5, 2]
    turned = score(name, maps[order], images.select(order))
    assert turned.set_index("image").loc[whole["image"]].reset_index().equals(whole)
    alone = [score(name, maps[i : i + 1], images.select([i]))["value"].item() for i in range(7)]
    assert alone == whole["value"].tolist()
    silent = evidence(torch.full((SIDE, SIDE), torch.nan))
    assert xai.evaluate(name, maps, silent, images).equals(whole)


@pytest.mark.parametrize("name", NAMES)
def test_bad_options_are_named(name, score):
    with pytest.raises(InputError, match="truth must be one of auto, mask, boxes, not 'box'"):
        score(name, torch.rand(1, SIDE, SIDE), masked(1), truth="box")
