"""Estimators: the shipped files, any method by its file alone, blur, shared passes, and what is refused."""

import copy

import pytest
import torch
from scipy.ndimage import gaussian_filter
from torch.testing import assert_close

import xailib as xai
from xailib import params, registry
from xailib.attribution.estimators import estimate, pool
from xailib.params import estimator_files
from xailib.params.facts import registry_facts

BASES = {"gradient": "GRAD", "guided_backprop": "GB", "integrated_gradients": "IG"}
FORMS = {
    "{}": ("plain", "{}", "base"),
    "squared_{}": ("squared", "SQ-{}", "squared"),
    "smoothgrad_{}": ("smoothgrad", "SG-{}", "smoothgrad"),
    "squared_smoothgrad_{}": ("smoothgrad_then_squared", "SQ-SG-{}", "squared"),
    "smoothgrad_squared_{}": ("smoothgrad_squared", "SG-SQ-{}", "ensemble"),
    "vargrad_{}": ("vargrad", "VAR-{}", "ensemble"),
}
CONTROLS = {"random": "control", "sobel": "control", "random_redrawn": "control", "blurred_random": "control"}


def shipped(*ids):
    return [params.load_params("estimators", id) for id in ids]


def group(records, scale):
    return estimator_files.group(records, scale, registry_facts())


def record(**values):
    facts = {"id": "mine", "method": "gradient", "form": "plain", **values}
    return {"estimator" if key == "id" else f"estimator_{key}": value for key, value in facts.items()}


def test_eighteen_estimators_and_the_controls_are_shipped():
    expected = {
        pattern.format(base): (base, form, label.format(short), kind)
        for base, short in BASES.items()
        for pattern, (form, label, kind) in FORMS.items()
    }
    assert set(xai.list_estimators()) == set(expected) | set(CONTROLS) | {"blurred_gradient"}
    assert xai.list_estimators("vargrad_*") == [f"vargrad_{base}" for base in sorted(BASES)]
    for id, (base, form, label, kind) in expected.items():
        values = shipped(id)[0]
        facts = ("estimator_method", "estimator_form", "estimator_label", "estimator_samples", "estimator_noise")
        assert tuple(values[key] for key in facts) == (base, form, label, 15, 0.15)
        assert estimator_files.family(values, registry_facts()) == kind
        if base == "integrated_gradients":
            full, small = (estimator_files.settle(values, scale)["estimator_options"] for scale in ("full", "small"))
            steps = 8 if form in ("plain", "squared") else 4  # on each noisy copy
            assert full == {"steps": 25, "reference": "black"} and small == {"steps": steps, "reference": "black"}
    for id, kind in {**CONTROLS, "blurred_gradient": "base"}.items():
        assert estimator_files.family(shipped(id)[0], registry_facts()) == kind
    redrawn = {values["estimator"] for values in shipped(*xai.list_estimators()) if values["estimator_redraw"]}
    assert redrawn == {"random_redrawn"}


def test_shipped_files_fit_the_code():
    facts = registry_facts()
    for values in shipped(*xai.list_estimators()):
        assert estimator_files.faults(values, facts) == []


def test_all_shipped_estimators_run(cnn, pixels, targets):
    maps = estimate(shipped(*xai.list_estimators()), cnn, pixels, targets, scale="smoke")
    assert list(maps) == xai.list_estimators()
    for id, found in maps.items():
        assert found.shape == ((4, 24, 20) if id == "sobel" else (4, 3, 24, 20))  # an edge has one value a pixel
        assert found.dtype == torch.float32 and found.device.type == "cpu" and torch.isfinite(found).all()
        assert pool(found).shape == (4, 24, 20) and found[0].std() > 0
    assert torch.equal(maps["random"], maps["random_redrawn"]), "redrawing is the trainer's business"


def test_maps_are_those_of_the_methods(cnn, pixels, targets):
    ids = ["gradient", "guided_backprop", "integrated_gradients", "sobel"]
    maps = estimate(shipped(*ids), cnn, pixels, targets, seed=3, scale="small")
    for id in ids:
        options = {} if id in CONTROLS else {"pooling": "signed_mean"}
        options |= {"steps": 8} if id == "integrated_gradients" else {}
        assert_close(pool(maps[id]), xai.attribute(id, cnn, pixels, targets, seed=3, **options))


@pytest.mark.parametrize(
    ("method", "options"),
    [
        ("gradcam", {}), ("cam", {}), ("rise", {"masks": 40}), ("lime", {"segments": 8, "samples": 20}),
        ("kernel_shap", {"segments": 8, "samples": 24}), ("centre_gaussian", {"sigma": 0.3}), ("shap", {"samples": 4}),
    ],
)  # fmt: skip
def test_any_method_is_an_estimator_by_its_file_alone(method, options, cnn, pixels, targets):
    mine = record(method=method, options=options)
    noisy = record(id="noisy", method=method, options=options, form="vargrad", samples=3)
    maps = estimate([mine, noisy], cnn, pixels, targets)
    pooling = {"pooling": "signed_mean"} if method == "shap" else {}
    assert_close(pool(maps["mine"]), xai.attribute(method, cnn, pixels, targets, **options, **pooling))
    assert (maps["noisy"] >= 0).all() and maps["noisy"].shape == maps["mine"].shape
    assert maps["noisy"].any() == (method != "centre_gaussian")


def test_blur_is_a_gaussian_over_the_finished_map(cnn, pixels, targets):
    maps = estimate(shipped("gradient", "blurred_gradient", "random", "blurred_random"), cnn, pixels, targets)
    for id in ("gradient", "random"):
        expected = gaussian_filter(maps[id].numpy(), (0, 0, 1, 1), mode="mirror", truncate=4)
        assert_close(maps[f"blurred_{id}"], torch.from_numpy(expected), atol=1e-5, rtol=1e-4)
    squared = record(form="squared", blur=2.0)
    expected = gaussian_filter(maps["gradient"].square().numpy(), (0, 0, 2, 2), mode="mirror", truncate=4)
    found = estimate([squared], cnn, pixels, targets)["mine"]
    assert_close(found, torch.from_numpy(expected), atol=1e-5 * float(found.max()), rtol=1e-4)
    tiny = estimate([record(method="random", blur=9.0)], cnn, pixels[..., :5, :7], targets)["mine"]
    assert torch.isfinite(tiny).all() and (tiny.std(dim=(-2, -1)) < 0.05).all(), (
        "wider than the map: folded back more than once"
    )


def test_groups_are_named_after_what_they_share():
    records = shipped(*xai.list_estimators("*gradient*"), "random", "random_redrawn")
    groups = group(records, "small")
    assert groups["gradient"] == ["blurred_gradient", "gradient", "squared_gradient"]
    assert set(groups["gradient_noisy"]) == {f"{x}_gradient" for x in (
        "smoothgrad", "squared_smoothgrad", "smoothgrad_squared", "vargrad")}  # fmt: skip
    assert groups["integrated_gradients"] == ["integrated_gradients", "squared_integrated_gradients"]
    assert len(groups["integrated_gradients_noisy"]) == 4 and groups["random"] == ["random", "random_redrawn"]
    assert sorted(id for ids in groups.values() for id in ids) == sorted(values["estimator"] for values in records)


def test_a_group_with_other_options_gets_a_stable_name_of_its_own():
    other = record(method="integrated_gradients", options={"steps": 50})
    usual = shipped("integrated_gradients")[0]
    (alone,) = group([other], "full")
    assert alone.startswith("integrated_gradients_") and len(alone) == len("integrated_gradients_") + 6
    assert group([other, usual], "full") == {alone: ["mine"], "integrated_gradients": ["integrated_gradients"]}
    assert list(group([usual, other], "full")) == ["integrated_gradients", alone]
    names = [next(iter(group([record(form="vargrad", **values)], "full"))) for values in (
        {}, {"samples": 15}, {"noise": 0.15}, {"samples": 25}, {"noise": 0.2}, {"samples": 25, "noise": 0.2})]  # fmt: skip
    assert names[:3] == ["gradient_noisy"] * 3 and len(set(names)) == 4
    assert list(group([record(method="gradcam")], "full")) == ["gradcam"]


def test_a_scale_overrides_values_and_merges_options():
    values = record(method="integrated_gradients", options={"steps": 25, "reference": "mean"}, blur=1.0)
    values["estimator_scales"] = {"small": {"estimator_options": {"steps": 4}, "estimator_blur": 2.0}}
    before = copy.deepcopy(values)
    small, full = (estimator_files.settle(values, scale) for scale in ("small", "full"))
    assert small["estimator_options"] == {"steps": 4, "reference": "mean"} and small["estimator_blur"] == 2.0
    assert full["estimator_options"] == {"steps": 25, "reference": "mean"} and full["estimator_blur"] == 1.0
    assert values == before


FILE = r"^params/estimators/mine\.yaml: "


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"method": "gradint"}, "estimator_method: unknown method 'gradint'; did you mean 'gradient'"),
        ({"form": "varigrad"}, "estimator_form: unknown form 'varigrad'; did you mean 'vargrad'"),
        ({"options": {"step": 3}, "method": "integrated_gradients"}, "estimator_options.step: unknown option; did you"),
        ({"options": {"pooling": "abs_max"}}, "estimator_options.pooling: an estimator keeps the colour channels"),
        ({"options": {"output": "logits"}}, "estimator_options: method 'gradient': option output must be one of"),
        ({"options": {"steps": 0}, "method": "integrated_gradients"}, "method 'integrated_gradients': option steps"),
        ({"form": "vargrad", "samples": 1}, "estimator_samples: 1 noisy copies .* 2 or more are right"),
        ({"form": "vargrad", "samples": 0}, "estimator_samples: 0 is less than the minimum of 1"),
        ({"form": "vargrad", "samples": 2.5}, "estimator_samples: 2.5 is not a whole number"),
        ({"noise": -0.1}, "estimator_noise: -0.1 is less than the minimum of 0"),
        ({"noise": "1e-1"}, r"estimator_noise: '1e-1' is text, not a number; write 1\.0e-1"),
        ({"blur": -1.0}, "estimator_blur: -1.0 is less than the minimum of 0"),
        ({"redraw": True}, "estimator_redraw: only method 'random' can be drawn anew, not 'gradient'"),
        (
            {"scales": {"small": {"estimator_options": {"outptu": 1}}}},
            "estimator_scales.small.estimator_options.outptu",
        ),
        (
            {"scales": {"small": {"estimator_samples": 1}}, "form": "vargrad"},
            "estimator_scales.small.estimator_samples",
        ),
        ({"nois": 0.1}, "estimator_nois: unknown key; did you mean 'estimator_noise'"),
        ({"method": "cam"}, "needs cam_layer and gap_linear_head, which model 'toy' does not offer"),
        ({"method": "guided_backprop"}, "model 'toy' executes no ReLU"),
    ],
)
def test_faults_name_the_file_the_key_and_what_would_be_right(change, said, linear, pixels, targets):
    with pytest.raises(xai.InputError, match=said) as raised:
        estimate([record(**change)], linear, pixels, targets)
    assert "params/estimators/mine.yaml" in str(raised.value) and "\n" not in str(raised.value)


def test_all_faults_of_all_records_come_at_once(linear, pixels, targets):
    records = [record(form="x"), record(id="other", method="y"), {"estimator": "third"}, record(id="other")]
    with pytest.raises(xai.InputError) as raised:
        estimate(records, linear, pixels, targets)
    for said in ("mine.yaml: estimator_form", "other.yaml: estimator_method", "third.yaml: estimator_form: missing"):
        assert said in str(raised.value)
    assert "'other' is asked for twice" in str(raised.value)
    with pytest.raises(xai.InputError, match="there is none to compute"):
        estimate([], linear, pixels, targets)


def test_input_is_checked_as_for_attribute(linear, pixels, targets):
    with pytest.raises(xai.InputError, match=r"images: floats in \[0, 1\] are needed"):
        estimate([record()], linear, pixels * 2, targets)
    with pytest.raises(xai.InputError, match="targets: one class an image"):
        estimate([record()], linear, pixels, targets[:2])


def test_a_broken_network_is_named(cnn, pixels, targets):
    with torch.no_grad():
        cnn.network[0].weight.fill_(float("nan"))
    with pytest.raises(xai.InputError, match="model 'toy' answered NaN"):
        estimate([record()], cnn, pixels, targets)


@pytest.fixture
def form(monkeypatch):
    """A function that registers a form until the test ends."""
    monkeypatch.setattr(registry.estimator, "entries", dict(registry.estimator.entries))
    return registry.estimator("own", label="OWN", family="ensemble", noisy=False, paper="ours")


def test_a_form_that_writes_into_its_moments_changes_no_other_map(form, cnn, pixels, targets):
    form(lambda moments: moments.mean.abs_().sqrt_())
    records = [record(id="own", form="own"), record(id="plain")]
    found, alone = estimate(records, cnn, pixels, targets), estimate([record()], cnn, pixels, targets)["mine"]
    assert torch.equal(found["plain"], alone) and torch.equal(found["own"], alone.abs().sqrt())


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (
            lambda moments: moments.mean.mean(1),
            r"form 'own' must return maps of the shape \(\d, 3, .*, not \(\d, \d+, \d+\)",
        ),
        (lambda moments: None, "form 'own' must return maps of the shape .*, not NoneType"),
        (lambda moments: moments.mean * torch.inf, "method 'gradient, own' gave NaN or infinity"),
    ],
)
def test_what_a_form_returns_is_checked(function, said, form, cnn, pixels, targets):
    form(function)
    with pytest.raises(xai.InputError, match=said):
        estimate([record(form="own")], cnn, pixels, targets)


def test_a_blurred_map_keeps_its_place_among_the_others(cnn, pixels, targets):
    """Records that share a pass do not touch each other's maps."""
    alone = estimate([record(form="squared")], cnn, pixels, targets)["mine"]
    together = estimate(
        [record(id="a", blur=3.0), record(form="squared"), record(id="b")], cnn, pixels, targets, progress=False
    )
    assert torch.equal(together["mine"], alone) and torch.equal(together["b"].square(), alone)


def test_method_registry_says_who_gives_channels():
    having = [name for name in registry.method.names() if hasattr(registry.method.get(name).function, "channels")]
    usual = [name for name in having if name in params.resolve("methods", "all")]
    assert usual == ["gradient", "integrated_gradients", "shap", "guided_backprop", "random"]
    assert {*having} - {*usual} == {
        "input_x_gradient", "smoothgrad", "guided_gradcam", "deeplift", "deeplift_shap", "lrp", "deconvolution"
    }  # fmt: skip


def test_random_ranks_every_channel_value_by_itself(cnn, pixels, targets):
    values = estimate(shipped("random"), cnn, pixels, targets, seed=3)["random"]
    again = estimate(shipped("random"), cnn, pixels[1:], targets[1:], seed=3)["random"]
    assert torch.equal(values[1:], again) and values.min() >= 0 and values.max() < 1
    assert abs(float(torch.corrcoef(values.transpose(0, 1).flatten(1))[0, 1])) < 0.1  # channels are drawn apart


@pytest.mark.parametrize("given", ["gradient", ["gradient"], {"estimator": "mine"}])
def test_what_holds_no_records_is_refused(given, cnn, pixels, targets):
    with pytest.raises(xai.InputError, match="estimators: a list of the values of estimator files is needed, not '"):
        estimate(given, cnn, pixels, targets)


def test_torchs_default_type_and_inference_mode_change_nothing(cnn, pixels, targets):
    records = shipped("gradient", "smoothgrad_gradient")
    usual = estimate(records, cnn, pixels, targets)
    with torch.inference_mode():
        made = pixels.clone()
    torch.set_default_dtype(torch.float64)
    try:
        found = estimate(records, cnn, made, targets)
    finally:
        torch.set_default_dtype(torch.float32)
    for id, maps in usual.items():
        assert_close(found[id], maps)


def test_a_method_without_seed_that_writes_into_its_pixels_changes_no_image(cnn, pixels, targets):
    @registry.method("writes", family="gradient", label="Writes", paper="none")
    def writes(model, pixels, targets):
        return pixels.mul_(0).sum(1)

    before = pixels.clone()
    try:
        estimate([record(method="writes")], cnn, pixels, targets)
    finally:
        del registry.method.entries["writes"]
    assert torch.equal(pixels, before)
