"""How sure a network is, and whether it is right as often as it is sure."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from xailib.errors import InputError

if TYPE_CHECKING:
    import pandas as pd


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
