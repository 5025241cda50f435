"""Methods for the Slurm test: one that takes its time, one that takes memory. Copied into its checkout only."""

import time

import torch
from torch import Tensor

from xailib.models.model import Model
from xailib.registry import method


@method("sleepy", family="control", label="Sleepy", paper="")
def sleepy(model: Model, pixels: Tensor, targets: Tensor, *, seed: int, seconds: float = 90.0) -> Tensor:
    """Return maps of ones after a while: longer than a minute, which is Slurm's shortest limit."""
    time.sleep(seconds)
    return torch.ones(len(pixels), *pixels.shape[-2:])


@method("hungry", family="control", label="Hungry", paper="")
def hungry(model: Model, pixels: Tensor, targets: Tensor, *, seed: int, mebibytes: int = 3000) -> Tensor:
    """Return maps of ones while holding memory long enough for Slurm to see it."""
    held = torch.ones(mebibytes * 2**18)
    time.sleep(12)
    return torch.ones(len(pixels), *pixels.shape[-2:]) * held[0]
