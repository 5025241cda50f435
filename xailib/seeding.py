"""Random streams that belong to (seed, image), so that batch size and order change nothing."""

import hashlib

import torch
from torch import Tensor


def generator(seed: int, *salts: int | str | bytes) -> torch.Generator:
    """Return a CPU generator whose stream depends on `seed` and `salts` alone."""
    digest = hashlib.blake2b(repr(seed).encode(), digest_size=8)
    for salt in salts:
        digest.update(salt if isinstance(salt, bytes) else f"/{salt}".encode())
    # The last bit is dropped because torch takes signed 64-bit seeds.
    return torch.Generator().manual_seed(int.from_bytes(digest.digest(), "big") >> 1)


def generators(pixels: Tensor, seed: int) -> list[torch.Generator]:
    """Return one generator for each image `(n, 3, h, w)`, seeded by `seed` and the image's own bytes."""
    return [generator(seed, image.numpy().tobytes()) for image in pixels.detach().float().cpu().contiguous()]
