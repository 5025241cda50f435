"""How a map becomes colours, the same wherever one is drawn: galleries, contact sheets of slices, the explorer."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

SEQUENTIAL, DIVERGING = "cividis", "RdBu_r"  # Matplotlib's: of maps without and with negative values
PERCENTILE = 0.995  # where the scale ends: a few pixels of a gradient map would hide the rest


def is_signed(maps: Any) -> bool:
    """Whether a map, or any of a stack, has negative values: such maps are drawn with white at zero."""
    return bool((np.asarray(maps) < 0).any())


def palette(signed: bool) -> str:
    """Return the name of Matplotlib's colour map for maps that have negative values, or have none."""
    return DIVERGING if signed else SEQUENTIAL


def limits(values: Any, signed: bool | None = None) -> tuple[float, float]:
    """Return the values of one map `(h, w)` that get the first and the last colour.

    The scale ends at `PERCENTILE` of the magnitude. A signed map's is the same on both sides of zero; an unsigned one's
    begins at the minimum, because RISE's maps are far from zero everywhere: only their differences say something.

    Args:
        values: the map.
        signed: whether the maps it is drawn beside have negative values; when None, whether this one does.
    """
    values = np.asarray(values, float)
    top = float(max(np.quantile(np.abs(values), PERCENTILE), np.abs(values).max() * 1e-3)) or 1.0
    if is_signed(values) if signed is None else signed:
        return -top, top
    low = float(values.min())
    return low, top if top > low else low + 1.0  # a constant map has no differences: it is dark


def coloured(values: Any, signed: bool | None = None) -> NDArray[np.uint8]:
    """Return one map `(h, w)` as pixels `(h, w, 3)`, uint8: on its own scale (`limits`), in the colours of `palette`."""
    from matplotlib import colormaps

    values = np.asarray(values, float)
    signed = is_signed(values) if signed is None else signed
    low, high = limits(values, signed)
    return colormaps[palette(signed)]((values - low) / (high - low), bytes=True)[..., :3]
