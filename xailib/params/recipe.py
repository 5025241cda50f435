"""How ROAR retrains: the recipe of the paper as one record."""

from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Lt

from xailib.errors import InputError
from xailib.params.checks import Record, faults, field


class Recipe(Record):
    """How every network of a ROAR study is trained; defaults are the paper's, on ImageNet"""

    epochs: Annotated[int, Ge(1)] = field("Passes over the training set", 102)
    batch_size: Annotated[int, Ge(1)] = field("Images a step; an odd rest of an epoch is left out", 256)
    learning_rate: Annotated[float, Gt(0)] = field(
        "Peak of SGD (Nesterov, 0.9) at a batch of 256; grows with the batch", 0.1
    )
    schedule: Literal["steps", "one_cycle"] = field(
        "steps (linear warm-up, a tenth at each of drops) or one_cycle", "steps"
    )
    warmup: Annotated[float, Ge(0)] = field("In epochs; for steps only", 5.0)
    drops: list[Annotated[float, Gt(0)]] = field("In epochs; for steps only", [30.0, 60.0, 80.0])
    weight_decay: Annotated[float, Ge(0)] = field("Not on biases and normalisation", 1e-4)
    label_smoothing: Annotated[float, Ge(0), Lt(1)] = field("Of the cross-entropy", 0.1)
    crop: Literal["resized", "shift", "none"] = field(
        "After the removal: resized (area of 8-100 %, ratio 3/4 to 4/3, bicubic), shift or none", "resized"
    )
    shift: Annotated[int, Ge(0)] = field("The most that shift moves an image, in pixels", 2)
    mirror: bool = field("Mirror half of the images", True)


def recipe_of(values: dict[str, Any]) -> Recipe:
    """Return the recipe of a `recipe` block; all that is wrong with it is one `InputError`."""
    found = [f"recipe.{fault}" for fault in faults(Recipe, values)]
    if found:
        raise InputError(" | ".join(found))
    return Recipe(**values)
