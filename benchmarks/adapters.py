"""What captum, torch-cam and Quantus give when they are asked directly, beside what the adapters give.

A row is one method or metric: `difference` is the largest between the two, as a share of the largest value, and `ratio` the
package's time over ours. The package is called as its documentation does, on the same network and pixels, in one thread.
"""

import warnings
from collections.abc import Callable
from importlib import metadata
from typing import Any

import numpy as np
import torch
from peers import Seat
from timing import arguments, load, race, report
from torch import Tensor, nn
from torch.nn import functional

import xailib as xai
from xailib.attribution.superpixels import superpixels
from xailib.metrics.shown import Shown
from xailib.seeding import generators

Direct = Callable[[Seat], Tensor]
PATCH = {"window": 64.0, "stride": 32.0, "output": "logit"}  # 16 and 8 pixels at a side of 56, 18 and 9 at 64
CAMS = {
    "layer_cam": "LayerCAM",
    "xgradcam": "XGradCAM",
    "score_cam": "ScoreCAM",
    "is_cam": "ISCAM",
}
# Our id -> the network on which the package can be asked, our options, and the package's class.
CAPTUM: dict[str, tuple[str, dict[str, Any], str]] = {
    "input_x_gradient": ("mini_resnet_vanilla", {}, "InputXGradient"),
    "deeplift": ("mini_densenet_vanilla", {}, "DeepLift"),
    "deconvolution": ("mini_densenet_vanilla", {"pooling": "signed_sum"}, "Deconvolution"),
    "lrp": ("mini_alexnet_vanilla", {}, "LRP"),
    "guided_gradcam": ("mini_densenet_vanilla", {"upsampling": "nearest", "pooling": "signed_sum"}, "GuidedGradCam"),
    "occlusion": ("mini_resnet_vanilla", PATCH, "Occlusion"),
    "feature_ablation": ("mini_resnet_vanilla", {"output": "logit", "segments": 30}, "FeatureAblation"),
}
QUANTUS: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "sparseness": ("Sparseness", {}, {}),
    "complexity": ("Complexity", {}, {}),
    "attribution_localisation": ("AttributionLocalisation", {}, {}),
    "roc_auc": ("AUC", {}, {}),
    "top_k_intersection": ("TopKIntersection", {"share": 0.05}, {"k": 205}),
    "faithfulness_correlation": (
        "FaithfulnessCorrelation", {"samples": 20}, {"nr_runs": 20, "subset_size": 205, "perturb_baseline": 0.0}
    ),
    "faithfulness_estimate": ("FaithfulnessEstimate", {"steps": 32}, {"features_in_step": 128, "perturb_baseline": 0.0}),
}  # fmt: skip


def by_captum(name: str, kind: str) -> Direct:
    """captum's algorithm, as its documentation calls it."""
    from captum import attr
    from captum.attr._utils.lrp_rules import EpsilonRule

    def run(seat: Seat) -> Tensor:
        model, pixels, labels, given = seat.whole, seat.pixels.clone().requires_grad_(), seat.labels, {}
        if name == "guided_gradcam":
            return attr.GuidedGradCam(model, model.cam_layer).attribute(pixels, labels).sum(1).detach()
        if name == "lrp":
            for module in model.modules():
                if isinstance(module, nn.Flatten):
                    module.rule = EpsilonRule()
            return attr.LRP(seat.network).attribute(seat.inputs.clone(), labels).sum(1).detach()
        if name in ("occlusion", "feature_ablation"):
            given = {"baselines": model.mean_colour.expand_as(pixels), "perturbations_per_eval": 32}
            size, step = (round(PATCH[key] * seat.side / 224) for key in ("window", "stride"))
            patch = {"sliding_window_shapes": (3, size, size), "strides": (3, step, step)}
            given |= patch if name == "occlusion" else {}
            parts = superpixels(seat.pixels, 30, 30.0, 3.0)
            masks = [{"feature_mask": one[None, None]} if name == "feature_ablation" else {} for one in parts]
            rows = zip(pixels.detach(), labels, given["baselines"], masks, strict=True)
            return torch.cat([
                getattr(attr, kind)(model).attribute(one[None], target=int(label), **{**given, "baselines": hidden[None]}, **mask)
                for one, label, hidden, mask in rows
            ])[:, 0]  # fmt: skip
        return getattr(attr, kind)(model).attribute(pixels, target=labels).sum(1).detach()

    return run


def by_torchcam(kind: str) -> Direct:
    """torch-cam's extractor, a batch a call."""
    from torchcam import methods

    def run(seat: Seat) -> Tensor:
        with getattr(methods, kind)(seat.network, seat.whole.cam_layer) as extractor:
            scores = (seat.network(seat.inputs.clone().requires_grad_()),)
            cells = extractor(seat.labels.tolist(), *(scores if extractor._score_used else ()), normalized=False)[
                0
            ].detach()
        return functional.interpolate(cells[:, None], (seat.side,) * 2, mode="bilinear", align_corners=False)[:, 0]

    return run


def by_quantus(name: str, kind: str, options: dict[str, Any], maps: Tensor) -> Direct:
    """Quantus' metric, an image a call, as it divides by the batch's maximum; on pixels that are shown or not."""
    import quantus

    def run(seat: Seat) -> Tensor:
        found = []
        for i, stream in enumerate(generators(seat.images.pixels, 0, kind)):
            np.random.seed(stream.initial_seed() % 2**32)
            metric = getattr(quantus, kind)(disable_warnings=True, return_aggregate=False, **options)
            asked = name.startswith("faithfulness")
            whole = np.ones((1, 1, seat.side, seat.side))
            scores = metric(
                model=Shown(seat.whole, seat.pixels[i], "probability") if asked else None,
                x_batch=whole if asked else seat.images.pixels[i, None].numpy(), y_batch=seat.images.labels[i, None].numpy(),
                a_batch=maps[i, None, None].numpy().copy(), s_batch=seat.images.masks[i, None, None].numpy(),
                channel_first=True,
            )  # fmt: skip
            nats = np.log(maps[0].numel()) if name == "complexity" else 1  # what ours is divided by
            found.append(float(scores[0]) / nats)
        return torch.tensor(found)

    return run


def row(
    kind: str, name: str, package: str, seat: Seat, ours: Callable[[], Tensor], direct: Direct, chosen: Any
) -> dict[str, Any]:
    """Race one adapter against its package."""
    made, times = race(ours, {package: lambda: direct(seat)}, chosen)
    largest = float(made[package].abs().max())
    return {
        "kind": kind, "name": name, "package": f"{package} {metadata.version(package)}", "model": seat.model.id,
        "images": len(seat.images), "largest": largest,
        "difference": float((made["xailib"] - made[package]).abs().max()) / largest,
        **{key: times[package][key] for key in ("xailib_s", "peer_s", "ratio", "rounds")},
    }  # fmt: skip


def main() -> None:
    chosen = arguments(__doc__, images=4)
    warnings.filterwarnings("ignore")
    rows, seats = [], {}
    for name, (network, options, kind) in [
        *CAPTUM.items(),
        *((one, ("mini_resnet_vanilla", {}, cam)) for one, cam in CAMS.items()),
    ]:
        if network not in seats:
            chosen.model = network
            seats[network] = Seat(*load(chosen))
        seat, package = seats[network], "captum" if name in CAPTUM else "torchcam"
        direct = by_captum(name, kind) if package == "captum" else by_torchcam(kind)

        def explain(name: str = name, seat: Seat = seat, options: dict[str, Any] = options) -> Tensor:
            return xai.attribute(name, seat.model, seat.images, "label", precision="fp32", **options).values

        rows.append(row("method", name, package, seat, explain, direct, chosen))
    seat = seats["mini_resnet_vanilla"]
    maps = xai.attribute("gradient", seat.model, seat.images, "label").values
    for name, (kind, ours, theirs) in QUANTUS.items():

        def score(name: str = name, ours: dict[str, Any] = ours) -> Tensor:
            return torch.tensor(xai.evaluate(name, maps, seat.model, seat.images, **ours)["value"].to_numpy())

        rows.append(row("metric", name, "quantus", seat, score, by_quantus(name, kind, theirs, maps), chosen))
    report("adapters", rows, chosen)


if __name__ == "__main__":
    main()
