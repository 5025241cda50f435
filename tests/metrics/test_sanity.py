"""The sanity check on methods whose dependence on the network is known."""

import numpy as np
import pytest
import torch
from torch import nn

import xailib as xai
from xailib.errors import InputError
from xailib.metrics.sanity import cascade
from xailib.registry import method


@pytest.fixture
def check(small_model, small_images):
    def run(name, images=small_images, model=small_model, **options):
        return xai.evaluate("sanity", xai.attribute(name, model, images), model, images, **options)

    return run


@pytest.fixture
def weights_as_noise(monkeypatch):
    """A method whose map is noise that any change of any weight draws anew."""
    monkeypatch.setattr(xai.registry.method, "_found", dict(xai.registry.method.entries))
    monkeypatch.setitem(vars(xai.registry.method), "entries", dict(xai.registry.method.entries))

    @method("weights_as_noise", family="control", label="Noise", paper="test")
    def weights_as_noise(model, pixels, targets, *, seed=0):
        state = int(1e6 * sum(weights.double().abs().sum() for weights in model.parameters()))
        return torch.rand(pixels.shape[0], *pixels.shape[2:], generator=torch.Generator().manual_seed(state))

    return "weights_as_noise"


@pytest.mark.parametrize("similarity", ["spearman", "ssim"])
def test_planted_truths(check, weights_as_noise, similarity):
    for name in ("sobel", "centre_gaussian", "random"):  # none of them looks at the network
        frame = check(name, similarity=similarity)
        assert np.allclose(frame[["value", "last"]], 1) and list(frame) == ["image", "metric", "value", "last"]
    assert check(weights_as_noise, similarity=similarity)["value"].abs().mean() < 0.1
    assert check("gradient", similarity=similarity)["value"].mean() < 0.9


def test_fresh_noise_makes_a_random_map_pass_and_leaves_others_alone(check):
    assert check("random", noise="fresh")["value"].abs().mean() < 0.1
    assert check("gradient", noise="fresh").equals(check("gradient"))


def test_similarity_is_spearmans_of_absolute_values_by_hand(small_model, small_images):
    """One point: everything drawn at once; `value` and `last` are then the same."""
    from scipy.stats import spearmanr

    from xailib.metrics import sanity
    from xailib.seeding import generator

    maps = xai.attribute("integrated_gradients", small_model, small_images, steps=4)
    frame = xai.evaluate("sanity", maps, small_model, small_images, points=1, seed=3)
    other = sanity.copy.deepcopy(small_model)
    for name, weights in other.named_parameters():
        sanity.redraw(weights, generator(3, "sanity", name))
    again = xai.attribute("integrated_gradients", other, small_images, maps.targets, steps=4)
    pairs = zip(maps.abs().flatten(1), again.abs().flatten(1), strict=True)
    expected = np.array([spearmanr(*pair).statistic for pair in pairs])
    assert frame["value"].to_numpy() == pytest.approx(expected, abs=1e-3) and frame["value"].equals(frame["last"])


def test_new_weights_have_the_moments_of_the_old_and_nothing_else():
    from xailib.metrics.sanity import redraw

    old = 5 + torch.rand(200, 100, generator=torch.Generator().manual_seed(0)).sort(dim=1).values
    new = old.clone()
    redraw(new, torch.Generator().manual_seed(1))
    assert new.mean() == pytest.approx(old.mean().item(), abs=0.01) and new.std() == pytest.approx(
        old.std().item(), rel=0.05
    )
    assert abs(torch.corrcoef(torch.stack([old.flatten(), new.flatten()]))[0, 1]) < 0.03


def test_the_cascade_runs_from_the_top_in_the_order_of_a_pass(small_model, small_images, wrap):
    assert cascade(small_model, small_images.pixels[:1]) == [
        ["network.last.weight", "network.last.bias"],
        ["network.body.1.weight", "network.body.1.bias"],
        ["network.body.0.weight", "network.body.0.bias"],
    ]

    class Attends(nn.Module):
        """Layers are registered upside down, and one is only called from within another."""

        def __init__(self):
            super().__init__()
            self.head = nn.Linear(4, 2)
            self.attention = nn.MultiheadAttention(4, 1, batch_first=True)
            self.patches = nn.Conv2d(3, 4, 4, 4)

        def forward(self, pixels):
            tokens = self.patches(pixels).flatten(2).transpose(1, 2)
            return self.head(self.attention(tokens, tokens, tokens)[0].mean(1))

    layers = cascade(wrap(Attends(), side=16, classes=2), small_images.pixels[:1])
    owners = [sorted({name.split(".")[1] for name in layer}) for layer in layers]
    assert owners == [["head"], ["attention"], ["patches"]]


def test_a_parametrised_weight_is_drawn_with_its_bias(small_model, small_images, wrap):
    network = small_model.network
    network.last = nn.utils.parametrizations.weight_norm(network.last)
    layers = cascade(wrap(network, side=16, classes=5), small_images.pixels[:1])
    assert [len(layer) for layer in layers] == [3, 2, 2] and all("network.last." in name for name in layers[0])


def test_a_traced_network_is_one_layer(small_model, small_images, check, wrap):
    """It takes no hooks, so that the order of its layers is not known."""
    traced = wrap(torch.jit.trace(small_model.network, small_images.pixels[:1]), side=16, classes=5)
    assert [len(layer) for layer in cascade(traced, small_images.pixels[:1])] == [6]
    frame = check("gradient", model=traced)
    assert frame["value"].equals(frame["last"]) and frame["value"].mean() < 0.9
    assert np.allclose(check("sobel", model=traced)["value"], 1)


def test_the_network_is_untouched_and_results_repeat_whatever_the_order(check, small_model, small_images):
    before = {name: tensor.clone() for name, tensor in small_model.state_dict().items()}
    hooks = sum(len(module._forward_pre_hooks) for module in small_model.modules())
    frame = check("gradient")
    assert frame.equals(check("gradient")) and not frame["value"].equals(check("gradient", seed=1)["value"])
    assert all(torch.equal(before[name], tensor) for name, tensor in small_model.state_dict().items())
    assert hooks == sum(len(module._forward_pre_hooks) for module in small_model.modules())
    turned = check("gradient", small_images.select([4, 1, 6, 0, 3, 5, 2])).set_index("image").loc[frame["image"]]
    assert np.allclose(turned["value"], frame["value"], atol=1e-3)


def test_the_classes_that_the_maps_explain_are_explained_again(small_model, small_images):
    maps = xai.attribute("gradient", small_model, small_images, "class 3")
    asked = xai.evaluate("sanity", maps, small_model, small_images, targets="label")
    assert asked.equals(xai.evaluate("sanity", maps, small_model, small_images))


def test_a_constant_map_is_nan_and_a_map_that_becomes_constant_has_changed(
    check, monkeypatch, small_model, small_images
):
    maps = xai.attribute("gradient", small_model, small_images)
    maps.values[0], maps.values[1, 0] = 2, 0
    maps.values[1] = torch.where(maps.values[1] > 0, 3.0, -3.0)
    value = xai.evaluate("sanity", maps, small_model, small_images)["value"]
    assert value.isna().tolist() == [True, True, *[False] * 5]
    flat = xai.maps.Maps.of(torch.zeros(7, 16, 16))
    monkeypatch.setattr("xailib.metrics.sanity.attribute", lambda *_, **__: flat)
    assert (xai.evaluate("sanity", maps, small_model, small_images)["value"].dropna() == 0).all()


def test_what_is_refused(small_model, small_images, small_maps, wrap):
    def refused(message, maps=small_maps, model=small_model, **options):
        with pytest.raises(InputError, match=message):
            xai.evaluate("sanity", maps, model, small_images, **options)

    maps = xai.attribute("gradient", small_model, small_images)
    refused("needs the Maps that xailib.attribute returned")
    refused("needs the Maps", maps * 2)
    refused("points must be at least 1, not 0", maps, points=0)
    refused("similarity must be one of spearman, ssim, not 'pearson'", maps, similarity="pearson")
    own = xai.attribute(lambda model, pixels, targets: pixels.mean(1), small_model, small_images)
    refused("'<lambda>' is no registered method, so that it cannot explain again", own)
    maps.model = "other"
    refused("they explain model 'other', not 'planted'", maps)


def test_inference_mode_changes_nothing(check):
    usual = check("gradient", points=1)
    with torch.inference_mode():
        assert check("gradient", points=1).equals(usual)
