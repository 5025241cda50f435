"""Quantus' metrics: planted truth, Quantus' own numbers, its known faults kept out, and what happens without it."""

import math
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import quantus
import torch

import xailib as xai
from xailib import engine, params, registry
from xailib.images import box_masks
from xailib.seeding import generators

OF_MAPS = ("sparseness", "complexity", "effective_complexity")
ON_OBJECTS = ("attribution_localisation", "roc_auc", "top_k_intersection")
ASKING = {
    "faithfulness_correlation": {"samples": 6},
    "faithfulness_estimate": {"steps": 8},
    "monotonicity_correlation": {"steps": 6, "samples": 3},
    "non_sensitivity": {"cells": 4},
}
AGAIN = {"avg_sensitivity": {"samples": 2}, "local_lipschitz": {"samples": 2}, "random_logit": {}}
ALL = {**{name: {} for name in (*OF_MAPS, *ON_OBJECTS)}, **ASKING, **AGAIN}
QUIET = {"disable_warnings": True, "return_aggregate": False}


def test_every_category_is_there_and_directions_are_quantus() -> None:
    classes = {
        "sparseness": "Sparseness", "complexity": "Complexity", "effective_complexity": "EffectiveComplexity",
        "attribution_localisation": "AttributionLocalisation", "roc_auc": "AUC", "top_k_intersection": "TopKIntersection",
        "faithfulness_correlation": "FaithfulnessCorrelation", "faithfulness_estimate": "FaithfulnessEstimate",
        "monotonicity_correlation": "MonotonicityCorrelation", "non_sensitivity": "NonSensitivity",
        "avg_sensitivity": "AvgSensitivity", "local_lipschitz": "LocalLipschitzEstimate", "random_logit": "RandomLogit",
    }  # fmt: skip
    assert set(classes) == set(ALL)
    kinds = {name: getattr(quantus, one) for name, one in classes.items()}
    assert {one.evaluation_category.name for one in kinds.values()} == {
        "FAITHFULNESS", "ROBUSTNESS", "LOCALISATION", "COMPLEXITY", "RANDOMISATION", "AXIOMATIC"
    }  # fmt: skip
    for name, one in kinds.items():
        assert registry.metric.get(name).better == one.score_direction.value, name


def test_what_a_study_can_score_has_ends() -> None:
    """Bars are drawn between them, and no JSON knows infinity."""
    for name in params.ids("metrics"):
        assert all(map(math.isfinite, registry.metric.get(name).range)), name


# ---- Planted truth


def test_concentration_of_maps_that_are_known(small_model, small_images) -> None:
    maps = torch.zeros(7, 16, 16)
    for i in range(7):
        maps[i].view(-1)[: 2**i] = 3.0  # so many pixels have all of it, equally
    score = {name: xai.evaluate(name, maps, small_model, small_images)["value"] for name in OF_MAPS}
    counts = 2.0 ** np.arange(7)
    np.testing.assert_allclose(score["sparseness"], 1 - counts / 256, atol=1e-3)
    np.testing.assert_allclose(score["complexity"], np.log(counts) / np.log(256), atol=1e-4)
    np.testing.assert_allclose(score["effective_complexity"], counts / 256)


def test_a_map_that_is_the_object_is_best_and_its_opposite_worst(small_model, small_images) -> None:
    masks = small_images.masks.float() + 0.0
    for name in ON_OBJECTS:
        assert (xai.evaluate(name, masks, small_model, small_images)["value"] > 1 - 1e-6).all()
        assert (xai.evaluate(name, 1 - masks, small_model, small_images)["value"] < 1e-6).all()


def test_where_an_image_keeps_its_object_does_not_matter_to_equal_values(batch, small_model) -> None:
    maps = torch.zeros(2, 16, 16)
    maps[:, :, :8] = 1.0
    images = batch(torch.rand(2, 3, 16, 16), [[[0, 0, 16, 4]], [[0, 12, 16, 16]]])
    for share in (0.1, 0.5, 0.75):
        value = xai.evaluate("top_k_intersection", maps, small_model, images, share=share)["value"]
        np.testing.assert_allclose(value, 0.25)


@pytest.mark.parametrize("name", ["faithfulness_correlation", "faithfulness_estimate", "monotonicity_correlation"])
def test_a_probability_is_followed_however_small_it_is_and_one_that_stays_has_no_score(
    name, small_model, small_images, small_maps
) -> None:
    small_model.network.last.bias.zero_()
    few, maps = small_images.select([0, 1]), small_maps[:2]
    rare = []
    for ahead in (7.0, 15.0):  # which the network makes 21 and 45
        small_model.network.last.bias[4] = ahead
        rare.append(xai.evaluate(name, maps, small_model, few, **ASKING[name])["value"])
    np.testing.assert_allclose(*rare, atol=1e-3)
    small_model.network.last.weight.zero_()
    assert xai.evaluate(name, maps, small_model, few, **ASKING[name])["value"].isna().all()


@pytest.fixture
def planted(batch, evidence):
    """Class 0 has probability sum(weights * brightness) in the upper half alone; and the map that says so."""
    generator = torch.Generator().manual_seed(0)
    weights = torch.rand(16, 16, generator=generator)
    weights[8:] = 0
    weights /= weights.sum()
    images = batch(0.2 + 0.8 * torch.rand(6, 3, 16, 16, generator=generator))
    return evidence(weights), images, (images.pixels.mean(1) * weights).float()


def test_a_map_that_tells_every_loss_is_perfectly_faithful(planted) -> None:
    model, images, maps = planted
    for name in ("faithfulness_correlation", "faithfulness_estimate"):
        true = xai.evaluate(name, maps, model, images, **ASKING[name])["value"]
        random = xai.evaluate(name, torch.rand(maps.shape), model, images, **ASKING[name])["value"]
        assert (true > 0.999).all() and (random < 0.999).all()
    true = xai.evaluate("monotonicity_correlation", maps, model, images, steps=8, samples=20)["value"]
    false = xai.evaluate("monotonicity_correlation", 1 - maps / maps.max(), model, images, steps=8, samples=20)["value"]
    assert (true > 0.8).all() and (false < 0).all()


@pytest.mark.parametrize(("name", "few"), [("faithfulness_estimate", {}), ("monotonicity_correlation", {"samples": 2})])
def test_a_set_is_not_followed_by_its_size(name, few, batch, evidence) -> None:
    """All pixels matter alike: a map of noise has nothing to say, unless its last set is smaller than the others."""
    noise = torch.Generator().manual_seed(0)
    images = batch(0.9 + 0.1 * torch.rand(8, 3, 12, 20, generator=noise))
    maps = 1 + 0.01 * torch.randn(8, 12, 20, generator=noise)
    model = evidence(torch.full((12, 20), 1 / 240))
    for steps in (17, 28, 1000):  # 28 gives sets of 8 pixels, 9 each would leave 6
        scores = xai.evaluate(name, maps, model, images, steps=steps, **few)["value"]
        assert abs(scores.mean()) < 0.3, steps
    with engine.using() as run:
        xai.evaluate("faithfulness_estimate", maps[:1], model, images.select([0]), steps=28)
    assert run.cost.forward == 30 + 1


def test_what_does_not_matter_and_gets_nothing_is_not_counted(planted) -> None:
    model, images, maps = planted
    upper = torch.zeros_like(maps)
    upper[:, :8] = 1
    found = [xai.evaluate("non_sensitivity", one, model, images, cells=4)["value"] for one in (upper, 1 - upper)]
    assert (found[0] == 0).all() and (found[1] == 1).all()


@pytest.mark.parametrize("side", [16, 64, 82])
def test_a_pixel_belongs_to_one_cell_alone(side, batch, evidence) -> None:
    """The network sees one pixel, and the map says so: at each cell's edges all cells agree, wherever sides do not divide."""
    images = batch(torch.ones(1, 3, side, side))
    for cells in (2, 7):
        edges = {place for cell in range(1, cells) for place in (cell * side // cells, -(-cell * side // cells))}
        for place in edges:
            weights = torch.zeros(side, side)
            weights[place, side - 1 - place] = 1
            given = {"cells": cells, "eps": 1e-6}
            found = xai.evaluate("non_sensitivity", weights[None], evidence(weights), images, **given)
            assert found["value"].item() == 0, (cells, place)
    with pytest.raises(xai.InputError, match=rf"cells: 99 x 99 are too many for images of {side} x {side} pixels"):
        xai.evaluate("non_sensitivity", weights[None], evidence(weights), images, cells=99)


def test_a_control_that_sees_nothing_is_robust_and_insensitive(small_model, small_images) -> None:
    maps = xai.attribute("centre_gaussian", small_model, small_images, "label")
    values = {name: xai.evaluate(name, maps, small_model, small_images, **AGAIN[name])["value"] for name in AGAIN}
    assert (values["avg_sensitivity"] == 0).all() and (values["local_lipschitz"] == 0).all()
    np.testing.assert_allclose(values["random_logit"], 1)
    maps = xai.attribute("gradient", small_model, small_images, "label", pooling="signed_sum")
    values = {name: xai.evaluate(name, maps, small_model, small_images, **AGAIN[name])["value"] for name in AGAIN}
    assert (values["avg_sensitivity"] > 0).all() and (values["local_lipschitz"] > 0).all()
    assert (values["random_logit"] < 0.9).all()


# ---- Quantus' own numbers, and ours


def direct(kind, images, maps, i, seed_name, **given):
    """Quantus, asked for one image."""
    np.random.seed(generators(images.pixels, 0, seed_name)[i].initial_seed() % 2**32)
    call = {"x_batch": images.pixels[i, None].numpy(), "y_batch": images.labels[i, None].numpy(), "model": None}
    return float(kind(**{**call, "a_batch": maps[i, None, None].numpy().copy(), "channel_first": True, **given})[0])


def test_scores_are_quantus(small_model, small_images, small_maps) -> None:
    n, masks = 256, small_images.masks[:, None].numpy()
    kinds = {
        "sparseness": (quantus.Sparseness(**QUIET), 1, {}),
        "complexity": (quantus.Complexity(**QUIET), math.log(n), {}),
        "effective_complexity": (quantus.EffectiveComplexity(eps=0.05, **QUIET), n, {}),
        "attribution_localisation": (quantus.AttributionLocalisation(**QUIET), 1, {"s_batch": masks}),
        "roc_auc": (quantus.AUC(**QUIET), 1, {"s_batch": masks}),
        "top_k_intersection": (quantus.TopKIntersection(k=5, **QUIET), 1, {"s_batch": masks}),
    }
    for name, (kind, divided, given) in kinds.items():
        ours = xai.evaluate(name, small_maps, small_model, small_images)["value"]
        for i in range(7):
            own = {key: value[i, None] for key, value in given.items()}
            np.testing.assert_allclose(
                ours[i], direct(kind, small_images, small_maps, i, name, **own) / divided, rtol=1e-5
            )


class Grey(torch.nn.Module):
    """Images that one channel makes: what Quantus takes for features are then pixels."""

    def __init__(self, model, image):
        super().__init__()
        self.held = (model, image)

    def forward(self, shown):
        model, image = self.held
        return model(image * shown + model.mean_colour * (1 - shown)).softmax(1)


def test_scores_that_ask_the_network_are_quantus(small_model, small_images, small_maps) -> None:
    kinds = {
        "faithfulness_correlation": quantus.FaithfulnessCorrelation(
            nr_runs=6, subset_size=13, perturb_baseline=0.0, **QUIET
        ),
        "faithfulness_estimate": quantus.FaithfulnessEstimate(features_in_step=32, perturb_baseline=0.0, **QUIET),
        "monotonicity_correlation": quantus.MonotonicityCorrelation(features_in_step=64, nr_samples=3, **QUIET),
    }
    options = {**ASKING, "monotonicity_correlation": {"steps": 4, "samples": 3}}
    for name, kind in kinds.items():
        ours = xai.evaluate(name, small_maps, small_model, small_images, **options[name])["value"]
        for i in range(3):
            given = {
                "model": Grey(small_model, small_images.pixels[i, None]).eval(),
                "x_batch": np.ones((1, 1, 16, 16)),
            }
            found = direct(kind, small_images, small_maps, i, type(kind).__name__, softmax=False, **given)
            np.testing.assert_allclose(ours[i], found, rtol=1e-3, atol=1e-5)


def test_sensitivity_is_quantus(small_model, small_images) -> None:
    maps = xai.attribute("gradient", small_model, small_images, "label")
    kind = quantus.AvgSensitivity(nr_samples=2, lower_bound=0.02, **QUIET)
    ours = xai.evaluate("avg_sensitivity", maps, small_model, small_images, **AGAIN["avg_sensitivity"])["value"]
    given = {"model": small_model, "explain_func": xai.as_explain_func("gradient"), "softmax": False}
    for i in range(2):
        np.testing.assert_allclose(ours[i], direct(kind, small_images, maps, i, "AvgSensitivity", **given), rtol=1e-4)


@pytest.mark.parametrize("name", [*AGAIN, "max_sensitivity"])
def test_maps_are_explained_again_for_the_class_that_they_explain(name, small_model, small_images) -> None:
    maps, options = xai.attribute("gradient", small_model, small_images, "label"), AGAIN.get(name, {"samples": 2})
    other = (small_images.labels + 1) % len(small_model.class_names)
    found = [
        xai.evaluate(name, maps, small_model, small_images, targets=one, **options)["value"] for one in (None, other)
    ]
    assert found[0].equals(found[1])


def test_what_both_measure_agrees(small_model, small_images, small_maps) -> None:
    """Where Quantus and we have one measure: relevance mass of maps that are nowhere negative."""
    positive = small_maps.abs()
    ours = xai.evaluate("relevance_mass", positive, small_model, small_images)["value"]
    np.testing.assert_allclose(
        xai.evaluate("attribution_localisation", positive, small_model, small_images)["value"], ours, rtol=1e-5
    )
    rank = quantus.RelevanceRankAccuracy(**QUIET)
    masks = small_images.masks[:, None].numpy()
    found = [direct(rank, small_images, small_maps, i, "", s_batch=masks[i, None]) for i in range(7)]
    np.testing.assert_allclose(xai.evaluate("relevance_rank", small_maps, small_model, small_images)["value"], found)


# ---- Faults that are kept out


@pytest.mark.parametrize("name", ALL)
def test_an_image_keeps_its_score_in_any_company_and_constant_maps_have_none(name, small_model, small_images) -> None:
    """Quantus divides by the maximum of the whole batch: one bright map would change the others' scores."""
    maps = xai.attribute("gradient", small_model, small_images, "label", pooling="signed_sum")
    maps.values[1] *= 1000
    maps.values[2] = 0.25
    whole = xai.evaluate(name, maps, small_model, small_images, **ALL[name])["value"]
    assert whole.isna().tolist() == [i == 2 for i in range(7)]
    low, high = registry.metric.get(name).range
    assert whole.dropna().between(low - 1e-6, high + 1e-6).all()
    np.random.seed(5)
    order = [5, 0, 3]
    alone = xai.evaluate(name, maps[order], small_model, small_images.select(order), **ALL[name])["value"]
    np.testing.assert_allclose(alone, whole[order], rtol=1e-3, atol=1e-6)
    state = np.random.get_state()[1][0]
    assert state == 5  # NumPy's own stream is left as it was


@pytest.mark.parametrize("name", ON_OBJECTS)
def test_an_image_without_an_object_has_no_score(name, small_model, small_maps, small_images) -> None:
    import dataclasses

    boxes = [torch.empty(0, 4), *small_images.boxes[1:]]
    images = dataclasses.replace(small_images, boxes=boxes, masks=box_masks(boxes, 16, 16))
    assert xai.evaluate(name, small_maps, small_model, images)["value"].isna().tolist() == [i == 0 for i in range(7)]


def test_why_a_score_is_missing_is_said(monkeypatch, batch, small_model, small_images, small_maps) -> None:
    """The object is the whole image; the other class has a constant map; a share above all values counts none."""
    full = batch(small_images.pixels, [[[0, 0, 16, 16]]] * 7)
    assert xai.evaluate("roc_auc", small_maps, small_model, full)["value"].isna().all()
    assert registry.metric.get("roc_auc").nan == "the map is constant, or the image has no object, or nothing else"
    monkeypatch.setattr(registry.method, "_found", dict(registry.method.entries))
    monkeypatch.setitem(vars(registry.method), "entries", dict(registry.method.entries))
    registry.method("first", family="gradient", label="First", paper="")(
        lambda model, pixels, targets: pixels.mean(1) * (targets == 0)[:, None, None]
    )
    maps = xai.attribute("first", small_model, small_images, [0] * 7)
    assert xai.evaluate("random_logit", maps, small_model, small_images)["value"].isna().all()
    assert registry.metric.get("random_logit").nan == "the map is constant, or that of the other class is"
    with pytest.raises(xai.InputError, match="eps must be below 1, not 3"):
        xai.evaluate("effective_complexity", small_maps, small_model, small_images, eps=3)


def test_a_map_without_a_positive_value_is_scored(small_model, small_images, small_maps) -> None:
    """Quantus refuses it, and the whole batch with it; a map may speak against its class everywhere."""
    maps = small_maps.clone()
    maps[3] = -maps[3].abs() - 0.1
    for name in ("sparseness", "roc_auc", "faithfulness_correlation"):
        assert xai.evaluate(name, maps, small_model, small_images, **ALL[name])["value"].notna().all()


def test_threads_do_not_draw_from_each_others_streams(wrap, small_model, small_images, small_maps) -> None:
    """What a map without a positive value needs and what is drawn is the process's: threads mixed it, and left it changed."""
    maps, others = -small_maps.abs() - 0.1, [wrap(small_model.network, side=16, classes=5) for _ in range(2)]

    def score(model) -> np.ndarray:
        return xai.evaluate("faithfulness_correlation", maps, model, small_images, samples=8)["value"].to_numpy()

    alone = [score(model) for model in (small_model, *others)]
    check, filters = quantus.helpers.asserts.assert_attributions, list(warnings.filters)
    with ThreadPoolExecutor(3) as pool:
        together = list(pool.map(score, [small_model, *others] * 4))
    np.testing.assert_allclose(together, alone * 4, atol=1e-6)
    assert quantus.helpers.asserts.assert_attributions is check and list(warnings.filters) == filters


def test_a_pixel_goes_with_all_its_channels(small_model, small_images, small_maps) -> None:
    """Quantus on colours ranks channel values: three times the passes, and pixels of which one channel is left."""
    with engine.using() as run:
        xai.evaluate("faithfulness_estimate", small_maps, small_model, small_images, steps=8)
    assert (run.cost.forward, run.cost.backward) == (7 * (8 + 1), 0)


def test_other_classes_are_drawn_an_image_each(small_model, small_images) -> None:
    """Quantus starts NumPy's stream anew in every call, so that every image would get the same draw."""
    seen = []

    def explained(model, pixels, targets, *, seed: int = 0):
        seen.append(targets.tolist())
        return pixels.mean(1) + targets[:, None, None] / 10

    registry.method("seen", family="gradient", label="Seen", paper="")(explained)
    try:
        maps = xai.attribute("seen", small_model, small_images, [0] * 7)
        xai.evaluate("random_logit", maps, small_model, small_images)
    finally:
        del registry.method.entries["seen"]
    drawn = {one for (one,) in seen[1:]}
    assert len(seen) == 8 and len(drawn) > 1 and 0 not in drawn


# ---- Without Quantus, and Quantus' own calls of our methods


def test_without_the_package_only_these_metrics_fail(monkeypatch, small_model, small_images, small_maps) -> None:
    monkeypatch.setitem(sys.modules, "quantus", None)
    for name in ("sparseness", "faithfulness_correlation"):
        with pytest.raises(
            xai.InputError, match="Quantus, which makes this metric, is not installed; run: pip install quantus"
        ):
            xai.evaluate(name, small_maps, small_model, small_images)
    assert "sparseness" in xai.list_metrics() and len(
        xai.evaluate("relevance_mass", small_maps, small_model, small_images)
    )


@pytest.mark.parametrize("name", ["gradient", "gradcam", "rise", "random"])
def test_our_methods_explain_for_quantus(name, small_images) -> None:
    model = xai.load_model("mini_resnet_vanilla")
    images = xai.load_images("pictograms", limit=2)
    explain = xai.as_explain_func(name, **({"masks": 10} if name == "rise" else {}))
    inputs, labels = images.pixels.numpy(), images.labels.numpy()
    maps = explain(model, inputs, labels)
    ours = xai.attribute(name, model, images, images.labels, **({"masks": 10} if name == "rise" else {}))
    np.testing.assert_allclose(maps[:, 0], ours.numpy(), rtol=1e-4, atol=1e-6)
    metric = quantus.MaxSensitivity(nr_samples=2, lower_bound=0.1, **QUIET)
    scores = metric(model=model, x_batch=inputs, y_batch=labels, a_batch=None, explain_func=explain, device="cpu")
    assert len(scores) == 2 and all(math.isfinite(score) for score in scores)
