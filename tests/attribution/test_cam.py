"""CAM and GradCAM: closed forms, the traps of in-place and functional ReLUs, parity with captum and torch-cam."""

import pytest
import torch
from captum.attr import LayerAttribution, LayerGradCam
from torch import nn
from torch.nn import functional
from torch.testing import assert_close

import xailib as xai
from xailib import engine


def truth(model, pixels, targets):
    """CAM by hand `(n, hc, wc)`: the class's weights times the maps, from the network's own pieces."""
    maps = model.network[:8](model.normalise(pixels))
    return torch.einsum("nc,nchw->nhw", model.network[-1].weight[targets], maps).detach()


def upsampled(maps, pixels):
    return functional.interpolate(maps[:, None], pixels.shape[-2:], mode="bilinear", align_corners=False)[:, 0]


def test_cam_is_class_weights_times_maps(cnn, pixels, targets):
    assert_close(xai.attribute("cam", cnn, pixels, targets), upsampled(truth(cnn, pixels, targets), pixels))
    assert (xai.attribute("cam", cnn, pixels, targets) < 0).any()
    nearest = xai.attribute("cam", cnn, pixels, targets, upsampling="nearest")
    assert_close(nearest, functional.interpolate(truth(cnn, pixels, targets)[:, None], pixels.shape[-2:])[:, 0])


def test_mean_of_cam_is_the_logit_less_its_bias(cnn, pixels, targets):
    maps = xai.attribute("cam", cnn, pixels, targets, upsampling="nearest")  # 6 x 5 cells of 4 x 4 pixels
    logits = (cnn(pixels) - cnn.network[-1].bias).gather(1, targets[:, None])[:, 0]
    assert_close(maps.mean((1, 2)), logits.detach(), atol=1e-5, rtol=1e-5)


def test_gradcam_is_the_relu_of_cam_over_the_cells(cnn, pixels, targets):
    cells = truth(cnn, pixels, targets)
    expected = upsampled(cells.relu(), pixels) / cells[0].numel()
    assert_close(xai.attribute("gradcam", cnn, pixels, targets), expected, atol=1e-6, rtol=1e-5)
    after = upsampled(cells, pixels).relu() / cells[0].numel()
    assert_close(xai.attribute("gradcam", cnn, pixels, targets, relu="after"), after, atol=1e-6, rtol=1e-5)


def test_cam_layer_before_an_in_place_relu_keeps_the_maps_it_gave(make_model, make_cnn, pixels, targets):
    """The last convolution's own output, not what the in-place ReLU behind it made of it."""
    model = make_model(make_cnn(inplace=True), cam_layer="6")
    twin = make_model(make_cnn(inplace=False), cam_layer="6")
    maps = xai.attribute("gradcam", model, pixels, targets, relu="none")
    assert torch.equal(maps, xai.attribute("gradcam", twin, pixels, targets, relu="none"))
    peer = LayerGradCam(twin, twin.cam_layer).attribute(pixels, targets)
    assert_close(maps, upsampled(peer[:, 0].detach(), pixels), atol=1e-6, rtol=1e-5)


class Functional(nn.Module):
    """A network with a functional ReLU behind its last maps and a residual around them, as in torchvision."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(5)
        self.stem, self.conv = nn.Conv2d(3, 8, 3, 2, 1), nn.Conv2d(8, 8, 3, 1, 1)
        self.hidden, self.classifier = nn.Linear(8 * 12 * 10, 9), nn.Linear(9, 5)

    def forward(self, inputs):
        maps = functional.relu(self.stem(inputs), inplace=True)
        maps = functional.relu(self.conv(maps) + maps, inplace=True)
        return self.classifier(functional.relu(self.hidden(maps.flatten(1))))


def test_gradcam_needs_no_gap_head_and_no_relu_modules(make_model, pixels, targets):
    model = make_model(Functional(), cam_layer="conv")
    peer = LayerGradCam(model, model.cam_layer).attribute(pixels, targets, relu_attributions=True)
    peer = LayerAttribution.interpolate(peer.detach(), tuple(pixels.shape[-2:]), "bilinear")
    maps = xai.attribute("gradcam", model, pixels, targets)
    assert maps.max() > 0
    assert_close(maps, peer[:, 0], atol=1e-6, rtol=1e-5)


def test_parity_with_torch_cam(cnn, pixels, targets):
    from torchcam.methods import CAM, GradCAM

    for name, peer_class, extra in [("gradcam", GradCAM, {}), ("cam", CAM, {"fc_layer": cnn.network[-1]})]:
        with peer_class(cnn, target_layer=cnn.cam_layer, **extra) as extractor:
            scores = cnn(pixels.clone().requires_grad_())
            peer = extractor(targets.tolist(), scores, normalized=False)[0].detach()
        cells = peer[:, 0] if peer.ndim == 4 else peer
        assert_close(xai.attribute(name, cnn, pixels, targets), upsampled(cells, pixels), atol=1e-6, rtol=1e-4)


def test_gradcam_goes_back_through_the_head_only(cnn, pixels, targets):
    stem = cnn.network[0]
    calls = []
    stem.register_full_backward_hook(lambda *_: calls.append(1))
    with engine.using() as run:
        xai.attribute("gradcam", cnn, pixels, targets)
    assert run.cost.forward == run.cost.backward == len(pixels) and not calls


def test_models_that_cam_would_explain_wrongly_are_refused(make_model, make_cnn, pixels, targets):
    with pytest.raises(xai.InputError, match="needs gap_linear_head, which model 'toy' does not offer"):
        xai.attribute("cam", make_model(make_cnn(), cam_layer="7"), pixels, targets)
    with pytest.raises(xai.InputError, match="needs cam_layer"):
        xai.attribute("gradcam", make_model(make_cnn()), pixels, targets)
    early = make_model(
        make_cnn(), cam_layer="6", offers=("gap_linear_head",)
    )  # before the ReLU: not linear in the mean
    with pytest.raises(xai.InputError, match="not linear in the mean"):
        xai.attribute("cam", early, pixels, targets)
    faint = make_cnn()
    faint[-1].weight.data.mul_(1e-5)
    faint[-1].bias.data.mul_(1e-5)
    with pytest.raises(xai.InputError, match="not linear in the mean"):
        xai.attribute("cam", make_model(faint, cam_layer="6", offers=("gap_linear_head",)), pixels, targets)
    assert (
        xai.attribute("cam", make_model(faint, cam_layer="7", offers=("gap_linear_head",)), pixels, targets) != 0
    ).any()
    flat = make_model(make_cnn(), cam_layer="9")
    with pytest.raises(xai.InputError, match="must give maps"):
        xai.attribute("gradcam", flat, pixels, targets)
    relu = nn.ReLU()
    reused = nn.Sequential(nn.Conv2d(3, 4, 3), relu, nn.Conv2d(4, 4, 3), relu, nn.AdaptiveAvgPool2d(1), nn.Flatten())
    with pytest.raises(xai.InputError, match="runs twice"):
        xai.attribute("gradcam", make_model(reused, cam_layer="1"), pixels, targets.clamp(max=3))
