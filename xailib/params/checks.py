"""What a type wants of a value: every misfit has its keys, what is wrong and what would be right.

Fields of records (`xailib.params.records`) and options of functions (`xailib.params.signatures`) are checked by the same
rules, stricter than Python's: True and 4.0 are no whole numbers, "4" is none at all, and no number is NaN or infinite.
"""

import functools
import math
import operator
import re
import types
import typing
from collections.abc import Callable, Iterable, Iterator, Sequence
from numbers import Integral, Real
from typing import Annotated, Any, Literal, NamedTuple, Union

from pydantic import BaseModel, ConfigDict, Field

from xailib.errors import nearest

# Types -> what fits them, and their name.
KINDS: dict[Any, tuple[Any, str]] = {
    int: (Integral, "a whole number"),
    float: (Real, "a number"),
    bool: (bool, "true or false"),
    str: (str, "text"),
    type(None): (type(None), "null"),
    dict: (dict, "a group of 'key: value' lines"),
    **dict.fromkeys((list, tuple, Sequence), ((list, tuple), "a list")),
}
# Bounds by their names in annotated_types -> what a value keeps to, what would be right, what is wrong.
BOUNDS: dict[str, tuple[Callable[[Any, Any], bool], str, str]] = {
    "ge": (operator.ge, "at least {1}", "{0} is less than the minimum of {1}"),
    "gt": (operator.gt, "above {1}", "{0} is not above {1}"),
    "le": (operator.le, "at most {1}", "{0} is greater than the maximum of {1}"),
    "lt": (operator.lt, "below {1}", "{0} is not below {1}"),
    "min_length": (lambda value, limit: len(value) >= limit, "a list of {1} or more", "{0} has fewer than {1} values"),
    "max_length": (lambda value, limit: len(value) <= limit, "a list of {1} or less", "{0} has more than {1} values"),
    "pattern": (lambda value, form: re.search(form, value), "of the form {1}", "'{0}' is not of the form {1}"),
    "func": (lambda value, holds: holds(value), "{1.__doc__}", "{0} is not {1.__doc__}"),
}
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


def field(description: str, default: Any = ...) -> Any:
    """Return a field of a record; without a default it must be given.

    One whose default is None, though its type has no None, may be left out, and then is.
    """
    return Field(default, description=description)


class Record(BaseModel):
    """Values by key, as a file of `params/` has them."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False, frozen=True)

    @classmethod
    def together(cls, values: dict[str, Any]) -> Iterator[tuple[str, str]]:
        """Yield (key, sentence) for given values that do not fit each other; one that is wrong by itself is None here."""
        yield from ()

    @classmethod
    def defaults(cls) -> dict[str, Any]:
        """Return the values of keys that are not given; new ones every time."""
        optional = {key: facts for key, facts in cls.model_fields.items() if not facts.is_required()}
        values = {key: facts.get_default() for key, facts in optional.items()}
        return {key: value for key, value in values.items() if value is not None or not misfits(None, _types(cls)[key])}


class Misfit(NamedTuple):
    """A value that does not fit: the keys to it, what would be right, a hint, and what is wrong if not just its type."""

    keys: tuple[Any, ...]
    value: Any
    right: str = ""
    hint: str = ""
    wrong: str = ""

    def __str__(self) -> str:
        return f"{self.key}: {self.wrong or f'{self.value!r} is not {self.right}'}{self.hint}"

    @property
    def key(self) -> str:
        """The keys as one, such as `weights.path` or `levels.0`."""
        return ".".join(map(str, self.keys))


def faults(record: type[Record], values: dict[str, Any]) -> list[str]:
    """Return one sentence, `key: what is wrong`, for every value that does not fit a record."""
    found = misfits(values, record)
    bad = {misfit.keys[0] for misfit in found}
    together = record.together({key: None if key in bad else value for key, value in values.items()})
    return [*map(str, found), *(f"{key}: {sentence}" for key, sentence in together)]


def faults_of(key: str, value: Any, record: type[Record]) -> list[str]:
    """Return one sentence for everything in a value that does not fit the field of its key."""
    return list(map(str, misfits(value, _types(record)[key], (key,))))


def misfits(value: Any, hint: Any, keys: tuple[Any, ...] = ()) -> list[Misfit]:
    """Return everything in a value that does not fit a type.

    Args:
        value: as YAML or Python have it; numpy's numbers are numbers.
        hint: a type as in annotations, with its bounds: `Annotated[int, Ge(1)] | None`, or a record. Any is whatever a
            file can hold but a number written as text; what is no type fits everything.
        keys: those that lead to the value.
    """
    origin, parts = typing.get_origin(hint), typing.get_args(hint)
    if origin is Annotated:
        return misfits(value, parts[0], keys) or _out_of_bounds(value, parts[1:], keys)
    if origin in (Union, types.UnionType):
        return _of_none(value, [misfits(value, part, keys) for part in parts], keys)
    if origin is Literal:
        if any(value == word and type(value) is type(word) for word in parts):
            return []
        hint = nearest(value, map(str, parts)) if isinstance(value, str) else ""
        return [Misfit(keys, value, f"one of {', '.join(map(str, parts))}", hint if "did you mean" in hint else "")]
    return _of_kind(value, origin or hint, keys) or _inside(value, hint, parts, keys)


def _of_none(value: Any, answers: list[list[Misfit]], keys: tuple[Any, ...]) -> list[Misfit]:
    """The misfits of a union: none if a member has none, those of the member whose type fits, or one for all members."""
    if [] in answers:
        return []
    close = [answer for answer in answers if answer[0].wrong or answer[0].keys != keys]
    right = " or ".join(dict.fromkeys(answer[0].right for answer in answers))
    return close[0] if close else [Misfit(keys, value, right, "".join(answer[0].hint for answer in answers))]


def _of_kind(value: Any, hint: Any, keys: tuple[Any, ...]) -> list[Misfit]:
    """The misfit of a value that is of another plain type."""
    if hint is Any:
        hint = float if text_number(value) or isinstance(value, float) else object
    if not isinstance(hint, type):
        return []
    kind, name = KINDS.get(dict if issubclass(hint, Record) else hint, (hint, f"a {hint.__name__}"))
    if kind in (Integral, Real) and text_number(value):
        return [Misfit(keys, value, name, wrong=f"'{value}' is text, not a number; write {spelling(value)}")]
    if kind is Real and isinstance(value, float) and not math.isfinite(value):
        return [Misfit(keys, value, "a finite number")]
    if isinstance(value, kind) and not (isinstance(value, bool) and kind in (Integral, Real)):
        return []
    whole = kind is Integral and isinstance(value, float) and value.is_integer()
    return [Misfit(keys, value, name, f"; write {value:.0f}" if whole else "")]


def _inside(value: Any, hint: Any, parts: tuple[Any, ...], keys: tuple[Any, ...]) -> list[Misfit]:
    """The misfits in a list, a dictionary or a record."""
    if isinstance(hint, type) and issubclass(hint, Record):
        known, required = _types(hint), [key for key, facts in hint.model_fields.items() if facts.is_required()]
        absent = [Misfit((*keys, key), None, wrong="missing") for key in required if key not in value]
        strange = [key for key in value if key not in known]
        found = [Misfit((*keys, key), None, wrong="unknown key", hint=_other_key(key, known)) for key in strange]
        inner = [(key, item, known[key]) for key, item in value.items() if key in known]
        return found + absent + _each(inner, keys)
    if isinstance(value, dict):
        kind, inner = parts or (str, Any)
        strange = [misfit for key in value for misfit in misfits(key, kind, (*keys, key))]
        found = [misfit._replace(hint="; write the key in quotes") for misfit in strange]
        return found + _each([(key, item, inner) for key, item in value.items()], keys)
    if isinstance(value, list | tuple):
        return _each([(i, item, parts[0] if parts else Any) for i, item in enumerate(value)], keys)
    return []


def _other_key(key: Any, known: Iterable[str]) -> str:
    """What may have been meant by a key that is not known."""
    quoted = "; YAML reads on, off, yes and no as true and false, so a key of this name is written in quotes"
    return quoted if isinstance(key, bool) else nearest(key, known)


def _each(items: list[tuple[Any, Any, Any]], keys: tuple[Any, ...]) -> list[Misfit]:
    """The misfits of (key, value, type)s."""
    return [misfit for key, value, hint in items for misfit in misfits(value, hint, (*keys, key))]


@functools.cache
def _types(record: type[Record]) -> dict[str, Any]:
    """The types of a record's fields, with their bounds."""
    hints = typing.get_type_hints(record, include_extras=True)
    return {key: hints[key] for key in record.model_fields}


def _out_of_bounds(value: Any, rules: Sequence[Any], keys: tuple[Any, ...]) -> list[Misfit]:
    """The first bound that a value does not keep to."""
    for rule in rules:
        for name, (keeps, right, wrong) in BOUNDS.items():
            limit = getattr(rule, name, None)
            if limit is not None and not keeps(value, limit):
                return [Misfit(keys, value, right.format(value, limit), wrong=wrong.format(value, limit))]
    return []


def text_number(value: Any) -> str | None:
    """Return a string that reads as a number, else None."""
    return value if isinstance(value, str) and _NUMBER.fullmatch(value) else None


def spelling(number: str) -> str:
    """How YAML wants a number written: `1e-5` is text to it, `1.0e-5` is a number."""
    mantissa, mark, exponent = number.lower().partition("e")
    if not mark:
        return f"{number} without quotes"
    return f"{mantissa if '.' in mantissa else mantissa + '.0'}e{exponent if exponent[0] in '+-' else '+' + exponent}"
