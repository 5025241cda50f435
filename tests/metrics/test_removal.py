"""Deletion and insertion on networks whose curves are known, and against RISE's formulas and torch-cam."""

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from torch import nn
from torch.nn import functional as F

import xailib as xai
from xailib import engine
from xailib.errors import InputError
from xailib.metrics import curves
from xailib.metrics.removal import OTHERS, blurred, ranked

SIDE = 8


def weights(seed: int = 0, side: int = SIDE) -> torch.Tensor:
    drawn = torch.rand(side, side, generator=torch.Generator().manual_seed(seed))
    return drawn / drawn.sum()


@pytest.fixture
def white(batch):
    return lambda n=1, side=SIDE: batch(torch.ones(n, 3, side, side))


def test_two_pixels_as_in_torch_cam(batch, evidence):
    """Deletion curve 1, 0.3, 0 of area 0.4; insertion curve 0, 0.7, 1 of area 0.6."""
    model, images = evidence(torch.tensor([[0.3, 0.7]])), batch(torch.ones(1, 3, 1, 2))
    maps = torch.tensor([[[1.0, 2.0]]])
    assert curves("deletion", maps, model, images, steps=2)[0].tolist() == pytest.approx([1, 0.3, 0])
    assert curves("insertion", maps, model, images, steps=2, substrate="mean")[0].tolist() == pytest.approx([0, 0.7, 1])
    assert xai.evaluate("deletion", maps, model, images, steps=2)["value"].item() == pytest.approx(0.4)
    assert xai.evaluate("insertion", maps, model, images, steps=2, substrate="mean")["value"].item() == pytest.approx(
        0.6
    )


@pytest.mark.parametrize("steps", [4, 7, 28, 64])
def test_areas_of_an_additive_network_are_exact(evidence, white, steps):
    """The curve is one minus the removed weights; the area follows by trapezoids over the true shares of pixels."""
    metrics = pytest.importorskip("sklearn.metrics")
    planted = weights()
    model, images = evidence(planted), white()
    removed = np.concatenate([[0], np.cumsum(np.sort(planted.flatten().numpy())[::-1])])
    changed = np.round(np.linspace(0, SIDE**2, steps + 1)).astype(int)
    frame = xai.evaluate("deletion", planted[None], model, images, steps=steps)
    assert frame["value"].item() == pytest.approx(metrics.auc(changed / SIDE**2, 1 - removed[changed]), abs=1e-6)
    frame = xai.evaluate("insertion", planted[None], model, images, steps=steps, substrate="mean")
    assert frame["value"].item() == pytest.approx(metrics.auc(changed / SIDE**2, removed[changed]), abs=1e-6)


def test_perfect_maps_reach_the_ends_of_the_range(evidence, white):
    """All evidence in one pixel: deletion falls and insertion rises at once (areas 0 and 1 but for a step)."""
    planted = torch.zeros(SIDE, SIDE)
    planted[5, 2] = 1
    model, images = evidence(planted), white()
    first = 0.5 / SIDE**2
    for maps, low, high in ((planted[None], first, 1 - first), (-planted[None], 1 - first, first)):
        assert xai.evaluate("deletion", maps, model, images, steps=64)["value"].item() == pytest.approx(low, abs=1e-6)
        value = xai.evaluate("insertion", maps, model, images, steps=64, substrate="mean")["value"].item()
        assert value == pytest.approx(high, abs=1e-6)


def test_the_true_map_beats_random_beats_inverted(evidence, white):
    planted = weights()
    random = torch.rand(20, SIDE, SIDE, generator=torch.Generator().manual_seed(5))
    model = evidence(planted)
    areas = {}
    for name in ("deletion", "insertion"):
        options = {} if name == "deletion" else {"substrate": "mean"}
        true, inverted = (
            xai.evaluate(name, m[None], model, white(), **options)["value"].item() for m in (planted, -planted)
        )
        areas[name] = true, xai.evaluate(name, random, model, white(20), **options)["value"].mean(), inverted
    assert areas["deletion"][0] < areas["deletion"][1] < areas["deletion"][2]
    assert areas["insertion"][0] > areas["insertion"][1] > areas["insertion"][2]
    assert areas["deletion"][1] == pytest.approx(0.5, abs=0.03) and areas["insertion"][1] == pytest.approx(
        0.5, abs=0.03
    )


def test_constant_maps_score_at_chance_and_not_by_reading_order(evidence, batch):
    """All evidence at the top: reading order would look like knowledge."""
    planted = torch.zeros(SIDE, SIDE)
    planted[:2] = 1 / (2 * SIDE)
    model = evidence(planted)
    images = batch(1 - 1e-3 * torch.rand(40, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0)))
    constant = torch.zeros(40, SIDE, SIDE)
    assert xai.evaluate("deletion", constant, model, images)["value"].mean() == pytest.approx(0.5, abs=0.04)
    assert xai.evaluate("deletion", constant, model, images, ties="stable")["value"].mean() < 0.2


def test_ties_are_broken_by_a_stream_of_the_image_not_of_its_place(small_images):
    constant = torch.zeros(7, 16, 16)
    order = ranked(constant, small_images, "random", seed=0)
    assert (order.sort(dim=1).values == torch.arange(256)).all() and len({tuple(row.tolist()) for row in order}) == 7
    back = small_images.select([4, 2])
    assert (ranked(constant[:2], back, "random", seed=0) == order[[4, 2]]).all()
    assert (ranked(constant, small_images, "random", seed=1) != order).any()
    steps = torch.arange(256).view(1, 16, 16).expand(7, -1, -1).float()
    assert (ranked(steps, small_images, "random", seed=0) == 255 - torch.arange(256)).all()


def test_normalised_values(evidence, batch):
    """On a grey image every point of the curve halves: normalised values stay."""
    planted = weights()
    model, images = evidence(planted), batch(torch.stack([torch.full((3, SIDE, SIDE), v) for v in (1.0, 0.5)]))
    frame = xai.evaluate("deletion", planted.expand(2, -1, -1), model, images)
    assert list(frame.columns) == [
        "image",
        "metric",
        "value",
        "value_normalised",
        "value_peak_normalised",
        "full_score",
        *OTHERS,
    ]
    assert frame["full_score"].tolist() == pytest.approx([1, 0.5])
    assert frame["value"][1] == pytest.approx(frame["value"][0] / 2)
    assert frame["value_normalised"].tolist() == pytest.approx([frame["value"][0]] * 2)
    assert frame["value_peak_normalised"].tolist() == pytest.approx([frame["value"][0]] * 2)


@pytest.mark.parametrize(("name", "own", "other"), [("deletion", "mean", "blur"), ("insertion", "blur", "mean")])
def test_the_other_substrate_is_scored_beside_as_it_is_alone(evidence, batch, name, own, other):
    model = evidence(weights())
    pixels = torch.rand(3, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(1))
    maps, images = torch.rand(3, SIDE, SIDE, generator=torch.Generator().manual_seed(2)), batch(pixels)
    plain = xai.evaluate(name, maps, model, images, steps=8, kernel=3)
    both = xai.evaluate(name, maps, model, images, steps=8, kernel=3, also=4)
    alone = xai.evaluate(name, maps, model, images, steps=4, kernel=3, substrate=other)
    for suffix in ("", "_normalised"):
        np.testing.assert_array_equal(plain[f"value{suffix}"], plain[f"value_{own}{suffix}"])
        np.testing.assert_array_equal(both[f"value{suffix}"], plain[f"value{suffix}"])
        np.testing.assert_array_equal(both[f"value_{other}{suffix}"], alone[f"value{suffix}"])
        assert plain[f"value_{other}{suffix}"].isna().all()
        assert (both[f"value_{other}{suffix}"] != both[f"value{suffix}"]).any()


def test_a_flat_curve_has_its_height_as_area(wrap, white):
    """Quantus gives 5.0 for eleven points at 0.5 (peers V5); both ends belong to the curve (V15)."""

    class Half(nn.Module):
        def forward(self, pixels):
            return torch.zeros(len(pixels), 2)

    model = wrap(Half(), SIDE, classes=2)
    for name in ("deletion", "insertion"):
        frame = xai.evaluate(name, weights()[None], model, white(), steps=10)
        assert frame["value"].item() == 0.5 and frame["value_normalised"].item() == 1
        assert curves(name, weights()[None], model, white(), steps=10).shape == (1, 11)


def reference(model, images, maps, step, mode, substrate):
    """RISE's rule written anew: edit normalised pixels, `step` at a time, and score the softmax each time."""
    n, _, height, width = images.pixels.shape
    start = model.normalise(images.pixels).numpy().reshape(n, 3, -1).copy()
    finish = substrate(model.normalise(images.pixels)).numpy().reshape(n, 3, -1).copy()
    if mode == "insertion":
        start, finish = finish, start
    order = np.argsort(maps.reshape(n, -1).numpy(), axis=1, kind="stable")[:, ::-1]
    scores = []
    for i in range(height * width // step + 1):
        with torch.no_grad():
            logits = model.network(torch.from_numpy(start.reshape(n, 3, height, width)))
        scores.append(logits.softmax(1)[torch.arange(n), images.labels].numpy())
        for image in range(n):
            chosen = order[image, step * i : step * (i + 1)]
            start[image][:, chosen] = finish[image][:, chosen]
    scores = np.stack(scores, axis=1)
    return scores, (scores.sum(1) - scores[:, 0] / 2 - scores[:, -1] / 2) / (scores.shape[1] - 1)


def rise_blur(normalised):
    """RISE's substrate: a smoothed 11 x 11 delta, convolved with zero padding in normalised space."""
    delta = np.zeros((11, 11))
    delta[5, 5] = 1
    kernel = torch.from_numpy(gaussian_filter(delta, 5).astype("float32"))
    full = torch.zeros(3, 3, 11, 11)
    full[range(3), range(3)] = kernel
    return F.conv2d(normalised, full, padding=5)


@pytest.mark.parametrize(("mode", "substrate"), [("deletion", torch.zeros_like), ("insertion", rise_blur)])
def test_agrees_with_rise(small_model, small_images, small_maps, mode, substrate):
    scores, areas = reference(small_model, small_images, small_maps, 8, mode, substrate)
    ours = curves(mode, small_maps, small_model, small_images, steps=32)
    assert np.ptp(scores, axis=1).min() > 1e-3  # peers V10: an edit that is lost gives a flat curve
    assert np.abs(ours.numpy() - scores).max() < 1e-6
    frame = xai.evaluate(mode, small_maps, small_model, small_images, steps=32)
    assert np.abs(frame["value"] - areas).max() < 1e-6
    assert np.abs(frame["value_peak_normalised"] - areas / scores.max(1)).max() < 1e-5
    assert np.abs(frame["full_score"] - scores[:, 0 if mode == "deletion" else -1]).max() < 1e-6


def test_agrees_with_torch_cam(small_model, small_images, small_maps):
    """torch-cam has one baseline for both curves: normalised zeros, which is our mean colour."""
    torchcam = pytest.importorskip("torchcam.metrics")
    from contextlib import nullcontext

    class Given:
        """A CAM extractor that hands out the maps it was made with."""

        def __init__(self, map_):
            self.model, self.map_, self._hooks_off = small_model.network, map_, nullcontext

        def __call__(self, *_, **__):
            return [self.map_]

        def fuse_cams(self, cams):
            return cams[0]

    deletion = xai.evaluate("deletion", small_maps, small_model, small_images, steps=16)["value"]
    insertion = xai.evaluate("insertion", small_maps, small_model, small_images, steps=16, substrate="mean")["value"]
    normalised = small_model.normalise(small_images.pixels)
    for i in range(len(small_images)):
        metric = torchcam.DeletionInsertionMetric(
            Given(small_maps[i : i + 1]), lambda logits: logits.softmax(-1), steps=16
        )
        metric.update(normalised[i : i + 1], class_idx=int(small_images.labels[i]))
        assert metric.summary() == pytest.approx({"deletion_auc": deletion[i], "insertion_auc": insertion[i]}, abs=1e-6)


@pytest.mark.parametrize("name", ["deletion", "insertion"])
def test_any_batch_size_gives_the_same_numbers_for_all_images(name, small_model, small_images, small_maps):
    """Quantus scores the first batch only (peers V2) and cannot take colour images (V3)."""
    frames = [
        xai.evaluate(name, small_maps, small_model, small_images, batch_size=size, also=3)
        .set_index("image")
        .drop(columns="metric")
        for size in (1, 3, 5, 1000)
    ]
    assert all(len(frame) == 7 and frame.notna().all().all() for frame in frames)
    assert max(float((frame - frames[0]).abs().max().max()) for frame in frames) < 1e-5
    alone = xai.evaluate(name, small_maps[4:5], small_model, small_images.select([4]), also=3)
    assert (
        float((alone.set_index("image").drop(columns="metric") - frames[0].loc[["image 4"]]).abs().max().max()) < 1e-5
    )


def test_the_model_the_images_and_the_maps_are_left_as_found(small_model, small_images, small_maps):
    small_model.network.body[3].train()  # dropout alone is left in training mode
    expected = xai.evaluate("deletion", small_maps, small_model, small_images)
    assert small_model.network.body[3].training and not small_model.network.body[1].training
    small_model.train()
    state = {key: value.clone() for key, value in small_model.state_dict().items()}
    pixels, maps = small_images.pixels.clone(), small_maps.clone()
    again = xai.evaluate("deletion", small_maps, small_model, small_images)
    assert expected.equals(again) and all(module.training for module in small_model.modules())
    assert all(torch.equal(value, state[key]) for key, value in small_model.state_dict().items())
    assert torch.equal(pixels, small_images.pixels) and torch.equal(maps, small_maps)
    assert small_model.network.body[2].inplace and all(p.grad is None for p in small_model.parameters())


def test_passes(small_model, small_images, small_maps, monkeypatch):
    """One pass a step and image whatever the channels (peers V5); the mean-coloured image is scored once for all."""
    seen = []
    monkeypatch.setattr(small_model, "forward", lambda x, old=small_model.forward: seen.append(len(x)) or old(x))
    xai.evaluate("deletion", small_maps, small_model, small_images, steps=28)
    assert sum(seen) == 7 * 27 + 7 + 1
    seen.clear()
    xai.evaluate("insertion", small_maps, small_model, small_images, steps=28)
    assert sum(seen) == 7 * 27 + 7 + 7


def test_blur_borders(small_model):
    pixels = torch.rand(2, 3, 20, 20)
    inside = (slice(None), slice(None), slice(5, -5), slice(5, -5))
    mean, reflect = (blurred(pixels, small_model, 11, 5.0, border) for border in ("mean", "reflect"))
    assert torch.allclose(mean[inside], reflect[inside], atol=1e-6) and not torch.allclose(mean, reflect, atol=1e-3)
    assert torch.allclose(blurred(torch.full((1, 3, 20, 20), 0.9), small_model, 11, 5.0, "reflect"), torch.tensor(0.9))
    assert torch.allclose(blurred(pixels, small_model, 1, 5.0, "mean"), pixels, atol=1e-6)


def test_bf16_is_close(small_model, small_images, small_maps):
    full, half = (
        xai.evaluate("deletion", small_maps, small_model, small_images, precision=p) for p in ("fp32", "bf16")
    )
    assert np.abs(full["value"] - half["value"]).max() < 0.02
    with engine.using(precision="bf16"):
        assert xai.evaluate("deletion", small_maps, small_model, small_images)["value"].equals(half["value"])


def test_a_model_that_answers_nan_is_refused(wrap, white):
    class Broken(nn.Module):
        def forward(self, pixels):
            return torch.full((len(pixels), 2), torch.nan)

    with pytest.raises(InputError, match="model 'planted' answered NaN"):
        xai.evaluate("insertion", weights()[None], wrap(Broken(), SIDE, classes=2), white())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"step": 28}, "no option 'step'; did you mean 'steps'"),
        ({"steps": "28"}, "steps must be a whole number, not '28'"),
        ({"steps": True}, "steps must be a whole number, not True"),
        ({"steps": 1}, "steps must be at least 2, not 1"),
        ({"steps": 65}, "steps: 65 is more than the image's 64 pixels"),
        ({"also": 65}, "also: 65 is more than the image's 64 pixels"),
        ({"substrate": "blurr"}, "substrate must be one of mean, blur, not 'blurr'"),
        ({"substrate": "blur", "kernel": 10}, "kernel: 10 has no middle"),
        ({"substrate": "blur", "sigma": 0}, "sigma must be above 0, not 0"),
        ({"substrate": "blur", "kernel": 17, "border": "reflect"}, "kernel: 17 is too wide"),
    ],
)
def test_bad_options_are_named(evidence, white, options, message):
    with pytest.raises(InputError, match=message):
        xai.evaluate("deletion", weights()[None], evidence(weights()), white(), **options)
    with pytest.raises(InputError, match="has no curve"):
        curves("pointing_game", weights()[None], evidence(weights()), white())
