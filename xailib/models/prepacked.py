"""Convolutions of a frozen copy as oneDNN runs them best: weights in its own layout for good, the ReLU in the same sweep.

On a CPU a convolution lays out its weights anew in every pass, and a ReLU behind it reads and writes its maps once more.
The operators here do neither; they are those that torch.compile with freezing puts in their place
(`torch._inductor.fx_passes.mkldnn_fusion`), and need no compiler. They know no gradients: a pass that asks for some, or
is watched or traced, runs the convolution as it is.
"""

import contextlib
import copy
from collections import Counter
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from xailib.models.model import Model

_DONE = "_xailib_activation"  # set on a convolution's output: the activation that is in it


class Prepacked(nn.Conv2d):
    """A convolution whose weights are laid out once, for passes without gradients on a CPU.

    Attributes:
        activation: type of the activation that alone reads the output, where it is done here already; or None.
    """

    activation: type[nn.Module] | None = None
    _packed: tuple[Any, ...] = (None,)

    def forward(self, input: Tensor) -> Tensor:
        """Return the maps `(n, c, h, w)`, behind the activation where there is one."""
        dtype = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else input.dtype
        if _needs_torch(input, dtype):
            return super().forward(input)
        key, packed = (input.shape, dtype), self._packed
        if packed[0] != key:  # the best layout depends on the size of the input
            self._packed = packed = (key, *self._laid_out(input.shape, dtype))
        name, bounds = _NAMES[self.activation]
        output = torch.ops.mkldnn._convolution_pointwise.default(
            input.to(dtype), *packed[1:], self.padding, self.stride, self.dilation, self.groups, name, bounds, ""
        )
        if self.activation:
            setattr(output, _DONE, self.activation)
        return output

    def _laid_out(self, size: torch.Size, dtype: torch.dtype) -> tuple[Tensor, Tensor | None]:
        weight = torch.ops.mkldnn._reorder_convolution_weight(
            self.weight.to(dtype), self.padding, self.stride, self.dilation, self.groups, size
        )
        return weight, None if self.bias is None else self.bias.to(dtype)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_packed"}  # which cannot be copied


class _Relu(nn.ReLU):
    def forward(self, input: Tensor) -> Tensor:
        return input if getattr(input, _DONE, None) is _Relu else super().forward(input)


class _Relu6(nn.ReLU6):
    def forward(self, input: Tensor) -> Tensor:
        return input if getattr(input, _DONE, None) is _Relu6 else super().forward(input)


# As oneDNN names what a convolution does at its end, with its bounds.
_NAMES: dict[Any, tuple[str, list[float]]] = {None: ("none", []), _Relu: ("relu", []), _Relu6: ("hardtanh", [0.0, 6.0])}
_ACTIVATIONS: dict[type[nn.Module], type[nn.Module]] = {nn.ReLU: _Relu, nn.ReLU6: _Relu6}


def _needs_torch(input: Tensor, dtype: torch.dtype) -> bool:
    """Whether a pass must run torch's own convolution."""
    return (
        torch.compiler.is_compiling()
        or (torch.is_grad_enabled() and input.requires_grad)
        or input.ndim != 4
        or not (dtype is torch.float32 or (dtype is torch.bfloat16 and torch.ops.mkldnn._is_mkldnn_bf16_supported()))
        or torch._C._len_torch_dispatch_stack() > 0
    )


def prepack(model: Model, images: Tensor, tolerance: float) -> None:
    """Make the convolutions of a frozen private copy `Prepacked`, where its answers to `images` `(n, 3, h, w)` stay.

    An activation moves into the convolution whose output it reads, where no other operator reads that. What the CAM layer
    gives stays too.
    """
    if model.device.type != "cpu" or not hasattr(torch.ops.mkldnn, "_convolution_pointwise"):
        return
    convolutions = [one for one in model.modules() if type(one) is nn.Conv2d and one.padding_mode == "zeros"]
    convolutions = [one for one in convolutions if not isinstance(one.padding, str)]
    try:
        before, pairs = _observed(model, images)
    except Exception:  # a network that cannot be watched, or not at this size, runs as it is
        return
    for module in model.modules():
        module.__class__ = _ACTIVATIONS.get(type(module), type(module))
    for moved in (pairs, {}):
        for one in convolutions:
            one.__class__, one.activation = Prepacked, moved.get(one)  # type: ignore[assignment]
        with contextlib.suppress(Exception):  # oneDNN's, of a layer that it does not know, or the network's own
            if alike(model(images), before, tolerance):
                return
    for one in convolutions:
        one.__class__ = nn.Conv2d


def alike(answers: Tensor, before: Tensor, tolerance: float) -> bool:
    """Whether answers `(2, classes)` differ by rounding only, as a share of what tells the two images apart.

    Not of the logits: a head with small weights, or large biases, would hide maps that are another network's. False for NaN.
    """
    return bool((answers - before).abs().max() < tolerance * (before[0] - before[1]).abs().max())


def unpacked(model: Model) -> Model:
    """Return a model of torch's own convolutions and activations, for what goes by the types of modules: a private copy."""
    own = copy.deepcopy(model)
    for module in own.modules():
        if isinstance(module, (Prepacked, *_ACTIVATIONS.values())):
            module.__class__ = type(module).__mro__[1]
    return own


def _observed(model: Model, images: Tensor) -> tuple[Tensor, dict[nn.Module, type[nn.Module]]]:
    """The answers to `images`, and the type of activation by the convolution whose output it reads as it was given."""
    made: dict[tuple[int, int], nn.Module] = {}
    kept: list[Tensor] = []  # so that no address is used twice
    pairs: dict[nn.Module, type[nn.Module]] = {}
    calls: Counter[nn.Module] = Counter()
    readers: Counter[nn.Module] = Counter()

    class Readers(TorchDispatchMode):
        def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            for one in tree_leaves((args, kwargs)):
                if isinstance(one, Tensor) and (source := made.get((id(one), one._version))):
                    readers[source] += 1
            return function(*args, **(kwargs or {}))

    def gave(module: nn.Module, _inputs: Any, output: Any) -> None:
        calls[module] += 1
        if isinstance(module, nn.Conv2d):
            kept.append(output)
            made[id(output), output._version] = module

    def reads(module: nn.Module, inputs: tuple[Any, ...]) -> None:
        source = made.get((id(inputs[0]), inputs[0]._version)) if inputs else None
        if source is not None:
            pairs[source] = _ACTIVATIONS[type(module)]

    def shown(_module: nn.Module, _inputs: Any, output: Any) -> None:
        made.pop((id(output), getattr(output, "_version", 0)), None)

    with contextlib.ExitStack() as stack:
        for module in model.modules():
            if type(module) is nn.Conv2d:
                stack.callback(module.register_forward_hook(gave).remove)
            elif type(module) in _ACTIVATIONS:
                stack.callback(module.register_forward_pre_hook(reads).remove)
        if model.cam_layer is not None:
            stack.callback(model.cam_layer.register_forward_hook(shown).remove)
        stack.enter_context(Readers())
        answers = model(images)
    return answers, {module: name for module, name in pairs.items() if calls[module] == readers[module] == 1}
