"""Maps that are explained again: by the method, the options and the classes that they say."""

from typing import Any

from torch import Tensor

from xailib.errors import InputError
from xailib.maps import Maps
from xailib.models.model import Model
from xailib.registry import method


def recipe(maps: Tensor, model: Model, who: str) -> tuple[Maps, dict[str, Any]]:
    """Return maps as what they are, and the options that they were made with, `seed` among them.

    Args:
        who: asks, for messages, such as "the sanity check".

    Raises:
        InputError: maps that do not say how they were made, of another network or of no registered method.
    """
    if not isinstance(maps, Maps):
        raise InputError(f"maps: {who} explains again, so it needs the Maps that xailib.attribute returned")
    if maps.model != model.id:
        raise InputError(
            f"maps: they explain model '{maps.model}', not '{model.id}'; give the network that was explained"
        )
    if maps.method not in method.entries:
        raise InputError(
            f"maps: '{maps.method}' is no registered method, so that it cannot explain again; decorate it with @method"
        )
    return maps, dict(maps.options)
