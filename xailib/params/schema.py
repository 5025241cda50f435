"""Checks parameter files against the JSON schemas of `params/schema/`, in sentences that say what would be right."""

import json
import math
import re
import sys
from functools import lru_cache, reduce
from operator import getitem
from pathlib import Path
from typing import Any

from xailib.errors import nearest

_FOLDER = Path(__file__).resolve().parents[2] / "params" / "schema"
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_NOUNS = {
    "integer": "a whole number",
    "number": "a number",
    "string": "text",
    "null": "null",
    "boolean": "true or false",
    "array": "a list",
    "object": "a group of 'key: value' lines",
}


@lru_cache
def load(word: str) -> dict[str, Any]:
    """Return the JSON schema of one kind: study, dataset, model, method, metric or estimator."""
    return json.loads((_FOLDER / f"{word}.json").read_text(encoding="utf-8"))


def faults(values: dict[str, Any], word: str) -> list[str]:
    """One sentence for everything that the schema does not allow, and for every number that is written as text."""
    known = load(word)["properties"]
    found = [f"{key}: unknown key{nearest(key, known)}" for key in values if key not in known]
    return found + _value_faults(values, word)


def value_faults(key: str, value: Any, word: str) -> list[str]:
    """One sentence for everything that the schema does not allow of the value of one of its keys."""
    return [fault for fault in _value_faults({key: value}, word) if fault.startswith((f"{key}:", f"{key}."))]


def _value_faults(values: dict[str, Any], word: str) -> list[str]:
    known, found = load(word)["properties"], []
    texts = dict(_texts(values, known))
    found += [f"{key}: '{number}' is text, not a number; write {spelling(number)}" for key, number in texts.items()]
    boundless = dict(_boundless(values))
    found += [f"{key}: {number} is not a finite number" for key, number in boundless.items()]
    for error in sorted(_validator(word).iter_errors(values), key=lambda error: list(map(str, error.absolute_path))):
        key = ".".join(map(str, error.absolute_path))
        if key in texts or key in boundless or (error.validator == "additionalProperties" and not error.absolute_path):
            continue
        if error.validator == "dependentRequired":
            pairs = [(has, needs) for has, others in error.validator_value.items() for needs in others]
            given = [(has, needs) for has, needs in pairs if has in error.instance and needs not in error.instance]
            found += [f"{needs}: missing; {has} is given, and neither goes without the other" for has, needs in given]
        elif error.validator in ("minimum", "exclusiveMinimum", "maximum") and _in_a_colour(error):
            *parents, _ = error.absolute_path
            whole = reduce(getitem, parents, values)
            found.append(f"{'.'.join(map(str, parents))}: {_outside(whole, error.schema)}")
        elif error.validator == "required":
            missing = [name for name in error.validator_value if name not in error.instance]
            found += [
                f"{'.'.join(filter(None, [key, name]))}: missing"
                for name in missing
                if error.message.startswith(f"'{name}'")
            ]
        else:
            found.append(f"{key}: {_sentence(error)}")
    return list(dict.fromkeys(found))


def _in_a_colour(error: Any) -> bool:
    """Whether the fault is a number's in a list of shares, which are told together."""
    return isinstance(error.absolute_path[-1], int) and error.schema.get("maximum") == 1


def _outside(numbers: list[Any], schema: dict[str, Any]) -> str:
    """The sentence for a list with numbers that its items' schema does not allow."""
    low, high = schema.get("exclusiveMinimum", schema.get("minimum", "-inf")), schema.get("maximum", "inf")
    large = high == 1 and all(isinstance(number, int | float) and number > 1 for number in numbers)
    span = f"{'(' if 'exclusiveMinimum' in schema else '['}{low}, {high}]"
    return f"{numbers} does not lie in {span}{'; divide by 255?' if large else ''}"


def _boundless(value: Any, path: str = "") -> list[tuple[str, float]]:
    """(key, number) of every NaN and infinity: bounds do not catch them all."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    if isinstance(value, float) and not math.isfinite(value):
        return [(path, value)]
    return [pair for key, item in items for pair in _boundless(item, f"{path}.{key}" if path else str(key))]


def _sentence(error: Any) -> str:
    """What is wrong with one value, and what would be right."""
    value = error.instance
    if error.validator == "type":
        wanted = [error.validator_value] if isinstance(error.validator_value, str) else error.validator_value
        whole = isinstance(value, float) and value.is_integer() and "integer" in wanted
        return (
            f"{value!r} is not {' or '.join(_NOUNS[name] for name in wanted)}{f'; write {value:.0f}' if whole else ''}"
        )
    if error.validator == "enum":
        wanted = [str(item) for item in error.validator_value]
        hint = nearest(value, wanted) if isinstance(value, str) else ""
        return f"{value!r} is not one of {', '.join(wanted)}{hint if 'did you mean' in hint else ''}"
    if error.validator in ("minItems", "maxItems") and error.schema.get("minItems") == error.schema.get("maxItems"):
        return f"{value!r} has {len(value)} values, not {error.validator_value}"
    if error.validator == "anyOf":
        return f"{value!r} is neither text nor a list of different words"
    return error.message


def _texts(value: Any, known: dict[str, Any], path: str = "") -> list[tuple[str, str]]:
    """(key, text) of every string that reads as a number, where no free text is expected."""
    if isinstance(value, dict):
        return [
            pair for key, item in value.items() for pair in _texts(item, known, f"{path}.{key}" if path else str(key))
        ]
    if isinstance(value, list):
        return [pair for i, item in enumerate(value) for pair in _texts(item, known, f"{path}.{i}")]
    free = "." not in path and known.get(path, {}).get("type") == "string"
    return [(path, value)] if text_number(value) and not free else []


def text_number(value: Any) -> str | None:
    """Return a string that reads as a number, else None."""
    return value if isinstance(value, str) and _NUMBER.fullmatch(value) else None


def spelling(number: str) -> str:
    """How YAML wants a number written: `1e-5` is text to it, `1.0e-5` is a number."""
    mantissa, mark, exponent = number.lower().partition("e")
    if not mark:
        return f"{number} without quotes"
    return f"{mantissa if '.' in mantissa else mantissa + '.0'}e{exponent if exponent[0] in '+-' else '+' + exponent}"


@lru_cache
def _validator(word: str) -> Any:
    # jsonschema loads a URI grammar that takes a second to build and that no schema of ours uses.
    missing = object()
    before = sys.modules.get("rfc3987_syntax", missing)
    if before is missing:
        sys.modules["rfc3987_syntax"] = None  # type: ignore[assignment]
    try:
        from jsonschema import Draft202012Validator
        from jsonschema.validators import extend
    finally:
        if before is missing:
            del sys.modules["rfc3987_syntax"]
    # JSON knows neither NaN nor two kinds of numbers: here 4.0 is no whole number of images, and infinity no radius.
    kinds = {
        "integer": lambda _, x: type(x) is int,
        "number": lambda _, x: type(x) in (int, float) and math.isfinite(x),
    }
    return extend(Draft202012Validator, type_checker=Draft202012Validator.TYPE_CHECKER.redefine_many(kinds))(load(word))
