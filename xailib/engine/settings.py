"""How passes are run: batch size, precision, and what they have cost so far."""

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from numbers import Integral
from typing import TYPE_CHECKING, Any

from xailib.engine.cost import Cost
from xailib.engine.fixed_shape import MODES, Mode
from xailib.engine.passes import PRECISIONS, Precision, without_tf32
from xailib.errors import InputError

if TYPE_CHECKING:
    from xailib.models.model import Model

CPU_PIXELS = 2**18  # a pass, 64 images of 64 pixels or 5 of 224: what is between two layers then stays in the caches


@dataclass(frozen=True)
class Settings:
    """How passes are run; never part of a result's meaning."""

    batch_size: int = 128  # at most: see `using`
    precision: Precision = "fp32"
    progress: bool = False
    compile: Mode = "auto"
    cost: Cost = field(default_factory=Cost)
    fitting: dict[tuple[Any, ...], int] = field(default_factory=dict)  # chunks that memory has made smaller


_START = Settings()
_current: ContextVar[Settings] = ContextVar("xailib_settings", default=_START)


def current() -> Settings:
    """Return the settings that hold here."""
    return _current.get()


@contextlib.contextmanager
def using(model: "Model | None" = None, **changes: Any) -> Iterator[Settings]:
    """Run the block with other settings, and a fresh `cost` that the block can read afterwards.

    What a block inside this one costs counts here too, so `with engine.using() as run: attribute(...)` measures it.
    For a `model` on a CPU a pass takes `CPU_PIXELS` at most, whatever the batch size: more images are no faster together.
    In fp32 a GPU's convolutions and products are exact as well: no TF32.
    """
    outer = _current.get()
    fresh = {"cost": Cost(hear=outer.cost.hear), "fitting": {} if outer is _START else outer.fitting}
    settings = replace(outer, **{**fresh, **{k: v for k, v in changes.items() if v is not None}})
    size = settings.batch_size
    if isinstance(size, bool) or not isinstance(size, Integral) or size < 1:
        raise InputError(f"batch_size: {size!r} is not a positive number of images; give a whole number from 1")
    settings = replace(settings, batch_size=int(size))
    if settings.precision not in PRECISIONS:
        raise InputError(f"precision: '{settings.precision}' is not known; use {', '.join(PRECISIONS)}")
    if settings.compile not in MODES:
        raise InputError(f"compile: '{settings.compile}' is not known; use {', '.join(MODES)}")
    if model is not None and model.device.type == "cpu":
        most = max(1, CPU_PIXELS // model.input_size**2)
        settings = replace(settings, batch_size=min(settings.batch_size, most))
    token = _current.set(settings)
    try:
        with without_tf32() if settings.precision == "fp32" else contextlib.nullcontext():
            yield settings
    finally:
        _current.reset(token)
        outer.cost.add(settings.cost)
