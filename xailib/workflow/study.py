"""A study as a graph of slices: its values, its grid, and what each slice is made from.

A ROAR study is one of them; its slices are trainings instead of pairs of a network and a method.
"""

import functools
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

import yaml

from xailib import params
from xailib.errors import InputError, nearest
from xailib.params import contents, made_from, shift_roots
from xailib.params.stages import FINALS, STAGES
from xailib.workflow import grids, preflight
from xailib.workflow.digests import lib_code, modules, nb_code
from xailib.workspace import SHIPPED_FINDINGS, expanded, find, findings_path, place


@dataclass(frozen=True)
class Study:
    """A study as the Snakefile sees it.

    Attributes:
        name, path, values: its id, its YAML file, and what is in it, as `resolved` gives it.
        grid: stage -> its slices; see `grids.grid`.
        skipped: (model, method, reason) of the pairs that are not in the grid.
        look: `contents.images`, asked once for each folder: a study that was opened goes by one state of its images.
    """

    name: str
    path: Path
    values: dict[str, Any]
    grid: grids.Grid
    skipped: list[tuple[str, str, str]] = field(default_factory=list)
    look: Callable[[Path], str | None] = field(
        default_factory=lambda: functools.cache(contents.images), repr=False, compare=False
    )

    @property
    def models(self) -> list[str]:
        """Ids of its networks; none in a ROAR study, which trains its own."""
        return self.values.get("models", [])

    @property
    def methods(self) -> list[str]:
        """Ids of its methods."""
        return self.values.get("methods", [])

    @property
    def metrics(self) -> list[str]:
        """Ids of its metrics."""
        return self.values.get("metrics", [])

    def judges(self, stage: str) -> list[str]:
        """Return ids of the metrics of `evaluate`, or of `indomain`: those that are scored on fine-tuned copies."""
        copies = {one["metric"] for one in self.grid.get("finetune", ())}
        return [id for id in self.metrics if (id in copies) == (stage == "indomain")]

    @property
    def estimators(self) -> list[str]:
        """Ids of a ROAR study's estimators."""
        return self.values.get("estimators", [])

    @property
    def finals(self) -> tuple[str, ...]:
        """Its final notebooks, but those of ROAR."""
        return FINALS[self.values["kind"]] if self.models else ()

    @property
    def chooses(self) -> bool:
        """Whether its maps wait until `choose` knows the images that every network is right on."""
        return bool(self.models) and self.values["only_correct"]

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """(model, method) of its maps."""
        return [(one["model"], one["method"]) for one in self.grid.get("attribute", ())]

    @property
    def groups(self) -> dict[str, list[str]]:
        """Group -> the estimators that one pass over the images serves."""
        return {one["group"]: one["estimators"] for one in self.grid.get("roar_rank", ())}

    @property
    def kept(self) -> Path:
        """Where its values lie while it runs, relative to the workspace: see `keep`."""
        return Path("results", self.name, "study.yaml")

    def needs(self, stage: str, **facts: Any) -> str:
        """Return the values that a slice of a stage depends on as one stable line of text; `facts` as `made_from` has them."""
        values = self.slice_values(stage, facts)
        return json.dumps({key: values.get(key) for key in STAGES[stage].study}, sort_keys=True)

    def origin(self, stage: str, **facts: Any) -> Callable[[Mapping[str, str]], dict[str, str]]:
        """Return a rule's parameter: all that a slice depends on beside its input files, so that Snakemake sees it change.

        Args:
            stage: a key of `STAGES`.
            facts: what the slice is beside its wildcards, such as the estimators of a ranking.
        """

        def origin(wildcards: Mapping[str, str]) -> dict[str, str]:
            given = {**wildcards, **facts}
            starts = STAGES[stage].starts.format(**given)
            found = find(starts)
            notebook = {"notebook": nb_code(found)} if found.suffix == ".ipynb" else {}
            sources = lib_code(str(found) if notebook else starts, modules(stage, self.slice_values(stage, given)))
            return {"study": self.needs(stage, **given), **notebook, "sources": sources}

        return origin

    def made_from(self, stage: str, **facts: Any) -> dict[str, Any]:
        """Return what the result of a slice is to be made from; of an evaluation also what its maps are.

        Args:
            stage: a key of `STAGES`.
            facts: which of its slices: model, method; or estimator, mode, level; of a ranking its estimators.
        """
        values = self.slice_values(stage, facts) | params.load_params("datasets", self.values["dataset"])
        values |= params.load_params("methods", facts["method"]) if "method" in facts else {}
        values |= params.load_params("metrics", facts["metric"]) if "metric" in facts else {}
        found = made_from.made_from(stage, values, checked=True, look=self.look)
        return found | ({"maps": self.made_from("attribute", **facts)} if stage in ("evaluate", "indomain") else {})

    def slice_values(self, stage: str, facts: Mapping[str, Any]) -> dict[str, Any]:
        """Return the study's values with those of one slice of a stage."""
        own = {"metrics": self.judges(stage)} if stage in ("evaluate", "indomain") else {}
        values = {**self.values, **own, **facts}
        values |= {key: int(facts[key]) for key in ("level", "base") if key in facts}
        if self.chooses:
            values["chosen_path"] = str(self.kept.with_name("chosen.json"))
        if stage == "roar_trust":
            values |= {"mask_levels": self.mask_levels(facts["estimator"]), "metrics": made_from.TRUST_METRICS}
        return values

    def stale(self, stage: str, record: str | Path, **facts: Any) -> bool:
        """Whether a slice's result was made from other values than the study's: see `made_from.stale`."""
        if not Path(record).exists():  # asked for every slice of a study that starts
            return False
        # A probe's record is one of `predict`, and says more than maps depend on.
        keys = (*STAGES[stage].study, *STAGES[stage].files) if stage == "probe" else None
        return made_from.stale(stage, record, self.made_from(stage, **facts), keys)

    def probed(self, model: str) -> list[str]:
        """Return the file that says that a model passed the probe, or none where its record expects no accuracy here."""
        dataset = params.load_params("datasets", self.values["dataset"])
        known = (dataset["dataset"], dataset.get("dataset_function"))
        expected = params.load_params("models", model).get("accuracy")
        return [f"results/{self.name}/{model}/probe/probe.json"] if expected and expected["dataset"] in known else []

    def mask_levels(self, estimator: str) -> list[int]:
        """Return the levels of the classifiers that see an estimator's masks alone; none where none is trained."""
        levels, chosen = [level for level in self.values["levels"] if level < 100], self.values["mask_levels"]
        chosen = levels[len(levels) // 2 :][:1] if chosen is None else chosen  # at 100 % all masks are one
        return chosen if estimator in self.values["mask_estimators"] else []


def open_study(name: str | Path) -> Study:
    """Read a study with every parameter file it names, check them against the registries, and lay out its grid.

    Args:
        name: an id, or a YAML file.

    Raises:
        InputError: every fault of every file, in one message.
    """
    return _laid_out(*_read(name))


def open_studies(name: str | Path, *, running: bool = False) -> tuple[Study, Study | None]:
    """Read the study called `name`, and the ROAR study that it names: for a ROAR study alone, that one twice.

    Args:
        name: an id, or a YAML file.
        running: it was opened and checked before: take the copies in `results/`, whatever became of its files.

    Raises:
        InputError: every fault of every file, in one message.
    """
    study = _laid_out(*_read(name, running))
    if study.estimators:
        return study, study
    shift_roots.check_study(study.values)
    roar = _named_roar(study, running) if study.values["roar"] else None
    params.refuse([f"{study.path}: {fault}" for fault in _unknown_studies(study.values)])
    return study, roar


def _laid_out(path: Path, values: dict[str, Any]) -> Study:
    return Study(values["study"], path, values, *grids.grid(path, values))


def check(*studies: Study | None) -> None:
    """Refuse what only the code can see of studies: images, classes, shifts and options that do not fit; see `preflight`.

    And files in the place of their folders, at which Snakemake ends in a traceback.
    """
    different = {study.path: study for study in studies if study}
    for top, name in product(("results", "logs"), ("", *(study.name for study in different.values()))):
        folder = place(Path(top, name))
        if os.path.lexists(folder) and not folder.is_dir():
            raise InputError(
                f"{folder}: is no folder, as {top} need; move it away, or let it be a folder or a link to one"
            )
    params.refuse([f"{path}: {fault}" for path, study in different.items() for fault in preflight.faults(study.values)])


def _named_roar(study: Study, running: bool) -> Study:
    """The ROAR study that a study names."""
    name = study.values["roar"]
    try:
        path, values = _read(name, running)
    except InputError as error:
        raise InputError(f"{study.path}: roar: {error}") from None
    if "estimators" not in values or values["study"] == study.name:
        wrong = (
            "is no ROAR study: it has no estimators" if "estimators" not in values else "has the same name as this one"
        )
        raise InputError(f"{study.path}: roar: '{name}' {wrong}")
    return _laid_out(path, values)


def _unknown_studies(values: dict[str, Any]) -> list[str]:
    """What is wrong with the studies that a study compares itself with."""
    known = {*params.ids("studies"), *(path.stem for path in SHIPPED_FINDINGS.glob("*.csv"))} - {values["study"]}
    return [
        f"compare: unknown study '{name}'{nearest(name, known)}"
        for name in values["compare"]
        if name not in known and (name == values["study"] or findings_path(name, "results") is None)
    ]


def _read(name: str | Path, running: bool = False) -> tuple[Path, dict[str, Any]]:
    """The path of a study's file, and its checked values."""
    copy = _copy(name) if running else None
    path = copy if copy and copy.exists() else params.study_path(name)
    values = resolved(params.load_study(path))
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path, values


def _copy(name: str | Path) -> Path:
    """Where the values of a study are kept: under the name that its file says or, if that cannot be read, has."""
    written, _ = params.read(expanded(name), "studies")
    return params.resolved_copy(str(written.get("study", Path(name).stem)))


def resolved(values: dict[str, Any]) -> dict[str, Any]:
    """Return a study's values with its folders as they are compared and read: `~` expanded, from the workspace.

    Where the data set's labels say nothing, no network can be right or wrong, and all images count. A comparison of methods
    measures no shifts and no attack.
    """
    roots = {name: made_from.plain_path(root) for name, root in values.get("shift_roots", {}).items()}
    changes = {
        "root": made_from.plain_path(values["root"]),
        **({"shift_roots": roots} if "shift_roots" in values else {}),
    }
    if "models" in values and params.load_params("datasets", values["dataset"])["dataset_classes"] == "unknown":
        changes["only_correct"] = False
    if values.get("kind") == "compare":
        changes |= {"shifts": "none", "attack_images": 0}
    return {**values, **changes}


def keep(*studies: Study | None) -> None:
    """Write the values of studies to `results/STUDY/study.yaml`, where slices read them; only what has changed.

    Raises:
        InputError: the folder cannot be written.
    """
    for study in filter(None, studies):
        # An empty choice is "none" in a file.
        values = {
            key: value if value != [] or key in ("exclude", "compare", "mask_levels") else "none"
            for key, value in study.values.items()
        }
        text = f"# Study '{study.name}' as it runs: made from {study.path}; edit that one.\n"
        text += yaml.safe_dump(values, sort_keys=False, allow_unicode=True, width=120)
        path = params.resolved_copy(study.name)
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                partial = path.with_suffix(f".{os.getpid()}")
                partial.write_text(text, encoding="utf-8")
                partial.replace(path)
            except OSError as error:
                raise InputError(
                    f"{path.parent}: cannot be written ({error.strerror}); let {place('results')} be a folder, or a link to"
                    " one, that is open for writing"
                ) from None
