"""Forms of estimators: closed forms, a plain loop, captum on the same noise, and one noise pass for all."""

import pytest
import torch
from captum.attr import IntegratedGradients, NoiseTunnel, Saliency
from torch.testing import assert_close

from xailib import engine, registry
from xailib.attribution.ensembles import Moments, moments, noisy_copies
from xailib.attribution.estimators import estimate
from xailib.attribution.gradients import gradient

FORMS = registry.estimator.names()
NOISY = [name for name in FORMS if registry.estimator.get(name).noisy]


def record(form, method="gradient", **values):
    facts = {"estimator": form, "estimator_method": method, "estimator_form": form, "estimator_samples": 6}
    return {**facts, **{f"estimator_{key}": value for key, value in values.items()}}


def all_forms(method="gradient", **values):
    return [record(form, method, **values) for form in FORMS]


def scaled(expected):
    """Tolerances of rounding, for maps of any scale."""
    return {"atol": 1e-5 * float(expected.abs().max()), "rtol": 1e-4}


def test_the_six_forms_and_what_they_say_of_themselves():
    assert FORMS == ["plain", "squared", "smoothgrad", "smoothgrad_then_squared", "smoothgrad_squared", "vargrad"]
    assert FORMS[2:] == NOISY
    families = [registry.estimator.get(name).family for name in FORMS]
    assert families == ["base", "squared", "smoothgrad", "squared", "ensemble", "ensemble"]


def test_noise_changes_nothing_on_a_linear_network(linear, linear_weights, pixels, targets):
    maps, truth = estimate(all_forms(), linear, pixels, targets), linear_weights[targets]
    for form in ("plain", "smoothgrad"):
        assert_close(maps[form], truth)
    for form in ("squared", "smoothgrad_then_squared", "smoothgrad_squared"):
        assert_close(maps[form], truth**2)
    assert float(maps["vargrad"].abs().max()) < 1e-10


def test_variance_on_a_quadratic_network_is_known(squares, pixels, targets):
    """logit = w z^2 with z = (x - mean) / std: its gradient is linear in x, so noise of sigma has a variance of
    (2 w / std^2)^2 sigma^2 in it and leaves its mean alone."""
    maps = estimate(all_forms(samples=400, noise=0.2), squares, pixels, targets)
    slope = 2 * squares.network.linear.weight.view(-1, *pixels.shape[1:])[targets] / squares.std**2
    sigma = 0.2 * (pixels.amax((1, 2, 3)) - pixels.amin((1, 2, 3)))[:, None, None, None]
    variance, gradient = (slope * sigma) ** 2, slope * (pixels - squares.mean)
    # 5,760 values with 400 copies each: their mean ratio is within 0.1 % x 4 of 1.
    assert (maps["vargrad"] / variance).mean().item() == pytest.approx(399 / 400, abs=0.005)
    assert ((maps["smoothgrad"] - gradient) ** 2 / (variance / 400)).mean().item() == pytest.approx(1, abs=0.1)
    expected = maps["vargrad"] + maps["smoothgrad"] ** 2
    assert_close(maps["smoothgrad_squared"], expected, **scaled(expected))


@pytest.mark.parametrize("method", ["gradient", "guided_backprop"])
def test_forms_equal_a_plain_loop(method, cnn, pixels, targets):
    maps = estimate(all_forms(method, samples=5, noise=0.3), cnn, pixels, targets, seed=4)
    channels = registry.method.get(method).function.channels
    copies = list(noisy_copies(pixels, 5, 0.3, seed=4))
    each = torch.stack([channels(cnn, copy, targets) for copy in copies]).double()
    single = channels(cnn, pixels, targets).double()
    loop = {
        "plain": single,
        "squared": single**2,
        "smoothgrad": each.mean(0),
        "smoothgrad_then_squared": each.mean(0) ** 2,
        "smoothgrad_squared": (each**2).mean(0),
        "vargrad": ((each - each.mean(0)) ** 2).mean(0),
    }
    for form, expected in loop.items():
        assert_close(maps[form].double(), expected, **scaled(expected))
    assert not torch.allclose(maps["smoothgrad"], maps["plain"], rtol=0.1)


@pytest.mark.parametrize("kind", ["gradient", "integrated_gradients"])
def test_parity_with_captum_on_the_same_noise(kind, cnn, pixels, targets, monkeypatch):
    """captum adds what `torch.normal` gives; here it is given our noise, image by image and copy by copy."""
    copies = torch.stack(list(noisy_copies(pixels, 6, 0.15, seed=0)), dim=1)
    noise = (copies - pixels[:, None]).flatten(0, 1)
    monkeypatch.setattr(torch, "normal", lambda mean, deviation: noise)
    base, options = Saliency(cnn), {"abs": False}
    if kind == "integrated_gradients":
        base, options = IntegratedGradients(cnn), {"n_steps": 4, "baselines": torch.zeros_like(pixels)}
    given = {"options": {"steps": 4}} if kind == "integrated_gradients" else {}
    maps = estimate(all_forms(kind, **given), cnn, pixels, targets)
    for ours, theirs in {
        "smoothgrad": "smoothgrad",
        "smoothgrad_squared": "smoothgrad_sq",
        "vargrad": "vargrad",
    }.items():
        inputs = pixels.clone().requires_grad_()
        peer = NoiseTunnel(base).attribute(inputs, nt_type=theirs, nt_samples=6, target=targets, **options).detach()
        # captum's variance is mean(x^2) - mean(x)^2 in fp32, which loses digits where the mean is large.
        atol = 1e-4 * float(peer.abs().max())
        assert_close(maps[ours].float(), peer.float(), atol=atol, rtol=1e-3)


def test_one_pass_over_the_image_and_one_over_its_copies_serve_all_forms(cnn, pixels, targets):
    for batch_size in (3, 128):
        with engine.using(batch_size=batch_size) as run:
            estimate(all_forms(), cnn, pixels, targets)
        assert (run.cost.forward, run.cost.backward) == (4 * (1 + 6),) * 2
    with engine.using() as run:
        estimate([record(form) for form in NOISY], cnn, pixels, targets)
    assert run.cost.backward == 4 * 6
    with engine.using() as run:
        estimate(all_forms("integrated_gradients", options={"steps": 3}), cnn, pixels, targets)
    assert run.cost.backward == 4 * (1 + 6) * 3


@pytest.mark.parametrize("method", ["gradient", "integrated_gradients", "guided_backprop"])
def test_batch_size_order_and_company_change_nothing(method, cnn, pixels, targets):
    records = all_forms(method, samples=4, **({"options": {"steps": 3}} if method == "integrated_gradients" else {}))
    whole = estimate(records, cnn, pixels, targets)
    order = torch.tensor([2, 0, 3, 1])
    others = [
        (estimate(records, cnn, pixels, targets, batch_size=1), slice(None)),
        (estimate(records, cnn, pixels, targets, batch_size=3), slice(None)),
        (estimate(records, cnn, pixels[order], targets[order]), order),
        (estimate(records, cnn, pixels[1:2], targets[1:2]), slice(1, 2)),
    ]
    for form, expected in whole.items():
        for found, rows in others:
            assert_close(found[form], expected[rows], **scaled(expected))
    again = estimate(records, cnn, pixels, targets)
    assert all(torch.equal(again[form], whole[form]) for form in whole)
    other = estimate(records, cnn, pixels, targets, seed=1)
    assert torch.equal(other["plain"], whole["plain"]) and not torch.allclose(other["vargrad"], whole["vargrad"])


def test_without_noise_smoothgrad_is_the_method(cnn, pixels, targets):
    maps = estimate(all_forms(noise=0, samples=2), cnn, pixels, targets)
    assert_close(maps["smoothgrad"], maps["plain"], **scaled(maps["plain"]))
    one = moments(lambda copies, images: gradient.channels(cnn, copies, targets[images]), noisy_copies(pixels, 1, 0, 0))
    assert_close(one.mean, maps["plain"], **scaled(maps["plain"]))
    assert not one.variance.any()


def test_noise_is_relative_to_each_image_and_starts_alike_for_any_count():
    images = torch.rand(3, 3, 40, 40, generator=torch.Generator().manual_seed(0))
    images[1] = images[1] * 0.1 + 0.4
    images[2] = 0.5
    copies = list(noisy_copies(images, 4, 0.15, seed=0))
    assert all(torch.equal(a, b) for a, b in zip(noisy_copies(images, 2, 0.15, seed=0), copies[:2], strict=True))
    noise = torch.stack(copies) - images
    assert noise[:, 0].std().item() == pytest.approx(0.15, rel=0.03)
    assert noise[:, 1].std().item() == pytest.approx(0.015, rel=0.03)
    assert not noise[:, 2].any(), "a constant image has no range to scale noise with"
    assert noise[0, 0].ne(noise[1, 0]).any() and copies[0].max() > 1, "fresh noise, not cut to [0, 1]"


def test_moments_survive_large_means_and_do_not_depend_on_how_many_copies_go_together():
    values = 1000 + torch.randn(7, 2, 5, generator=torch.Generator().manual_seed(0))
    found = [moments(lambda copies, images: copies, iter(values), together) for together in (1, 2, 7, 50)]
    exact = values.double().var(0, unbiased=False)
    for each in found:
        assert_close(each.variance.double(), exact, rtol=1e-3, atol=1e-4)
        assert torch.equal(each.mean, found[0].mean) and torch.equal(each.variance, found[0].variance)
    with pytest.raises(AssertionError):  # what the textbook's difference of means of squares makes of the same values
        assert_close(((values**2).mean(0) - values.mean(0) ** 2).double(), exact, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("form", FORMS)
def test_forms_are_functions_of_the_moments(form):
    moments = Moments(mean=torch.tensor([-2.0, 3.0]), variance=torch.tensor([0.5, 4.0]))
    expected = {
        "plain": [-2, 3], "squared": [4, 9], "smoothgrad": [-2, 3], "smoothgrad_then_squared": [4, 9],
        "smoothgrad_squared": [4.5, 13], "vargrad": [0.5, 4],
    }  # fmt: skip
    assert registry.estimator.get(form).function(moments).tolist() == expected[form]
