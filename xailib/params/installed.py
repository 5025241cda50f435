"""Files that come inside installed packages: photographs and weights."""

import importlib.metadata
from pathlib import Path

from xailib.errors import InputError


def package_file(package: str, path: str) -> Path:
    """Return where an installed package keeps the file that its metadata lists as `path`, without importing it."""
    try:
        files = importlib.metadata.files(package) or []
    except importlib.metadata.PackageNotFoundError:
        raise InputError(f"the package '{package}' is not installed; run: pip install \"xailib[photos]\"") from None
    found = next((Path(str(file.locate())) for file in files if str(file) == path), None)
    if found is None or not found.is_file():
        raise InputError(f"the package '{package}' holds no file '{path}'; reinstall: pip install \"xailib[photos]\"")
    return found
