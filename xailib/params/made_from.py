"""What a result was made from: the values that decide it, kept inside it and compared wherever it is read again.

Snakemake knows this too, as long as `.snakemake` lives; a result that is copied, or older than a lost `.snakemake`, knows
it by itself. Which network inputs share a pass, which device and where files lie decide nothing.

What is in files of one's own is among them: weights without a sha256 in their record, a network's code, its configuration
and names of classes, images of a `folder` or a `table`, files that options of a data set name. Not seen are the images of
other data sets, of shifts and of data sets of plug-ins, which are too large to look through or not known as files; modules
and weights that code of one's own loads by itself; and what is fetched, which is fetched once and by its own record.
"""

import hashlib
import importlib.util
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from xailib import params
from xailib.errors import InputError
from xailib.params import contents
from xailib.params.estimator_files import settle
from xailib.params.stages import STAGES
from xailib.workspace import find, place, workspace

Values = dict[str, Any]

# What an evaluation asks of the maps that it is given, whatever else made them.
IMAGES_AND_NETWORK = ("dataset", "root", "split", "limit", "seed", "chosen", "images")
IMAGES_AND_NETWORK += ("dataset_function", "dataset_options", "dataset_classes", "model", "network", "method")
TRUST_METRICS = ("pointing_game", "localisation", "deletion", "insertion")
# Stands for what is not there to be compared: images that `choose` has not chosen yet, files that are elsewhere.
NOT_YET = "not chosen yet"
# Data sets whose images are one's own, and change.
OWN = ("folder", "table")
_NETWORK = (
    "architecture",
    "model_options",
    "weights",
    "mean",
    "std",
    "input_size",
    "class_names",
    "model_dataset",
    "cam_layer",
    "output",
)


def made_from(
    stage: str,
    values: Mapping[str, Any],
    *,
    checked: bool = False,
    look: Callable[[Path], str | None] = contents.images,
) -> Values:
    """Return what the results of a stage depend on; absent, null and empty values are left out.

    Args:
        stage: a key of `STAGES`.
        values: of parameter files, by key; a notebook gives its own names.
        checked: they come from files, not from a command line.
        look: `contents.images`, or what remembers its answers: a plan asks for the same images hundreds of times.

    Raises:
        InputError: a value that no parameter file could hold, or a file that cannot be read.
    """
    study, files = STAGES[stage].study, STAGES[stage].files
    if not checked:
        params.refuse(params.word_faults({key: values[key] for key in study if key in values}))
    found = {key: values.get(key) for key in (*study, *files)}
    if "root" in found:
        found["root"] = plain_path(found["root"])
    if found.get("shift_roots"):
        found["shift_roots"] = {name: plain_path(root) for name, root in found["shift_roots"].items()}
    explained = {"attribute": "method", "sanity": "method", "indomain": "method", "finetune": "metric"}
    if word := explained.get(stage):
        given = {key: values.get(key) or {} for key in (f"{word}_options", f"{word}_scales")}
        found["options"] = params.options(given, f"{word}s", values["scale"])
    if stage == "roar_rank":
        found["options"] = {
            id: settle(params.load_params("estimators", id), values["scale"]) for id in values["estimators"]
        }
    if stage in ("evaluate", "indomain", "roar_trust"):
        wanted = TRUST_METRICS if stage == "roar_trust" else values["metrics"]
        chosen = {id: params.setting("metrics", id, values["scale"]) for id in params.resolve("metrics", wanted)}
        found["judges" if stage == "indomain" else "options"] = {
            id: {"function": function, **options} for id, (function, options) in chosen.items()
        }
        found |= {} if stage == "roar_trust" else {"metrics": list(chosen)}
    if "chosen" in files:
        found["chosen"] = choice(values.get("chosen_path"))
    if "images" in files:
        found |= _images(found, values, look)
    if "network" in found:
        found["network"] = network(values["model"])
    return json.loads(json.dumps({key: value for key, value in found.items() if value not in (None, {}, [], "")}))


def stale(stage: str, record: str | Path, wanted: Mapping[str, Any], keys: tuple[str, ...] | None = None) -> bool:
    """Whether a slice's record is there, and damaged or of a result that was made from other values than those wanted.

    Of an executed final notebook, its parameters say so.
    """
    try:
        found = json.loads(Path(record).read_text(encoding="utf-8"))
    except OSError:
        return False  # Snakemake makes what is not there
    except ValueError:  # cut off, or emptied, as files are when the power goes
        return True
    if "cells" in found:
        given = made_from(stage, found["metadata"].get("papermill", {}).get("parameters", {}), checked=True)
        return any(given.get(key) != wanted.get(key) for key in given)
    return bool(difference(found.get("made_from"), wanted, keys))


def network(model: str) -> str:
    """Return a digest of what a model's answers depend on: values of its file, and what is in the files that they name.

    It is `NOT_YET` where its weights are not there and their sha256 is not known.
    """
    record = params.load_params("models", model)
    weights = {key: value for key, value in record["weights"].items() if key not in ("license", "origin")}
    parts = {**{key: record.get(key) for key in _NETWORK}, "weights": weights}
    if record["architecture"] == "function":
        parts["code"] = contents.sha256(code_file(record["model_options"]["name"]))
    if isinstance(names := record.get("class_names"), str) and (listed := contents.sha256(place(names))):
        parts["class_list"] = listed
    if record["architecture"] == "huggingface":  # of a folder; the hub's stay as they are
        written = contents.sha256(place(record["model_options"]["name"]) / "config.json")
        parts |= {"configuration": written} if written else {}
    if weights["source"] == "file" and not (weights.get("sha256") or weights.get("sha256_prefix")):
        parts["weights_sha256"] = contents.sha256(find(weights["path"]))
        if parts["weights_sha256"] is None:
            return NOT_YET
    return _digest(parts)


def _images(found: Values, values: Mapping[str, Any], look: Callable[[Path], str | None]) -> Values:
    """Digests of the files behind the images of a stage: of its own split, and of the others that it reads.

    Args:
        found: what its results depend on, before this.
        values, look: as `made_from` has them.
    """
    function = values.get("dataset_function") or values["dataset"]
    options = {**(values.get("dataset_options") or {}), **(values.get("image_options") or {})}
    accuracy = found.get("dataset_accuracy_options") or {}

    def sample(split: str | None, options: Mapping[str, Any]) -> str | None:
        root = options.get("root") or values.get("root")
        split = (options.get("split") or split) if function == "folder" else None
        parts = {key: contents.sha256(place(word)) for key, word in options.items() if isinstance(word, str)}
        parts = {key: digest for key, digest in parts.items() if digest}
        if function in OWN and root:
            parts["images"] = look(place(root) / ("" if split in (None, "all") else split))
            if parts["images"] is None:
                return NOT_YET
        return _digest(parts) if parts else None

    others = [found[key] for key in ("finetune_split", "train_split", "test_split") if key in found]
    others += [found["dataset_references"]] if found.get("dataset_references") else []
    samples = {str(split): sample(split, options) for split in others}
    samples |= {"accuracy": sample(found.get("split"), {**options, **accuracy})} if accuracy else {}
    samples = {name: digest for name, digest in samples.items() if digest}
    return {"images": sample(found["split"], options) if "split" in found else None, "other_images": samples}


def _digest(parts: Values) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:12]


def choice(path: str | Path | None) -> str | None:
    """Return a digest of which images `choose` chose: `NOT_YET` where it has not run, None where a study does not choose."""
    if not path:
        return None
    file = place(path)
    return hashlib.sha256(file.read_bytes()).hexdigest()[:12] if file.exists() else NOT_YET


def code_file(name: str) -> Path:
    """Return the file of a user's function `my_net.py:make` or `package.module:make`; nothing of that file runs.

    Raises:
        InputError: no such file or module.
    """
    module = name.rpartition(":")[0]
    if module.endswith(".py"):
        file = place(module)
        if not file.is_file():
            raise InputError(f"model_options.name: '{name}': {file}: no such file")
        return file
    try:
        found = importlib.util.find_spec(module)
    except Exception:  # of a package around it, whose own code runs
        found = None
    if found is None or not found.origin or not found.has_location:
        raise InputError(
            f"model_options.name: '{name}': Python finds no module '{module}'; write my_net.py:make or package.module:make"
        )
    return Path(found.origin)


def plain_path(path: str | None) -> str | None:
    """A path as it is compared: relative to the workspace where it lies in there."""
    if path is None:
        return None
    found, root = place(path), workspace()
    return str(found.relative_to(root) if found.is_relative_to(root) else found)


def difference(found: Mapping[str, Any] | None, wanted: Mapping[str, Any], keys: tuple[str, ...] | None = None) -> str:
    """Return the first difference between what a result was made from and what is wanted; an empty string for none.

    Args:
        found: what the result says; None where it says nothing.
        wanted: what it should say; `NOT_YET` is content with anything.
        keys: those that are compared; by default all that either has.
    """
    if found is None:
        return "does not say what it was made from"
    for key in keys or dict.fromkeys([*wanted, *found]):
        theirs, ours = found.get(key), wanted.get(key)
        if isinstance(theirs, dict) and isinstance(ours, dict):
            wrong = difference(theirs, ours).replace("was made with ", f"was made with {key}.", 1)
        else:
            wrong = "" if theirs == ours or ours == NOT_YET else f"was made with {key} {_say(theirs)}, not {_say(ours)}"
        if wrong:
            return wrong
    return ""


def require(
    path: str | Path, found: Mapping[str, Any] | None, wanted: Mapping[str, Any], keys: tuple[str, ...] | None = None
) -> None:
    """Refuse a result that was made from other values than those wanted."""
    wrong = difference(found, wanted, keys)
    if wrong:
        raise InputError(f"{path}: {wrong}; run the slice that makes it again")


def _say(value: Any) -> str:
    return "null" if value is None else f"'{value}'" if isinstance(value, str) else json.dumps(value)
