"""Meaningful Perturbation: against a plain loop with torch's Adam, planted windows, independence of batching."""

import pytest
import torch
import torch.nn.functional as F
from scipy.stats import spearmanr
from torch import nn
from torch.testing import assert_close

import xailib as xai
from xailib import engine
from xailib.attribution.blur import blur
from xailib.attribution.meaningful import Adam, ShiftedBlend, circles, upsampling, variation_slope
from xailib.seeding import generators

NAME = "meaningful_perturbation"
SIDE = 32
ZEROS = torch.zeros(3, dtype=torch.long)


class Window(nn.Module):
    """Class 0 is the texture of a window; it does not saturate, so that the descent can see it."""

    def __init__(self, top=12, left=17, size=8):
        super().__init__()
        self.rows, self.columns = slice(top, top + size), slice(left, left + size)

    def forward(self, inputs):
        seen = inputs[:, :, self.rows, self.columns]
        energy = (seen - seen.mean((2, 3), keepdim=True)).abs().mean((1, 2, 3))
        return torch.stack([4 * energy - 2, 0 * energy], 1)


@pytest.fixture
def window(make_model):
    return make_model(Window(), input_size=SIDE, class_names=["window", "rest"])


@pytest.fixture
def noise():
    return torch.rand(3, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))


def test_equals_a_plain_loop(cnn, pixels, targets):
    """Equation 6 of the paper for one image at a time, by autograd and torch.optim.Adam, on the same shifts."""
    steps, scale = 12, 20 / 224
    maps = xai.attribute(
        NAME,
        cnn,
        pixels,
        targets,
        steps=steps,
        mask_size=56.0,
        max_blur=50.0,
        l1=1e-5,
        init="ones",
        jitter=30.0,
        seed=5,
    )
    rows, columns = 6, 5  # 56 cells at 224 pixels
    down, across = upsampling(rows, 24, 5 * scale, "cpu"), upsampling(columns, 20, 5 * scale, "cpu")
    for image, target, stream, ours in zip(pixels, targets, generators(pixels, 5, NAME), maps, strict=True):
        shifts = torch.randint(0, 3, (steps, 2), generator=stream)
        padded = [
            F.pad(x[None], (1, 1, 1, 1), mode="replicate")[0]
            for x in (image, blur(image, 50 * scale, edges="renormalise"))
        ]
        mask = torch.ones(rows, columns, requires_grad=True)
        descent = torch.optim.Adam([mask], lr=0.1)
        for y, x in shifts.tolist():
            shown, hidden = (picture[:, y : y + 24, x : x + 20] for picture in padded)
            big = down @ mask @ across.T
            score = cnn((big * shown + (1 - big) * hidden)[None]).softmax(1)[0, target]
            area = (1 - mask).abs().mean() * 28 * 28
            rough = (mask.diff(dim=0).abs() ** 3).sum() + (mask.diff(dim=1).abs() ** 3).sum()
            descent.zero_grad()
            (score + 1e-5 * area + 1e-2 * rough).backward()
            descent.step()
            mask.data.clamp_(0, 1)
        assert_close(ours, 1 - (down @ mask @ across.T).detach(), atol=5e-3, rtol=0)  # Adam enlarges rounding
    assert maps.std() > 0.02


def test_adam_equals_torchs():
    values = torch.randn(4, 5)
    theirs, ours = values.clone().requires_grad_(), values
    reference, adam = torch.optim.Adam([theirs], lr=0.1), Adam(0.1)
    for _ in range(20):
        theirs.grad = (theirs**3 - theirs).detach()
        ours = adam(ours, ours**3 - ours)
        reference.step()
    assert_close(ours, theirs.detach(), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("beta", [2.0, 3.0])
def test_roughness_slope_equals_autograd(beta):
    masks = torch.rand(3, 6, 7, requires_grad=True)
    loss = sum((masks.diff(dim=axis).abs() ** beta).sum() for axis in (1, 2))
    assert_close(variation_slope(masks.detach(), beta), torch.autograd.grad(loss, masks)[0])


def test_blend_shifts_the_image_under_the_mask():
    above, below, masks = torch.rand(2, 3, 9, 7), torch.rand(2, 3, 9, 7), torch.rand(2, 9, 7)
    blend = ShiftedBlend(above, below, 2)
    still, slope = blend(masks, torch.full((2, 2), 2))
    assert_close(still, masks[:, None] * above + (1 - masks[:, None]) * below)
    assert_close(slope, above - below)
    moved, _ = blend(torch.ones(2, 9, 7), torch.tensor([[3, 2], [2, 0]]))
    assert_close(moved[0, :, :-1], above[0, :, 1:])
    assert_close(moved[0, :, -1], above[0, :, -1])
    assert_close(moved[1, :, :, 2:], above[1, :, :, :-2])


def test_upsampling_keeps_a_constant():
    assert_close(upsampling(8, 64, 1.4, "cpu").sum(1), torch.ones(64))


def test_first_mask_is_the_smallest_disc_that_hides_the_class(make_model, noise):
    """A window in the middle needs a small disc, one in the corner a large one."""
    sizes = []
    for top in (12, 0):
        model = make_model(Window(top, top), input_size=SIDE)
        below = blur(noise, 10 * SIDE / 224, edges="renormalise")
        masks = circles(model, noise, below, ZEROS, [16, 16], "probability")
        assert masks.shape == (3, 16, 16) and masks.min() >= 0 and masks.max() <= 1
        sizes.append((1 - masks).mean())
    assert 0.05 < sizes[0] < 0.6 < sizes[1]


def test_finds_the_planted_window(window, noise):
    maps = xai.attribute(NAME, window, noise, ZEROS, steps=80, mask_size=112.0)
    inside = maps[:, 12:20, 17:25].sum((1, 2)) / maps.sum((1, 2))
    assert (maps[:, 13:19, 18:24].mean((1, 2)) > 0.9).all() and (inside > 0.2).all()  # 64 of 1024 pixels
    for peak in maps.flatten(1).argmax(1).tolist():
        assert 11 <= peak // SIDE < 21 and 16 <= peak % SIDE < 26
    assert maps.min() >= 0 and maps.max() <= 1


@pytest.mark.parametrize("extra", [{}, {"noise": 0.1}])
def test_batch_size_order_and_company_do_not_matter(cnn, pixels, targets, extra):
    options = dict(steps=15, mask_size=56.0, **extra)
    whole = xai.attribute(NAME, cnn, pixels, targets, **options)
    assert torch.equal(whole, xai.attribute(NAME, cnn, pixels, targets, **options))
    for batch_size in (1, 3):
        assert_close(
            xai.attribute(NAME, cnn, pixels, targets, batch_size=batch_size, **options), whole, atol=1e-5, rtol=0
        )
    assert_close(xai.attribute(NAME, cnn, pixels.flip(0), targets.flip(0), **options).flip(0), whole, atol=1e-5, rtol=0)
    assert not torch.equal(whole, xai.attribute(NAME, cnn, pixels, targets, seed=1, **options))


def test_bf16_keeps_the_ranks(window, noise):
    full, half = (
        xai.attribute(NAME, window, noise, ZEROS, steps=40, mask_size=56.0, precision=word) for word in ("fp32", "bf16")
    )
    for a, b in zip(full, half, strict=True):
        assert spearmanr(a.flatten(), b.flatten()).statistic > 0.99


def test_passes_are_counted(window, noise):
    with engine.using() as settings:
        xai.attribute(NAME, window, noise, ZEROS, steps=4, init="ones")
    assert (settings.cost.forward, settings.cost.backward) == (12, 12)


@pytest.mark.parametrize(
    ("options", "word"), [(dict(steps=0), "steps"), (dict(mask_size=0.0), "mask_size"), (dict(jitter=-1.0), "jitter")]
)
def test_bad_options_are_named(cnn, pixels, targets, options, word):
    with pytest.raises(xai.InputError, match=f"{NAME}.*{word}"):
        xai.attribute(NAME, cnn, pixels, targets, **options)
