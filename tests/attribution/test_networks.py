"""Parity on the networks of the studies: the miniatures' architectures, and real ImageNet networks where installed."""

import pytest
import torch
from captum.attr import IntegratedGradients, LayerAttribution, LayerGradCam, Saliency
from torch.testing import assert_close

import xailib as xai
import xailib.models.architectures  # fills the registry
from xailib import registry
from xailib.attribution.lime import surrogates
from xailib.attribution.superpixels import Coalitions, hide, superpixels
from xailib.models.model import Model

MINIATURES = registry.architecture.names("mini_*")


def gradcam_by_captum(model, pixels, targets):
    cells = LayerGradCam(model, model.cam_layer).attribute(pixels, targets, relu_attributions=True).detach()
    return LayerAttribution.interpolate(cells, tuple(pixels.shape[-2:]), "bilinear")[:, 0]


def assert_near(found, expected, share=1e-4):
    assert_close(found, expected, atol=share * float(expected.abs().max()), rtol=share)


@pytest.fixture(scope="module", params=MINIATURES)
def miniature(request):
    """A miniature with random weights: architecture is what these tests are about."""
    entry = registry.architecture.get(request.param)
    torch.manual_seed(0)
    return Model(
        entry.function(12), id=request.param, architecture=request.param, training_algorithm="vanilla", input_size=64,
        class_names=[str(i) for i in range(12)], mean=(0.5,) * 3, std=(0.25,) * 3, cam_layer=entry.cam_layer,
        offers=entry.offers,
    )  # fmt: skip


@pytest.fixture(scope="module")
def rendered():
    images = xai.load_images("pictograms", split="test", limit=2, seed=0)
    return images.pixels, images.labels


def test_miniatures_agree_with_captum(miniature, rendered):
    pixels, targets = rendered
    peer = Saliency(miniature).attribute(pixels.clone().requires_grad_(), targets)
    assert_near(xai.attribute("gradient", miniature, pixels, targets), peer.amax(1))
    assert_near(xai.attribute("gradcam", miniature, pixels, targets), gradcam_by_captum(miniature, pixels, targets))


def test_miniatures_have_cam_where_they_say_so(miniature, rendered):
    pixels, targets = rendered
    if "gap_linear_head" not in miniature.offers:
        with pytest.raises(xai.InputError, match="gap_linear_head"):
            xai.attribute("cam", miniature, pixels, targets)
        return
    cam = xai.attribute("cam", miniature, pixels, targets, relu="before")
    gradcam = xai.attribute("gradcam", miniature, pixels, targets)
    cells = miniature.features(pixels)[0, 0].numel()
    assert 49 <= cells <= 64, "the last maps must have 7 to 8 cells a side"
    assert_near(gradcam * cells, cam)


@pytest.fixture(scope="module", params=["squeezenet1_1", "efficientnet_lite0"])
def real(request):
    """A real ImageNet network from a package, and one photograph at its size."""
    try:
        model = xai.load_model(request.param, device="cpu")
        images = xai.load_images("photos", limit=1, seed=0)
    except xai.InputError as error:
        pytest.skip(f"needs the extra 'photos': {error}")
    size = (model.input_size, model.input_size)
    pixels = torch.nn.functional.interpolate(images.pixels, size, mode="bilinear", align_corners=False)
    return model, pixels.clamp(0, 1), images.labels


def test_real_networks_agree_with_captum(real):
    model, pixels, targets = real
    peer = Saliency(model).attribute(pixels.clone().requires_grad_(), targets)
    assert_near(xai.attribute("gradient", model, pixels, targets), peer.amax(1), 1e-3)
    peer = IntegratedGradients(model).attribute(pixels, 0.0, targets, n_steps=4)
    assert_near(xai.attribute("integrated_gradients", model, pixels, targets, steps=4), peer.sum(1).float(), 1e-3)
    assert_near(xai.attribute("gradcam", model, pixels, targets), gradcam_by_captum(model, pixels, targets), 1e-3)


def test_real_networks_agree_with_torch_cam(real):
    from torchcam.methods import GradCAM

    model, pixels, targets = real
    with GradCAM(model, target_layer=model.cam_layer) as extractor:
        cells = extractor(targets.tolist(), model(pixels.clone().requires_grad_()), normalized=False)[0].detach()
    peer = LayerAttribution.interpolate(cells.view(1, 1, *cells.shape[-2:]), tuple(pixels.shape[-2:]), "bilinear")[:, 0]
    assert_near(xai.attribute("gradcam", model, pixels, targets), peer, 1e-3)


def test_real_networks_agree_with_the_lime_package(real, explain_by_package):
    model, pixels, targets = real
    if model.id != "squeezenet1_1":
        pytest.skip("one real network is enough for a method that sees only scores")
    labels = superpixels(pixels, 20, 30.0, 3.0)
    theirs, shown = explain_by_package(model, pixels[0], int(targets[0]), labels[0], None, 50)
    coalitions = Coalitions(pixels, hide(model, pixels, labels, "segment_mean"), labels, shown[None])
    ours = surrogates(model, targets, coalitions, [len(theirs)], "probability", 0.25, 1.0)[0]
    assert_near(ours, theirs, 1e-3)
