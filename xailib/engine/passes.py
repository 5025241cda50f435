"""One pass through a network, and what must hold around it: precision, finite answers, copies that nobody waits for."""

import contextlib
import functools
import sys
import time
from collections.abc import Iterator
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

import torch
from torch import Tensor

from xailib.errors import InputError

if TYPE_CHECKING:
    from xailib.models.model import Model

Output = Literal["logit", "probability"]
Precision = Literal["auto", "fp32", "bf16"]
PRECISIONS = ("auto", "fp32", "bf16")

# Model id -> whether it has answered NaN or infinity, on the device; None outside `finite_checks_deferred`.
_deferred: ContextVar[dict[str, Tensor] | None] = ContextVar("xailib_deferred_checks", default=None)


def precision_on(device: torch.device, precision: Precision) -> Literal["fp32", "bf16"]:
    """What `precision` means on a device: `auto` is bf16 where it is computed rather than emulated, else fp32.

    `bf16` where it is emulated stays bf16, and its price is said once.
    """
    computed = precision != "fp32" and computes_bf16(device.type)
    if precision == "bf16" and not computed:
        _say_price(device.type)
    return "bf16" if computed or precision == "bf16" else "fp32"


@functools.cache
def computes_bf16(kind: str) -> bool:
    """Whether devices of a kind ("cpu", "cuda") have instructions for bf16; other kinds of device count as having none."""
    if kind == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if kind != "cpu":
        return False
    try:
        flags = set(Path("/proc/cpuinfo").read_text(encoding="utf-8").split())
    except OSError:  # not Linux
        return False
    wide = torch.backends.cpu.get_cpu_capability().startswith("AVX512")  # what torch may use can be less than there is
    return (wide and bool(flags & {"avx512_bf16", "amx_bf16"})) or "bf16" in flags  # "bf16": 64-bit Arm's name


@functools.cache  # once a process
def _say_price(kind: str) -> None:
    """Say on the error stream how much longer a convolution takes in emulated bf16 than in fp32."""
    weight, pixels = torch.ones(64, 64, 3, 3, device=kind), torch.ones(16, 64, 32, 32, device=kind)
    seconds = {}
    for dtype in (torch.float32, torch.bfloat16):
        one, two = pixels.to(dtype), weight.to(dtype)
        torch.conv2d(one, two)
        runs = []
        for _ in range(3):
            began = time.perf_counter()
            torch.conv2d(one, two).sum().item()  # a device is waited for
            runs.append(time.perf_counter() - began)
        seconds[dtype] = min(runs)
    factor = seconds[torch.bfloat16] / seconds[torch.float32]
    sentence = f"this {kind.upper()} emulates bf16: a convolution takes {factor:.1f} times as long as in fp32"
    print(f"precision: {sentence}; precision: auto takes the faster", file=sys.stderr)


def network(model: "Model", inputs: Tensor, precision: Literal["fp32", "bf16"]) -> Tensor:
    """Logits `(b, classes)`, float32, of one pass in the given precision."""
    with torch.autocast(inputs.device.type, torch.bfloat16, enabled=precision == "bf16", cache_enabled=False):
        return model(inputs).float()


def answer(
    model: "Model", output: Output, precision: Literal["fp32", "bf16"], inputs: Tensor, targets: Tensor
) -> tuple[Tensor, Tensor]:
    """The target's logit or probability `(b,)`, and whether any logit is NaN or infinite, bool `()`."""
    logits = network(model, inputs, precision)
    bad = ~torch.isfinite(logits.detach()).all()
    if output == "probability":
        logits = probabilities(logits)
    return logits.gather(1, targets[:, None]).squeeze(1).float(), bad


def probabilities(logits: Tensor) -> Tensor:
    """Softmax of logits `(b, classes)` in float64: in float32 one near 1 has lost the slope `p (1 - p)` of its own logit."""
    exact = torch.float32 if logits.device.type == "mps" else torch.float64  # which Apple's GPUs do not have
    return logits.to(exact).softmax(dim=1)


@contextlib.contextmanager
def finite_checks_deferred() -> Iterator[None]:
    """Within the block `check_finite` only notes; `raise_deferred` looks. To look means to wait for the device."""
    token = _deferred.set({})
    try:
        yield
    finally:
        _deferred.reset(token)


def check_finite(model: "Model", bad: Tensor) -> None:
    """Refuse a model that answered NaN or infinity, or note it within `finite_checks_deferred`."""
    noted = _deferred.get()
    if noted is None:
        _refuse(model.id, bad)
    else:
        noted[model.id] = noted[model.id] | bad if model.id in noted else bad


def raise_deferred() -> None:
    """Refuse, as an `InputError` naming it, a model that has answered NaN or infinity within `finite_checks_deferred`."""
    for id, bad in (_deferred.get() or {}).items():
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
        switches, key, exact = [matmul, cudnn.conv, cudnn.rnn], "fp32_precision", cast(Any, "ieee")
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
