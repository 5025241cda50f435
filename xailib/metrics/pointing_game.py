"""The pointing game: does the map's maximum lie on the object?"""

from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from annotated_types import Ge
from torch import Tensor

from xailib.images import ImageBatch, box_masks
from xailib.models.model import Model
from xailib.registry import metric

if TYPE_CHECKING:
    import pandas as pd

REFERENCE_SIDE = 224
FEW = 4  # equal maxima up to which single distances cost less than those of the whole image


@metric(
    "pointing_game",
    better="higher",
    passes=False,
    range=(0, 1),
    label="Pointing game",
    columns=("distance",),
    nan="the map is constant, or the image has no true box",
    paper="Zhang et al. 2018, Excitation Backprop, arXiv 1608.00507, section 4.1; margin as in TorchRay",
)
def pointing_game(
    maps: Tensor,
    model: Model,
    images: ImageBatch,
    *,
    truth: Literal["boxes", "mask"] = "boxes",
    tolerance: Annotated[float, Ge(0)] = 15.0,
    strict: bool = True,
) -> "pd.DataFrame":
    """Whether the map's maximum lies on the object or within a margin of it: 1 or 0.

    Several equal maxima give the share of them that hit: what a random choice among them would expect. So saturated
    maps are neither favoured nor punished, and where an image keeps its object cannot matter.

    Args:
        truth: the `boxes` of the class, or the object's `mask`.
        tolerance: margin in pixels at a side of 224; scaled by the image's shorter side.
        strict: the distance must be less than the margin (TorchRay), not just at most it. Distances run between
            pixel centres.

    Returns:
        `value`, and `distance`: pixels from the maximum to the nearest pixel of the object (mean over equal maxima).
        Averages over images are micro-averages; TorchRay's are means over classes.
    """
    import pandas as pd

    height, width = maps.shape[1:]
    margin = tolerance * min(height, width) / REFERENCE_SIDE
    objects = images.masks.cpu() if truth == "mask" else box_masks(images.boxes, height, width)
    peaks = (maps == maps.amax(dim=(1, 2), keepdim=True)).numpy()
    rows = []
    for peak, there in zip(peaks, objects.numpy(), strict=True):
        if peak.all() or not there.any():
            rows.append((np.nan, np.nan))
            continue
        distance = _distances(peak, there)
        hit = (distance == 0) | (distance < margin if strict else distance <= margin)
        rows.append((hit.mean(), distance.mean()))
    return pd.DataFrame(rows, columns=["value", "distance"], dtype=float)


def _distances(peak: np.ndarray, there: np.ndarray) -> np.ndarray:
    """Distance `(k,)` of each of the k pixels of a bool map `(h, w)` to the nearest pixel of another."""
    from scipy.ndimage import distance_transform_edt

    (y, x), (rows, columns) = np.nonzero(peak), np.nonzero(there)
    if len(y) > FEW:
        return distance_transform_edt(~there)[peak]
    return np.sqrt(((y[:, None] - rows) ** 2 + (x[:, None] - columns) ** 2).min(axis=1))
