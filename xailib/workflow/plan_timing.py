"""What one network costs on the machine at hand: seconds an image and gigabytes a batch, by kind of pass.

Weights are random: their values change neither.
"""

import time
import weakref
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from xailib import engine
from xailib.models import build_network, from_record
from xailib.models.folding import folded
from xailib.models.model import Model
from xailib.workflow.plan_passes import Passes

CPU_BATCH = 2  # images a timed pass: a CPU's rate hardly depends on it
KINDS = tuple(field.name for field in fields(Passes))


@dataclass(frozen=True)
class Pace:
    """Seconds an image, peak bytes at the study's batch size and FLOP an image, by kind of pass (fields of `Passes`).

    The bytes hold weights, inputs and what a pass keeps; not the images that wait, nor a method's own tables.
    """

    seconds: dict[str, float]
    bytes: dict[str, int]
    flop: dict[str, float]
    parameters: int

    def of(self, passes: Passes) -> float:
        """Seconds of so many passes."""
        return sum(getattr(passes, kind) * seconds for kind, seconds in self.seconds.items())

    def pflop(self, passes: Passes) -> tuple[float, float]:
        """10^15 additions and multiplications of so many passes, in fp32 and in bf16."""
        spent = {kind: getattr(passes, kind) * flop / 1e15 for kind, flop in self.flop.items()}
        low = sum(value for kind, value in spent.items() if _precision(kind) == "bf16")
        return sum(spent.values()) - low, low

    def peak(self, passes: Passes) -> int:
        """Peak bytes of so many passes, of those kinds that occur."""
        return max((size for kind, size in self.bytes.items() if getattr(passes, kind)), default=0)


def pace(record: dict[str, Any], device: torch.device, values: dict[str, Any], kinds: set[str], rounds: int) -> Pace:
    """Time a network that a model's record names.

    Args:
        record: the model's parameter file.
        device: where it runs.
        values: the study's; `batch_size` and `compile` are looked at.
        kinds: which kinds of pass.
        rounds: timed passes a kind; the median counts.
    """
    model = from_record(build_network(record), record, str(device))
    batch = values["batch_size"] if device.type == "cuda" else min(CPU_BATCH, values["batch_size"])
    seconds, sizes, flop = {}, {}, {}
    for kind in sorted(kinds):
        sizes[kind], flop[kind] = computed(model, kind, values["batch_size"])
        with engine.using(batch_size=batch, precision=_precision(kind), compile=values["compile"]):
            if device.type == "cuda":
                torch.cuda.reset_peak_memory_stats(device)
            seconds[kind] = _seconds(model, kind, batch, rounds)
            if device.type == "cuda":
                sizes[kind] = torch.cuda.max_memory_allocated(device)
    return Pace(seconds, sizes, flop, sum(weights.numel() for weights in model.parameters()))


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
        _run(model, kind, pixels, labels)
        if gpu:
            torch.cuda.synchronize(model.device)
        taken.append((time.perf_counter() - began) / batch)
    kept = sorted(taken[-rounds:])
    return kept[len(kept) // 2]


def _run(model: Model, kind: str, pixels: Tensor, labels: Tensor) -> None:
    """One pass of a whole batch, the way the methods make it."""
    if kind.startswith("forward"):
        engine.scores(model, labels, 1, lambda images, _: pixels[images])
    else:
        engine.gradients(model, labels, 1, lambda images, _: pixels[images], lambda *_: None)


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
    """Bytes of the tensors that are made within the block and live at one time."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = 0
        self.known: set[int] = set()

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = function(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, tuple | list) else [result]:
            if isinstance(tensor, Tensor):
                self._meet(tensor.untyped_storage())
        return result

    def _meet(self, storage: torch.UntypedStorage) -> None:
        name, size = id(storage), storage.nbytes()
        if name in self.known:
            return
        self.known.add(name)
        self.now += size
        self.peak = max(self.peak, self.now)
        weakref.finalize(storage, self._leave, name, size)

    def _leave(self, name: int, size: int) -> None:
        self.known.discard(name)
        self.now -= size
