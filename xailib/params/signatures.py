"""Options of registered functions: their keyword-only arguments, checked by name, type, words and bounds.

A signature says all: `steps: Annotated[int, Ge(1)] = 800`, `pooling: Literal["mean", "sum"] = "mean"`.
"""

import functools
import inspect
import types
import typing
from collections.abc import Callable, Collection
from typing import Any

from xailib.errors import InputError, nearest
from xailib.params.checks import misfits


def defaults(function: Callable[..., Any], settled: Collection[str] = ("seed",)) -> dict[str, Any]:
    """Return the options of a function with their defaults.

    Args:
        function: its keyword-only arguments are its options.
        settled: arguments that are none, as whoever calls the function gives them itself.
    """
    return {name: default for name, default in _keywords(function).items() if name not in settled}


def check(
    kind: str,
    name: str,
    function: Callable[..., Any],
    options: dict[str, Any],
    settled: Collection[str] = ("seed",),
) -> dict[str, Any]:
    """Return `options` with the function's defaults for the others.

    What a signature cannot say, such as a bound that depends on the images, is the function's own business.

    Args:
        kind, name: what the function is to a reader, such as "method" and "rise".
        function, settled: as in `defaults`.
        options: by name.

    Raises:
        InputError: options that the function does not have, values of a wrong type or out of bounds; all are told.
    """
    known = defaults(function, settled)
    hints = _hints(function, tuple(known)) if options else {}
    found = [f"{kind} '{name}' has no option '{key}'{nearest(key, known)}" for key in options if key not in known]
    for key in (key for key in options if key in hints):
        for misfit in misfits(options[key], hints[key], (key,)):
            found.append(f"{kind} '{name}': option {misfit.key} must be {misfit.right}, not {_show(misfit.value)}")
    if found:
        raise InputError(" | ".join(found))
    return known | options


@functools.cache
def takes(function: Callable[..., Any], argument: str) -> bool:
    """Return whether a function has an argument of this name."""
    return argument in inspect.signature(function).parameters


@functools.cache  # a signature takes longer to read than a small network to answer
def _keywords(function: Callable[..., Any]) -> dict[str, Any]:
    """Return the keyword-only arguments of a function with their defaults."""
    parameters = inspect.signature(function).parameters.values()
    return {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}


@functools.cache
def _hints(function: Callable[..., Any], names: tuple[str, ...]) -> dict[str, Any]:
    """Return the types of some arguments; others may be annotated with what only a type checker imports."""
    told = getattr(function, "__annotations__", {})  # objects that can be called and partial functions have none
    annotations = {name: hint for name, hint in told.items() if name in names}
    return typing.get_type_hints(
        types.SimpleNamespace(__annotations__=annotations), getattr(function, "__globals__", {}), include_extras=True
    )


def _show(value: Any) -> str:
    plain = isinstance(value, str | int | float | bool | list | tuple | type(None))
    return repr(value) if plain else type(value).__name__
