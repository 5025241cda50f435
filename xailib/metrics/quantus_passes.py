"""Quantus' metrics that ask the network: faithfulness, and the axiom of non-sensitivity."""

from typing import TYPE_CHECKING, Annotated

from annotated_types import Ge, Gt, Lt
from torch import Tensor

from xailib import engine
from xailib.errors import InputError
from xailib.images import ImageBatch
from xailib.metrics import shown
from xailib.metrics.quantus import by_hiding, spearman
from xailib.metrics.shown import CONSTANT
from xailib.models.model import Model
from xailib.registry import metric

if TYPE_CHECKING:
    import pandas as pd

CORRELATION = {"better": "higher", "range": (-1, 1), "nan": f"{CONSTANT}, or the output does not change"}


@metric(
    "faithfulness_correlation",
    label="Faithfulness correlation",
    paper="Bhatt et al. 2020, def. 3; Quantus",
    **CORRELATION,
)
def faithfulness_correlation(
    maps: Tensor,
    model: Model,
    images: ImageBatch,
    *,
    samples: Annotated[int, Ge(2)] = 100,
    share: Annotated[float, Gt(0), Lt(1)] = 0.05,
    output: engine.Output = "probability",
    seed: int = 0,
) -> "pd.DataFrame":
    """Correlation, over random sets of pixels, of a set's sum in the map and what the output loses without the set.

    Args:
        samples: sets, one pass each.
        share: of the pixels, in a set.
        output: `probability` or `logit`.
        seed: of the sets, a stream that belongs to (seed, image).
    """
    pixels = maps[0].numel()
    sets = {"nr_runs": samples, "subset_size": max(1, min(round(share * pixels), pixels - 1))}
    return by_hiding("FaithfulnessCorrelation", maps, model, images, output, seed, perturb_baseline=0.0, **sets)


@metric(
    "faithfulness_estimate",
    label="Faithfulness estimate",
    paper="Alvarez-Melis & Jaakkola 2018; Quantus",
    **CORRELATION,
)
def faithfulness_estimate(
    maps: Tensor,
    model: Model,
    images: ImageBatch,
    *,
    steps: Annotated[int, Ge(2)] = 28,
    output: engine.Output = "probability",
) -> "pd.DataFrame":
    """As `faithfulness_correlation`, over the sets that the map's own order cuts the pixels into: the highest first.

    Args:
        steps: sets, one pass each: the nearest number that cuts the pixels into sets of one size.
        output: as there.
    """
    sets = {"features_in_step": _each(steps, maps[0].numel()), "perturb_baseline": 0.0}
    return by_hiding("FaithfulnessEstimate", maps, model, images, output, 0, **sets)


def _each(steps: int, pixels: int) -> int:
    """Pixels in each of about `steps` sets of one size.

    Sets of other sizes correlate by their size alone: a last one that was smaller by a seventh made 0.95 of chance.
    """
    sizes = [size for size in range(1, max(pixels, 2)) if pixels % size == 0]
    return min(sizes, key=lambda size: abs(pixels / size - steps))


@metric(
    "monotonicity_correlation", label="Monotonicity", paper="Nguyen & Martinez 2020, metric 2.3; Quantus", **CORRELATION
)
def monotonicity_correlation(
    maps: Tensor,
    model: Model,
    images: ImageBatch,
    *,
    steps: Annotated[int, Ge(2)] = 28,
    samples: Annotated[int, Ge(1)] = 10,
    output: engine.Output = "probability",
    seed: int = 0,
) -> "pd.DataFrame":
    """Rank correlation of a set's sum of absolute values and the mean square change of the output when the set is dimmed.

    Args:
        steps: sets that the map's order cuts the pixels into, as in `faithfulness_estimate`.
        samples: times that each is dimmed to a random degree, one pass each.
        output: `probability` or `logit`.
        seed: of the degrees, a stream that belongs to (seed, image).
    """
    each = _each(steps, maps[0].numel())
    sets = {"features_in_step": each, "nr_samples": samples, "similarity_func": spearman}
    return by_hiding("MonotonicityCorrelation", maps, model, images, output, seed, **sets)


@metric(
    "non_sensitivity", better="lower", range=(0, 1), label="Non-sensitivity", nan=CONSTANT,
    paper="Nguyen & Martinez 2020, metric 2.4, after Ancona et al. 2019; Quantus",
)  # fmt: skip
def non_sensitivity(
    maps: Tensor,
    model: Model,
    images: ImageBatch,
    *,
    cells: Annotated[int, Ge(2)] = 7,
    eps: Annotated[float, Gt(0)] = 0.01,
    output: engine.Output = "probability",
) -> "pd.DataFrame":
    """Share of the image's cells where the map says nothing and the output changes without them, or the other way round.

    Args:
        cells: of a side of the grid, over which the map is averaged; one pass a cell. No more than the image has pixels.
        eps: what counts as nothing: a cell's value as a share of the largest, and the change of the output.
        output: `probability` or `logit`.
    """
    if cells > min(maps.shape[1:]):
        height, width = maps.shape[1:]
        raise InputError(f"cells: {cells} x {cells} are too many for images of {height} x {width} pixels")
    where = shown.cells(cells, cells, *maps.shape[1:])
    coarse = (shown.sums(maps, where) / where.flatten().bincount()).view(-1, cells, cells)
    frame = by_hiding("NonSensitivity", coarse, model, images, output, 0, eps=eps, perturb_baseline=0.0)
    return frame / cells**2
