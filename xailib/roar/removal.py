"""Removal levels: at which level each pixel gives way, kept as 4 bits a value, and the images that are left.

Hooker et al. 2019, "A Benchmark for Interpretability Methods in Deep Neural Networks", section 3: the most important
t % of an image are replaced by the channel means of the training set (ROAR), or all but them (keep and retrain, KAR).
"""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from xailib.errors import InputError
from xailib.metrics.ranks import ranks
from xailib.seeding import generator

Mode = Literal["remove", "keep"]
MOST_LEVELS = 15  # 4 bits: 15 levels, and "never"


def check_levels(levels: Sequence[int]) -> None:
    """Refuse levels that are no ascending whole percentages, or too many for 4 bits."""
    for level in levels:
        if isinstance(level, bool) or not isinstance(level, int) or not 0 <= level <= 100:
            raise InputError(f"levels: {level!r} is not a share of the pixels; give whole percentages from 0 to 100")
    if not levels or sorted(set(levels)) != list(levels) or len(levels) > MOST_LEVELS:
        raise InputError(f"levels: {list(levels)} must be 1 to {MOST_LEVELS} different percentages, in ascending order")


def counts(levels: Sequence[int], values: int) -> list[int]:
    """How many of an image's `values` each level takes: the percentage, rounded to whole ones."""
    return [(level * values + 50) // 100 for level in levels]


def buckets(maps: Tensor, levels: Sequence[int], ids: Sequence[str], seed: int = 0) -> Tensor:
    """The first level that takes each value: uint8 like `maps`, 0 to L - 1, or L for never.

    Args:
        maps: `(n, h, w)` to rank pixels, or `(n, 3, h, w)` to rank channel values; larger is more important.
        levels: ascending percentages.
        ids: the images' names; ties are broken by a stream that belongs to (seed, id).
        seed: of the ties.
    """
    check_levels(levels)
    flat = maps.flatten(1)
    streams = [generator(seed, "removal ties", name) for name in ids]
    edges = torch.tensor(counts(levels, flat.shape[1]), dtype=torch.int32)
    return torch.bucketize(ranks(flat, streams), edges, right=True, out_int32=True).byte().view(maps.shape)


def replaced(buckets: Tensor, levels: Sequence[int], level: int, mode: Mode) -> Tensor:
    """Which values give way, bool like `buckets`: the most important `level` % (remove), or all but them (keep)."""
    if level not in levels:
        raise InputError(f"level: {level} is none of the levels {list(levels)} that the ranking was stored at")
    if mode not in ("remove", "keep"):
        raise InputError(f"mode: '{mode}' is not known; use 'remove' or 'keep'")
    taken = buckets <= list(levels).index(level)
    return taken if mode == "remove" else ~taken


def fill(pixels: Tensor, replaced: Tensor, mean: Tensor) -> Tensor:
    """Put the channel means `(3,)` where values are replaced: `(n, h, w)` whole pixels, `(n, 3, h, w)` channel values."""
    mask = replaced[:, None] if replaced.ndim == 3 else replaced
    return torch.where(mask, mean.to(pixels).view(1, 3, 1, 1), pixels)


def pack(buckets: Tensor) -> Tensor:
    """Two values a byte: uint8 `(n, ceil(p / 2))` for buckets of `p` values an image."""
    flat = buckets.flatten(1)
    if flat.shape[1] % 2:
        flat = torch.nn.functional.pad(flat, (0, 1))
    return flat[:, ::2] | flat[:, 1::2] << 4


def unpack(packed: Tensor, shape: Sequence[int]) -> Tensor:
    """Undo `pack`: uint8 `(n, *shape)`, where `shape` is an image's `(h, w)` or `(3, h, w)`."""
    values = torch.stack([packed & 15, packed >> 4], dim=2).flatten(1)
    return values[:, : int(torch.Size(shape).numel())].reshape(len(packed), *shape)
