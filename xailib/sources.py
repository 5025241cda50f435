"""Which files of xailib a module is made of, read from its import statements: nothing is imported for the answer."""

import ast
from collections.abc import Iterable, Iterator
from pathlib import Path

from xailib.params import ROOT

# Bookkeeping that no number depends on.
PLUMBING = {f"xailib/{name}.py" for name in ("errors", "facts", "params", "provenance", "registry", "schema")}


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
