"""What a network predicts, how often it is right, on clean and on shifted images."""

from collections.abc import Mapping
from math import nan, sqrt
from statistics import NormalDist
from typing import TYPE_CHECKING

from xailib import engine
from xailib.errors import InputError
from xailib.images import ImageBatch
from xailib.metrics.checks import evaluation_mode
from xailib.metrics.confidence import expected_calibration_error
from xailib.models.folding import folded
from xailib.models.model import Model
from xailib.models.probes import check
from xailib.targets import as_images, masked
from xailib.targets import labels as labels_of

if TYPE_CHECKING:
    import pandas as pd


def predictions(
    model: Model,
    images: ImageBatch,
    *,
    batch_size: int | None = None,
    precision: str | None = None,
    progress: bool | None = None,
) -> "pd.DataFrame":
    """What the model says of every image.

    Returns:
        One row an image, in their order: `image` (id), `label`, `predicted` (class indices), `confidence` (largest
        softmax probability), `label_probability`, `correct`. Where the images give `classes`, the other logits are masked;
        where they give `answers`, each of these is correct; where they have no labels, the last two are NaN.

    Raises:
        InputError: no images, a label or classes that the model does not know, a model that answers NaN.
    """
    import pandas as pd

    images = as_images(images, model)
    check(model, *images.pixels.shape[-2:])
    if images.has_labels:
        images = images.with_labels(labels_of(model, images))
    with engine.using(batch_size=batch_size, precision=precision, progress=progress), evaluation_mode(model):
        logits = engine.logits(folded(model, images.pixels), images.pixels)
    probabilities = masked(logits.double(), images.classes).softmax(dim=1)
    confidence, predicted = probabilities.max(dim=1)
    known, labels = images.has_labels, images.labels.cpu()
    asked = probabilities.gather(1, labels.clamp_min(0)[:, None]).squeeze(1)
    return pd.DataFrame(
        {
            "image": images.ids,
            "label": images.labels.cpu().numpy(),
            "predicted": predicted.numpy(),
            "confidence": confidence.numpy(),
            "label_probability": asked.numpy() if known else nan,
            "correct": images.right(predicted).numpy() if known else nan,
        }
    )


def accuracy_table(
    model: Model,
    images_by_shift: Mapping[str, ImageBatch],
    *,
    batch_size: int | None = None,
    precision: str | None = None,
    progress: bool | None = None,
) -> "pd.DataFrame":
    """Accuracy and confidence on each set of images.

    Args:
        model: the network.
        images_by_shift: images by the name of their shift; `clean` for none.
        batch_size, precision, progress: see `engine.using`.

    Returns:
        One row a shift: `model`, `shift`, `n`, `accuracy` (top-1), `mean_confidence`, `ece`, and the 95 % Wilson
        interval `accuracy_low`, `accuracy_high`.
    """
    import pandas as pd

    if not images_by_shift:
        raise InputError("images_by_shift: nothing to measure; give at least {'clean': images}")
    rows = []
    for shift, images in images_by_shift.items():
        table = predictions(model, images, batch_size=batch_size, precision=precision, progress=progress)
        rows.append({"model": model.id, "shift": shift, **summary(table)})
    return pd.DataFrame(rows)


def summary(table: "pd.DataFrame") -> dict[str, float]:
    """Summarise a table of predictions: `n`, `accuracy`, `mean_confidence`, `ece`, `accuracy_low`, `accuracy_high`."""
    right = table["correct"].dropna()
    low, high = wilson_interval(int(right.sum()), len(right))
    return {
        "n": len(table),
        "accuracy": float(right.mean()) if len(right) else nan,
        "mean_confidence": float(table["confidence"].mean()),
        "ece": expected_calibration_error(table["confidence"][right.index], right),
        "accuracy_low": low,
        "accuracy_high": high,
    }


def wilson_interval(successes: int, n: int, level: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval (1927) for a share: stays within [0, 1] and is honest near its ends. NaN for `n` = 0."""
    if n == 0:
        return nan, nan
    z = NormalDist().inv_cdf((1 + level) / 2)
    share, pull = successes / n, z * z / n
    middle = (share + pull / 2) / (1 + pull)
    half = z * sqrt(share * (1 - share) / n + pull / (4 * n)) / (1 + pull)
    return max(0.0, middle - half), min(1.0, middle + half)
