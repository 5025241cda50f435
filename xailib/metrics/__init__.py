"""Metrics: one call, `evaluate`, scores a stack of maps by any registered metric.

A metric carries its direction, range, extra columns and NaN rule as data (`registry.metric`), so that tables and
arrows are made from it. To add one, decorate a function `(maps, model, images, *, options) -> DataFrame` with
`@metric(...)` in a file of this folder; it is found by itself.
"""

import importlib
import pkgutil
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from xailib import engine
from xailib import options as _options
from xailib.errors import InputError, nearest
from xailib.images import ImageBatch
from xailib.metrics import localisation, removal
from xailib.metrics.checks import checked_images, checked_maps, evaluation_mode
from xailib.models.model import Model
from xailib.registry import metric as metrics

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["curves", "evaluate", "list_metrics", "localisation", "removal"]


def list_metrics(pattern: str = "*") -> list[str]:
    """Return the names of the metrics that match a shell pattern."""
    return metrics.names(pattern)


def evaluate(
    name: str,
    maps: Tensor,
    model: Model,
    images: ImageBatch,
    *,
    batch_size: int | None = None,
    precision: str | None = None,
    progress: bool | None = None,
    **options: Any,
) -> "pd.DataFrame":
    """Score every map by one metric.

    Args:
        name: a metric; `list_metrics()` names them.
        maps: `(n, h, w)`, finite, of the images' size; larger means more important.
        model: the network that the maps explain; it is left as found.
        images: the `n` images explained; their labels are the targets of the maps.
        batch_size, precision, progress: how the network's passes are run, see `engine.using`; never the meaning.
        options: the metric's own keyword options.

    Returns:
        One row an image, in their order: `image` (its id), `metric`, `value`, then the columns that the metric
        declares (`registry.metric.get(name).columns`). NaN means "not defined here", by the metric's `nan` rule.

    Raises:
        InputError: unknown metric or option, an option of a wrong kind, maps of a wrong shape or not finite,
            repeated ids, a label that the model does not know, a model that answers NaN.
    """
    entry = metrics.get(name)
    options = _options.check("metric", name, entry.function, options, settled=())
    checked_images(images, model, passes=entry.passes)
    maps = checked_maps(maps, images)
    with engine.using(batch_size=batch_size, precision=precision, progress=progress), evaluation_mode(model):
        frame = entry.function(maps, model, images, **options)
    frame.insert(0, "image", images.ids)
    frame.insert(1, "metric", name)
    return frame[["image", "metric", "value", *entry.columns]]


def curves(
    name: str,
    maps: Tensor,
    model: Model,
    images: ImageBatch,
    *,
    batch_size: int | None = None,
    precision: str | None = None,
    progress: bool | None = None,
    **options: Any,
) -> Tensor:
    """Return the curve behind `deletion` or `insertion`: the target's probability, float64 `(n, steps + 1)` on the CPU.

    Column `s` is what the network answers when `s / steps` of the pixels are deleted (or inserted), the most important
    first. Arguments and errors as in `evaluate`.
    """
    if name not in removal.CURVES:
        raise InputError(f"metric '{name}' has no curve{nearest(name, removal.CURVES)}")
    options = _options.check("metric", name, metrics.get(name).function, options, settled=())
    checked_images(images, model)
    maps = checked_maps(maps, images)
    with engine.using(batch_size=batch_size, precision=precision, progress=progress), evaluation_mode(model):
        return removal.CURVES[name](maps, model, images, removal.Removal(**options)).to(torch.float64)


def _register() -> None:
    """Import every file of this folder, which registers its metrics."""
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")


_register()
