"""captum's infidelity and max sensitivity: planted truth, captum's own numbers, random streams and refusals."""

import captum.metrics
import numpy as np
import pytest
import torch

import xailib as xai
from xailib import engine


@pytest.fixture
def planted(batch, evidence):
    """Images whose class 0 has probability sum(weights * brightness), and the map that says so."""
    generator = torch.Generator().manual_seed(0)
    weights = torch.rand(16, 16, generator=generator)
    images = batch(torch.rand(6, 3, 16, 16, generator=generator))
    model = evidence(weights / weights.sum())
    return model, images, (images.pixels.mean(1) * weights).float()


def test_a_map_that_tells_every_loss_has_no_infidelity(planted) -> None:
    model, images, maps = planted
    true = xai.evaluate("infidelity", maps, model, images)["value"]
    scaled = xai.evaluate("infidelity", 7 * maps, model, images)["value"]
    random = xai.evaluate("infidelity", torch.rand(maps.shape), model, images)["value"]
    inverted = xai.evaluate("infidelity", maps.amax((1, 2), keepdim=True) - maps, model, images)["value"]
    assert (true < 1e-9).all() and (scaled < 1e-9).all()
    assert (random > 1e-6).all() and (inverted > 1e-6).all() and (inverted < 1).all()


def test_infidelity_is_captums(small_model, small_images, small_maps) -> None:
    """Asked directly, for squares that cover the image by rows and columns of its pixels."""
    ours = xai.evaluate("infidelity", small_maps, small_model, small_images, samples=9, window=0.5, seed=3)["value"]
    from xailib.seeding import generators

    for i, stream in enumerate(generators(small_images.pixels, 3, "infidelity")):
        top, left = (torch.randint(9, (9, 1, 1, 1), generator=stream).flatten().tolist() for _ in range(2))
        image, label = small_images.pixels[i, None], int(small_images.labels[i])
        squares = torch.zeros(9, 1, 16, 16)
        for square, y, x in zip(squares, top, left, strict=True):
            square[:, y : y + 8, x : x + 8] = 1

        def cover(inputs, squares=squares):
            return squares.expand_as(inputs) / 3, torch.lerp(inputs, small_model.mean_colour.expand_as(inputs), squares)

        direct = captum.metrics.infidelity(
            lambda x: small_model(x).softmax(1), cover, image, small_maps[i, None, None].expand(1, 3, 16, 16),
            target=label, n_perturb_samples=9, normalize=True,
        )  # fmt: skip
        np.testing.assert_allclose(ours[i], float(direct), rtol=1e-3, atol=1e-9)


def test_sensitivity_is_captums(cnn_images) -> None:
    model, images = cnn_images
    maps = xai.attribute("gradient", model, images, "label", pooling="signed_sum")
    ours = xai.evaluate("max_sensitivity", maps, model, images, samples=4, radius=0.05, seed=2)["value"]
    from xailib.seeding import generators

    def explain(inputs):
        (pixels,) = inputs if isinstance(inputs, tuple) else (inputs,)
        with torch.enable_grad():
            pixels = pixels.clone().requires_grad_()
            found = torch.autograd.grad(model(pixels)[:, target].sum(), pixels)[0].sum(1)
        return (found,) if isinstance(inputs, tuple) else found

    for i, stream in enumerate(generators(images.pixels, 2, "max_sensitivity")):
        target, noise = int(images.labels[i]), torch.rand(4, 3, 16, 16, generator=stream)
        disturbed = images.pixels[i, None] + 0.05 * (2 * noise - 1)
        direct = captum.metrics.sensitivity_max(
            explain, images.pixels[i, None], lambda _, __, own=disturbed: own, n_perturb_samples=4
        )
        np.testing.assert_allclose(ours[i], float(direct), rtol=1e-3)


@pytest.fixture
def cnn_images(small_model, small_images):
    return small_model, small_images


def test_a_map_that_does_not_see_the_image_never_changes(small_model, small_images) -> None:
    maps = xai.attribute("centre_gaussian", small_model, small_images, "label")
    assert (xai.evaluate("max_sensitivity", maps, small_model, small_images, samples=2)["value"] == 0).all()
    maps = xai.attribute("random", small_model, small_images, "label")
    assert (xai.evaluate("max_sensitivity", maps, small_model, small_images, samples=2)["value"] > 0.3).all()


@pytest.mark.parametrize("name", ["infidelity", "max_sensitivity"])
def test_an_image_keeps_its_score_in_any_company_and_constant_maps_have_none(name, small_model, small_images) -> None:
    maps = xai.attribute("gradient", small_model, small_images, "label")
    maps.values[2] = 0.5
    options = {"samples": 4}
    whole = xai.evaluate(name, maps, small_model, small_images, **options)["value"]
    assert whole.isna().tolist() == [i == 2 for i in range(7)]
    order = [5, 0, 3]
    alone = xai.evaluate(name, maps[order], small_model, small_images.select(order), **options)["value"]
    np.testing.assert_allclose(alone, whole[order], rtol=1e-4)
    torch.manual_seed(99)
    assert xai.evaluate(name, maps, small_model, small_images, **options)["value"].equals(whole)
    other = xai.evaluate(name, maps, small_model, small_images, seed=1, **options)["value"]
    assert (other.dropna() != whole.dropna()).all()


@pytest.mark.parametrize("factor", [2.0**-100, 2.0**100])
def test_scores_do_not_depend_on_the_scale_of_a_map(factor, small_model, small_images, small_maps) -> None:
    """Squares of its values vanish in float32, or have no place there."""
    score = xai.evaluate("infidelity", small_maps, small_model, small_images, samples=9)["value"]
    scaled = xai.evaluate("infidelity", small_maps * factor, small_model, small_images, samples=9)["value"]
    np.testing.assert_allclose(scaled, score, rtol=1e-4)
    for name in ("max_sensitivity", "avg_sensitivity"):
        maps = [xai.attribute("gradient", small_model, small_images, "label")]
        small_model.network.last.weight.mul_(factor)
        maps.append(xai.attribute("gradient", small_model, small_images, "label"))
        scaled = xai.evaluate(name, maps[1], small_model, small_images, samples=3)["value"]
        small_model.network.last.weight.div_(factor)
        score = xai.evaluate(name, maps[0], small_model, small_images, samples=3)["value"]
        np.testing.assert_allclose(scaled, score, rtol=1e-3)


def test_passes_are_counted(small_model, small_images, small_maps) -> None:
    with engine.using() as run:
        xai.evaluate("infidelity", small_maps, small_model, small_images, samples=5)
    assert (run.cost.forward, run.cost.backward) == (7 * (5 + 1), 0)


def test_maps_that_do_not_say_how_they_were_made_cannot_be_explained_again(
    small_model, small_images, small_maps
) -> None:
    with pytest.raises(xai.InputError, match="maps: max sensitivity explains again, so it needs the Maps that"):
        xai.evaluate("max_sensitivity", small_maps, small_model, small_images)
