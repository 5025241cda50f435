"""One slice, from its parameter files to its results.

What this adds to plain `papermill`: parameter files are checked, unknown parameters refused, and results are all there
or not at all: the notebook is executed into a log folder and copied to its place on success only, while outputs of a
failed slice are removed.
"""

import argparse
import contextlib
import errno
import os
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from xailib.errors import InputError, nearest
from xailib.workflow import kernels
from xailib.workflow.kernels import SliceError


def command(words: list[str]) -> int:
    """Run a slice by its command line, in this process, and return its exit status as `xailib.workflow.run.main` does."""
    arguments = parser().parse_args(words)
    try:
        execute(
            arguments.notebook,
            arguments.log.with_suffix(".ipynb") if arguments.log.suffix == ".log" else arguments.log,
            final=arguments.final,
            files=arguments.file,
            parameters={key: _value(text) for key, text in arguments.parameter},
            outputs=dict(arguments.output),
            timeout=arguments.timeout,
        )
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except SliceError as error:
        print(f"{error.traceback}\nerror: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("error: interrupted; finished slices are kept, run the same command again to go on", file=sys.stderr)
        return 130
    return 0


def execute(
    notebook: Path,
    log: Path,
    *,
    final: Path | None = None,
    files: list[Path] = (),
    parameters: dict[str, Any] | None = None,
    outputs: dict[str, Path] | None = None,
    timeout: int = 300,
) -> None:
    """Execute `notebook` into `log`, and copy it to `final` when it succeeds.

    Args:
        notebook: a notebook with a cell tagged `parameters`.
        log: where the executed notebook is kept, also when it fails.
        final: its place among the results.
        files: parameter files, merged left to right; a notebook gets those of their keys that it declares.
        parameters: further values by name; each must be declared by the notebook.
        outputs: files the notebook writes, by the name of the parameter that takes the path: removed before the run and
            after a failure, and missed if they are not there in the end.
        timeout: seconds that a kernel may take to start.

    Raises:
        InputError: a faulty parameter file or value, or one that the notebook raised; a full disk.
        SliceError: anything else that failed in the notebook.
    """
    paths = {key: Path(path) for key, path in (outputs or {}).items()}
    from xailib import params

    params.refuse([f"-p {fault}" for fault in params.word_faults(parameters or {})])
    values = {**merge(files), **(parameters or {}), **{key: str(path) for key, path in paths.items()}}
    strict = {*(parameters or {}), *paths}
    values = declared(notebook, values, strict)
    written = [*paths.values(), *([final] if final else [])]
    try:
        with _removed_unless_done(written):
            _prepare(log, *written)
            kernels.execute(notebook, log, values, timeout)
            missing = [str(path) for path in paths.values() if not path.exists()]
            if missing:
                raise SliceError(f"{notebook} ended well but did not write {', '.join(missing)}", "")
            if final:
                partial = final.with_name(f".{final.name}.{os.getpid()}.partial")
                shutil.copyfile(log, partial)
                os.replace(partial, final)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES):
            raise InputError(
                f"{error.filename or log}: cannot be written ({error.strerror}); make room and run again"
            ) from None
        raise


def merge(files: list[Path]) -> dict[str, Any]:
    """Return the values of several files; all their faults, and keys with two values, are one `InputError`."""
    from xailib import params

    merged: dict[str, Any] = {}
    origin: dict[str, Path] = {}
    faults: list[str] = []
    for path in files:
        values, found = params.read(path)
        faults += found or [f"{path}: {fault}" for fault in params.scale_faults(values.get("scale"))]
        for key, value in values.items():
            if key in merged and merged[key] != value:
                faults.append(
                    f"{path}: {key}: {origin[key]} gives this key another value; a key belongs to one kind of file"
                )
            merged[key], origin[key] = value, path
    params.refuse(faults)
    return merged


def declared(notebook: Path, values: dict[str, Any], strict: set[str]) -> dict[str, Any]:
    """Return those values that the notebook's parameters cell declares; a `strict` key that it lacks is refused."""
    import logging

    import papermill

    logging.getLogger("papermill.translators").setLevel(logging.ERROR)
    if not Path(notebook).is_file():
        raise InputError(f"{notebook}: no such notebook")
    try:
        known = papermill.inspect_notebook(notebook)
    except Exception as error:  # a damaged file: JSON and nbformat raise many kinds
        raise InputError(f"{notebook}: cannot be read as a notebook ({str(error).splitlines()[0]})") from None
    unknown = sorted(strict - set(known))
    if unknown:
        raise InputError(f"{notebook} has no parameter '{unknown[0]}'{nearest(unknown[0], known)}")
    return {key: value for key, value in values.items() if key in known}


@contextlib.contextmanager
def _removed_unless_done(paths: list[Path]) -> Iterator[None]:
    """Remove stale files first, and whatever the block left when it fails; SIGTERM counts as a failure."""

    def stop(*_: Any) -> None:
        raise KeyboardInterrupt

    with contextlib.suppress(ValueError):  # only the main thread may set it
        signal.signal(signal.SIGTERM, stop)
    for path in paths:
        path.unlink(missing_ok=True)
    try:
        yield
    except BaseException:
        for path in paths:
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)
        raise


def _prepare(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)


def _value(text: str) -> Any:
    """Read a value of the command line as YAML does: 3 is a number, [a, b] a list; `1e-5` is refused as in files."""
    import yaml

    from xailib.params import checks

    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise InputError(f"'{text}' cannot be read as YAML: {' '.join(str(error).split())}; quote it") from None
    fault = checks.text_number(value)
    if fault:
        raise InputError(f"'{fault}' is text, not a number; write {checks.spelling(fault)}")
    return value


def parser() -> argparse.ArgumentParser:
    """Return the command line of `python -m xailib.workflow.run`."""
    parser = argparse.ArgumentParser(
        prog="python -m xailib.workflow.run",
        description="Execute one slice: a notebook, its parameter files, its outputs.",
    )
    parser.add_argument("notebook", type=Path)
    parser.add_argument(
        "log",
        type=Path,
        help="where the executed notebook is kept, also when it fails; X.log stands for X.ipynb beside it",
    )
    parser.add_argument("--final", type=Path, help="its place among the results, written on success only")
    parser.add_argument("-f", "--file", type=Path, action="append", default=[], help="a parameter file; later ones win")
    parser.add_argument("-p", "--parameter", nargs=2, action="append", default=[], metavar=("KEY", "VALUE"))
    parser.add_argument("-o", "--output", nargs=2, action="append", default=[], metavar=("KEY", "PATH"),
                        help="a file the notebook writes, and the parameter that takes its path")  # fmt: skip
    parser.add_argument("--timeout", type=int, default=300, help="seconds a kernel may take to start")
    parser.add_argument("--warm", action="store_true", help="fork from a Python that has torch loaded already")
    return parser
