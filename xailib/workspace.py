"""Where files lie: the workspace holds what is one's own, and the package ships the rest.

Parameter files, notebooks and weights are looked for in the workspace first; results, logs and downloads go there. A
checkout is a workspace like any other.
"""

import os
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent
SHIPPED = PACKAGE / "shipped" if (PACKAGE / "shipped").is_dir() else PACKAGE.parent
"""What comes with xailib: `params/`, `notebooks/`, `rules/`, `weights/`, the Snakefile. Beside the package in a checkout,
inside it in a wheel."""
SHIPPED_FINDINGS = SHIPPED / "docs" / "findings"
"""Findings that come with xailib, measured with the networks that come with it."""


def workspace() -> Path:
    """Return the folder XAILIB_WORKSPACE, else the nearest one from here upwards with parameter files, else this one."""
    if named := os.environ.get("XAILIB_WORKSPACE"):
        return expanded(named).resolve()
    here = Path.cwd()
    return next((folder for folder in (here, *here.parents) if any(folder.glob("params/*/*.yaml"))), here)


def expanded(path: str | Path) -> Path:
    """Return a path with the home folder for `~`; as it stands where that is not known, such as of `~nobody`."""
    return Path(os.path.expanduser(path))


def place(path: str | Path) -> Path:
    """Return where a path is: `~` is the home folder, and others start from the workspace."""
    return workspace() / expanded(path)


def roots() -> tuple[Path, ...]:
    """Return where parameter files, notebooks and weights are looked for, in this order."""
    return workspace(), SHIPPED


def find(path: str | Path) -> Path:
    """Return a file or folder of the workspace or, where only the package ships it, that one."""
    found = (root / expanded(path) for root in roots())
    return next((file for file in found if file.exists()), place(path))


def findings_path(study: str, results: str | Path) -> Path | None:
    """Return where a study's findings are: in its folder in `results`, else shipped in `docs/findings`, else None."""
    run, shipped = place(Path(results, study, "findings.csv")), SHIPPED_FINDINGS / f"{study}.csv"
    return next((path for path in (run, shipped) if path.exists()), None)


def shown(path: Path) -> str:
    """Return a path as messages and results name it: from the workspace, or from what is shipped."""
    root = next((root for root in roots() if path.is_absolute() and path.is_relative_to(root)), None)
    return str(path.relative_to(root) if root else path)


def environment() -> dict[str, str]:
    """Return the environment in which another Python finds this workspace and this xailib, installed or not."""
    path = os.environ.get("PYTHONPATH", "")
    if PACKAGE.parent == SHIPPED:
        others = (entry for entry in path.split(os.pathsep) if entry not in ("", str(SHIPPED)))
        path = os.pathsep.join([str(SHIPPED), *others])
    return {**os.environ, "PYTHONUTF8": "1", "PYTHONPATH": path, "XAILIB_WORKSPACE": str(workspace())}
