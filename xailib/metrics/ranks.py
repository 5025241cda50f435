"""The order in which pixels go: from most to least important, ties broken by a stream of the image's own."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor


def ranks(values: Tensor, streams: Sequence[torch.Generator] | None = None) -> Tensor:
    """Place of every value in the order from most (0) to least important.

    Args:
        values: `(n, p)`, larger is more important.
        streams: one generator a row, whose draw orders equal values; None keeps them in reading order.

    Returns:
        int32 `(n, p)`: each row a permutation of 0 to p - 1.
    """
    places = torch.arange(values.shape[1], dtype=torch.int32)
    found = torch.empty(values.shape, dtype=torch.int32)
    start = np.arange(values.shape[1])
    for i, (row, one) in enumerate(zip(found, -values.detach().float().cpu(), strict=True)):
        if streams is not None:  # a stable sort keeps the order in which it meets equal values
            start[torch.randperm(len(places), generator=streams[i]).numpy()] = places
        row[start[np.argsort(one.numpy()[start], kind="stable")]] = places
    return found


def share_of_highest(values: np.ndarray, there: np.ndarray, k: int) -> float:
    """Share of the `k` highest of values `(p,)` where `there` `(p,)` is true; of equal ones, what a random choice expects."""
    last = np.partition(values, -k)[-k]
    above, tied = values > last, values == last
    return (there[above].sum() + (k - above.sum()) * there[tied].mean()) / k
