"""Guided ReLUs: replace every ReLU that a network executes, as an operation rather than as a module.

Hooks on `nn.ReLU` modules miss functional calls (torchvision's GoogLeNet and DenseNet) and ReLU6 (MobileNet) and then
silently give the plain gradient. Here the operations themselves are caught while the network runs, and a second watch
below autograd sees what was really executed, so that nothing slips through unnoticed.
"""

from collections import Counter
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

# Activations, by the operator that is executed, for which no guided gradient is defined. Everything with `relu` in its
# name (leaky_relu, prelu, fused convolutions...) counts too, where it was not replaced.
UNTREATED = frozenset(
    {
        *("celu", "clamp", "clamp_max", "clamp_min", "elu", "gelu", "glu", "hardshrink", "hardsigmoid", "hardswish"),
        *("hardtanh", "log_sigmoid_forward", "maximum", "minimum", "mish", "selu", "sigmoid", "silu", "softplus"),
        *("softshrink", "tanh", "threshold", "_softmax", "_log_softmax", "erf", "exp", "expm1"),
    }
)


class Relu(NamedTuple):
    """A call that is a ReLU: `values` cut to [0, `ceiling`], in place or not."""

    values: Tensor
    ceiling: float | None
    inplace: bool


class GuidedRelu(torch.autograd.Function):
    """ReLU whose gradient passes where the forward passed and the gradient is positive (Springenberg et al. 2015)."""

    @staticmethod
    def forward(context: Any, values: Tensor, ceiling: float | None, inplace: bool) -> Tensor:
        """Cut `values` to [0, ceiling]."""
        if inplace:
            context.mark_dirty(values)
        result = (torch.clamp_ if inplace else torch.clamp)(values, 0, ceiling)
        context.save_for_backward(result)
        context.ceiling = ceiling
        return result

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        """Pass positive gradients of units that are neither off nor (ReLU6) saturated."""
        (result,) = context.saved_tensors
        if context.ceiling is None:
            passed = torch.ops.aten.threshold_backward(gradient, result, 0)
        else:
            passed = torch.ops.aten.hardtanh_backward(gradient, result, 0, context.ceiling)
        return passed.clamp_(min=0), None, None


class GuidedRelus(TorchFunctionMode):
    """Replace the ReLUs of the block by guided ones.

    Attributes:
        replaced: how many calls were replaced.
        missed: the activations that were executed and not replaced, by operator.

    Args:
        zeros: whether to look at values too, for ReLUs written by hand. That takes longer than the pass.
    """

    def __init__(self, zeros: bool = False) -> None:
        super().__init__()
        self.replaced = 0
        self.missed: Counter[str] = Counter()
        self._watch = _Watch(self.missed, _Zeros() if zeros else None)

    def __enter__(self) -> "GuidedRelus":
        self._watch.__enter__()
        return super().__enter__()

    def __exit__(self, *failure: Any) -> None:
        super().__exit__(*failure)
        self._watch.__exit__(*failure)

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run one torch function, guided where it is a ReLU."""
        kwargs = kwargs or {}
        call = recognise(function, args, kwargs)
        if call is None:
            return function(*args, **kwargs)
        self.replaced += 1
        self._watch.paused = True
        try:
            # A view cannot be changed in place by a custom function; copying the result into it comes to the same.
            if call.inplace and call.values._is_view():
                result = call.values.copy_(GuidedRelu.apply(call.values, call.ceiling, False))
            else:
                result = GuidedRelu.apply(*call)
            if self._watch.zeros:
                self._watch.zeros.allow(result)
            return result
        finally:
            self._watch.paused = False


class _Watch(TorchDispatchMode):
    """Count the activations among the operators that are executed, below autograd and whoever calls them."""

    def __init__(self, missed: Counter[str], zeros: "_Zeros | None" = None) -> None:
        super().__init__()
        self.missed, self.zeros, self.paused = missed, zeros, False

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if not self.paused:
            name = function.overloadpacket.__name__.removesuffix("_")
            if name in UNTREATED or "relu" in name:
                self.missed[name] += 1
        result = function(*args, **(kwargs or {}))
        if not self.paused and self.zeros and isinstance(result, Tensor) and self.zeros.is_relu(result):
            self.missed[name] += 1
        return result


class _Zeros:
    """Tells ReLUs by what they do, however they are written: their result is zero exactly where an earlier tensor is not
    positive. The results of ReLUs that were replaced are allowed such zeros.
    """

    def __init__(self) -> None:
        self._positive: set[tuple[int, int]] = set()
        self._allowed: set[tuple[int, int]] = set()

    def allow(self, result: Tensor) -> None:
        """Note the zeros of a ReLU that was replaced, which whatever is made of it may keep."""
        self._allowed.add(_print(result != 0))

    def is_relu(self, result: Tensor) -> bool:
        """Whether a tensor that an operator made is the ReLU, up to a factor a value, of a tensor seen before."""
        if not result.is_floating_point() or result.numel() < 2:
            return False
        found = _print(result != 0)
        if (result < 0).any() and (result > 0).any():
            self._positive.add(_print(result > 0))
        return found in self._positive - self._allowed


def _print(places: Tensor) -> tuple[int, int]:
    """A fingerprint of a mask of any shape: how many values it has, and a random sum over those that are set."""
    keys = torch.arange(places.numel(), device=places.device)
    keys = (keys * 0x9E3779B1 + 0x7F4A7C15) % 0x7FFFFFFF * 0x5851F42D % 0x7FFFFFED  # well mixed, below 2**31
    return places.numel(), int((keys * places.flatten()).sum())


def recognise(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Relu | None:
    """Return the ReLU that a call of a torch function is, or None."""
    reading = _READINGS.get(function)
    if reading is None:
        return None
    values, floor, ceiling, inplace = reading(*args, **kwargs)
    numbers = isinstance(floor, int | float) and isinstance(ceiling, int | float | None)
    return Relu(values, ceiling, inplace) if numbers and floor == 0 and (ceiling is None or ceiling > 0) else None


# How to read the arguments of the functions that can be a ReLU: (values, floor, ceiling, in place).
_Reading = Callable[..., tuple[Tensor, Any, Any, bool]]


def _relu(input: Tensor, inplace: bool = False) -> tuple[Tensor, Any, Any, bool]:
    return input, 0, None, inplace


def _relu6(input: Tensor, inplace: bool = False) -> tuple[Tensor, Any, Any, bool]:
    return input, 0, 6.0, inplace


def _hardtanh(
    input: Tensor, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False
) -> tuple[Tensor, Any, Any, bool]:
    return input, min_val, max_val, inplace


def _threshold(input: Tensor, threshold: float, value: float, inplace: bool = False) -> tuple[Tensor, Any, Any, bool]:
    return input, threshold if threshold == value else None, None, inplace


def _clamp(
    input: Tensor, min: Any = None, max: Any = None, *, out: Tensor | None = None
) -> tuple[Tensor, Any, Any, bool]:
    return input, min if out is None else None, max, False


def _in_place(reading: _Reading) -> _Reading:
    return lambda *args, **kwargs: (*reading(*args, **kwargs)[:3], True)


_READINGS: dict[Any, _Reading] = {
    **dict.fromkeys((functional.relu, torch.relu, Tensor.relu), _relu),
    **dict.fromkeys((torch.relu_, Tensor.relu_), _in_place(_relu)),
    functional.relu6: _relu6,
    functional.hardtanh: _hardtanh,
    functional.hardtanh_: _in_place(_hardtanh),
    **dict.fromkeys((functional.threshold, torch.threshold), _threshold),
    torch.threshold_: _in_place(_threshold),
    **dict.fromkeys((torch.clamp, torch.clip, torch.clamp_min), _clamp),
    **dict.fromkeys((Tensor.clamp, Tensor.clip, Tensor.clamp_min), _clamp),
    **dict.fromkeys((torch.clamp_, torch.clip_, torch.clamp_min_), _in_place(_clamp)),
    **dict.fromkeys((Tensor.clamp_, Tensor.clip_, Tensor.clamp_min_), _in_place(_clamp)),
}
