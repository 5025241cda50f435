"""Attribution methods against other packages, side by side.  python benchmarks/attribution_race.py --help"""

import numpy as np
import torch
from timing import arguments, load, race, report

import xailib as xai


def main() -> None:
    chosen = arguments(__doc__, images=2, samples=128, steps=8)
    model, images = load(chosen)
    pixels, labels = images.pixels.to(model.device), images.labels.to(model.device)
    inputs, side = model.normalise(pixels), pixels.shape[-1]
    unit = side / 224

    def ours(method: str, **options: object):
        return lambda: xai.attribute(method, model, images.pixels, images.labels, **options)

    def torchray_rise() -> None:
        from torchray.attribution.rise import rise

        rise(model.network, inputs, num_masks=chosen.samples)

    def torchray_extremal() -> None:
        from torchray.attribution.extremal_perturbation import extremal_perturbation

        for image, label in zip(inputs, labels.tolist(), strict=True):
            extremal_perturbation(
                model.network, image[None], label, areas=[0.05, 0.1, 0.2], max_iter=chosen.steps, smooth=0.09,
                step=round(7 * unit), sigma=3 * round(7 * unit),
            )  # fmt: skip

    def lime_package() -> None:
        from lime.lime_image import LimeImageExplainer
        from lime.wrappers.scikit_image import SegmentationAlgorithm

        def classify(batch: np.ndarray) -> np.ndarray:
            with torch.inference_mode():
                shown = torch.from_numpy(batch).permute(0, 3, 1, 2).float().to(model.device)
                return model(shown).softmax(1).cpu().numpy()

        slic = SegmentationAlgorithm("slic", n_segments=50, compactness=30, sigma=3 * unit)
        explainer = LimeImageExplainer(random_state=0)
        for image, label in zip(images.pixels, images.labels.tolist(), strict=True):
            explainer.explain_instance(
                image.permute(1, 2, 0).double().numpy(), classify, labels=(label,), top_labels=None,
                num_samples=chosen.samples, segmentation_fn=slic, batch_size=128,
            )  # fmt: skip

    def captum_kernel_shap() -> None:
        from captum.attr import KernelShap

        from xailib.attribution.superpixels import superpixels

        segments = superpixels(pixels, 50, 30.0, 3.0)
        for image, label, mask in zip(inputs, labels.tolist(), segments, strict=True):
            KernelShap(model.network).attribute(
                image[None], target=label, feature_mask=mask.view(1, 1, side, side), n_samples=chosen.samples,
                perturbations_per_eval=128,
            )  # fmt: skip

    def torchcam_gradcam() -> None:
        from torchcam.methods import GradCAM

        with GradCAM(model.network, model.cam_layer) as extractor:
            extractor(labels.tolist(), model.network(inputs.clone().requires_grad_()))

    n = chosen.samples
    races = [
        ("rise", {"masks": n}, "torchray 1.0.0.2", torchray_rise),
        ("extremal_perturbation", {"steps": chosen.steps}, "torchray 1.0.0.2", torchray_extremal),
        ("lime", {"samples": n}, "lime 0.2.0.1", lime_package),
        ("kernel_shap", {"samples": n}, "captum 0.9.0", captum_kernel_shap),
        ("gradcam", {}, "torchcam 0.5.0", torchcam_gradcam),
    ]
    rows = [
        race(method, ours(method, **options), peer, theirs, chosen.rounds) for method, options, peer, theirs in races
    ]
    report("attribution_race", [{**row, "model": chosen.model, "images": chosen.images} for row in rows])


if __name__ == "__main__":
    main()
