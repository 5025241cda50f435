"""ROAD on networks whose curves are known, and against pytorch-grad-cam's."""

import numpy as np
import pytest
import torch

import xailib as xai
from xailib.errors import InputError
from xailib.metrics import curves

NAMES = ["road_morf", "road_lerf"]


@pytest.fixture
def spot(batch, evidence):
    """A bright square in the dark, a network that looks for nothing else, and the map that says so."""
    square = torch.zeros(8, 8)
    square[3:6, 2:5] = 1
    return evidence(square / 9), batch(square.expand(1, 3, -1, -1).clone()), square[None]


def test_the_true_map_is_at_both_ends_of_the_range(spot) -> None:
    """What is dark around the square closes over it at once; when it goes last, nothing is missed before."""
    model, images, true = spot
    random = torch.rand(1, 8, 8, generator=torch.Generator().manual_seed(0))
    found = {
        name: [
            xai.evaluate(name, maps, model, images, steps=4, noise=0)["value"].item() for maps in (true, random, -true)
        ]
        for name in NAMES
    }
    low, high = pytest.approx(1 / 8, abs=1e-6), pytest.approx(7 / 8, abs=1e-6)  # but for one step of four
    assert found["road_morf"][0] == low and found["road_lerf"][0] == high
    assert found["road_morf"][2] == high and found["road_lerf"][2] == low
    assert found["road_morf"] == sorted(found["road_morf"]) and found["road_lerf"] == sorted(found["road_lerf"])[::-1]
    assert all(len(set(values)) == 3 for values in found.values())


def test_a_hole_in_what_is_even_leaves_nothing_behind(batch, evidence) -> None:
    """Deletion's fill lowers the answer wherever it is; here it stays until nothing is left to close holes from."""
    weights = torch.rand(8, 8, generator=torch.Generator().manual_seed(1))
    model, images = evidence(weights / weights.sum()), batch(torch.full((1, 3, 8, 8), 0.7))
    line = curves("road_morf", weights[None], model, images, noise=0)[0]
    assert line[:-1].tolist() == pytest.approx([0.7] * 10, abs=1e-6) and line[-1] == pytest.approx(0, abs=1e-6)
    assert xai.evaluate("deletion", weights[None], model, images)["value"].item() < 0.3


@pytest.mark.parametrize(("name", "kind"), [("road_morf", "Most"), ("road_lerf", "Least")])
def test_it_is_pytorch_grad_cams(name, kind, small_model, small_images, small_maps) -> None:
    """At the shares at which both take the same number of 256 pixels; theirs is asked with normalised images."""
    road = pytest.importorskip("pytorch_grad_cam.metrics.road")
    ours = curves(name, small_maps, small_model, small_images, noise=0)
    maps = small_maps.numpy() / 10  # theirs turns maps over by 1 - map
    targets = [lambda logits, label=label: logits.softmax(-1)[label] for label in small_images.labels]
    for step in (1, 3, 5, 7, 9):
        theirs = getattr(road, f"ROAD{kind}RelevantFirst")(percentile=100 - 10 * step)
        theirs.perturbation.imputer.noise = 0
        normalised = small_model.normalise(small_images.pixels)
        scores = theirs(normalised, maps, targets, small_model.network, return_diff=False)
        np.testing.assert_allclose(ours[:, step], scores, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_value_is_the_area_under_the_curve(name, small_model, small_images, small_maps) -> None:
    kept = {}
    frame = xai.evaluate(name, small_maps, small_model, small_images, steps=5, keep_curves=kept)
    line = kept[name]
    assert line.shape == (7, 6) and frame.attrs == {}
    assert torch.equal(line.double(), curves(name, small_maps, small_model, small_images, steps=5))
    heights = (line[:, 1:] + line[:, :-1]).double().numpy() / 2
    shares = np.array([0, 51, 102, 154, 205, 256]) / 256
    np.testing.assert_allclose(frame["value"], (heights * np.diff(shares)).sum(1))
    np.testing.assert_allclose(frame["full_score"], line[:, 0])
    np.testing.assert_allclose(frame["value_normalised"], frame["value"] / frame["full_score"])
    both = torch.stack([curves(other, small_maps, small_model, small_images, steps=5) for other in NAMES])
    assert torch.equal(*both[:, :, [0, 5]]) and not torch.allclose(*both[:, :, 1:5])


@pytest.mark.parametrize("name", NAMES)
def test_batch_and_order_change_nothing(name, small_model, small_images, small_maps) -> None:
    """Noise and ties belong to an image's content, whatever it is called."""
    maps, order = small_maps.round(), [3, 1, 6, 0]
    whole = xai.evaluate(name, maps, small_model, small_images, steps=4, batch_size=3)["value"].to_numpy()
    part = xai.evaluate(
        name, maps[order], small_model, small_images.pixels[order], targets=small_images.labels[order], steps=4
    )
    np.testing.assert_allclose(part["value"], whole[order], atol=1e-6)
    other = xai.evaluate(name, maps, small_model, small_images, steps=4, seed=1)["value"]
    assert (np.abs(other - whole) > 1e-9).all()


def test_noise_is_on_imputed_pixels_alone(batch, evidence) -> None:
    model, images = evidence(torch.full((8, 8), 1 / 64)), batch(torch.full((1, 3, 8, 8), 0.5))
    maps = torch.rand(1, 8, 8, generator=torch.Generator().manual_seed(3))
    quiet, loud = (curves("road_morf", maps, model, images, steps=4, noise=noise)[0, :4] for noise in (0, 0.1))
    assert quiet.tolist() == pytest.approx([0.5] * 4) and loud[0] == quiet[0]
    assert (loud[1:] != quiet[1:]).all() and (loud - quiet).abs().max() < 0.05


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": 1}, "steps must be at least 2"),
        ({"noise": -0.1}, "noise must be at least 0"),
        ({"steps": 65}, "65 is"),
    ],
)
def test_bad_options_are_named(options, message, spot) -> None:
    model, images, true = spot
    with pytest.raises(InputError, match=message):
        xai.evaluate("road_morf", true, model, images, **options)
