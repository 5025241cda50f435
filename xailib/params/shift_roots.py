"""The folders of a study's shifts: data sets that are variants of another one, named in its `shift_roots`."""

from collections.abc import Mapping
from typing import Any

from xailib import params
from xailib.errors import InputError, nearest
from xailib.params.facts import registry_facts


def check_study(values: Mapping[str, Any]) -> None:
    """Check a study's `shift_roots` without loading torch, so that a wrong folder is told before anything runs."""
    if not values["shift_roots"]:
        return
    known = registry_facts()["datasets"]
    function = params.load_params("datasets", values["dataset"]).get("dataset_function", values["dataset"])
    variants = {name: (facts["shift_of"], facts["relabels"]) for name, facts in known.items() if facts["shift_of"]}
    check(function, values["shift_roots"], variants)


def check(dataset: str, roots: Mapping[str, str | None], variants: Mapping[str, tuple[str, bool]]) -> None:
    """Refuse folders that are missing, and names that are no variant of the data set.

    Args:
        dataset: the study's registered data set.
        roots: variant -> its folder.
        variants: variant -> the data set that it is one of, and whether it can do without a folder.

    Raises:
        InputError: the first of them that is wrong.
    """
    for name, root in roots.items():
        if name not in variants:
            known = [variant for variant, (of, _) in variants.items() if of == dataset]
            hint = (
                nearest(name, known) if known else f"; data set '{dataset}' has no shifts that are read from a folder"
            )
            raise InputError(f"shift_roots: unknown shift '{name}'{hint}")
        of, alone = variants[name]
        if of != dataset:
            raise InputError(f"shift_roots: {name} is a shift of data set '{of}', not of '{dataset}'")
        if root is None and not alone:
            raise InputError(f"shift_roots: {name} needs the folder that it is read from")
        if root is not None and not params.place(root).exists():
            raise InputError(
                f"shift_roots: {name}: there is no folder {root}; unpack it there, or take it off the list"
            )
