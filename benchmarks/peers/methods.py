"""Packages' attribution methods: `(seat, count, seed) -> maps (n, h, w)`, where `count` is samples, masks or steps."""

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from peers import Seat, peer


@peer("gradient", "captum", same=True)
def saliency(seat: Seat, count: int, seed: int) -> Tensor:
    from captum.attr import Saliency

    return Saliency(seat.whole).attribute(seat.pixels.clone().requires_grad_(), seat.labels).amax(1)


@peer("guided_backprop", "captum", same=True)
def guided_backprop(seat: Seat, count: int, seed: int) -> Tensor:
    from captum.attr import GuidedBackprop

    return GuidedBackprop(seat.whole).attribute(seat.pixels.clone().requires_grad_(), seat.labels).abs().amax(1)


@peer("integrated_gradients", "captum", same=True)
def integrated_gradients(seat: Seat, count: int, seed: int) -> Tensor:
    from captum.attr import IntegratedGradients

    given = {"target": seat.labels, "n_steps": count, "internal_batch_size": max(seat.batch, len(seat.images))}
    return IntegratedGradients(seat.whole).attribute(seat.pixels, 0.0, **given).sum(1)


@peer("shap", "captum")
def gradient_shap(seat: Seat, count: int, seed: int) -> Tensor:
    from captum.attr import GradientShap

    torch.manual_seed(seed)
    np.random.seed(seed)  # captum draws its places from numpy's stream
    noise = torch.rand(50, *seat.pixels.shape[1:], device=seat.pixels.device)
    references = noise if seat.references is None else seat.references
    method, part, total = (
        GradientShap(seat.whole),
        max(1, seat.batch // len(seat.images)),
        torch.zeros_like(seat.pixels),
    )
    for start in range(0, count, part):  # it has no batch size: all samples of all images are one pass
        samples = min(part, count - start)
        total += samples * method.attribute(seat.pixels, references, samples, target=seat.labels).detach()
    return total.sum(1) / count


@peer("cam", "torch-cam", same=True)
def cam_by_torchcam(seat: Seat, count: int, seed: int) -> Tensor:
    from torchcam.methods import CAM

    linear = [module for module in seat.network.modules() if isinstance(module, nn.Linear)][-1]
    with CAM(seat.network, seat.whole.cam_layer, linear) as extractor, torch.no_grad():
        cells = extractor(seat.labels.tolist(), seat.network(seat.inputs), normalized=False)[0]
    return upsampled(cells, seat)


@peer("gradcam", "torch-cam", same=True)
def gradcam_by_torchcam(seat: Seat, count: int, seed: int) -> Tensor:
    from torchcam.methods import GradCAM

    with GradCAM(seat.network, seat.whole.cam_layer) as extractor:
        scores = seat.network(seat.inputs.clone().requires_grad_())
        return upsampled(extractor(seat.labels.tolist(), scores, normalized=False)[0].detach(), seat)


@peer("gradcam", "captum", same=True)
def gradcam_by_captum(seat: Seat, count: int, seed: int) -> Tensor:
    from captum.attr import LayerGradCam

    method = LayerGradCam(seat.network, seat.whole.cam_layer)
    return upsampled(method.attribute(seat.inputs, seat.labels, relu_attributions=True).detach()[:, 0], seat)


@peer("gradcam", "grad-cam", same=True)
def gradcam_by_gradcam(seat: Seat, count: int, seed: int) -> Tensor:
    from pytorch_grad_cam import GradCAM
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    with GradCAM(seat.network, [seat.whole.cam_layer]) as extractor:
        targets = [ClassifierOutputTarget(label) for label in seat.labels.tolist()]
        return torch.from_numpy(extractor(seat.inputs.clone().requires_grad_(), targets))


@peer("extremal_perturbation", "TorchRay", same=True)
def extremal_perturbation(seat: Seat, count: int, seed: int) -> Tensor:
    from torchray.attribution.extremal_perturbation import extremal_perturbation

    step = round(7 * seat.side / 224)
    areas = {"areas": [0.05, 0.1, 0.2], "smooth": 0.09, "step": step, "sigma": 3 * step}
    return torch.cat([
        extremal_perturbation(seat.network, image[None], label, max_iter=count, **areas)[0].sum(0)
        for image, label in zip(seat.inputs, seat.labels.tolist(), strict=True)
    ])  # fmt: skip


@peer("rise", "TorchRay")
def rise(seat: Seat, count: int, seed: int) -> Tensor:
    from torchray.attribution.rise import rise_class

    return rise_class(seat.network, seat.inputs, target=seat.labels, seed=seed, num_masks=count, batch_size=seat.batch)[
        :, 0
    ]


@peer("lime", "lime")
def lime_by_lime(seat: Seat, count: int, seed: int) -> Tensor:
    from lime import lime_image

    lime_image.tqdm = iter  # there is no other way to be spared a bar an image

    def classify(batch: np.ndarray) -> np.ndarray:
        shown = torch.from_numpy(batch).to(seat.model.device, torch.float32)
        with torch.inference_mode():
            return seat.probability(shown.permute(0, 3, 1, 2)).cpu().numpy()

    maps = []
    explainer, colour = lime_image.LimeImageExplainer(random_state=seed), seat.model.mean_colour.flatten().cpu().numpy()
    for image, label, segments in zip(seat.images.pixels, seat.labels.tolist(), seat.superpixels.cpu(), strict=True):
        found = explainer.explain_instance(
            image.permute(1, 2, 0).numpy(), classify, (label,), hide_color=colour, top_labels=None, num_samples=count,
            batch_size=seat.batch, segmentation_fn=lambda _, segments=segments: segments.numpy(),
        )  # fmt: skip
        weights = dict(found.local_exp[label])
        maps.append(torch.tensor([weights[segment] for segment in range(len(weights))])[segments])
    return torch.stack(maps)


@peer("lime", "captum")
def lime_by_captum(seat: Seat, count: int, seed: int) -> Tensor:
    from captum._utils.models.linear_model import SkLearnRidge
    from captum.attr import Lime
    from captum.attr._core.lime import get_exp_kernel_similarity_function  # documented, and exported nowhere else

    kernel = get_exp_kernel_similarity_function("cosine", 0.25)
    return over_superpixels(Lime(seat.probability, SkLearnRidge(alpha=1.0), kernel), seat, count, seed)


@peer("kernel_shap", "captum")
def kernel_shap(seat: Seat, count: int, seed: int) -> Tensor:
    from captum.attr import KernelShap

    return over_superpixels(KernelShap(seat.probability), seat, count + 2, seed)  # it counts both ends, ours does not


def over_superpixels(method: object, seat: Seat, count: int, seed: int) -> Tensor:
    """Maps of captum's LIME or KernelSHAP, which take one image at a time."""
    torch.manual_seed(seed)
    np.random.seed(seed)
    maps = [
        method.attribute(
            image[None], seat.model.mean_colour, target=label, feature_mask=segments[None, None], n_samples=count,
            perturbations_per_eval=seat.batch,
        )[0, 0]
        for image, label, segments in zip(seat.pixels, seat.labels.tolist(), seat.superpixels, strict=True)
    ]  # fmt: skip
    return torch.stack(maps).detach()


def upsampled(cells: Tensor, seat: Seat) -> Tensor:
    """Maps `(n, h, w)` of cells `(n, hc, wc)`."""
    size = (seat.side, seat.side)
    return functional.interpolate(cells[:, None], size, mode="bilinear", align_corners=False)[:, 0]
