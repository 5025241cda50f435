"""Options of registered functions: their keyword-only arguments, checked by name, type and the words of a choice."""

import functools
import inspect
import types
import typing
from collections.abc import Callable, Collection
from numbers import Integral, Real
from typing import Any, Literal, Union

from xailib.errors import InputError, nearest

_KINDS = {
    int: (Integral, "a whole number"),
    float: (Real, "a number"),
    bool: (bool, "true or false"),
    str: (str, "a word"),
}


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

    Ranges are the function's own business; here only names, types and the words of a `Literal` are checked.

    Args:
        kind, name: what the function is to a reader, such as "method" and "rise".
        function, settled: as in `defaults`.
        options: by name.

    Raises:
        InputError: an option that the function does not have, or a value of a wrong type.
    """
    known = defaults(function, settled)
    hints = _hints(function, tuple(known)) if options else {}
    for key, value in options.items():
        if key not in known:
            raise InputError(f"{kind} '{name}' has no option '{key}'{nearest(key, known)}")
        wanted = _mismatch(value, hints.get(key, Any))
        if wanted:
            raise InputError(f"{kind} '{name}': option {key} must be {wanted}, not {_show(value)}")
    return known | options


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
        types.SimpleNamespace(__annotations__=annotations), getattr(function, "__globals__", {})
    )


def _mismatch(value: Any, hint: Any) -> str:
    """Return what would be right in words, or an empty string when `value` fits the type `hint`; a bool is no number."""
    origin = typing.get_origin(hint)
    if origin is Literal:
        words = typing.get_args(hint)
        fits = any(value == word and type(value) is type(word) for word in words)
        return "" if fits else "one of " + ", ".join(map(str, words))
    if origin in (Union, types.UnionType):
        answers = [_mismatch(value, part) for part in typing.get_args(hint)]
        return "" if "" in answers else " or ".join(answers)
    if hint is type(None):
        return "" if value is None else "null"
    if origin in (list, tuple):
        inner = [part for part in typing.get_args(hint) if part is not Ellipsis]
        if not isinstance(value, list | tuple):
            return "a list"
        return "a list of other values" if inner and any(_mismatch(item, inner[0]) for item in value) else ""
    if not isinstance(hint, type):
        return ""
    kind, words = _KINDS.get(hint, (hint, f"a {hint.__name__}"))
    return "" if isinstance(value, kind) and isinstance(value, bool) <= (hint is bool) else words


def _show(value: Any) -> str:
    plain = isinstance(value, str | int | float | bool | list | tuple | type(None))
    return repr(value) if plain else type(value).__name__
