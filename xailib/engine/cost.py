"""What the network's own passes cost: counted by the engine, timed without waiting for the device."""

import contextlib
import time
from collections.abc import Callable, Iterator

import torch

FOLDED = 512  # pairs of CUDA events kept before those that have passed are added up


class Cost:
    """Images that went through the network, and the seconds that took.

    On a GPU passes run behind the program's back, so each is bracketed by two CUDA events; only reading `seconds`
    waits for the device.

    Attributes:
        forward, backward: images through the network, each way.
        forward_bf16, backward_bf16: those of them that ran in bf16.
        hear: called with the images of every pass when it is made, also of blocks within (`engine.using`); what it raises
            ends the work.
    """

    def __init__(
        self,
        forward: int = 0,
        backward: int = 0,
        seconds: float = 0.0,
        hear: Callable[[int], None] | None = None,
    ) -> None:
        self.forward, self.backward, self.hear = forward, backward, hear
        self.forward_bf16 = self.backward_bf16 = 0
        self._seconds = seconds
        self._events: list[tuple[torch.cuda.Event, torch.cuda.Event]] = []

    @property
    def seconds(self) -> float:
        """Seconds inside the network; waits for passes that still run."""
        for _, end in self._events[-1:]:
            end.synchronize()
        self._fold()
        return self._seconds

    def count(self, forward: int = 0, backward: int = 0, bf16: bool = False) -> None:
        """Count passes, in images."""
        self.forward += forward
        self.backward += backward
        if bf16:
            self.forward_bf16 += forward
            self.backward_bf16 += backward
        if self.hear:
            self.hear(max(forward, backward))

    def add(self, other: "Cost") -> None:
        """Count what `other` cost too."""
        self.forward += other.forward
        self.backward += other.backward
        self.forward_bf16 += other.forward_bf16
        self.backward_bf16 += other.backward_bf16
        self._seconds += other._seconds
        self._events += other._events
        self._fold_many()

    @contextlib.contextmanager
    def timed(self, device: torch.device) -> Iterator[None]:
        """Add the seconds of the block: the program's on a CPU, the device's on a GPU."""
        if device.type == "cuda":
            start = _recorded(device)
            yield
            self._events.append((start, _recorded(device)))
            self._fold_many()
            return
        began = time.perf_counter()
        yield
        self._seconds += time.perf_counter() - began

    def _fold_many(self) -> None:
        if len(self._events) >= FOLDED:
            self._fold()

    def _fold(self) -> None:
        """Add up the passes that have ended, oldest first; a stream runs them in order."""
        passed = 0
        for start, end in self._events:
            if not end.query():
                break
            self._seconds += start.elapsed_time(end) / 1e3
            passed += 1
        del self._events[:passed]


def _recorded(device: torch.device) -> torch.cuda.Event:
    """A CUDA event on the stream that a device works on now."""
    event = torch.cuda.Event(enable_timing=True)
    event.record(torch.cuda.current_stream(device))
    return event
