"""The one exception that users of `xailib` meet on purpose."""

import contextlib
import difflib
import functools
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator


class InputError(ValueError):
    """Something the user gave is wrong.

    The message is one sentence that names the file, key or value and says what would be right.
    Command-line entry points print it without a traceback and exit with status 2.
    """


@contextlib.contextmanager
def named(where: str) -> Iterator[None]:
    """Let what the block refuses begin with the file, key or value that it is about."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{where}: {error}") from None


def command(main: Callable[[list[str] | None], int]) -> Callable[..., int]:
    """Let a command line print the sentence of an `InputError` and return 2, in place of a traceback."""

    @functools.wraps(main)
    def run(words: list[str] | None = None) -> int:
        try:
            return main(words)
        except InputError as error:
            print(f"error: {error}", file=sys.stderr)
            return 2

    return run


def nearest(word: object, known: Iterable[str], otherwise: str | None = None) -> str:
    """Return `"; did you mean 'x'?"` for the known word closest to `word`, else the known words, if no more than a page.

    What is given `otherwise` takes the place of the known words.
    """
    known = sorted(known)
    if close := difflib.get_close_matches(str(word), known, n=1, cutoff=0.5):
        return f"; did you mean '{close[0]}'?"
    more = f" and {len(known) - 5} more" if len(known) > 100 else ""
    return f"; known: {', '.join(known[:5] if more else known)}{more}" if otherwise is None else otherwise


def first_line(error: Exception, otherwise: str = "") -> str:
    """Return the first line of what an error says, or `otherwise` where it says nothing."""
    return (str(error).splitlines() or [otherwise])[0]


def warn(sentence: str) -> None:
    """Warn the line of the caller's that led into `xailib`, whatever lies between."""
    frame, level = sys._getframe(1), 2
    while frame.f_back is not None and frame.f_globals.get("__name__", "").split(".")[0] == "xailib":
        frame, level = frame.f_back, level + 1
    warnings.warn(sentence, stacklevel=level)
