"""The images of a ROAR study, fitted to the input once: the rule `roar_images`."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

from xailib import params
from xailib.results import write_json
from xailib.roar.store import build

if TYPE_CHECKING:
    from xailib.workflow.study import Study

_CHOICE = ("train_split", "test_split", "train_images", "test_images", "seed", "root")


def images(study: "Study", folder: Path) -> None:
    """Build a study's store of images in a folder, and let it say what it was made from."""
    values, record = study.values, params.load_params("datasets", study.values["dataset"])
    build(
        folder,
        record.get("dataset_function", values["dataset"]),
        side=values["side"],
        options={**record.get("dataset_options", {}), **values["image_options"]},
        **{key: values[key] for key in _CHOICE},
        report=lambda line: print(line, flush=True),
    )
    store = json.loads((folder / "store.json").read_text(encoding="utf-8"))
    write_json(folder / "store.json", store | {"made_from": study.made_from("roar_images")})
