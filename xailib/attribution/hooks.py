"""captum's methods that hook modules, and what must hold of a network for them.

A hook sees what a module does and nothing else: an activation that is called as a function is missed in silence, and a
module that is called twice is seen once. So the hooks go on a private copy in which every call has a module of its own,
and what a pass runs outside of modules is looked at.
"""

import contextlib
import copy
import itertools
import warnings
from collections import Counter
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from xailib import engine
from xailib.errors import InputError
from xailib.models.model import Model
from xailib.models.probes import quiet

Operators = Counter[tuple[str, type[nn.Module] | None]]


def hooked(
    name: str, explain: Callable[..., Tensor], pixels: Tensor, targets: Tensor, weight: int = 1, **given: Any
) -> Tensor:
    """Values `(n, 3, h, w)` of a captum algorithm that hooks modules, in chunks of the engine, in fp32.

    Args:
        name: of the method, for messages.
        explain: its `attribute`.
        weight: network inputs an image, each of which goes forward and back.
        given: further arguments of `explain`.

    Raises:
        InputError: a network that captum refuses.
    """

    def work(part: slice) -> Tensor:
        inputs, cost = pixels[part].detach().requires_grad_(), engine.current().cost
        with warnings.catch_warnings(), cost.timed(pixels.device):
            warnings.simplefilter("ignore")  # that hooks will be set
            try:
                values = explain(inputs, target=targets[part], **given)
            except torch.OutOfMemoryError:
                raise
            except (RuntimeError, TypeError, AssertionError) as error:
                reason = " ".join(str(error).split())
                raise InputError(f"method '{name}': captum cannot explain this network: {reason}") from None
        cost.count(forward=weight * len(inputs), backward=weight * len(inputs))
        return values.detach()

    with engine.using(precision="fp32"), torch.enable_grad():
        return torch.cat(engine.chunked(len(pixels), work, weight=weight, description=name))


class InTurn(nn.Module):
    """A module without weights, as one module a call, each with an input that nobody else reads."""

    def __init__(self, module: nn.Module, calls: int) -> None:
        super().__init__()
        self.each = nn.ModuleList(copy.deepcopy(module) for _ in range(calls))
        self._turns = itertools.cycle(range(calls))

    def forward(self, *inputs: Any, **named: Any) -> Any:
        """Let the next one answer; a pass calls them all, so that the next pass starts with the first again."""
        own = (one.clone() if isinstance(one, Tensor) else one for one in inputs)
        return self.each[next(self._turns)](*own, **named)


def unshared(model: Model, calls: Counter[str]) -> Model:
    """Return a private copy of a model in which every call of a leaf without weights has a module of its own.

    Args:
        calls: how often a pass calls each leaf, as `operators` counts it.
    """
    own = copy.deepcopy(model)
    for name, leaf in _leaves(own).items():
        if calls[name] and not leaf._parameters and not leaf._buffers:
            if vars(leaf).get("inplace"):
                leaf.inplace = False  # type: ignore[assignment]
            own.set_submodule(name, InTurn(leaf, calls[name]))
    return own


def operators(model: Model, pixels: Tensor) -> tuple[Operators, Counter[str]]:
    """Return what one pass of `pixels` `(n, 3, h, w)` runs, normalisation apart.

    Returns:
        How often each operator of torch ran within which type of leaf module (None: outside of them), and how often each
        leaf was called, by name.

    Raises:
        InputError: a scripted module, which takes no hook.
    """
    for name, module in model.named_modules():
        if isinstance(module, torch.jit.ScriptModule):
            raise InputError(
                f"model '{model.id}' runs the scripted module '{name}', which captum cannot hook; it needs Python modules"
            )
    ran: Operators = Counter()
    calls: Counter[str] = Counter()
    within: list[type[nn.Module] | None] = [None]

    class Watch(TorchDispatchMode):
        def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            ran[function.overloadpacket.__name__.strip("_"), within[-1]] += 1
            return function(*args, **(kwargs or {}))

    def enter(name: str, module: nn.Module) -> None:
        calls[name] += 1
        within.append(type(module))

    with contextlib.ExitStack() as stack:
        stack.enter_context(quiet(model))
        for name, leaf in _leaves(model).items():
            stack.callback(leaf.register_forward_pre_hook(lambda one, _, name=name: enter(name, one)).remove)
            stack.callback(leaf.register_forward_hook(lambda *_: within.pop() and None).remove)
        stack.callback(model.network.register_forward_pre_hook(lambda *_: stack.enter_context(Watch()) and None).remove)
        model(pixels)
    return ran, calls


def refuse(name: str, model: Model, missed: set[str]) -> None:
    """Refuse a model that runs operators, `missed`, where a method's hooks do not see them."""
    if missed:
        found = " and ".join(f"'{one}'" for one in sorted(missed))
        raise InputError(
            f"method '{name}': model '{model.id}' runs {found} where captum's hooks on modules do not see it, so that its "
            "values would be wrong; it needs a network all of whose layers are modules that the method has a rule for"
        )


def _leaves(model: Model) -> dict[str, nn.Module]:
    """The modules that hold no others, by name."""
    return {name: one for name, one in model.named_modules() if name and not one._modules}
