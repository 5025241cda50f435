"""`wrap`: what is derived from real networks of timm and torchvision, token grids, and that the network is left alone."""

import copy
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import timm
import torch
from PIL import Image
from torch import nn
from torch.testing import assert_close
from torchvision import models as torchvision

import xailib as xai
from xailib.models.layers import as_maps

SIDE = 64
Y = torch.tensor([0, 1])

# Network -> its last convolutional stage, and whether logits = linear(mean over cells of its maps) holds exactly. Where it
# does not: DenseNet's last ReLU is a function behind the maps, ConvNeXt normalises behind its pooling, and others have
# hidden layers in their heads.
TORCHVISION = {
    "alexnet": ("features.11", False), "squeezenet1_1": ("classifier.2", False), "resnet18": ("layer4", True),
    "mobilenet_v2": ("features", True), "mobilenet_v3_small": ("features", False), "shufflenet_v2_x0_5": ("conv5", True),
    "mnasnet0_5": ("layers", True), "efficientnet_b0": ("features", True), "regnet_y_400mf": ("trunk_output", True),
    "googlenet": ("inception5b", True), "densenet121": ("features", False), "convnext_tiny": ("features", False),
}  # fmt: skip
TIMM = {
    "resnet10t": ("layer4", True), "test_resnet": ("layer4", True), "test_convnext": ("stages", False),
    "test_efficientnet": ("bn2", True), "lcnet_050": ("blocks", False), "mobilenetv2_050": ("bn2", True),
    "regnetx_002": ("s4", True), "densenet121": ("features", True), "mobilenetv3_small_050": ("blocks", False),
    "ghostnet_050": ("blocks", False), "tinynet_e": ("bn2", True), "repvgg_a0": ("stages", True),
    "efficientnet_lite0": ("bn2", True),
}  # fmt: skip
EVERYWHERE = pytest.mark.filterwarnings("ignore:.*init_weights.*|.*weight initialization of the model.*")


def pixels(n=2, side=SIDE):
    return torch.rand(n, 3, side, side, generator=torch.Generator().manual_seed(5))


def cnn(classes=3):
    """Convolutions with batch norm and dropout, average pooling, one linear layer."""
    torch.manual_seed(2)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 12, 3, 2, 1), nn.ReLU(inplace=True),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(), nn.Linear(12, classes),
    )  # fmt: skip


def by_hand(model, x, targets):
    """CAM of `x` from pieces: the head's weights times what a hook sees at the model's layer, up to the mean's logit."""
    seen = []
    handle = model.cam_layer.register_forward_hook(lambda _m, _i, output: seen.append(output.detach().clone()))
    logits = model(x)
    handle.remove()
    maps = as_maps(seen[0], *x.shape[-2:])
    assert_close(maps.mean((2, 3)) @ model.class_weights.T + model.head_layer.bias, logits, atol=1e-4, rtol=1e-3)
    return torch.einsum("nc,nchw->nhw", model.class_weights[targets], maps)


@EVERYWHERE
@pytest.mark.parametrize(
    ("library", "name", "layer", "exact"),
    [
        *[("torchvision", name, *facts) for name, facts in TORCHVISION.items()],
        *[("timm", name, *facts) for name, facts in TIMM.items()],
    ],
)
def test_the_layer_is_the_last_stage_and_cam_is_offered_where_it_is_exact(library, name, layer, exact):
    torch.manual_seed(0)
    make = timm.create_model if library == "timm" else torchvision.get_model
    model = xai.wrap(make(name, num_classes=5), size=SIDE)
    assert model.cam_layer_name == layer
    assert ("gap_linear_head" in model.offers) == exact
    maps = xai.attribute("gradcam", model, pixels(1), Y[1:])
    assert maps.shape == (1, SIDE, SIDE)
    if exact:
        cells = by_hand(model, pixels(1), Y[1:])
        found = xai.attribute("cam", model, pixels(1), Y[1:], upsampling="nearest")
        assert_close(found, nn.functional.interpolate(cells[:, None], (SIDE, SIDE))[:, 0], atol=1e-5, rtol=1e-4)


def test_features_of_timm_are_no_classes_without_a_word():
    net = timm.create_model("test_resnet", num_classes=0)
    with pytest.warns(
        UserWarning, match="its num_classes is 0, as of a network without a head; its 96 answers are taken"
    ):
        xai.wrap(net)


def test_timm_says_mean_std_side_and_the_thousand_names():
    model = xai.wrap(timm.create_model("test_resnet"))
    assert model.mean.flatten().tolist() == pytest.approx([0.5] * 3) and model.input_size == 160
    assert model.class_names[:2] == ["tench", "goldfish"] and len(model.class_names) == 1000
    assert model.id == "test_resnet" and "timm's config" in repr(model) and "1000 (tench, goldfish" in repr(model)


def test_torchvision_and_hand_made_networks_get_what_is_usual_and_say_so():
    model = xai.wrap(torchvision.get_model("shufflenet_v2_x0_5", num_classes=4))
    assert model.mean.flatten().tolist() == pytest.approx([0.485, 0.456, 0.406]) and model.input_size == 224
    assert model.class_names == ["class 0", "class 1", "class 2", "class 3"] and model.origins["mean"].startswith(
        "assumed"
    )
    with pytest.warns(UserWarning, match="'sequential': its normalisation is assumed: pixels go in as they are"):
        own = xai.wrap(cnn(), size=32)
    assert own.mean.flatten().tolist() == [0] * 3 and own.std.flatten().tolist() == [1] * 3
    assert own.id == "sequential" and "assumed: pixels go in as they are" in repr(own)
    given = xai.wrap(cnn(), size=32, classes=["a", "b", "c"], mean=[0.5] * 3, std=[0.25] * 3, id="mine")
    assert given.class_names == ["a", "b", "c"] and "assumed" not in repr(given) and given.id == "mine"
    assert_close(given(pixels(side=32)), given.network((pixels(side=32) - 0.5) / 0.25))


def test_a_fixed_side_is_found_by_trying():
    model = xai.wrap(nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 16 * 16, 3)))
    assert model.input_size == 32 and model.cam_layer_name == "1" and "gap_linear_head" not in model.offers
    with pytest.raises(xai.InputError, match=r"do not pass through .* 'sequential'.*; it is made for 32 x 32"):
        xai.attribute("gradient", model, pixels(), Y)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"classes": ["a", "b"]}, r"2 names \(a, b, ...\) for the 3 logits"),
        ({"classes": ["a", "b", "a"]}, "'a' names two classes"),
        ({"classes": "abc"}, "a list of names is needed"),
        ({"cam_layer": "3x"}, "no layer '3x'"),
        ({"cam_layer": "6"}, "cam_layer '6' gives .* must give maps"),
        ({"classes": {"a", "b", "c"}}, "a list of names is needed"),
        ({"classes": {1: "a", 2: "b", 3: "c"}}, r"from 0 on without gaps, not \{1: 'a', 2: 'b', 3: 'c', ...\}"),
        ({"classes": {"a": 0, "b": 0, "c": 1}}, "from 0 on without gaps"),
        ({"classes": {"a": "x", "b": "y", "c": "z"}}, "a dict gives each name a number, or each number a name"),
        ({"classes": np.arange(3)}, r"class_names: 0 is no name; write text, such as '0'"),
        ({"mean": 0.5, "std": 0.5}, r"mean: three .*, one a channel, not 0.5 alone; write \[0.5, 0.5, 0.5\]"),
        ({"mean": torch.tensor(0.5)}, r"mean: three .* alone; write \[0.5, 0.5, 0.5\]"),
        ({"mean": [0.5] * 3, "std": "imagenet"}, "std: three numbers are needed, one a channel, not 'imagenet'"),
        ({"mean": [[0.5], [0.5, 0.5]]}, "mean: three numbers are needed, one a channel"),
        ({"mean": np.full(4, 0.5), "std": np.full(4, 0.5)}, "mean: three numbers in"),
        ({"mean": [0.5] * 3}, "std: is missing; mean and std are given together, or neither"),
        ({"std": [0.5] * 3}, "mean: is missing; mean and std are given together, or neither"),
        ({"mean": [127.5] * 3}, r"mean: three numbers in \[0, 1\] are needed.*divide by 255"),
        ({"std": [0, 1, 1]}, "std: three numbers"),
        ({"std": [float("nan")] * 3}, "std: three numbers"),
        ({"output": "logit"}, "output: 'logit' is not known; did you mean 'logits'"),
        ({"output": "probabilities"}, "said to be probabilities, but its network answers logits"),
        ({"device": "gpu"}, "use auto, cpu"),
        ({"device": 3.5}, "'3.5' is not known; use auto, cpu"),
        ({"device": "meta"}, "'meta' is not there; use auto, cpu"),
        ({"device": ""}, "'' is not known; use auto, cpu"),
        ({"classes": [["a"], ["b"], ["c"]]}, r"class_names: \['a'\] is no name; write text"),
        ({"classes": ["a", "", "c"]}, "class_names: '' is no name; write text$"),
        ({"classes": [None] * 3}, "class_names: None is no name; write text"),
        (
            {"size": (32, 32)},
            r"size: \(32, 32\) is no side of the square input in pixels; give one whole number, such as 224",
        ),
        ({"size": "32"}, "size: '32' is no side"),
        ({"size": 0}, "size: 0 is no side"),
    ],
)
def test_what_is_given_must_fit(options, message):
    with pytest.raises(xai.InputError, match=message):
        xai.wrap(cnn(), **{"size": 32, **options})
    assert xai.wrap(cnn(), size=32, classes={2: "c", 0: "a", 1: "b"}).class_names == ["a", "b", "c"]


@pytest.mark.parametrize(
    "classes",
    [
        ("a", "b", "c"),
        np.array(["a", "b", "c"]),
        pd.Series(["a", "b", "c"], index=[7, 8, 9]),
        {"b": 1, "a": 0, "c": 2},  # `class_to_idx` of a torchvision data set
        {"b": np.int64(1), "a": np.int64(0), "c": np.int64(2)},
        {"2": "c", "0": "a", "1": "b"},  # as JSON has it
        {"a": 0, "b": 1, "c": 2}.keys(),
        {5: "a", 3: "b", 4: "c"}.values(),
    ],
)
def test_class_names_in_any_form(classes):
    assert xai.wrap(cnn(), size=32, classes=classes).class_names == ["a", "b", "c"]


@pytest.mark.parametrize(
    "made",
    [
        np.array,
        torch.tensor,
        tuple,
        lambda values: torch.tensor(values, requires_grad=True).view(1, 3, 1, 1),
        lambda values: [torch.tensor(value) for value in values],
    ],
)
def test_mean_and_std_in_any_form(made):
    given = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}
    model = xai.wrap(cnn(), size=32, **{name: made(values) for name, values in given.items()})
    for name, values in given.items():
        assert torch.equal(getattr(model, name).flatten(), torch.tensor(values)) and name not in model.origins
    assert torch.equal(xai.wrap(cnn(), size=32, mean=model.mean, std=model.std).std, model.std)


class Several(nn.Module):
    """Answers its features beside its logits, made into what `held` says."""

    def __init__(self, held, features=12):
        super().__init__()
        self.body, self.fc, self.held = nn.Conv2d(3, features, 3, 2), nn.Linear(features, 3), held

    def forward(self, x):
        features = self.body(x).relu().mean((2, 3))
        return self.held(features, self.fc(features))


HELD = {
    "features first": lambda features, logits: (features, logits),
    "logits first": lambda features, logits: [logits, features],
    "dict": lambda features, logits: {"embedding": features, "out": logits},
}


@pytest.mark.parametrize("held", HELD.values(), ids=HELD)
def test_the_number_of_names_tells_logits_from_features(held):
    net = Several(held)
    x = pixels(side=32)
    model = xai.wrap(net, size=32, classes=["a", "b", "c"])
    assert_close(model(x), net.fc(net.body(x).relu().mean((2, 3))))
    for classes in (None, ["a", "b"]):
        with pytest.raises(xai.InputError, match=r"could be its logits.* wrap it in a module whose forward returns"):
            xai.wrap(net, size=32, classes=classes)


def test_one_entry_of_rows_needs_no_names():
    net = Several(lambda features, logits: (features[..., None], logits.argsort(1), logits))
    assert xai.wrap(net, size=32).class_names == ["class 0", "class 1", "class 2"]
    twice = Several(lambda _, logits: (logits, 2 * logits))  # an auxiliary head: the first is meant
    x = pixels(side=32)
    assert_close(xai.wrap(twice, size=32)(x), twice(x)[0])


def test_no_network_is_refused():
    with pytest.raises(xai.InputError, match=r"a torch.nn.Module is needed, not str; load_model\(\)"):
        xai.wrap("resnet18")
    with pytest.raises(xai.InputError, match="a Model already"):
        xai.wrap(xai.wrap(cnn(), size=32))


# Token grids and channels-last maps


def test_maps_are_read_in_every_layout():
    maps = torch.rand(2, 24, 6, 5)
    assert as_maps(maps, 48, 40) is maps
    assert torch.equal(as_maps(maps.permute(0, 2, 3, 1), 48, 40), maps)
    tokens = maps.flatten(2).transpose(1, 2)
    for prefix in (0, 1, 5):
        with_prefix = torch.cat([torch.zeros(2, prefix, 24), tokens], 1)
        assert torch.equal(as_maps(with_prefix, 48, 40), maps)
    assert as_maps(tokens[:, :29], 48, 48) is not None and as_maps(torch.rand(2, 24), 48, 40) is None  # 4 + 5 x 5
    assert as_maps((maps,), 48, 40) is None


@pytest.mark.parametrize(
    ("name", "layer", "exact"),
    [
        (
            "vit_tiny_patch16_224",
            "blocks.10",
            False,
        ),  # the head reads the class token, which the last block makes alone
        ("vit_base_patch32_clip_224", "blocks.10", False),
        ("test_vit", "blocks.4", False),
        ("swin_tiny_patch4_window7_224", "norm", True),
    ],
)
def test_vision_transformers_of_timm_have_gradcam(name, layer, exact):
    torch.manual_seed(0)
    options = (
        {"img_size": SIDE} if name.startswith("vit") else {"img_size": SIDE, "window_size": 2} if "swin" in name else {}
    )
    if name == "vit_base_patch32_clip_224":
        options |= {"embed_dim": 48, "num_heads": 2}
    net = timm.create_model(name, num_classes=5, **options)
    model = xai.wrap(net, size=SIDE if options else None)
    assert model.cam_layer_name == layer and ("gap_linear_head" in model.offers) == exact
    x = pixels(side=model.input_size)
    maps = xai.attribute("gradcam", model, x, Y, relu="none")
    assert maps.std() > 0
    if layer.startswith("blocks"):  # by hand: gradient at the tokens of the grid
        seen = []
        handle = model.cam_layer.register_forward_hook(lambda _m, _i, output: seen.append(output) or None)
        logits = model(x.clone().requires_grad_())
        handle.remove()
        (slope,) = torch.autograd.grad(logits.gather(1, Y[:, None]).sum(), seen[0])
        grid = [
            value[:, 1:].unflatten(1, (int((value.shape[1] - 1) ** 0.5), -1)) for value in (slope, seen[0].detach())
        ]
        cells = torch.einsum("nc,nhwc->nhw", grid[0].mean((1, 2)), grid[1])
        expected = nn.functional.interpolate(cells[:, None], x.shape[-2:], mode="bilinear")[:, 0]
        assert_close(maps, expected, atol=1e-6, rtol=1e-3)


def test_a_torchvision_transformer_whose_head_is_zero_has_its_layer_all_the_same():
    net = torchvision.VisionTransformer(SIDE, 16, 3, 2, 32, 64, num_classes=5)
    model = xai.wrap(net, size=SIDE)
    assert model.cam_layer_name == "encoder.layers.encoder_layer_1" and "gap_linear_head" not in model.offers


# The interface of Hugging Face's networks: a config, one keyword, an object that holds the logits


class Answer(dict):
    """A dict whose entries are attributes too, as `ModelOutput` is."""

    __getattr__ = dict.get


class HuggingFace(nn.Module):
    """A small transformer that reads a class token, spelled as `ViTForImageClassification` is."""

    def __init__(self, labels=("cat", "dog", "owl")):
        super().__init__()
        torch.manual_seed(4)
        self.config = SimpleNamespace(
            id2label=dict(enumerate(labels)), image_size=32, model_type="vit", _name_or_path=""
        )
        self.patches, self.token = nn.Conv2d(3, 16, 8, 8), nn.Parameter(torch.randn(1, 1, 16))
        layer = dict(dim_feedforward=32, dropout=0.1, activation=nn.functional.gelu, batch_first=True)
        self.layers = nn.ModuleList(nn.TransformerEncoderLayer(16, 2, **layer) for _ in range(3))
        self.classifier = nn.Linear(16, len(labels))

    def forward(self, labels=None, pixel_values=None):
        tokens = self.patches(pixel_values).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.token.expand(len(tokens), -1, -1), tokens], 1)
        for layer in self.layers:
            tokens = layer(tokens)
        return Answer(loss=None, logits=self.classifier(tokens[:, 0]), hidden_states=(tokens,))


def test_a_hugging_face_network_is_called_by_its_keyword_and_unwrapped():
    net = HuggingFace()
    model = xai.wrap(net)
    assert model.class_names == ["cat", "dog", "owl"] and model.input_size == 32 and model.id == "vit"
    assert model.cam_layer_name == "layers.1"
    x = pixels(side=32)
    assert_close(model(x), net.eval()(pixel_values=model.normalise(x)).logits)
    assert xai.attribute("gradcam", model, x, Y).max() > 0
    assert xai.attribute("rise", model, x, Y, masks=8).shape == (2, 32, 32)
    numbered = xai.wrap(HuggingFace(labels=("LABEL_0", "LABEL_1")))
    assert numbered.class_names == ["class 0", "class 1"]


def test_names_told_twice_by_a_config_are_numbered():
    assert xai.wrap(HuggingFace(labels=("crane", "dog", "crane"))).class_names == ["crane (0)", "dog", "crane (2)"]


def test_real_hugging_face_networks():
    """With transformers installed: ViT, Swin and ConvNeXt, small and with random weights."""
    hf = pytest.importorskip("transformers")
    torch.manual_seed(0)
    small = {"num_labels": 3, "image_size": 32}
    vit = {
        **small,
        "hidden_size": 16,
        "num_hidden_layers": 3,
        "num_attention_heads": 2,
        "intermediate_size": 32,
        "patch_size": 8,
    }
    swin = {**small, "embed_dim": 16, "depths": [1, 1], "num_heads": [2, 2], "window_size": 4}
    nets = {
        "vit": (hf.ViTForImageClassification(hf.ViTConfig(**vit)), [0.5] * 3, False),
        "swin": (hf.SwinForImageClassification(hf.SwinConfig(**swin)), [0.5] * 3, True),
        "convnext": (hf.ConvNextForImageClassification(hf.ConvNextConfig(
            depths=[1, 1, 1, 1], hidden_sizes=[8, 8, 16, 16], num_labels=3)), [0.5] * 3, False),
    }  # fmt: skip
    for id, (net, mean, exact) in nets.items():
        model = xai.wrap(net, size=64 if id == "convnext" else None)
        assert model.id == id and model.mean.flatten().tolist() == pytest.approx(mean)
        assert ("gap_linear_head" in model.offers) == exact and "assumed: the defaults of" in model.origins["mean"]
        x = pixels(side=model.input_size)
        assert_close(model(x), net.eval()(model.normalise(x)).logits)
        assert xai.attribute("gradcam", model, x, Y, relu="none").std() > 0


# The caller's network is left as it was found


def snapshot(net):
    modules = [
        (m.training, getattr(m, "inplace", None), len(m._forward_hooks), len(m._backward_hooks)) for m in net.modules()
    ]
    tensors = {**dict(net.named_parameters()), **dict(net.named_buffers())}
    weights = {name: (t.requires_grad, t.dtype, t.device, t.stride(), t.clone()) for name, t in tensors.items()}
    return modules, weights, torch.get_rng_state(), torch.get_default_dtype()


def assert_same(before, after):
    assert before[0] == after[0] and torch.equal(before[2], after[2]) and before[3] == after[3]
    for name, (*facts, values) in before[1].items():
        assert facts == list(after[1][name][:-1]) and torch.equal(values, after[1][name][-1])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.float64])
def test_the_network_is_left_as_found(dtype):
    net = cnn().train().to(dtype)
    net[0].weight.requires_grad_(False)
    net[3].register_forward_hook(lambda *_: None)
    before = snapshot(net)
    model = xai.wrap(net, size=32)
    for name in ("gradient", "gradcam", "cam", "guided_backprop"):
        xai.attribute(name, model, pixels(side=32), Y)
    assert_same(before, snapshot(net))
    with pytest.raises(xai.InputError):
        xai.wrap(net, size=32, classes=["a"])
    assert_same(before, snapshot(net))


def test_training_goes_on_and_the_model_follows_it():
    net = cnn().train()
    model = xai.wrap(net, size=32)
    x = pixels(8, 32)
    before = model(x).clone()
    optimiser = torch.optim.SGD(net.parameters(), lr=0.5)
    nn.functional.cross_entropy(net(x), torch.arange(8) % 3).backward()
    optimiser.step()
    assert not torch.allclose(model(x), before)
    assert_close(model(x), copy.deepcopy(net).eval()(x))


def test_a_model_made_by_hand_leaves_its_network_too():
    net = cnn().train()
    facts = dict(id="toy", architecture="toy", training_algorithm="vanilla", input_size=32, class_names=list("abc"))
    model = xai.Model(net, **facts, cam_layer="4")
    assert net.training and all(p.requires_grad for p in net.parameters())
    assert not model.training and not any(p.requires_grad for p in model.parameters())
    nn.functional.cross_entropy(net(pixels(side=32)), Y).backward()
    assert net[0].weight.grad is not None


def test_weight_norms_lambdas_and_compiled_networks_are_viewed():
    net = cnn()
    net[3] = nn.utils.parametrizations.weight_norm(net[3])
    net[8] = nn.utils.spectral_norm(net[8])
    net.note = lambda x: x
    net.train()(pixels(side=32))  # leaves a derived weight behind
    model = xai.wrap(torch.nn.DataParallel(net), size=32)
    assert_close(model(pixels(side=32)), copy.deepcopy(net.state_dict()) and net.eval()(pixels(side=32)))


def test_a_forward_set_from_outside_is_refused():
    """A copy of it would run the original's layers, in their mode."""
    net = Open()
    net.forward = lambda x: net.fc(net.body(x).relu().mean((2, 3)))
    with pytest.raises(xai.InputError, match="none of its network's layers runs in a pass"):
        xai.wrap(net, size=32)


class Open(nn.Module):
    def __init__(self):
        super().__init__()
        self.body, self.fc = nn.Conv2d(3, 8, 3, 2), nn.Linear(8, 3)


def test_wrapping_within_inference_mode_leaves_gradients_to_be_had():
    with torch.inference_mode():
        model = xai.wrap(cnn(), size=32, mean=[0.5] * 3, std=[0.5] * 3)
    assert xai.attribute("gradient", model, pixels(side=32), Y).max() > 0


def test_a_network_that_cannot_be_copied_is_refused_and_left():
    import threading

    net = cnn().train()
    net.lock = threading.Lock()
    with pytest.raises(xai.InputError, match=r"its network cannot be copied.*lock"):
        xai.wrap(net, size=32)
    assert net.training


def test_weights_on_several_devices_or_none_are_refused():
    net = cnn()
    net[8] = net[8].to("meta")
    with pytest.raises(xai.InputError, match="its weights lie on cpu and meta"):
        xai.wrap(net, size=32)
    with pytest.raises(xai.InputError, match="have no weights yet"):
        xai.wrap(nn.Sequential(nn.Flatten(), nn.LazyLinear(3)), size=32)


def test_the_facts_of_a_wrapped_network_are_its_own():
    net = timm.create_model("resnet10t", num_classes=3)
    net.pretrained_cfg = {**net.pretrained_cfg, "mean": (0.5,) * 3, "std": (0.25,) * 3}
    facts = str(xai.wrap(net, size=32))
    for outside in (nn.DataParallel(net), torch.compile(net), nn.DataParallel(torch.compile(net))):
        assert str(xai.wrap(outside, size=32)) == facts
    compiled = xai.wrap(torch.compile(torchvision.squeezenet1_1(num_classes=3)), size=32)
    assert compiled.origins["mean"] == "assumed: ImageNet's"


def test_a_side_of_numpy_is_a_number():
    photograph = Image.new("RGB", (40, 50))
    assert xai.attribute("random", xai.wrap(cnn(), size=np.int64(32)), photograph).shape == (1, 32, 32)


def test_hugging_faces_labels_may_be_numbers():
    net = cnn()
    net.config = SimpleNamespace(id2label={0: 0, 1: 1, 2: 2}, model_type="own")
    assert xai.wrap(net, size=32, mean=[0.5] * 3, std=[0.5] * 3).class_names == ["0", "1", "2"]
