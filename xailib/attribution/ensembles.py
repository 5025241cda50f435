"""Forms: how an estimator's map is made of a method's maps of one image, or of noisy copies of it.

A form is a plain function of the moments of the maps under `@estimator(...)`. One pass over the noisy copies serves
every form that reads them.
"""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from xailib.registry import estimator
from xailib.seeding import generators


@dataclass(frozen=True)
class Moments:
    """Mean and variance of a method's maps over copies of each image, value by value.

    Attributes:
        mean, variance: `(n, 3, h, w)` or `(n, h, w)`; the variance is the population's (divided by the copies). For
            forms that read no noise the one copy is the image itself, so the mean is its map and the variance 0.
    """

    mean: Tensor
    variance: Tensor


@estimator("plain", label="", family="base", noisy=False, paper="Hooker et al. 2019")
def plain(moments: Moments) -> Tensor:
    """The map as the method gives it, signed where the method is."""
    return moments.mean


@estimator("squared", label="SQ", family="squared", noisy=False, paper="Hooker et al. 2019")
def squared(moments: Moments) -> Tensor:
    """Its square: values rank by magnitude, so evidence against the class counts as much as evidence for it."""
    return moments.mean.square()


@estimator("smoothgrad", label="SG", family="smoothgrad", noisy=True, paper="Smilkov et al. 2017")
def smoothgrad(moments: Moments) -> Tensor:
    """The mean over noisy copies."""
    return moments.mean


@estimator("smoothgrad_then_squared", label="SQ-SG", family="squared", noisy=True, paper="Hooker et al. 2019")
def smoothgrad_then_squared(moments: Moments) -> Tensor:
    """The square of the mean over noisy copies."""
    return moments.mean.square()


@estimator("smoothgrad_squared", label="SG-SQ", family="ensemble", noisy=True, paper="Hooker et al. 2019")
def smoothgrad_squared(moments: Moments) -> Tensor:
    """The mean of the squares over noisy copies: variance plus squared mean."""
    return moments.variance + moments.mean.square()


@estimator("vargrad", label="VAR", family="ensemble", noisy=True, paper="Adebayo et al. 2018")
def vargrad(moments: Moments) -> Tensor:
    """The variance over noisy copies."""
    return moments.variance


def noisy_copies(pixels: Tensor, samples: int, noise: float, seed: int) -> Iterator[Tensor]:
    """Yield `samples` copies `(n, 3, h, w)` of the images, each with fresh Gaussian noise; not cut to [0, 1].

    The noise of an image comes from (seed, image content) alone; the first copies are the same for any `samples`.

    Args:
        noise: its standard deviation as a fraction of (max - min) of each image (Smilkov et al. 2017).
    """
    streams = generators(pixels, seed, "noise")
    spread = noise * (pixels.amax((1, 2, 3), keepdim=True) - pixels.amin((1, 2, 3), keepdim=True))
    for _ in range(samples):
        drawn = torch.stack([torch.randn(pixels.shape[1:], generator=stream) for stream in streams])
        yield pixels + spread * drawn.to(pixels)


def moments(explain: Callable[[Tensor, Tensor], Tensor], copies: Iterator[Tensor], together: int = 1) -> Moments:
    """Moments of the maps of `copies`, streaming: no more than `together` copies' maps are held at a time.

    Welford's update, copy by copy, so that neither `together` nor cancellation of large means changes the result.

    Args:
        explain: (pixels `(k n, 3, h, w)`, which image each is of `(k n,)`) -> their maps; called with up to `together`
            copies of all images at once.
        copies: the copies `(n, 3, h, w)` of the images, at least one.
    """
    mean = squares = torch.empty(0)
    count = 0
    while part := list(itertools.islice(copies, together)):
        images = torch.arange(len(part[0]), device=part[0].device)
        maps = explain(torch.cat(part), images.repeat(len(part)))
        for values in maps.split(len(images)):
            count += 1
            if count == 1:
                mean, squares = values.clone(), torch.zeros_like(values)
                continue
            step = values - mean
            mean += step / count
            squares += step * (values - mean)
    return Moments(mean, squares / count)
