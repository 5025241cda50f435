"""Options: what a function takes is read from its signature, and a wrong value is told in one sentence."""

from collections.abc import Sequence
from typing import Annotated, Literal

import numpy as np
import pytest
from annotated_types import Ge, Gt, Le, Len, Lt

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
    cells: Annotated[int, Ge(2)] = 7,
    p: Annotated[float, Gt(0), Le(1)] | None = 0.5,
    shares: Annotated[Sequence[Annotated[float, Gt(0), Lt(1)]], Len(1)] | Annotated[float, Gt(0), Lt(1)] = 0.1,
    strict: "bool" = True,
) -> "pandas.DataFrame":  # noqa: F821  (as in the metrics, which import it late)
    """Keyword-only arguments are the options."""


def test_options_are_the_keyword_only_arguments_but_what_is_settled() -> None:
    assert list(defaults(function)) == [
        "steps", "sigma", "threshold", "pooling", "connectivity", "areas", "cells", "p", "shares",
        "strict",
    ]  # fmt: skip
    assert defaults(function, settled=())["seed"] == 7


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"steps": 3, "sigma": 2, "threshold": None, "pooling": "sum", "areas": [0.5], "strict": False},
        {"threshold": 0.5, "connectivity": 4},
        {"steps": np.int64(3), "sigma": np.float32(2)},
        {"cells": 2, "p": 1, "shares": (0.1, 0.9)},
        {"p": None, "shares": 0.9},
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
        ({"areas": [0.1, "half"]}, "option areas.1 must be a number, not 'half'"),
        ({"sigma": function}, "option sigma must be a number, not function"),
        ({"sigma": float("nan")}, "option sigma must be a finite number, not nan"),
        ({"cells": 1}, "option cells must be at least 2, not 1"),
        ({"cells": 2.0}, "option cells must be a whole number, not 2.0"),
        ({"p": 0}, "option p must be above 0, not 0"),
        ({"p": 1.5}, "option p must be at most 1, not 1.5"),
        ({"p": "half"}, "option p must be a number or null, not 'half'"),
        ({"shares": 1.0}, "option shares must be below 1, not 1.0"),
        ({"shares": [0.5, 0]}, "option shares.1 must be above 0, not 0"),
        ({"shares": []}, "option shares must be a list of 1 or more, not []"),
        ({"shares": "all"}, "option shares must be a list or a number, not 'all'"),
    ],
)
def test_what_does_not_fit_is_one_sentence(options: dict, said: str) -> None:
    with pytest.raises(InputError) as raised:
        check("method", "rise", function, options)
    assert str(raised.value).startswith(said) or said in str(raised.value)


def test_all_that_does_not_fit_is_told_at_once() -> None:
    with pytest.raises(InputError) as raised:
        check("method", "rise", function, {"stepz": 3, "cells": 1, "p": 2})
    for said in ("no option 'stepz'", "cells must be at least 2", "p must be at most 1"):
        assert said in str(raised.value)


def test_nothing_is_settled_where_the_caller_gives_nothing() -> None:
    assert check("metric", "deletion", function, {"seed": 3}, settled=())["seed"] == 3
