"""ImageNet-C's corruptions on the fly: five severities, parameters as published, any data set."""

from itertools import pairwise

import numpy as np
import pytest
import torch

import xailib as xai
from xailib.datasets.corruptions import CORRUPTIONS, corrupt, list_five
from xailib.errors import InputError

FIVE = list(dict.fromkeys(name.partition("/")[0] for name in list_five()))


@pytest.fixture(scope="module")
def images() -> xai.ImageBatch:
    return xai.load_images("pictograms", limit=4)


@pytest.mark.parametrize("name", FIVE)
def test_every_severity_stays_in_range_and_later_ones_move_further(images: xai.ImageBatch, name: str) -> None:
    moved = [corrupt(images, f"{name}/{level}").pixels for level in (1, 2, 3, 4, 5)]
    assert all(pixels.min() >= 0 and pixels.max() <= 1 and pixels.shape == images.pixels.shape for pixels in moved)
    distances = [(pixels - images.pixels).pow(2).mean().item() for pixels in moved]
    # Saturation falls at the first two severities and rises at the others.
    runs = [distances[:2], distances[2:]] if name == "saturate" else [distances]
    assert all(0 < a < b for run in runs for a, b in pairwise(run))


@pytest.mark.parametrize("shift", [f"{name}/3" for name in FIVE])
def test_an_image_is_corrupted_alike_alone_and_in_any_batch(images: xai.ImageBatch, shift: str) -> None:
    together = corrupt(images, shift, seed=5).pixels
    alone = corrupt(images.select([2]), shift, seed=5).pixels
    assert torch.allclose(together[2:3], alone, atol=1e-6)
    assert torch.equal(
        xai.load_images("pictograms", limit=4, shift=shift, seed=0).pixels, corrupt(images, shift).pixels
    )


def corrupted(pixels: torch.Tensor, shift: str) -> torch.Tensor:
    return corrupt(xai.ImageBatch(pixels), shift).pixels


def grey(value: float, side: int = 96) -> torch.Tensor:
    return torch.full((2, 3, side, side), value) + 1e-4 * torch.arange(2.0)[:, None, None, None]


def test_noise_has_the_published_moments() -> None:
    noise = corrupted(grey(0.5), "gaussian_noise/1") - 0.5
    assert noise.std().item() == pytest.approx(0.08, rel=0.02)
    shot = corrupted(grey(0.3), "shot_noise/1")
    assert shot.mean().item() == pytest.approx(0.3, abs=0.003) and shot.var().item() == pytest.approx(
        0.3 / 60, rel=0.03
    )
    assert torch.allclose((shot * 60).round(), shot * 60, atol=1e-4), "counts of photons"
    speckle = corrupted(grey(0.5), "speckle_noise/1") - 0.5
    assert speckle.std().item() == pytest.approx(0.5 * 0.15, rel=0.02)
    impulse = corrupted(grey(0.5), "impulse_noise/4")
    assert (impulse == 0).float().mean().item() == pytest.approx(0.085, abs=0.005)
    assert (impulse == 1).float().mean().item() == pytest.approx(0.085, abs=0.005)
    assert not torch.equal(impulse[0], impulse[1])


def test_colour_changes_are_skimages(images: xai.ImageBatch) -> None:
    from skimage.color import hsv2rgb, rgb2hsv

    array = rgb2hsv(images.pixels[0].permute(1, 2, 0).numpy().astype(np.float64))
    bright, pale = array.copy(), array.copy()
    bright[..., 2] = np.minimum(bright[..., 2] + 0.3, 1)
    pale[..., 1] *= 0.1
    for shift, expected in (("brightness/3", bright), ("saturate/2", pale)):
        found = corrupted(images.pixels[:1], shift)[0].permute(1, 2, 0).numpy()
        np.testing.assert_allclose(found, hsv2rgb(expected), atol=1e-5)


def test_contrast_keeps_each_channels_mean(images: xai.ImageBatch) -> None:
    found = corrupted(images.pixels, "contrast/2")
    assert torch.allclose(found.mean((2, 3)), images.pixels.mean((2, 3)), atol=1e-5)
    assert torch.allclose(found.flatten(2).std(2), 0.3 * images.pixels.flatten(2).std(2), atol=1e-5)


def test_defocus_spreads_a_point_over_a_disk_of_the_radius() -> None:
    point = torch.zeros(1, 3, 112, 112)
    point[..., 56, 56] = 1
    spread = corrupted(point, "defocus_blur/5")[0, 0]  # radius 10 at 224 pixels: 5 here
    assert spread.sum().item() == pytest.approx(1, abs=1e-5)
    y, x = np.nonzero(spread.numpy())
    assert 5 <= np.hypot(y - 56, x - 56).max() < 5.5 and spread[56, 56].item() == pytest.approx(
        1 / (np.pi * 25), rel=0.05
    )


@pytest.mark.parametrize("shift", ["gaussian_blur_3", "gaussian_blur/5", "defocus_blur/5", "pixelate/5"])
def test_pictures_on_their_side_are_corrupted_alike(shift: str) -> None:
    for sides in ((40, 80), (8, 224), (3, 9)):
        pixels = torch.rand(1, 3, *sides, generator=torch.Generator().manual_seed(0))
        turned = corrupted(pixels.mT, shift).mT
        assert torch.allclose(corrupted(pixels, shift), turned, atol=0.005)


@pytest.mark.parametrize("shift", list(CORRUPTIONS))
def test_a_picture_of_one_pixel_or_one_row_is_corrupted_too(shift: str) -> None:
    for sides in ((1, 1), (1, 9), (9, 1), (2, 2)):
        pixels = torch.rand(1, 3, *sides, generator=torch.Generator().manual_seed(0))
        found = corrupted(pixels, shift)
        assert found.shape == pixels.shape and torch.isfinite(found).all()
        assert not shift.startswith(("gaussian_blur", "defocus")) or min(sides) > 1 or torch.allclose(found, pixels)


def test_pixelate_makes_blocks_and_jpeg_is_pillows(images: xai.ImageBatch) -> None:
    blocks = corrupted(images.pixels, "pixelate/5")
    assert torch.equal(blocks[..., ::4, ::4], blocks[..., 3::4, 3::4]), "64 pixels at a quarter are blocks of 4"
    assert torch.equal(corrupt(images, "jpeg_compression/1").pixels, corrupt(images, "jpeg_2").pixels), "quality 25"
    assert not torch.equal(corrupt(images, "gaussian_noise/1").pixels, corrupt(images, "gaussian_noise_1").pixels)


def test_unknown_names(images: xai.ImageBatch) -> None:
    assert len(list_five()) == 55
    with pytest.raises(InputError, match="unknown shift 'shot_noise/6'; did you mean 'shot_noise/"):
        corrupt(images, "shot_noise/6")
    with pytest.raises(InputError, match="unknown shift 'fog/1'"):
        xai.load_images("pictograms", limit=1, shift="fog/1")


@pytest.mark.parametrize("shift", list_five())
def test_torchs_default_type_changes_no_corruption(images: xai.ImageBatch, shift: str) -> None:
    usual = corrupt(images, shift, 0).pixels
    torch.set_default_dtype(torch.float64)
    try:
        assert torch.allclose(corrupt(images, shift, 0).pixels, usual, atol=1e-5)
    finally:
        torch.set_default_dtype(torch.float32)
