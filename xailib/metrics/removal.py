"""Deletion and insertion (Petsiuk et al. 2018, RISE, section 4.1): how fast the target's probability falls or rises."""

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
import torch
from annotated_types import Ge, Gt
from torch import Tensor
from torch.nn import functional as F

from xailib import engine
from xailib.errors import InputError
from xailib.images import ImageBatch
from xailib.metrics.ranks import ranks
from xailib.models.model import Model
from xailib.registry import metric
from xailib.seeding import generator

if TYPE_CHECKING:
    import pandas as pd

Substrate = Literal["mean", "blur"]
Border = Literal["mean", "reflect"]
Ties = Literal["random", "stable"]
SUBSTRATES = ("mean", "blur")
COLUMNS = ("value_normalised", "value_peak_normalised", "full_score")
OTHERS = tuple(f"value_{substrate}{suffix}" for substrate in SUBSTRATES for suffix in ("", "_normalised"))
FACTS = {
    "range": (0, 1),
    "columns": (*COLUMNS, *OTHERS),
    "nan": "the normalised values where the score they divide by is 0",
    "paper": "Petsiuk et al. 2018, RISE, arXiv 1806.07421, section 4.1",
}


def _curves(inserting: bool, usual: Substrate) -> Callable[..., Tensor]:
    """The curves of insertion or of deletion, two games of the same options; `usual` is the default substrate."""

    def curves(
        maps: Tensor,
        model: Model,
        images: ImageBatch,
        *,
        steps: Annotated[int, Ge(2)] = 28,
        substrate: Substrate = usual,
        kernel: Annotated[int, Ge(1)] = 11,
        sigma: Annotated[float, Gt(0)] = 5.0,
        border: Border = "mean",
        ties: Ties = "random",
        also: Annotated[int, Ge(0)] = 0,
        seed: int = 0,
    ) -> Tensor:
        """The target's probability `(n, steps + 1)`, float32 on the CPU; the target is the image's label.

        Options:
            steps: intervals; a curve has `steps + 1` points. The reference changes 1,792 pixels at a time: 28 at 224 px.
            substrate: what stands for an absent pixel: the `mean` colour, which the network normalises to zero, or `blur`.
            kernel, sigma: side (odd) and standard deviation of the blur in pixels, whatever the image's side.
            border: what the blur sees outside the image: `mean` colour (the reference pads normalised pixels with zeros,
                so borders drift to the mean colour) or the image `reflect`ed.
            also: intervals of a second curve on the other substrate, which the metric scores beside; 0 is none.
            ties: equal values go at `random`, so that a constant map scores at chance, or in reading order (`stable`).
            seed: of the random order, a stream that belongs to (seed, image).
        """
        n, _, height, width = images.pixels.shape
        pixels = images.pixels.to(model.device)
        order = ranked(maps, images, ties, seed).to(model.device)
        mean = model.mean_colour.to(pixels.dtype).expand(1, 3, height, width)
        absent = mean if substrate == "mean" else blurred(pixels, model, kernel, sigma, border)
        points = counts(steps, height * width).to(model.device)
        # The mean-coloured image is one image, whatever it replaces: one pass serves the whole batch.
        shared = len(absent) < n
        if shared:
            points = points[1:] if inserting else points[:-1]

        def perturbed(image: Tensor, sample: Tensor) -> Tensor:
            first = order[image] < points[sample, None]  # the most important pixels, which have changed
            own = (first if inserting else ~first).view(-1, 1, height, width)
            return torch.where(own, pixels[image], absent if len(absent) == 1 else absent[image])

        name = f"{model.id} {'insertion' if inserting else 'deletion'}"
        found = engine.scores(model, images.labels, len(points), perturbed, description=name).cpu()
        if not shared:
            return found
        blank = engine.logits(model, absent).softmax(dim=1)[:, images.labels.cpu()].T
        return torch.cat([blank, found] if inserting else [found, blank], dim=1)

    return curves


# The two metrics take the options of their curves (`wraps` says so) and score the area under them.
_deletion, _insertion = _curves(inserting=False, usual="mean"), _curves(inserting=True, usual="blur")


@metric("deletion", better="lower", label="Deletion", curve=_deletion, **FACTS)
@functools.wraps(_deletion, assigned=["__annotations__"])
def deletion(maps: Tensor, *inputs: Any, **options: Any) -> "pd.DataFrame":
    """Area under the target's softmax probability while pixels are replaced, the most important first; lower is better.

    Options are those of the curve. Columns: `value`, the area by trapezoids over `steps + 1` points in [0, 1];
    `value_normalised`, divided by the full image's probability (`full_score`); `value_peak_normalised`, divided by the
    curve's maximum; and `value` and `value_normalised` by the name of their substrate, the other's with `also`.
    """
    return _table(_deletion, maps, *inputs, full=0, **options)


@metric("insertion", better="higher", label="Insertion", curve=_insertion, **FACTS)
@functools.wraps(_insertion, assigned=["__annotations__"])
def insertion(maps: Tensor, *inputs: Any, **options: Any) -> "pd.DataFrame":
    """Area under the target's probability while pixels are put back, the most important first; higher is better.

    Options and columns as in `deletion`.
    """
    return _table(_insertion, maps, *inputs, full=-1, **options)


def counts(steps: int, pixels: int, option: str = "steps") -> Tensor:
    """Pixels changed at each of the `steps + 1` points, int64, from 0 to all of them, as even as whole pixels allow.

    More steps than pixels are an `InputError` that names the `option` that asks for them.
    """
    if steps > pixels:
        raise InputError(f"{option}: {steps} is more than the image's {pixels} pixels")
    return torch.linspace(0, pixels, steps + 1, dtype=torch.float64).round().long()


def ranked(maps: Tensor, images: ImageBatch, ties: Ties, seed: int) -> Tensor:
    """Place of every pixel `(n, h * w)` int32 in the order from most (0) to least important."""
    if ties == "stable":
        return ranks(maps.flatten(1))
    streams = [generator(seed, "ties", image.contiguous().numpy().tobytes()) for image in images.pixels.cpu()]
    return ranks(maps.flatten(1), streams)


def blurred(pixels: Tensor, model: Model, kernel: int, sigma: float, border: Border) -> Tensor:
    """Blur pixels `(n, 3, h, w)` with a `kernel` x `kernel` Gaussian.

    The reference makes its kernel by smoothing a delta on a `kernel`-wide grid with reflecting edges, which folds
    the tails back in: a little flatter than a cut Gaussian, and of sum 1. Padding normalised pixels with zeros is
    padding pixels with the mean colour.
    """
    from scipy.ndimage import gaussian_filter1d

    if kernel % 2 == 0:
        raise InputError(f"kernel: {kernel} has no middle; use an odd number")
    weights = torch.from_numpy(gaussian_filter1d(np.eye(1, kernel, kernel // 2)[0], sigma)).to(pixels)
    padding = [kernel // 2] * 4
    centred = pixels - model.mean_colour
    if border == "reflect" and kernel // 2 >= min(pixels.shape[2:]):
        raise InputError(f"kernel: {kernel} is too wide to reflect images of {tuple(pixels.shape[2:])} pixels")
    padded = F.pad(centred, padding, mode="reflect" if border == "reflect" else "constant")
    rows = F.conv2d(padded, weights.view(1, 1, -1, 1).repeat(3, 1, 1, 1), groups=3)
    return F.conv2d(rows, weights.view(1, 1, 1, -1).repeat(3, 1, 1, 1), groups=3) + model.mean_colour


def _table(curves: Callable[..., Tensor], maps: Tensor, *inputs: Any, full: int, **options: Any) -> "pd.DataFrame":
    """Areas under the curves of maps `(n, h, w)` on one substrate or both; `full` is the curves' column of the full image."""
    counts(options["also"], maps[0].numel(), "also")
    curve = curves(maps, *inputs, **options)
    found = areas(curve, maps[0].numel(), full)
    own = options["substrate"]
    other = SUBSTRATES[own == SUBSTRATES[0]]
    tables = {own: found, other: found.assign(value=np.nan, value_normalised=np.nan)}
    if options["also"]:
        second = options | {"substrate": other, "steps": options["also"]}
        tables[other] = areas(curves(maps, *inputs, **second), maps[0].numel(), full)
    for name, table in tables.items():
        found = found.assign(**{f"value_{name}": table["value"], f"value_{name}_normalised": table["value_normalised"]})
    found.attrs["curve"] = curve  # `evaluate` takes it off
    return found


def areas(curves: Tensor, pixels: int, full: int) -> "pd.DataFrame":
    """Areas under curves `(n, steps + 1)`; `full` is the column of the full image."""
    import pandas as pd

    curves = curves.double()
    steps = curves.shape[1] - 1
    value = torch.trapezoid(curves, counts(steps, pixels).double() / pixels, dim=1)
    score, peak = curves[:, full], curves.amax(dim=1)
    columns = (value, _ratio(value, score), _ratio(value, peak), score)
    return pd.DataFrame({name: column.numpy() for name, column in zip(("value", *COLUMNS), columns, strict=True)})


def _ratio(value: Tensor, by: Tensor) -> Tensor:
    """`value / by`, NaN where `by` is 0."""
    return torch.where(by > 0, value / by, torch.nan)
