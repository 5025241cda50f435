"""Removal levels: exact shares, ties by seed, nothing at 0 % and everything at 100 %, and the same after packing."""

from itertools import pairwise

import pytest
import torch

from xailib.errors import InputError
from xailib.roar.removal import buckets, check_levels, counts, fill, pack, replaced, unpack

LEVELS = [0, 10, 30, 50, 70, 90, 100]


def maps(n: int = 5, *shape: int) -> torch.Tensor:
    return torch.randn(n, *(shape or (9, 7)), generator=torch.Generator().manual_seed(3))


def names(n: int) -> list[str]:
    return [f"image-{i}" for i in range(n)]


@pytest.mark.parametrize("shape", [(9, 7), (3, 5, 5)])
@pytest.mark.parametrize("level", LEVELS)
def test_exactly_the_share_of_a_level_is_replaced(shape: tuple[int, ...], level: int) -> None:
    values = int(torch.Size(shape).numel())
    found = buckets(maps(5, *shape), LEVELS, names(5))
    removed, kept = (replaced(found, LEVELS, level, mode).flatten(1).sum(1) for mode in ("remove", "keep"))
    assert (removed == round(level / 100 * values + 1e-9)).all()
    assert (kept == values - removed).all()


def test_the_most_important_go_first() -> None:
    ramp = torch.arange(100.0).view(1, 10, 10)
    removed = replaced(buckets(ramp, [10, 50], names(1)), [10, 50], 10, "remove")
    assert removed.flatten().nonzero().flatten().tolist() == list(range(90, 100))
    kept = replaced(buckets(ramp, [10, 50], names(1)), [10, 50], 10, "keep")
    assert torch.equal(kept, ~removed)


def test_each_level_takes_what_the_one_before_took() -> None:
    found = buckets(maps(), LEVELS, names(5))
    masks = [replaced(found, LEVELS, level, "remove") for level in LEVELS]
    assert all((low <= high).all() for low, high in pairwise(masks))


def test_nothing_and_everything() -> None:
    pixels, mean = torch.rand(5, 3, 9, 7), torch.tensor([0.1, 0.5, 0.9])
    found = buckets(maps(), LEVELS, names(5))
    assert torch.equal(fill(pixels, replaced(found, LEVELS, 0, "remove"), mean), pixels)
    constant = mean.view(1, 3, 1, 1).expand_as(pixels)
    assert torch.equal(fill(pixels, replaced(found, LEVELS, 100, "remove"), mean), constant)
    assert torch.equal(fill(pixels, replaced(found, LEVELS, 100, "keep"), mean), pixels)


def test_ties_are_broken_by_seed_and_name_not_by_place() -> None:
    constant = torch.zeros(4, 8, 8)
    first = buckets(constant, [50], names(4), seed=0)
    assert torch.equal(first, buckets(constant, [50], names(4), seed=0))
    assert not torch.equal(first, buckets(constant, [50], names(4), seed=1))
    assert torch.equal(first[2:], buckets(constant[2:], [50], names(4)[2:], seed=0))
    assert not torch.equal(first[0], first[1])
    assert abs(first.float().mean(0)[:4].mean() - 0.5) < 0.15  # not in reading order


@pytest.mark.parametrize("shape", [(9, 7), (3, 5, 5), (4, 4)])
def test_packing_loses_nothing_and_takes_half_a_byte(shape: tuple[int, ...]) -> None:
    found = buckets(maps(5, *shape), LEVELS, names(5))
    packed = pack(found)
    assert packed.shape == (5, (torch.Size(shape).numel() + 1) // 2) and packed.dtype == torch.uint8
    assert torch.equal(unpack(packed, shape), found)


def test_channel_values_are_filled_one_by_one() -> None:
    pixels, mean = torch.ones(1, 3, 2, 2), torch.tensor([0.2, 0.4, 0.6])
    mask = torch.zeros(1, 3, 2, 2, dtype=torch.bool)
    mask[0, 1, 0, 0] = True
    filled = fill(pixels, mask, mean)
    assert filled[0, 1, 0, 0] == mean[1] and filled.sum() == pytest.approx(11 + 0.4)


def test_counts_round_to_whole_values() -> None:
    assert counts([0, 10, 50, 90, 100], 1024) == [0, 102, 512, 922, 1024]


@pytest.mark.parametrize("levels", [[-1], [101], [50, 10], [10, 10], [], [12.5], list(range(16)), [True]])
def test_faulty_levels_are_refused_in_a_sentence(levels: list) -> None:
    with pytest.raises(InputError, match=r"levels: .*percentages"):
        check_levels(levels)


def test_a_level_that_was_not_stored_is_refused() -> None:
    with pytest.raises(InputError, match="level: 20 is none of the levels"):
        replaced(buckets(maps(), [10, 50], names(5)), [10, 50], 20, "remove")
    with pytest.raises(InputError, match="mode: 'drop'"):
        replaced(buckets(maps(), [10, 50], names(5)), [10, 50], 10, "drop")
