"""captum's methods: the answer on networks where it is known, captum's own numbers, and what is refused."""

import captum.attr
import captum.metrics
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.testing import assert_close

import xailib as xai
from xailib import engine
from xailib.attribution.superpixels import superpixels

MEAN = torch.tensor((0.4, 0.5, 0.6)).view(1, 3, 1, 1)
SEGMENTS = {"segments": 10, "output": "logit"}


class Functional(nn.Module):
    """A ReLU that no hook on modules sees."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.last = nn.Conv2d(3, 4, 3, padding=1), nn.Linear(4, 5)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.last(functional.relu(self.conv(inputs)).mean((2, 3)))


class Product(nn.Module):
    """A layer times another's answer, as in squeeze and excitation."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.gate, self.last = (
            nn.Conv2d(3, 4, 3),
            nn.Sequential(nn.Conv2d(3, 4, 3), nn.Sigmoid()),
            nn.Linear(4, 5),
        )

    def forward(self, inputs: Tensor) -> Tensor:
        return self.last((self.conv(inputs) * self.gate(inputs)).mean((2, 3)))


class Twice(nn.Module):
    """One ReLU module that a pass calls twice, as torchvision's ResNets do."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two, self.relu = (
            nn.Conv2d(3, 6, 3, padding=1),
            nn.Conv2d(6, 6, 3, padding=1),
            nn.ReLU(inplace=True),
        )
        self.pool, self.last = (
            nn.Sequential(nn.MaxPool2d(3, 2, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten()),
            nn.Linear(6, 5),
        )

    def forward(self, inputs: Tensor) -> Tensor:
        return self.last(self.pool(self.relu(self.two(self.relu(self.one(inputs))))))


def chosen(values: Tensor, targets: Tensor) -> Tensor:
    return values.gather(1, targets[:, None])[:, 0]


# ---- Where the answer is known


@pytest.mark.parametrize(("reference", "start"), [("black", torch.zeros(1, 3, 1, 1)), ("mean", MEAN)])
def test_deeplift_of_a_linear_network_is_weight_times_difference(
    reference, start, linear, linear_weights, pixels, targets
) -> None:
    maps = xai.attribute("deeplift", linear, pixels, targets, reference=reference)
    assert_close(maps.values, ((pixels - start) * linear_weights[targets]).sum(1), rtol=1e-4, atol=1e-5)


def test_deepliftshap_of_a_linear_network_is_against_the_mean_reference(
    linear, linear_weights, pixels, targets
) -> None:
    references = torch.rand(3, *pixels.shape[1:])
    maps = xai.attribute("deeplift_shap", linear, pixels, targets, references=references)
    assert_close(maps.values, ((pixels - references.mean(0)) * linear_weights[targets]).sum(1), rtol=1e-4, atol=1e-5)


def test_lrp_of_a_linear_network_is_weight_times_normalised_pixel(linear, linear_weights, pixels, targets) -> None:
    maps = xai.attribute("lrp", linear, pixels, targets)
    assert_close(maps.values, ((pixels - MEAN) * linear_weights[targets]).sum(1), rtol=1e-4, atol=1e-5)


def test_lrp_of_a_network_of_relus_is_input_times_gradient(plain, pixels, targets) -> None:
    """Where epsilon vanishes (Ancona et al. 2018, proposition 1), and in chunks of any size."""
    expected = xai.attribute("input_x_gradient", plain, pixels, targets, reference="mean").values
    for batch_size in (1, 3, 64):
        maps = xai.attribute("lrp", plain, pixels, targets, batch_size=batch_size)
        assert_close(maps.values, expected, rtol=1e-3, atol=1e-5)


def test_deconvolution_turns_every_relu_around(make_model, pixels, targets) -> None:
    """By hand: what comes down is cut at zero where the ReLU is, whatever went up."""
    torch.manual_seed(0)
    first, last = nn.Linear(3 * 24 * 20, 16), nn.Linear(16, 5)
    model = make_model(nn.Sequential(nn.Flatten(), first, nn.ReLU(inplace=True), last))
    values = xai.attribute("deconvolution", model, pixels, targets, pooling="signed_sum")
    slopes = last.weight[targets].clamp(min=0) @ first.weight
    assert_close(values.values, (slopes.view_as(pixels) / model.std).sum(1).detach(), rtol=1e-4, atol=1e-6)


def test_what_is_taken_away_of_a_linear_network_is_its_sum(linear, linear_weights, pixels, targets) -> None:
    """Occlusion, Feature Ablation and Shapley values agree there: a part is worth its pixels, together with any others."""
    worth = ((pixels - MEAN) * linear_weights[targets]).sum(1)
    square = round(56 * 20 / 224)  # of the shorter side; four tile it
    maps = xai.attribute("occlusion", linear, pixels, targets, window=56.0, stride=56.0, output="logit")
    tiles = functional.avg_pool2d(worth[:, None, :20], square)[:, 0] * square**2
    found = functional.avg_pool2d(maps.values[:, None, :15], square)[
        :, 0
    ]  # the last row of squares overlaps the one before
    assert_close(found, tiles[:, :3], rtol=1e-4, atol=1e-4)
    labels = superpixels(pixels, 10, 30.0, 3.0)
    for name, options in (("feature_ablation", {}), ("shapley_value_sampling", {"samples": 2})):
        maps = xai.attribute(name, linear, pixels, targets, **SEGMENTS, **options).values
        for one, values, own in zip(maps, worth, labels, strict=True):
            sums = torch.zeros(int(own.max()) + 1).index_add_(0, own.flatten(), values.flatten())
            assert_close(one, sums[own], rtol=1e-3, atol=1e-3)


def test_shapley_values_add_up_for_any_number_of_orders(cnn, pixels, targets) -> None:
    labels = superpixels(pixels, 10, 30.0, 3.0)
    maps = xai.attribute("shapley_value_sampling", cnn, pixels, targets, samples=3, **SEGMENTS).values
    areas = torch.stack([own.flatten().bincount()[own].float() for own in labels])
    with torch.no_grad():
        gap = chosen(cnn(pixels) - cnn(MEAN.expand_as(pixels)), targets)
    assert_close((maps / areas).sum((1, 2)), gap, rtol=1e-4, atol=1e-4)


# ---- captum's own numbers


@pytest.fixture
def plain(make_model):
    """A chain without batch norm in which no two hooked modules touch, of which captum's own classes make what they should."""
    torch.manual_seed(5)
    network = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 8, 3, padding=1), nn.MaxPool2d(2),
        nn.Conv2d(8, 8, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5),
    )  # fmt: skip
    return make_model(network)


def test_hooked_methods_are_captums(plain, pixels, targets) -> None:
    black = torch.zeros_like(pixels)
    direct = captum.attr.DeepLift(plain).attribute(pixels.clone(), black, targets).sum(1).detach()
    assert_close(xai.attribute("deeplift", plain, pixels, targets).values, direct, rtol=1e-4, atol=1e-5)
    references = torch.rand(3, *pixels.shape[1:])
    direct = captum.attr.DeepLiftShap(plain).attribute(pixels.clone(), references, targets).sum(1).detach()
    found = xai.attribute("deeplift_shap", plain, pixels, targets, references=references)
    assert_close(found.values, direct, rtol=1e-4, atol=1e-5)
    direct = captum.attr.Deconvolution(plain).attribute(pixels.clone(), targets).abs().amax(1).detach()
    assert_close(xai.attribute("deconvolution", plain, pixels, targets).values, direct, rtol=1e-5, atol=1e-6)
    from captum.attr._utils.lrp_rules import Alpha1_Beta0_Rule, EpsilonRule, GammaRule

    for name, kind in {"epsilon": EpsilonRule, "gamma": GammaRule, "alpha1_beta0": Alpha1_Beta0_Rule}.items():
        for module in plain.network:
            if isinstance(module, nn.Conv2d | nn.Flatten):  # captum has no rule for Flatten
                module.rule = kind() if isinstance(module, nn.Conv2d) else EpsilonRule()
        direct = captum.attr.LRP(plain.network).attribute(plain.normalise(pixels), targets).sum(1).detach()
        found = xai.attribute("lrp", plain, pixels, targets, rule=name, batch_size=64)
        assert_close(found.values, direct, rtol=1e-3, atol=1e-5)


def test_methods_that_take_parts_away_are_captums(cnn, pixels, targets) -> None:
    colour, labels = MEAN.expand_as(pixels), superpixels(pixels, 10, 30.0, 3.0)
    with torch.no_grad():
        direct = captum.attr.Occlusion(cnn).attribute(pixels, (3, 5, 5), (3, 3, 3), colour, targets)[:, 0]
    maps = xai.attribute("occlusion", cnn, pixels, targets, window=56.0, stride=33.6, output="logit")
    assert_close(maps.values, direct, rtol=1e-4, atol=1e-5)
    for i in range(2):
        with torch.no_grad():
            given = {"target": int(targets[i]), "feature_mask": labels[i, None, None]}
            direct = captum.attr.FeatureAblation(cnn).attribute(pixels[i, None], colour[i, None], **given)[0, 0]
        maps = xai.attribute("feature_ablation", cnn, pixels[i, None], targets[i, None], **SEGMENTS)
        assert_close(maps.values[0], direct, rtol=1e-4, atol=1e-5)


def test_a_reused_relu_and_overlapping_pooling_add_up_where_captum_is_wrong_or_stops(
    make_model, pixels, targets
) -> None:
    torch.manual_seed(3)
    model = make_model(Twice())
    with pytest.raises(RuntimeError):
        captum.attr.DeepLift(make_model(Twice())).attribute(pixels.clone(), torch.zeros_like(pixels), targets)
    maps = xai.attribute("deeplift", model, pixels, targets)
    with torch.no_grad():
        gap = chosen(model(pixels) - model(torch.zeros_like(pixels)), targets)
    assert_close(maps.values.sum((1, 2)), gap, rtol=1e-3, atol=1e-4)


def test_a_pooling_right_behind_a_relu_adds_up_where_captums_own_does_not(make_model, pixels, targets) -> None:
    """Both hooks hang on one tensor there, and captum's ReLU gets the gradient before the pooling's rule has changed it."""
    torch.manual_seed(5)
    ends = (nn.Conv2d(8, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5))
    model = make_model(nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), *ends))
    black = torch.zeros_like(pixels)
    with torch.no_grad():
        gap = chosen(model(pixels) - model(black), targets)
    theirs = captum.attr.DeepLift(model).attribute(pixels.clone(), black, targets).sum((1, 2, 3)).detach()
    ours = xai.attribute("deeplift", model, pixels, targets).values.sum((1, 2))
    assert_close(ours, gap, rtol=1e-3, atol=1e-5)
    assert (theirs - gap).abs().max() > 10 * (ours - gap).abs().max()


@pytest.mark.parametrize("activation", [nn.ReLU6, nn.SiLU, nn.GELU, nn.Hardswish])
def test_deeplift_adds_up_for_activations_that_captum_lists_not(activation, make_model, pixels, targets) -> None:
    torch.manual_seed(3)
    network = nn.Sequential(
        nn.Conv2d(3, 6, 3), activation(), nn.Conv2d(6, 6, 3), activation(), nn.Flatten(), nn.LazyLinear(5)
    )
    network(pixels)
    maps = xai.attribute("deeplift", model := make_model(network), pixels, targets)
    with torch.no_grad():
        gap = chosen(model(pixels) - model(torch.zeros_like(pixels)), targets)
    assert_close(maps.values.sum((1, 2)), gap, rtol=1e-3, atol=1e-4)


# ---- What is refused, and what is left as found


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("deeplift", "runs 'relu' where captum's hooks on modules do not see it"),
        ("deeplift_shap", "runs 'relu' where captum's hooks on modules do not see it"),
        ("deconvolution", "runs 'relu' where captum's hooks on modules do not see it"),
        ("lrp", "runs 'mean' where captum's hooks on modules do not see it"),
    ],
)
def test_a_functional_relu_is_refused_where_it_would_be_missed(name, message, make_model, pixels, targets) -> None:
    torch.manual_seed(0)
    with pytest.raises(xai.InputError, match=message):
        xai.attribute(name, make_model(Functional()), pixels, targets)


def test_shares_that_do_not_add_up_are_refused(make_model, pixels, targets) -> None:
    torch.manual_seed(0)
    with pytest.raises(
        xai.InputError, match="do not add up to the difference of outputs, as the network does what hooks"
    ):
        xai.attribute("deeplift", make_model(Product()), pixels, targets)


def test_lrp_refuses_sums_of_branches_and_layers_without_a_rule(make_model, pixels, targets) -> None:
    from torchvision.models.resnet import BasicBlock

    ends = (nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 5))
    with pytest.raises(xai.InputError, match="method 'lrp': model 'toy' runs 'add'"):
        xai.attribute("lrp", make_model(nn.Sequential(BasicBlock(3, 3), *ends)), pixels, targets)
    with pytest.raises(xai.InputError, match=r"method 'lrp': captum cannot explain this network: .*SiLU.* no rule"):
        xai.attribute("lrp", make_model(nn.Sequential(nn.Conv2d(3, 3, 3), nn.SiLU(), *ends)), pixels, targets)


def test_a_layer_that_runs_twice_and_a_scripted_one_are_refused(make_model, pixels, targets) -> None:
    conv, ends = nn.Conv2d(3, 3, 3), (nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 5))
    with pytest.raises(
        xai.InputError, match=r"captum cannot explain this network: Module .* is being used more than once"
    ):
        xai.attribute("lrp", make_model(nn.Sequential(conv, nn.ReLU(), conv, *ends)), pixels, targets)
    scripted = make_model(nn.Sequential(torch.jit.script(nn.Sequential(nn.Conv2d(3, 3, 3), nn.ReLU())), *ends))
    for name in ("lrp", "deeplift", "deconvolution"):
        with pytest.raises(xai.InputError, match=r"runs the scripted module 'network\.0', which captum cannot hook"):
            xai.attribute(name, scripted, pixels, targets)


def test_a_network_without_relus_has_no_deconvolution(linear, pixels, targets) -> None:
    with pytest.raises(xai.InputError, match="executes no ReLU; method 'gradient' is what it would give"):
        xai.attribute("deconvolution", linear, pixels, targets)


@pytest.mark.parametrize("options", [{"window": 300.0}, {"window": 16.0, "stride": 64.0}])
def test_a_window_that_does_not_fit_is_refused(options, cnn, pixels, targets) -> None:
    with pytest.raises(xai.InputError, match="leaves gaps or does not fit; the stride must be at most the window"):
        xai.attribute("occlusion", cnn, pixels, targets, **options)


def test_references_of_another_size_are_refused(cnn, pixels, targets) -> None:
    with pytest.raises(
        xai.InputError, match=r"references must be images \(k, 3, 24, 20\) like the pixels, not \(2, 3, 8, 8\)"
    ):
        xai.attribute("deeplift_shap", cnn, pixels, targets, references=torch.rand(2, 3, 8, 8))


def test_references_are_read_as_images_are(cnn, pixels, targets) -> None:
    bytes_ = torch.randint(256, (2, *pixels.shape[1:]), dtype=torch.uint8)
    found = [xai.attribute("deeplift_shap", cnn, pixels, targets, references=one) for one in (bytes_, bytes_ / 255)]
    assert torch.equal(found[0].values, found[1].values)
    with pytest.raises(xai.InputError, match="method 'deeplift_shap': references: "):
        xai.attribute("deeplift_shap", cnn, pixels, targets, references=bytes_.float())


def test_passes_are_counted(cnn, pixels, targets) -> None:
    with engine.using() as run:
        xai.attribute("deeplift", cnn, pixels, targets)
    assert (run.cost.forward, run.cost.backward) == (4 + 1 + 2 * 4, 2 * 4)
    with engine.using() as run:
        xai.attribute("occlusion", cnn, pixels, targets, window=56.0, stride=56.0)
    assert (run.cost.forward, run.cost.backward) == (4 * (1 + 5 * 4), 0)


# ---- Our methods as captum's


@pytest.mark.parametrize("name", ["gradient", "gradcam", "rise", "occlusion", "random"])
def test_a_method_is_an_attribution_that_captums_tools_take(name, cnn, pixels, targets) -> None:
    method = xai.as_captum(name, cnn, **({"masks": 20} if name == "rise" else {}))
    assert isinstance(method, captum.attr.Attribution)
    values = method.attribute(pixels, target=targets)
    assert values.shape == pixels.shape
    smooth = captum.attr.NoiseTunnel(method).attribute(pixels, nt_samples=3, stdevs=0.1, target=targets)
    assert smooth.shape == pixels.shape
    change = captum.metrics.sensitivity_max(method.attribute, pixels, n_perturb_samples=2, target=targets)
    assert change.shape == (4,) and torch.isfinite(change).all()

    def disturb(inputs: Tensor) -> tuple[Tensor, Tensor]:
        return 0.01 * torch.ones_like(inputs), inputs - 0.01

    assert torch.isfinite(captum.metrics.infidelity(cnn, disturb, pixels, values, target=targets)).all()


def test_as_captum_gives_what_attribute_gives(cnn, pixels, targets) -> None:
    direct = captum.attr.Saliency(cnn).attribute(pixels.clone().requires_grad_(), targets, abs=False)
    assert_close(xai.as_captum("gradient", cnn).attribute(pixels, targets), direct, rtol=1e-4, atol=1e-6)
    for pooling in ("abs_max", "signed_sum"):
        maps = xai.attribute("gradient", cnn, pixels, targets, pooling=pooling).values
        pooled = xai.as_captum("gradient", cnn, pooling=pooling).attribute(pixels, targets)
        assert_close(pooled, maps[:, None].expand_as(pixels), rtol=1e-5, atol=1e-7)
    torch.manual_seed(0)
    ours = captum.attr.NoiseTunnel(xai.as_captum("gradient", cnn)).attribute(pixels, target=targets, stdevs=0.1)
    torch.manual_seed(0)
    theirs = captum.attr.NoiseTunnel(captum.attr.Saliency(cnn)).attribute(pixels, target=targets, stdevs=0.1, abs=False)
    assert_close(ours, theirs, rtol=1e-4, atol=1e-6)


def test_as_captum_takes_one_class_none_or_one_an_image(cnn, pixels) -> None:
    method = xai.as_captum("gradcam", cnn)
    with torch.no_grad():
        predicted = cnn(pixels).argmax(1)
    assert torch.equal(method.attribute(pixels), method.attribute(pixels, target=predicted))
    assert torch.equal(method.attribute(pixels, target=2), method.attribute(pixels, target=[2] * 4))
    with pytest.raises(xai.InputError, match="unknown method 'gradcan'; did you mean 'gradcam'"):
        xai.as_captum("gradcan", cnn)
    with pytest.raises(xai.InputError, match=r"xailib\.wrap\(network\) makes one"):
        xai.as_captum("gradcam", cnn.network).attribute(pixels)
    assert torch.equal(method.attribute(pixels), method.attribute((pixels,))[0])
    assert torch.equal(method.attribute(pixels, target=2), method.attribute(pixels, target=torch.tensor([2])))


@pytest.mark.parametrize(
    ("inputs", "target", "message"),
    [
        (lambda pixels: pixels, 5, "targets: model 'toy' knows classes 0 to 4, found 5"),
        (lambda pixels: pixels, -1, "targets: model 'toy' knows classes 0 to 4, found -1"),
        (lambda pixels: pixels, 1.5, "targets: a class is an index or a name, not 1.5"),
        (lambda pixels: pixels, [1, 2, 3], "targets: one class an image is needed, 4 in all, not 3"),
        (lambda pixels: pixels[0], 1, r"inputs: float images \(n, 3, h, w\) .* not torch.float32 \(3, 24, 20\)"),
        (lambda pixels: pixels[:, :1], 1, r"inputs: .* not torch.float32 \(4, 1, 24, 20\)"),
        (lambda pixels: pixels[:0], 1, r"inputs: .* one at least, not torch.float32 \(0, 3, 24, 20\)"),
        (lambda pixels: pixels * torch.nan, 1, "inputs: the images hold NaN or infinity"),
        (lambda pixels: (pixels * 255).byte(), 1, "inputs: .* not torch.uint8"),
        (lambda pixels: pixels.numpy(), 1, "inputs: .* not ndarray"),
        (lambda pixels: (pixels, pixels), 1, "inputs: .* not tuple"),
    ],
)
def test_what_captum_hands_over_is_checked(inputs, target, message, cnn, pixels) -> None:
    with pytest.raises(xai.InputError, match=message):
        xai.as_captum("gradient", cnn).attribute(inputs(pixels), target=target)


@pytest.mark.parametrize("given", [{"poling": "abs_max"}, {"pooling": "max"}, {"seed": -1}])
def test_options_are_checked_where_they_are_given(given, cnn) -> None:
    for made in (lambda: xai.as_captum("gradient", cnn, **given), lambda: xai.as_explain_func("gradient", **given)):
        with pytest.raises(xai.InputError):
            made()


def test_explain_func_takes_arrays_of_any_layout_and_refuses_what_is_none(cnn, pixels, targets):
    explain, array = xai.as_explain_func("gradient"), pixels.numpy()
    expected = explain(cnn, array, targets.numpy())
    for given in (array[..., ::-1].copy()[..., ::-1], array.astype(">f4")):
        assert_close(explain(cnn, given, targets.numpy()), expected)
    for wrong in ("a.png", None):
        with pytest.raises(xai.InputError, match=r"inputs: an array .* is needed, not"):
            explain(cnn, wrong, targets.numpy())
