"""Guided Backprop: an independent reference on every architecture, every way to write a ReLU, and what is refused."""

import copy
from collections import Counter

import pytest
import torch
from captum.attr import GuidedBackprop
from torch import nn
from torch.nn import functional
from torch.testing import assert_close
from torch.utils._python_dispatch import TorchDispatchMode

import xailib as xai
import xailib.models.architectures  # fills the registry
from xailib import engine, registry
from xailib.attribution.guided_backprop import guide, guided_backprop
from xailib.models.model import Model

RELUS = {"mini_alexnet": 7, "mini_googlenet": 31, "mini_resnet": 13, "mini_densenet": 28, "mini_mobilenet_v2": 13}


class Reference(torch.autograd.Function):
    """The definition, from the input rather than the output: g where x is on the slope and g is positive."""

    @staticmethod
    def forward(context, values, ceiling):
        context.save_for_backward(values)
        context.ceiling = ceiling
        return torch.where(values > 0, values, 0.0).minimum(torch.tensor(ceiling))

    @staticmethod
    def backward(context, gradient):
        (values,) = context.saved_tensors
        slope = (values > 0) & (values < context.ceiling)
        return torch.where(slope & (gradient > 0), gradient, 0.0), None


class ReferenceModule(nn.Module):
    def __init__(self, ceiling):
        super().__init__()
        self.ceiling = ceiling

    def forward(self, values):
        return Reference.apply(values, self.ceiling)


def reference(model, pixels, targets, monkeypatch):
    """Guided gradients `(n, 3, h, w)` of a copy of the model whose ReLU modules and functions are swapped."""
    model = copy.deepcopy(model)
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.ReLU | nn.ReLU6):
                setattr(parent, name, ReferenceModule(6.0 if isinstance(child, nn.ReLU6) else float("inf")))
    with monkeypatch.context() as patch:
        patch.setattr(functional, "relu", lambda values, inplace=False: Reference.apply(values, float("inf")))
        inputs = pixels.clone().requires_grad_()
        outputs = model(inputs).gather(1, targets[:, None]).sum()
        return torch.autograd.grad(outputs, inputs)[0]


class Executed(TorchDispatchMode):
    """Count the operators that a network executes."""

    def __init__(self):
        super().__init__()
        self.count = Counter()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.count[function.overloadpacket.__name__.rstrip("_")] += 1
        return function(*args, **(kwargs or {}))


def assert_near(found, expected):
    assert_close(found, expected, atol=1e-5 * float(expected.abs().max()), rtol=1e-4)


def miniature(name):
    entry = registry.architecture.get(name)
    torch.manual_seed(0)
    return Model(
        entry.function(12), id=name, architecture=name, training_algorithm="vanilla", input_size=64,
        class_names=[str(i) for i in range(12)], mean=(0.5,) * 3, std=(0.25,) * 3,
    )  # fmt: skip


@pytest.mark.parametrize("name", RELUS)
def test_miniatures_equal_an_independent_reference(name, monkeypatch):
    model = miniature(name)
    pixels = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    targets = torch.tensor([3, 7])
    expected = reference(model, pixels, targets, monkeypatch)
    assert_near(guided_backprop.channels(model, pixels, targets), expected)
    assert_near(xai.attribute("guided_backprop", model, pixels, targets, pooling="abs_sum"), expected.abs().sum(1))
    plain = xai.attribute("gradient", model, pixels, targets, pooling="abs_sum")
    assert not torch.allclose(plain, expected.abs().sum(1), rtol=0.1), "guiding must make a difference"


@pytest.mark.parametrize("name", RELUS)
def test_every_relu_that_is_executed_is_guided(name):
    model, pixels = miniature(name), torch.rand(2, 3, 64, 64).contiguous(memory_format=torch.channels_last)
    with Executed() as executed:
        plain = model(pixels.requires_grad_())
    guided, missed = guide(model(pixels))
    found = sum(executed.count[operator] for operator in ("relu", "hardtanh", "threshold", "clamp_min", "clamp"))
    assert guided == found == RELUS[name] and not missed
    (gradient,) = torch.autograd.grad(model(pixels).sum(), pixels)
    assert torch.equal(gradient, torch.autograd.grad(plain.sum(), pixels)[0]), "no other pass is guided"


@pytest.mark.filterwarnings("ignore:Setting backward hooks")
def test_agrees_with_captum_where_captum_sees_every_relu():
    """AlexNet: modules only, none reused."""
    model, pixels, targets = miniature("mini_alexnet"), torch.rand(2, 3, 64, 64), torch.tensor([1, 2])
    peer = GuidedBackprop(model).attribute(pixels.clone().requires_grad_(), targets)
    assert_near(guided_backprop.channels(model, pixels, targets), peer.detach())


def test_two_layers_by_hand(make_model, pixels, targets):
    """Only hidden units that are on and speak for the class pass their weights back."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(3 * 24 * 20, 8), nn.ReLU(), nn.Linear(8, 5))
    model = make_model(network)
    with torch.no_grad():
        hidden = network[1](model.normalise(pixels).flatten(1))
        speaks = network[3].weight[targets].clamp(min=0) * (hidden > 0)
        expected = (speaks @ network[1].weight).view(4, 3, 24, 20) / model.std
    assert (speaks == 0).any() and (speaks > 0).any()
    assert_near(guided_backprop.channels(model, pixels, targets), expected)


SPELLINGS = {
    "module": nn.ReLU(), "module in place": nn.ReLU(inplace=True), "functional": functional.relu,
    "functional in place": lambda x: functional.relu(x, inplace=True), "torch": torch.relu, "torch_": torch.relu_,
    "tensor": lambda x: x.relu(), "tensor_": lambda x: x.relu_(), "threshold": nn.Threshold(0, 0),
    "threshold in place": nn.Threshold(0.0, 0.0, inplace=True), "clamp": lambda x: x.clamp(min=0),
    "clamp positional": lambda x: torch.clamp(x, 0), "clamp_": lambda x: x.clamp_(0.0), "clip": lambda x: x.clip(min=0),
    "clamp_min": lambda x: torch.clamp_min(x, 0), "clamp_min_": lambda x: x.clamp_min_(min=0),
    "named input": lambda x: torch.relu(input=x),
}  # fmt: skip
SIXES = {
    "module": nn.ReLU6(), "module in place": nn.ReLU6(inplace=True), "functional": functional.relu6,
    "hardtanh": lambda x: functional.hardtanh(x, 0.0, 6.0), "hardtanh_": lambda x: functional.hardtanh_(x, 0, 6),
    "clamp": lambda x: x.clamp(0, 6), "clip": lambda x: torch.clip(x, min=0.0, max=6.0),
}  # fmt: skip


@pytest.mark.parametrize(
    ("relu", "ceiling"),
    [*[(relu, None) for relu in SPELLINGS.values()], *[(relu, 6) for relu in SIXES.values()]],
    ids=[*SPELLINGS, *[f"{name} 6" for name in SIXES]],
)
def test_every_way_to_write_a_relu(relu, ceiling):
    inputs = torch.tensor([[-1.0, 0.0, 2.0, 3.0, 6.0, 7.0]], requires_grad=True)
    values = inputs * 1  # a leaf cannot be changed in place
    outputs = relu(values)
    assert torch.equal(outputs, inputs.detach().clamp(0, ceiling)) and guide(outputs) == (1, {})
    gradient = torch.autograd.grad(outputs, inputs, torch.tensor([[5.0, 5.0, 5.0, -5.0, 5.0, 5.0]]))[0]
    above = 0.0 if ceiling else 5.0
    assert gradient.tolist() == [[0.0, 0.0, 5.0, 0.0, above, above]]


def test_in_place_relus_stay_in_place():
    """A network may read the changed input: as a residual, say."""
    values = torch.tensor([-1.0, 2.0], requires_grad=True)
    hidden = values * 1
    outputs = functional.relu(hidden, inplace=True) + hidden
    guide(outputs)
    assert outputs.tolist() == [0.0, 4.0]
    assert torch.autograd.grad(outputs.sum(), values)[0].tolist() == [0.0, 2.0]


def test_a_reused_module_counts_each_time():
    relu = nn.ReLU()
    assert guide(relu(relu(torch.rand(3, requires_grad=True)))) == (2, {})


REFUSED = {
    "silu": nn.SiLU(), "gelu": nn.GELU(), "elu": nn.ELU(), "leaky_relu": nn.LeakyReLU(), "sigmoid": nn.Sigmoid(),
    "hardswish": nn.Hardswish(), "hardsigmoid": nn.Hardsigmoid(), "tanh": nn.Tanh(), "mish": nn.Mish(),
    "hardtanh": nn.Hardtanh(), "prelu": nn.PReLU(24), "softplus": nn.Softplus(), "softmax": nn.Softmax(1),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_activations_without_a_guided_gradient_are_refused(name, make_model, make_cnn, pixels, targets):
    """One among ReLUs is enough."""
    network = make_cnn()
    network[7] = REFUSED[name]
    with pytest.raises(xai.InputError, match=rf"model 'toy' executes '\w*{name}\w*' \(1x\), which has no guided"):
        xai.attribute("guided_backprop", make_model(network), pixels, targets)


@pytest.mark.filterwarnings("ignore:.*torch.jit.script.*:DeprecationWarning")
def test_relus_that_cannot_be_caught_are_refused(make_model, make_cnn, pixels, targets):
    """Inside a scripted module no function of torch is called."""
    network = make_cnn()
    network[7] = torch.jit.script(nn.ReLU())
    with pytest.raises(xai.InputError, match=r"model 'toy' runs the scripted module 'network\.7'"):
        xai.attribute("guided_backprop", make_model(network), pixels, targets)


def test_a_network_without_relus_is_refused(linear, squares, pixels, targets):
    for model in (linear, squares):
        with pytest.raises(xai.InputError, match="model 'toy' executes no ReLU"):
            xai.attribute("guided_backprop", model, pixels, targets)


def relu_on_a_view(maps):
    channels = maps.flatten(2)[:, ::2]
    functional.relu(channels, inplace=True)
    return maps


class Custom(torch.autograd.Function):
    """A sigmoid that autograd cannot look into."""

    @staticmethod
    def forward(context, values):
        context.save_for_backward(values.sigmoid())
        return values.sigmoid()

    @staticmethod
    def backward(context, gradient):
        (values,) = context.saved_tensors
        return gradient * values * (1 - values)


class Apply(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, inputs):
        return self.function(inputs)


@pytest.mark.parametrize(
    ("function", "name"),
    [
        (relu_on_a_view, "copy_slices"),
        (Custom.apply, "custom"),
        (lambda maps: maps.clamp(min=torch.zeros(1)), "clamp"),
        (lambda maps: maps.clamp(max=6), "clamp"),
    ],
)
def test_what_the_graph_does_not_show_is_refused(function, name, make_model, make_cnn, pixels, targets):
    """A ReLU may be in there, which nobody would guide."""
    network = make_cnn(inplace=False)
    network[7] = Apply(function)
    with pytest.raises(xai.InputError, match=rf"model 'toy' executes '{name}' \(1x\), which has no guided gradient"):
        xai.attribute("guided_backprop", make_model(network), pixels, targets)


def test_passes_are_counted_and_precision_is_exact(cnn, pixels, targets):
    with engine.using(batch_size=3) as run:
        exact = xai.attribute("guided_backprop", cnn, pixels, targets)
    assert (run.cost.forward, run.cost.backward) == (4, 4)
    assert_close(xai.attribute("guided_backprop", cnn, pixels, targets, precision="bf16"), exact)


def test_the_probability_is_guided_from_the_softmax_down(cnn, pixels, targets):
    """The softmax is not part of the network: its gradient is the plain one."""
    logit = xai.attribute("guided_backprop", cnn, pixels, targets)
    probability = xai.attribute("guided_backprop", cnn, pixels, targets, output="probability")
    assert torch.isfinite(probability).all() and not torch.allclose(logit, probability)
