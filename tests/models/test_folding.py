"""Folding: the same answers and gradients from fewer operations, and never where they would not be the same."""

import gc
import weakref

import pytest
import torch
from torch import nn

import xailib as xai
from xailib.models import folding
from xailib.models.folding import folded
from xailib.models.model import Model

SIDE = 24
PIXELS = torch.rand(3, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(1))


def norms(module):
    return sum(isinstance(one, nn.BatchNorm2d) for one in module.modules())


def settled(network):
    """Give batch norms statistics and weights of their own, as training does."""
    generator = torch.Generator().manual_seed(0)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            for value in filter(torch.is_tensor, (module.running_mean, module.weight, module.bias)):
                value.data.normal_(generator=generator)
            module.running_var.uniform_(0.5, 2.0, generator=generator)
    return network


def model_of(network, cam_layer=None, side=SIDE):
    return Model(
        settled(network), id="toy", architecture="toy", training_algorithm="vanilla", input_size=side,
        class_names=list("abcde"), mean=[0.4] * 3, std=[0.3] * 3, cam_layer=cam_layer,
    )  # fmt: skip


class Plain(nn.Module):
    """Two convolutions with batch norms, the second without a bias, and a linear head."""

    def __init__(self):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8)
        self.conv2, self.bn2 = nn.Conv2d(8, 8, 3, groups=2, bias=False), nn.BatchNorm2d(8, affine=False)
        self.fc = nn.Linear(8, 5)

    def forward(self, pixels):
        maps = self.bn1(self.conv1(pixels)).relu()
        return self.fc(self.bn2(self.conv2(maps)).relu().mean((2, 3)))


class UsedTwice(Plain):
    """What the first convolution gives goes to its batch norm and around it."""

    def forward(self, pixels):
        maps = self.conv1(pixels)
        return self.fc(self.bn2(self.conv2(self.bn1(maps).relu() + maps)).mean((2, 3)))


class RunTwice(Plain):
    """One convolution with two batch norms."""

    def forward(self, pixels):
        maps = self.bn1(self.conv1(pixels)).relu()
        return self.fc(self.bn2(self.conv1(maps[:, :3])).mean((2, 3)))


def test_a_folded_network_answers_alike():
    model = model_of(Plain())
    fast = folded(model, PIXELS)
    assert norms(fast) == 0 and norms(model) == 2
    assert (fast(PIXELS) - model(PIXELS)).abs().max() < 1e-5
    inputs = PIXELS.clone().requires_grad_()
    slopes = [torch.autograd.grad(one(inputs)[:, 1].sum(), inputs)[0] for one in (fast, model)]
    assert (slopes[0] - slopes[1]).abs().max() < 1e-5


@pytest.mark.parametrize("id", ["mini_densenet_vanilla", "mini_googlenet_robust", "mini_mobilenet_v2_vanilla"])
def test_shipped_networks_keep_their_answers(id):
    model, images = xai.load_model(id), xai.load_images("pictograms", limit=8)
    fast = folded(model, images.pixels)
    assert norms(fast) < norms(model)
    before = model(images.pixels)
    assert (fast(images.pixels) - before).abs().max() < 1e-5 * before.abs().max()


@pytest.mark.parametrize(("network", "left"), [(UsedTwice, 2), (RunTwice, 2)])
def test_where_folding_would_change_answers_the_network_runs_as_it_is(network, left):
    model = model_of(network())
    fast = folded(model, PIXELS)
    assert norms(fast) == left and torch.equal(fast(PIXELS), model(PIXELS))


def test_a_head_with_small_weights_hides_no_wrong_copy():
    network = UsedTwice()
    network.fc.weight.data.mul_(1e-6)  # a head that has just begun to learn
    model = model_of(network, cam_layer="bn2")
    names = ("gradient", "gradcam")
    maps = [xai.attribute(name, model, PIXELS, targets=1) for name in names]
    model.network.bn1.register_forward_hook(lambda *_: None)  # which keeps it from being folded
    for name, found in zip(names, maps, strict=True):
        assert torch.equal(found, xai.attribute(name, model, PIXELS, targets=1)), name


@pytest.mark.parametrize("way", ["weight_norm", "spectral_norm", "orthogonal"])
def test_parametrised_convolutions_run_as_they_are(way):
    network = Plain()
    getattr(nn.utils.parametrizations, way)(network.conv1)
    model = model_of(network)
    before = model(PIXELS)
    assert (folded(model, PIXELS)(PIXELS) - before).abs().max() < 1e-5 * before.abs().max()
    assert norms(folded(model, PIXELS)) == 1 and len(xai.attribute("gradient", model, PIXELS)) == len(PIXELS)


def hangs_a_hook(model, pixels, targets):
    model.network.conv1.register_full_backward_hook(lambda _module, _inputs, outputs: (outputs[0] * 0,))
    return pixels.mean(1)


def redraws(model, pixels, targets):
    with torch.no_grad():
        model.network.fc.weight.normal_()
    return pixels.mean(1)


def replaces(model, pixels, targets):
    model.network.fc = nn.Linear(8, 5)
    return pixels.mean(1)


@pytest.mark.parametrize("own", [hangs_a_hook, redraws, replaces])
def test_what_an_own_method_does_to_its_network_ends_with_it(own):
    model = model_of(Plain())
    state = {name: value.clone() for name, value in model.state_dict().items()}
    before = xai.attribute("gradient", model, PIXELS, targets=[0, 1, 2])
    xai.attribute(own, model, PIXELS, targets=[0, 1, 2])
    assert torch.equal(xai.attribute("gradient", model, PIXELS, targets=[0, 1, 2]), before)
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())


def test_maps_of_the_cam_layer_stay():
    for layer in ("conv1", "bn1", "conv2", "bn2"):
        model = model_of(Plain(), cam_layer=layer)
        maps = []
        for one in (model, folded(model, PIXELS)):
            handle = one.cam_layer.register_forward_hook(
                lambda _module, _inputs, output, kept=maps: kept.append(output)
            )
            one(PIXELS)
            handle.remove()
        assert (maps[0] - maps[1]).abs().max() < 1e-5, layer


def test_new_weights_modules_and_statistics_are_seen():
    model = model_of(Plain())
    first = folded(model, PIXELS)
    assert folded(model, PIXELS) is first
    changes = [
        lambda: model.network.conv1.weight.mul_(2),
        lambda: model.network.bn1.running_mean.add_(1),
        lambda: model.network.conv1.weight.data.normal_(),  # of which torch's versions tell nothing
        lambda: model.network.conv2.weight.data.copy_(model.network.conv2.weight.data.flip(0)),
        lambda: setattr(model.network, "fc", nn.Linear(8, 5)),
        lambda: model.network.load_state_dict({k: v + 0.1 for k, v in model.network.state_dict().items()}),
    ]
    for change in changes:
        with torch.no_grad():
            change()
            assert (folded(model, PIXELS)(PIXELS) - model(PIXELS)).abs().max() < 1e-4 * model(PIXELS).abs().max()


def test_another_word_about_the_network_is_seen():
    model = model_of(Plain(), cam_layer="bn1")
    folded(model, PIXELS)
    model.cam_layer_name = "bn2"
    assert folded(model, PIXELS).cam_layer_name == "bn2"


def test_a_network_in_training_is_left_alone():
    network = settled(Plain())
    model = model_of(network)
    network.train().requires_grad_(True)
    state = {name: value.clone() for name, value in network.state_dict().items()}
    assert not folded(model, PIXELS).training
    assert network.training and all(parameter.requires_grad for parameter in network.parameters())
    assert all(torch.equal(value, state[name]) for name, value in network.state_dict().items())


def test_what_is_hung_on_a_module_keeps_its_network():
    model, seen = model_of(Plain()), []
    model.network.bn1.register_forward_hook(lambda *_: seen.append(1))
    assert folded(model, PIXELS) is model
    xai.attribute("gradient", model, PIXELS, torch.tensor([0, 1, 2]))
    assert seen, "the caller's hook sees the passes"


def test_networks_that_cannot_be_copied_run_as_they_are(monkeypatch):
    def refusing(_):
        raise TypeError("cannot be copied")

    model = model_of(Plain())
    monkeypatch.setattr(folding.copy, "deepcopy", refusing)
    assert folded(model, PIXELS) is model
    assert xai.attribute("rise", model, PIXELS, torch.tensor([0, 1, 2]), masks=8).shape == (3, SIDE, SIDE)


def test_a_copy_goes_with_its_model():
    gc.collect()
    kept = len(folding._kept)  # of models that others still hold
    model = model_of(Plain())
    gone = weakref.ref(folded(model, PIXELS))
    assert len(folding._kept) == kept + 1
    del model
    gc.collect()
    assert gone() is None and len(folding._kept) == kept


def test_the_copy_is_laid_out_channels_last():
    model = model_of(Plain())
    assert folded(model, PIXELS).network.conv1.weight.is_contiguous(memory_format=torch.channels_last)
    assert model.network.conv1.weight.is_contiguous()
