"""Check a method's options against its signature: names, types and the words a choice allows."""

import inspect
import types
import typing
from collections.abc import Callable
from typing import Any, Literal, Union

from xailib.errors import InputError, nearest

_WORDS = {int: "a whole number", float: "a number", bool: "true or false", str: "a word"}


def defaults(function: Callable[..., Any]) -> dict[str, Any]:
    """Return the options of a registered method with their defaults (its keyword-only arguments but the seed)."""
    parameters = inspect.signature(function).parameters.values()
    return {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY and p.name != "seed"}


def check(kind: str, name: str, function: Callable[..., Any], options: dict[str, Any]) -> None:
    """Raise `InputError` for an option that `function` does not have or whose value has the wrong type.

    Ranges are the method's own business; here only names, types and the words of a `Literal` are checked.
    """
    known = defaults(function)
    hints = typing.get_type_hints(function)
    for key, value in options.items():
        if key not in known:
            raise InputError(f"{kind} '{name}' has no option '{key}'{nearest(key, known)}")
        wanted = _mismatch(value, hints.get(key, Any))
        if wanted:
            raise InputError(f"{kind} '{name}': option {key} must be {wanted}, not {_show(value)}")


def _mismatch(value: Any, hint: Any) -> str:
    """Return what would be right in words, or an empty string when `value` fits the type `hint`."""
    origin = typing.get_origin(hint)
    if origin is Literal:
        words = typing.get_args(hint)
        return "" if value in words else "one of " + ", ".join(map(str, words))
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
    if isinstance(value, bool) and hint is not bool:
        fits = False
    else:
        fits = isinstance(value, hint) or (hint is float and isinstance(value, int))
    return "" if fits else _WORDS.get(hint, f"a {hint.__name__}")


def _show(value: Any) -> str:
    plain = isinstance(value, str | int | float | bool | list | tuple | type(None))
    return repr(value) if plain else type(value).__name__
