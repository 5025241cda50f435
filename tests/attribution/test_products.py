"""What is made of other methods: Input x Gradient, SmoothGrad, Guided GradCAM, HiResCAM, GradCAM++."""

import captum.attr
import pytest
import torch
from torch import nn
from torch.testing import assert_close

import xailib as xai
from xailib.attribution.ensembles import noisy_copies

MEAN = torch.tensor((0.4, 0.5, 0.6)).view(1, 3, 1, 1)


def test_input_x_gradient_of_a_linear_network_is_a_share_of_the_logit(linear, linear_weights, pixels, targets) -> None:
    for reference, start in (("black", 0), ("mean", MEAN)):
        maps = xai.attribute("input_x_gradient", linear, pixels, targets, reference=reference)
        assert_close(maps.values, ((pixels - start) * linear_weights[targets]).sum(1), rtol=1e-4, atol=1e-5)


def test_input_x_gradient_is_captums(cnn, pixels, targets) -> None:
    direct = captum.attr.InputXGradient(cnn).attribute(pixels.clone().requires_grad_(), targets).sum(1).detach()
    maps = xai.attribute("input_x_gradient", cnn, pixels, targets)
    assert_close(maps.values, direct, rtol=1e-4, atol=1e-5)


def test_smoothgrad_is_the_gradient_where_noise_does_not_matter(linear, cnn, pixels, targets) -> None:
    maps = xai.attribute("smoothgrad", linear, pixels, targets, samples=4)
    assert_close(maps.values, xai.attribute("gradient", linear, pixels, targets).values, rtol=1e-4, atol=1e-6)
    maps = xai.attribute("smoothgrad", cnn, pixels, targets, samples=3, noise=0.0)
    assert_close(maps.values, xai.attribute("gradient", cnn, pixels, targets).values, rtol=1e-4, atol=1e-6)


def test_smoothgrad_is_the_mean_over_its_copies(cnn, pixels, targets) -> None:
    copies = list(noisy_copies(pixels, 5, 0.2, seed=4))
    slopes = [captum.attr.Saliency(cnn).attribute(one.requires_grad_(), targets, abs=False) for one in copies]
    maps = xai.attribute("smoothgrad", cnn, pixels, targets, samples=5, noise=0.2, seed=4)
    assert_close(maps.values, torch.stack(slopes).mean(0).abs().amax(1), rtol=1e-4, atol=1e-5)


def test_guided_gradcam_is_captums(cnn, pixels, targets) -> None:
    """Where captum's hooks see every ReLU; it stretches GradCAM by the nearest cell."""
    for module in cnn.modules():
        if hasattr(module, "inplace"):
            module.inplace = False
    direct = captum.attr.GuidedGradCam(cnn, cnn.cam_layer).attribute(pixels.clone().requires_grad_(), targets)
    maps = xai.attribute("guided_gradcam", cnn, pixels, targets, upsampling="nearest")
    assert_close(maps.values, direct.abs().amax(1).detach(), rtol=1e-3, atol=1e-6)


def test_hirescam_is_gradcam_behind_a_mean_and_not_elsewhere(cnn, make_model, pixels, targets) -> None:
    """A head that looks at the upper left cell alone: HiResCAM stays there, GradCAM spreads over the map."""
    gradcam = xai.attribute("gradcam", cnn, pixels, targets).values
    assert_close(xai.attribute("hirescam", cnn, pixels, targets).values, gradcam, rtol=1e-4, atol=1e-6)

    class Corner(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.last = nn.Sequential(nn.Conv2d(3, 5, 4, stride=4), nn.Sigmoid()), nn.Linear(5, 5)
            nn.init.ones_(self.last.weight)

        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            return self.last(self.conv(inputs)[:, :, 0, 0])

    corner = make_model(Corner(), cam_layer="conv")
    fine, coarse = (xai.attribute(name, corner, pixels, targets).values for name in ("hirescam", "gradcam"))
    assert (fine[:, 8:, 8:] == 0).all() and (fine[:, 0, 0] > 0).all() and (coarse[:, 8:, 8:] > 0).all()


@pytest.mark.parametrize("layer", ["5", "7"])
def test_gradcam_pp_is_the_papers_and_pytorch_grad_cams(layer, make_model, make_cnn, pixels, targets) -> None:
    """At a layer behind which gradients differ from cell to cell, and at one behind which a map has one gradient."""
    from pytorch_grad_cam import GradCAMPlusPlus
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    network = make_cnn(inplace=False)
    network[-1].weight.data.mul_(500)  # so that denominators matter
    model = make_model(network, cam_layer=layer)
    with GradCAMPlusPlus(model, [model.cam_layer]) as peer:
        outputs = [ClassifierOutputTarget(int(target)) for target in targets]
        peer(pixels.clone().requires_grad_(), outputs)
        cells = peer.get_cam_image(
            pixels, model.cam_layer, outputs,
            peer.activations_and_grads.activations[0].detach().numpy(),
            peer.activations_and_grads.gradients[0].detach().numpy(), False,
        )  # fmt: skip
    direct = nn.functional.interpolate(
        torch.from_numpy(cells)[:, None].relu(), pixels.shape[-2:], mode="bilinear", align_corners=False
    )[:, 0]
    assert direct.amax((1, 2)).min() > 0
    assert_close(
        xai.attribute("gradcam_pp", model, pixels, targets).values, direct, rtol=1e-3, atol=1e-4 * float(direct.max())
    )
