"""From a value a colour channel to a value a pixel: methods keep their channels, maps to look at are pooled over them."""

import functools
import inspect
from collections.abc import Callable
from typing import Any, Literal

from torch import Tensor

Pooling = Literal["abs_max", "abs_sum", "signed_mean", "signed_sum"]
Method = Callable[..., Tensor]


def pool_channels(values: Tensor, pooling: Pooling) -> Tensor:
    """Reduce attributions `(n, 3, h, w)` over colour channels to `(n, h, w)`."""
    if pooling == "abs_max":
        return values.abs().amax(dim=1)
    if pooling == "abs_sum":
        return values.abs().sum(dim=1)
    return values.mean(dim=1) if pooling == "signed_mean" else values.sum(dim=1)


def pooled(default: Pooling) -> Callable[[Method], Method]:
    """Decorate a method that returns values `(n, 3, h, w)`: it gets an option `pooling` and returns maps `(n, h, w)`.

    The method as it was stays at hand as the result's `channels`; ROAR ranks those values.
    """

    def decorate(channels: Method) -> Method:
        def function(*inputs: Any, pooling: Pooling = default, **options: Any) -> Tensor:
            return pool_channels(channels(*inputs, **options), pooling)

        # What reads a method's options (their defaults and types) finds this one among them.
        option = inspect.Parameter("pooling", inspect.Parameter.KEYWORD_ONLY, default=default, annotation=Pooling)
        signature = inspect.signature(channels)
        facts = {
            "__signature__": signature.replace(parameters=[*signature.parameters.values(), option]),
            "__annotations__": {**getattr(channels, "__annotations__", {}), "pooling": Pooling},
            "channels": channels,
        }
        functools.update_wrapper(function, channels)
        for key, value in facts.items():
            setattr(function, key, value)
        return function

    return decorate
