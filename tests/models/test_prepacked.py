"""Convolutions laid out once: the same answers, a ReLU moved only where nothing else reads what it reads."""

import copy

import pytest
import torch
from torch import nn
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode
from torchvision.models.mobilenetv2 import InvertedResidual
from torchvision.models.resnet import BasicBlock

from xailib.models.folding import folded
from xailib.models.model import Model
from xailib.models.prepacked import Prepacked

SIDE = 24
PIXELS = torch.rand(3, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(1))

pytestmark = pytest.mark.skipif(not hasattr(torch.ops.mkldnn, "_convolution_pointwise"), reason="torch without oneDNN")


def model_of(*layers, cam_layer=None):
    torch.manual_seed(0)
    network = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.LazyLinear(5))
    network(PIXELS)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.weight.data.uniform_(0.5, 2)
            module.bias.data.normal_()
    return Model(
        network, id="toy", architecture="toy", training_algorithm="vanilla", input_size=SIDE, class_names=list("abcde"),
        cam_layer=cam_layer,
    )  # fmt: skip


def normed(before, after, **how):
    return nn.Sequential(nn.Conv2d(before, after, 3, padding=1, bias=False, **how), nn.BatchNorm2d(after))


def moved(fast):
    return [name for name, one in fast.network.named_modules() if isinstance(one, Prepacked) and one.activation]


def operators(function):
    with profile(activities=[ProfilerActivity.CPU], acc_events=True) as seen:
        function()
    return {event.key: event.count for event in seen.key_averages()}


@torch.no_grad()
def test_a_residual_block_is_packed_and_its_shared_relu_is_moved_where_it_may_be():
    model = model_of(normed(3, 8), nn.ReLU(), BasicBlock(8, 8))
    fast = folded(model, PIXELS)
    assert moved(fast) == ["0.0", "2.conv1"]  # conv2's output goes to the sum
    assert (fast(PIXELS) - model(PIXELS)).abs().max() < 1e-5
    seen = operators(lambda: fast(PIXELS))
    assert seen["mkldnn::_convolution_pointwise"] == 3 and "aten::convolution" not in seen
    assert seen["aten::relu_"] == 1 and "aten::relu" not in seen


@torch.no_grad()
def test_a_relu_with_a_ceiling_and_grouped_convolutions_are_packed_too():
    model = model_of(InvertedResidual(3, 8, 2, expand_ratio=4))
    fast = folded(model, PIXELS * 20)
    assert len(moved(fast)) == 2
    assert (fast(PIXELS * 20) - model(PIXELS * 20)).abs().max() < 1e-4 * model(PIXELS * 20).abs().max()


class Around(nn.Module):
    """What its convolution gives goes to a ReLU, and around it."""

    def __init__(self):
        super().__init__()
        self.conv, self.relu = nn.Conv2d(3, 8, 3), nn.ReLU()

    def forward(self, pixels):
        maps = self.conv(pixels)
        return self.relu(maps) + maps


@torch.no_grad()
def test_a_relu_stays_where_its_input_is_read_elsewhere():
    model = model_of(Around())
    fast = folded(model, PIXELS)
    assert isinstance(fast.network[0].conv, Prepacked) and not moved(fast)
    assert (fast(PIXELS) - model(PIXELS)).abs().max() < 1e-5


@torch.no_grad()
def test_the_other_reader_is_seen_where_no_image_of_the_trial_tells():
    """On noise this convolution gives positive maps alone, which a ReLU does not change; on a black image it does not."""
    model = model_of(Around())
    nn.init.constant_(model.network[0].conv.weight, 1.0)
    nn.init.constant_(model.network[0].conv.bias, -0.5)
    fast, black = folded(model, PIXELS), torch.zeros(1, 3, SIDE, SIDE)
    assert isinstance(fast.network[0].conv, Prepacked) and not moved(fast)
    torch.testing.assert_close(fast(black), model(black))


@pytest.mark.parametrize("layer", ["0", "0.0", "0.1", "1"])
def test_maps_are_those_before_the_relu_where_the_cam_layer_is(layer):
    model = model_of(normed(3, 8), nn.ReLU(), cam_layer=layer)
    fast, maps = folded(model, PIXELS), []
    assert bool(moved(fast)) == (layer == "1")
    for one in (model, fast):
        handle = one.cam_layer.register_forward_hook(lambda _module, _inputs, output: maps.append(output.clone()))
        with torch.no_grad():
            one(PIXELS)
        handle.remove()
    assert (maps[0] - maps[1]).abs().max() < 1e-5 and (layer == "1") == (maps[0].min() >= 0)


@torch.inference_mode()
def test_a_copy_can_be_made_in_inference_mode():
    model = model_of(normed(3, 8), nn.ReLU())
    assert moved(folded(model, PIXELS)) == ["0.0"]


def test_gradients_modes_and_copies_see_the_convolution_as_it_is():
    model = model_of(normed(3, 8), nn.ReLU(), normed(8, 8))
    fast, inputs = folded(model, PIXELS), PIXELS.clone().requires_grad_()
    slopes = [torch.autograd.grad(one(inputs)[:, 1].sum(), inputs)[0] for one in (fast, model)]
    assert (slopes[0] - slopes[1]).abs().max() < 1e-5
    with torch.no_grad():
        answers = fast(PIXELS)
        counts = []
        for one in (fast, model):
            with FlopCounterMode(display=False) as counter:
                one(PIXELS)
            counts.append(counter.get_total_flops())
        assert counts[0] == counts[1] > 0
        assert torch.equal(copy.deepcopy(fast)(PIXELS), answers)


@torch.no_grad()
def test_other_sizes_and_precisions_are_laid_out_anew():
    model = model_of(normed(3, 8), nn.ReLU(), normed(8, 16, stride=2), nn.ReLU())
    fast, large = folded(model, PIXELS), torch.rand(5, 3, 40, 32)
    for pixels in (PIXELS, large):
        with torch.inference_mode(pixels is large):
            assert (fast(pixels) - model(pixels)).abs().max() < 1e-5
    with torch.enable_grad():
        assert torch.equal(fast(large), fast(large.clone())), "laid out in inference mode, used outside"
    with torch.autocast("cpu", torch.bfloat16):
        low = fast(PIXELS)
        assert low.dtype is torch.bfloat16 and (low - model(PIXELS)).abs().max() < 2e-2 * low.abs().max()
    assert (fast(PIXELS) - model(PIXELS)).abs().max() < 1e-5
