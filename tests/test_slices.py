"""What the slice notebooks share."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

import xailib as xai
from xailib.slices import contact_sheet, image_source, shift_images


@pytest.mark.parametrize("shift", ["gaussian_noise_2", "jpeg_3", "silhouette"])
def test_a_shift_of_images_at_hand_is_the_shift_that_loading_gives(shift: str) -> None:
    source = {"split": "test", "seed": 3}
    images = xai.load_images("pictograms", limit=3, **source)
    expected = xai.load_images("pictograms", limit=3, shift=shift, **source)
    found = shift_images(images, "pictograms", shift, source)
    assert torch.equal(found.pixels, expected.pixels) and found.ids == expected.ids


def test_images_from_files_come_in_the_networks_size() -> None:
    model = SimpleNamespace(input_size=227)
    assert image_source("photos", model, split="test", root=None, crop="resize") == {
        "split": "test",
        "crop": "resize",
        "side": 227,
    }
    assert image_source("photos", model, side=160)["side"] == 160
    assert image_source("pictograms", model, split=None, seed=0) == {"seed": 0, "side": 227}


def test_a_contact_sheet_shows_images_above_maps() -> None:
    pixels = torch.ones(2, 3, 8, 8)
    maps = torch.zeros(2, 8, 8)
    maps[1, :, 4:] = 1
    sheet = np.asarray(contact_sheet(pixels, maps, side=16)).astype(int)
    assert sheet.shape == (32, 32, 3)
    assert (sheet[:16] == 255).all()
    right = sheet[16:, 16:]
    assert right[8, 13].sum() > right[8, 2].sum(), "more is brighter"
    signed = np.asarray(contact_sheet(pixels[:1], torch.linspace(-1, 1, 64).view(1, 8, 8))).astype(int)
    assert signed[-1, -1, 0] > signed[-1, -1, 2] and signed[100, 1, 2] > signed[100, 1, 0], "red for, blue against"
    contact_sheet(pixels, torch.zeros(2, 8, 8))
    lifted = np.asarray(contact_sheet(pixels, maps * 0.1 + 5, side=16)).astype(int)
    assert np.array_equal(lifted, sheet), "a large constant does not flatten a map"
