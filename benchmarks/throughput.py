"""Each method's speed against the network's bare passes, on ResNet-50 at 224 px.  python benchmarks/throughput.py --help

`share` is the time that the same passes take bare, over the time that the method takes: what is lost to 1 goes into masks,
blurs, superpixels and sums. `images_s` is images a second at the paper's counts; where the run makes fewer passes, as on a
CPU, it is carried on from them. Random weights: their values change no time. Seconds are of the processor on one CPU thread, and
`peak_gb` is then the whole process's so far. On a GPU: --device cuda --images 16 --batch 256 --full 1
"""

import argparse
import statistics
from collections.abc import Callable

import torch
from timing import arguments, make, report, seconds
from torch import Tensor

import xailib as xai
from xailib import engine
from xailib.images import ImageBatch
from xailib.models.model import Model
from xailib.params import setting
from xailib.results import provenance
from xailib.workflow.plan_costs import method_passes, metric_passes

METHODS = [
    "gradient", "integrated_gradients", "shap", "cam", "gradcam", "extremal_perturbation", "meaningful_perturbation", "rise",
    "lime",
]  # fmt: skip
METRICS = ["deletion", "insertion"]
# What a CPU is given instead of the paper's counts.
FEW = {
    "integrated_gradients": {"steps": 6}, "shap": {"samples": 6}, "extremal_perturbation": {"steps": 3},
    "meaningful_perturbation": {"steps": 6}, "rise": {"masks": 16}, "lime": {"samples": 16}, "deletion": {"steps": 6},
    "insertion": {"steps": 6},
}  # fmt: skip


def main() -> None:
    chosen = arguments(__doc__, model="resnet50_vanilla", images=1, batch=4, full=0)
    model = make(chosen.model, chosen.device)
    precision = "bf16" if model.device.type == "cuda" else "fp32"
    images = photographs(chosen.images, model.input_size)
    few = "all the paper's" if chosen.full else "fewer than the paper's"
    print(f"{model.id}, {provenance.device(model.device)}, {precision}, batch {chosen.batch}, {few} passes")
    with engine.using(batch_size=chosen.batch, precision=precision):
        bare = {kind: bare_seconds(model, kind, chosen) for kind in kinds(precision)}
        print("bare passes, images a second:", *(f"{kind} {1 / value:.3g}" for kind, value in bare.items()), sep="  ")
        work = [("methods", name) for name in METHODS] + [("metrics", name) for name in METRICS]
        rows = [measure(kind, name, model, images, bare, precision, chosen) for kind, name in work]
    report("throughput", rows, chosen)


def photographs(count: int, side: int) -> ImageBatch:
    """Smooth noise, so that SLIC finds superpixels."""
    coarse = torch.rand(count, 3, 9, 9, generator=torch.Generator().manual_seed(0))
    pixels = torch.nn.functional.interpolate(coarse, (side, side), mode="bicubic").clamp(0, 1)
    masks = torch.ones(count, side, side, dtype=torch.bool)
    box = torch.tensor([[0.0, 0.0, side / 2, side / 2]])
    return ImageBatch(pixels, torch.arange(count), [box] * count, masks, [str(i) for i in range(count)])


def kinds(precision: str) -> list[str]:
    """Kinds of pass, as `plan_costs.KINDS` names them."""
    return ["forward", "both", *(["forward_bf16", "both_bf16"] if precision == "bf16" else [])]


def bare_seconds(model: Model, kind: str, chosen: argparse.Namespace) -> float:
    """Seconds an image of the network alone: no engine, no masks."""
    pixels = torch.rand(chosen.batch, 3, model.input_size, model.input_size, device=model.device)
    pixels = pixels.contiguous(memory_format=torch.channels_last)
    low = kind.endswith("_bf16")

    def run() -> Tensor:
        with torch.autocast(model.device.type, torch.bfloat16, enabled=low):
            if kind.startswith("forward"):
                with torch.inference_mode():
                    return model(pixels)
            inputs = pixels.detach().requires_grad_()
            return torch.autograd.grad(model(inputs).float().sum(), inputs)[0]

    with engine.using(precision="bf16" if low else "fp32"):
        run()
        taken = statistics.median(seconds(run, chosen.device, chosen.threads) for _ in range(chosen.rounds))
        return taken / chosen.batch


def measure(
    kind: str,
    name: str,
    model: Model,
    images: ImageBatch,
    bare: dict[str, float],
    precision: str,
    chosen: argparse.Namespace,
) -> dict[str, object]:
    """One row: a method's or metric's time for all images, against the bare time of its passes."""
    function, paper = setting(kind, name, "full")
    given = paper if chosen.full else {**paper, **FEW.get(name, {})}
    count = method_passes if kind == "methods" else metric_passes
    made, wanted = count(function, given, len(images), precision), count(function, paper, len(images), precision)
    maps = images.pixels.mean(1)
    run: Callable[[], object] = (
        (lambda: xai.attribute(function, model, images.pixels, images.labels, **given))
        if kind == "methods"
        else (lambda: xai.evaluate(function, maps, model, images, **given))
    )
    run()
    if model.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(model.device)
    wall = seconds(run, chosen.device, chosen.threads)
    spent, at_scale = (sum(passes[word] * value for word, value in bare.items()) for passes in (made, wanted))
    memory = provenance.peak_memory()
    back = round(made["both"] + made["both_bf16"])
    return {
        "task": name, "forward": round(made.sum()), "back": back, "seconds": wall, "share": spent / wall,
        "images_s": len(images) / (wall * at_scale / spent), "paper_s_an_image": wall * at_scale / spent / len(images),
        "peak_gb": memory.get("gpu", memory["resident"]) / 1024,
    }  # fmt: skip


if __name__ == "__main__":
    main()
