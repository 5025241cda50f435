"""Which parts are shown in which sample: complements, orthogonal columns, and the same chance for every sample."""

import pytest
import torch
from torch.testing import assert_close

from xailib.attribution.designs import halves


def drawn(design, samples, count, seed=0):
    return halves(design, samples, count, torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("design", ["paired", "orthogonal"])
def test_every_second_sample_is_the_complement_of_the_one_before(design):
    shown = drawn(design, 300, 11)
    assert shown.shape == (300, 11) and torch.equal(shown[::2], ~shown[1::2])
    assert len(shown.unique(dim=0)) > 100


@pytest.mark.parametrize(("count", "order"), [(1, 2), (3, 4), (4, 8), (31, 32), (49, 64)])
def test_parts_do_not_correlate_in_an_orthogonal_block(count, order):
    signs = drawn("orthogonal", 4 * order, count).double() * 2 - 1  # two blocks with complements
    for block in signs.split(2 * order):
        assert_close(block.T @ block, 2 * order * torch.eye(count, dtype=torch.float64))
        assert_close(block.sum(0), torch.zeros(count, dtype=torch.float64))
    assert count == 1 or not torch.equal(signs[: 2 * order], signs[2 * order :])


@pytest.mark.parametrize("design", ["independent", "paired", "orthogonal"])
def test_each_sample_by_itself_is_as_likely_as_any_other(design):
    """So that a mean over samples has the same expectation in every design; row 5 of many draws, three parts."""
    rows = torch.stack([drawn(design, 8, 3, seed)[5] for seed in range(2000)])
    found = torch.bincount(rows.long() @ torch.tensor([4, 2, 1]), minlength=8)
    assert ((found - 250).abs() < 5 * 250**0.5).all()
