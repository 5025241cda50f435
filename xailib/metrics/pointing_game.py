"""The pointing game: does the map's maximum lie on the object?"""

from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from annotated_types import Ge
from torch import Tensor

from xailib.images import ImageBatch
from xailib.metrics.checks import objects
from xailib.models.model import Model
from xailib.registry import metric

if TYPE_CHECKING:
    import pandas as pd

Margin = Literal["original", "input"]
# The shorter side, in pixels, that the margin belongs to. TorchRay measures on the original photograph: most of PASCAL VOC's and
# ImageNet's are 500 x 375. Reimplementations often take the same pixels of the network's input.
SIDES = {"original": 375, "input": 224}
FEW = 4  # equal maxima up to which single distances cost less than those of the whole image


@metric(
    "pointing_game",
    better="higher",
    passes=False,
    range=(0, 1),
    label="Pointing game",
    columns=("distance", "value_original", "value_input", "value_mask"),
    nan="the map is constant, or the image has no true box; value_mask also where it has no exact mask",
    paper="Zhang et al. 2018, Excitation Backprop, arXiv 1608.00507, section 4.1; margin of TorchRay",
)
def pointing_game(
    maps: Tensor,
    model: Model,
    images: ImageBatch,
    *,
    truth: Literal["boxes", "mask"] = "boxes",
    margin: Margin = "original",
    tolerance: Annotated[float, Ge(0)] = 15.0,
    strict: bool = True,
) -> "pd.DataFrame":
    """Whether the map's maximum lies on the object or within a margin of it: 1 or 0.

    Several equal maxima give the share of them that hit: what a random choice among them would expect. So saturated
    maps are neither favoured nor punished, and where an image keeps its object cannot matter.

    Args:
        truth: the `boxes` of the class, or the object's `mask`.
        margin: what the tolerance's pixels belong to, and are scaled from to the image's shorter side: the `original`
            photograph of 375 px (TorchRay), or the network's `input` of 224 px.
        tolerance: how far from the object still counts, in these pixels.
        strict: the distance must be less than the margin (TorchRay), not just at most it. Distances run between
            pixel centres.

    Returns:
        `value`; `distance`: pixels from the maximum to the nearest pixel of the object (mean over equal maxima); and the
        values under either margin, and on the exact mask without any.
        Averages over images are micro-averages; TorchRay's are means over classes.
    """
    import pandas as pd

    margins = {name: tolerance * min(maps.shape[1:]) / side for name, side in SIDES.items()}
    boxes, exact = objects(images)
    masks = images.masks.cpu()
    peaks = (maps == maps.amax(dim=(1, 2), keepdim=True)).numpy()
    rows: list[dict[str, float]] = []
    for peak, there, mask, known in zip(peaks, masks if truth == "mask" else boxes, masks, exact, strict=True):
        rows.append({})
        if peak.all() or not there.any():
            continue
        distance = _distances(peak, there.numpy())
        rows[-1]["distance"] = distance.mean()
        for name, away in margins.items():
            hit = (distance == 0) | (distance < away if strict else distance <= away)
            rows[-1][f"value_{name}"] = hit.mean()
        rows[-1]["value_mask"] = mask.numpy()[peak].mean() if known else np.nan
    columns = ["distance", "value_original", "value_input", "value_mask"]
    found = pd.DataFrame(rows, columns=columns, dtype=float)
    return found.assign(value=found[f"value_{margin}"])


def _distances(peak: np.ndarray, there: np.ndarray) -> np.ndarray:
    """Distance `(k,)` of each of the k pixels of a bool map `(h, w)` to the nearest pixel of another."""
    from scipy.ndimage import distance_transform_edt

    y, x = np.nonzero(peak)
    if there[y, x].all():
        return np.zeros(len(y))
    if len(y) > FEW:
        return distance_transform_edt(~there)[peak]
    rows, columns = np.nonzero(there)
    return np.sqrt(((y[:, None] - rows) ** 2 + (x[:, None] - columns) ** 2).min(axis=1))
