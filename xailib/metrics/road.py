"""ROAD (Rong et al. 2022): how the target's probability falls where removed pixels become what their neighbours say.

A constant fill is a picture of which pixels went, and that picture alone can move the answer. Noisy linear imputation hides
it, and then removing the most important pixels first (MoRF) and the least important first (LeRF) rank methods alike, which
they do not on a constant fill.
"""

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

from annotated_types import Ge
from torch import Tensor

from xailib import engine
from xailib.images import ImageBatch
from xailib.metrics.imputation import impute
from xailib.metrics.removal import Ties, areas, counts, ranked
from xailib.models.model import Model
from xailib.registry import metric
from xailib.seeding import digest

if TYPE_CHECKING:
    import pandas as pd

FACTS = {
    "range": (0, 1),
    "columns": ("value_normalised", "full_score"),
    "nan": "the normalised value where the full image's probability is 0",
    "paper": "Rong et al. 2022, ROAD, arXiv 2202.00449",
}


def _curves(sign: int) -> Callable[..., Tensor]:
    """The curves of removing the most (+1) or the least (-1) important pixels first."""

    def curves(
        maps: Tensor,
        model: Model,
        images: ImageBatch,
        *,
        steps: Annotated[int, Ge(2)] = 10,
        noise: Annotated[float, Ge(0)] = 0.01,
        ties: Ties = "random",
        seed: int = 0,
    ) -> Tensor:
        """The target's probability `(n, steps + 1)`, float32 on the CPU, where `s / steps` of the pixels are imputed.

        Options:
            steps: intervals. The paper looks at every tenth of the pixels.
            noise: standard deviation of the noise on imputed pixels, which lie in [0, 1] before it; it is not clipped.
            ties: as in Deletion.
            seed: of the noise and of the order of ties, streams that belong to (seed, image).
        """
        height, width = maps.shape[1:]
        pixels, streams = images.pixels.cpu(), [digest(image) for image in images.pixels]
        order, points = ranked(sign * maps, images, ties, seed), counts(steps, height * width)
        mean = model.mean_colour.flatten().cpu()

        def perturbed(image: Tensor, sample: Tensor) -> Tensor:
            image, sample = image.cpu(), sample.cpu()
            removed = (order[image] < points[sample, None]).view(-1, height, width)
            ids = [streams[i] for i in image.tolist()]
            return impute(pixels[image], removed, noise=noise, seed=seed, ids=ids, fill=mean).to(model.device)

        return engine.scores(model, images.labels, steps + 1, perturbed, description=f"{model.id} ROAD").cpu()

    return curves


_morf, _lerf = _curves(+1), _curves(-1)


@metric("road_morf", better="lower", label="ROAD, most relevant first", curve=_morf, **FACTS)
@functools.wraps(_morf, assigned=["__annotations__"])
def road_morf(maps: Tensor, *inputs: Any, **options: Any) -> "pd.DataFrame":
    """Area under the target's probability while ever more of the most important pixels are imputed; lower is better.

    Options are those of the curve. Columns: `value`, the area by trapezoids; `value_normalised`, divided by the full image's
    probability (`full_score`). The curve's ends are the same for every map, so that methods rank as by the mean from 10 % to
    90 %, which pytorch-grad-cam gives.
    """
    return _table(_morf(maps, *inputs, **options), maps[0].numel())


@metric("road_lerf", better="higher", label="ROAD, least relevant first", curve=_lerf, **FACTS)
@functools.wraps(_lerf, assigned=["__annotations__"])
def road_lerf(maps: Tensor, *inputs: Any, **options: Any) -> "pd.DataFrame":
    """Area under the target's probability while ever more of the least important pixels are imputed; higher is better.

    Options and columns as in `road_morf`.
    """
    return _table(_lerf(maps, *inputs, **options), maps[0].numel())


def _table(curve: Tensor, pixels: int) -> "pd.DataFrame":
    """Scores of curves `(n, steps + 1)`."""
    found = areas(curve, pixels, full=0)[["value", *FACTS["columns"]]]
    found.attrs["curve"] = curve  # `evaluate` takes it off
    return found
