"""The probe: is a network as accurate as its record says? Wrong normalisation and swapped classes are silent otherwise.

What costs less than the tolerance and the sampling error together stays unseen: 500 images of a network that is right on
76 % show a loss of 9 points, 2,000 images one of 6.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from xailib.errors import InputError

LEVEL = 0.001
TOLERANCE = 0.02


@dataclass(frozen=True)
class Verdict:
    """What a probe found: `hits` of `n` images right, against an `expected` share in [0, 1]; `p` as in `probe`."""

    hits: int
    n: int
    expected: float
    p: float

    @property
    def measured(self) -> float:
        """The share of images that were right."""
        return self.hits / self.n

    @property
    def agrees(self) -> bool:
        """Whether sampling error allows the difference."""
        return self.p >= LEVEL

    @property
    def odds(self) -> str:
        """`p` in words that no rounding makes zero."""
        return f"p = {self.p:.2g}" if self.p > 1e-12 else "p < 1e-12"

    def __str__(self) -> str:
        return f"top-1 accuracy {self.measured:.1%} of {self.n} images, {self.expected:.1%} expected ({self.odds})"


def probe(hits: int, n: int, expected: float, *, tolerance: float = TOLERANCE) -> Verdict:
    """Test by the exact binomial distribution whether an accuracy is the expected one, on both sides.

    Args:
        hits, n: how many images of how many were classified rightly.
        expected: the share in [0, 1] that should be.
        tolerance: how far the true share may be from `expected` for reasons that are no mistake: another crop or
            resampling (the same weights differ by 1 to 2 points between publications), weights in half precision.

    Returns:
        The verdict; its `p` is twice the probability of a result at least as far off when the true share is `expected`
        shifted by `tolerance` towards it, at most 1. Below `LEVEL` it is beyond sampling error.

    Raises:
        InputError: no images, or hits or an expected share that cannot be.
    """
    from scipy.stats import binom

    if n < 1 or not 0 <= hits <= n:
        raise InputError(f"hits: {hits} of {n} images cannot be right; give at least one image")
    if not 0 <= expected <= 1:
        raise InputError(f"expected: {expected} is not a share of images in [0, 1]")
    low, high = max(expected - tolerance, 0.0), min(expected + tolerance, 1.0)
    below, above = binom.cdf(hits, n, low), binom.sf(hits - 1, n, high)
    return Verdict(hits, n, expected, min(1.0, 2 * min(float(below), float(above))))


def check(record: Mapping[str, Any], hits: int, n: int, *datasets: str) -> Verdict | None:
    """Refuse a network whose clean accuracy is off its record by more than sampling error allows.

    Args:
        record: the model's record; `accuracy` holds the expected share, its source, and `also` figures for other samples
            of the same data: agreement with one is enough.
        hits, n: how many clean images of how many were classified rightly.
        datasets: the study's data set and its registered function; a figure for another one says nothing here.

    Returns:
        The best verdict, or None where the record expects nothing of these data.

    Raises:
        InputError: an accuracy off all figures; measured, expected, the figure's source and what to look at are named.
    """
    expected = record.get("accuracy")
    if not expected or expected["dataset"] not in datasets:
        return None
    figures = [expected, *expected.get("also", ())]
    verdicts = [probe(hits, n, figure["value"]) for figure in figures]
    best = max(verdicts, key=lambda verdict: verdict.p)
    if not best.agrees:
        sources = "; ".join(f"{figure['value']:.1%} by {figure['source']}" for figure in figures)
        raise InputError(
            f"params/models/{record['model']}.yaml: the network is right on {best.measured:.1%} of {n} clean images, which "
            f"sampling error does not explain: its record expects {sources} ({best.odds}); check mean and std, the order "
            "of the classes, the crop and the weights, or correct accuracy in the record; nothing is explained until then"
        )
    return best
