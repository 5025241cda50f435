"""Distribution shifts by name: styles that a data set draws itself, corruptions that any takes, and other images.

A shift is named by one word: what the data set declares as its `shifts`, such as `silhouette`; the corruptions of
`corruptions`, `gaussian_noise_2` and `shot_noise/3`; and registered data sets that are variants of another one,
`imagenet_v2`, whose folder a study gives in `shift_roots`; of these ImageNet-C has parts, `imagenet_c/fog/3`.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from xailib import params, registry
from xailib.datasets.corruptions import CORRUPTIONS, corrupt, list_five, list_three
from xailib.errors import InputError
from xailib.images import ImageBatch
from xailib.params import shift_roots

Roots = Mapping[str, str | None]


def list_shifts(dataset: str, roots: Roots | None = None) -> list[str]:
    """Return the names of the shifts that `all` stands for: drawn ones, the suite's corruptions, variants with a folder.

    Args:
        dataset: a registered data set.
        roots: folders of its variants, by name; see `shift_roots.check` for what is refused.
    """
    shift_roots.check(dataset, roots or {}, variants())
    names = [*registry.dataset.get(dataset).shifts, *list_three()]
    for name, root in (roots or {}).items():
        parts = registry.dataset.get(name).parts
        names += [f"{name}/{part}" for part in parts(str(params.place(root)))] if parts else [name]
    return names


def variants() -> dict[str, tuple[str, bool]]:
    """Return every variant -> the data set that it is a shift of, and whether it can do without a folder."""
    entries = registry.dataset.entries.items()
    return {name: (entry.shift_of, entry.relabel is not None) for name, entry in entries if entry.shift_of}


def choose_shifts(wanted: str | Iterable[str], dataset: str, roots: Roots | None = None) -> list[str]:
    """Return the shifts that "all", "none", a pattern or a list of them stands for.

    ImageNet-C's corruptions on the fly are among them where a pattern has a slash: `*/3` is each at severity 3.

    Raises:
        InputError: a shift that is not known or whose folder is not given, or a folder that is not there.
    """
    known = list_shifts(dataset, roots)
    found: dict[str, None] = {}
    for word in [wanted] if isinstance(wanted, str) else wanted:
        name = word.partition("/")[0]
        if variants().get(name, ("", False))[0] == dataset and name not in (roots or {}):
            raise InputError(
                f"shifts: '{word}' is read from a folder; give it in the study: shift_roots: {{{name}: FOLDER}}"
            )
        found |= dict.fromkeys(params.select(word, [*known, *(list_five() if "/" in word else [])], "shift"))
    return list(found)


def refuse_variants(shifts: Iterable[str], dataset: str) -> None:
    """Refuse shifts that are variants, whose labels count the data set's own classes: for where these are mapped to others.

    Raises:
        InputError: one of them is a variant.
    """
    for shift in shifts:
        if shift.partition("/")[0] in variants():
            raise InputError(
                f"shifts: '{shift}' counts the classes of '{dataset}' in their own order, but dataset_classes maps them to "
                "the network's; leave it out of shift_roots, or give a network with these classes in this order"
            )


def shift_images(
    images: ImageBatch, dataset: str, shift: str, source: Mapping[str, Any], roots: Roots | None = None
) -> ImageBatch:
    """Return `images`, which `load_images(dataset, **source)` gave, under a shift of the data set.

    The same as loading them with `shift=`, but a corruption is put on the images at hand: making them again costs more.
    For a variant named in `roots`, at most as many of its own images come from its folder, with the side, crop and seed of
    the source; or the images at hand with its labels.

    Raises:
        InputError: a variant, whose labels count its own classes, where those of the source are mapped to a network's.
    """
    from xailib.datasets import load_images, takes

    if shift in CORRUPTIONS:
        return corrupt(images, shift, source.get("seed", 0))
    name, _, part = shift.partition("/")
    if name not in (roots or {}):
        return load_images(dataset, limit=len(images), shift=shift, **source)
    if "relabelled" in source:
        refuse_variants([shift], dataset)
    variant, root = registry.dataset.get(name), roots[name] and str(params.place(roots[name]))
    if variant.relabel is not None:
        made = variant.relabel(images, root)
        if not isinstance(made, ImageBatch) or not {*made.ids} <= {*images.ids}:
            raise InputError(f"data set '{name}': its relabel must return an ImageBatch of images that it was given")
        return made
    taken = {"side", "crop"} & takes(name) | {"seed"}
    options = {key: value for key, value in source.items() if key in taken}
    options |= variant.parts(root)[part] if variant.parts else {}
    return load_images(name, root=root, limit=len(images), **options)
