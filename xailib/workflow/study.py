"""What the Snakefile asks: which slices a study has, what a slice depends on, and collecting their tables.

`python -m xailib.workflow.study collect STUDY RESULTS` is the `collect` rule; `report STUDY` says where a study's report is.
"""

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from xailib import params
from xailib.errors import InputError, nearest
from xailib.params import made_from, shift_roots
from xailib.params.facts import registry_facts
from xailib.workflow import preflight
from xailib.workflow.digests import SHIPPED_FINDINGS, findings_path
from xailib.workflow.roar_study import RoarStudy, open_roar

# weights.source of models whose weights rule `fetch` gets; the addresses are made in xailib.models.sources.
REMOTE = ("torchvision", "timm", "huggingface", "url")


@dataclass(frozen=True)
class Study:
    """A study as the Snakefile sees it.

    Attributes:
        name, path, values: its id, its YAML file, and what is in it, as `resolved` gives it.
        models, methods, metrics: ids.
        pairs: (model, method) that are in the grid.
        skipped: (model, method, reason) that are not.
    """

    name: str
    path: Path
    values: dict[str, Any]
    models: list[str]
    methods: list[str]
    metrics: list[str]
    pairs: list[tuple[str, str]]
    skipped: list[tuple[str, str, str]]

    @property
    def kept(self) -> Path:
        """Where its values lie while it runs, relative to the repository: see `keep`."""
        return params.resolved_copy(self.name).relative_to(params.ROOT)

    def needs(self, stage: str) -> str:
        """Return the values that a stage depends on as one stable line of text."""
        return json.dumps({key: self.values.get(key) for key in made_from.STUDY[stage]}, sort_keys=True)

    def made_from(self, stage: str, model: str = "", method: str = "") -> dict[str, Any]:
        """Return what the result of a slice is to be made from; of an evaluation also what its maps are."""
        values = self.values | params.load_params("datasets", self.values["dataset"]) | {"model": model}
        values |= params.load_params("methods", method) if method else {}
        found = made_from.made_from(stage, values, checked=True)
        return found | ({"maps": self.made_from("attribute", model, method)} if stage == "evaluate" else {})

    def stale(self, stage: str, record: str | Path, wildcards: Mapping[str, str]) -> bool:
        """Whether a slice's result was made from other values than the study's: see `made_from.stale`."""
        wanted = self.made_from(stage, wildcards.get("model", ""), wildcards.get("method", ""))
        keys = (*made_from.STUDY[stage], *made_from.FILES[stage]) if stage == "probe" else None
        return made_from.stale(stage, record, wanted, keys)

    def probed(self, model: str) -> list[str]:
        """Return the file that says that a model passed the probe, or none where its record expects no accuracy here."""
        dataset = params.load_params("datasets", self.values["dataset"])
        known = (dataset["dataset"], dataset.get("dataset_function"))
        expected = params.load_params("models", model).get("accuracy")
        return [f"results/{self.name}/{model}/probe/probe.json"] if expected and expected["dataset"] in known else []


def settings(config: dict[str, Any]) -> tuple[str, int | None]:
    """Return the study and the number of GPUs a slice asks for (None: as many as fit) that `--config` gives.

    Raises:
        InputError: an unknown key, a study that is no text, or no number of GPUs.
    """
    known = ("study", "gpu")
    stray = next((key for key in config if key not in known), None)
    if stray is not None:
        raise InputError(f"--config {stray}: unknown key{nearest(stray, known)}")
    study, gpu = config.get("study", "pictograms"), config.get("gpu")
    if not isinstance(study, str):
        raise InputError(f"--config study={study}: unknown study{nearest(str(study), params.ids('studies'))}")
    if gpu is not None and (type(gpu) is not int or gpu < 0):
        raise InputError(f"--config gpu={gpu}: is not a number of GPUs; write gpu=1, or gpu=0 for none")
    return study, gpu


def open_studies(name: str | Path, *, running: bool = False) -> tuple[Study, RoarStudy | None]:
    """Read the study called `name` with the ROAR study it names; a ROAR study alone comes with an empty grid.

    Args:
        name: an id, or a YAML file.
        running: it was opened and checked before: take the copies in `results/`, whatever became of its files.

    Raises:
        InputError: every fault of every file, in one message.
    """
    path, values = _read(name, running)
    if "estimators" in values:
        empty: dict[str, Any] = {"models": [], "methods": [], "metrics": [], "pairs": [], "skipped": []}
        study, roar = Study(values["study"], path, values, **empty), open_roar(path, values)
    else:
        study = open_study(path, values)
        shift_roots.check_study(values)
        roar = _named_roar(study, running) if values["roar"] else None
        params.refuse([f"{path}: {fault}" for fault in _strangers(values)])
    return study, roar


def check(*studies: "Study | RoarStudy | None") -> None:
    """Refuse what only the code can see of studies: images, classes, shifts and options that do not fit; see `preflight`."""
    params.refuse([f"{study.path}: {fault}" for study in _real(studies) for fault in preflight.faults(study.values)])


def _real(studies: Iterable["Study | RoarStudy | None"]) -> list["Study | RoarStudy"]:
    """Those that have slices: a ROAR study alone comes with an empty grid."""
    return [study for study in studies if study and (isinstance(study, RoarStudy) or study.models)]


def _named_roar(study: Study, running: bool) -> RoarStudy:
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
    return open_roar(path, values)


def _strangers(values: dict[str, Any]) -> list[str]:
    """What is wrong with the studies that a study compares itself with."""
    known = {*params.ids("studies"), *(path.stem for path in SHIPPED_FINDINGS.glob("*.csv"))} - {values["study"]}
    return [
        f"compare: unknown study '{name}'{nearest(name, known)}"
        for name in values["compare"]
        if name not in known and (name == values["study"] or findings_path(name, "results") is None)
    ]


def _read(name: str | Path, running: bool = False) -> tuple[Path, dict[str, Any]]:
    """The path of a study's file, and its checked values."""
    path = params.study_path(name)
    if running:
        copy = params.resolved_copy(str(params.read(path, "studies")[0].get("study")))
        path = copy if copy.exists() else path
    values = resolved(params.load_study(path))
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path, values


def resolved(values: dict[str, Any]) -> dict[str, Any]:
    """Return a study's values with its folders as they are compared and read: `~` expanded, from the repository.

    Where the data set's labels say nothing, no network can be right or wrong, and all images count.
    """
    roots = {name: made_from.plain_path(root) for name, root in values.get("shift_roots", {}).items()}
    changes = {
        "root": made_from.plain_path(values["root"]),
        **({"shift_roots": roots} if "shift_roots" in values else {}),
    }
    if "models" in values and params.load_params("datasets", values["dataset"])["dataset_classes"] == "unknown":
        changes["only_correct"] = False
    return {**values, **changes}


def keep(*studies: "Study | RoarStudy | None") -> None:
    """Write the values of studies to `results/STUDY/study.yaml`, where slices read them; only what has changed."""
    for study in _real(studies):
        # An empty choice is "none" in a file.
        values = {
            key: value if value != [] or key in ("exclude", "compare") else "none"
            for key, value in study.values.items()
        }
        text = f"# Study '{study.name}' as it runs: made from {study.path}; edit that one.\n"
        text += yaml.safe_dump(values, sort_keys=False, allow_unicode=True, width=120)
        path = params.resolved_copy(study.name)
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.parent.mkdir(parents=True, exist_ok=True)
            partial = path.with_suffix(f".{os.getpid()}")
            partial.write_text(text, encoding="utf-8")
            partial.replace(path)


def open_study(name: str | Path, values: dict[str, Any] | None = None) -> Study:
    """Read a study with every parameter file it names, check them against the registries, and lay out its grid.

    Args:
        name: an id, or a YAML file.
        values: what is in it, where that is known.

    Raises:
        InputError: every fault of every file, in one message.
    """
    path, values = (Path(name), values) if values is not None else _read(name)
    kinds = {
        kind: {id: params.load_params(kind, id) for id in values[kind]} for kind in ("models", "methods", "metrics")
    }
    kinds["datasets"] = {values["dataset"]: params.load_params("datasets", values["dataset"])}
    facts = registry_facts()
    things = [(kind, id, thing) for kind, found in kinds.items() for id, thing in found.items()]
    params.refuse([fault for kind, id, thing in things for fault in faults(kind, id, thing, facts[kind])])
    models, methods = values["models"], values["methods"]
    excluded = {tuple(pair) for pair in values["exclude"]}
    params.refuse([fault for pair in excluded for fault in _unknown_pair(pair, models, methods)])
    reasons = {
        (model, method): obstacle(kinds["models"][model], kinds["methods"][method], facts)
        for model in models
        for method in methods
    }
    reasons |= dict.fromkeys(excluded, "excluded by the study")
    return Study(
        name=values["study"],
        path=path,
        values=values,
        models=models,
        methods=methods,
        metrics=values["metrics"],
        pairs=[pair for pair, reason in reasons.items() if not reason],
        skipped=[(*pair, reason) for pair, reason in reasons.items() if reason],
    )


def faults(kind: str, id: str, values: dict[str, Any], known: dict[str, Any]) -> list[str]:
    """What the registered function would refuse of a parameter file: an unknown function, or unknown options."""
    word, where = params.KINDS[kind], f"params/{kind}/{id}.yaml"
    noun, key = ("architecture", "architecture") if kind == "models" else (word, f"{word}_function")
    name = values.get(key, id)
    if name not in known:
        return [f"{where}: {key if key in values else word}: unknown {noun} '{name}'{nearest(name, known)}"]
    blocks = {f"{word}_options": values.get(f"{word}_options", {})}
    blocks |= {f"{word}_accuracy_options": values.get(f"{word}_accuracy_options", {})}
    blocks |= {f"{word}_scales.{scale}": options for scale, options in values.get(f"{word}_scales", {}).items()}
    options = known[name]["options"]
    return [
        f"{where}: {block}.{option}: unknown option{nearest(option, options)}"
        for block, given in blocks.items()
        for option in given
        if option not in options
    ]


def obstacle(model: dict[str, Any], method: dict[str, Any], facts: dict[str, Any]) -> str:
    """Return why a method cannot explain a model, or an empty string; known without loading any weights."""
    offers = {*facts["models"][model["architecture"]]["offers"], *model.get("offers", ())}
    offers |= {"cam_layer"} if model.get("cam_layer") else set()
    needs = facts["methods"][method.get("method_function", method["method"])]["needs"]
    missing = " and ".join(need for need in needs if need not in offers)
    return f"{method['method']} needs {missing}, which {model['architecture']} does not offer" if missing else ""


def _unknown_pair(pair: tuple[str, str], models: list[str], methods: list[str]) -> list[str]:
    named = (("model", pair[0], models), ("method", pair[1], methods))
    return [
        f"exclude: unknown {noun} '{word}'{nearest(word, known)}" for noun, word, known in named if word not in known
    ]


def made_again(snakemake: Any, study: "Study | RoarStudy") -> Callable[..., Callable[[Any], list[str]]]:
    """Return what makes input functions that ask for no file, but have a result made again that is another study's.

    Snakemake would do so by itself if it remembered: `.snakemake` may be gone, and results may be copies.

    Args:
        snakemake: the Snakefile's `workflow`.
        study: what its results are to be made from.
    """

    def again(stage: str, record: str, **facts: Any) -> Callable[[Any], list[str]]:
        def ask(wildcards: Any) -> list[str]:
            path = f"results/{study.name}/{record.format(**wildcards)}"
            if study.stale(stage, path, {**wildcards, **facts}):
                snakemake.dag.forcefiles.add(path)
            return []

        return ask

    return again


def verbatim(text: str) -> Callable[[Any], str]:
    """Return a text for `params:` in which Snakemake looks for no wildcards."""
    return lambda wildcards: text


def use_this_python() -> None:
    """Let the rules' `python` be the one that runs Snakemake, and text be UTF-8, whatever the caller's surroundings say."""
    os.environ["PYTHONUTF8"] = "1"
    os.environ["PATH"] = os.path.dirname(sys.executable) + os.pathsep + os.environ.get("PATH", "")


def gpus(device: str) -> int:
    """Return how many GPUs a slice asks for: 1 where there is one and the study's `device` is not cpu."""
    devices = ("/dev/nvidiactl", "/dev/kfd")  # NVIDIA's and AMD's drivers; asking torch would load it
    if "SLURM_JOB_ID" in os.environ:  # a node's GPUs may belong to other jobs, and a step cannot have more than its job
        return int(device != "cpu" and any(map(os.environ.get, ("SLURM_JOB_GPUS", "SLURM_GPUS", "SLURM_STEP_GPUS"))))
    return int(device != "cpu" and any(map(os.path.exists, devices)))


def fetched(model: str) -> list[str]:
    """Return the file that says that a model's weights were fetched, as a list of one, or none where nothing is to fetch."""
    source = params.load_params("models", model)["weights"]["source"]
    return [f"resources/weights/{model}/fetched.json"] if source in REMOTE else []


def initial_weights(model: str) -> list[str]:
    """Return the model whose weights a model's training starts from, as a list of none or one."""
    training = params.load_params("models", model).get("training") or {}
    return [training["initial"]] if training.get("initial") else []


def collect(study: Study, folder: str | Path) -> None:
    """Concatenate the slices' tables (`scores`, `reliability`, `predictions`, `accuracy`) and list the skipped pairs.

    Raises:
        InputError: a table that is missing, or that was made from other values than the study's.
    """
    import pandas as pd

    from xailib.results import read_table, write_json, write_table

    folder, made = Path(folder), study.made_from("collect")
    slices = {
        "scores": {
            folder / "/".join(pair) / "scores.parquet": study.made_from("evaluate", *pair) for pair in study.pairs
        },
        "reliability": {
            folder / "/".join(pair) / "reliability.parquet": study.made_from("evaluate", *pair) for pair in study.pairs
        },
        "predictions": {
            folder / model / "predictions.parquet": study.made_from("predict", model) for model in study.models
        },
        "accuracy": {folder / model / "accuracy.parquet": study.made_from("predict", model) for model in study.models},
    }
    for name, paths in slices.items():
        if not paths:
            raise InputError(f"study '{study.name}': no method can explain any of its models, so there are no {name}")
        tables = {path: read_table(path) for path in paths}
        for path, table in tables.items():
            made_from.require(path, table.attrs.get("made_from"), paths[path])
        table = pd.concat(tables.values(), ignore_index=True)
        table.attrs = {"made_from": made}
        for column in {"model", "method", "metric", "shift", "subset"} & set(table):
            table[column] = table[column].astype("category")
        print("wrote", write_table(folder / f"{name}.parquet", table), f"({len(table)} rows)")
    skipped = pd.DataFrame(study.skipped, columns=["model", "method", "reason"])
    print("wrote", write_table(folder / "skipped.csv", skipped), f"({len(skipped)} pairs)")
    write_json(folder / "collect.json", {"made_from": made})


def main(words: list[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m xailib.workflow.study", description=__doc__.splitlines()[0])
    parser.add_argument("command", choices=["collect", "report"])
    parser.add_argument("study", help="its YAML file; for `report` also its id")
    parser.add_argument("results", type=Path, nargs="?", help="its folder of results")
    arguments = parser.parse_args(words)
    try:
        if arguments.command == "report":
            name = params.load_study(arguments.study)["study"]
            print(f"Report: {params.resolved_copy(name).with_name('report.html')}")
        else:
            collect(open_study(arguments.study), arguments.results)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
