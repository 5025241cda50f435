"""Random streams of the methods: each belongs to an image, not to its place in a batch."""

import hashlib

import torch
from torch import Tensor

from xailib.seeding import generator


def digest(image: Tensor) -> bytes:
    """Return 16 bytes that identify the content of one image `(3, h, w)`: its shape and float32 values."""
    values = image.detach().to("cpu", torch.float32).contiguous()
    return hashlib.blake2b(repr(tuple(values.shape)).encode() + values.numpy().tobytes(), digest_size=16).digest()


def generators(pixels: Tensor, seed: int, stream: str = "") -> list[torch.Generator]:
    """Return one CPU generator an image, seeded by (seed, stream, the image's content).

    The same image gets the same numbers alone, in any batch, in any order and on any device.

    Args:
        pixels: `(n, 3, h, w)`.
        seed: the study's seed.
        stream: a name that keeps two uses of one image's seed apart, such as the method's.
    """
    return [generator(seed, stream, digest(image)) for image in pixels]


def shared_generator(seed: int, stream: str = "") -> torch.Generator:
    """Return a CPU generator seeded by (seed, stream) alone, for draws that all images share."""
    return generator(seed, stream)
