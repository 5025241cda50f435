"""Data sets: images with labels, boxes and masks, all behind `load_images`.

Every file of this package registers its data sets with `@dataset`; a new file is found by itself.
"""

import dataclasses
import importlib
import inspect
import pkgutil
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from xailib.errors import InputError, nearest
from xailib.images import ImageBatch, Images
from xailib.registry import Entry, dataset

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")


def load_images(
    name: str,
    *,
    split: str | None = None,
    limit: int | None = None,
    seed: int = 0,
    root: str | Path | None = None,
    side: int | None = None,
    shift: str | None = None,
    labels: Sequence[int] | None = None,
    **options: Any,
) -> ImageBatch:
    """Load images with their ground truth.

    Which images come, and in which order, depends on (data set, split, seed) alone: `limit=n` is a prefix of any
    larger limit. A limit above what the split holds gives all of it, with a warning.

    Args:
        name: a registered data set; see `list_datasets`.
        split: the data set's own default when None: test, or val where that is its name.
        limit: how many images at most; None for all.
        seed: chooses and orders the images, and seeds the shift's noise.
        root: folder of the data, for the data sets that are read from one.
        side: side of the square images in pixels: give the model's `input_size`. A data set that has one size only
            refuses another one; by default each gives its own.
        shift: one of `list_shifts(name)`, such as "silhouette", "gaussian_noise_2" or "shot_noise/3".
        labels: what each of the data set's labels becomes, such as the network's output for each class.
        options: what the data set's own function takes, such as `crop="centre"`.

    Raises:
        InputError: an unknown data set, split, shift or option, a limit below 1, or data that cannot be read.
    """
    rendered = _check_shift(name, shift)
    images = open_images(
        name, split=split, limit=limit, seed=seed, root=root, side=side, shift=shift if rendered else None, **options
    ).select(slice(None))
    if shift is not None and not rendered:
        from xailib.datasets.shifts import corrupt

        images = corrupt(images, shift, seed)
    if labels is not None:
        unknown = max(labels, default=-1) < 0  # classes.UNKNOWN
        given = torch.full_like(images.labels, -1) if unknown else torch.tensor(labels)[images.labels]
        images = dataclasses.replace(images, labels=given)
    return images


def open_images(
    name: str,
    *,
    split: str | None = None,
    limit: int | None = None,
    seed: int = 0,
    root: str | Path | None = None,
    side: int | None = None,
    **options: Any,
) -> Images:
    """Find the images that `load_images` would load, without reading them: `len` counts, `select(slice)` reads some.

    Takes what `load_images` takes, but no shift that is a corruption.
    """
    entry = dataset.get(name)
    if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int) or limit < 1):
        raise InputError(f"limit: {limit!r} is not a number of images; give a whole number from 1, or null for all")
    if isinstance(seed, bool) or not isinstance(seed, int):
        raise InputError(f"seed: {seed!r} is not a whole number")
    given = {"split": split, "root": root, **options}
    arguments = {key: value for key, value in given.items() if value is not None}
    if side is not None and "side" in _parameters(entry):
        arguments["side"] = side
    _check_options(entry, arguments)
    parameters = _parameters(entry)
    required = [k for k, p in parameters.items() if p.default is p.empty and k not in ("split", "limit", "seed")]
    missing = [key for key in required if key not in arguments]
    if missing:
        raise InputError(f"data set '{name}' needs '{missing[0]}': the folder or value it is read from")
    images = entry.function(**{"split": "test", **_defaults(entry), **arguments, "limit": limit, "seed": seed})
    if side is not None and "side" not in arguments:
        own = images.select(slice(0, 1)).pixels.shape[-1]
        if own != side:
            raise InputError(f"side: images of '{name}' have {own} pixels, not {side}; use a model of that input size")
    if limit is not None and len(images) < limit:
        warnings.warn(f"data set '{name}' holds {len(images)} images; limit {limit} gives all of them", stacklevel=3)
    return images


def list_datasets(pattern: str = "*") -> list[str]:
    """Return the names of the registered data sets that match a shell pattern."""
    return dataset.names(pattern)


def class_names(name: str, **options: Any) -> list[str]:
    """Return the class names of a data set, in label order.

    Args:
        name: a registered data set.
        options: what `load_images` takes; only those that the names depend on are looked at, such as `root`.
    """
    entry = dataset.get(name)
    if entry.class_names is None:
        raise InputError(f"data set '{name}' declares no class names")
    given = {key: value for key, value in options.items() if value is not None}
    parameters = inspect.signature(entry.class_names).parameters
    _check_options(entry, {key: value for key, value in given.items() if key not in parameters})
    missing = [key for key, p in parameters.items() if p.default is p.empty and key not in given]
    if missing:
        raise InputError(f"class names of data set '{name}' need '{missing[0]}': the folder or value they are read from")
    return list(entry.class_names(**{key: value for key, value in given.items() if key in parameters}))


def _check_shift(name: str, shift: str | None) -> bool:
    """Refuse a shift that the data set does not have; return whether the data set renders it itself."""
    dataset.get(name)
    if shift is None:
        return False
    from xailib.datasets.shifts import is_corruption, list_shifts

    if shift not in list_shifts(name) and "/" not in shift:
        raise InputError(f"unknown shift '{shift}' for data set '{name}'{nearest(shift, list_shifts(name))}")
    return not (is_corruption(shift) or "/" in shift)


def _parameters(entry: Entry) -> dict[str, inspect.Parameter]:
    return dict(inspect.signature(entry.function).parameters)


def _defaults(entry: Entry) -> dict[str, Any]:
    """The data set's own default split, where it has one."""
    split = _parameters(entry).get("split")
    return {} if split is None or split.default is inspect.Parameter.empty else {"split": split.default}


def _check_options(entry: Entry, arguments: dict[str, Any]) -> None:
    """Refuse options that the data set's function does not take."""
    parameters = _parameters(entry)
    unknown = [key for key in arguments if key not in parameters]
    if unknown:
        takes = [key for key in parameters if key not in ("limit", "seed")]
        raise InputError(f"data set '{entry.name}' takes no '{unknown[0]}'{nearest(unknown[0], takes)}")
