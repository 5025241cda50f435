"""IDSDS on a network whose answer is a known sum over patches, and against the authors' rule written anew."""

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from torch import nn

import xailib as xai
from xailib import engine
from xailib.errors import InputError
from xailib.metrics.idsds import patches, without_a_patch


class Sum(nn.Module):
    """Logit 0 is a weighted sum of the pixels, in [-1, 1] after normalisation; logit 1 is 0."""

    def __init__(self, weights: torch.Tensor) -> None:
        super().__init__()
        self.weights = nn.Parameter(weights)

    def forward(self, pixels):
        total = (pixels.mean(1) * self.weights).sum((1, 2))
        return torch.stack([total, 0 * total], 1)


@pytest.fixture
def planted(wrap, batch):
    """A linear network over 16 x 16 pixels, 40 images, and each pixel's exact share of each answer."""
    generator = torch.Generator().manual_seed(0)
    weights = 0.2 * torch.randn(16, 16, generator=generator)
    images = batch(torch.rand(40, 3, 16, 16, generator=generator))
    model = wrap(Sum(weights), side=16, classes=2, mean=0.5, std=0.5)
    return model, images, (model.normalise(images.pixels).mean(1) * weights).detach()


@pytest.mark.parametrize("grid", [2, 4, 5])
def test_the_true_shares_score_1_and_random_ones_0(planted, grid) -> None:
    model, images, true = planted
    found = xai.evaluate("idsds", true, model, images, grid=grid)["value"]
    assert np.allclose(found, 1) and np.allclose(xai.evaluate("idsds", -true, model, images, grid=grid)["value"], -1)
    assert np.allclose(xai.evaluate("idsds", 7 * true, model, images, grid=grid, output="probability")["value"], 1)
    random = torch.randn(true.shape, generator=torch.Generator().manual_seed(1))
    chance = xai.evaluate("idsds", random, model, images, grid=grid)["value"]
    assert abs(chance.mean()) < 3 / np.sqrt(40 * (grid**2 - 1)) and chance.between(-1, 1).all()


def test_it_is_the_authors_rule(small_model, small_images, small_maps) -> None:
    """Their loops: sums over cells, zeros after normalisation, the target's logit, Spearman's correlation an image."""
    ours = xai.evaluate("idsds", small_maps, small_model, small_images)["value"]
    inputs, rows = small_model.normalise(small_images.pixels), torch.arange(7)
    with torch.no_grad():
        whole = small_model.network(inputs)[rows, small_images.labels]
        sums, losses = [], []
        for y in range(0, 16, 4):
            for x in range(0, 16, 4):
                sums.append(small_maps[:, y : y + 4, x : x + 4].sum((1, 2)))
                without = inputs.clone()
                without[:, :, y : y + 4, x : x + 4] = 0
                losses.append(whole - small_model.network(without)[rows, small_images.labels])
    expected = [spearmanr(*pair).statistic for pair in zip(torch.stack(sums, 1), torch.stack(losses, 1), strict=True)]
    np.testing.assert_allclose(ours, expected, atol=1e-6)


def test_a_map_that_says_nothing_has_no_score(planted) -> None:
    model, images, true = planted
    for grid in (4, 5):  # by 5, patches have 9 to 16 pixels
        assert xai.evaluate("idsds", torch.ones_like(true), model, images, grid=grid)["value"].isna().all()


def test_batches_change_nothing_and_passes_are_a_patch_each(small_model, small_images, small_maps) -> None:
    with engine.using(batch_size=5) as settings:
        small = xai.evaluate("idsds", small_maps, small_model, small_images)["value"]
    assert settings.cost.forward == 7 * 17
    np.testing.assert_allclose(small, xai.evaluate("idsds", small_maps, small_model, small_images)["value"], atol=1e-6)


def test_patches_tile_the_image() -> None:
    found = patches(4, 10, 12)
    assert found.shape == (10, 12) and found.unique().tolist() == list(range(16))
    assert found[0].tolist() == [0] * 3 + [1] * 3 + [2] * 3 + [3] * 3
    assert (found.flatten().bincount() >= 6).all()
    with pytest.raises(InputError, match=r"grid: 4 x 4 patches are too many for images of 3 x 9 pixels"):
        patches(4, 3, 9)


def test_what_is_trained_on_lacks_one_patch_or_none() -> None:
    torch.manual_seed(0)
    seen = without_a_patch(torch.ones(400, 3, 8, 8), torch.zeros(1, 3, 1, 1), grid=4)
    gone = (seen == 0).all(1).flatten(1).sum(1)
    assert set(gone.tolist()) == {0, 4} and 150 < (gone == 4).sum() < 250
    places = (seen[gone == 4] == 0).all(1).flatten(1).float().mean(0)
    assert (places > 0).all() and places.sum().item() == pytest.approx(4)
