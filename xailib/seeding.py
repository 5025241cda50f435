"""Random streams that belong to (seed, image), so that batch size and order change nothing."""

import hashlib
import operator
from typing import Any

import torch
from torch import Tensor

from xailib.errors import InputError


def whole(seed: Any) -> int:
    """Return a seed as an int: a whole number from 0 of any integer type, else an `InputError`."""
    try:
        number = -1 if isinstance(seed, bool) or getattr(seed, "dtype", None) is torch.bool else operator.index(seed)
    except TypeError:  # fractions, text, None, several numbers
        number = -1
    if number < 0:
        raise InputError(f"seed: {seed!r} is not a whole number from 0")
    return number


def generator(seed: int, *salts: int | str | bytes) -> torch.Generator:
    """Return a CPU generator whose stream depends on `seed` and `salts` alone."""
    digest = hashlib.blake2b(repr(whole(seed)).encode(), digest_size=8)
    for salt in salts:
        digest.update(salt if isinstance(salt, bytes) else f"/{salt}".encode())
    # The last bit is dropped because torch takes signed 64-bit seeds.
    return torch.Generator().manual_seed(int.from_bytes(digest.digest(), "big") >> 1)


def digest(image: Tensor) -> bytes:
    """Return 16 bytes that identify the content of one image `(3, h, w)`: its shape and float32 values."""
    values = image.detach().to("cpu", torch.float32).contiguous()
    return hashlib.blake2b(repr(tuple(values.shape)).encode() + values.numpy().tobytes(), digest_size=16).digest()


def generators(pixels: Tensor, seed: int, stream: str | None = None) -> list[torch.Generator]:
    """Return one CPU generator for each image `(n, 3, h, w)`, seeded by (seed, stream, the image's content).

    The same image gets the same numbers alone, in any batch, in any order and on any device.

    Args:
        stream: a name that keeps two uses of one image's seed apart, such as a method's; None for what changes images
            themselves (shifts, attacks), whose streams belong to the bytes alone.
    """
    if stream is None:
        return [generator(seed, image.numpy().tobytes()) for image in pixels.detach().float().cpu()]
    return [generator(seed, stream, digest(image)) for image in pixels]
