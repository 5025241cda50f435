"""One pass through a network, and what must hold around it: precision, finite answers, copies that nobody waits for."""

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor

from xailib.errors import InputError

if TYPE_CHECKING:
    from xailib.models.model import Model

Output = Literal["logit", "probability"]
Precision = Literal["fp32", "bf16"]

# Model id -> whether it has answered NaN or infinity, on the device; None outside `doubts_kept`.
_doubts: ContextVar[dict[str, Tensor] | None] = ContextVar("xailib_doubts", default=None)


def network(model: "Model", inputs: Tensor, precision: Precision) -> Tensor:
    """Logits `(b, classes)`, float32, of one pass in the given precision."""
    inputs = inputs.contiguous(memory_format=torch.channels_last)
    with torch.autocast(inputs.device.type, torch.bfloat16, enabled=precision == "bf16", cache_enabled=False):
        return model(inputs).float()


def answer(
    model: "Model", output: Output, precision: Precision, inputs: Tensor, targets: Tensor
) -> tuple[Tensor, Tensor]:
    """The target's logit or probability `(b,)`, and whether any logit is NaN or infinite, bool `()`."""
    logits = network(model, inputs, precision)
    bad = ~torch.isfinite(logits.detach()).all()
    if output == "probability":
        logits = logits.softmax(dim=1)
    return logits.gather(1, targets[:, None]).squeeze(1), bad


@contextlib.contextmanager
def doubts_kept() -> Iterator[None]:
    """Within the block `doubt` only notes; `settle` looks. To look means to wait for the device."""
    token = _doubts.set({})
    try:
        yield
    finally:
        _doubts.reset(token)


def doubt(model: "Model", bad: Tensor) -> None:
    """Note whether a model answered NaN or infinity, or refuse it at once outside `doubts_kept`."""
    noted = _doubts.get()
    if noted is None:
        _refuse(model.id, bad)
    else:
        noted[model.id] = noted[model.id] | bad if model.id in noted else bad


def settle() -> None:
    """Refuse, as an `InputError` naming it, a model that has answered NaN or infinity since `doubts_kept`."""
    for id, bad in (_doubts.get() or {}).items():
        _refuse(id, bad)


def _refuse(id: str, bad: Tensor) -> None:
    if bad:
        raise InputError(f"model '{id}' answered NaN or infinity; check its weights and its normalisation")


@contextlib.contextmanager
def without_tf32() -> Iterator[None]:
    """Let a GPU's float32 be float32: PyTorch runs convolutions with 10 bits of mantissa otherwise."""
    if not torch.cuda.is_available():
        yield
        return
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    if hasattr(cudnn, "conv"):
        switches, key, exact = [matmul, cudnn.conv, cudnn.rnn], "fp32_precision", "ieee"
    else:  # torch 2.8
        switches, key, exact = [matmul, cudnn], "allow_tf32", False
    before = [getattr(switch, key) for switch in switches]
    try:
        for switch in switches:
            setattr(switch, key, exact)
        yield
    finally:
        for switch, value in zip(switches, before, strict=True):
            setattr(switch, key, value)


def sent(tensor: Tensor, device: torch.device) -> Tensor:
    """Return `tensor` on `device`; a copy from host to GPU goes through pinned memory while the program runs on."""
    if device.type != "cuda" or tensor.device.type != "cpu":
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)
