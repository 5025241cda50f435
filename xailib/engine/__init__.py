"""The one place that knows batches, precision, memory and progress.

Methods describe perturbations; the engine runs them through the network in chunks over (image x sample), halves
the chunk when memory runs out, counts passes and times them. Chunk size never changes a result beyond rounding.
Nothing here waits for the device inside a loop: what must be looked at is looked at when the loop is over.
"""

import contextlib
import functools
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor

from xailib.engine.cost import Cost as Cost
from xailib.engine.fixed_shape import Function, compiled, replayed
from xailib.engine.passes import (
    Output,
    answer,
    check_finite,
    finite_checks_deferred,
    network,
    precision_on,
    raise_deferred,
    sent,
)
from xailib.engine.passes import probabilities as probabilities
from xailib.engine.settings import Settings as Settings
from xailib.engine.settings import current
from xailib.engine.settings import using as using
from xailib.errors import InputError

if TYPE_CHECKING:
    from xailib.models.model import Model

# (image indices (b,), sample indices (b,)) -> pixels (b, 3, h, w) in [0, 1]
Perturbed = Callable[[Tensor, Tensor], Tensor]
# (rows: the chunk's first to last image, image indices (b,), sample indices (b,), gradients (b, 3, h, w))
Accumulate = Callable[[slice, Tensor, Tensor, Tensor], None]


def chunked(total: int, work: Callable[[slice], Any], *, weight: int = 1, description: str = "") -> list[Any]:
    """Call `work(slice)` over `range(total)` in chunks and return the results in order.

    `weight` is how many network inputs one item stands for. When the device runs out of memory the chunk is halved
    and tried again, so `work` must not change anything before it returns; the smaller chunk serves the rest of the
    run. A model that answers NaN or infinity is an `InputError` naming it, after the first chunk or at the end.
    """
    settings = current()
    key = (description, weight, settings.batch_size, settings.precision)
    size = settings.fitting.get(key, max(1, settings.batch_size // weight))
    results: list[Any] = []
    start = 0
    with (
        _progress(total, description) if settings.progress else contextlib.nullcontext() as bar,
        finite_checks_deferred(),
    ):
        while start < total:
            part = slice(start, min(start + size, total))
            if not _fits(work, part, results):
                if part.stop - start == 1:
                    raise InputError(
                        f"{description or 'a pass'}: one item at a time is too much for the device's memory"
                    )
                size = settings.fitting[key] = (part.stop - start) // 2
                torch.cuda.empty_cache()
                continue
            if start == 0:
                raise_deferred()  # hours of passes are not to be lost for a model that never answers
            if bar is not None:
                bar.update(part.stop - start)
            start = part.stop
        raise_deferred()
    return results


def _progress(total: int, description: str) -> Any:
    """A bar for a person who waits."""
    from tqdm.auto import tqdm

    return tqdm(total=total, desc=description, mininterval=1, file=sys.stderr)


def _fits(work: Callable[[slice], Any], part: slice, results: list[Any]) -> bool:
    """Append `work(part)` to `results`; False when memory runs out.

    Returning ends the error's traceback, whose frames would hold on to the memory that the next try needs.
    """
    try:
        results.append(work(part))
    except torch.OutOfMemoryError:
        return False
    return True


def target_output(model: "Model", inputs: Tensor, targets: Tensor, output: Output = "probability") -> Tensor:
    """One differentiable pass: the target's logit or softmax probability `(b,)` for inputs `(b, 3, h, w)`.

    Raises `InputError` naming the model when it answers NaN or infinity: at once, or where `chunked` says.
    """
    return _pass(model, functools.partial(answer, model, output, _precision(model)), inputs, targets)


def all_logits(model: "Model", inputs: Tensor) -> Tensor:
    """One differentiable pass: logits `(b, classes)` for inputs `(b, 3, h, w)`; raises as `target_output` does."""
    precision = _precision(model)

    def forward(inputs: Tensor) -> tuple[Tensor, Tensor]:
        result = network(model, inputs, precision)
        return result, ~torch.isfinite(result.detach()).all()

    return _pass(model, forward, inputs)


def backward(outputs: Tensor, inputs: Tensor | list[Tensor]) -> tuple[Tensor, ...]:
    """Gradients of the summed `outputs` `(b,)` with respect to `inputs`, counted and timed as a network pass."""
    settings = current()
    with settings.cost.timed(outputs.device):
        gradients = torch.autograd.grad(outputs.sum(), inputs)
    settings.cost.count(backward=len(outputs), bf16=precision_on(outputs.device, settings.precision) == "bf16")
    return gradients


def gradient_of(model: "Model", output: Output = "logit") -> Callable[[Tensor, Tensor], Tensor]:
    """Return a function (inputs `(b, 3, h, w)`, targets `(b,)`) -> gradients `(b, 3, h, w)` for a loop of many steps.

    The same as `target_output` and `backward`, and faster by the setting `compile` when shapes stay.
    """
    settings, precision, forward = current(), _precision(model), _answering(model, output)

    def slope(inputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        with torch.enable_grad():
            inputs = inputs.detach().requires_grad_()
            outputs, bad = forward(inputs, targets)
            (gradient,) = torch.autograd.grad(outputs.sum(), inputs)
        return gradient, bad

    run = replayed(slope, settings.compile, model.device)

    def step(inputs: Tensor, targets: Tensor) -> Tensor:
        gradient = _pass(model, run, inputs, targets)
        settings.cost.count(backward=len(inputs), bf16=precision == "bf16")
        return gradient

    return step


def logits(model: "Model", pixels: Tensor) -> Tensor:
    """Logits `(n, classes)`, float32 on the CPU, for pixels `(n, 3, h, w)`."""

    @torch.inference_mode()
    def work(part: slice) -> Tensor:
        return all_logits(model, sent(pixels[part], model.device))

    return torch.cat(chunked(len(pixels), work, description=f"{model.id} forward")).cpu()


def scores(
    model: "Model",
    targets: Tensor,
    samples: int,
    perturbed: Perturbed,
    output: Output = "probability",
    description: str = "",
) -> Tensor:
    """The target's output `(n, samples)` for every perturbed copy of every image.

    `perturbed(images, samples)` gets two index tensors `(b,)` on the model's device and returns pixels `(b, 3, h, w)`.
    """
    targets = targets.to(model.device)
    forward = _answering(model, output, passes=len(targets) * samples)
    forward = replayed(forward, current().compile, model.device)

    @torch.inference_mode()
    def work(part: slice) -> Tensor:
        images, sample = _indices(part, samples, model.device)
        return _pass(model, forward, perturbed(images, sample), targets[images])

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
        rows = slice(part.start // samples, (part.stop - 1) // samples + 1)
        accumulate(rows, images, sample, gradient.float())

    chunked(len(targets) * samples, work, description=description)


def _indices(part: slice, samples: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Image and sample indices of a chunk of the image-major grid."""
    flat = torch.arange(part.start, part.stop, device=device)
    return flat // samples, flat % samples


def _answering(model: "Model", output: Output, passes: int | None = None) -> Function:
    """`answer` of a model for a loop of passes, compiled where the settings say so."""
    precision = _precision(model)
    return compiled(model, lambda model: functools.partial(answer, model, output, precision), current().compile, passes)


def _pass(model: "Model", function: Function, *inputs: Tensor) -> Tensor:
    """Return the first result of `function(*inputs)`, a counted and timed pass; the second says whether it is not finite."""
    settings = current()
    with settings.cost.timed(model.device):
        result, bad = function(*inputs)
    settings.cost.count(forward=len(inputs[0]), bf16=_precision(model) == "bf16")
    check_finite(model, bad)
    return result


def _precision(model: "Model") -> Literal["fp32", "bf16"]:
    """What the setting `precision` means on the model's device."""
    return precision_on(model.device, current().precision)
