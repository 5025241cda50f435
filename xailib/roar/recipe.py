"""How ROAR retrains: the recipe of the paper as one record."""

from dataclasses import dataclass, fields
from typing import Any, Literal

from xailib.errors import InputError, nearest


@dataclass(frozen=True)
class Recipe:
    """How every network of a ROAR study is trained; the `recipe` block of its file. Defaults: the paper's, on ImageNet.

    Attributes:
        epochs: passes over the training set.
        batch_size: images a step; an odd rest of an epoch is left out.
        learning_rate: peak rate of SGD with Nesterov momentum 0.9 at a batch of 256; it grows with the batch.
        schedule: steps (linear warm-up, then a tenth at each of `drops`) or one_cycle.
        warmup, drops: in epochs; for `steps` only.
        weight_decay: not on biases and normalisation.
        label_smoothing: of the cross-entropy.
        crop: resized (random area of 8-100 %, ratio 3/4 to 4/3, bicubic), shift (by up to `shift` pixels) or none; after the
            removal, as in the released code.
        shift: in pixels.
        mirror: mirror half of the images.
    """

    epochs: int = 102
    batch_size: int = 256
    learning_rate: float = 0.1
    schedule: Literal["steps", "one_cycle"] = "steps"
    warmup: float = 5.0
    drops: tuple[float, ...] = (30.0, 60.0, 80.0)
    weight_decay: float = 1e-4
    label_smoothing: float = 0.1
    crop: Literal["resized", "shift", "none"] = "resized"
    shift: int = 2
    mirror: bool = True

    def __post_init__(self) -> None:
        _one_of("schedule", self.schedule, ("steps", "one_cycle"))
        _one_of("crop", self.crop, ("resized", "shift", "none"))
        for name in ("epochs", "batch_size", "learning_rate"):
            if not getattr(self, name) > 0:
                raise InputError(f"recipe.{name}: {getattr(self, name)!r} must be above 0")


def recipe_of(values: dict[str, Any]) -> Recipe:
    """Return the recipe of a `recipe` block; an unknown key is an `InputError`."""
    known = {field.name for field in fields(Recipe)}
    for key in values:
        if key not in known:
            raise InputError(f"recipe.{key}: unknown key{nearest(key, known)}")
    return Recipe(**{**values, **({"drops": tuple(values["drops"])} if "drops" in values else {})})


def _one_of(name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise InputError(f"recipe.{name}: unknown word '{value}'{nearest(str(value), known)}")
