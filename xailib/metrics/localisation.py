"""Does the map lie on the object? The pointing game (one pixel) and weakly supervised localisation (one box)."""

import hashlib
from typing import TYPE_CHECKING, Literal

import numpy as np
from torch import Tensor

from xailib.errors import InputError
from xailib.images import ImageBatch, box_masks
from xailib.metrics.boxes import BoxRule, ious_by_threshold
from xailib.models.model import Model
from xailib.registry import metric

if TYPE_CHECKING:
    import pandas as pd

REFERENCE_SIDE = 224
FEW = 4  # equal maxima up to which single distances cost less than those of the whole image
NAN = "the map is constant, or the image has no true box"


@metric(
    "pointing_game",
    better="higher",
    passes=False,
    range=(0, 1),
    label="Pointing game",
    columns=("distance",),
    nan=NAN,
    paper="Zhang et al. 2018, Excitation Backprop, arXiv 1608.00507, section 4.1; margin as in TorchRay",
)
def pointing_game(
    maps: Tensor,
    model: Model,
    images: ImageBatch,
    *,
    truth: Literal["boxes", "mask"] = "boxes",
    tolerance: float = 15.0,
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

    if tolerance < 0:
        raise InputError(f"tolerance: {tolerance} is no distance; use 0 or more pixels at a side of {REFERENCE_SIDE}")
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


@metric(
    "localisation",
    better="higher",
    passes=False,
    range=(0, 1),
    label="WSL localisation",
    columns=("iou", "threshold", "max_box_acc"),
    nan=f"{NAN}; value, iou and threshold also where the other half holds nothing to tune on",
    together=True,
    paper="Choe et al. 2020, Evaluating WSOL Methods Right, arXiv 2001.07437, equation 3 (MaxBoxAcc)",
)
def localisation(
    maps: Tensor,
    model: Model,
    images: ImageBatch,
    *,
    thresholds: int = 100,
    threshold: float | None = None,
    min_iou: float = 0.5,
    box: Literal["largest", "extent", "any"] = "largest",
    largest_by: Literal["pixels", "contour"] = "pixels",
    connectivity: int = 8,
) -> "pd.DataFrame":
    """Whether the box around the map's largest bright component fits a true box: 1 or 0.

    The map is scaled to [0, 1]; pixels above a threshold form components; the box of the largest hits when its IoU
    with any true box is `min_iou` or more. The threshold is tuned, for this stack of maps, by two-fold
    cross-fitting: the one with most hits in one half of the images (then the highest mean IoU, then the lowest)
    scores the other half. A stable hash of the ids deals the halves, so they are the same for every model and method.

    Args:
        thresholds: size of the grid 0, 1/thresholds, ... below 1, in units of the map's maximum.
        threshold: a fixed one instead of cross-fitting, in [0, 1).
        min_iou: IoU that counts as a hit. Choe's MaxBoxAccV2 is the mean over 0.3, 0.5 and 0.7 with `box="any"`.
        box, largest_by, connectivity: see `boxes.BoxRule`.

    Returns:
        `value`; `iou` at that `threshold` (its mean is the mean IoU); `max_box_acc`, the hit at the one threshold that
        is best over all images: its mean is MaxBoxAcc, tuned on what it scores, hence an upper bound.
    """
    import pandas as pd

    _check(thresholds, threshold, min_iou)
    grid = np.arange(thresholds) / thresholds
    rule = BoxRule(box, largest_by, connectivity)
    truth = [boxes.cpu().numpy() for boxes in images.boxes]
    ious = ious_by_threshold(maps.numpy(), truth, grid, rule)
    usable = ~np.isnan(ious[:, 0])
    best = _best(ious[usable], min_iou)
    max_box_acc = np.where(usable, ious[:, 0 if best is None else best] >= min_iou, np.nan)
    if threshold is None:
        half = halves(images.ids)
        chosen = [_best(ious[usable & (half != fold)], min_iou) for fold in (0, 1)]
        column = np.array([-1 if chosen[fold] is None else chosen[fold] for fold in half])
        scored = usable & (column >= 0)
        iou = np.where(scored, ious[np.arange(len(ious)), column], np.nan)
        used = np.where(scored, grid[column], np.nan)
    else:
        iou = ious_by_threshold(maps.numpy(), truth, np.array([threshold]), rule)[:, 0]
        scored, used = usable, np.where(usable, threshold, np.nan)
    value = np.where(scored, iou >= min_iou, np.nan)
    return pd.DataFrame({"value": value, "iou": iou, "threshold": used, "max_box_acc": max_box_acc})


def halves(ids: list[str]) -> np.ndarray:
    """Deal images to half 0 or 1 `(n,)`: alternately in the order of a hash of their ids, so that both are as large."""
    digests = [hashlib.blake2b(name.encode(), digest_size=16).digest() for name in ids]
    half = np.empty(len(ids), dtype=int)
    half[sorted(range(len(ids)), key=digests.__getitem__)] = np.arange(len(ids)) % 2
    return half


def _best(ious: np.ndarray, min_iou: float) -> int | None:
    """Index of the threshold with most hits in IoUs `(n, thresholds)`, then the highest mean IoU, then the lowest."""
    if not len(ious):
        return None
    # A mean IoU is at most 1, so half of it never outweighs a hit.
    return int(np.argmax((ious >= min_iou).sum(axis=0) + ious.mean(axis=0) / 2))


def _check(thresholds: int, threshold: float | None, min_iou: float) -> None:
    """Refuse options out of range."""
    if thresholds < 1:
        raise InputError(f"thresholds: {thresholds} is no size of a grid; use a positive whole number")
    if threshold is not None and not 0 <= threshold < 1:
        raise InputError(f"threshold: {threshold} is not a share of the map's maximum; use 0 or more and less than 1")
    if not 0 < min_iou <= 1:
        raise InputError(f"min_iou: {min_iou} is no intersection over union to reach; use a number above 0, up to 1")
