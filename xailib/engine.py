"""The one place that knows batches, precision, memory and progress.

Methods describe perturbations; the engine runs them through the network in chunks over (image x sample), halves
the chunk when memory runs out, counts passes and times them. Chunk size never changes a result beyond rounding.
"""

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor

from xailib.errors import InputError

if TYPE_CHECKING:
    from xailib.models.model import Model

Output = Literal["logit", "probability"]
# (image indices (b,), sample indices (b,)) -> pixels (b, 3, h, w) in [0, 1]
Perturbed = Callable[[Tensor, Tensor], Tensor]
# (image indices (b,), sample indices (b,), inputs (b, 3, h, w), gradients (b, 3, h, w)) -> None
Accumulate = Callable[[Tensor, Tensor, Tensor, Tensor], None]


@dataclass
class Cost:
    """What the network's own passes cost: images through it, and seconds inside it."""

    forward: int = 0
    backward: int = 0
    seconds: float = 0.0

    def add(self, other: "Cost") -> None:
        """Count what `other` cost too."""
        self.forward += other.forward
        self.backward += other.backward
        self.seconds += other.seconds


@dataclass(frozen=True)
class Settings:
    """How passes are run; never part of a result's meaning."""

    batch_size: int = 128
    precision: Literal["fp32", "bf16"] = "fp32"
    progress: bool = False
    cost: Cost = field(default_factory=Cost)


_settings: ContextVar[Settings] = ContextVar("xailib_engine_settings", default=Settings())  # noqa: B039  (frozen; only its cost counts on)


@contextlib.contextmanager
def using(**changes: Any) -> Iterator[Settings]:
    """Run the block with other settings, and a fresh `cost` that the block can read afterwards.

    What a block inside this one costs counts here too, so `with engine.using() as run: attribute(...)` measures it.
    """
    outer = _settings.get()
    settings = replace(outer, **{"cost": Cost(), **{k: v for k, v in changes.items() if v is not None}})
    if settings.batch_size < 1:
        raise InputError(f"batch_size: {settings.batch_size} is not a positive number of images")
    if settings.precision not in ("fp32", "bf16"):
        raise InputError(f"precision: '{settings.precision}' is not known; use 'fp32' or 'bf16'")
    token = _settings.set(settings)
    try:
        yield settings
    finally:
        _settings.reset(token)
        outer.cost.add(settings.cost)


def chunked(total: int, work: Callable[[slice], Any], *, weight: int = 1, description: str = "") -> list[Any]:
    """Call `work(slice)` over `range(total)` in chunks and return the results in order.

    `weight` is how many network inputs one item stands for. When the device runs out of memory the chunk is halved
    and tried again, so `work` must not change anything before it returns.
    """
    from tqdm.auto import tqdm

    settings = _settings.get()
    size = max(1, settings.batch_size // weight)
    results, start = [], 0
    with tqdm(total=total, desc=description, disable=not settings.progress, mininterval=1, file=sys.stderr) as bar:
        while start < total:
            part = slice(start, min(start + size, total))
            try:
                results.append(work(part))
            except torch.OutOfMemoryError:
                if size == 1:
                    raise
                size = max(1, size // 2)
                torch.cuda.empty_cache()
                continue
            bar.update(part.stop - start)
            start = part.stop
    return results


def target_output(
    model: "Model", inputs: Tensor, targets: Tensor, output: Output = "probability", *, check: bool = True
) -> Tensor:
    """One differentiable pass: the target's logit or softmax probability `(b,)` for inputs `(b, 3, h, w)`.

    Raises `InputError` naming the model when it answers NaN or infinity. The check waits for the device; a loop over
    many steps may leave it out (`check=False`) after the first.
    """
    logits = _logits(model, inputs, check)
    if output == "probability":
        logits = logits.softmax(dim=1)
    return logits.gather(1, targets[:, None]).squeeze(1)


def backward(outputs: Tensor, inputs: Tensor | list[Tensor]) -> tuple[Tensor, ...]:
    """Gradients of the summed `outputs` `(b,)` with respect to `inputs`, counted and timed as a network pass."""
    cost, began = _settings.get().cost, time.perf_counter()
    gradients = torch.autograd.grad(outputs.sum(), inputs)
    cost.backward += len(outputs)
    cost.seconds += time.perf_counter() - began
    return gradients


def logits(model: "Model", pixels: Tensor) -> Tensor:
    """Logits `(n, classes)`, float32 on the CPU, for pixels `(n, 3, h, w)`."""

    @torch.inference_mode()
    def work(part: slice) -> Tensor:
        return _logits(model, pixels[part].to(model.device)).cpu()

    return torch.cat(chunked(len(pixels), work, description=f"{model.id} forward"))


def scores(
    model: "Model", targets: Tensor, samples: int, perturbed: Perturbed, output: Output = "probability", description: str = ""
) -> Tensor:
    """The target's output `(n, samples)` for every perturbed copy of every image.

    `perturbed(images, samples)` gets two index tensors `(b,)` on the model's device and returns pixels `(b, 3, h, w)`.
    """
    targets = targets.to(model.device)

    @torch.inference_mode()
    def work(part: slice) -> Tensor:
        images, sample = _indices(part, samples, model.device)
        return target_output(model, perturbed(images, sample), targets[images], output)

    return torch.cat(chunked(len(targets) * samples, work, description=description)).view(len(targets), samples)


def gradients(
    model: "Model",
    targets: Tensor,
    samples: int,
    perturbed: Perturbed,
    accumulate: Accumulate,
    output: Output = "logit",
    description: str = "",
) -> None:
    """Hand the gradient of the target's output at every perturbed copy of every image to `accumulate`."""
    targets = targets.to(model.device)

    def work(part: slice) -> None:
        images, sample = _indices(part, samples, model.device)
        with torch.enable_grad():
            inputs = perturbed(images, sample).detach().requires_grad_()
            (gradient,) = backward(target_output(model, inputs, targets[images], output), inputs)
        accumulate(images, sample, inputs.detach(), gradient.float())

    chunked(len(targets) * samples, work, description=description)


def _indices(part: slice, samples: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Image and sample indices of a chunk of the image-major grid."""
    flat = torch.arange(part.start, part.stop, device=device)
    return flat // samples, flat % samples


def _logits(model: "Model", inputs: Tensor, check: bool = True) -> Tensor:
    """One counted pass in the set precision; float32 logits."""
    settings, began = _settings.get(), time.perf_counter()
    inputs = inputs.contiguous(memory_format=torch.channels_last)
    with torch.autocast(inputs.device.type, torch.bfloat16, enabled=settings.precision == "bf16"):
        result = model(inputs).float()
    settings.cost.forward += len(inputs)
    settings.cost.seconds += time.perf_counter() - began
    if check and not torch.isfinite(result.detach()).all():
        raise InputError(f"model '{model.id}' answered NaN or infinity; check its weights and its normalisation")
    return result
