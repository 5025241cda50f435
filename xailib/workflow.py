"""What the Snakefile asks: which slices a study has, what a slice depends on, and collecting their tables.

`python -m xailib.workflow collect STUDY RESULTS` is the `collect` rule.
"""

import argparse
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xailib import params, shift_roots
from xailib.errors import InputError, nearest
from xailib.facts import registry_facts
from xailib.params import ROOT
from xailib.roar_workflow import RoarStudy, open_roar

# The study's values that a stage's results depend on. Others (which models, how large a batch) re-run no slice.
_IMAGES = ("dataset", "root", "split", "limit", "seed", "precision")
STAGES = {
    "predict": (*_IMAGES, "shifts", "shift_roots", "accuracy_images", "attack_images", "attack_epsilon", "attack_steps"),
    "probe": ("dataset", "root", "split", "seed", "precision"),  # of what maps depend on, and no more
    "attribute": (*_IMAGES, "scale", "target", "reliability_images"),
    "evaluate": (*_IMAGES, "scale", "metrics"),
    "analysis": ("study", "description", "only_correct", "bootstrap", "compare"),
}


# weights.source of models whose weights rule `fetch` gets; the addresses are made in xailib.models.sources.
REMOTE = ("torchvision", "timm", "huggingface", "url")


@dataclass(frozen=True)
class Study:
    """A study as the Snakefile sees it.

    Attributes:
        name, path, values: its id, its YAML file, and what is in it.
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

    def needs(self, stage: str) -> str:
        """Return the values that a stage depends on as one stable line of text."""
        return json.dumps({key: self.values.get(key) for key in STAGES[stage]}, sort_keys=True)

    def probed(self, model: str) -> list[str]:
        """Return the file that says that a model passed the probe, or none where its record expects no accuracy here."""
        dataset = params.load_params("datasets", self.values["dataset"])
        known = (dataset["dataset"], dataset.get("dataset_function"))
        expected = params.load_params("models", model).get("accuracy")
        return [f"results/{self.name}/{model}/probe/probe.json"] if expected and expected["dataset"] in known else []


def open_studies(name: str | Path) -> tuple[Study, RoarStudy | None]:
    """Read the study called `name` with the ROAR study it names; a ROAR study alone comes with an empty grid."""
    path, values = _read(name)
    if "estimators" in values:
        empty: dict[str, Any] = {"models": [], "methods": [], "metrics": [], "pairs": [], "skipped": []}
        return Study(values["study"], path, values, **empty), open_roar(path, values)
    study = open_study(name)
    shift_roots.check_study(study.values)
    return study, open_roar(*_read(values["roar"])) if values["roar"] else None


def _read(name: str | Path) -> tuple[Path, dict[str, Any]]:
    """The path of a study's file, and its checked values."""
    path = Path(name) if Path(name).suffix else ROOT / "params" / "studies" / f"{name}.yaml"
    values = params.load_study(path if path.exists() else path.stem)
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path, values


def open_study(name: str | Path) -> Study:
    """Read a study with every parameter file it names, check them against the code, and lay out its grid.

    Raises:
        InputError: every fault of every file, in one message.
    """
    path, values = _read(name)
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


def use_this_python() -> None:
    """Let the rules' `python` be the one that runs Snakemake, whatever the caller's PATH says."""
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
    """Concatenate the slices' tables (`scores`, `reliability`, `predictions`, `accuracy`) and list the skipped pairs."""
    import pandas as pd

    from xailib.results import read_table, write_table

    folder = Path(folder)
    slices = {
        "scores": [folder / model / method / "scores.parquet" for model, method in study.pairs],
        "reliability": [folder / model / method / "reliability.parquet" for model, method in study.pairs],
        "predictions": [folder / model / "predictions.parquet" for model in study.models],
        "accuracy": [folder / model / "accuracy.parquet" for model in study.models],
    }
    for name, paths in slices.items():
        if not paths:
            raise InputError(f"study '{study.name}': no method can explain any of its models, so there are no {name}")
        table = pd.concat([read_table(path) for path in paths], ignore_index=True)
        for column in {"model", "method", "metric", "shift", "subset"} & set(table):
            table[column] = table[column].astype("category")
        print("wrote", write_table(folder / f"{name}.parquet", table), f"({len(table)} rows)")
    skipped = pd.DataFrame(study.skipped, columns=["model", "method", "reason"])
    print("wrote", write_table(folder / "skipped.csv", skipped), f"({len(skipped)} pairs)")


def main(words: list[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m xailib.workflow", description=__doc__.splitlines()[0])
    parser.add_argument("command", choices=["collect"])
    parser.add_argument("study", type=Path, help="its YAML file")
    parser.add_argument("results", type=Path, help="its folder of results")
    arguments = parser.parse_args(words)
    try:
        collect(open_study(arguments.study), arguments.results)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
