"""Maps of a layer, read in whatever layout they come."""

import math
from typing import Any

from torch import Tensor

PREFIX = 16  # most class and register tokens before a grid of tokens


def as_maps(output: Any, height: int, width: int) -> Tensor | None:
    """Read a layer's output as maps `(n, c, hc, wc)`, a view of it; None where it is none.

    Known are maps `(n, c, hc, wc)`, maps whose channels are last `(n, hc, wc, c)`, and tokens `(n, k + hc wc, c)`, where
    `k` class and register tokens come first. The cells have the proportions of the pixels, `height` x `width`.
    """
    if not isinstance(output, Tensor) or not output.is_floating_point():
        return None
    if output.ndim == 4:
        first, last = (
            abs(math.log(max(a * width, 1) / max(b * height, 1))) for a, b in (output.shape[2:], output.shape[1:3])
        )
        return output.permute(0, 3, 1, 2) if last < first - 0.05 else output
    if output.ndim == 3:
        for prefix in range(min(PREFIX, output.shape[1])):
            cells = output.shape[1] - prefix
            rows = max(1, round(math.sqrt(cells * height / width)))
            if cells % rows == 0 and rows * width == cells // rows * height:
                return output[:, prefix:].transpose(1, 2).unflatten(2, (rows, cells // rows))
    return None
