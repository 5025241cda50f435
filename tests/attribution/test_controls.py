"""The controls know the image at most, never the network."""

import numpy as np
import torch
from skimage.filters import sobel
from torch.testing import assert_close

import xailib as xai
from xailib import engine

CONTROLS = ("random", "centre_gaussian", "sobel")


def test_controls_are_constant_in_the_model_and_the_target(cnn, squares, pixels, targets):
    for name in CONTROLS:
        with engine.using() as run:
            maps = xai.attribute(name, cnn, pixels, targets)
        assert run.cost.forward == 0
        assert torch.equal(maps, xai.attribute(name, squares, pixels, targets.flip(0)))


def test_random_is_uniform_and_belongs_to_seed_and_image(cnn, pixels, targets):
    maps = xai.attribute("random", cnn, pixels, targets)
    assert maps.min() >= 0 and maps.max() < 1 and abs(maps.mean() - 0.5) < 0.03
    assert not torch.equal(maps[0], maps[1])
    assert not torch.equal(maps, xai.attribute("random", cnn, pixels, targets, seed=1))
    assert torch.equal(maps[2:3], xai.attribute("random", cnn, pixels[2:3], targets[2:3]))


def test_centre_gaussian_peaks_in_the_middle_and_falls_by_its_sigma(cnn, targets):
    image = torch.rand(1, 3, 41, 21)
    hill = xai.attribute("centre_gaussian", cnn, image, targets[:1], sigma=0.2)[0]
    assert divmod(int(hill.argmax()), 21) == (20, 10)
    assert_close(hill[20, 10], torch.tensor(1.0))
    offset = torch.tensor(6 / 41 / 0.2)
    assert_close(hill[26, 10], torch.exp(-(offset**2) / 2))
    assert_close(hill, hill.flip(0, 1))


def test_sobel_equals_scikit_image(cnn, pixels, targets):
    maps = xai.attribute("sobel", cnn, pixels, targets)
    for image, edges in zip(pixels, maps, strict=True):
        luma = np.tensordot([0.299, 0.587, 0.114], image.double().numpy(), axes=1)
        np.testing.assert_allclose(edges.numpy(), sobel(luma), atol=1e-5)
