"""What the Snakefile asks about ROAR: which slices a study has, what they depend on, its images and its tables.

`python -m xailib.workflow.roar_study images|collect STUDY FOLDER` are the rules `roar_images` and `roar_collect`.
"""

import argparse
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xailib import params
from xailib.errors import InputError, nearest
from xailib.params import estimator_files, made_from
from xailib.params.facts import registry_facts


@dataclass(frozen=True)
class RoarStudy:
    """A ROAR study as the Snakefile sees it.

    Attributes:
        name, path, values: its id, its YAML file, and what is in it.
        estimators: ids.
        groups: group -> the estimators that one pass over the images serves.
        trainings: (estimator, mode, level) of every modified data set.
    """

    name: str
    path: Path
    values: dict[str, Any]
    estimators: list[str]
    groups: dict[str, list[str]]
    trainings: list[tuple[str, str, int]]

    @property
    def kept(self) -> Path:
        """Where its values lie while it runs, relative to the repository: see `workflow.keep`."""
        return params.resolved_copy(self.name).relative_to(params.ROOT)

    def needs(self, stage: str) -> str:
        """Return the values that a stage depends on as one stable line of text."""
        return json.dumps({key: self.values[key] for key in made_from.STUDY[stage]}, sort_keys=True)

    def made_from(self, stage: str, facts: Mapping[str, Any]) -> dict[str, Any]:
        """Return what the result of a slice is to be made from.

        Args:
            stage: a key of `made_from.STUDY`.
            facts: what the slice adds to the study's values: estimator, mode, level; of a ranking its estimators.
        """
        values = self.values | params.load_params("datasets", self.values["dataset"]) | dict(facts)
        values |= {"level": int(facts["level"])} if "level" in facts else {}
        values |= {"mask_level": self.mask_level(facts["estimator"])} if stage == "roar_trust" else {}
        return made_from.made_from(stage, values, checked=True)

    def stale(self, stage: str, record: str | Path, facts: Mapping[str, Any]) -> bool:
        """Whether a slice's result was made from other values than the study's: see `made_from.stale`."""
        return made_from.stale(stage, record, self.made_from(stage, facts))

    def mask_level(self, estimator: str) -> int:
        """Return the level of the classifier that sees an estimator's masks alone; 0 where none is trained."""
        levels = self.values["levels"]
        return (
            (self.values["mask_level"] or levels[len(levels) // 2])
            if estimator in self.values["mask_estimators"]
            else 0
        )


def open_roar(path: Path, values: dict[str, Any]) -> RoarStudy:
    """Check a ROAR study's values against the code, and lay out its slices.

    Raises:
        InputError: every fault of the study and of its estimators' files, in one message.
    """
    facts = registry_facts()
    records = [params.load_params("estimators", id) for id in values["estimators"]]
    faults = [fault for record in records for fault in estimator_files.faults(record, facts)]
    faults += [f"{path}: {fault}" for fault in _faults(values, facts)]
    params.refuse(faults)
    trainings = [(id, "remove", level) for id in values["estimators"] for level in values["levels"]]
    trainings += [(id, "keep", level) for id in values["keep_estimators"] for level in values["levels"]]
    return RoarStudy(
        name=values["study"],
        path=path,
        values=values,
        estimators=values["estimators"],
        groups=estimator_files.group(records, values["scale"], facts),
        trainings=trainings,
    )


def _faults(values: dict[str, Any], facts: dict[str, Any]) -> list[str]:
    """What no schema can see: names that do not fit together."""
    from xailib.roar.recipe import recipe_of

    found = []
    try:
        recipe_of(values["recipe"])
    except (InputError, TypeError) as error:
        found.append(str(error))
    if values["levels"] != sorted(values["levels"]):
        found.append(f"levels: {values['levels']} must be in ascending order")
    if values["architecture"] not in facts["models"]:
        found.append(
            f"architecture: unknown '{values['architecture']}'{nearest(values['architecture'], facts['models'])}"
        )
    else:
        found += _impossible(values, facts)
    for key in ("keep_estimators", "mask_estimators"):
        strangers = [id for id in values[key] if id not in values["estimators"]]
        if key == "mask_estimators":  # "all" means all of the study's, not all there are
            values[key] = [id for id in values[key] if id not in strangers]
        elif strangers:
            found.append(f"{key}: '{strangers[0]}' is not one of the study's estimators")
    if values["mask_level"] is not None and values["mask_level"] not in values["levels"]:
        found.append(f"mask_level: {values['mask_level']} is none of the levels {values['levels']}")
    return found


def _impossible(values: dict[str, Any], facts: dict[str, Any]) -> list[str]:
    """Estimators whose method needs what the architecture does not offer."""
    offers, found = facts["models"][values["architecture"]]["offers"], []
    for id in values["estimators"]:
        method = params.load_params("estimators", id)["estimator_method"]
        missing = [need for need in facts["methods"].get(method, {"needs": []})["needs"] if need not in offers]
        if missing:
            found.append(
                f"estimators: '{id}' needs {' and '.join(missing)}, which {values['architecture']} does not offer"
            )
    return found


def images(study: RoarStudy, folder: Path) -> None:
    """Build the study's store of images."""
    from xailib.results import write_json
    from xailib.roar.store import build

    values, record = study.values, params.load_params("datasets", study.values["dataset"])
    build(
        folder,
        record.get("dataset_function", values["dataset"]),
        side=values["side"],
        options={**record.get("dataset_options", {}), **values["image_options"]},
        **{key: values[key] for key in ("train_split", "test_split", "train_images", "test_images", "seed", "root")},
        report=lambda line: print(line, flush=True),
    )
    store = json.loads((folder / "store.json").read_text(encoding="utf-8"))
    write_json(folder / "store.json", store | {"made_from": study.made_from("roar_images", {})})


def collect(study: RoarStudy, folder: Path) -> None:
    """Concatenate the slices' tables into `roar.parquet` and `trust.parquet`."""
    import pandas as pd

    from xailib.results import read_table, write_json, write_table

    base = {folder / "base/rows.parquet": {"estimator": "none", "mode": "remove", "level": 0}}
    slices = {
        "roar": base
        | {
            folder / id / f"{mode}_{level}" / "rows.parquet": {"estimator": id, "mode": mode, "level": level}
            for id, mode, level in study.trainings
        },
        "trust": {folder / id / "trust.parquet": {"estimator": id} for id in study.estimators},
    }
    for (name, paths), stage in zip(slices.items(), ("roar_retrain", "roar_trust"), strict=True):
        tables = {path: read_table(path) for path in paths}
        for path, table in tables.items():
            made_from.require(path, table.attrs.get("made_from"), study.made_from(stage, paths[path]))
        table = pd.concat(tables.values(), ignore_index=True)
        print("wrote", write_table(folder / f"{name}.parquet", table), f"({len(table)} rows)")
        for row in table[table["status"] != "ok"].itertuples() if "status" in table else ():
            print(f"{row.estimator} {row.mode} {row.level} % seed {row.seed}: {row.status}")
    write_json(folder / "roar_collect.json", {"made_from": study.made_from("roar_collect", {})})


def main(words: list[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m xailib.workflow.roar_study", description=__doc__.splitlines()[0])
    parser.add_argument("command", choices=["images", "collect"])
    parser.add_argument("study", type=Path, help="its YAML file")
    parser.add_argument("folder", type=Path, help="where its images or results are")
    arguments = parser.parse_args(words)
    try:
        study = open_roar(arguments.study, params.load_study(arguments.study))
        {"images": images, "collect": collect}[arguments.command](study, arguments.folder)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
