"""Data sets: images with labels, boxes and masks, all behind `load_images`.

Every file of this package registers its data sets with `@dataset`; a new file is found by itself. A data set's function
returns its images as a list of items, or as an `ImageBatch`. It gets what it names: of `root`, `split`, `seed`, `limit`,
`side` and its own options. One that does not name `seed` leaves choosing and ordering to `load_images`.
"""

import inspect
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from numbers import Integral
from pathlib import Path
from typing import Any

from xailib import seeding
from xailib.datasets.corruptions import CORRUPTIONS, corrupt, list_five, list_three
from xailib.datasets.items import Crop, Images, checked, choose
from xailib.datasets.own import find_path, own_images
from xailib.errors import InputError, nearest, warn
from xailib.images import ImageBatch
from xailib.images.truth import NO_LABEL
from xailib.params import signatures
from xailib.registry import dataset
from xailib.workspace import expanded

SETTLED = ("seed", "limit", "side", "shift", "classes")  # arguments that have sentences of their own


def load_images(
    source: Any,
    *,
    split: str | None = None,
    limit: int | None = None,
    at: Sequence[int] | None = None,
    seed: int = 0,
    root: str | Path | None = None,
    side: int | None = None,
    crop: Crop | None = None,
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
            flat and then without labels; it is read as the data set `folder`), a CSV file (as the data set `table`), an
            image file, a list of paths, Pillow images, arrays or tensors, or one tensor `(n, 3, h, w)` or array. A word with
            a slash or a suffix is a path; an id goes before a folder of the same name.
        split: one of the data set's splits; by default its own first choice: test, or val where that is its name.
        limit: how many images at most; None for all.
        at: which images instead of the first `limit`: their places in that order, from 0. No other is read.
        seed: chooses and orders the images, and seeds the shift's noise.
        root: folder of the data, for the data sets that are read from one.
        side: side of the square images in pixels: give the model's `input_size`. A data set that has one size only
            refuses another one; by default each gives its own, photographs of your own have 224, and arrays keep theirs.
        crop: `resize` squeezes the whole image into the square, which is the default; `centre` keeps the middle (256 ->
            224). Images that are drawn take none.
        shift: one of `list_shifts(name)`, such as "silhouette", "gaussian_noise_2" or "shot_noise/3".
        relabelled: what each of the data set's labels becomes, such as the network's output for each class; made for the
            class names that these options give, as another split may have others.
        options: what the data set's own function takes, such as `classes=10`.

    Returns:
        The images; `class_names` are the data set's. Labels, boxes and names of your own are added with
        `dataclasses.replace(images, labels=..., boxes=..., class_names=...)`.

    Raises:
        InputError: what is neither a data set nor a path nor an image; an unknown split, shift or option, a limit below 1,
            a place that no image has, `relabelled` of another length than the class names, or data that cannot be read.
    """
    name, root = _resolve(source, root)
    drawn = _is_drawn(shift, name or "folder")
    given = {"split": split, "root": root, **options}
    if name is None:
        images = _own(source, limit, seed, side, crop, given | {"at": at})
    else:
        shown = {"shift": shift} if drawn else {}
        limit = limit if at is None else _reach(at)
        found = open_images(name, limit=limit, seed=seed, side=side, crop=crop, **given, **shown)
        if at is not None and len(found) < limit:
            raise InputError(f"at: data set '{name}' has no image at place {limit - 1}; it holds {len(found)} images")
        found = found.select(slice(None) if at is None else list(at))
        images = replace(found, class_names=_class_names(name, given) or None)
    if shift is not None and not drawn:
        images = corrupt(images, shift, seed)
    if relabelled is not None:
        images = images.recounted(_places(images, relabelled))
    return images


def _places(images: ImageBatch, relabelled: Sequence[int]) -> Sequence[int]:
    """What each class of a data set becomes; empty where no class is known."""
    if max(relabelled, default=NO_LABEL) < 0:
        return []
    names = images.class_names or []
    if len(relabelled) != len(names):
        raise InputError(
            f"relabelled: {len(relabelled)} labels for the {len(names)} classes that the images have here; another split may"
            " have others: give one for each of class_names()"
        )
    return relabelled


def _resolve(source: Any, root: str | Path | None) -> tuple[str | None, str | Path | None]:
    """The data set that a source is, and its folder; no data set where images are handed over."""
    if not isinstance(source, str | Path):
        return None, root
    word = str(source)
    if word in dataset.entries and not isinstance(source, Path):
        if root is None and Path(word).is_dir():
            warn(f"'{word}' is the data set of this name; for the folder write './{word}'")
        return word, root
    bare = isinstance(source, str) and not {"/", os.sep} & set(word) and not Path(word).suffix
    if bare and word and not expanded(word).exists():
        hint = nearest(word, dataset.entries)
        raise InputError(f"unknown data set '{word}'{hint} (nor is there a folder or file of this name)")
    path = find_path(source)
    listed = path.suffix.lower() == ".csv"
    if not path.is_dir() and not listed:
        return None, root
    if root is not None:
        raise InputError(f"root: '{root}' is one folder too many; the images are those of {path}")
    return "table" if listed else "folder", path


def _is_drawn(shift: str | None, name: str) -> bool:
    """Whether a shift is drawn by the data set itself, and no corruption; one that it does not have is refused."""
    drawn = dataset.get(name).shifts
    if shift is not None and shift not in {*drawn, *CORRUPTIONS}:
        known = list_five() if "/" in shift else [*drawn, *list_three()]
        raise InputError(f"unknown shift '{shift}' for data set '{name}'{nearest(shift, known)}")
    return shift in drawn


def _reach(at: Sequence[int]) -> int:
    """How many images must be there to have one at each of these places."""
    if not isinstance(at, Iterable):
        raise InputError(f"at: a list of places is needed, not {at!r}")
    wrong = next(
        (place for place in at if isinstance(place, bool) or not isinstance(place, Integral) or place < 0), None
    )
    if wrong is not None or not len(at):
        raise InputError(
            f"at: {wrong if len(at) else at!r} is no place of an image; give whole numbers from 0, one at least"
        )
    return int(max(at)) + 1


def _own(
    source: Any, limit: int | None, seed: int, side: int | None, crop: Crop | None, given: dict[str, Any]
) -> ImageBatch:
    """Images that are handed over."""
    limit, _ = _check_choice(limit, seed)
    unknown = next((key for key, value in given.items() if value is not None), None)
    if unknown is not None:
        raise InputError(f"images that are handed over take no '{unknown}', only side, crop, limit and shift")
    images = own_images(source, side, crop or "resize", limit)
    if limit is not None and len(images) < limit:
        warn(f"there are {len(images)} images; limit {limit} gives all of them")
    return images


def open_images(
    name: str,
    *,
    limit: int | None = None,
    seed: int = 0,
    side: int | None = None,
    **options: Any,
) -> Images | ImageBatch:
    """Find the images that `load_images` would load, without reading them: `len` counts, `select(slice)` reads some.

    Takes what `load_images` takes, but no shift that is a corruption.
    """
    entry = dataset.get(name)
    limit, seed = _check_choice(limit, seed)
    given = _given(name, side=side, **options)
    if entry.splits and given.setdefault("split", entry.splits[0]) not in entry.splits:
        raise InputError(f"unknown split '{given['split']}' of {name}{nearest(given['split'], entry.splits)}")
    options = {key: given[key] for key in signatures.defaults(entry.function, SETTLED) if key in given}
    signatures.check("data set", name, entry.function, options, SETTLED)
    found = _call(entry.function, {**given, "seed": seed, "limit": limit}, f"data set '{name}' needs")
    if isinstance(found, ImageBatch):
        images = found.select(slice(limit))
    else:
        found = checked(found, f"data set '{name}'", bool(entry.side))
        found = found[:limit] if "seed" in _parameters(entry.function) else choose(found, seed, limit)
        fitted = given.get("side", entry.side) if entry.side else None
        images = Images(found, fitted, given.get("crop", "resize"), entry.among and entry.among())
    if side is not None and "side" not in takes(name):
        own = images.select(slice(0, 1)).pixels.shape[-1]
        if own != side:
            raise InputError(f"side: images of '{name}' have {own} pixels, not {side}; use a model of that input size")
    if limit is not None and len(images) < limit:
        warn(f"data set '{name}' holds {len(images)} images; limit {limit} gives all of them")
    return images


def list_datasets(pattern: str = "*") -> list[str]:
    """Return the names of the registered data sets that match a shell pattern."""
    return dataset.names(pattern)


def takes(name: str) -> set[str]:
    """Return the options of `load_images` that a data set takes; any takes `limit`, `seed` and corruptions."""
    entry = dataset.get(name)
    shared = (["split"] if entry.splits else []) + (["side", "crop"] if entry.side else [])
    return {*_parameters(entry.function), *shared} - {"limit", "seed"}


def class_names(name: str, **options: Any) -> list[str]:
    """Return the class names of a data set, in label order.

    Args:
        name: a registered data set.
        options: what `load_images` takes; only those that the names depend on are looked at, such as `root`.
    """
    if dataset.get(name).class_names is None:
        raise InputError(f"data set '{name}' declares no class names")
    names = _class_names(name, options)
    if not names:
        raise InputError(f"data set '{name}' has no class names here: its images have no labels")
    return names


def _class_names(name: str, options: dict[str, Any]) -> list[str]:
    """The class names that a data set has with these options; none where it declares none."""
    function = dataset.get(name).class_names
    given, who = _given(name, **options), f"class names of data set '{name}' need"
    return [] if function is None else list(_call(function, given, who))


def _check_choice(limit: int | None, seed: int) -> tuple[int | None, int]:
    """Return both as plain numbers."""
    if limit is not None and (isinstance(limit, bool) or not isinstance(limit, Integral) or limit < 1):
        raise InputError(f"limit: {limit!r} is not a number of images; give a whole number from 1, or null for all")
    return limit if limit is None else int(limit), seeding.whole(seed)


def _given(name: str, **options: Any) -> dict[str, Any]:
    """The options that are not None; one that the data set does not take is refused."""
    given = {key: value for key, value in options.items() if value is not None}
    known = takes(name)
    unknown = next((key for key in given if key not in {*known, "side", "limit", "seed"}), None)
    if unknown is not None:
        raise InputError(f"data set '{name}' takes no '{unknown}'{nearest(unknown, known)}")
    return given | ({"root": expanded(given["root"])} if "root" in given else {})


def _parameters(function: Callable[..., Any]) -> Mapping[str, inspect.Parameter]:
    return inspect.signature(function).parameters


def _call(function: Callable[..., Any], given: Mapping[str, Any], who: str) -> Any:
    """Call a function with what it names of what is given; `who` says for the message that something is needed."""
    parameters = _parameters(function)
    missing = next((key for key, p in parameters.items() if p.default is p.empty and key not in given), None)
    if missing is not None:
        raise InputError(f"{who} '{missing}': the folder or value to read from")
    return function(**{key: value for key, value in given.items() if key in parameters})
