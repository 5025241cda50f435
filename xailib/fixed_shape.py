"""Make a function of tensors faster where a loop calls it with the same shapes again and again, on a GPU.

`compile` hands it to torch.compile; `cuda_graphs` records its kernels once and replays them, which saves the launches
that small networks and small batches spend their time on.
"""

import functools
import sys
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from xailib.errors import InputError

Mode = Literal["none", "compile", "cuda_graphs"]
MODES = ("none", "compile", "cuda_graphs")
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


def compiled(function: Function, mode: Mode, device: torch.device) -> Function:
    """Return `function` through torch.compile where that is the mode; gradients still reach its inputs."""
    if mode != "compile" or not _on_gpu(mode, device):
        return function
    return FixedShape(function, lambda plain, _inputs: torch.compile(plain, dynamic=False))


def replayed(function: Function, mode: Mode, device: torch.device) -> Function:
    """Return `function` as a replayed CUDA graph where that is the mode; its results are detached copies."""
    if mode != "cuda_graphs" or not _on_gpu(mode, device):
        return function
    return FixedShape(function, _capture)


def _on_gpu(mode: Mode, device: torch.device) -> bool:
    if device.type != "cuda":
        _say(f"compile: {mode} is for GPUs; on '{device.type}' passes run as they are")
    return device.type == "cuda"


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
