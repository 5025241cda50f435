"""Gradient, Integrated Gradients and SHAP: closed forms, and parity with captum."""

import numpy as np
import pytest
import torch
from captum.attr import GradientShap, IntegratedGradients, Saliency
from torch.testing import assert_close

import xailib as xai
from xailib import engine
from xailib.attribution.shap import _draw, expected_gradients


def test_gradient_of_a_linear_network_is_its_weights(linear, linear_weights, pixels, targets):
    truth = linear_weights[targets]
    assert_close(xai.attribute("gradient", linear, pixels, targets), truth.abs().amax(1))
    assert_close(xai.attribute("gradient", linear, pixels, targets, pooling="abs_sum"), truth.abs().sum(1))
    assert_close(xai.attribute("gradient", linear, pixels, targets, pooling="signed_mean"), truth.mean(1))


def test_gradient_of_the_probability_follows_the_softmax(linear, linear_weights, pixels, targets):
    p = linear(pixels).softmax(1)
    centred = linear_weights[targets] - torch.einsum("nk,kchw->nchw", p, linear_weights)
    truth = p.gather(1, targets[:, None])[:, :, None, None] * centred
    maps = xai.attribute("gradient", linear, pixels, targets, pooling="signed_sum", output="probability")
    assert_close(maps, truth.sum(1))


@pytest.mark.parametrize("ahead", [0.0, 16.0, 24.0])
def test_the_probability_of_a_sure_network_has_its_slope(linear, linear_weights, pixels, ahead):
    """Where 1 - p is as small as float32's rounding of p, too."""
    first = torch.zeros(len(pixels), dtype=torch.long)
    with torch.no_grad():
        linear.network[1].weight.mul_(0.1)
        linear.network[1].bias.zero_()[0] = ahead
    p, slopes = linear(pixels).double().softmax(1)[:, :, None, None, None], 0.1 * linear_weights.double()
    truth = p[:, 0] * (p[:, 1:] * (slopes[0] - slopes[1:])).sum(1)
    options = {"output": "probability", "pooling": "signed_sum"}
    maps = xai.attribute("gradient", linear, pixels, first, **options).double()
    assert_close(maps, truth.sum(1), rtol=1e-4, atol=1e-5 * float(truth.abs().max()))
    shares = xai.attribute("integrated_gradients", linear, pixels, first, reference="mean", **options).double()
    start = linear(linear.mean_colour.expand_as(pixels)).double().softmax(1)
    rise = start[:, 1:].sum(1) - p[:, 1:].sum(1).flatten()  # not p[:, 0] - start[:, 0], which cancels
    assert_close(shares.sum((1, 2)), rise, rtol=1e-4, atol=0.0)


def test_integrated_gradients_of_a_linear_network(linear, linear_weights, pixels, targets):
    black = xai.attribute("integrated_gradients", linear, pixels, targets, steps=3)
    assert_close(black, (linear_weights[targets] * pixels).sum(1))
    mean = xai.attribute("integrated_gradients", linear, pixels, targets, steps=3, reference="mean")
    assert_close(mean, (linear_weights[targets] * (pixels - linear.mean_colour)).sum(1), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("reference", ["black", "mean"])
def test_integrated_gradients_are_complete(squares, pixels, targets, reference):
    start = squares.mean_colour.expand_as(pixels) if reference == "mean" else torch.zeros_like(pixels)
    maps = xai.attribute("integrated_gradients", squares, pixels, targets, reference=reference, steps=4)
    rise = (squares(pixels) - squares(start)).gather(1, targets[:, None])[:, 0]
    assert_close(maps.sum((1, 2)), rise.detach(), atol=1e-4, rtol=1e-4)


def test_random_reference_averages_seeded_noise(linear, linear_weights, pixels, targets):
    maps = xai.attribute("integrated_gradients", linear, pixels, targets, reference="random", trials=3, steps=2)
    expected = (linear_weights[targets] * (pixels - 0.5)).sum(1)
    many = xai.attribute("integrated_gradients", linear, pixels, targets, reference="random", trials=60, steps=1)
    assert (many - expected).abs().mean() < 0.4 * (maps - expected).abs().mean()
    again = xai.attribute("integrated_gradients", linear, pixels, targets, reference="random", trials=3, steps=2)
    other = xai.attribute(
        "integrated_gradients", linear, pixels, targets, reference="random", trials=3, steps=2, seed=1
    )
    assert torch.equal(maps, again) and not torch.allclose(maps, other)


def test_shap_of_a_linear_network_is_the_distance_to_the_mean_reference(linear, linear_weights, pixels, targets):
    references = torch.rand(6, *pixels.shape[1:], generator=torch.Generator().manual_seed(0))
    truth = (linear_weights[targets] * (pixels - references.mean(0))).sum(1)
    maps = xai.attribute("shap", linear, pixels, targets, references=references, samples=3000)
    assert_close(maps, truth, atol=0.02, rtol=0)
    one = xai.attribute("shap", linear, pixels, targets, references=references[:1], samples=2)
    assert_close(one, (linear_weights[targets] * (pixels - references[0])).sum(1), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("samples", [6, 18])
def test_balanced_shap_of_a_linear_network_is_exact(linear, linear_weights, pixels, targets, samples):
    """Each reference equally often: their mean is no draw any more; the line's places never mattered here."""
    references = torch.rand(6, *pixels.shape[1:], generator=torch.Generator().manual_seed(0))
    truth = (linear_weights[targets] * (pixels - references.mean(0))).sum(1)
    options = dict(references=references, samples=samples, draws="balanced")
    assert_close(xai.attribute("shap", linear, pixels, targets, **options), truth, atol=1e-5, rtol=1e-4)
    free = xai.attribute("shap", linear, pixels, targets, references=references, samples=samples, draws="independent")
    assert (free - truth).abs().max() > 0.01


def test_draws_of_shap_are_what_they_are_called():
    for draws, strata, even in [("independent", False, False), ("stratified", True, False), ("balanced", True, True)]:
        chosen, places = _draw(draws, 40, 8, torch.Generator().manual_seed(0))
        assert torch.equal((places * 40).long().sort().values, torch.arange(40)) == strata
        assert (torch.bincount(chosen, minlength=8) == 5).all() == even
        assert places.min() >= 0 and places.max() < 1
    chosen, places = _draw("balanced", 4000, 10, torch.Generator().manual_seed(0))
    assert np.corrcoef(chosen.numpy(), places.numpy())[0, 1] == pytest.approx(0, abs=0.06)
    assert len(_draw("balanced", 3, 10, torch.Generator().manual_seed(0))[0].unique()) == 3


def test_shap_without_references_uses_seeded_noise_images(linear, linear_weights, pixels, targets):
    maps = xai.attribute("shap", linear, pixels, targets, samples=400, noise_references=200)
    truth = (linear_weights[targets] * (pixels - 0.5)).sum(1)
    assert torch.corrcoef(torch.stack([maps.flatten(), truth.flatten()]))[0, 1] > 0.98


def test_parity_of_gradient_and_integrated_gradients_with_captum(cnn, pixels, targets):
    signed = xai.attribute("gradient", cnn, pixels, targets, pooling="signed_sum")
    peer = Saliency(cnn).attribute(pixels.clone().requires_grad_(), targets, abs=False)
    assert_close(signed, peer.sum(1), atol=1e-6, rtol=1e-4)
    # captum's default takes absolute values and says so only in its signature: here the sign is an option with a name.
    default = Saliency(cnn).attribute(pixels.clone().requires_grad_(), targets)
    assert_close(xai.attribute("gradient", cnn, pixels, targets), default.amax(1), atol=1e-6, rtol=1e-4)
    peer = IntegratedGradients(cnn).attribute(pixels, torch.zeros_like(pixels), targets, n_steps=20)
    assert_close(
        xai.attribute("integrated_gradients", cnn, pixels, targets, steps=20), peer.sum(1).float(), atol=1e-5, rtol=1e-3
    )


def test_parity_of_shap_with_captum_on_the_same_draws(cnn, pixels, targets):
    """captum's one reference leaves the place on the line as its only draw; read it from what the network was given."""
    reference = torch.full_like(pixels[:1], 0.25)
    seen = []
    handle = cnn.register_forward_pre_hook(lambda _module, inputs: seen.append(inputs[0].detach()))
    np.random.seed(0)
    peer = GradientShap(cnn).attribute(pixels, reference, n_samples=8, stdevs=0.0, target=targets)
    handle.remove()
    points = torch.cat(seen).view(4, 8, *pixels.shape[1:])
    alphas = ((points - reference).flatten(2).sum(2)) / (pixels - reference).flatten(1).sum(1)[:, None]
    assert alphas.min() >= 0 and alphas.max() <= 1
    chosen = torch.zeros(4, 8, dtype=torch.long)
    assert_close(expected_gradients(cnn, pixels, targets, reference, chosen, alphas), peer, atol=1e-5, rtol=1e-3)


def test_shap_adds_no_noise_and_meets_integrated_gradients(squares, pixels, targets):
    """With one reference and many samples SHAP is IG; noise as in NoiseTunnel's defaults would blur the squares."""
    black = torch.zeros_like(pixels[:1])
    maps = xai.attribute("shap", squares, pixels, targets, references=black, samples=400)
    truth = xai.attribute("integrated_gradients", squares, pixels, targets, steps=4)
    assert_close(maps, truth, atol=1e-3 * float(truth.abs().max()), rtol=0)


def test_passes_are_counted_and_no_more_than_needed(cnn, pixels, targets):
    for name, options, passes in [
        ("gradient", {}, 4), ("integrated_gradients", {"steps": 5}, 20), ("shap", {"samples": 7}, 28)
    ]:  # fmt: skip
        with engine.using(batch_size=3) as run:
            xai.attribute(name, cnn, pixels, targets, **options)
        assert (run.cost.forward, run.cost.backward) == (passes, passes)


def test_options_out_of_range_are_refused(cnn, pixels, targets):
    with pytest.raises(xai.InputError, match="steps must be at least 1"):
        xai.attribute("integrated_gradients", cnn, pixels, targets, steps=0)
    with pytest.raises(xai.InputError, match="references must be images"):
        xai.attribute("shap", cnn, pixels, targets, references=torch.rand(2, 3, 8, 8))
