"""Corruptions grow with severity, depend on (seed, image) alone, and keep the ground truth."""

import pytest
import torch

import xailib as xai
from xailib.datasets.corruptions import corrupt, list_three
from xailib.datasets.shifts import list_shifts
from xailib.errors import InputError


@pytest.fixture(scope="module")
def images() -> xai.ImageBatch:
    return xai.load_images("pictograms", limit=6)


@pytest.mark.parametrize("name", sorted({name[:-2] for name in list_three()}))
def test_severity_moves_images_further_and_stays_in_range(images: xai.ImageBatch, name: str) -> None:
    distances = []
    for severity in (1, 2, 3):
        shifted = corrupt(images, f"{name}_{severity}")
        assert shifted.pixels.min() >= 0 and shifted.pixels.max() <= 1
        assert torch.equal(shifted.masks, images.masks) and shifted.ids == images.ids
        distances.append((shifted.pixels - images.pixels).pow(2).mean().item())
    assert 0 < distances[0] < distances[1] < distances[2]


@pytest.mark.parametrize("shift", list_shifts("photos"))
def test_an_image_is_corrupted_alike_alone_and_in_any_batch(images: xai.ImageBatch, shift: str) -> None:
    together = corrupt(images, shift, seed=5).pixels
    backwards = corrupt(images.select([5, 4, 3, 2, 1, 0]), shift, seed=5).pixels.flip(0)
    alone = corrupt(images.select([2]), shift, seed=5).pixels
    assert torch.allclose(together, backwards, atol=1e-6) and torch.allclose(together[2:3], alone, atol=1e-6)


def test_noise_has_the_stated_deviation(images: xai.ImageBatch) -> None:
    grey = images.with_pixels(torch.full_like(images.pixels, 0.5) + 0.01 * images.pixels)
    noise = corrupt(grey, "gaussian_noise_2").pixels - grey.pixels
    assert noise.std().item() == pytest.approx(0.08, rel=0.03)


def test_contrast_keeps_the_mean_and_scales_the_deviation(images: xai.ImageBatch) -> None:
    shifted = corrupt(images, "contrast_2").pixels
    assert torch.allclose(shifted.mean(dim=(1, 2, 3)), images.pixels.mean(dim=(1, 2, 3)), atol=1e-4)
    assert torch.allclose(shifted.flatten(1).std(1), 0.4 * images.pixels.flatten(1).std(1), atol=1e-4)


def test_unknown_shift_suggests_the_nearest(images: xai.ImageBatch) -> None:
    with pytest.raises(InputError, match="gaussian_noise_1"):
        corrupt(images, "gausian_noise_1")
