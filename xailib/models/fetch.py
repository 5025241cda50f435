"""Fetch the weights of models, once: `python -m xailib.models.fetch MODEL ...`. Afterwards everything works offline."""

import argparse
import contextlib
import errno
import fcntl
import http.client
import json
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import IO, Any

from xailib import params
from xailib.errors import InputError
from xailib.models.checkpoints import own_file, sha256_of
from xailib.models.sources import marker, remote

# A file comes over HTTP whole or not at all: resumed where it was cut off, tried again, checked by size and sha256.
_BLOCK = 1 << 18
_PASSING = (408, 425, 429, 500, 502, 503, 504)  # answers that another try may better
_BROKEN = (urllib.error.URLError, http.client.HTTPException, OSError)


def download(
    url: str,
    target: Path,
    *,
    sha256: str = "",
    tries: int = 6,
    pause: float = 1.0,
    timeout: float = 30.0,
    bar: bool = True,
) -> Path:
    """Fetch `url` into `target` and return it; what a broken try has got stays in `<target>.partial` for the next one.

    Args:
        url: http, https or file address.
        target: where the file goes; it appears there only when it is complete and its hash is right.
        sha256: all or the first hexadecimal digits of its sha256; empty where it is not known.
        tries: how often in a row a try may bring nothing new.
        pause: seconds before the second of them; doubled for each further one.
        timeout: seconds of silence that end a try.
        bar: show progress on a terminal.

    Raises:
        InputError: an address that answers no, tries used up, or another sha256 than expected.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f"{target.name}.partial")
    with partial.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # two processes may want the same file
        if target.exists():
            partial.unlink(missing_ok=True)
            return target
        _get_all(url, file, tries, pause, timeout, bar)
        found = sha256_of(partial)
        if not found.startswith(sha256):
            partial.unlink()
            _tag(target).unlink(missing_ok=True)
            raise InputError(
                f"{url}: the sha256 of what came is {found[:12]}..., not {sha256[:12]}...; it was thrown away: try again, "
                "or correct weights.sha256 if the file was changed on purpose"
            )
        partial.replace(target)
    _tag(target).unlink(missing_ok=True)
    return target


def _get_all(url: str, file: IO[bytes], tries: int, pause: float, timeout: float, bar: bool) -> None:
    """Try until the file is complete, `tries` times in a row without a new byte at most."""
    idle = 0
    while True:
        before = file.tell()
        try:
            return _get(url, file, timeout, bar)
        except urllib.error.HTTPError as error:
            if error.code not in _PASSING:
                said = f"{error.code} {error.reason}"
                raise InputError(f"{url}: the server answers {said}; correct the address in the record") from None
            reason = f"{error.code} {error.reason}"
        except _BROKEN as error:
            if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise InputError(
                    f"{file.name}: cannot be written ({error.strerror}); make room and run again"
                ) from None
            reason = str(getattr(error, "reason", error)) or type(error).__name__
        idle = idle + 1 if file.tell() <= before else 1
        if idle >= tries:
            raise InputError(
                f"{url}: {tries} tries in a row brought nothing ({reason}); {file.tell()} bytes are kept, run the same command "
                "again to go on, or fetch the file elsewhere and give it by weights.source: file"
            )
        time.sleep(pause * 2 ** (idle - 1))


def _get(url: str, file: IO[bytes], timeout: float, bar: bool) -> None:
    """One try: append what is missing, or begin anew where the server cannot resume or the file there has changed."""
    from tqdm import tqdm

    have = file.tell()
    headers = {"User-Agent": "xailib", "Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
        with contextlib.suppress(OSError):
            headers["If-Range"] = _tag(Path(file.name)).read_text()
    try:
        answer = urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=timeout)
    except urllib.error.HTTPError as error:
        if error.code != 416:  # nothing is left to send: the file is complete, or not the one that was begun
            raise
        if (error.headers.get("Content-Range") or "").endswith(f"/{have}"):
            return
        file.truncate(0)
        file.seek(0)
        raise ConnectionError("the file there is not the one that was begun") from None
    with answer:
        if answer.status != 206 and have:
            file.truncate(0)
            file.seek(0)
            have = 0
        # What marks this version of the file is kept, so that no other version is appended to it.
        mark = answer.headers.get("ETag") or answer.headers.get("Last-Modified")
        if mark and not mark.startswith("W/"):
            _tag(Path(file.name)).write_text(mark)
        else:
            _tag(Path(file.name)).unlink(missing_ok=True)
        length = answer.headers.get("Content-Length")
        total = have + int(length) if length else None
        facts = {"desc": Path(file.name).stem, "disable": None if bar else True}  # None: hidden unless on a terminal
        with tqdm(total=total, initial=have, unit="B", unit_scale=True, **facts) as progress:
            while block := answer.read(_BLOCK):
                progress.update(len(block))
                file.write(block)
        file.flush()
    if total is not None and file.tell() < total:
        raise ConnectionError(f"cut off after {file.tell()} of {total} bytes")


def _tag(path: Path) -> Path:
    return path.with_name(f"{path.name.removesuffix('.partial')}.version")


def fetch(model: str, **options: Any) -> Path | None:
    """Fetch a model's weights unless they are there, and return the file; None where its source needs no network.

    Where the record gives no sha256, the one of the first download is kept in `fetched.json` and later loads check it.

    Args:
        model: an id from `list_models()`.
        options: those of `download`.

    Raises:
        InputError: an unknown model, source or address, or a download that fails; see `download`.
    """
    record = params.load_params("models", model)
    wanted = remote(record)
    if wanted is None:
        if record["weights"]["source"] == "file":
            own_file(record)
        return None
    note = marker(model)
    path = note.parent / wanted.name
    if path.exists() and not sha256_of(path).startswith(wanted.sha256):
        path.unlink()  # an older version, or a damaged one
    download(wanted.url, path, sha256=wanted.sha256, **options)
    facts = {"name": path.name, "url": wanted.url, "sha256": sha256_of(path), "bytes": path.stat().st_size}
    partial = note.with_suffix(".partial")
    partial.write_text(json.dumps(facts, indent=1) + "\n")
    partial.replace(note)
    return path


def main(words: list[str] | None = None) -> int:
    """Run the command line and return its exit status: 0, or 2 when a model could not be fetched."""
    parser = argparse.ArgumentParser(prog="python -m xailib.models.fetch", description=__doc__)
    parser.add_argument("models", nargs="+", help="ids of params/models/, or patterns such as '*_vanilla'")
    status = 0
    try:
        models = params.resolve("models", parser.parse_args(words).models)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    for model in models:
        try:
            path = fetch(model)
        except InputError as error:
            print(f"error: {model}: {error}", file=sys.stderr)
            status = 2
            continue
        except KeyboardInterrupt:
            print("error: interrupted; what came is kept, run the same command again to go on", file=sys.stderr)
            return 130
        print(f"{model}: {path or 'nothing to fetch'}")
    return status


if __name__ == "__main__":
    sys.exit(main())
