"""What a slice's results depend on beside its parameters: digests of notebooks and of the files of xailib behind them.

Which files a method or metric is made of is read from import statements: nothing is imported for the answer.
"""

import ast
import functools
import hashlib
import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from xailib import params
from xailib.errors import InputError
from xailib.params import ROOT
from xailib.params.facts import registry_facts

# The sources that a stage's results depend on; a change re-runs the stage and Snakemake says so. The files of a method
# or metric come on top, for the slices that use it.
_IMAGES = ("images/*.py", "datasets/*.py")
_SHARED = (
    *(
        "engine/*.py",
        "seeding.py",
        "results/__init__.py",
        "workflow/notebooks.py",
        "classes.py",
        "maps.py",
        "targets.py",
    ),
    *("models/*.py", *_IMAGES),
)
ROAR_TRAINING = tuple(
    f"roar/{name}.py" for name in ("retrain", "network", "recipe", "steps", "view", "removal", "slices")
)
SOURCES = {
    "probe": _SHARED,
    "predict": (*_SHARED, "metrics/accuracy.py", "metrics/probe.py", "training/adversary.py"),
    "attribute": (
        *_SHARED,
        "params/signatures.py",
        "attribution/__init__.py",
        "attribution/repeats.py",
    ),
    "evaluate": (
        *_SHARED,
        "params/signatures.py",
        "metrics/__init__.py",
        "metrics/checks.py",
        "metrics/reliability.py",
    ),
    "analysis": ("analysis/*.py", "analysis/*.j2", "plots/*.py"),
    "train": (*_SHARED, "training/*.py"),
    "roar_images": ("roar/store.py", *_IMAGES),
    "roar_rank": (
        *_SHARED,
        "roar/rank.py",
        "roar/removal.py",
        "roar/slices.py",
        "metrics/ranks.py",
        "attribution/*.py",
    ),
    "roar_retrain": ("seeding.py", "models/*.py", "training/loop.py", *ROAR_TRAINING),
    "roar_trust": (*_SHARED, "roar/trust.py", "roar/imputation.py", "metrics/*.py", "training/loop.py", *ROAR_TRAINING),
    "roar_toy": ("roar/toy.py", "plots/roar_toy.py"),
    "roar_results": ("analysis/*.py", "analysis/*.csv", "plots/*.py"),
}
# Bookkeeping that no number depends on, and how weights get here, which their sha256 checks.
PLUMBING = {
    f"xailib/{name}.py"
    for name in (
        *("errors", "registry", "params/__init__", "params/facts", "params/schema"),
        *("engine/cost", "params/made_from", "results/provenance"),
    )
}
PLUMBING |= {f"xailib/models/{name}.py" for name in ("download", "fetch")}
SHIPPED_FINDINGS = ROOT / "docs" / "findings"
"""Findings that come with the repository, measured with the networks that come with it."""


def nb_code(path: str | Path) -> str:
    """Digest of a notebook's code cells: saving it with outputs in JupyterLab changes nothing."""
    try:
        cells = json.loads(Path(path).read_text(encoding="utf-8"))["cells"]
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"{path}: cannot be read as a notebook ({error})") from None
    return _digest("".join(cell["source"]).encode() for cell in cells if cell["cell_type"] == "code")


@functools.cache  # asked for every job; and one run goes by one state of the sources
def lib_code(stage: str, kind: str = "", *ids: str) -> str:
    """Digest of the sources that a stage's results depend on: `sources(...)`."""
    files = sorted(sources(stage, kind, *ids))
    return _digest(part for path in files for part in (path.name.encode(), path.read_bytes()))


def sources(stage: str, kind: str = "", *ids: str) -> set[Path]:
    """Return the files behind a stage: the ones it always uses, and those of the functions of `ids`.

    Args:
        stage: a key of `SOURCES`.
        kind, ids: methods or metrics, by the ids of their parameter files; with them come the files that the module of
            their function imports.
    """
    found = {path for pattern in SOURCES[stage] for path in (ROOT / "xailib").glob(pattern)}
    found = {path for path in found if path.relative_to(ROOT).as_posix() not in PLUMBING}
    functions = [params.load_params(kind, id).get(f"{params.KINDS[kind]}_function", id) for id in ids]
    known = registry_facts()[kind] if ids else {}
    return found | files((known[name]["module"] for name in functions), ROOT)


def findings_path(study: str, results: str | Path) -> Path | None:
    """Return where a study's findings are: in its folder in `results`, else shipped in `docs/findings`, else None."""
    run, shipped = ROOT / results / study / "findings.csv", SHIPPED_FINDINGS / f"{study}.csv"
    return next((path for path in (run, shipped) if path.exists()), None)


def findings_code(studies: Iterable[str], results: str | Path = "results") -> str:
    """Digest of the findings of other studies that a report sets beside its own."""
    paths = [findings_path(study, results) for study in studies]
    return _digest(path.read_bytes() if path else b"" for path in paths)


def _digest(parts: Iterable[bytes]) -> str:
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:12]


def files(modules: Iterable[str], root: Path = ROOT) -> set[Path]:
    """Return the files of `modules` and of all that they import from xailib, directly or through each other.

    Imports inside functions count. A package's `__init__` does not: it gathers what its files register, and whoever
    looks a function up in a registry, rather than importing it, is not seen to use it.

    Args:
        modules: dotted names, such as "xailib.attribution.rise".
        root: the folder that holds `xailib/`.
    """
    found: set[Path] = set()
    waiting = list(modules)
    while waiting:
        path = root / Path(*waiting.pop().split(".")).with_suffix(".py")
        if path in found or not path.is_file() or path.relative_to(root).as_posix() in PLUMBING:
            continue
        found.add(path)
        waiting += imports(path, root)
    return found


def imports(path: Path, root: Path = ROOT) -> Iterator[str]:
    """Yield the dotted names in a file's import statements, and for `from a import b` also `a.b`, which may be one."""
    package = path.relative_to(root).parts[:-1]
    for node in ast.walk(ast.parse(path.read_bytes(), str(path))):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            base = ".".join([*above, *([node.module] if node.module else [])])
            yield base
            yield from (f"{base}.{name.name}" for name in node.names)
