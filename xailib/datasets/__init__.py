"""Data sets: images with labels, boxes and masks, all behind `load_images`.

Every file of this package registers its data sets with `@dataset`; a new file is found by itself.
"""

import inspect
import os
import warnings
from collections.abc import Sequence
from dataclasses import replace
from numbers import Integral
from pathlib import Path
from typing import Any

import torch

from xailib import seeding
from xailib.datasets.own import find_path, own_images
from xailib.errors import InputError, nearest
from xailib.images import ImageBatch, Images
from xailib.registry import Entry, dataset


def load_images(
    source: Any,
    *,
    split: str | None = None,
    limit: int | None = None,
    seed: int = 0,
    root: str | Path | None = None,
    side: int | None = None,
    shift: str | None = None,
    relabelled: Sequence[int] | None = None,
    **options: Any,
) -> ImageBatch:
    """Load images, with their ground truth where there is one.

    Which images of a data set or a folder come, and in which order, depends on (images, split, seed) alone: `limit=n` is
    a prefix of any larger limit. What is handed over one by one keeps its order. A limit above what there is gives all of
    it, with a warning.

    Args:
        source: the id of a data set (`list_datasets` has them), or images of your own: a folder (one folder a class, or
            flat and then without labels; it is read as the data set `folder`), an image file, a list of paths, Pillow
            images, arrays or tensors, or one tensor `(n, 3, h, w)` or array. A word with a slash or a suffix is a path; an
            id goes before a folder of the same name.
        split: the data set's own default when None: test, or val where that is its name.
        limit: how many images at most; None for all.
        seed: chooses and orders the images, and seeds the shift's noise.
        root: folder of the data, for the data sets that are read from one.
        side: side of the square images in pixels: give the model's `input_size`. A data set that has one size only
            refuses another one; by default each gives its own, photographs of your own have 224, and arrays keep theirs.
        shift: one of `list_shifts(name)`, such as "silhouette", "gaussian_noise_2" or "shot_noise/3".
        relabelled: what each of the data set's labels becomes, such as the network's output for each class.
        options: what the data set's own function takes, such as `crop="centre"`, which images of your own take too.

    Returns:
        The images; `class_names` are the data set's. Labels, boxes and names of your own are added with
        `dataclasses.replace(images, labels=..., boxes=..., class_names=...)`.

    Raises:
        InputError: what is neither a data set nor a path nor an image; an unknown split, shift or option, a limit below 1,
            or data that cannot be read.
    """
    name, root = _resolve(source, root)
    rendered = _check_shift(name or "folder", shift)
    given = {"split": split, "root": root, **options}
    if name is None:
        images = _own(source, limit, seed, side, given)
    else:
        shown = {"shift": shift} if rendered else {}
        images = open_images(name, limit=limit, seed=seed, side=side, **given, **shown).select(slice(None))
        names = _class_names(dataset.get(name), given)
        images = replace(images, class_names=names or None)
    if shift is not None and not rendered:
        from xailib.datasets.shifts import corrupt

        images = corrupt(images, shift, seed)
    if relabelled is not None:
        unknown = max(relabelled, default=-1) < 0  # classes.UNKNOWN
        images = images.with_labels(
            torch.full_like(images.labels, -1) if unknown else torch.tensor(relabelled)[images.labels]
        )
    return images


def _resolve(source: Any, root: str | Path | None) -> tuple[str | None, str | Path | None]:
    """The data set that a source is, and its folder; no data set where images are handed over."""
    if not isinstance(source, str | Path):
        return None, root
    word = str(source)
    if word in dataset.entries and not isinstance(source, Path):
        if root is None and Path(word).is_dir():
            warnings.warn(f"'{word}' is the data set of this name; for the folder write './{word}'", stacklevel=3)
        return word, root
    bare = isinstance(source, str) and not {"/", os.sep} & set(word) and not Path(word).suffix
    if bare and word and not Path(word).expanduser().exists():
        hint = nearest(word, dataset.entries)
        raise InputError(f"unknown data set '{word}'{hint} (nor is there a folder or file of this name)")
    path = find_path(source)
    if not path.is_dir():
        return None, root
    if root is not None:
        raise InputError(f"root: '{root}' is one folder too many; the images are those of {path}")
    return "folder", path


def _own(source: Any, limit: int | None, seed: int, side: int | None, given: dict[str, Any]) -> ImageBatch:
    """Images that are handed over; of the options of data sets they take `crop`."""
    limit, _ = _check_choice(limit, seed)
    crop = given.pop("crop", "resize")
    unknown = next((key for key, value in given.items() if value is not None), None)
    if unknown is not None:
        raise InputError(f"images that are handed over take no '{unknown}', only side, crop, limit and shift")
    images = own_images(source, side, crop, limit)
    if limit is not None and len(images) < limit:
        warnings.warn(f"there are {len(images)} images; limit {limit} gives all of them", stacklevel=4)
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
    limit, seed = _check_choice(limit, seed)
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
        raise InputError(
            f"class names of data set '{name}' need '{missing[0]}': the folder or value they are read from"
        )
    names = _class_names(entry, given)
    if not names:
        raise InputError(f"data set '{name}' has no class names here: its images have no labels")
    return names


def _class_names(entry: Entry, given: dict[str, Any]) -> list[str]:
    """The class names that a data set has with the options given; none where it declares none."""
    if entry.class_names is None:
        return []
    parameters = inspect.signature(entry.class_names).parameters
    return list(
        entry.class_names(**{key: value for key, value in given.items() if key in parameters and value is not None})
    )


def _check_choice(limit: int | None, seed: int) -> tuple[int | None, int]:
    """Return both as plain numbers."""
    if limit is not None and (isinstance(limit, bool) or not isinstance(limit, Integral) or limit < 1):
        raise InputError(f"limit: {limit!r} is not a number of images; give a whole number from 1, or null for all")
    return limit if limit is None else int(limit), seeding.whole(seed)


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
