"""What `--images` says, as the parameter file of a data set: counted, looked into, and compared with the networks' classes."""

import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

from xailib import datasets, params
from xailib.errors import InputError, nearest
from xailib.models import classes
from xailib.workflow.init.text import Draft
from xailib.workspace import expanded

LOOKED_AT = 200  # images that are read before anything is written: a study of so many finds no broken one later
FEWEST = 2


@dataclass
class Pictures:
    """The images of a study.

    Attributes:
        dataset: id of the data set.
        draft: its parameter file; None where a shipped one is used.
        root: its folder or table; None where it needs none.
        count: how many images there are.
        names: its classes in label order; none where the images have no labels.
        boxes: whether an image that was looked at has a box.
    """

    dataset: str
    draft: Draft | None
    root: str | None
    count: int
    names: list[str]
    boxes: bool


def pictures(word: str, name: str, root: str | None = None) -> Pictures:
    """Return what is known of the images that `--images` means.

    Args:
        word: a folder, flat or one folder a class; a CSV with the columns file, label and box; or the id of a data set,
            where no folder here is called so.
        name: id for the data set's file, where one is to be written.
        root: the folder of a data set that is read from one.

    Raises:
        InputError: no such images, fewer than two, or one that cannot be read: the sentence begins with the word.
    """
    try:
        return _pictures(word, name, root)
    except InputError as error:
        raise InputError(f"--images {word}: {error}") from None


def _pictures(word: str, name: str, root: str | None) -> Pictures:
    path = expanded(word)
    own = root is None and os.path.exists(path)  # a folder called like a data set is meant where it is there
    if word in params.ids("datasets") and not own:
        record = params.load_params("datasets", word)
        function, options, draft = record.get("dataset_function", word), record["dataset_options"], None
        if "root" in datasets.takes(function) and root is None:
            raise InputError(f"this data set is read from a folder; add --root FOLDER, the one that holds {word}")
        source = str(expanded(root).resolve()) if root else None
    elif own:
        if path.is_file() and path.suffix.lower() != ".csv":
            raise InputError(
                "neither a folder nor a table; give the folder of the images, or a CSV of file, label, box"
            )
        function, options, source = "table" if path.is_file() else "folder", {}, str(path.resolve())
        draft = _draft(word, name, function)
    elif os.path.exists(path):
        raise InputError("read as it is; leave out --root, which is the folder of a data set")
    else:
        hint = nearest(word, params.ids("datasets"))
        hint = hint if "did you mean" in hint else "; give a folder, a CSV or the id of a data set"
        raise InputError(f"there is neither a folder or file of this name nor a data set{hint}")
    given = {"root": source, **options} if source else options
    with warnings.catch_warnings(action="ignore"):
        found = datasets.open_images(function, **given)
        seen = found.select(slice(LOOKED_AT))
        names = datasets.class_names(function, **given) if seen.has_labels else []
    if len(found) < FEWEST:
        raise InputError("one image; intervals and tests need at least two, and say something from about twenty")
    return Pictures(draft.id if draft else word, draft, source, len(found), names, any(len(box) for box in seen.boxes))


def _draft(word: str, name: str, function: str) -> Draft:
    values = {
        "dataset": name, "dataset_label": name.replace("_", " ").capitalize(), "dataset_function": function,
        "dataset_classes": None, "dataset_options": {"crop": "resize"},
    }  # fmt: skip
    kind = {"folder": "a folder, flat or one folder a class", "table": "a CSV with the columns file, label and box"}
    notes = {
        "dataset_label": "its name in figures",
        "dataset_function": kind[function],
        "dataset_options": "resize: the whole image, squeezed into a square; centre: the middle of it",
    }
    return Draft("datasets", values, notes, f"Made by: xailib init --images {word}")


def agree(images: Pictures, networks: Sequence[tuple[str, list[str]]]) -> str:
    """Say in the data set's file which of the networks' classes its classes are, and return what the study explains.

    Args:
        images: whose file is filled in.
        networks: (id, class names) of each.

    Returns:
        label, or predicted where the images have no labels.

    Raises:
        InputError: a class that a network does not have.
    """
    draft = images.draft
    wanted = None if draft else params.load_params("datasets", images.dataset).get("dataset_classes")
    if not images.names:
        _say(
            draft,
            "unknown",
            "the images have no labels: the predicted class is explained, and nothing is right or wrong",
        )
        return "predicted"
    try:
        for id, names in networks:
            classes.mapping(images.names, names, wanted, f"{id}: ")
    except InputError:
        if draft is None:
            raise
        for id, names in networks:
            _look_up(images.names, names, id)
        _say(draft, "by_name", "each folder or label is the network's class of that name")
    else:
        _say(draft, None, "the images' classes are the networks', in the same order")
    return "label"


def _look_up(data: list[str], network: list[str], id: str) -> None:
    try:
        classes.mapping(data, network, "by_name", f"{id}: ")
    except InputError as error:
        said = str(error).replace("dataset_classes: ", "")
        raise InputError(
            f"{said}; name the classes as the network does, give the network's names with --classes, or explain the predicted "
            "class with --target predicted"
        ) from None


def _say(draft: Draft | None, value: str | None, note: str) -> None:
    if draft is not None:
        draft.values["dataset_classes"], draft.notes["dataset_classes"] = value, note
