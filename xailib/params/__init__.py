"""Parameter files: flat YAML, one thing a file, checked against their records before anything runs.

Every fault of every file a study touches is told in one message, because a run of hours should not find
them one by one.
"""

import contextlib
import copy
import fnmatch
import functools
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from xailib.errors import InputError, nearest
from xailib.params import checks
from xailib.params.records import CLASSES, KINDS
from xailib.workspace import expanded, find, place, roots, shown

# Keys of a study that name other files -> their folder.
NAMED = {"dataset": "datasets", "models": "models", "methods": "methods", "metrics": "metrics"}
# Folders of results/ that are no study's.
RESERVED = {"by_hand": "notebooks that are run by hand", "weights": "trained networks", "none": "no study"}
MAY_BE_NONE = ("keep_estimators", "mask_estimators")
ESTIMATOR_LISTS = ("estimators", *MAY_BE_NONE)


def load_params(kind: str, id: str) -> dict[str, Any]:
    """Return the checked values of `params/<kind>/<id>.yaml`, the workspace's or the shipped one, defaults filled in.

    Raises:
        InputError: an unknown id (the nearest is suggested), or a file with faults (all of them are told).
    """
    if id not in ids(kind):
        raise InputError(f"unknown {_kind(kind)} '{id}'{nearest(id, ids(kind))}")
    values, faults = read(path_of(kind, id), kind)
    refuse(faults)
    return values


def load_study(path: str | Path) -> dict[str, Any]:
    """Return a study's checked values; `models`, `methods`, `metrics` and `estimators` become lists of ids.

    The parameter files that the study names are checked too, and all faults are told at once.

    Args:
        path: a YAML file anywhere, or the id of one in `params/studies/`.
    """
    path = study_path(path)
    study, faults = read(path, "studies")
    faults += [f"{shown(path)}: {fault}" for fault in _study_faults(path, study)]
    for key, kind in (*NAMED.items(), *((key, "estimators") for key in ESTIMATOR_LISTS)):
        among = "estimators" if key in MAY_BE_NONE else key  # "all" of these is all of the study's
        told = tuple(f"{shown(path)}: {one}{end}" for one in (key, among) for end in ":.")
        if key not in study or any(fault.startswith(told) for fault in faults):
            continue
        try:
            found = (
                resolve(kind, study[key])
                if among == key
                else select(study[key], study[among], "estimator of the study")
            )
        except InputError as error:
            faults.append(f"{shown(path)}: {key}: {error}")
            continue
        if (kind == "datasets" and found != [study[key]]) or (not found and key not in MAY_BE_NONE):
            right = "one" if kind == "datasets" else "one or more"
            faults.append(
                f"{shown(path)}: {key}: '{study[key]}' is no choice here; name {right}{nearest('', ids(kind))}"
            )
            continue
        study[key] = found[0] if kind == "datasets" else found
        faults += [fault for id in found for fault in read(path_of(kind, id), kind)[1]]
    refuse(faults)
    return study


def study_path(study: str | Path) -> Path:
    """Return the file of a study: a path is taken as it stands, and a bare word is an id of `params/studies/`.

    Raises:
        InputError: no such file, or an unknown id; a file that is missing is never replaced by a shipped one.
    """
    if not isinstance(study, str | Path) or not str(study).strip():
        raise InputError(
            f"study: {study!r} is neither the id of a study nor a YAML file; known: {', '.join(ids('studies'))}"
        )
    path = expanded(study)
    if path.name != str(study) or path.suffix:
        if not path.is_file():
            hint = (
                f"; the shipped study of this name is '{path.stem}' without a path"
                if path.stem in ids("studies")
                else ""
            )
            raise InputError(f"{study}: no such parameter file{hint}")
        return path
    if path.name not in ids("studies"):
        raise InputError(f"unknown study '{study}'{nearest(path.name, ids('studies'))}")
    return path_of("studies", path.name)


def _study_faults(path: Path, study: dict[str, Any]) -> list[str]:
    """What no record can see of a study's own values."""
    found, name = [], study.get("study")
    known = path_of("studies", name) if name in ids("studies") else path
    if path.resolve() not in (known.resolve(), resolved_copy(str(name)).resolve()):
        found.append(
            f"study: '{name}' is the name of {shown(known)}, whose results it would overwrite; give it another"
        )
    if name in RESERVED:
        found.append(f"study: results/{name} is for {RESERVED[name]}; give the study another name")
    return found + scale_faults(study.get("scale", "full"))


def resolved_copy(study: str) -> Path:
    """Return where the values of a study are kept while it runs, and after: `results/STUDY/study.yaml`."""
    return place(Path("results", study, "study.yaml"))


def scale_faults(scale: Any) -> list[str]:
    """Return a sentence on a scale that no method, metric or estimator has options for; `full` always is one."""
    known = {"full"}
    if not isinstance(scale, str) or scale in known:  # what is no text is its record's business
        return []
    for kind in ("methods", "metrics", "estimators"):
        for id in ids(kind):
            known |= set(read(path_of(kind, id), kind)[0].get(f"{KINDS[kind]}_scales") or {})
            if scale in known:
                return []
    return [f"scale: no method, metric or estimator has a scale '{scale}'{nearest(scale, known)}"]


def resolve(kind: str, wanted: str | Iterable[str]) -> list[str]:
    """Return the ids that "all", a pattern such as "mini_*", or a list of ids and patterns stands for.

    Those whose file says that they are extra (`method_extra`, `metric_extra`) are not among "all".
    """
    known, words = ids(kind), [wanted] if isinstance(wanted, str) else list(wanted)
    if "all" in words and f"{KINDS[kind]}_extra" in CLASSES[KINDS[kind]].model_fields:
        at = words.index("all")
        words[at : at + 1] = [id for id in known if not read(path_of(kind, id), kind)[0].get(f"{KINDS[kind]}_extra")]
    return select(words, known, _kind(kind))


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
    """Return the ids of one kind (studies, datasets, models, methods, metrics, estimators): its file names, sorted.

    The workspace's and the shipped ones; where both have a file of one name, the workspace's counts.
    """
    _kind(kind)
    found: set[str] = set()
    for root in dict.fromkeys(roots()):
        with contextlib.suppress(OSError):
            found |= {name[:-5] for name in os.listdir(root / "params" / kind) if name.endswith(".yaml")}
    return sorted(id for id in found if not id.startswith(".") and fnmatch.fnmatchcase(id, pattern))


def path_of(kind: str, id: str) -> Path:
    """Return the file of an id: the workspace's or, where it has none, the shipped one."""
    return find(Path("params", kind, f"{id}.yaml"))


def options(values: dict[str, Any], kind: str, scale: str = "full") -> dict[str, Any]:
    """Return the options of a method or metric at a study's scale: its own, updated by those of the scale."""
    word = KINDS[kind]
    return {**values.get(f"{word}_options", {}), **values.get(f"{word}_scales", {}).get(scale, {})}


def setting(kind: str, id: str, scale: str = "full") -> tuple[str, dict[str, Any]]:
    """Return the registered function of a method or metric, and its options at a scale; of one without a file just itself."""
    values = load_params(kind, id) if path_of(kind, id).exists() else {}
    return values.get(f"{KINDS[kind]}_function", id), options(values, kind, scale)


def read(path: str | Path, kind: str | None = None) -> tuple[dict[str, Any], list[str]]:
    """Return the values of a parameter file with defaults filled in, and its faults, one sentence each.

    `kind` is found by the file's identity key (`study:`, `method:`...) when it is not given.
    """
    path = Path(path)
    try:
        values, faults = _parsed(path.read_bytes(), path, kind, roots())
    except FileNotFoundError:
        return {}, [f"{shown(path)}: no such parameter file"]
    except OSError as error:
        return {}, [f"{shown(path)}: cannot be read ({error.strerror})"]
    return copy.deepcopy(values), list(faults)


@functools.lru_cache(maxsize=1000)  # hundreds of slices ask for the same files
def _parsed(text: bytes, path: Path, kind: str | None, searched: tuple[Path, ...]) -> tuple[dict[str, Any], list[str]]:
    """What is in a parameter file, by its bytes."""
    try:
        values = yaml.load(text, _Loader)
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        return {}, [f"{shown(path)}: cannot be read as YAML: {' '.join(str(error).split())}"]
    if not isinstance(values, dict) or not all(isinstance(key, str) for key in values):
        return {}, [f"{shown(path)}: must be a list of 'key: value' lines"]
    kind = kind or next((folder for folder, word in KINDS.items() if word in values), "studies")
    word = KINDS[kind]
    roar = kind == "studies" and "estimators" in values  # two kinds of study, one folder
    record = CLASSES["roar_study" if roar else word]
    faults = [f"{shown(path)}: {fault}" for fault in checks.faults(record, values)]
    filed = any(path.parent == root / "params" / kind for root in searched)
    if filed and values.get(word, path.stem) != path.stem:
        faults.append(f"{shown(path)}: {word}: '{values[word]}' is not the file's name; write '{word}: {path.stem}'")
    for key, default in record.defaults().items():
        values.setdefault(key, default)
    if kind == "models":
        values.setdefault("label", values.get("model", path.stem))
    return values, faults


def word_faults(values: dict[str, Any]) -> list[str]:
    """Return one sentence for each value, by its key in parameter files, that such a file could not hold."""
    found = scale_faults(values.get("scale"))
    for key, value in values.items():
        faults = [checks.faults_of(key, value, record) for record in CLASSES.values() if key in record.model_fields]
        found += min(faults, key=len, default=[])  # `dataset`, `scale` and others are keys of several kinds
    return found


def _kind(kind: str) -> str:
    """The noun of a kind, for messages; an unknown kind is refused."""
    if kind not in KINDS:
        raise InputError(f"unknown kind of parameter file '{kind}'{nearest(kind, KINDS)}")
    return {"datasets": "data set"}.get(kind, KINDS[kind])


def refuse(faults: list[str]) -> None:
    """Raise one `InputError` that tells every fault, if there are any."""
    if faults:
        faults = list(dict.fromkeys(faults))
        raise InputError(
            faults[0] if len(faults) == 1 else f"{len(faults)} faults in parameter files: " + " | ".join(faults)
        )


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """YAML that refuses a key written twice instead of keeping the last one, and tells where a value cannot be read.

    Of its values it takes those that JSON has too: no dates, no sets, and none that holds itself.
    """

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        kind = node.tag.rpartition(":")[2]
        try:
            value = super().construct_object(node, deep=True)
        except yaml.YAMLError:
            raise
        except Exception:  # PyYAML raises several kinds of what looks like a date, or is tagged, and is none
            said = f"'{node.value}' is no valid {kind}; if it is text, write it in quotes"
            raise yaml.constructor.ConstructorError(None, None, said, node.start_mark) from None
        if not isinstance(value, dict | list | str | int | float | None):
            said = f"a {kind} is no value of a parameter file; if it is text, write it in quotes"
            raise yaml.constructor.ConstructorError(None, None, said, node.start_mark)
        return value

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        own = (key for key, _ in node.value if key.tag != "tag:yaml.org,2002:merge")
        keys = [self.construct_object(key, deep=True) for key in own]
        twice = [key for key in keys if keys.count(key) > 1]
        if twice:
            raise yaml.constructor.ConstructorError(None, None, f"the key '{twice[0]}' is given twice", node.start_mark)
        return super().construct_mapping(node, deep)
