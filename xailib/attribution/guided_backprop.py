"""Guided Backprop: the gradient with every ReLU letting only positive gradients through, wherever it is written.

Hooks on `nn.ReLU` modules miss functional calls (torchvision's GoogLeNet and DenseNet) and ReLU6 (MobileNet) and then
silently give the plain gradient. Here the graph that autograd recorded is read: a gradient passes through its nodes
and through nothing else, so every ReLU is found, and so is every activation that is none.
"""

import functools
import re
import weakref
from collections import Counter
from collections.abc import Iterator
from typing import Any, NoReturn

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from xailib import engine
from xailib.attribution.gradients import pixel_gradients
from xailib.attribution.pooling import pooled
from xailib.errors import InputError
from xailib.models.model import Model
from xailib.models.probes import gradient_fault
from xailib.registry import method

# Activations, by the operator whose node it is, for which no guided gradient is defined, and what hides its work: a change
# of a part of a tensor in place (copy_slices). Custom functions, which hide theirs too, are told by `_is_closed`.
UNTREATED = re.compile(
    "celu|clamp|clamp_max|clamp_min|copy_slices|elu|erf|exp|expm1|gelu|glu|hardshrink|hardsigmoid|hardswish|hardtanh"
    "|log_sigmoid|log_softmax|maximum|minimum|mish|selu|sigmoid|silu|softmax|softplus|softshrink|tanh|threshold|.*relu.*"
)
# Where operators that cut values to a range keep its floor and its ceiling.
BOUNDS = {
    "hardtanh": ("_saved_min_val", "_saved_max_val"),
    "threshold": ("_saved_threshold", ""),
    "clamp": ("_saved_min", "_saved_max"),
    "clamp_min": ("_saved_min", ""),
}
# Networks in which no ReLU is written by hand. What a network is does not change while its weights stay (`folding`).
_looked_at: "weakref.WeakSet[Model]" = weakref.WeakSet()


@method("guided_backprop", family="gradient", label="GuidedBP", paper="Springenberg et al. 2015")
@pooled("abs_max")
def guided_backprop(
    model: Model, pixels: Tensor, targets: Tensor, *, seed: int = 0, output: engine.Output = "logit"
) -> Tensor:
    """The gradient of the target's output, where each ReLU passes on positive gradients of active units only.

    Works on operations, so functional, reused, in-place and six-capped ReLUs are all guided; a network that executes
    any other activation, or none, is refused. Values `(n, 3, h, w)` in units of output per unit of [0, 1] intensity.

    Options:
        output, pooling: as in `gradient`.
    """
    for name, module in model.named_modules():
        if isinstance(module, torch.jit.ScriptModule):
            raise InputError(
                f"method 'guided_backprop': model '{model.id}' runs the scripted module '{name}', whose operations "
                "cannot be guided; it needs a network of Python modules"
            )

    if model not in _looked_at:  # which takes longer than the pass itself
        with torch.no_grad(), HandWrittenRelus() as relus:
            model(pixels[:2])
        if relus.found:
            _refuse(model, relus.found)
        _looked_at.add(model)

    def forward(inputs: Tensor, part: slice) -> Tensor:
        logits = engine.all_logits(model, inputs)
        _guided(model, logits, inputs)
        outputs = engine.probabilities(logits) if output == "probability" else logits
        return outputs.gather(1, targets[part, None])

    return pixel_gradients(pixels, forward, "guided_backprop")


def _guided(model: Model, logits: Tensor, inputs: Tensor) -> None:
    """Guide the pass that gave `logits`, or refuse a network whose guided gradient would be wrong, or the plain one."""
    guided, missed = guide(logits)
    fault = gradient_fault(model, *inputs.shape[-2:]) if missed or not guided else None
    if fault:
        raise InputError(f"method 'guided_backprop' needs a gradient, and {fault}")
    if missed:
        _refuse(model, missed)
    if not guided:
        raise InputError(
            f"method 'guided_backprop': model '{model.id}' executes no ReLU, so there is nothing to guide; method "
            "'gradient' is what it would give"
        )


def _refuse(model: Model, missed: Counter[str]) -> NoReturn:
    found = " and ".join(f"'{name}' ({count}x)" for name, count in sorted(missed.items()))
    raise InputError(
        f"method 'guided_backprop': model '{model.id}' executes {found}, which has no guided gradient; it needs a "
        "network whose activations are all ReLU or ReLU6, called by torch's own functions"
    )


def guide(outputs: Tensor) -> tuple[int, Counter[str]]:
    """Make the backward pass from `outputs` a guided one (Springenberg et al. 2015).

    Each ReLU, cut at a ceiling or not, then passes on what is positive of a gradient, where it was on its slope.

    Returns:
        How many ReLUs are guided, and by name the activations that are not as they are no ReLUs.
    """
    guided, missed = 0, Counter[str]()
    for node in _nodes(outputs):
        operator = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", type(node).__name__.split("Backward")[0]).lower()
        bounds = _bounds(operator, node)
        if bounds is not None and bounds[0] == 0 and (bounds[1] is None or bounds[1] > 0):
            node.register_hook(functools.partial(_positive, _slope(node, bounds[1]) if "clamp" in operator else None))
            guided += 1
        elif UNTREATED.fullmatch(operator) or _is_closed(node):
            missed[operator] += 1
    return guided, missed


def _is_closed(node: Any) -> bool:
    """Whether a node is a function of its own making, in Python or in C++, which may hold any activation."""
    return isinstance(node, torch.autograd.function.BackwardCFunction) or "::" in type(node).__name__


class HandWrittenRelus(TorchDispatchMode):
    """Tells ReLUs by what they do, however they are written: a result that is zero just where an earlier one is not positive.

    What torch's own ReLUs give is allowed such zeros, and so is what is made of it. Looking takes longer than a pass.

    Attributes:
        found: the operators that made such results.
    """

    def __init__(self) -> None:
        super().__init__()
        self.found: Counter[str] = Counter()
        self._positive: set[tuple[int, int]] = set()
        self._allowed: set[tuple[int, int]] = set()

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = function(*args, **(kwargs or {}))
        if isinstance(result, Tensor) and result.is_floating_point() and result.numel() > 1:
            name = function.overloadpacket.__name__.removesuffix("_")
            places = _fingerprint(result != 0)
            if name in ("relu", "threshold", "hardtanh", "clamp", "clamp_min"):
                self._allowed.add(places)
            elif places in self._positive - self._allowed:
                self.found[name] += 1
            if (result < 0).any() and (result > 0).any():
                self._positive.add(_fingerprint(result > 0))
        return result


def _fingerprint(places: Tensor) -> tuple[int, int]:
    """Of a mask of any shape: how many values it has, and a random sum over those that are set."""
    keys = torch.arange(places.numel(), device=places.device)
    keys = (keys * 0x9E3779B1 + 0x7F4A7C15) % 0x7FFFFFFF * 0x5851F42D % 0x7FFFFFED  # well mixed, below 2**31
    return places.numel(), int((keys * places.flatten()).sum())


def _nodes(outputs: Tensor) -> Iterator[Any]:
    """Yield every node of the graph behind `outputs` once."""
    waiting = [outputs.grad_fn]
    met = set(waiting)
    while waiting:
        node = waiting.pop()
        if node is None:
            continue
        yield node
        for before, _ in node.next_functions:
            if before not in met:
                met.add(before)
                waiting.append(before)


def _bounds(operator: str, node: Any) -> tuple[float, float | None] | None:
    """Floor and ceiling of an operator that cuts values to a range, or None; bounds that are tensors are no numbers."""
    if operator == "relu":
        return 0, None
    floor, ceiling = BOUNDS.get(operator, ("", ""))
    low, high = getattr(node, floor, None), getattr(node, ceiling, None)
    return (low, high) if isinstance(low, int | float) and isinstance(high, int | float | None) else None


def _slope(node: Any, ceiling: float | None) -> Tensor:
    """Where a clamp has slope 1; at its very bounds PyTorch passes gradients through it, but not through a ReLU."""
    values = node._saved_self
    return values > 0 if ceiling is None else (values > 0) & (values < ceiling)


def _positive(slope: Tensor | None, gradients: tuple[Tensor | None, ...], _outer: Any) -> tuple[Tensor | None, ...]:
    """What is positive of the gradients that a node passes on."""
    if slope is not None:
        gradients = tuple(None if one is None else one * slope for one in gradients)
    return tuple(None if one is None else one.clamp(min=0) for one in gradients)
