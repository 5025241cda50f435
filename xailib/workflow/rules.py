"""What the rules of the Snakefile ask beside the study itself: flags of `--config`, files, GPUs, weights, results of others."""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from shlex import quote
from typing import Any

from xailib import params
from xailib.errors import InputError, nearest
from xailib.params.stages import of_rule
from xailib.workflow.collect import parts
from xailib.workflow.study import Study
from xailib.workspace import SHIPPED, environment, find, place, workspace

# weights.source of models whose weights rule `fetch` gets; the addresses are made in xailib.models.sources.
REMOTE = ("torchvision", "timm", "huggingface", "url")


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


def at_start(snakemake: Any, call: Callable[[], Any]) -> None:
    """Have something done when jobs start, as `onstart` does; which Snakemake does not ask for where this is a module."""
    from snakemake.exceptions import WorkflowError  # which other Pythons that read this do without

    before = snakemake._onstart

    def start(log: Any) -> None:
        before(log)
        try:
            call()
        except InputError as error:
            raise WorkflowError(str(error)) from None

    snakemake._onstart = start


def made_again(snakemake: Any, study: Study) -> Callable[..., Callable[[Any], list[str]]]:
    """Return what makes input functions that ask for no file, but have a result made again that is another study's.

    Snakemake would do so by itself if it remembered: `.snakemake` may be gone, and results may be copies.

    Args:
        snakemake: the Snakefile's `workflow`.
        study: what its results are to be made from.
    """

    def again(stage: str, record: str, **facts: Any) -> Callable[[Any], list[str]]:
        def ask(wildcards: Any) -> list[str]:
            path = f"results/{study.name}/{record.format(**wildcards)}"
            if study.stale(stage, path, **{**wildcards, **facts}):
                snakemake.dag.forcefiles.add(path)
            return []

        return ask

    return again


# How a slice is handed its inputs, by their names in the rule. What is not here is an input for Snakemake alone.
_HANDED = {
    **{name: "-f {path}" for name in ("dataset", "model", "method", "metric")},
    **{name: f"-p {name}_path {{path}}" for name in ("maps", "initial", "chosen")},
    "store": "-p store_dir {folder}",
}


def handed(wildcards: Any, input: Any, output: Any) -> str:
    """Return the words of a slice's command line for its input and output files.

    Parameter files, the maps, weights and folders that it reads, the ids of the study's metrics that are its own, and each
    file that it writes: `scores` is the value of the notebook's parameter `scores_path`. The executed notebook is the
    slice's own.
    """
    given = {name: [path] if isinstance(path, str) else list(path) for name, path in input.items()}
    words = [
        word.format(path=quote(path), folder=quote(str(Path(path).parent)))
        for name, word in _HANDED.items()
        for path in given.get(name, ())
    ]
    judges = [Path(path).stem for path in given.get("metrics", ())]
    words += [f"-p metrics {quote(json.dumps(judges))}"] if judges else []
    return " ".join([*words, *(f"-o {name}_path {quote(path)}" for name, path in output.items() if name != "notebook")])


def tables(study: Study, stage: str) -> list[str]:
    """Return the files that rule `collect` or `roar_collect` joins."""
    return [f"results/{study.name}/{path}" for files in parts(study, stage).values() for path in files]


def verbatim(text: str) -> Callable[[Any], str]:
    """Return a text for `params:` in which Snakemake looks for no wildcards."""
    return lambda wildcards: text


def use_this_folder() -> None:
    """Work in the current folder, which Snakemake's paths start from; let rules find it, this Python and this xailib.

    Raises:
        InputError: it cannot be written, or XAILIB_WORKSPACE names another one.
    """
    here = Path.cwd()
    if "XAILIB_WORKSPACE" in os.environ and workspace().resolve() != here.resolve():
        raise InputError(
            f"XAILIB_WORKSPACE is {workspace()}, but Snakemake works in {here}; add --directory {workspace()}"
        )
    try:
        _LINK.parent.mkdir(parents=True, exist_ok=True)
        if here != SHIPPED and (not _LINK.is_symlink() or _LINK.readlink() != SHIPPED):
            _LINK.unlink(missing_ok=True)
            _LINK.symlink_to(SHIPPED)
    except OSError as error:
        raise InputError(
            f"{here}: cannot be written ({error.strerror}); run snakemake in a folder of your own, or name one by --directory"
        ) from None
    os.environ["XAILIB_WORKSPACE"] = str(here)
    os.environ.update(environment())
    os.environ["PATH"] = os.path.dirname(sys.executable) + os.pathsep + os.environ.get("PATH", "")


# What is shipped, as Snakemake is to know it: by a name that stays when xailib is installed elsewhere.
_LINK = Path(".snakemake/xailib/shipped")


def tracked(path: str) -> str:
    """Return a parameter file or a notebook by the path that Snakemake remembers: in the workspace, or as it is shipped."""
    return path if find(path) == place(path) else str(_LINK / path)


def file_of(kind: str) -> Callable[[Any], str]:
    """Return the input function of a rule that gives the parameter file of its wildcard, such as `model` for "models"."""
    return lambda wildcards: tracked(f"params/{kind}/{wildcards[params.KINDS[kind]]}.yaml")


def gpus(device: str) -> int:
    """Return how many GPUs a slice asks for: 1 where there is one and the study's `device` is not cpu."""
    devices = ("/dev/nvidiactl", "/dev/kfd")  # NVIDIA's and AMD's drivers; asking torch would load it
    if "SLURM_JOB_ID" in os.environ:  # a node's GPUs may belong to other jobs, and a step cannot have more than its job
        return int(device != "cpu" and any(map(os.environ.get, ("SLURM_JOB_GPUS", "SLURM_GPUS", "SLURM_STEP_GPUS"))))
    return int(device != "cpu" and any(map(os.path.exists, devices)))


def gpu(study: Study, asked: int | None, stage: str = "") -> Callable[[Any, str], int]:
    """Return what Snakemake asks for a slice's number of GPUs: none where its stage has no use for one.

    Args:
        study: whose slices.
        asked: what `--config gpu=` says; None for as many as there are to be had.
        stage: where the rule is called otherwise.
    """
    count = gpus(study.values["device"]) if asked is None else asked
    return lambda wildcards, rulename: count if of_rule(stage or rulename).gpu else 0


def fetched(model: str) -> list[str]:
    """Return the file that says that a model's weights were fetched, as a list of one, or none where nothing is to fetch."""
    source = params.load_params("models", model)["weights"]["source"]
    return [f"resources/weights/{model}/fetched.json"] if source in REMOTE else []


def initial_weights(model: str) -> list[str]:
    """Return the model whose weights a model's training starts from, as a list of none or one."""
    training = params.load_params("models", model).get("training") or {}
    return [training["initial"]] if training.get("initial") else []


def to_train(dataset: str) -> list[str]:
    """Return the networks that `make weights` trains for a data set: those without weights; where all have them, all again."""
    records = [params.load_params("models", id) for id in params.ids("models")]
    ours = [one for one in records if one.get("training") and one["model_dataset"] == dataset]
    missing = [one for one in ours if not find(one["weights"]["path"]).is_file()]
    return [one["model"] for one in missing or ours]
