"""Weakly supervised localisation: does the box around a map's bright part fit the object?

Choe et al. 2020, Evaluating Weakly Supervised Object Localization Methods Right, arXiv 2001.07437.
"""

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from annotated_types import Ge, Gt, Le, Lt
from torch import Tensor

from xailib.images import ImageBatch
from xailib.models.model import Model
from xailib.registry import metric

if TYPE_CHECKING:
    import pandas as pd


@metric(
    "localisation",
    better="higher",
    passes=False,
    range=(0, 1),
    label="WSL localisation",
    columns=("iou", "threshold", "max_box_acc", "value_largest", "value_extent"),
    nan="the map is constant, or the image has no true box; value, iou and threshold also where the other half holds "
    "nothing to tune on",
    together=True,
    paper="Choe et al. 2020, Evaluating WSOL Methods Right, arXiv 2001.07437, equation 3 (MaxBoxAcc)",
)
def localisation(
    maps: Tensor,
    model: Model,
    images: ImageBatch,
    *,
    thresholds: Annotated[int, Ge(1)] = 100,
    threshold: Annotated[float, Ge(0), Lt(1)] | None = None,
    min_iou: Annotated[float, Gt(0), Le(1)] = 0.5,
    box: Literal["largest", "extent", "any"] = "largest",
    largest_by: Literal["pixels", "contour"] = "pixels",
    connectivity: Literal[4, 8] = 8,
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
        box, largest_by, connectivity: see `BoxRule`.

    Returns:
        `value`; `iou` at that `threshold` (its mean is the mean IoU); `max_box_acc`, the hit at the one threshold that
        is best over all images: its mean is MaxBoxAcc, tuned on what it scores, hence an upper bound; and the values by
        the box of the `largest` component and of the `extent` of all pixels, each at a threshold of its own.
    """
    import pandas as pd

    grid = np.arange(thresholds) / thresholds
    truth = [boxes.cpu().numpy() for boxes in images.boxes]
    found: dict[str, np.ndarray] = {}
    for kind in dict.fromkeys((box, "largest", "extent")):
        rule = BoxRule(kind, largest_by, connectivity)
        ious = ious_by_threshold(maps.numpy(), truth, grid, rule)
        if threshold is None:
            iou, used = _cross_fitted(ious, grid, halves(images.ids), min_iou)
        else:
            iou = ious_by_threshold(maps.numpy(), truth, np.array([threshold]), rule)[:, 0]
            used = np.where(np.isnan(iou), np.nan, threshold)
        hit = np.where(np.isnan(iou), np.nan, iou >= min_iou)
        found |= {f"value_{kind}": hit} if kind in ("largest", "extent") else {}
        if kind == box:
            found |= {"value": hit, "iou": iou, "threshold": used, "max_box_acc": _at_best(ious, min_iou)}
    return pd.DataFrame(found)


def _cross_fitted(ious: np.ndarray, grid: np.ndarray, half: np.ndarray, min_iou: float) -> tuple[np.ndarray, ...]:
    """IoU `(n,)` of each image at the threshold that is best in the other half, and that threshold; NaN for none."""
    usable = ~np.isnan(ious[:, 0])
    chosen = [_best(ious[usable & (half != fold)], min_iou) for fold in (0, 1)]
    column = np.array([-1 if chosen[fold] is None else chosen[fold] for fold in half])
    scored = usable & (column >= 0)
    iou = np.where(scored, ious[np.arange(len(ious)), column], np.nan)
    return iou, np.where(scored, grid[column], np.nan)


def _at_best(ious: np.ndarray, min_iou: float) -> np.ndarray:
    """Hits `(n,)` at the one threshold that is best over all images, NaN where there is no IoU."""
    usable = ~np.isnan(ious[:, 0])
    best = _best(ious[usable], min_iou)
    return np.where(usable, ious[:, 0 if best is None else best] >= min_iou, np.nan)


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


LABELLED = 200_000  # pixels that are labelled at once: more are slow, as they do not stay in the processor's cache


@dataclass(frozen=True)
class BoxRule:
    """How the pixels above a threshold become a box.

    Attributes:
        box: the box of the `largest` component (MaxBoxAcc), the `extent` of all pixels, or of `any` component,
            the one that fits best (MaxBoxAccV2).
        largest_by: `pixels`, or the area within the `contour` through its outermost pixel centres, its holes and what
            lies in them included, which a line does not have (wsolevaluation: OpenCV's contours). Of equal components
            the one that starts last in reading order is taken, as there.
        connectivity: 8 or 4 neighbours.
    """

    box: Literal["largest", "extent", "any"] = "largest"
    largest_by: Literal["pixels", "contour"] = "pixels"
    connectivity: Literal[4, 8] = 8


def ious_by_threshold(maps: np.ndarray, truth: list[np.ndarray], grid: np.ndarray, rule: BoxRule) -> np.ndarray:
    """IoU `(n, thresholds)` of each map's box with the true box it fits best; NaN for a constant map or no true box.

    Args:
        maps: float32 `(n, h, w)`; each is scaled to [0, 1] by its own minimum and maximum.
        truth: `n` arrays `(k, 4)`: x1, y1, x2, y2 in pixels, x2 and y2 exclusive.
        grid: thresholds in [0, 1); pixels strictly above one belong to components.
        rule: which component, and what the largest is.
    """
    result = np.full((len(maps), len(grid)), np.nan)
    for row, (values, boxes) in enumerate(zip(maps, truth, strict=True)):
        low, high = values.min(), values.max()
        if low == high or not len(boxes):
            continue
        # Double precision keeps the range of very large and very small maps.
        scaled = ((values - np.float64(low)) / (np.float64(high) - low)).astype(np.float32)
        found, owner = boxes_by_threshold(scaled, grid, rule)
        best = iou(found, boxes).max(axis=1)
        result[row] = 0
        np.maximum.at(result[row], owner, best)
    return result


def boxes_by_threshold(scaled: np.ndarray, grid: np.ndarray, rule: BoxRule) -> tuple[np.ndarray, np.ndarray]:
    """Boxes `(k, 4)` of a map `(h, w)` in [0, 1] at every threshold, and the index of the threshold `(k,)` each is of."""
    # In the map's own precision, so that a value of 0.2 is not above a threshold of 0.2.
    grid = grid.astype(scaled.dtype)
    extents = _extents(*(scaled.max(axis=axis) > grid[:, None] for axis in (1, 0)))
    if rule.box == "extent":
        return extents, np.arange(len(grid))
    boxes, owners, start = [], [], 0
    while start < len(grid):
        x1, y1, x2, y2 = extents[start]  # what is above a higher threshold lies in it too
        step = max(1, LABELLED // ((x2 - x1) * (y2 - y1)))
        found, owner = _components(scaled[y1:y2, x1:x2], grid[start : start + step], rule)
        boxes.append(found + np.array([x1, y1, x1, y1]))
        owners.append(owner + start)
        start += step
    return np.concatenate(boxes), np.concatenate(owners)


def _components(scaled: np.ndarray, grid: np.ndarray, rule: BoxRule) -> tuple[np.ndarray, np.ndarray]:
    """What `boxes_by_threshold` returns, of components.

    One labelling serves all thresholds: the thresholded maps are stacked and neighbours stay within their layer.
    """
    from scipy import ndimage

    above = scaled > grid[:, None, None]
    if rule.box == "largest" and rule.largest_by == "contour":
        above = _filled(above, 12 - rule.connectivity)  # a line of 8 neighbours parts a background of 4, and so round
    labels, number = ndimage.label(above, _neighbours(rule.connectivity))
    if rule.box == "any":
        slices = ndimage.find_objects(labels)
        boxes = np.array([(x.start, y.start, x.stop, y.stop) for _, y, x in slices])
        return boxes, np.array([layer.start for layer, _, _ in slices])
    # Labels are dealt layer by layer, and no layer is empty: the map's maximum is above every threshold.
    last = labels.reshape(len(grid), -1).max(axis=1)
    counts = np.diff(last, prepend=0)
    rivals = labels[counts > 1]
    size = _contour_areas(rivals, number) if rule.largest_by == "contour" else _counts(rivals.ravel(), number)
    # Sorted by layer, then size, then label: the last of each layer is its largest.
    order = 1 + np.lexsort((size[1:], np.repeat(np.arange(len(grid)), counts)))
    regions = labels == order[last - 1][:, None, None]
    return _extents(regions.any(axis=2), regions.any(axis=1)), np.arange(len(grid))


def iou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Intersection over union `(k, m)` of boxes `(k, 4)` and `(m, 4)`, x2 and y2 exclusive."""
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    common = np.clip(high - low, 0, None).prod(axis=2)
    area_a, area_b = ((boxes[:, 2:] - boxes[:, :2]).prod(axis=1) for boxes in (a, b))
    return common / (area_a[:, None] + area_b[None] - common)


def _extents(rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Bounding boxes `(t, 4)` of regions, none of them empty, by which rows `(t, h)` and columns `(t, w)` they touch."""
    x1, x2 = columns.argmax(axis=1), columns.shape[1] - columns[:, ::-1].argmax(axis=1)
    y1, y2 = rows.argmax(axis=1), rows.shape[1] - rows[:, ::-1].argmax(axis=1)
    return np.stack([x1, y1, x2, y2], axis=1)


def _neighbours(connectivity: int) -> np.ndarray:
    """Which of 3 x 3 x 3 pixels are neighbours of the middle one: 4 or 8 of its own layer."""
    from scipy import ndimage

    found = np.zeros((3, 3, 3), dtype=bool)
    found[1] = ndimage.generate_binary_structure(2, connectivity // 4)
    return found


def _filled(above: np.ndarray, connectivity: int) -> np.ndarray:
    """Regions `(t, h, w)` with their holes: all but the background that reaches the border, of 4 or 8 neighbours."""
    from scipy import ndimage

    background = np.pad(~above, ((0, 0), (1, 1), (1, 1)), constant_values=True)
    labels, _ = ndimage.label(background, _neighbours(connectivity))
    return (labels != labels[:, :1, :1])[:, 1:-1, 1:-1]


def _counts(labels: np.ndarray, number: int) -> np.ndarray:
    """How often each label 0 to `number` occurs in labels `(p,)`."""
    return np.bincount(labels, minlength=number + 1)


def _contour_areas(labels: np.ndarray, number: int) -> np.ndarray:
    """Twice the area `(number + 1,)` in the contour through the outermost pixel centres of each component without holes.

    Between four neighbouring centres lies a whole cell when all four belong, half a cell when three do.
    """
    above = (labels > 0).view(np.uint8)
    pairs = above[:, :-1] + above[:, 1:]
    belong = pairs[..., :-1] + pairs[..., 1:]
    corner = np.maximum(labels[:, :-1, :-1], labels[:, 1:, 1:])  # of three, one lies on this diagonal
    return _counts(corner[belong >= 3], number) + _counts(corner[belong == 4], number)
