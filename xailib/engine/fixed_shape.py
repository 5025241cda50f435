"""Make a function of tensors faster where a loop calls it with the same shapes again and again.

`compile` hands it to torch.compile; `cuda_graphs` records its kernels once and replays them, which saves the launches
that small networks and small batches spend their time on. `auto` compiles on a CPU where a loop is long enough to repay
it, which is a matter of counts and not of clocks: the same slice runs the same way each time.
"""

import functools
import os
import shutil
import sys
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal, cast

import torch
from torch import Tensor

from xailib.errors import InputError

if TYPE_CHECKING:
    from xailib.models.model import Model

Mode = Literal["auto", "none", "compile", "cuda_graphs"]
MODES = ("auto", "none", "compile", "cuda_graphs")
# Operations in one loop that repay compiling: some 15 minutes of a core, of which it saves one in five or six.
WORTH = 1e14
Function = Callable[..., tuple[Tensor, ...]]
Prepare = Callable[[Function, tuple[Tensor, ...]], Function]


class FixedShape:
    """A function of tensors that is prepared for a shape when it meets it the second time.

    The first call with a shape, and a last chunk that is smaller, run as they are: preparing costs many passes. One
    preparation is held at a time, for the shape met last.
    """

    def __init__(self, function: Function, prepare: Prepare) -> None:
        self.function, self.prepare = function, prepare
        self.met: set[tuple[torch.Size, ...]] = set()
        self.shapes: tuple[torch.Size, ...] | None = None
        self.fast: Function = function

    def __call__(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        shapes = tuple(one.shape for one in inputs)
        if shapes != self.shapes:
            if shapes not in self.met:
                self.met.add(shapes)
                return self.function(*inputs)
            self.fast = self.function  # lets go of what was prepared before
            self.fast, self.shapes = self.prepare(self.function, inputs), shapes
        return self.fast(*inputs)


def compiled(
    model: "Model", function: "Callable[[Model], Function]", mode: Mode, passes: int | None = None
) -> Function:
    """Return `function(model)`, where the mode says so with the network through torch.compile.

    On a CPU weights are frozen into what is compiled, which gradients cannot pass: there it is for `passes` (how many
    are to come) without them, and `auto` compiles where they are many. Where no compiler is, or it fails, passes run
    as they are.
    """
    plain = function(model)
    if model.device.type == "cuda":
        if mode != "compile":
            return plain
        return FixedShape(plain, lambda plain, _inputs: torch.compile(plain, dynamic=False))
    if mode == "cuda_graphs":
        _say(f"compile: cuda_graphs is for GPUs; on '{model.device.type}' passes run as they are")
    if mode not in ("auto", "compile") or passes is None or not _has_compiler():
        return plain

    def prepare(plain: Function, inputs: tuple[Tensor, ...]) -> Function:
        if mode == "auto" and passes * _operations(model, inputs[0][:1]) < WORTH:
            return plain
        return _guarded(function(_frozen(model)), plain)

    return FixedShape(plain, prepare)


def _frozen(model: "Model") -> "Model":
    return cast("Model", torch.compile(model, dynamic=False, options={"freezing": True}))


def _guarded(fast: Function, plain: Function) -> Function:
    """`fast`, and `plain` from the call on in which `fast` fails: a compiler, a cache folder that is full or read-only."""
    working = True

    def run(*inputs: Tensor) -> tuple[Tensor, ...]:
        nonlocal working
        if working:
            try:
                return fast(*inputs)
            except torch.OutOfMemoryError:
                raise
            except Exception as error:
                working = False
                _say(f"compile: the compiler failed ({_first_line(error)}); passes run as they are")
        return plain(*inputs)

    return run


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {(str(error).strip().splitlines() or [''])[0][:200]}"


_counted: "weakref.WeakKeyDictionary[Model, int]" = weakref.WeakKeyDictionary()


@functools.cache
def _has_compiler() -> bool:
    return any(shutil.which(name) for name in (os.environ.get("CXX") or "", "g++", "clang++"))


def _operations(model: "Model", image: Tensor) -> int:
    """Additions and multiplications of one pass over one image `(1, 3, h, w)`."""
    from torch.utils.flop_counter import FlopCounterMode

    if model not in _counted:
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            model(image)
        _counted[model] = counter.get_total_flops()
    return _counted[model]


def replayed(function: Function, mode: Mode, device: torch.device) -> Function:
    """Return `function` as a replayed CUDA graph where that is the mode; its results are detached copies."""
    if mode != "cuda_graphs" or device.type != "cuda":
        return function
    return FixedShape(function, _capture)


@functools.cache  # once a process
def _say(sentence: str) -> None:
    print(sentence, file=sys.stderr)


def _capture(function: Function, inputs: tuple[Tensor, ...]) -> Function:
    """Record the kernels of `function(*inputs)` and return what replays them on other values of the same shapes."""
    device = inputs[0].device
    given = tuple(one.detach().clone() for one in inputs)  # the graph reads and writes these places for ever
    side = torch.cuda.Stream(device)
    side.wait_stream(torch.cuda.current_stream(device))
    with torch.cuda.stream(side):  # libraries set themselves up in the first call on a stream, which cannot be recorded
        function(*given)
    torch.cuda.current_stream(device).wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    try:
        with torch.cuda.device(device), torch.cuda.graph(graph):
            results = function(*given)
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:
        raise InputError(
            f"compile: cuda_graphs cannot record this network ({str(error).splitlines()[0]}); use compile: none"
        ) from None

    def replay(*values: Tensor) -> tuple[Tensor, ...]:
        for place, value in zip(given, values, strict=True):
            place.copy_(value)
        graph.replay()
        return tuple(result.detach().clone() for result in results)

    return replay
