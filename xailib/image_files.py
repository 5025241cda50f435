"""Which files of a folder are images; read without torch, as a plan asks for them too."""

import os
from collections.abc import Iterator
from pathlib import Path

from xailib.errors import InputError

SUFFIXES = (
    *(".jpeg", ".jpg", ".jpe", ".jfif", ".png", ".gif", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm"),
    *(".avif", ".heic", ".heif"),  # refused by name where Pillow cannot read them, not passed over
)
# What file systems, archives and cloud folders leave behind; so do names that begin with a dot.
JUNK = {"__MACOSX", "@eaDir", "$RECYCLE.BIN", "System Volume Information", "lost+found", "__pycache__"}


def image_files(folder: Path, recursive: bool = False) -> list[Path]:
    """Return the image files of a folder, sorted; hidden ones and what systems leave behind are none.

    A folder that links lead to several times is entered once, and those around it never, so that links in a circle end.
    """
    return sorted(_walk(folder, recursive))


def has_images(folder: Path) -> bool:
    """Whether there is an image file in a folder or in those below."""
    return next(_walk(folder, True), None) is not None


def _walk(folder: Path, recursive: bool) -> Iterator[Path]:
    entered = {os.path.realpath(parent) for parent in Path(folder).absolute().parents}
    for place, folders, names in os.walk(folder, followlinks=True, onerror=_unreadable):
        entered.add(os.path.realpath(place))
        inner = sorted(name for name in folders if recursive and not is_junk(name))
        folders[:] = [name for name in inner if os.path.realpath(os.path.join(place, name)) not in entered]
        yield from (Path(place, name) for name in names if name.lower().endswith(SUFFIXES) and not is_junk(name))


def _unreadable(error: OSError) -> None:
    raise InputError(f"{error.filename}: cannot be listed ({error.strerror})")


def is_junk(name: str) -> bool:
    """Whether a file or folder of this name is hidden, or left behind by a system."""
    return name.startswith(".") or name in JUNK
