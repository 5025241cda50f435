"""The ground truth that goes with images, as users hand it over: labels, boxes, masks, ids and names, checked once."""

from collections.abc import Iterable
from numbers import Integral
from typing import Any

import numpy as np
import torch
from torch import Tensor

from xailib.errors import InputError

NO_LABEL = -1
_BOX = "x1, y1, x2, y2 in pixels of these images"
_TOLERANCE = 1e-3  # of a pixel: what rounding may add to a box that ends at the edge


def counted(what: str, found: Any, n: int) -> list[Any]:
    """Return what there must be one of an image as a list of `n`."""
    if isinstance(found, str | bytes | dict | set) or not isinstance(found, Iterable):
        raise InputError(f"{what}: a list of {n} is needed, one an image, not {type(found).__name__}")
    if isinstance(found, Tensor) and not found.ndim:
        raise InputError(f"{what}: a list of {n} is needed, one an image, not a single number")
    found = list(found)
    if len(found) != n:
        raise InputError(f"an ImageBatch of {n} images needs {n} {what}, not {len(found)}")
    return found


def as_labels(labels: Any, n: int, classes: int | None) -> Tensor:
    """Return int64 `(n,)`: class indices, or `NO_LABEL` throughout where `labels` is None.

    Args:
        labels: a list, array or tensor of whole numbers.
        n: how many images.
        classes: how many classes there are, where it is known.

    Raises:
        InputError: one-hot rows, fractions, names, a wrong number of them, or one that is no class.
    """
    if labels is None:
        return torch.full((n,), NO_LABEL)
    found = _tensor(labels, "labels: one whole number an image is needed; names of classes go to class_names")
    if found.ndim == 2:
        remedy = "labels.argmax(1), if these are one-hot rows" if found.shape[1] != 1 else "labels.flatten()"
        raise InputError(
            f"labels: one whole number an image is needed, not the shape {tuple(found.shape)}; use {remedy}"
        )
    if found.shape != (n,):
        raise InputError(f"an ImageBatch of {n} images needs {n} labels, not the shape {tuple(found.shape)}")
    if n and (found.is_floating_point() or found.is_complex()):
        raise InputError("labels: whole numbers are needed, not fractions; use labels.long()")
    found = found.long()
    if n and found.min() < 0 and (found != NO_LABEL).any():
        raise InputError(
            f"labels: {int(found.min())} is no class; give whole numbers from 0, or None where no image has a label"
        )
    if n and classes is not None and found.max() >= classes:
        raise InputError(
            f"labels: {int(found.max())} is no class; class_names has {classes}, so use 0 to {classes - 1}"
        )
    return found


def as_boxes(boxes: Any, ids: list[str], height: int, width: int) -> list[Tensor]:
    """Return one float32 tensor `(k, 4)` an image, in pixels of the images; `k` is 0 where there is no box.

    Args:
        boxes: one group an image: rows of x1, y1, x2, y2, a single such row, or None for no box.
        ids: names of the images.
        height, width: size of the images.

    Raises:
        InputError: what is no box: without area, not finite, outside the image, or in shares of its sides.
    """
    groups = [_group(group, id) for group, id in zip(counted("boxes", boxes, len(ids)), ids, strict=True)]
    rows = torch.cat(groups) if groups else torch.empty(0, 4)
    if not len(rows):
        return groups
    finite = torch.isfinite(rows).all(dim=1)
    area = (rows[:, :2] < rows[:, 2:]).all(dim=1)
    end = torch.tensor([width, height], device=rows.device) + _TOLERANCE
    inside = ((rows[:, :2] >= -_TOLERANCE) & (rows[:, 2:] <= end)).all(dim=1)
    good = finite & area & inside
    shares = bool(finite.all()) and min(height, width) > 8 and rows.min() >= 0 and rows.max() <= 1
    if good.all() and not shares:
        return groups
    first = 0 if shares else int((~good).nonzero()[0])
    owner = int(torch.tensor([len(group) for group in groups]).cumsum(0).gt(first).nonzero()[0])
    if shares:
        cause = f"lies within 0 and 1: shares of the sides? {_BOX} are needed"
    elif not finite[first]:
        cause = f"is not finite; {_BOX} are needed, or no box"
    elif not area[first]:
        cause = f"has no area; x1 < x2 and y1 < y2 are needed ({_BOX}; not x, y, width, height)"
    else:
        cause = f"is not inside the image of {width} x {height} pixels; {_BOX} are needed"
    raise InputError(
        f"boxes: ({', '.join(f'{number:g}' for number in rows[first].tolist())}) of '{ids[owner]}' {cause}"
    )


def _group(group: Any, id: str) -> Tensor:
    needed = f"boxes: rows of four numbers are needed ({_BOX}); those of '{id}'"
    found = _tensor([] if group is None else group, f"{needed} are not", np.float32)
    if found.numel() == 0 or found.shape == (4,):
        found = found.reshape(-1, 4)
    if found.ndim != 2 or found.shape[1] != 4 or found.is_complex():
        raise InputError(f"{needed} have the shape {tuple(found.shape)}")
    return found.float()


def as_masks(masks: Any, n: int, height: int, width: int) -> Tensor:
    """Return bool masks `(n, height, width)` of masks of zeros and ones, or of 0 and 255."""
    found = _tensor(masks, f"masks: a bool tensor {(n, height, width)} is needed")
    if found.shape == (n, 1, height, width):
        found = found[:, 0]
    if found.shape != (n, height, width):
        if n == 0 and not len(found):
            return torch.zeros(0, height, width, dtype=torch.bool)
        raise InputError(f"masks: the shape {tuple(found.shape)} does not fit the images; use {(n, height, width)}")
    if found.dtype == torch.bool:
        return found
    on = found != 0
    if not ((found == 1) | ~on).all() and not ((found == 255) | ~on).all():
        raise InputError("masks: true and false, or 0 and 1, are needed; use masks > 0.5 where they are shares")
    return on


def box_masks(boxes: list[Tensor], height: int, width: int) -> Tensor:
    """Return bool masks `(n, height, width)`: each the union of one image's boxes.

    A pixel belongs to a box when its centre lies inside it; a box without any such pixel is the one that it is centred on.
    """
    masks = torch.zeros(len(boxes), height, width, dtype=torch.bool)
    y = torch.arange(height)[:, None] + 0.5
    x = torch.arange(width)[None, :] + 0.5
    for i, group in enumerate(boxes):
        for x1, y1, x2, y2 in group.tolist():
            inside = (x >= x1) & (x < x2) & (y >= y1) & (y < y2)
            if not inside.any() and x1 < x2 and y1 < y2:
                inside[min(int((y1 + y2) / 2), height - 1), min(int((x1 + x2) / 2), width - 1)] = True
            masks[i] |= inside
    return masks


def tight_box(mask: Tensor) -> Tensor:
    """Return the box `(1, 4)` (x1, y1, x2, y2; ends exclusive) around a mask `(h, w)`, or none `(0, 4)` if it is empty."""
    y, x = mask.nonzero(as_tuple=True)
    if not len(x):
        return torch.empty(0, 4)
    return torch.tensor([[x.min(), y.min(), x.max() + 1, y.max() + 1]], dtype=torch.float32)


def as_places(indices: Any, n: int) -> list[int]:
    """Return which of `n` images are meant, by their places or by True and False."""
    try:
        found = torch.as_tensor(indices)
    except (TypeError, ValueError, RuntimeError):  # text, or lists of several lengths
        found = torch.zeros(())
    if found.dtype == torch.bool:
        if found.shape != (n,):
            raise InputError(f"indices: a choice of {n} images is needed, not the shape {tuple(found.shape)}")
        found = found.nonzero().flatten()
    whole = not (found.is_floating_point() or found.is_complex()) or found.shape == (0,)
    rows = found.tolist() if whole and found.ndim == 1 else [n]
    if not all(-n <= row < n for row in rows):
        raise InputError(f"indices: a list of places from 0 to {n - 1} is needed, not {indices!s:.60}")
    return rows


def as_ids(ids: Any, n: int) -> list[str]:
    """Return `n` different names as text; `image-0`, `image-1`, ... where `ids` is None."""
    names = [f"image-{i}" for i in range(n)] if ids is None else [_text(one) for one in counted("ids", ids, n)]
    if len(set(names)) < n:
        double = next(name for name in names if names.count(name) > 1)
        raise InputError(f"ids: '{double}' occurs more than once; ids must be unique")
    return names


def as_answers(answers: Any, n: int, classes: int | None) -> list[tuple[int, ...]] | None:
    """Return a group of class indices an image, each of which is right, or None; see `as_labels`."""
    if answers is None:
        return None
    return [_indices("answers", group, classes) for group in counted("groups of answers", answers, n)]


def as_classes(chosen: Any, classes: int | None) -> tuple[int, ...] | None:
    """Return the class indices that an answer is chosen among, one at least, or None for all; see `as_labels`."""
    if chosen is None:
        return None
    found = _indices("classes", chosen, classes)
    if not found:
        raise InputError("classes: there is none to choose an answer among; give indices, or None for all")
    return found


def _indices(what: str, found: Any, classes: int | None) -> tuple[int, ...]:
    found = found.tolist() if isinstance(found, Tensor | np.ndarray) else found
    if isinstance(found, str | bytes | dict) or not isinstance(found, Iterable):
        raise InputError(f"{what}: class indices such as (0, 5) are needed, not {found!r}")
    found = tuple(found)
    for one in found:
        if isinstance(one, bool) or not isinstance(one, Integral) or one < 0:
            raise InputError(f"{what}: {one!r} is no class; give whole numbers from 0")
        if classes is not None and one >= classes:
            raise InputError(f"{what}: {one} is no class; class_names has {classes}, so use 0 to {classes - 1}")
    return tuple(map(int, found))


def as_names(names: Any) -> list[str] | None:
    """Return the names of classes as a list of text, or None."""
    if names is None:
        return None
    if isinstance(names, str | bytes) or not isinstance(names, Iterable):
        raise InputError(f"class_names: a list of names is needed, not {type(names).__name__}")
    return [_text(name) for name in names]


def _tensor(found: Any, sentence: str, dtype: type | None = None) -> Tensor:
    """Numbers in any form as a detached tensor; the sentence says what is wrong with what holds none."""
    try:
        return found.detach() if isinstance(found, Tensor) else torch.from_numpy(np.array(found, dtype))
    except (TypeError, ValueError):
        raise InputError(sentence) from None


def _text(one: Any) -> str:
    one = one.item() if isinstance(one, Tensor | np.generic) else one
    return one.decode(errors="backslashreplace") if isinstance(one, bytes) else str(one)  # bytes need not be UTF-8
