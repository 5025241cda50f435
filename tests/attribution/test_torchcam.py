"""torch-cam's methods: planted evidence, torch-cam's own numbers, and what happens without the package."""

import sys

import pytest
import torch
import torchcam.methods
from torch import nn
from torch.nn import functional
from torch.testing import assert_close

import xailib as xai
from xailib import engine

CLASSES = {"layer_cam": "LayerCAM", "xgradcam": "XGradCAM", "score_cam": "ScoreCAM",
           "ss_cam": "SSCAM", "is_cam": "ISCAM"}  # fmt: skip
QUICK = {"ss_cam": {"samples": 2}, "is_cam": {"samples": 3}}
METHODS = pytest.mark.parametrize("name", CLASSES)


@METHODS
def test_the_map_lies_on_the_evidence_of_its_class(name, make_model) -> None:
    """Class 0 sees red, class 1 green; red is on the left and green on the right."""
    conv, last = nn.Conv2d(3, 2, 1, bias=False), nn.Linear(2, 5)
    with torch.no_grad():
        conv.weight.zero_()
        conv.weight[0, 0] = conv.weight[1, 1] = 1
        last.weight.zero_()
        last.weight[0, 0] = last.weight[1, 1] = 8
    network = nn.Sequential(conv, nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), last)
    model = make_model(network, cam_layer="1", mean=(0.0,) * 3, std=(1.0,) * 3)
    pixels = torch.zeros(2, 3, 16, 16)
    pixels[:, 0, :, :6] = pixels[:, 1, :, 10:] = 1
    maps = xai.attribute(name, model, pixels, [0, 1], **QUICK.get(name, {})).values
    assert maps[0, :, :6].mean() > 1.2 * maps[0, :, 10:].mean() and maps[1, :, 10:].mean() > 1.2 * maps[1, :, :6].mean()
    assert (maps >= 0).all()


@METHODS
def test_numbers_are_torchcams(name, cnn, pixels, targets) -> None:
    maps = xai.attribute(name, cnn, pixels, targets, **QUICK.get(name, {})).values
    inputs = cnn.normalise(pixels).requires_grad_()
    given = {} if name not in QUICK else {"num_samples": QUICK[name]["samples"]}
    for module in cnn.modules():  # torch-cam's hook keeps what an in-place ReLU would change
        if hasattr(module, "inplace"):
            module.inplace = False
    for i in range(4):
        with getattr(torchcam.methods, CLASSES[name])(cnn.network, "7", **given) as extractor:
            scores = cnn.network(inputs[i, None])
            if name == "ss_cam":
                from xailib.seeding import generators

                torch.manual_seed(generators(pixels, 0, "SSCAM")[i].initial_seed())
            cells = extractor(int(targets[i]), *([scores] if CLASSES[name].startswith(("Layer", "XGrad")) else []),
                              normalized=False)[0].detach()  # fmt: skip
        direct = functional.interpolate(cells[:, None], pixels.shape[-2:], mode="bilinear", align_corners=False)[0, 0]
        assert_close(maps[i], direct, rtol=1e-3, atol=1e-5 * float(direct.abs().max()) + 1e-8)


def test_copies_of_is_cam_are_as_bright_as_it_says(make_model) -> None:
    class Watched(nn.Sequential):
        def forward(self, inputs):
            seen.append(float(inputs.max()))
            return super().forward(inputs)

    seen: list[float] = []
    conv = nn.Conv2d(3, 1, 1, bias=False)
    nn.init.ones_(conv.weight)
    network = Watched(conv, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(1, 5))
    model = make_model(network, cam_layer="0", mean=(0.0,) * 3, std=(1.0,) * 3)
    pixels = torch.zeros(1, 3, 24, 20)
    pixels[..., :5] = 1
    xai.attribute("is_cam", model, pixels, [0], samples=4)
    assert_close(seen[-4:], [i * (i + 1) / 8 for i in (1, 2, 3, 4)], rtol=1e-4, atol=0.0)


def test_passes_are_counted(cnn, pixels, targets) -> None:
    with engine.using() as run:
        xai.attribute("layer_cam", cnn, pixels, targets)
    assert (run.cost.forward, run.cost.backward) == (4, 4)
    with engine.using() as run:
        xai.attribute("score_cam", cnn, pixels, targets)
    assert (run.cost.forward, run.cost.backward) == (4 * (1 + 1 + 24), 0)  # the maps, the whole image, and each map


def test_without_the_package_only_these_methods_fail(monkeypatch, cnn, pixels, targets) -> None:
    monkeypatch.setitem(sys.modules, "torchcam", None)
    with pytest.raises(
        xai.InputError, match="torch-cam, which makes ScoreCAM, is not installed; run: pip install torchcam"
    ):
        xai.attribute("score_cam", cnn, pixels, targets)
    assert "score_cam" in xai.list_methods() and len(xai.attribute("gradcam", cnn, pixels, targets)) == 4


def test_a_network_without_maps_is_refused(linear, pixels, targets) -> None:
    with pytest.raises(xai.InputError, match="method 'score_cam' needs cam_layer, which model 'toy' does not offer"):
        xai.attribute("score_cam", linear, pixels, targets)
