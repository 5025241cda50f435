"""`attribute`: what holds for every method of this folder, and what it refuses."""

import copy
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
import yaml
from torch import nn
from torch.testing import assert_close

import xailib as xai
from xailib import attribution, engine, params, registry
from xailib.params import signatures

PARAMS = Path(__file__).parents[2] / "params" / "methods"
SLIC = {"segments": 10, "samples": 24}
QUICK = {
    "gradient": {},
    "integrated_gradients": {"steps": 5, "reference": "random", "trials": 2},
    "shap": {"samples": 5},
    "guided_backprop": {},
    "kernel_shap": SLIC,
    "cam": {},
    "gradcam": {},
    "lime": SLIC,
    "random": {},
    "centre_gaussian": {},
    "sobel": {},
    "input_x_gradient": {},
    "smoothgrad": {"samples": 3},
    "guided_gradcam": {},
    "hirescam": {},
    "deeplift": {},
    "deeplift_shap": {"noise_references": 2},
    "lrp": {},
    "deconvolution": {},
    "occlusion": {"window": 64.0, "stride": 56.0},
    "feature_ablation": {"segments": 10},
    "shapley_value_sampling": {"segments": 10, "samples": 2},
    "gradcam_pp": {},
    "layer_cam": {},
    "xgradcam": {},
    "score_cam": {},
    "ss_cam": {"samples": 2},
    "is_cam": {"samples": 2},
}
METHODS = pytest.mark.parametrize("name", QUICK)


@METHODS
def test_maps_are_float32_on_the_cpu_and_finite(name, cnn, pixels, targets):
    maps = xai.attribute(name, cnn, pixels, targets, **QUICK[name])
    assert maps.shape == (4, 24, 20) and maps.dtype == torch.float32 and maps.device.type == "cpu"
    assert torch.isfinite(maps).all() and not maps.requires_grad


@METHODS
def test_batch_size_order_and_company_change_nothing(name, cnn, pixels, targets):
    whole = xai.attribute(name, cnn, pixels, targets, **QUICK[name])
    tolerance = dict(atol=1e-5 * float(whole.abs().max()), rtol=1e-5)
    for batch_size in (1, 3, 7):
        assert_close(
            xai.attribute(name, cnn, pixels, targets, batch_size=batch_size, **QUICK[name]), whole, **tolerance
        )
    order = torch.tensor([2, 0, 3, 1])
    assert_close(xai.attribute(name, cnn, pixels[order], targets[order], **QUICK[name]), whole[order], **tolerance)
    assert_close(xai.attribute(name, cnn, pixels[1:2], targets[1:2], **QUICK[name]), whole[1:2], **tolerance)


@METHODS
def test_one_seed_repeats_bit_for_bit_whatever_the_global_generator(name, cnn, pixels, targets):
    torch.manual_seed(0)
    first = xai.attribute(name, cnn, pixels, targets, seed=3, **QUICK[name])
    torch.manual_seed(1)
    state = torch.get_rng_state()
    assert torch.equal(first, xai.attribute(name, cnn, pixels, targets, seed=3, **QUICK[name]))
    assert torch.equal(state, torch.get_rng_state()), "the caller's random state was used"


def snapshot(model):
    """All that a method could have left behind."""
    modules = [
        (
            m.training,
            getattr(m, "inplace", None),
            len(m._forward_hooks),
            len(m._forward_pre_hooks),
            len(m._backward_hooks),
        )
        for m in model.modules()
    ]
    weights = [(p.requires_grad, p.grad, p.clone()) for p in model.parameters()]
    return modules, weights, [type(m) for m in model.modules()], [b.clone() for b in model.buffers()]


def assert_same(before, after):
    assert before[0] == after[0] and before[2] == after[2]
    for (was, gradient, value), (now, new_gradient, new_value) in zip(before[1], after[1], strict=True):
        assert was == now and gradient is new_gradient and torch.equal(value, new_value)
    assert all(torch.equal(a, b) for a, b in zip(before[3], after[3], strict=True))


@METHODS
def test_the_model_is_left_as_found(name, cnn, pixels, targets):
    """A model in training, with gradients, hooks and in-place ReLUs, gets the maps of a frozen one and keeps it all."""
    frozen = xai.attribute(name, cnn, pixels, targets, **QUICK[name])
    model = copy.deepcopy(cnn).train()
    model.network[1].eval()
    model.requires_grad_(True)
    model.network[0].weight.requires_grad_(False)
    model.network[-1].weight.grad = torch.ones_like(model.network[-1].weight)
    model.network[3].register_forward_hook(lambda *_: None)
    before = snapshot(model)
    maps = xai.attribute(name, model, pixels, targets, **QUICK[name])
    assert_same(before, snapshot(model))
    assert_close(maps, frozen)


class Fails(nn.Module):
    """Raises at its second pass."""

    def __init__(self):
        super().__init__()
        self.passes = 0

    def forward(self, inputs):
        self.passes += 1
        if self.passes > 1:
            raise KeyboardInterrupt
        return inputs


@pytest.mark.parametrize("name", ["gradient", "integrated_gradients", "cam", "gradcam", "lime"])
def test_the_model_is_left_as_found_when_a_pass_fails(name, make_model, make_cnn, pixels, targets):
    network = make_cnn()
    network.insert(0, Fails())
    model = make_model(network, cam_layer="8", offers=("gap_linear_head",)).train()
    before = snapshot(model)
    with pytest.raises(KeyboardInterrupt):
        xai.attribute(name, model, pixels, targets, batch_size=1, **QUICK[name])
    assert_same(before, snapshot(model))


@METHODS
def test_no_grad_and_inference_mode_around_the_call_change_nothing(name, cnn, pixels, targets):
    plain = xai.attribute(name, cnn, pixels, targets, **QUICK[name])
    with torch.no_grad():
        assert torch.equal(plain, xai.attribute(name, cnn, pixels, targets, **QUICK[name]))
    with torch.inference_mode():
        assert torch.equal(plain, xai.attribute(name, cnn, pixels.clone(), targets.clone(), **QUICK[name]))


@METHODS
def test_pixels_are_not_written_to_and_may_want_gradients(name, cnn, pixels, targets):
    mine = pixels.clone().requires_grad_()
    maps = xai.attribute(name, cnn, mine, targets, **QUICK[name])
    assert torch.equal(mine, pixels) and mine.grad is None and not maps.requires_grad


def test_peak_of_a_planted_object_is_found_by_every_method(make_model, targets):
    """A network that answers the mean red of a square off the diagonal: an axis swap or a shift would show."""
    image = torch.rand(1, 3, 24, 24, generator=torch.Generator().manual_seed(0))
    image[:, 0, 4:9, 14:19] = 1.0
    conv = nn.Conv2d(3, 2, 1)
    with torch.no_grad():
        conv.weight.zero_()[0, 0] = 1.0
        conv.bias.zero_()
    network = nn.Sequential(
        conv, Window(slice(4, 9), slice(14, 19)), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2, 5)
    )
    nn.init.constant_(network[-1].weight, 1.0)
    model = make_model(network, cam_layer="1", offers=("cam_layer", "gap_linear_head"), mean=(0, 0, 0), std=(1, 1, 1))
    unsuited = {
        "guided_backprop",
        "guided_gradcam",
        "deconvolution",
        "lrp",
    }  # here is no ReLU, and a layer without a rule
    superpixels = {"lime", "kernel_shap", "feature_ablation", "shapley_value_sampling"}
    for name in set(QUICK) - unsuited - {"random", "centre_gaussian", "sobel"}:
        shown = {"output": "logit", "hidden": "black"} if name in {*superpixels, "occlusion"} else {}
        options = shown | {
            key: {"samples": 60, "segments": 30}[key] for key in QUICK[name] if key in ("samples", "segments")
        }
        heat = xai.attribute(name, model, image, targets[:1], **options)[0]
        row, column = divmod(int(heat.argmax()), 24)
        margin = 4 if name in superpixels else 0
        assert 4 - margin <= row < 9 + margin and 14 - margin <= column < 19 + margin, name


class Window(nn.Module):
    """Zero outside a rectangle."""

    def __init__(self, rows, columns):
        super().__init__()
        self.rows, self.columns = rows, columns

    def forward(self, maps):
        keep = torch.zeros_like(maps)
        keep[:, :, self.rows, self.columns] = 1
        return maps * keep


def test_methods_are_listed_in_the_order_of_the_tables():
    names = xai.list_methods()
    usual = [n for n in names if n in QUICK and n in params.resolve("methods", "all")]
    assert usual == [
        "gradient", "integrated_gradients", "shap", "guided_backprop", "cam", "gradcam", "lime", "kernel_shap",
        "random", "centre_gaussian", "sobel",
    ]  # fmt: skip
    assert attribution.list_methods(family="control") == ["random", "centre_gaussian", "sobel"]
    assert attribution.list_methods("grad*") == ["gradient", "gradcam", "gradcam_pp"]


@METHODS
def test_parameter_files_hold_known_options_and_the_defaults(name):
    record = yaml.safe_load((PARAMS / f"{name}.yaml").read_text())
    entry, options = registry.method.get(name), record.get("method_options", {})
    assert record["method"] == name
    defaults = attribution.defaults(name)
    assert options == {key: defaults[key] for key in options}
    for scale in record.get("method_scales", {}).values():
        signatures.check("method", name, entry.function, {**options, **scale})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "gradcan"}, "unknown method 'gradcan'; did you mean 'gradcam'"),
        ({"poolling": "abs_max"}, "has no option 'poolling'; did you mean 'pooling'"),
        ({"pooling": "max"}, "pooling must be one of abs_max"),
        ({"name": "shap", "samples": "50"}, "samples must be a whole number, not '50'"),
        ({"name": "shap", "samples": 2.5}, "samples must be a whole number"),
        ({"name": "shap", "samples": True}, "samples must be a whole number"),
        ({"name": "shap", "references": [1]}, "references must be"),
        ({"name": "cam", "align_corners": 1}, "align_corners must be true or false"),
        ({"name": "lime", "alpha": "1e-5"}, "alpha must be a number"),
        *(
            ({"name": name, "compactness": 0.0}, "compactness must be above 0, not 0.0")
            for name in ("lime", "kernel_shap")
        ),
        *(({"name": name, "sigma": -1.0}, "sigma must be at least 0, not -1.0") for name in ("lime", "kernel_shap")),
        *(
            ({"name": "extremal_perturbation", key: 0.0}, f"{key} must be above 0, not 0.0")
            for key in ("step", "sigma")
        ),
        ({"name": "extremal_perturbation", "max_blur": -1.0}, "max_blur must be at least 0, not -1.0"),
        ({"name": "extremal_perturbation", "smooth": -0.1}, "smooth must be at least 0, not -0.1"),
        ({"name": "meaningful_perturbation", "beta": 0.5}, "beta must be at least 1, not 0.5"),
        ({"name": "meaningful_perturbation", "mask_blur": -1.0}, "mask_blur must be at least 0, not -1.0"),
        ({"name": "meaningful_perturbation", "max_blur": -1.0}, "max_blur must be at least 0, not -1.0"),
        ({"images": torch.zeros(2, 3, 8)}, "three channels"),
        ({"images": torch.zeros(4, 5, 24, 20)}, "three channels"),
        ({"images": torch.zeros(4, 3, 24, 20, dtype=torch.int64)}, "no type of pixels"),
        ({"images": torch.zeros(0, 3, 24, 20)}, "no image"),
        ({"images": torch.full((4, 3, 24, 20), 2.0)}, r"in \[0, 1\]"),
        ({"images": torch.full((4, 3, 24, 20), -1.0)}, r"in \[0, 1\]"),
        ({"images": torch.full((4, 3, 24, 20), float("nan"))}, "hold NaN"),
        ({"images": [1, 2]}, "image-0"),
        ({"images": None}, "images: the id of a data set"),
        ({"targets": torch.tensor([0, 1, 2])}, "targets: one class an image is needed, 4 in all, not 3"),
        ({"targets": torch.tensor([0.0, 1, 2, 3])}, "targets: a class is an index or a name, not 0.0"),
        ({"targets": True}, "targets: a class is an index or a name, not True"),
        ({"targets": "cat"}, "targets: 'cat' is not one class of model 'toy'; known"),
        ({"targets": "label"}, "targets: the images have no labels"),
        *(({"seed": seed}, f"seed: {seed!r} is not a whole number from 0") for seed in (True, 1.5, None, "0", -1)),
        ({"targets": torch.tensor([0, 1, 2, 5])}, "knows classes 0 to 4"),
        ({"targets": torch.tensor([0, 1, 2, -1])}, "knows classes 0 to 4"),
        ({"model": nn.Identity()}, "a xailib Model is needed"),
        ({"batch_size": 0}, "batch_size"),
        ({"precision": "fp16"}, "precision"),
    ],
)
def test_bad_input_is_one_sentence(cnn, pixels, targets, change, message):
    call = {"name": "gradient", "model": cnn, "images": pixels, "targets": targets, **change}
    with pytest.raises(xai.InputError, match=message) as error:
        xai.attribute(**call)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["gradient", "rise", "lime", "kernel_shap", "occlusion"])
def test_a_probability_that_vanishes_is_said(name, cnn, pixels, recwarn):
    cnn.network[-1].bias.data[0] = 500.0
    options = {key: value for key, value in QUICK.get(name, {}).items() if key != "output"}
    maps = xai.attribute(name, cnn, pixels, [0, 1, 2, 3], output="probability", **options)
    assert (maps.values[1:] == 0).all()
    assert re.search(
        r"[34] of 4 maps are zero throughout.*output='logit' tells which", str(recwarn.pop(UserWarning).message)
    )
    xai.attribute(name, cnn, pixels, [0, 1, 2, 3], output="logit", **options)
    assert not recwarn


@pytest.mark.parametrize("name", ["gradient", "cam", "gradcam", "lime", "kernel_shap"])
def test_a_model_that_answers_nan_is_refused(name, cnn, pixels, targets):
    cnn.network[0].weight.data[0] = float("nan")
    with pytest.raises(xai.InputError, match="model 'toy' answered NaN"):
        xai.attribute(name, cnn, pixels, targets, **QUICK[name])


def test_an_outer_block_sees_the_cost(cnn, pixels, targets):
    with engine.using() as run:
        xai.attribute("gradient", cnn, pixels, targets)
        xai.attribute("gradcam", cnn, pixels, targets)
    assert run.cost.forward == run.cost.backward == 8 and run.cost.seconds > 0


def test_importing_the_methods_imports_no_heavy_package():
    import subprocess
    import sys

    heavy = "{'captum', 'pandas', 'matplotlib', 'timm', 'scipy', 'skimage', 'sklearn', 'lime', 'torchvision'}"
    code = f"import sys, xailib.attribution; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", ["gradcam", "gradcam_pp", "score_cam"])
def test_threads_that_share_a_model_see_nothing_of_each_other(name, cnn, pixels, targets):
    images = [pixels, pixels.flip(0)]
    alone = [xai.attribute(name, cnn, one, targets) for one in images]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda i: xai.attribute(name, cnn, images[i % 2], targets), range(24)))
    for i, maps in enumerate(together):
        assert_close(maps.values, alone[i % 2].values)


def test_torchs_default_type_comes_back_after_threads(cnn, pixels, targets):
    torch.set_default_dtype(torch.float64)
    try:
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda _: xai.attribute("gradient", cnn, pixels, targets), range(24)))
        assert torch.get_default_dtype() == torch.float64
    finally:
        torch.set_default_dtype(torch.float32)
