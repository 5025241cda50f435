"""Class names are a contract: the i-th class of a data set must be what the i-th output of a network stands for."""

import functools
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from xailib import params
from xailib.errors import InputError, nearest

UNKNOWN = -1
"""The label of an image whose class is none of the network's, or is not known."""


def of_model(record: Mapping[str, Any]) -> list[str]:
    """Return what the outputs of a network stand for, as its parameter file says.

    `class_names` is a list, a data set whose names they are (`imagenet`), or a file with one name a line; where it is
    absent, they are the names of `model_dataset`.

    Raises:
        InputError: neither is given, or the names cannot be read.
    """
    given = record.get("class_names", record.get("model_dataset"))
    where = f"params/models/{record['model']}.yaml"
    if given is None:
        raise InputError(
            f"{where}: class_names: missing; give a list, a file with one name a line, or a data set (imagenet)"
        )
    file = isinstance(given, str) and "class_names" in record and (Path(given).suffix or "/" in given)
    try:
        given = read_names(params.place(given)) if file else given
        names = of_dataset(given) if isinstance(given, str) else [str(name) for name in given]
    except InputError as error:
        raise InputError(f"{where}: class_names: {error}; a list of names or a file of them does too") from None
    twice = next((name for name in names if names.count(name) > 1), None) if len(set(names)) < len(names) else None
    if twice is not None:
        raise InputError(f"{where}: class_names: '{twice}' is named twice, at outputs {names.index(twice)} and later")
    return names


def read_names(path: Path) -> list[str]:
    """Return the lines of a text file, blank ones left out."""
    try:
        return [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as a list of class names ({error})") from None


def of_dataset(dataset: str, **options: Any) -> list[str]:
    """Return the class names of a data set, by its id or as it is registered."""
    from xailib.datasets import class_names

    known = params.load_params("datasets", dataset) if dataset in params.ids("datasets") else {}
    return class_names(known.get("dataset_function", dataset), **{**known.get("dataset_options", {}), **options})


def mapping(
    data: Sequence[str], network: Sequence[str], classes: str | Mapping[str, str] | None = None, names: str = ""
) -> list[int] | None:
    """Return the network's output for each class of a data set; None where they are the same in the same order.

    Names are compared as `comparer` says.

    Args:
        data, network: the class names of both, in the order of labels and of outputs.
        classes: `dataset_classes` of the data set's parameter file: None asks for the same names in the same order,
            `by_name` looks each class up, a mapping gives the network's name for classes that have another one there,
            and `unknown` says that they are none of the network's: labels become `UNKNOWN`.
        names: who they are, for the message.

    Raises:
        InputError: the names do not match; the first five of both are told.
    """
    if classes == "unknown":
        return [UNKNOWN] * len(data)
    given = dict(classes) if isinstance(classes, Mapping) else {}
    compared = comparer(data, network, given)
    ours, theirs = [compared(name) for name in data], [compared(name) for name in network]
    if classes is None:
        if ours == theirs:
            return None
        raise InputError(
            f"{names}the {len(data)} classes of the data set ({first_few(data)}) are not the network's {len(network)}"
            f" ({first_few(network)});"
            " give the data set's file dataset_classes: by_name, or a list of 'class: name of the network'; with target:"
            " predicted, dataset_classes: unknown needs no names in common"
        )
    given = {compared(name): compared(other) for name, other in given.items()}
    stray = next((name for name in given if name not in ours), None)
    if stray is not None:
        raise InputError(f"{names}dataset_classes: the data set has no class '{stray}'{nearest(stray, ours)}")
    wanted = [given.get(name, name) for name in ours]
    missing = next((i for i, name in enumerate(wanted) if name not in theirs), None)
    if missing is not None:
        raise InputError(
            f"{names}dataset_classes: the network has no class '{wanted[missing]}' for the data set's '{data[missing]}';"
            f" its {len(network)} classes begin with {first_few(network)}{nearest(wanted[missing], theirs, '')}"
        )
    return None if ours == theirs and wanted == ours else [theirs.index(name) for name in wanted]


def comparer(*lists: Iterable[str]) -> Callable[[str], str]:
    """Return the function that gives a name as it is compared: without regard to case, `_`, `-` and spaces.

    Names of which one list holds several that differ in these alone, such as A and a, are compared as they are written. A
    WordNet id stands for its ImageNet class.

    Args:
        lists: all names that are compared with each other; those of a list mean different classes.
    """
    mixed = set()
    for names in lists:
        first: dict[str, str] = {}
        mixed |= {loose for exact, loose in map(_spellings, names) if first.setdefault(loose, exact) != exact}

    def compared(name: str) -> str:
        exact, loose = _spellings(name)
        return exact if loose in mixed else loose

    return compared


@functools.lru_cache(maxsize=10_000)  # of one network's names, whenever a class is looked up
def _spellings(name: str) -> tuple[str, str]:
    """A name as it is written, of a WordNet id its class's, and as it is compared loosely."""
    name = str(name)
    exact = _imagenet().get(name, name) if re.fullmatch(r"n\d{8}", name) else name
    return exact, " ".join(re.split(r"[\s_-]+", exact.casefold()))


@functools.cache
def _imagenet() -> dict[str, str]:
    """WordNet id -> name of ImageNet's classes."""
    from xailib.datasets.imagenet.labels import imagenet_class_names, wordnet_ids

    return dict(zip(wordnet_ids(), imagenet_class_names(), strict=True))


def first_few(names: Sequence[str]) -> str:
    """Return the first names of many, for messages."""
    return ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
