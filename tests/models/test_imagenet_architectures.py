"""ImageNet architectures: maps are where the records say, CAM's linear head is one, names and weights are torchvision's."""

import pytest
import torch
from torch import nn
from torchvision import models

import xailib as xai
from xailib import params
from xailib.errors import InputError
from xailib.models import build_network, from_record

TWELVE = [
    f"{name}_{kind}"
    for name in ("alexnet", "googlenet", "resnet50", "densenet161", "mobilenet_v2")
    for kind in ("vanilla", "robust")
] + ["resnet50_advprop1", "resnet50_advprop5"]
CELLS = {"alexnet": 13, "efficientnet_b0_advprop": 7}


def untrained(id: str) -> xai.models.model.Model:
    torch.manual_seed(0)
    record = params.load_params("models", id)
    return from_record(build_network(record), record)


def tap(model: xai.models.model.Model, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The maps that a hook on `cam_layer` sees, and the logits."""
    seen = []
    handle = model.cam_layer.register_forward_hook(lambda module, inputs, output: seen.append(output.detach().clone()))
    logits = model(pixels)
    handle.remove()
    return seen[0], logits


@pytest.mark.parametrize(
    "id", ["alexnet_vanilla", "googlenet_vanilla", "resnet50_vanilla", "densenet161_vanilla", "mobilenet_v2_vanilla",
           "efficientnet_b0_advprop"],
)  # fmt: skip
def test_maps_and_head_are_what_the_record_says(id: str) -> None:
    model = untrained(id)
    pixels = torch.rand(2, 3, 224, 224)
    maps, logits = tap(model, pixels)
    assert logits.shape == (2, 1000) and maps.shape[-1] == CELLS.get(id.removesuffix("_vanilla"), 7)
    if id != "efficientnet_b0_advprop":  # SiLU
        assert (maps >= 0).all() and (maps == 0).any(), "the maps that are explained come after the ReLU"
    if "gap_linear_head" in model.offers:
        linear = [module for module in model.network.modules() if isinstance(module, nn.Linear)][-1]
        by_hand = maps.mean((2, 3)) @ model.class_weights.T + linear.bias
        torch.testing.assert_close(by_hand, logits, atol=1e-4, rtol=1e-4)
    assert ("gap_linear_head" in model.offers) == (id != "alexnet_vanilla")


@pytest.mark.parametrize("name", ["alexnet", "googlenet", "resnet50", "densenet161", "mobilenet_v2"])
def test_they_compute_what_torchvision_computes(name: str) -> None:
    model = untrained(f"{name}_vanilla")
    options = {"aux_logits": False, "transform_input": True, "init_weights": True} if name == "googlenet" else {}
    theirs = models.get_model(name, weights=None, **options).eval()
    theirs.load_state_dict(model.network.state_dict())
    pixels = torch.rand(1, 3, 96, 96)
    preset = models.get_weight(params.load_params("models", f"{name}_vanilla")["weights"]["enum"]).transforms()
    normal = (pixels - torch.tensor(preset.mean).view(3, 1, 1)) / torch.tensor(preset.std).view(3, 1, 1)
    with torch.no_grad():
        torch.testing.assert_close(model(pixels), theirs(normal), atol=1e-4, rtol=1e-4)


def test_transform_input_takes_imagenets_normalisation_back() -> None:
    record = params.load_params("models", "googlenet_vanilla")
    model = from_record(build_network(record), record)
    plain = from_record(build_network({**record, "model_options": {}}), {**record, "mean": [0.5] * 3, "std": [0.5] * 3})
    plain.network.load_state_dict(model.network.state_dict())
    pixels = torch.rand(1, 3, 64, 64)
    torch.testing.assert_close(model(pixels), plain(pixels), atol=1e-5, rtol=1e-4)


def test_all_twelve_records_say_where_from_and_how_good() -> None:
    for id in TWELVE:
        record = params.load_params("models", id)
        assert record["weights"]["license"] and record["model_dataset"] == "imagenet", id
        assert record["mean"] == ([0.5] * 3 if "advprop" in id else [0.485, 0.456, 0.406]), id
        assert "accuracy" in record or id == "resnet50_advprop5"
        enum = record["weights"].get("enum")
        if enum:  # what torchvision itself says
            theirs = models.get_weight(enum)
            assert theirs.url.endswith(f"-{record['weights']['sha256_prefix']}.pth")
            assert record["accuracy"]["value"] == pytest.approx(theirs.meta["_metrics"]["ImageNet-1K"]["acc@1"] / 100)


def test_any_network_of_torchvision_and_timm_by_name() -> None:
    record = params.load_params("models", "efficientnet_b0_advprop")
    other = {
        **record,
        "architecture": "torchvision",
        "model_options": {"name": "shufflenet_v2_x0_5"},
        "cam_layer": "conv5",
    }
    model = from_record(build_network(other), other)
    maps, logits = tap(model, torch.rand(1, 3, 64, 64))
    torch.testing.assert_close(maps.mean((2, 3)) @ model.class_weights.T + model.network.fc.bias, logits)
    with pytest.raises(InputError, match=r"cam_layer: the network has no layer 'conv6'; did you mean 'conv5'"):
        from_record(model.network, {**other, "cam_layer": "conv6"})
    for architecture in ("torchvision", "timm"):
        with pytest.raises(InputError, match=rf"{architecture} has no 'resnet5O'; did you mean 'resnet50'"):
            build_network({**record, "architecture": architecture, "model_options": {"name": "resnet5O"}})


def test_cam_and_gradcam_agree_after_densenets_last_relu() -> None:
    model = untrained("densenet161_vanilla")
    pixels, targets = torch.rand(1, 3, 64, 64), torch.tensor([3])
    cam = xai.attribute("cam", model, pixels, targets, relu="before")
    gradcam = xai.attribute("gradcam", model, pixels, targets)
    torch.testing.assert_close(gradcam * 4, cam, atol=1e-5, rtol=1e-3)  # 2 x 2 cells at 64 px


def test_densenets_pixel_gradient_is_torchvisions() -> None:
    model = untrained("densenet161_vanilla")
    theirs = models.densenet161(weights=None)
    theirs.load_state_dict(model.network.state_dict())
    pixels = torch.rand(1, 3, 64, 64)
    inputs = model.normalise(pixels).requires_grad_()
    wanted = torch.autograd.grad(theirs.eval()(inputs)[0, 3], inputs)[0] / model.std
    found = xai.attribute("gradient", model, pixels, torch.tensor([3]), pooling="signed_mean")
    torch.testing.assert_close(found, wanted.mean(dim=1), atol=1e-7, rtol=1e-3)
