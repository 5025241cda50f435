"""What a metric declares that is scored on a copy of the network, fine-tuned on images with parts deleted.

A trained network has never seen a hole, so what it answers to one may be about the hole. A copy that was fine-tuned on
images with such holes has: deletions are in its domain, and scores compare across networks.
"""

from collections.abc import Callable
from typing import Any

from torch import Tensor


def finetuned(deletes: Callable[..., Tensor], *, explained: bool) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Decorate a metric: a study makes the copy that it asks for (`xailib.training.finetune`) and scores it on that.

    Args:
        deletes: called with pixels `(n, 3, h, w)` in [0, 1], the colour `(1, 3, 1, 1)` that stands for nothing and the
            metric's options; returns the images that the copy learns on, drawn from torch's own stream.
        explained: whether the maps scored are of the copy; otherwise of the network as it was.
    """

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        function.deletes, function.explained = deletes, explained  # type: ignore[attr-defined]
        return function

    return decorate
