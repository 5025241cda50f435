"""Metrics: one call, `evaluate`, scores a stack of maps by any registered metric.

A metric carries its direction, range, extra columns and NaN rule as data (`registry.metric`), so that tables and
arrows are made from it. To add one, decorate a function `(maps, model, images, *, options) -> DataFrame` with
`@metric(...)` in a file of this folder; it is found by itself.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from xailib import engine
from xailib.errors import InputError, nearest
from xailib.images import ImageBatch
from xailib.metrics.checks import explained
from xailib.models.folding import lent
from xailib.models.model import Model
from xailib.models.state import untouched
from xailib.models.targets import as_model
from xailib.params import signatures
from xailib.registry import Entry
from xailib.registry import metric as metrics

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["curves", "evaluate", "list_metrics"]


def list_metrics(pattern: str = "*") -> list[str]:
    """Return the names of the metrics that match a shell pattern."""
    return metrics.names(pattern)


def evaluate(
    name: str | Sequence[str],
    maps: Any,
    model: Model,
    images: Any,
    *,
    targets: Any = None,
    batch_size: int | None = None,
    precision: str | None = None,
    progress: bool | None = None,
    keep_curves: dict[str, Tensor] | None = None,
    **options: Any,
) -> "pd.DataFrame":
    """Score every map by one metric, or by several.

    Args:
        name: a metric, or a list of them; `list_metrics()` names them.
        maps: what `attribute` returned, or any tensor or array `(n, h, w)`, finite, of the images' size; larger means more
            important.
        model: the network that the maps explain; it is left as found.
        images: the `n` images explained, as `attribute` takes them.
        targets: the classes to score the maps for, as `attribute` takes them. When None, those that the maps explain; for a
            plain tensor, which does not say, the images' labels.
        batch_size: network inputs a pass at most, see `engine.using`; changes no meaning, as the next two.
        precision: of the network's passes.
        progress: whether a bar shows them.
        keep_curves: a dict that gets the curve `(n, steps + 1)` of each metric that scores the area under one, by its name.
        options: the metrics' own keyword options; of several metrics, each gets those that it has.

    Returns:
        One row an image and metric, in their order: `image` (its id), `metric`, `value`, then the columns that the metrics
        declare (`registry.metric.get(name).columns`), NaN for the others. A value that is NaN means "not defined here", by the
        metric's `nan` rule. Localisation looks at the images' boxes, whatever class is scored.

    Raises:
        InputError: unknown metric, option or class, an option of a wrong kind, maps of a wrong shape, not finite or of other
            images than these, images that are none, a model that answers NaN.
    """
    names: Sequence[Any] = name if isinstance(name, list | tuple) else [name]
    entries = [metrics.get(one) for one in names]
    if not entries:
        raise InputError("name: the list of metrics is empty; list_metrics() names them")
    chosen = [_chosen(entry, options, entries) for entry in entries]
    settings = {"batch_size": batch_size, "precision": precision, "progress": progress}
    # A caller's inference_mode must not reach the metrics: what they make, such as random weights, may need gradients.
    with torch.inference_mode(False), engine.using(as_model(model), **settings):
        values, images = explained(maps, model, images, targets, passes=any(entry.passes for entry in entries))
        frames = []
        for entry, own in zip(entries, chosen, strict=True):
            with untouched(model) if entry.explains else lent(model, images.pixels, entry.function) as fast:
                scored, shown = _handed(entry, values, images)
                given = (maps, model) if entry.explains else (scored, fast)
                frame = _checked(entry, entry.function(*given, shown, **own), len(images))
            curve = frame.attrs.pop("curve", None)
            if keep_curves is not None and curve is not None:
                keep_curves[entry.name] = curve
            frame = frame[["value", *entry.columns]].reset_index(drop=True)
            frame.insert(0, "image", images.ids)
            frame.insert(1, "metric", entry.name)
            frames.append(frame)
    if len(frames) == 1:
        return frames[0]
    import pandas as pd

    return pd.concat(frames, ignore_index=True)


def _handed(entry: Entry, maps: Tensor, images: ImageBatch) -> tuple[Tensor, ImageBatch]:
    """Maps and images for a metric: copies for one of one's own, which may write into what the next one scores."""
    ours = entry.function.__module__.startswith("xailib.metrics.")
    return (maps, images) if ours else (maps.clone(), images.with_pixels(images.pixels.clone()))


def _checked(entry: Entry, frame: Any, n: int) -> "pd.DataFrame":
    """What a metric has returned, which need not be a table."""
    import pandas as pd

    columns = ("value", *entry.columns)
    if not isinstance(frame, pd.DataFrame) or len(frame) != n or not {*columns} <= {*frame.columns}:
        table = isinstance(frame, pd.DataFrame)
        told = f"{len(frame)} rows of {', '.join(map(str, frame.columns))}" if table else type(frame).__name__
        raise InputError(f"metric '{entry.name}' must return a table of {n} rows with {', '.join(columns)}, not {told}")
    if not pd.api.types.is_numeric_dtype(frame["value"]) or pd.api.types.is_complex_dtype(frame["value"]):
        raise InputError(f"metric '{entry.name}' must return numbers as value, not {frame['value'].dtype}")
    return frame


def _chosen(entry: Entry, options: dict[str, Any], entries: list[Entry]) -> dict[str, Any]:
    """The options of one metric: of those given, the ones that none but other metrics have are left out."""
    others = {key for other in entries if other is not entry for key in signatures.defaults(other.function, settled=())}
    own = signatures.defaults(entry.function, settled=())
    given = {key: value for key, value in options.items() if key in own or key not in others}
    return signatures.check("metric", entry.name, entry.function, given, settled=())


def curves(
    name: str,
    maps: Any,
    model: Model,
    images: Any,
    *,
    targets: Any = None,
    batch_size: int | None = None,
    precision: str | None = None,
    progress: bool | None = None,
    **options: Any,
) -> Tensor:
    """Return the curve that a metric scores the area under: the target's probability, float64 `(n, steps + 1)` on the CPU.

    Column `s` is what the network answers when `s / steps` of the pixels are deleted, inserted or imputed, the most important
    first; by `road_lerf` the least. Arguments and errors as in `evaluate`.
    """
    entry = metrics.get(name)
    if entry.curve is None:
        known = [one for one in metrics.names() if metrics.get(one).curve]
        raise InputError(f"metric '{name}' has no curve{nearest(name, known)}")
    options = signatures.check("metric", entry.name, entry.function, options, settled=())
    with engine.using(as_model(model), batch_size=batch_size, precision=precision, progress=progress):
        maps, images = explained(maps, model, images, targets)
        with lent(model, images.pixels, entry.curve) as fast:
            maps, images = _handed(entry, maps, images)
            found = entry.curve(maps, fast, images, **options)
    if not isinstance(found, Tensor) or found.ndim != 2 or len(found) != len(images):
        told = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
        raise InputError(f"metric '{name}': its curve must be a tensor ({len(images)}, steps + 1), not {told}")
    return found.double()
