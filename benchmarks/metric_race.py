"""Insertion and deletion against torch-cam, on one GradCAM map an image.  python benchmarks/metric_race.py --help"""

import torch
from timing import arguments, load, race, report

import xailib as xai


def main() -> None:
    chosen = arguments(__doc__, images=8, steps=32)
    model, images = load(chosen)
    pixels, labels = images.pixels.to(model.device), images.labels.to(model.device)
    maps = xai.attribute("gradcam", model, images.pixels, images.labels)
    inputs = model.normalise(pixels)

    def ours() -> float:
        options = {"steps": chosen.steps, "substrate": "mean", "ties": "stable"}
        return [
            xai.evaluate(name, maps, model, images, **options)["value"].mean() for name in ("deletion", "insertion")
        ]

    def theirs() -> list[float]:
        """What torch-cam runs once it has a map: ranks, then both curves from one baseline."""
        from torchcam.methods import GradCAM
        from torchcam.metrics import DeletionInsertionMetric

        with GradCAM(model.network, model.cam_layer) as extractor, torch.inference_mode():
            metric = DeletionInsertionMetric(
                extractor, lambda logits: logits.softmax(-1), steps=chosen.steps, batch_size=128
            )
            order = maps.to(inputs.device).flatten(1).argsort(dim=1, descending=True, stable=True)
            full = model.network(inputs).softmax(1).gather(1, labels[:, None]).squeeze(1)
            baseline = torch.zeros_like(inputs)
            fractions, *curves = metric._compute_curves(inputs, baseline, order.argsort(dim=1), labels, full)
            return [torch.trapezoid(curve, fractions, dim=1).mean().item() for curve in curves]

    row = race("deletion + insertion", ours, "torchcam 0.5.0", theirs, chosen.rounds)
    names = ("deletion", "insertion")
    values = {f"{name}_difference": abs(a - b) for name, a, b in zip(names, ours(), theirs(), strict=True)}
    report("metric_race", [{**row, **values, "model": chosen.model, "images": chosen.images}])


if __name__ == "__main__":
    main()
