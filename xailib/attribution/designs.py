"""Which parts of an image are shown in which sample: coins alone, in pairs, or in an orthogonal design.

A pair is a sample and its complement, which cancels every effect of even order (antithetic sampling). Within an
orthogonal block the columns are those of a Hadamard matrix, so that no part's effect leaks into another's (Plackett &
Burman 1946; with complements the block is a foldover, Box & Wilson 1951). Columns and their signs are drawn, so that
each sample by itself is as likely as any other, and what is estimated stays the same in expectation.
"""

from typing import Literal

import torch
from torch import Tensor

Design = Literal["independent", "paired", "orthogonal"]


def halves(design: Design, samples: int, count: int, generator: torch.Generator) -> Tensor:
    """Return which of `count` parts are shown, bool `(samples, count)`, each with probability 1/2.

    Paired or orthogonal, `samples` is even and rows 2k and 2k + 1 are complements of each other.
    """
    if design == "independent":
        return torch.rand(samples, count, generator=generator) < 0.5
    pairs = samples // 2
    if design == "paired":
        first = torch.rand(pairs, count, generator=generator) < 0.5
    else:
        first = torch.cat([_block(count, generator) for _ in range(-(-pairs // _order(count)))])[:pairs]
    return torch.stack([first, ~first], dim=1).flatten(0, 1)


def _order(count: int) -> int:
    """The smallest power of two above `count`: the first column of the Hadamard matrix is constant."""
    return 1 << count.bit_length()


def _block(count: int, generator: torch.Generator) -> Tensor:
    """Columns of a Hadamard matrix without the constant one, and rows, in random order; random signs: bool `(order, count)`."""
    from scipy.linalg import hadamard

    order = _order(count)
    columns = 1 + torch.randperm(order - 1, generator=generator)[:count]
    rows = torch.randperm(order, generator=generator)
    signs = torch.rand(count, generator=generator) < 0.5
    return (torch.from_numpy(hadamard(order)) > 0)[rows][:, columns] ^ signs
