"""Parameter files: flat YAML, one thing a file, checked against `params/schema/` before anything runs.

Every fault of every file a study touches is told in one message, because a run of hours should not find
them one by one.
"""

import copy
import fnmatch
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from xailib import schema
from xailib.errors import InputError, nearest

ROOT = Path(__file__).resolve().parent.parent
"""The repository: what relative paths in parameter files start from."""

# Folder of params/ -> its schema. Notebooks merge the files in this order; later ones may not repeat a key.
KINDS = {
    "studies": "study",
    "datasets": "dataset",
    "models": "model",
    "methods": "method",
    "metrics": "metric",
    "estimators": "estimator",
}

# Keys of a study that name other files -> their folder.
NAMED = {"dataset": "datasets", "models": "models", "methods": "methods", "metrics": "metrics"}
ESTIMATOR_LISTS = ("estimators", "keep_estimators", "mask_estimators")


def load_params(kind: str, id: str) -> dict[str, Any]:
    """Return the checked values of `params/<kind>/<id>.yaml`, defaults filled in.

    Raises:
        InputError: an unknown id (the nearest is suggested), or a file with faults (all of them are told).
    """
    if id not in ids(kind):
        raise InputError(f"unknown {_kind(kind)} '{id}'{nearest(id, ids(kind))}")
    path = ROOT / "params" / kind / f"{id}.yaml"
    values, faults = read(path, kind)
    refuse(faults)
    return values


def load_study(path: str | Path) -> dict[str, Any]:
    """Return a study's checked values; `models`, `methods`, `metrics` and `estimators` become lists of ids.

    The parameter files that the study names are checked too, and all faults are told at once.

    Args:
        path: a YAML file anywhere, or the id of one in `params/studies/`.
    """
    path = Path(path)
    if not path.suffix and not path.exists():
        if path.name not in ids("studies"):
            raise InputError(f"unknown study '{path}'{nearest(path.name, ids('studies'))}")
        path = ROOT / "params" / "studies" / f"{path}.yaml"
    study, faults = read(path, "studies")
    for key, kind in (*NAMED.items(), *((key, "estimators") for key in ESTIMATOR_LISTS)):
        if key not in study or any(fault.startswith(f"{_name(path)}: {key}:") for fault in faults):
            continue
        try:
            found = resolve(kind, study[key])
        except InputError as error:
            faults.append(f"{_name(path)}: {key}: {error}")
            continue
        study[key] = found[0] if kind == "datasets" else found
        faults += [fault for id in found for fault in read(ROOT / "params" / kind / f"{id}.yaml", kind)[1]]
    refuse(faults)
    return study


def resolve(kind: str, wanted: str | Iterable[str]) -> list[str]:
    """Return the ids that "all", a pattern such as "mini_*", or a list of ids and patterns stands for."""
    return select(wanted, ids(kind), _kind(kind))


def select(wanted: str | Iterable[str], known: list[str], noun: str) -> list[str]:
    """Return those of the `known` names that "all", "none", a pattern or a list of them stands for, each once."""
    found: list[str] = []
    for word in [wanted] if isinstance(wanted, str) else wanted:
        pattern = {"all": "*", "none": ""}.get(word, word)
        matches = [name for name in known if fnmatch.fnmatchcase(name, pattern)]
        if not matches and word != "none":
            raise InputError(f"unknown {noun} '{word}'{nearest(word, known) if known else '; there are none yet'}")
        found += [name for name in matches if name not in found]
    return found


def ids(kind: str, pattern: str = "*") -> list[str]:
    """Return the ids of one kind (studies, datasets, models, methods, metrics, estimators): its file names, sorted."""
    _kind(kind)
    return sorted(
        path.stem for path in (ROOT / "params" / kind).glob("*.yaml") if fnmatch.fnmatchcase(path.stem, pattern)
    )


def options(values: dict[str, Any], kind: str, scale: str = "full") -> dict[str, Any]:
    """Return the options of a method or metric at a study's scale: its own, updated by those of the scale."""
    word = KINDS[kind]
    return {**values.get(f"{word}_options", {}), **values.get(f"{word}_scales", {}).get(scale, {})}


def read(path: str | Path, kind: str | None = None) -> tuple[dict[str, Any], list[str]]:
    """Return the values of a parameter file with defaults filled in, and its faults, one sentence each.

    `kind` is found by the file's identity key (`study:`, `method:`...) when it is not given.
    """
    path = Path(path)
    try:
        values = yaml.load(path.read_bytes(), _Loader)
    except FileNotFoundError:
        return {}, [f"{_name(path)}: no such parameter file"]
    except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
        return {}, [f"{_name(path)}: cannot be read as YAML: {' '.join(str(error).split())}"]
    if not isinstance(values, dict) or not all(isinstance(key, str) for key in values):
        return {}, [f"{_name(path)}: must be a list of 'key: value' lines"]
    kind = kind or next((folder for folder, word in KINDS.items() if word in values), "studies")
    word = KINDS[kind]
    shape = "roar_study" if kind == "studies" and "estimators" in values else word  # two kinds of study, one folder
    faults = [f"{_name(path)}: {fault}" for fault in schema.faults(values, shape)]
    if path.parent == ROOT / "params" / kind and values.get(word, path.stem) != path.stem:
        faults.append(f"{_name(path)}: {word}: '{values[word]}' is not the file's name; write '{word}: {path.stem}'")
    for key, facts in schema.load(shape)["properties"].items():
        if "default" in facts:
            values.setdefault(key, copy.deepcopy(facts["default"]))
    return values, faults


def _kind(kind: str) -> str:
    """The noun of a kind, for messages; an unknown kind is refused."""
    if kind not in KINDS:
        raise InputError(f"unknown kind of parameter file '{kind}'{nearest(kind, KINDS)}")
    return {"datasets": "data set"}.get(kind, KINDS[kind])


def _name(path: Path) -> str:
    return str(path.relative_to(ROOT)) if path.is_absolute() and path.is_relative_to(ROOT) else str(path)


def refuse(faults: list[str]) -> None:
    """Raise one `InputError` that tells every fault, if there are any."""
    if faults:
        faults = list(dict.fromkeys(faults))
        raise InputError(
            faults[0] if len(faults) == 1 else f"{len(faults)} faults in parameter files: " + " | ".join(faults)
        )


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """YAML that refuses a key written twice instead of keeping the last one."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        twice = [key for key in keys if keys.count(key) > 1]
        if twice:
            raise yaml.constructor.ConstructorError(None, None, f"the key '{twice[0]}' is given twice", node.start_mark)
        return super().construct_mapping(node, deep)
