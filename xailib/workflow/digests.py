"""What a slice's results depend on beside its parameters: digests of its notebook and of the files of xailib behind it.

Which files these are is read from import statements, from the notebook's cells onwards; nothing is imported for the answer.
What a slice looks up in a registry, rather than importing it, is added by name: the files of its own data set, network,
method, metrics or estimators, and not of their neighbours.
"""

import ast
import functools
import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import xailib
from xailib import params
from xailib.errors import InputError
from xailib.params.facts import registry_facts
from xailib.params.stages import STAGES
from xailib.workspace import PACKAGE, findings_path, place, workspace

SOURCES = PACKAGE.parent

# No number depends on them otherwise than by values that results hold and that are compared (`made_from`): how parameter
# files are read and checked, where results say that they come from, the words of errors, and the names that xailib
# offers, whose homes are followed. They import nothing that computes, which a test holds them to.
_PARAMS = ("__init__", "schema", "records", "checks", "stages", "facts", "made_from", "contents", "shift_roots")
_OTHERS = ("__init__", "errors", "plugins/__init__", "results/provenance", "workspace")
BOOKKEEPING = frozenset(f"xailib/{name}.py" for name in (*_OTHERS, *(f"params/{name}" for name in _PARAMS)))


def nb_code(path: str | Path) -> str:
    """Digest of a notebook's code cells: saving it with outputs in JupyterLab changes nothing."""
    return _digest(source.encode() for source in _cells(Path(path)))


@functools.cache  # asked for every job; and one run goes by one state of the sources
def lib_code(starts: str, modules: tuple[str, ...] = (), root: Path = SOURCES) -> str:
    """Digest of the files of xailib that a notebook or module reaches, and that `modules` reach; see `files`."""
    found = {_label(path, root): path for path in files((starts, *modules), root)}
    return _digest(part for label in sorted(found) for part in (label.encode(), _bytes(found[label])))


@functools.cache  # the same files are behind most stages
def _bytes(path: Path) -> bytes:
    return path.read_bytes()


def _label(path: Path, root: Path) -> str:
    """A file's name in digests: "xailib/maps.py", or "plugins/mine.py"."""
    return path.relative_to(root if path.is_relative_to(root / "xailib") else workspace()).as_posix()


def modules(stage: str, values: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the modules of the registered functions that a slice looks up, by dotted names, sorted.

    Args:
        stage: a key of `STAGES`.
        values: what the slice is made from, by the keys of parameter files; for a training, those of the model's file.
    """
    found: set[str] = set()
    for key in STAGES[stage].uses:
        given = values.get(key) or ()
        for name in [given] if isinstance(given, str) else given:
            found |= _homes(key, name, workspace())
    return tuple(sorted(found))


@functools.cache  # asked for every job
def _homes(key: str, name: str, root: Path) -> set[str]:
    """The modules behind one name that a study gives: an id of a parameter file of `root`, or what is registered under it."""
    facts = _facts(root)
    if key == "architecture":
        return {facts["models"][name]["module"]}
    if key == "shift_roots":
        return {facts["datasets"][name]["module"]}
    kind = next(kind for kind, word in params.KINDS.items() if key in (word, kind))
    record = params.load_params(kind, name)
    if kind == "models":
        names = [record.get("class_names"), record.get("model_dataset")]
        found = {facts[kind][record["architecture"]]["module"]}
        return found.union(*(_data(name, facts) for name in names if isinstance(name, str)))
    if kind == "datasets":
        return _data(name, facts)
    if kind == "estimators":
        method, form = record["estimator_method"], record["estimator_form"]
        return {facts["methods"][method]["module"], facts["estimators"][form]["module"]}
    return {facts[kind][record.get(f"{params.KINDS[kind]}_function", name)]["module"]}


@functools.cache
def _facts(root: Path) -> dict[str, dict[str, Any]]:
    """What is registered, with the plug-ins of the workspace `root`."""
    return registry_facts()


def _data(name: str, facts: dict[str, dict[str, Any]]) -> set[str]:
    """The module of a data set, by its id or as it is registered; none for the name of a file."""
    known = params.load_params("datasets", name) if name in params.ids("datasets") else {}
    found = facts["datasets"].get(known.get("dataset_function", name))
    return {found["module"]} if found else set()


def findings_code(studies: Iterable[str], results: str | Path = "results") -> str:
    """Digest of the findings of other studies that a report sets beside its own."""
    paths = [findings_path(study, results) for study in studies]
    return _digest(path.read_bytes() if path else b"" for path in paths)


def files(starts: Iterable[str], root: Path = SOURCES) -> set[Path]:
    """Return the files of xailib that notebooks and modules reach by imports, directly or through each other.

    Imports inside functions count, those for type checkers do not. With a module come the `__init__` files of its packages,
    which run first, and the data files beside it that it names.

    Args:
        starts: notebooks, by their paths from `root`, and modules, by dotted names such as "xailib.attribution.rise".
        root: the folder that holds `xailib/`, and `notebooks/` where their paths are not absolute.

    Raises:
        InputError: a notebook that is none, or whose cells are no Python.
    """
    found: set[Path] = set()
    waiting = list(starts)
    while waiting:
        name = waiting.pop()
        if name.endswith(".ipynb"):
            waiting += notebook_imports(root / name)
            continue
        for path in _paths(name, root):
            if path not in found and _label(path, root) not in BOOKKEEPING:
                found.add(path)
                waiting += imports(path, root)
    return found | {other for path in found for other in _data_files(path)}


@functools.cache
def _paths(name: str, root: Path) -> list[Path]:
    """The files that importing a dotted name of xailib runs: packages' `__init__` files, then the module's own.

    Those below `xailib.plugins` lie in the workspace.
    """
    parts, found = name.split("."), []
    if parts[0] != "xailib":
        return found
    if len(parts) > 1 and parts[1] in xailib._HOMES:
        parts = xailib._HOMES[parts[1]].split(".")
    for end in range(1, len(parts) + 1):
        plugin = end > 2 and parts[1] == "plugins"
        stem = place("plugins").joinpath(*parts[2:end]) if plugin else root.joinpath(*parts[:end])
        found += [path for path in (stem / "__init__.py", stem.with_suffix(".py")) if path.is_file()]
    return found


def _data_files(path: Path) -> Iterator[Path]:
    """Templates and tables that lie beside a module and that it names."""
    others = [other for other in _siblings(path.parent) if other.suffix in (".csv", ".j2", ".json")]
    if others:
        yield from (other for other in others if other.name.encode() in _bytes(path))


@functools.cache
def _siblings(folder: Path) -> list[Path]:
    return sorted(folder.iterdir())


@functools.cache
def imports(path: Path, root: Path = SOURCES) -> list[str]:
    """Return the dotted names that a file imports: see `names`."""
    folders = _label(path, root).split("/")[:-1]
    package = folders if folders[0] == "xailib" else ["xailib", *folders]
    return list(dict.fromkeys(names(_bytes(path), str(path), tuple(package))))


def notebook_imports(path: Path) -> list[str]:
    """Return the dotted names that a notebook's code cells import, lines for IPython (`%`, `!`) left out."""
    text = "\n".join(re.sub(r"^(\s*)(%%?[A-Za-z]|!(?!=)).*$", r"\1pass", cell, flags=re.M) for cell in _cells(path))
    return list(dict.fromkeys(names(text, str(path))))


def names(source: str | bytes, where: str, package: tuple[str, ...] = ()) -> Iterator[str]:
    """Yield the dotted names in import statements, and for `from a import b` also `a.b`, which may be one.

    So it does for attributes of what was imported, as in `import xailib as xai; xai.load_model`.

    Args:
        source: Python's text.
        where: its file, for messages.
        package: the parts of the package that relative imports start from.
    """
    try:
        tree = ast.parse(source, where)
    except SyntaxError as error:
        raise InputError(f"{where}: line {error.lineno} cannot be read as Python ({error.msg})") from None
    nodes, known = list(_running(tree)), {}
    for node in nodes:
        if isinstance(node, ast.Import):
            for name in node.names:
                yield name.name
                known[name.asname or name.name.partition(".")[0]] = (
                    name.name if name.asname else name.name.split(".")[0]
                )
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            base = ".".join([*above, *([node.module] if node.module else [])])
            yield base
            for name in node.names:
                yield f"{base}.{name.name}"
                known[name.asname or name.name] = f"{base}.{name.name}"
    for node in nodes:
        if isinstance(node, ast.Attribute) and (name := _dotted(node, known)):
            yield name


def _running(tree: ast.AST) -> Iterator[ast.AST]:
    """The nodes of a syntax tree, without what stands under `if TYPE_CHECKING`."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            for other in node.orelse:
                yield other
                yield from _running(other)
        else:
            yield node
            yield from _running(node)


def _dotted(node: ast.expr, known: Mapping[str, str]) -> str:
    """The dotted name of an attribute of something imported from xailib, or an empty string."""
    attributes = []
    while isinstance(node, ast.Attribute):
        attributes.append(node.attr)
        node = node.value
    base = known.get(node.id, "") if isinstance(node, ast.Name) else ""
    return ".".join([base, *reversed(attributes)]) if base.partition(".")[0] == "xailib" else ""


def _cells(path: Path) -> list[str]:
    """The sources of a notebook's code cells."""
    try:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: cannot be read as a notebook ({error})") from None


def _digest(parts: Iterable[bytes]) -> str:
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:12]
