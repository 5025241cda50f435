"""One slice, from its parameter files to its results.

What this adds to plain `papermill`: parameter files are checked, unknown parameters refused, and results are all there
or not at all: the notebook is executed into a log folder and copied to its place on success only, while outputs of a
failed slice are removed.
"""

import argparse
import contextlib
import errno
import os
import re
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from xailib import devices
from xailib.errors import InputError, nearest


class SliceError(Exception):
    """A notebook failed for a reason that is not the user's; `traceback` is the failing cell's."""

    def __init__(self, message: str, traceback: str = "") -> None:
        super().__init__(message)
        self.traceback = traceback


def command(words: list[str]) -> int:
    """Run a slice by its command line, in this process, and return its exit status as `xailib.workflow.run.main` does."""
    try:
        _execute(parser().parse_args(words))
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


def results(arguments: argparse.Namespace) -> list[Path]:
    """Return the files of a parsed command line that a failed slice leaves none of."""
    return [*(Path(path) for _, path in arguments.output), *([arguments.final] if arguments.final else [])]


def remove(paths: list[Path]) -> None:
    """Remove what a failed slice may have left."""
    for path in paths:
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)


def _execute(arguments: argparse.Namespace) -> None:
    """Execute the notebook into its log, and copy it to its place when it succeeds.

    Raises:
        InputError: a faulty parameter file or value, or one that the notebook raised; a GPU that failed; a full disk.
        SliceError: anything else that failed in the notebook.
        KeyboardInterrupt: it was interrupted or terminated.
    """
    from xailib import params

    notebook, log, final, outputs = arguments.notebook, arguments.log, arguments.final, dict(arguments.output)
    parameters = {key: _value(text) for key, text in arguments.parameter}
    params.refuse([f"-p {fault}" for fault in params.word_faults(parameters)])
    values = declared(notebook, merge(arguments.file) | parameters | outputs, {*parameters, *outputs})
    try:
        with _removed_unless_done(results(arguments)):
            for path in (log, *results(arguments)):
                path.parent.mkdir(parents=True, exist_ok=True)
            _run_cells(notebook, log, values)
            missing = [path for path in outputs.values() if not Path(path).exists()]
            if missing:
                raise SliceError(f"{notebook} ended well but did not write {', '.join(missing)}")
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


def _run_cells(notebook: Path, log: Path, values: dict[str, Any]) -> None:
    """Execute the notebook, and say how it failed in the words of `_execute`."""
    from nbclient.exceptions import DeadKernelError
    from papermill.exceptions import PapermillExecutionError

    from xailib.workflow import inprocess  # late, as papermill is: faults in parameters are found without them

    try:
        inprocess.execute(str(notebook), str(log), values)
    except DeadKernelError as error:
        raise SliceError(f"{notebook}: {error} (open {log})") from None
    except PapermillExecutionError as error:
        if error.ename == "KeyboardInterrupt":
            raise KeyboardInterrupt from None
        if error.ename == "InputError":
            raise InputError(error.evalue) from None
        if lost := devices.failure(error.ename, error.evalue):
            raise InputError(f"{notebook}: {lost}") from None
        message = f"{notebook} failed in cell {error.cell_index} with {error.ename}: {error.evalue} (open {log})"
        raise SliceError(message, re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(error.traceback))) from None


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
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # a second one must not stop the cleaning up
        raise KeyboardInterrupt

    with contextlib.suppress(ValueError):  # only the main thread may set it
        signal.signal(signal.SIGTERM, stop)
    for path in paths:
        path.unlink(missing_ok=True)
    try:
        yield
    except BaseException:
        remove(paths)
        raise


def _value(text: str) -> Any:
    """Read a value of the command line as YAML does: 3 is a number, [a, b] a list; `1e-5` is refused as in files."""
    import yaml

    from xailib.params import checks

    try:
        value = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError) as error:  # the latter of a date that does not exist
        raise InputError(f"'{text}' cannot be read as YAML: {' '.join(str(error).split())}; quote it") from None
    fault = checks.text_number(value)
    if fault:
        raise InputError(f"'{fault}' is text, not a number; write {checks.spelling(fault)}")
    return value


def parser() -> argparse.ArgumentParser:
    """Return the command line of `python -m xailib.workflow slice`."""
    parser = argparse.ArgumentParser(
        prog="python -m xailib.workflow slice",
        description="Execute one slice: a notebook, its parameter files, its outputs.",
    )
    parser.add_argument("notebook", type=Path)
    parser.add_argument(
        "log",
        type=lambda text: Path(text).with_suffix(".ipynb") if text.endswith(".log") else Path(text),
        help="where the executed notebook is kept, also when it fails; X.log stands for X.ipynb beside it",
    )
    parser.add_argument("--final", type=Path, help="its place among the results, written on success only")
    parser.add_argument("-f", "--file", type=Path, action="append", default=[], help="a parameter file; later ones win")
    parser.add_argument("-p", "--parameter", nargs=2, action="append", default=[], metavar=("KEY", "VALUE"))
    parser.add_argument("-o", "--output", nargs=2, action="append", default=[], metavar=("KEY", "PATH"),
                        help="a file the notebook writes, and the parameter that takes its path")  # fmt: skip
    parser.add_argument("--warm", action="store_true", help="fork from a Python that has torch loaded already")
    return parser
