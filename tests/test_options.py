"""Options: what a function takes is read from its signature, and a wrong value is told in one sentence."""

from typing import Literal

import numpy as np
import pytest

from xailib.errors import InputError
from xailib.params.signatures import check, defaults


def function(
    images: list[int],
    *,
    seed: int = 7,
    steps: int = 50,
    sigma: float = 1.5,
    threshold: float | None = None,
    pooling: Literal["mean", "sum"] = "mean",
    connectivity: Literal[4, 8] = 8,
    areas: list[float] = (0.1, 0.2),
    strict: "bool" = True,
) -> "pandas.DataFrame":  # noqa: F821  (as in the metrics, which import it late)
    """Keyword-only arguments are the options."""


def test_options_are_the_keyword_only_arguments_but_what_is_settled() -> None:
    assert list(defaults(function)) == [
        "steps", "sigma", "threshold", "pooling", "connectivity", "areas", "strict",
    ]  # fmt: skip
    assert defaults(function, settled=())["seed"] == 7


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"steps": 3, "sigma": 2, "threshold": None, "pooling": "sum", "areas": [0.5], "strict": False},
        {"threshold": 0.5, "connectivity": 4},
        {"steps": np.int64(3), "sigma": np.float32(2)},
    ],
)
def test_what_fits_comes_back_with_the_defaults_of_the_rest(options: dict) -> None:
    assert check("method", "rise", function, options) == {**defaults(function), **options}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"stepz": 3}, "method 'rise' has no option 'stepz'; did you mean 'steps'?"),
        ({"seed": 3}, "method 'rise' has no option 'seed'"),
        ({"steps": "50"}, "method 'rise': option steps must be a whole number, not '50'"),
        ({"steps": 2.5}, "option steps must be a whole number, not 2.5"),
        ({"steps": True}, "option steps must be a whole number, not True"),
        ({"steps": None}, "option steps must be a whole number, not None"),
        ({"sigma": "wide"}, "option sigma must be a number, not 'wide'"),
        ({"sigma": False}, "option sigma must be a number, not False"),
        ({"threshold": "auto"}, "option threshold must be a number or null, not 'auto'"),
        ({"pooling": "max"}, "option pooling must be one of mean, sum, not 'max'"),
        ({"connectivity": 8.0}, "option connectivity must be one of 4, 8, not 8.0"),
        ({"strict": 1}, "option strict must be true or false, not 1"),
        ({"areas": 0.1}, "option areas must be a list, not 0.1"),
        ({"areas": [0.1, "half"]}, "option areas must be a list of other values, not [0.1, 'half']"),
        ({"sigma": function}, "option sigma must be a number, not function"),
    ],
)
def test_what_does_not_fit_is_one_sentence(options: dict, said: str) -> None:
    with pytest.raises(InputError) as raised:
        check("method", "rise", function, options)
    assert str(raised.value).startswith(said) or said in str(raised.value)


def test_nothing_is_settled_where_the_caller_gives_nothing() -> None:
    assert check("metric", "deletion", function, {"seed": 3}, settled=())["seed"] == 3
