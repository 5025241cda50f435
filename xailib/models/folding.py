"""A private copy of a network that gives the same answers for less: batch norms in the convolutions, channels last.

In eval mode a batch norm is a factor and a shift a channel, which the convolution before it can carry itself
(Jacob et al. 2018, section 3.2). What is behind what is seen by running the network, so any Python module will do.
Convolutions are up to three times as fast where the channels of a pixel lie together.
"""

import contextlib
import copy
import weakref
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from xailib.models.model import Model
from xailib.models.prepacked import alike, prepack
from xailib.models.probes import samples
from xailib.models.state import alone, float32_by_default, untouched

TOLERANCE = 1e-3  # of what two images differ by in the network's answers, between these and the copy's

_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
_SAMPLE = 256  # values of each weight that are compared: what changes `weight.data` tells torch nothing


class _Kept(NamedTuple):
    """A copy, or None where none can be made, and what it was made from."""

    state: Any
    sampled: list[Tensor]  # views into the model's own weights
    values: Tensor
    copy: Model | None


_kept: "weakref.WeakKeyDictionary[Model, _Kept]" = weakref.WeakKeyDictionary()  # a copy goes with its model


def folded(model: Model, pixels: Tensor) -> Model:
    """Return a model of the same answers whose passes cost less, for passes alone; `model` stays as it is.

    Whether it gives the same answers is tried on two images of the size of `pixels` `(n, 3, h, w)`: they may
    differ by rounding, up to `TOLERANCE` of what tells the two apart. The copy is frozen and in eval mode, has the weights of
    now (it is made anew when a weight or a module has changed; of what is written through `weight.data`, which torch does
    not count, 256 values of each tensor are looked at), and keeps every module's name, so that `cam_layer` gives the same
    maps. `model` itself comes back where a copy would not do the same or cannot be made: hooks on its
    modules or a `forward` of one object's own, scripted modules, answers that differ.
    """
    modules: list[nn.Module] = [model]
    held: list[Any] = []
    # Grows while it is walked, by hand: `modules()` and the like take a tenth of a small network's pass.
    for one in modules:
        if _watched(one):
            return model
        modules += [child for child in one._modules.values() if child is not None]
        held += [*one._parameters.values(), *one._buffers.values()]
    values = [value for value in held if value is not None]
    facts = (model.output, model.cam_layer_name, list(model.class_names), model.offers, model.device)
    state = (facts, list(map(id, modules)), [(value.data_ptr(), value._version) for value in values])
    kept = _kept.get(model)
    if kept is None or kept.state != state or not torch.equal(torch.cat(kept.sampled), kept.values):
        sampled = [_sample(value) for value in values if value.dtype == torch.float32]  # mean and std are always there
        kept = _kept[model] = _Kept(state, sampled, torch.cat(sampled), _folded(model, *pixels.shape[-2:]))
    return kept.copy or model


@contextlib.contextmanager
def lent(model: Model, pixels: Tensor, function: Callable[..., Any]) -> Iterator[Model]:
    """Lend `folded`'s copy to a function for a block, or `model` itself, frozen and left as found, where there is none.

    What a function of someone's own was lent, nobody is lent again: it may redraw weights, hang hooks or replace layers of
    what it gets; neither `model` nor a later call sees any of it.
    """
    ours = (getattr(function, "__module__", None) or "").split(".")[0] == __name__.split(".")[0]
    with alone(model), contextlib.ExitStack() as stack:
        fast = folded(model, pixels)
        try:
            if ours and fast is not model:
                stack.enter_context(float32_by_default())
            else:  # somebody's own function may know `model` from elsewhere, too
                for one in {model, fast}:
                    stack.enter_context(untouched(one))
            yield fast
        finally:
            if not ours:
                _kept.pop(model, None)


def _sample(value: Tensor) -> Tensor:
    """Up to `_SAMPLE` values of a tensor, or all of one whose memory has gaps: a view, which shows later changes too."""
    value = value.detach()
    if any(value.is_contiguous(memory_format=one) for one in (torch.contiguous_format, torch.channels_last)):
        value = value.as_strided((value.numel(),), (1,))[:: max(1, value.numel() // _SAMPLE)]
    return value.reshape(-1)


def _watched(module: nn.Module) -> bool:
    """Whether a copy would miss what was hung on this very object."""
    own = vars(module)
    hooked = own.get("_forward_hooks") or own.get("_forward_pre_hooks") or own.get("_backward_hooks")
    return (
        bool(hooked or own.get("_backward_pre_hooks")) or "forward" in own or isinstance(module, torch.jit.ScriptModule)
    )


@torch.inference_mode(mode=False)  # a caller's, in which tensors do not know whether they were changed
def _folded(model: Model, height: int, width: int) -> Model | None:
    try:
        fast = copy.deepcopy(model).eval().requires_grad_(False)
    except Exception:  # whatever a stranger's module forbids: passes then run on the network as it is
        return None
    relaid: Any = fast.to
    relaid(memory_format=torch.channels_last)
    images = samples(height, width, model.device).to(model.mean)
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        try:
            if any(isinstance(module, _NORMS) for module in fast.modules()) and not _fold_all(fast, images):
                return None
        except Exception:  # nor does one that cannot be folded stop anybody
            return None
        prepack(fast, images, TOLERANCE)
    return fast


def _fold_all(model: Model, images: Tensor) -> bool:
    """Fold the batch norms of a model, and say whether its answers to `images` stay."""
    before = model(images)
    if not isinstance(before, Tensor):
        return False
    for convolution, norm in _pairs(model, images):
        _fold(model, convolution, norm)
    return alike(model(images), before, TOLERANCE)


def _pairs(model: Model, images: Tensor) -> list[tuple[str, str]]:
    """Names of convolutions and of the batch norms that are fed by nothing else, as one pass shows them."""
    names = {module: name for name, module in model.named_modules()}
    made: dict[int, tuple[nn.Module, Tensor]] = {}  # the tensors are kept, so that no address is used twice
    calls: Counter[nn.Module] = Counter()
    pairs: list[tuple[nn.Module, nn.Module]] = []

    def saw(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        calls[module] += 1
        if isinstance(module, _CONVOLUTIONS):
            made[id(output)] = (module, output)
        elif inputs and id(inputs[0]) in made:
            pairs.append((made[id(inputs[0])][0], module))

    with contextlib.ExitStack() as stack:
        for module in names:
            if isinstance(module, (*_CONVOLUTIONS, *_NORMS)):
                stack.enter_context(module.register_forward_hook(saw))
        model(images)
    fed = Counter(convolution for convolution, _ in pairs)
    watched = model.cam_layer  # whose maps are looked at before they are normed
    return [
        (names[convolution], names[norm])
        for convolution, norm in pairs
        if calls[convolution] == calls[norm] == fed[convolution] == 1
        and norm.running_mean is not None
        and "weight" in convolution._parameters  # not where a parametrisation makes it anew
        and convolution is not watched
    ]


def _fold(model: Model, convolution: str, norm: str) -> None:
    conv: Any = model.get_submodule(convolution)
    bn: Any = model.get_submodule(norm)
    conv.weight, conv.bias = fuse_conv_bn_weights(
        conv.weight, conv.bias, bn.running_mean, bn.running_var, bn.eps, bn.weight, bn.bias
    )
    conv.weight.requires_grad_(False)
    conv.bias.requires_grad_(False)
    model.set_submodule(norm, nn.Identity())
