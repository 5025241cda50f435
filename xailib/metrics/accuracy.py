"""What a network predicts, how often it is right, and whether that is as often as it is sure, on clean and shifted images."""

from collections.abc import Mapping
from math import nan, sqrt
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from xailib import engine
from xailib.errors import InputError
from xailib.images import ImageBatch
from xailib.models.folding import folded
from xailib.models.model import Model
from xailib.models.probes import check
from xailib.models.state import untouched
from xailib.models.targets import as_images, counted, masked

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
    if images.has_labels or images.classes:
        images = counted(model, images)
    with engine.using(model, batch_size=batch_size, precision=precision, progress=progress), untouched(model):
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


def accuracy_table(model: Model, images_by_shift: Mapping[str, ImageBatch], **settings: Any) -> "pd.DataFrame":
    """Accuracy and confidence on each set of images.

    Args:
        model: the network.
        images_by_shift: images by the name of their shift; `clean` for none.
        settings: `batch_size`, `precision` and `progress` of `predictions`.

    Returns:
        One row a shift: `model`, `shift`, `n`, `accuracy` (top-1), `mean_confidence`, `ece`, the 95 % Wilson
        interval `accuracy_low`, `accuracy_high`, and `right`: a 1 or 0 an image, in their order, as text, so that networks
        can be compared on the same images; empty where the images have no labels.
    """
    import pandas as pd

    if not images_by_shift:
        raise InputError("images_by_shift: nothing to measure; give at least {'clean': images}")
    rows = []
    for shift, images in images_by_shift.items():
        table = predictions(model, images, **settings)
        right = "".join(str(int(one)) for one in table["correct"].dropna())
        rows.append({"model": model.id, "shift": shift, **summary(table), "right": right})
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


def confidence_histogram(confidence: ArrayLike, correct: ArrayLike, bins: int = 15) -> "pd.DataFrame":
    """Images by confidence in `bins` equally wide bins `(low, high]` of [0, 1]; 0 falls into the first.

    Args:
        confidence: `(n,)` largest softmax probabilities in [0, 1].
        correct: `(n,)` whether the prediction is the label.
        bins: number of bins.

    Returns:
        One row a bin: `low`, `high`, `count`, `share` (of all images), `mean_confidence`, `accuracy`
        (NaN in an empty bin). `share` drawn is the confidence distribution, `accuracy` the reliability diagram.
    """
    import pandas as pd

    confidence, correct = np.asarray(confidence, dtype=float), np.asarray(correct, dtype=float)
    if bins < 1:
        raise InputError(f"bins: {bins} is not a positive number of bins")
    if confidence.shape != correct.shape or confidence.ndim != 1:
        raise InputError(f"confidence {confidence.shape} and correct {correct.shape} must be two lists of one length")
    if not ((confidence >= 0) & (confidence <= 1)).all():
        raise InputError("confidence: values outside [0, 1]; give softmax probabilities")
    edges = np.linspace(0, 1, bins + 1)
    place = np.clip(np.searchsorted(edges, confidence, side="left") - 1, 0, bins - 1)
    count = np.bincount(place, minlength=bins)
    with np.errstate(invalid="ignore"):
        return pd.DataFrame(
            {
                "low": edges[:-1],
                "high": edges[1:],
                "count": count,
                "share": count / max(len(confidence), 1),
                "mean_confidence": np.bincount(place, confidence, bins) / count,
                "accuracy": np.bincount(place, correct, bins) / count,
            }
        )


def expected_calibration_error(confidence: ArrayLike, correct: ArrayLike, bins: int = 15) -> float:
    """Mean gap between confidence and accuracy over equally wide bins, weighted by their images, in [0, 1].

    Guo et al. 2017, On Calibration of Modern Neural Networks, arXiv 1706.04599, equation 3. NaN for no images.
    """
    histogram = confidence_histogram(confidence, correct, bins)
    if not histogram["count"].any():
        return float("nan")
    gap = (histogram["accuracy"] - histogram["mean_confidence"]).abs()
    return float((histogram["share"] * gap).sum())  # an empty bin's NaN is skipped
