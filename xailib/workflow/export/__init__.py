"""`xailib export RESULTS --to hub|crate OUT`: a study's results in the form that others publish and read; nothing is uploaded."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from xailib import params
from xailib.errors import InputError, command
from xailib.workflow.init import check_free
from xailib.workspace import place

TABLES = {
    "scores": "one row an image, method, network and metric: `value`, and what the metric adds",
    "sanity": "how alike maps stay while the network's weights are drawn anew",
    "reliability": "scores of the same maps under a second seed: what of a score is chance",
    "predictions": "what each network answers to each image",
    "accuracy": "how often each network is right, on the images as they are and shifted",
}


def results_folder(name: str | Path) -> tuple[Path, dict[str, Any]]:
    """Return a study's folder of results, by its path or the study's id, and the values that it ran with.

    Raises:
        InputError: no such folder, or one that no finished study filled.
    """
    path = Path(name).expanduser()
    folder = path if path.is_dir() else place(f"results/{name}")
    file = folder / "study.yaml"
    if not file.is_file():
        raise InputError(f"{name}: holds no study.yaml; give a study's folder in results/, or its id")
    values, faults = params.read(file, "studies")
    params.refuse(faults)
    if "estimators" in values:
        raise InputError(f"{name}: is of a ROAR study; only studies of maps can be exported")
    if not (folder / "scores.parquet").is_file():
        raise InputError(f"{folder}: holds no scores.parquet; run the study to its end first")
    return folder, values


@command
def main(words: list[str] | None = None) -> int:
    """Run the command line and return its exit status: 0, or 2 for a user's error."""
    from xailib.workflow.export.crate import write_crate
    from xailib.workflow.export.hub import write_hub

    forms: dict[str, Callable[[Path, dict[str, Any], Path], None]] = {"hub": write_hub, "crate": write_crate}
    parser = argparse.ArgumentParser(prog="xailib export", description=__doc__)
    parser.add_argument("results", help="a study's folder in results/, or its id")
    parser.add_argument(
        "--to", choices=forms, required=True, help="hub: a data set of Hugging Face's; crate: an RO-Crate"
    )
    parser.add_argument("out", type=Path, help="a new folder")
    given = parser.parse_args(words)
    try:
        check_free(given.out)
        folder, values = results_folder(given.results)
        if given.out.resolve().is_relative_to(folder.resolve()):
            raise InputError(f"{given.out}: lies in {folder}, which is what is exported; give a folder outside of it")
        forms[given.to](folder, values, given.out)
    except OSError as error:
        raise InputError(f"{given.out}: cannot be written ({error.strerror})") from None
    print(f"{given.out}: {sum(path.is_file() for path in given.out.rglob('*'))} files")
    return 0
