"""What a network may be is looked at once, at every entrance: each kind of fault beside an ordinary input that works."""

import warnings
from dataclasses import replace

import pytest
import torch
import yaml
from torch import nn
from torch.nn import functional as F
from torch.testing import assert_close

import xailib as xai
from xailib import engine, params
from xailib.images import ImageBatch, box_masks
from xailib.metrics.accuracy import predictions
from xailib.models.probes import check

X, Y = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(1)), torch.tensor([0, 1])
BOXES = [torch.tensor([[4.0, 6, 20, 24]])] * 2
I = ImageBatch(X, Y, BOXES, box_masks(BOXES, 32, 32), ["u", "v"])  # noqa: E741


class Net(nn.Module):
    """A convolution, global average pooling and a linear layer; `end` and `middle` are what cases change."""

    def __init__(self, n=3, end=lambda logits: logits, middle=lambda maps: maps):
        super().__init__()
        torch.manual_seed(3)
        self.body = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU())
        self.fc, self.end, self.middle = nn.Linear(8, n), end, middle

    def forward(self, x):
        return self.end(self.fc(self.middle(self.body(x)).mean((2, 3))))


def toy(net, n=3, **facts):
    record = dict(
        id="toy", architecture="toy", training_algorithm="vanilla", input_size=32, class_names=list("abcdefgh"[:n]),
        cam_layer="body", offers=("gap_linear_head",),
    )  # fmt: skip
    return xai.Model(net, **{**record, **facts})


def entrances(model, n=2):
    """Every way in: methods of three families, a metric, predictions."""
    images = I.select(slice(n))
    yield lambda: xai.attribute("gradient", model, images.pixels, images.labels)
    yield lambda: xai.attribute("gradcam", model, images.pixels, images.labels)
    yield lambda: xai.attribute("rise", model, images.pixels, images.labels, masks=8)
    yield lambda: xai.evaluate("deletion", images.pixels[:, 0], model, images, steps=4)
    yield lambda: predictions(model, images)


def refused(make, message):
    for number in range(5):
        enter = list(entrances(make()))[number]
        with pytest.raises(xai.InputError, match=message) as error:
            enter()
        assert "\n" not in str(error.value)


def test_an_ordinary_network_passes_every_entrance_and_the_engine_counts_its_own_passes_only():
    model = toy(Net())
    state = torch.get_rng_state()
    with engine.using() as run:
        check(model, 32, 32)
        assert (run.cost.forward, run.cost.backward) == (0, 0)
    assert torch.equal(state, torch.get_rng_state())
    for enter in entrances(model):
        enter()
    assert model.output == "logits"


# F1: what a network returns

HOLDERS = {
    "dict": lambda z: {"features": z.sum(), "logits": z}, "other key": lambda z: {"features": torch.zeros(len(z), 7), "out": z},
    "tuple": lambda z: (z, z * 0), "features first": lambda z: (torch.zeros(len(z), 7), z),
    "object": lambda z: Answer(z),
}  # fmt: skip


class Answer:
    def __init__(self, logits):
        self.loss, self.logits = None, logits


@pytest.mark.parametrize("name", HOLDERS)
def test_logits_are_found_in_what_holds_them(name):
    model = toy(Net(end=HOLDERS[name]))
    assert_close(model(X), toy(Net())(X))
    for enter in entrances(model):
        enter()
    wrapped = xai.wrap(Net(end=HOLDERS[name]), size=32) if name not in ("other key", "features first") else None
    assert wrapped is None or len(wrapped.class_names) == 3


@pytest.mark.parametrize(
    ("end", "message"),
    [
        (lambda z: {"a": z, "b": z}, r"a dict in which 'a' and 'b' all could be its logits"),
        (lambda z: {"a": 1}, "model 'toy' answers a dict of 'a', in which there are no logits"),
        (lambda z: None, "answers a NoneType, in which there are no logits"),
        (lambda z: z.argmax(1), "answers int64 of shape .*, not logits"),
        (lambda z: z[:, :, None, None].expand(-1, -1, 4, 4), r"shape \(2, 3, 4, 4\).*logits in space; average"),
        (lambda z: z.squeeze(0), r"shape \(3,\) for 1 image alone.*squeeze"),
        (lambda z: z[:, :1], r"shape \(2, 1\) for 2 images: one logit z; give two logits, e.g. torch.cat\(\[-z, z\]"),
        (lambda z: z[:, 0], "one logit z"),
        (lambda z: torch.cat([z, z[:, :2]], 1), "5 logits, but it has 3 class names"),
        (lambda z: torch.cat([z, z]), r"first axis must be that of the images: \(2, 3\)"),
    ],
)
def test_other_answers_are_refused_at_every_entrance(end, message):
    refused(lambda: toy(Net(end=end)), message)


def test_one_logit_with_one_name_is_refused_and_two_logits_are_right():
    for enter in (
        lambda model: xai.attribute("rise", model, X, Y * 0, masks=8),
        lambda model: xai.evaluate("deletion", X[:, 0], model, replace(I, labels=Y * 0), steps=4),
        lambda model: predictions(model, replace(I, labels=Y * 0)),
    ):
        with pytest.raises(xai.InputError, match=r"one logit z; give two logits, e.g. torch.cat\(\[-z, z\], 1\)"):
            enter(toy(Net(1), 1))
    model = xai.wrap(Net(1, end=lambda z: torch.cat([-z, z], 1) / 2), size=32)
    assert_close(model(X).softmax(1)[:, 1], Net(1)(X)[:, 0].sigmoid())
    for end in (lambda z: z, lambda z: z[:, 0]):
        for names in (None, ["no", "yes"]):
            with pytest.raises(
                xai.InputError, match=r"one logit z; .* / 2 of z \(n, 1\), whose softmax is sigmoid\(z\)"
            ):
                xai.wrap(Net(1, end=end), size=32, classes=names)


def test_a_plain_module_is_told_of_wrap():
    for enter in entrances(Net()):
        with pytest.raises(
            xai.InputError, match=r"a xailib Model is needed, not Net; xailib.wrap\(network\) makes one"
        ):
            enter()


def test_grey_networks_and_other_sides_are_told():
    grey = nn.Sequential(nn.Conv2d(1, 3, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    with pytest.raises(xai.InputError, match="its first convolution takes 1 channels and pixels have 3"):
        xai.wrap(grey, size=32)
    with pytest.warns(UserWarning, match="'toy' is made for 64 x 64 pixels and is given 32 x 32"):
        xai.attribute("gradient", toy(Net(), input_size=64), X, Y)


# F2: probabilities where logits are meant


@pytest.mark.parametrize("make", [toy, lambda net: xai.wrap(net, size=32, cam_layer="body", id="toy")])
def test_probabilities_are_told_and_give_themselves_back(make):
    expected = predictions(toy(Net()), I)
    for end, kind in ((lambda z: z.softmax(1), "probabilities"), (lambda z: z.log_softmax(1), "log_probabilities")):
        with pytest.warns(UserWarning, match=f"model 'toy' answers {kind.replace('_', '-')}.*output='{kind}' says so"):
            model = make(Net(end=end))
            found = predictions(model, I)
        assert model.output == kind
        assert found["confidence"].tolist() == pytest.approx(expected["confidence"].tolist(), abs=1e-6)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            said = toy(Net(end=end), output=kind)
            assert predictions(said, I)["confidence"].tolist() == pytest.approx(
                expected["confidence"].tolist(), abs=1e-6
            )
            maps = [xai.attribute("rise", one, X, Y, masks=8) for one in (said, toy(Net()))]
            assert_close(*maps, atol=1e-6, rtol=1e-5)
    kept = toy(Net(end=lambda z: z.softmax(1)), output="logits")
    assert predictions(kept, I)["confidence"].max() < 0.6, "the user's word: a softmax of a softmax"


def test_a_wrong_word_is_refused():
    refused(
        lambda: toy(Net(), output="probabilities"), "output is said to be probabilities, but its network answers logits"
    )


SIGMOIDS = {
    "sigmoid": lambda z: z.sigmoid(), "in a list": lambda z: [z.sigmoid()], "by hand": lambda z: 1 / (1 + torch.exp(-z)),
    "by tanh": lambda z: (z / 2).tanh() / 2 + 0.5, "without graph": lambda z: z.detach().sigmoid(),
}  # fmt: skip


@pytest.mark.parametrize("name", SIGMOIDS)
def test_sigmoid_heads_are_refused(name):
    refused(lambda: toy(Net(end=SIGMOIDS[name])), "ends in a sigmoid a class.*leave the sigmoid out")


@pytest.mark.parametrize("end", [lambda z: z * 0.1 + 0.5, lambda z: z * 0.001 + 0.4, lambda z: z * 0 + 0.4])
def test_logits_that_lie_in_the_unit_interval_are_no_sigmoid(end):
    for enter in entrances(toy(Net(end=end))):
        enter()


# F3: networks that are no function of one image


@pytest.mark.parametrize(
    ("middle", "message"),
    [
        (F.dropout, "answers the same images otherwise each time .dropout or noise that eval"),
        (lambda maps: maps + 0.01 * torch.randn_like(maps), "otherwise each time"),
        (lambda maps: maps / maps.amax(), "answers an image otherwise in company than alone .statistics of the batch"),
        (lambda maps: maps - maps.mean(0, keepdim=True), "in company than alone"),
        (
            nn.BatchNorm2d(8, track_running_stats=False),
            "in company than alone .layer 'middle' has no running statistics",
        ),
    ],
)
def test_chance_and_company_are_refused(middle, message):
    refused(lambda: toy(Net(middle=middle)), message)
    with pytest.raises(xai.InputError, match=message):
        xai.wrap(Net(middle=middle), size=32)


@pytest.mark.parametrize(
    "middle", [nn.Dropout(0.5), nn.BatchNorm2d(8), lambda maps: maps / maps.amax((1, 2, 3), keepdim=True)]
)
def test_dropout_and_batch_norm_as_usual_pass(middle):
    for enter in entrances(toy(Net(middle=middle).train())):
        enter()


def test_a_probe_changes_no_buffer():
    """A batch norm that always trains is refused, and its statistics, which are the caller's, stay."""
    norm = nn.BatchNorm2d(8)
    net = Net(middle=lambda maps: F.batch_norm(maps, norm.running_mean, norm.running_var, training=True))
    net.norm = norm
    before = norm.running_mean.clone()
    with pytest.raises(xai.InputError, match="in company than alone"):
        xai.wrap(net, size=32)
    assert torch.equal(before, norm.running_mean) or net.norm is not norm


# F4: precision of weights


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_weights_are_taken_to_float32(dtype):
    net = Net().to(dtype)
    model = toy(net)
    assert_close(model(X), toy(Net())(X), atol=2e-2, rtol=2e-2)
    assert net.fc.weight.dtype == dtype and model.network.fc.weight.dtype == torch.float32
    for enter in entrances(model):
        enter()
    xai.evaluate("insertion", X[:, 0], model, I, steps=4)


def test_a_model_that_is_halved_later_is_refused_with_the_remedy():
    refused(lambda: toy(Net()).half(), r"model 'toy' has weights in float16; call its .float\(\)")
    model = toy(Net())
    xai.attribute("gradient", model, X, Y)
    with pytest.raises(xai.InputError, match="float64"):
        xai.attribute("gradient", model.double(), X, Y)
    xai.attribute("gradient", model.float(), X, Y)
    with pytest.raises(xai.InputError, match="its forward casts to another type"):
        xai.attribute("gradient", toy(Net(middle=lambda maps: maps.half())), X, Y)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("extremal_perturbation", {"steps": 2}), ("meaningful_perturbation", {"steps": 2}), ("gradient", {}),
        ("rise", {"masks": 8}),
        ("lime", {"samples": 12, "segments": 6}), ("gradcam", {}),
    ],
)  # fmt: skip
def test_another_default_type_changes_nothing(name, options):
    net = Net()
    expected = xai.attribute(name, toy(net), X, Y, **options)
    torch.set_default_dtype(torch.float64)
    try:
        model = toy(net)
        assert_close(xai.attribute(name, model, X, Y, **options), expected)
        scores = [
            xai.evaluate(metric, expected, model, I, **more)
            for metric, more in (("deletion", {"steps": 4}), ("pointing_game", {}))
        ]
        assert torch.get_default_dtype() == torch.float64 and len(predictions(model, I)) == 2
    finally:
        torch.set_default_dtype(torch.float32)
    assert_close(
        scores[0]["value"].tolist(), xai.evaluate("deletion", expected, toy(net), I, steps=4)["value"].tolist()
    )


# F5: no gradient to be had


class NoGrad(Net):
    @torch.no_grad()
    def forward(self, x):
        return super().forward(x)


class Inference(Net):
    def forward(self, x):
        with torch.inference_mode():
            return super().forward(x)


class Reentrant(Net):
    def forward(self, x):
        return torch.utils.checkpoint.checkpoint(super().forward, x, use_reentrant=True)


CUTS = {
    "no_grad": NoGrad, "inference_mode": Inference, "reentrant": Reentrant, "detach": lambda: Net(end=lambda z: z.detach()),
    "detach in the middle": lambda: Net(middle=lambda maps: maps.detach()),
}  # fmt: skip


@pytest.mark.parametrize("name", CUTS)
@pytest.mark.filterwarnings("ignore:.*None of the inputs have requires_grad.*")
def test_gradient_methods_say_that_the_gradient_is_cut_and_the_others_go_on(name):
    model = toy(CUTS[name]())
    steps = {"extremal_perturbation": {"steps": 2}, "meaningful_perturbation": {"steps": 2}}
    for method in ("gradient", "integrated_gradients", "guided_backprop", *steps):
        with pytest.raises(
            xai.InputError, match=f"method '{method}' needs a gradient, and model 'toy' cuts the gradient"
        ):
            xai.attribute(method, model, X, Y, **steps.get(method, {}))
    assert_close(xai.attribute("rise", model, X, Y, masks=8), xai.attribute("rise", toy(Net()), X, Y, masks=8))
    xai.evaluate("deletion", X[:, 0], model, I, steps=4)
    assert "no gradient" in repr(xai.wrap(CUTS[name](), size=32))


def test_a_checkpoint_that_does_not_reenter_has_gradients():
    class Checkpointed(Net):
        def forward(self, x):
            return torch.utils.checkpoint.checkpoint(super().forward, x, use_reentrant=False)

    for name in ("gradient", "gradcam"):
        assert_close(xai.attribute(name, toy(Checkpointed()), X, Y), xai.attribute(name, toy(Net()), X, Y))


# F6: the CAM layer and the head


def with_aux():
    net = Net()
    net.aux = nn.Conv2d(3, 3, 1)
    return net


def test_a_layer_that_is_not_there_or_never_runs_is_named():
    with pytest.raises(
        xai.InputError, match="model 'toy': cam_layer: the network has no layer 'bodi'; did you mean 'body'"
    ):
        toy(Net(), cam_layer="bodi")
    with pytest.raises(xai.InputError, match="cam_layer 'aux' is never reached in a pass"):
        xai.attribute("gradcam", toy(with_aux(), cam_layer="aux"), X, Y)
    with pytest.raises(xai.InputError, match=r"cam_layer 'fc' gives float32 of shape .2, 3. and must give maps"):
        xai.attribute("gradcam", toy(Net(), cam_layer="fc"), X, Y)
    assert xai.attribute("gradient", toy(with_aux(), cam_layer="aux"), X, Y).shape == (2, 32, 32)


@pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning", "ignore:.*TracerWarning.*")
def test_scripted_and_traced_networks_have_no_layer_to_watch():
    plain = nn.Sequential(
        nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU()), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 3)
    )
    plain.eval()
    for made in (torch.jit.script(plain), torch.jit.trace(plain, X)):
        with pytest.raises(xai.InputError, match="never reached in a pass; inside a scripted or traced network"):
            xai.attribute("gradcam", toy(made, cam_layer="0"), X, Y)
        model = xai.wrap(made, size=32)
        assert model.cam_layer_name is None
        with pytest.raises(xai.InputError, match="needs cam_layer"):
            xai.attribute("gradcam", model, X, Y)
        assert_close(xai.attribute("gradient", model, X, Y), xai.attribute("gradient", toy(plain, cam_layer="0"), X, Y))


def test_a_convolution_may_be_the_head_and_another_linear_layer_may_follow_it():
    class Conv(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = Net().body
            self.head = nn.Conv2d(8, 3, 1)
            self.unused = nn.Linear(5, 7)

        def forward(self, x):
            return self.head(self.body(x).mean((2, 3), keepdim=True)).flatten(1)

    model = xai.wrap(Conv(), size=32)
    assert model.cam_layer_name == "body" and "gap_linear_head" in model.offers
    for one in (model, toy(Conv())):
        maps = xai.attribute("cam", one, X, Y, upsampling="nearest")
        logits = one(X) - one.network.head.bias
        assert_close(maps.mean((1, 2)), logits.gather(1, Y[:, None])[:, 0].detach(), atol=1e-5, rtol=1e-4)


def test_a_network_without_a_linear_head_cannot_offer_one():
    net = nn.Sequential(nn.Conv2d(3, 3, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    with pytest.raises(xai.InputError, match=r"no linear layer of 3 outputs.*correct its offers"):
        xai.attribute("cam", toy(net, cam_layer="1"), X, Y)
    with pytest.raises(xai.InputError, match="not linear in the mean"):
        xai.attribute("cam", toy(Net(), cam_layer="body.0"), X, Y)
    wrapped = xai.wrap(net, size=32)
    assert wrapped.cam_layer_name == "1" and "gap_linear_head" not in wrapped.offers


def test_channels_may_be_last():
    class Last(Net):
        def __init__(self):
            super().__init__()
            self.last = nn.Identity()
            self.norm = nn.ReLU()

        def forward(self, x):
            return self.fc(self.norm(self.body(x).permute(0, 2, 3, 1)).mean((1, 2)))

    for name in ("cam", "gradcam"):
        assert_close(
            xai.attribute(name, toy(Last(), cam_layer="norm"), X, Y),
            xai.attribute(name, toy(Net()), X, Y),
            atol=1e-6,
            rtol=1e-4,
        )
    assert xai.wrap(Last(), size=32).cam_layer_name == "norm"


# F7: ReLUs written by hand

BY_HAND = {
    "times mask": lambda x: x * (x > 0), "half sum": lambda x: (x + x.abs()) / 2, "where": lambda x: torch.where(x > 0, x, 0.0),
    "maximum": lambda x: torch.maximum(x, torch.zeros_like(x)), "masked": lambda x: x.masked_fill(x < 0, 0),
    "sign": lambda x: x * (x.sign() + 1) / 2, "stack": lambda x: torch.stack([x, x * 0]).amax(0),
    "float mask": lambda x: (x > 0).float() * x, "twice": lambda x: x + (x * x).sqrt(),
    "heaviside": lambda x: x * torch.heaviside(x, x * 0),
    "leaky": lambda x: x * (x > 0) + 0.1 * x * (x <= 0), "swish": lambda x: x / (1 + torch.exp(-x)),
    "six": lambda x: torch.where(x > 0, torch.where(x < 6, x, 6.0), 0.0),
}  # fmt: skip


@pytest.mark.parametrize("name", BY_HAND)
def test_relus_by_hand_beside_usual_ones_are_refused(name):
    """Wherever they stand: before, behind or instead of torch's."""

    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            torch.manual_seed(0)
            self.one, self.two, self.fc = nn.Conv2d(3, 8, 3, 2), nn.Conv2d(8, 8, 3), nn.Linear(8, 3)

        def forward(self, x):
            return self.fc(BY_HAND[name](self.two(F.relu(self.one(x)))).mean((2, 3)))

    class Both(Net):
        def forward(self, x):
            return self.fc(F.relu(BY_HAND[name](self.body[0](x))).mean((2, 3)))

    for net in (Two(), Both()):
        with pytest.raises(xai.InputError, match=r"model 'toy' executes '\w+'.*which has no guided gradient"):
            xai.attribute("guided_backprop", toy(net, cam_layer=None), X, Y)


@pytest.mark.parametrize(
    "middle",
    [
        lambda x: F.max_pool2d(x, 2), lambda x: x * 0.5, lambda x: F.pad(x, (1, 1, 1, 1)), lambda x: torch.cat([x, x], 2),
        lambda x: x.flip(3).clone(), lambda x: F.relu(x - 0.1) + x, lambda x: F.relu(x).chunk(2, 2)[0], lambda x: x.square(),
    ],
)  # fmt: skip
def test_zeros_that_a_replaced_relu_made_may_go_anywhere(middle):
    maps = xai.attribute("guided_backprop", toy(Net(middle=middle), cam_layer=None), X, Y)
    assert maps.max() > 0


# Records: load_model goes through the same probes


def test_a_record_says_what_the_network_answers_and_is_checked_when_it_is_loaded(tmp_path):
    values = yaml.safe_load((params.find("params/models/mini_resnet_vanilla.yaml")).read_text())
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump({**values, "output": "logits"}))
    assert xai.load_model(path, device="cpu").output == "logits"
    path.write_text(yaml.safe_dump({**values, "output": "probabilities"}))
    with pytest.raises(xai.InputError, match="output is said to be probabilities, but its network answers logits"):
        xai.load_model(path, device="cpu")
    path.write_text(yaml.safe_dump({**values, "cam_layer": "featurs"}))
    with pytest.raises(xai.InputError, match="no layer 'featurs'; did you mean 'features'"):
        xai.load_model(path, device="cpu")


def test_estimators_go_through_the_same_door():
    from xailib.attribution.estimators import estimate

    mine = {"estimator": "mine", "estimator_method": "gradient", "estimator_form": "plain", "estimator_options": {}}
    assert estimate([mine], toy(Net()), X, Y)["mine"].shape == (2, 3, 32, 32)
    with pytest.raises(xai.InputError, match="5 logits, but it has 3 class names"):
        estimate([mine], toy(Net(5)), X, Y)
    with pytest.raises(xai.InputError, match="method 'gradient' needs a gradient, and model 'toy' cuts"):
        estimate([mine], toy(NoGrad()), X, Y)
