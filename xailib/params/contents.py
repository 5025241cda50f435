"""What is in the files that results are made from: digests that follow them to another machine and change when they do."""

import csv
import functools
import hashlib
import os
from pathlib import Path

from xailib.errors import InputError
from xailib.image_files import image_files

SAMPLED, BYTES = 1000, 4096  # images of a data set that are looked into, and how much of each is read
SMALL = 2**20  # bytes of a file that is read anew each time: its time may not tell that it was written twice


def sha256(path: Path) -> str | None:
    """Return a file's sha256 in hexadecimal digits; None where there is no file.

    That of a large one, such as weights, is computed once for each of its sizes and times of writing.

    Raises:
        InputError: it cannot be read.
    """
    if not os.path.isfile(path):  # which says no, and raises nothing, of what is no path at all
        return None
    try:
        state = path.stat()
        return (_sha256 if state.st_size > SMALL else _sha256.__wrapped__)(path, state.st_mtime_ns, state.st_size)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None


@functools.lru_cache(maxsize=1000)
def _sha256(path: Path, written: int, size: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def images(path: Path) -> str | None:
    """Return a digest of the images in a folder, or of a CSV file and the images that it lists; None where neither is.

    It holds their names from there and their sizes, and what is in the middle of a thousand of them at most: times, and the
    folder's own place, are others where a data set is copied. So of a larger data set an image that is replaced by another
    one of the same name and size may go unseen, but not a data set that was made anew.

    Raises:
        InputError: a folder that cannot be listed, or a table that cannot be read.
    """
    if path.is_dir():
        top = len(str(path.absolute())) + 1
        digest, files = hashlib.sha256(), {str(file)[top:]: file for file in image_files(path.absolute(), True)}
    elif table := sha256(path):
        digest, files = hashlib.sha256(table.encode()), {name: path.parent / name for name in _listed(path)}
    else:
        return None
    every = -(-len(files) // SAMPLED)
    for i, (name, file) in enumerate(files.items()):
        digest.update(os.fsencode(name) + b"\0" + _glance(file, i % every == 0) + b"\n")
    return digest.hexdigest()


def _listed(table: Path) -> list[str]:
    """What stands in the column `file` of a table, each once; what is wrong with it is the data set's to say."""
    with table.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        reader = csv.DictReader(file)
        try:
            column = next((name for name in reader.fieldnames or () if name.strip().casefold() == "file"), None)
            if column is None:
                return []
            return list(dict.fromkeys((row.get(column) or "").strip() for row in reader))
        except csv.Error:
            return []


def _glance(file: Path, inside: bool) -> bytes:
    """A file's size and, if wanted, the bytes in its middle; nothing of one that is not there."""
    try:
        size = os.stat(file).st_size
        if not inside:
            return str(size).encode()
        with file.open("rb") as opened:
            opened.seek(max(0, (size - BYTES) // 2))
            return str(size).encode() + b"\0" + opened.read(BYTES)
    except OSError:
        return b""
