"""LIME and KernelSHAP: additive networks are recovered exactly; parity with lime, captum and scikit-learn."""

import itertools
import math

import numpy as np
import pytest
import torch
from captum.attr import KernelShap
from torch.testing import assert_close

import xailib as xai
from xailib import engine
from xailib.attribution.kernel_shap import _draw
from xailib.attribution.lime import ridge, surrogates
from xailib.attribution.superpixels import Coalitions, counts, hide, paint, superpixels

SEGMENTS = dict(segments=9, compactness=30.0, sigma=0.0)


def labels_of(pixels):
    return superpixels(pixels, **SEGMENTS)


def per_segment(values, labels):
    """Sums of `values` `(n, h, w)` over each superpixel, `(n, s)`."""
    sums = torch.zeros(len(values), max(counts(labels)), dtype=values.dtype)
    return sums.scatter_add(1, labels.flatten(1), values.flatten(1))


def planted(model, pixels, targets, labels, hidden):
    """What hiding each superpixel takes from the target's logit of the additive network `squares`, `(n, s)`."""
    weights = model.network.linear.weight[targets].view_as(pixels)
    shown, covered = (model.normalise(x).square() for x in (pixels, hide(model, pixels, labels, hidden)))
    return per_segment((weights * (shown - covered)).sum(1), labels).detach()


@pytest.mark.parametrize("design", ["independent", "paired", "orthogonal"])
@pytest.mark.parametrize("hidden", ["mean", "segment_mean", "black"])
def test_lime_recovers_an_additive_network(squares, pixels, targets, hidden, design):
    labels = labels_of(pixels)
    truth = paint(planted(squares, pixels, targets, labels, hidden), labels, "whole")
    options = dict(hidden=hidden, design=design, samples=80, output="logit", alpha=1e-9, **SEGMENTS)
    assert_close(xai.attribute("lime", squares, pixels, targets, **options), truth, atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("design", ["paired", "orthogonal"])
def test_every_design_of_lime_tends_to_the_same_coefficients(cnn, pixels, targets, design):
    """On a network that is not additive, whose coefficients depend on how often which coalitions are seen."""
    plain = xai.attribute("lime", cnn, pixels, targets, samples=20000, seed=1, **SEGMENTS)
    other = xai.attribute("lime", cnn, pixels, targets, samples=8000, design=design, **SEGMENTS)
    few = xai.attribute("lime", cnn, pixels, targets, samples=60, **SEGMENTS)
    for a, b, c in zip(plain, other, few, strict=True):
        assert (a - b).abs().max() < min(0.04 * a.abs().max(), 0.3 * (a - c).abs().max())


def test_an_orthogonal_design_of_lime_needs_fewer_samples(cnn, pixels, targets):
    truth = xai.attribute("lime", cnn, pixels, targets, samples=20000, seed=99, **SEGMENTS)

    def miss(design):
        options = dict(samples=64, alpha=1e-6, design=design, **SEGMENTS)
        found = [xai.attribute("lime", cnn, pixels, targets, seed=seed, **options) for seed in range(12)]
        return sum((maps - truth).square().mean().item() for maps in found)

    assert miss("orthogonal") < 0.75 * miss("paired") < 0.5 * miss("independent")


@pytest.mark.parametrize("estimator", ["regression", "permutations"])
@pytest.mark.parametrize("hidden", ["mean", "segment_mean", "black"])
def test_kernel_shap_recovers_an_additive_network(squares, pixels, targets, hidden, estimator):
    labels = labels_of(pixels)
    truth = planted(squares, pixels, targets, labels, hidden)
    options = dict(hidden=hidden, samples=60, output="logit", estimator=estimator, **SEGMENTS)
    whole = xai.attribute("kernel_shap", squares, pixels, targets, spread="whole", **options)
    assert_close(whole, paint(truth, labels, "whole"), atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("options", [{"samples": 10}, {"samples": 21, "estimator": "permutations"}])
def test_kernel_shap_maps_sum_to_the_difference_of_the_scores(cnn, pixels, targets, options):
    """captum writes a superpixel's value on each of its pixels, so its maps cannot be summed; these can."""
    labels = labels_of(pixels)
    maps = xai.attribute("kernel_shap", cnn, pixels, targets, **options, **SEGMENTS)
    hidden = hide(cnn, pixels, labels, "mean")
    rise = (cnn(pixels).softmax(1) - cnn(hidden).softmax(1)).gather(1, targets[:, None])[:, 0]
    assert_close(maps.sum((1, 2)), rise.detach(), atol=1e-6, rtol=1e-4)


def exact_shapley(value, players):
    """Shapley values by their definition over all coalitions; `value` takes a tuple of bools."""
    result = np.zeros(players)
    for i in range(players):
        others = [j for j in range(players) if j != i]
        for size in range(players):
            weight = math.factorial(size) * math.factorial(players - 1 - size) / math.factorial(players)
            for group in itertools.combinations(others, size):
                base = tuple(j in group for j in range(players))
                result[i] += weight * (value(tuple(b or j == i for j, b in enumerate(base))) - value(base))
    return result


@pytest.mark.parametrize("estimator", ["regression", "permutations"])
def test_kernel_shap_converges_to_shapley_values(cnn, pixels, targets, estimator):
    options = dict(segments=8, compactness=30.0, sigma=0.0)
    labels = superpixels(pixels[:1], **options)
    players, hidden = counts(labels)[0], hide(cnn, pixels[:1], labels, "mean")
    assert 5 <= players <= 10
    patterns = torch.tensor(list(itertools.product([False, True], repeat=players)))
    with torch.no_grad():
        shown = patterns[:, labels[0]][:, None]
        outputs = cnn(torch.where(shown, pixels[:1], hidden)).softmax(1)[:, targets[0]].double().tolist()
    table = dict(zip(map(tuple, patterns.tolist()), outputs, strict=True))
    truth = exact_shapley(table.__getitem__, players)
    options |= {"estimator": estimator, "samples": 4000, "spread": "whole"}
    maps = xai.attribute("kernel_shap", cnn, pixels[:1], targets[:1], **options)
    found = np.array([maps[0][labels[0] == s][0].item() for s in range(players)])
    assert np.abs(found - truth).max() < 0.02 * np.abs(truth).max()


def test_parity_of_kernel_shap_with_captum(squares, pixels, targets):
    labels = labels_of(pixels)
    image, groups = pixels[:1], labels[:1, None].expand(1, 3, -1, -1)
    torch.manual_seed(0)
    np.random.seed(0)
    peer = KernelShap(squares).attribute(
        image, squares.mean_colour.expand_as(image), int(targets[0]), feature_mask=groups, n_samples=200
    )
    options = dict(samples=60, output="logit", spread="whole", **SEGMENTS)
    ours = xai.attribute("kernel_shap", squares, image, targets[:1], **options)
    assert_close(ours, peer[:, 0].float(), atol=2e-3, rtol=1e-3)


def test_coalition_sizes_follow_the_shapley_kernel():
    drawn = _draw(7, 6000, torch.Generator().manual_seed(0))
    assert drawn[0].all() and not drawn[1].any()
    sizes = torch.bincount(drawn[2:].sum(1), minlength=8)[1:7].double()
    kernel = torch.tensor([1 / (k * (7 - k)) for k in range(1, 7)], dtype=torch.float64)
    assert_close(sizes / sizes.sum(), kernel / kernel.sum(), atol=2e-3, rtol=0)
    assert torch.equal(drawn[2:6002], ~drawn[6002:])


def test_ridge_equals_scikit_learn_and_solves_many_images_at_once():
    from sklearn.linear_model import Ridge

    generator = torch.Generator().manual_seed(0)
    features = (torch.rand(3, 40, 6, generator=generator) < 0.5).double()
    values, weights = torch.rand(2, 3, 40, generator=generator, dtype=torch.float64)
    found = ridge(features, values, weights, 0.7)
    for i in range(3):
        peer = Ridge(alpha=0.7).fit(features[i].numpy(), values[i].numpy(), sample_weight=weights[i].numpy())
        np.testing.assert_allclose(found[i].numpy(), peer.coef_, rtol=1e-9)


@pytest.mark.parametrize(("hidden", "colour"), [("segment_mean", None), ("black", 0.0)])
def test_parity_with_the_lime_package(cnn, pixels, targets, hidden, colour, explain_by_package):
    """On the package's own coalitions the coefficients are equal; on ours they agree up to the draw."""
    labels, samples = labels_of(pixels), 1500
    maps = xai.attribute("lime", cnn, pixels, targets, hidden=hidden, samples=samples, **SEGMENTS)
    for i in range(2):
        image, target, own = pixels[i : i + 1], targets[i : i + 1], labels[i : i + 1]
        theirs, shown = explain_by_package(cnn, image[0], int(target), own[0], colour, samples)
        coalitions = Coalitions(image, hide(cnn, image, own, hidden), own, shown[None])
        same = surrogates(cnn, target, coalitions, counts(own), "probability", 0.25, 1.0)[0]
        assert_close(same, theirs, atol=1e-6, rtol=1e-4)
        ours = np.array([maps[i][labels[i] == s][0].item() for s in range(len(theirs))])
        assert np.corrcoef(ours, theirs)[0, 1] > 0.98


def test_superpixels_are_made_once_an_image(pixels, monkeypatch):
    from xailib.attribution import superpixels as module

    monkeypatch.setattr(module, "_cache", type(module._cache)())
    first = superpixels(pixels, 7, 10.0, 1.0)
    monkeypatch.setattr(module, "_slic", lambda *_: pytest.fail("segmented a second time"))
    assert torch.equal(superpixels(pixels.flip(0), 7, 10.0, 1.0), first.flip(0))
    for image in first:
        assert torch.equal(image.unique(), torch.arange(int(image.max()) + 1))


def test_an_even_image_is_one_superpixel_and_works(cnn, targets):
    flat = torch.full((2, 3, 24, 20), 0.5)
    for name, options in [
        ("lime", {}), ("lime", {"design": "orthogonal"}), ("kernel_shap", {}), ("kernel_shap", {"estimator": "permutations"})
    ]:  # fmt: skip
        maps = xai.attribute(name, cnn, flat, targets[:2], samples=6, segments=1, **options)
        assert maps.shape == (2, 24, 20)
        assert (maps.flatten(1).amax(1) == maps.flatten(1).amin(1)).all()


def test_segment_mean_is_each_superpixels_own_colour(cnn, pixels):
    labels = labels_of(pixels)
    colours = hide(cnn, pixels, labels, "segment_mean")
    inside = labels[1] == 2
    assert_close(colours[1][:, inside], pixels[1][:, inside].mean(1, keepdim=True).expand(-1, int(inside.sum())))


def test_spread(pixels):
    labels = labels_of(pixels)
    coefficients = torch.rand(4, max(counts(labels)))
    for i, count in enumerate(counts(labels)):
        coefficients[i, count:] = 0
    assert_close(paint(coefficients, labels, "shared").sum((1, 2)), coefficients.sum(1))
    whole = paint(coefficients, labels, "whole")
    assert all((whole[i] == coefficients[i][labels[i]]).all() for i in range(4))


def test_passes_are_the_samples(cnn, pixels, targets):
    with engine.using() as run:
        xai.attribute("lime", cnn, pixels, targets, samples=11, **SEGMENTS)
    assert run.cost.forward == 4 * 11
    with engine.using() as run:
        xai.attribute("kernel_shap", cnn, pixels, targets, samples=10, **SEGMENTS)
    assert run.cost.forward == 4 * 12
    with engine.using() as run:
        xai.attribute("kernel_shap", cnn, pixels, targets, samples=21, estimator="permutations", **SEGMENTS)
    assert run.cost.forward == 4 * 23


def test_options_out_of_range_are_refused(cnn, pixels, targets):
    for name, options in [("lime", {"samples": 0}), ("lime", {"kernel_width": 0.0}), ("kernel_shap", {"samples": 1}),
                          ("lime", {"segments": 0}), ("lime", {"samples": 9, "design": "paired"}),
                          ("kernel_shap", {"samples": 3, "estimator": "permutations"})]:  # fmt: skip
        with pytest.raises(xai.InputError, match=next(iter(options))):
            xai.attribute(name, cnn, pixels, targets, **options)
