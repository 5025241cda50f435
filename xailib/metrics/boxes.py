"""From a map to boxes at many thresholds at once, and how well boxes fit."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from xailib.errors import InputError


@dataclass(frozen=True)
class BoxRule:
    """How the pixels above a threshold become a box.

    Attributes:
        box: the box of the `largest` component (MaxBoxAcc), the `extent` of all pixels, or of `any` component,
            the one that fits best (MaxBoxAccV2).
        largest_by: `pixels`, or the area of the `contour` through its outermost pixel centres, which a line does not
            have (wsolevaluation's OpenCV contours; holes are not filled). Of equal components the one that starts
            last in reading order is taken, as there.
        connectivity: 8 or 4 neighbours.
    """

    box: Literal["largest", "extent", "any"] = "largest"
    largest_by: Literal["pixels", "contour"] = "pixels"
    connectivity: int = 8

    def __post_init__(self) -> None:
        if self.connectivity not in (4, 8):
            raise InputError(f"connectivity: {self.connectivity} is not a number of neighbours; use 8 or 4")


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
    """Boxes `(k, 4)` of a map `(h, w)` in [0, 1] at every threshold, and the index of the threshold `(k,)` each is of.

    One labelling serves all thresholds: the thresholded maps are stacked and neighbours stay within their layer.
    """
    from scipy import ndimage

    # In the map's own precision, so that a value of 0.2 is not above a threshold of 0.2.
    above = scaled[None] > grid.astype(scaled.dtype)[:, None, None]
    if rule.box == "extent":
        return _extents(above), np.arange(len(grid))
    neighbours = np.zeros((3, 3, 3), dtype=bool)
    neighbours[1] = ndimage.generate_binary_structure(2, 1 if rule.connectivity == 4 else 2)
    labels, number = ndimage.label(above, neighbours)
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
    return _extents(labels == order[last - 1][:, None, None]), np.arange(len(grid))


def iou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Intersection over union `(k, m)` of boxes `(k, 4)` and `(m, 4)`, x2 and y2 exclusive."""
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    common = np.clip(high - low, 0, None).prod(axis=2)
    area_a, area_b = ((boxes[:, 2:] - boxes[:, :2]).prod(axis=1) for boxes in (a, b))
    return common / (area_a[:, None] + area_b[None] - common)


def _extents(regions: np.ndarray) -> np.ndarray:
    """Bounding boxes `(t, 4)` of regions `(t, h, w)`, none of them empty."""
    rows, columns = regions.any(axis=2), regions.any(axis=1)
    x1, x2 = columns.argmax(axis=1), columns.shape[1] - columns[:, ::-1].argmax(axis=1)
    y1, y2 = rows.argmax(axis=1), rows.shape[1] - rows[:, ::-1].argmax(axis=1)
    return np.stack([x1, y1, x2, y2], axis=1)


def _counts(labels: np.ndarray, number: int) -> np.ndarray:
    """How often each label 0 to `number` occurs in labels `(p,)`."""
    return np.bincount(labels, minlength=number + 1)


def _contour_areas(labels: np.ndarray, number: int) -> np.ndarray:
    """Twice the area `(number + 1,)` in the contour through each component's outermost pixel centres, holes left open.

    Between four neighbouring centres lies a whole cell when all four belong, half a cell when three do.
    """
    above = (labels > 0).view(np.uint8)
    pairs = above[:, :-1] + above[:, 1:]
    belong = pairs[..., :-1] + pairs[..., 1:]
    corner = np.maximum(labels[:, :-1, :-1], labels[:, 1:, 1:])  # of three, one lies on this diagonal
    return _counts(corner[belong >= 3], number) + _counts(corner[belong == 4], number)
