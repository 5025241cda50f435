"""Extremal Perturbation: every part and the whole against TorchRay, planted windows, areas, batching."""

import pytest
import torch
from scipy.stats import spearmanr
from torch import nn
from torch.testing import assert_close
from torch.utils._python_dispatch import TorchDispatchMode

import xailib as xai
from xailib import engine
from xailib.attribution import extremal
from xailib.attribution.blur import blur, gaussian_rows
from xailib.attribution.extremal import BlurPyramid, SmoothMax, area_slope

NAME = "extremal_perturbation"
SIDE = 32
FINE = dict(step=14.0, sigma=42.0, smooth=0.0)  # 2 and 6 pixels at a side of 32


class Window(nn.Module):
    """Class 0 is the texture of rows 10-17, columns 12-19, centred left to right since the jitter flips."""

    def forward(self, inputs):
        seen = inputs[:, :, 10:18, 12:20]
        energy = (seen - seen.mean((2, 3), keepdim=True)).abs().mean((1, 2, 3))
        return torch.stack([20 * energy - 4, *[0 * energy] * 4], 1)


class Waits(TorchDispatchMode):
    """How often a value was read from the device."""

    count = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.count += "_local_scalar_dense" in str(function) or "is_nonzero" in str(function)
        return function(*args, **(kwargs or {}))


@pytest.fixture
def window(make_model):
    return make_model(Window(), input_size=SIDE)


@pytest.fixture
def noise():
    return torch.rand(3, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))


ZEROS = torch.zeros(3, dtype=torch.long)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("height", "width", "step", "sigma"), [(32, 36, 2, 6.0), (30, 28, 3, 5.0), (28, 28, 7, 21.0)])
def test_masks_and_their_gradient_equal_torchrays(height, width, step, sigma):
    from torchray.attribution.extremal_perturbation import MaskGenerator

    theirs, ours = MaskGenerator((height, width), step, sigma), SmoothMax(height, width, step, sigma)
    parameters = torch.rand(4, 1, *ours.grid)
    parameters[0] *= parameters[0] > 0.8
    parameters[1], parameters[2] = 1, 0
    parameters.requires_grad_()
    crop, full = theirs.generate(parameters)
    masks = ours(parameters.detach().flatten(1).T.contiguous())
    assert ours.shape == tuple(theirs.shape_out)
    assert_close(masks.T, full.flatten(1), atol=1e-5, rtol=0)
    assert_close(ours.crop(masks, height, width), crop[:, 0], atol=1e-5, rtol=0)

    slope = torch.randn_like(full)
    (wanted,) = torch.autograd.grad(full, parameters, slope)
    assert_close(ours.gradient(slope.flatten(1).T.contiguous()), wanted.flatten(1).T, atol=1e-3, rtol=1e-4)


@pytest.mark.parametrize("step", [2, 3, 4])
def test_a_mask_covers_the_image_for_any_step(step):
    layer = SmoothMax(33, 31, step, 6.0)
    crop = layer.crop(layer(torch.ones(layer.grid[0] * layer.grid[1], 1)), 33, 31)
    assert crop.shape == (1, 33, 31) and crop.min() > 0.8


def test_blur_equals_torchrays_and_can_keep_a_constant():
    from torchray.utils import imsmooth

    images = torch.rand(2, 3, 20, 17)
    assert_close(blur(images, 2.3), imsmooth(images, 2.3), atol=1e-5, rtol=0)
    assert torch.equal(blur(images, 0), images)
    assert_close(gaussian_rows(17, 5.0, edges="renormalise").sum(1), torch.ones(17))


def test_pyramid_equals_torchrays(cnn):
    from torchray.attribution.extremal_perturbation import Perturbation

    images, masks = torch.rand(2, 3, 24, 20), torch.rand(2, 3, 24, 20)
    masks[0, 0], masks[0, 1] = 1, 0
    mixed, slope = BlurPyramid(images, cnn.mean_colour, 4.0, 8)(masks)
    for i in range(2):
        theirs = Perturbation(cnn.normalise(images[i : i + 1]), num_levels=8, max_blur=4.0)
        assert_close(cnn.normalise(mixed.view(2, 3, 3, 24, 20)[i]), theirs.apply(masks[i][:, None]), atol=2e-5, rtol=0)
    assert_close(mixed[0], images[0], atol=1e-6, rtol=0)
    flipped = BlurPyramid(images, cnn.mean_colour, 4.0, 8)(masks, mirrored=True)
    assert torch.equal(flipped[0].flip(3), mixed) and torch.equal(flipped[1].flip(3), slope)
    nudged, _ = BlurPyramid(images, cnn.mean_colour, 4.0, 8)(masks + 1e-4)
    inner = ((masks * 7) % 1 < 0.99)[:, :, None].expand(2, 3, 3, 24, 20).reshape(6, 3, 24, 20)
    assert_close(((nudged - mixed) / 1e-4)[inner], slope[inner], atol=2e-2, rtol=0)


def sorted_slope(masks, kept):
    """The same derivative through a sort, as TorchRay has it."""
    masks = masks.T.detach().requires_grad_()
    ones = torch.tensor(kept).repeat(len(masks) // len(kept))
    ideal = (torch.arange(masks.shape[1]) >= masks.shape[1] - ones[:, None]).float()
    loss = ((masks.sort(dim=1)[0] - ideal) ** 2).mean(1).sum()
    return torch.autograd.grad(loss, masks)[0].T


def test_area_term_equals_the_sorted_one_and_shares_ties():
    masks, kept = torch.rand(500, 6), [25, 50, 499]
    assert_close(area_slope(masks, kept), sorted_slope(masks, kept))
    tied = area_slope(torch.full((10, 1), 0.5), [4])
    assert_close(tied, torch.full((10, 1), 2 / 10 * (0.5 - 0.4)))


class Layer(torch.autograd.Function):
    """`SmoothMax` for a loop that uses autograd."""

    @staticmethod
    def forward(ctx, parameters, layer):
        ctx.layer = layer
        return layer(parameters)

    @staticmethod
    def backward(ctx, slope):
        return ctx.layer.gradient(slope.contiguous()), None


@pytest.mark.filterwarnings("ignore")
def test_whole_descent_equals_torchrays(cnn, pixels, targets, monkeypatch):
    """Same numbers, with ties broken as a sort does and the area weight growing as if there were 800 steps.

    The first mask is full of ties, which its rounding would break; so both take it from the same layer here.
    """
    from torchray.attribution.extremal_perturbation import MaskGenerator, extremal_perturbation

    def generate(self, parameters):
        layer = SmoothMax(*self.shape, self.step, self.sigma)
        masks = Layer.apply(parameters.flatten(1).T, layer)
        return layer.crop(masks, *self.shape)[:, None], masks.T.reshape(-1, 1, *layer.shape)

    monkeypatch.setattr(MaskGenerator, "generate", generate)
    steps, areas = 12, (0.1, 0.3)
    monkeypatch.setattr(extremal, "area_slope", sorted_slope)
    monkeypatch.setattr(extremal, "AREA_WEIGHT_GROWTH", 1.0035**steps)
    unit = 224 / 20  # our lengths are for a side of 224
    ours = xai.attribute(
        NAME,
        cnn,
        pixels[:2],
        targets[:2],
        areas=areas,
        steps=steps,
        step=2 * unit,
        sigma=6 * unit,
        max_blur=20 * unit,
        smooth=0.0,
    )
    for i in range(2):
        theirs, _ = extremal_perturbation(
            cnn.network,
            cnn.normalise(pixels[i : i + 1]),
            int(targets[i]),
            areas=list(areas),
            max_iter=steps,
            step=2,
            sigma=6,
        )
        assert_close(ours[i], theirs.sum(0)[0], atol=2e-4, rtol=0)
        assert theirs.std() > 0.05


def test_finds_the_planted_window_with_the_area_it_was_given(window, noise):
    masks = {
        area: xai.attribute(NAME, window, noise, ZEROS, areas=area, steps=80, lr=0.05, **FINE) for area in (0.1, 0.2)
    }
    size = SmoothMax(SIDE, SIDE, 2, 6.0).shape[0] ** 2  # areas are shares of the mask with its margin
    for area, maps in masks.items():
        assert_close(maps.sum((1, 2)) / size, torch.full((3,), area), atol=0.02, rtol=0)
        assert (maps[:, 10:18, 12:20].mean((1, 2)) > 0.9).all(), "the window is kept"

    summed = xai.attribute(NAME, window, noise, ZEROS, areas=[0.1, 0.2], steps=80, lr=0.05, **FINE)
    assert_close(summed, masks[0.1] + masks[0.2], atol=1e-3, rtol=0)
    smoothed = xai.attribute(NAME, window, noise, ZEROS, areas=[0.1, 0.2], steps=80, lr=0.05, step=14.0, sigma=42.0)
    for peak in smoothed.flatten(1).argmax(1).tolist():
        assert 10 <= peak // SIDE < 18 and 12 <= peak % SIDE < 20


def test_batch_size_order_and_company_do_not_matter(cnn, pixels, targets):
    options = dict(steps=15, step=22.0, sigma=67.0)
    whole = xai.attribute(NAME, cnn, pixels, targets, **options)
    assert torch.equal(whole, xai.attribute(NAME, cnn, pixels, targets, **options))
    for batch_size in (1, 6, 7):
        assert_close(
            xai.attribute(NAME, cnn, pixels, targets, batch_size=batch_size, **options), whole, atol=1e-5, rtol=0
        )
    assert_close(xai.attribute(NAME, cnn, pixels.flip(0), targets.flip(0), **options).flip(0), whole, atol=1e-5, rtol=0)
    assert_close(xai.attribute(NAME, cnn, pixels[1:2], targets[1:2], **options), whole[1:2], atol=1e-5, rtol=0)


def test_bf16_keeps_the_ranks(window, noise):
    full, half = (
        xai.attribute(NAME, window, noise, ZEROS, steps=60, lr=0.05, step=14.0, sigma=42.0, precision=word)
        for word in ("fp32", "bf16")
    )
    for a, b in zip(full, half, strict=True):
        assert spearmanr(a.flatten(), b.flatten()).statistic > 0.99


def test_passes_are_counted_and_the_loop_never_waits(window, noise):
    waits = []
    xai.attribute(NAME, window, noise, ZEROS, steps=1, **FINE)  # what is looked at once a network
    for steps in (2, 6):
        with engine.using() as settings, Waits() as mode:
            xai.attribute(NAME, window, noise, ZEROS, steps=steps, **FINE)
        assert (settings.cost.forward, settings.cost.backward) == (3 * 3 * steps, 3 * 3 * steps)
        waits.append(mode.count)
    assert waits[0] == waits[1]


@pytest.mark.parametrize(
    ("options", "word"),
    [(dict(areas=[0.0]), "areas"), (dict(areas=[]), "areas"), (dict(steps=0), "steps"), (dict(levels=1), "levels")],
)
def test_bad_options_are_named(cnn, pixels, targets, options, word):
    with pytest.raises(xai.InputError, match=f"{NAME}.*{word}"):
        xai.attribute(NAME, cnn, pixels, targets, **options)
