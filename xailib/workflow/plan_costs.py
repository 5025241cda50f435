"""What a plan multiplies: passes of a method, metric or `predict` slice, and what a pass of a network costs.

Passes are counted by running on a network of a few numbers. They grow with the images as `fixed + images x each`, and
seldom depend on anything else. So two runs on small images, at a study's own options, say what thousands will need; a third,
on larger ones, tells what depends on the images' size (squares of a fixed side), which is counted at the study's own.
Costs are timed on networks of random weights, whose values change no time.
"""

import contextlib
import fnmatch
import functools
import time
import warnings
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from xailib import engine, registry
from xailib.images import ImageBatch
from xailib.models import build_network, from_record
from xailib.models.folding import folded
from xailib.models.model import Model

KINDS = ("forward", "forward_bf16", "both", "both_bf16")  # of passes: forward alone, or back too; in fp32, or in bf16
SIDE = 8  # enough for a grid of 7 cells and a curve of 28 steps
CPU_BATCH = 2  # images a timed pass: a CPU's rate hardly depends on it


def made(**images: int) -> pd.Series:
    """Return passes: images through the network by kind, none of the kinds that are not named."""
    return pd.Series(images, index=KINDS, dtype=float).fillna(0)


def method_passes(
    function: str, options: dict[str, Any], images: int, precision: str = "fp32", side: int = SIDE
) -> pd.Series:
    """Passes of a registered method with these options on so many images of this side."""
    from xailib.attribution import attribute

    return counted(
        lambda model, some: attribute(function, model, some.pixels, some.labels, **options), images, precision, side
    )


def metric_passes(
    function: str, options: dict[str, Any], images: int, precision: str = "fp32", side: int = SIDE
) -> pd.Series:
    """Passes of a registered metric with these options on the maps of so many images of this side."""
    from xailib.metrics import evaluate

    return counted(lambda model, some: evaluate(function, _maps(some), model, some, **options), images, precision, side)


def indomain_passes(
    method: tuple[str, dict[str, Any]],
    metric: tuple[str, dict[str, Any]],
    images: int,
    precision: str,
    side: int = SIDE,
) -> pd.Series:
    """Passes of a metric that is scored on a fine-tuned copy, whose maps it may be that are scored."""
    own = metric_passes(*metric, images, precision, side)
    explained = registry.metric.get(metric[0]).function.explained  # type: ignore[attr-defined]
    return own + method_passes(*method, images, precision, side) if explained else own


def scores_nothing(function: str, options: dict[str, Any]) -> bool:
    """Whether a registered metric gives no score to an image without boxes and masks."""
    from xailib.metrics import evaluate

    some = _images(2)
    bare = ImageBatch(some.pixels, some.labels, ids=some.ids)
    return bool(evaluate(function, _maps(some), _model(), bare, **options)["value"].isna().all())


def predict_passes(values: dict[str, Any], images: int, sample: int, shifts: int) -> dict[str, pd.Series]:
    """Passes of one `predict` slice of a study: `accuracy`, `shifts` and `attack`.

    Args:
        values: the study's.
        images, sample: how many may get maps, 0 where these are among the others; and how many accuracy is measured on.
        shifts: how many there are; a shift that has fewer images than `sample` needs less.
    """
    from xailib.metrics.accuracy import accuracy_table
    from xailib.training.adversary import l2_pgd

    def accuracy(model: Model, some: ImageBatch) -> None:
        accuracy_table(model, {"clean": some})

    def attack(model: Model, some: ImageBatch) -> None:
        how = {"epsilon": values["attack_epsilon"], "steps": values["attack_steps"]}
        accuracy_table(model, {"l2_pgd": some.with_pixels(l2_pgd(model, some.pixels, some.labels, **how))})

    return {
        "accuracy": counted(accuracy, images + 2 * sample, values["precision"]),
        "shifts": counted(accuracy, shifts * sample, values["precision"]),
        "attack": counted(attack, min(values["attack_images"], sample), values["precision"]),
    }


def shift_count(values: dict[str, Any], function: str) -> int:
    """How many shifts a study names; of those whose folders are not there yet, each counts as it is written.

    Raises:
        InputError: a shift that the data set does not have.
    """
    from xailib.datasets.corruptions import list_five
    from xailib.datasets.shifts import choose_shifts

    roots = values.get("shift_roots") or {}
    here = {name: root for name, root in roots.items() if root is None or Path(root).exists()}
    absent = []
    for name in roots.keys() - here:
        parts = registry.dataset.get(name).facts.get("parts")
        absent += [f"{name}/{part}" for part in list_five()] if parts else [name]
    wanted, found = values["shifts"], set()
    for word in [wanted] if isinstance(wanted, str) else wanted:
        later = {name for name in absent if word == "all" or fnmatch.fnmatchcase(name, word)}
        found |= later
        if not later or word == "all":
            found |= set(choose_shifts(word, function, here))
    return len(found)


def counted(run: Callable[[Model, ImageBatch], Any], images: int, precision: str, side: int = SIDE) -> pd.Series:
    """Count the passes of `run(model, images)` for one and for two images, and go on from there on a straight line.

    The images are small, or of the side that is given where the passes depend on it.
    """
    if not images:
        return made()

    @functools.cache
    def line(count: int, side: int) -> pd.Series:
        with engine.using(precision=precision, batch_size=1024, compile="none") as settings, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what maps of a network of a few numbers look like is no news
            run(_model(side), _images(count, side))
        cost = settings.cost
        both, both_bf16 = cost.backward - cost.backward_bf16, cost.backward_bf16
        forward, forward_bf16 = cost.forward - cost.forward_bf16, cost.forward_bf16
        return made(forward=forward - both, forward_bf16=forward_bf16 - both_bf16, both=both, both_bf16=both_bf16)

    with contextlib.suppress(Exception):  # of one's own that does not work on so small images
        side = SIDE if line(1, SIDE).equals(line(1, 2 * SIDE)) else side
    one = line(1, side)
    return one + (line(2, side) - one) * (images - 1)


def _model(side: int = SIDE) -> Model:
    """A network that every registered method can explain."""
    network = nn.Sequential(
        nn.Conv2d(3, 2, 3, stride=2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2, 2)
    )
    return Model(
        network, id="counter", architecture="counter", training_algorithm="vanilla", input_size=side,
        class_names=["a", "b"], cam_layer="1", offers=("cam_layer", "gap_linear_head"),
    )  # fmt: skip


def _images(count: int, side: int = SIDE) -> ImageBatch:
    """Images of the same smooth spots at any side, so that they have about as many superpixels."""
    pixels = torch.rand(count, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    pixels = nn.functional.interpolate(pixels, (side, side), mode="bilinear")
    box = torch.tensor([[2.0, 2.0, 6.0, 6.0]])
    masks = torch.zeros(count, side, side, dtype=torch.bool)
    masks[:, 2:6, 2:6] = True
    return ImageBatch(
        pixels, torch.zeros(count, dtype=torch.long), [box] * count, masks, [str(i) for i in range(count)]
    )


def _maps(images: ImageBatch) -> Tensor:
    """Maps of which no two pixels are equal."""
    grey = images.pixels.mean(1)
    return grey + torch.arange(grey[0].numel()).view_as(grey[0])


def cost(passes: pd.Series, pace: pd.DataFrame, held: int = 0) -> dict[str, float]:
    """Return what passes cost on a network of this pace, where so many bytes are held beside them.

    `forward` and `backward` are images through the network, each way; `gigabytes` the peak of weights, images and passes;
    `pflop_fp32` and `pflop_bf16` 10^15 additions and multiplications of the passes; `hours` their time.
    """
    timed = passes[pace.index]
    pflop, low = timed * pace["flop"] / 1e15, pace.index.str.endswith("bf16")
    return {
        "forward": round(passes.sum()),
        "backward": round(passes["both"] + passes["both_bf16"]),
        "hours": (timed * pace["seconds"]).sum() / 3600,
        "gigabytes": (pace["bytes"].where(timed > 0, 0).max() + held) / 1e9,
        "pflop_fp32": pflop[~low].sum(),
        "pflop_bf16": pflop[low].sum(),
    }


def pace(
    record: dict[str, Any], device: torch.device, values: dict[str, Any], kinds: list[str], rounds: int
) -> pd.DataFrame:
    """Time a network that a model's record names.

    Args:
        record: the model's parameter file.
        device: where it runs.
        values: the study's; `batch_size` and `compile` are looked at.
        kinds: which kinds of pass.
        rounds: timed passes a kind; the median counts.

    Returns:
        a row for each kind: `seconds` and `flop` an image, and peak `bytes` at the study's batch size, which hold weights,
        inputs and what a pass keeps, not the images that wait, nor a method's own tables. `attrs` has `parameters`.
    """
    model = from_record(build_network(record), record, str(device))
    batch = values["batch_size"] if device.type == "cuda" else min(CPU_BATCH, values["batch_size"])
    rows = {}
    for kind in kinds:
        size, flop = computed(model, kind, values["batch_size"])
        with engine.using(batch_size=batch, precision=_precision(kind), compile=values["compile"]):
            if device.type == "cuda":
                torch.cuda.reset_peak_memory_stats(device)
            seconds = _seconds(model, kind, batch, rounds)
            if device.type == "cuda":
                size = torch.cuda.max_memory_allocated(device)
        rows[kind] = {"seconds": seconds, "bytes": size, "flop": flop}
    found = pd.DataFrame.from_dict(rows, orient="index", columns=["seconds", "bytes", "flop"])
    found.attrs["parameters"] = sum(weights.numel() for weights in model.parameters())
    return found


def _precision(kind: str) -> str:
    return "bf16" if kind.endswith("_bf16") else "fp32"


def _seconds(model: Model, kind: str, batch: int, rounds: int) -> float:
    """Median seconds an image, after passes that warm up (and, with `compile`, prepare) the network."""
    pixels = torch.rand(batch, 3, model.input_size, model.input_size, device=model.device)
    labels = torch.zeros(batch, dtype=torch.long, device=model.device)
    gpu, model = model.device.type == "cuda", folded(model, pixels)
    taken = []
    for _ in range((3 if gpu else 1) + rounds):
        began = time.perf_counter()
        if kind.startswith("forward"):
            engine.scores(model, labels, 1, lambda images, _: pixels[images])
        else:
            engine.gradients(model, labels, 1, lambda images, _: pixels[images], lambda *_: None)
        if gpu:
            torch.cuda.synchronize(model.device)
        taken.append((time.perf_counter() - began) / batch)
    kept = sorted(taken[-rounds:])
    return kept[len(kept) // 2]


def computed(model: Model, kind: str, batch: int) -> tuple[int, float]:
    """Peak bytes of one pass at a batch size, and its FLOP an image, worked out on tensors that have shapes, no memory."""
    from torch._subclasses.fake_tensor import FakeTensorMode
    from torch.utils.flop_counter import FlopCounterMode

    weights = sum(tensor.nbytes for tensor in [*model.parameters(), *model.buffers()])
    counter, living, where = FlopCounterMode(display=False), _Living(), model.device
    with FakeTensorMode(allow_non_fake_inputs=True), counter, living:
        inputs = torch.empty(batch, 3, model.input_size, model.input_size, device=where)
        with torch.autocast(where.type, torch.bfloat16, enabled=_precision(kind) == "bf16", cache_enabled=False):
            if kind.startswith("forward"):
                with torch.no_grad():
                    model(inputs)
            else:
                inputs.requires_grad_()
                model(inputs).sum().backward()
    return weights + living.peak, counter.get_total_flops() / batch


class _Living(TorchDispatchMode):
    """Peak bytes of the tensors that are made within the block and live at one time."""

    def __init__(self) -> None:
        super().__init__()
        self.peak = 0
        self.storages: weakref.WeakValueDictionary[int, torch.UntypedStorage] = weakref.WeakValueDictionary()

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = function(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, Tensor):
                storage = tensor.untyped_storage()
                self.storages[id(storage)] = storage
        self.peak = max(self.peak, sum(storage.nbytes() for storage in self.storages.values()))
        return result
