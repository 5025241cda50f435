"""The toy problem of ROAR (Hooker et al. 2019, section 3): without retraining, any ranking looks good.

Sixteen inputs, four of which know the class: x = a z / 10 + d eta + eps / 10, y = (z > 0), where a is standard normal for
the informative inputs and 0 for the others, d is standard normal, and z, eta, eps are standard normal for each example.
The classifier is least squares. Inputs are removed in a given order, replaced by their mean over the training examples.

The paper leaves open whether eps is one number an example, which all inputs share ("scalar"), or one an input
("vector"). Only the first gives its flat curve: three informative inputs then determine z exactly.
"""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from xailib.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

NOISE_TERMS = ("scalar", "vector")
RANKINGS = ("truth", "random", "inverted")
MODES = ("retrained", "not retrained")
# Directions of the inputs with less than this share of the largest variance are rounding, not data: with a scalar eps,
# sixteen inputs span three dimensions. The weakest real direction has about 1e-6.
NEGLIGIBLE = 1e-10


def curves(
    seeds: Sequence[int] = range(50),
    *,
    train_points: int = 10_000,
    test_points: int = 10_000,
    features: int = 16,
    informative: int = 4,
) -> "pd.DataFrame":
    """Return the test accuracy after each number of removed inputs; about 20 ms a seed at the defaults.

    Args:
        seeds: one problem each: a, d, the examples and the random ranking; a set, so their order changes nothing.
        train_points, test_points: examples to fit and to score.
        features: inputs.
        informative: of them carry z; the true ranking removes them first, the inverted one last.

    Returns:
        A row for each `noise_term` (scalar, vector), `ranking` (truth, random, inverted), `mode` (retrained, not
        retrained) and number `removed` (0 to `features`), with `accuracy` (mean over seeds, in [0, 1]), `sd` (standard
        deviation over seeds; NaN for one) and `n` (seeds).

    Raises:
        InputError: no or repeated seeds, a size below 2, more informative inputs than there are.
    """
    import pandas as pd

    seeds = _check(seeds, train_points, test_points, features, informative)
    rows = []
    for noise_term in NOISE_TERMS:
        problem = (noise_term, train_points, test_points, features, informative)
        scores = np.stack([accuracies(seed, *problem) for seed in seeds])
        means = scores.mean(axis=0)
        deviations = scores.std(axis=0, ddof=1) if len(seeds) > 1 else np.full_like(means, np.nan)
        for (i, j, removed), mean in np.ndenumerate(means):
            rows.append((noise_term, RANKINGS[i], MODES[j], removed, mean, deviations[i, j, removed], len(seeds)))
    return pd.DataFrame(rows, columns=["noise_term", "ranking", "mode", "removed", "accuracy", "sd", "n"])


def accuracies(
    seed: int, noise_term: str, train_points: int, test_points: int, features: int, informative: int
) -> np.ndarray:
    """Return one seed's test accuracies: `(ranking, mode, removed)`, float64 in [0, 1]."""
    stream = np.random.default_rng(seed)
    a = np.concatenate([stream.standard_normal(informative), np.zeros(features - informative)])
    d = stream.standard_normal(features)
    train, train_classes = examples(stream, a, d, train_points, noise_term)
    test, test_classes = examples(stream, a, d, test_points, noise_term)
    weights = all_weights(train, train_classes, rankings(stream, features, informative))
    # A removed input equals its training mean, so with centred inputs it adds nothing, whatever its weight.
    predicted = (test - train.mean(axis=0)) @ weights.reshape(-1, features).T + train_classes.mean() > 0.5
    return (predicted == test_classes[:, None]).mean(axis=0).reshape(weights.shape[:-1])


def examples(
    stream: np.random.Generator, a: np.ndarray, d: np.ndarray, points: int, noise_term: str
) -> tuple[np.ndarray, np.ndarray]:
    """Draw inputs float64 `(points, features)` and classes bool `(points,)`."""
    z, eta = stream.standard_normal((2, points, 1))
    eps = stream.standard_normal((points, 1 if noise_term == "scalar" else len(d)))
    return a * z / 10 + d * eta + eps / 10, z[:, 0] > 0


def rankings(stream: np.random.Generator, features: int, informative: int) -> dict[str, np.ndarray]:
    """Return the order in which inputs go, by ranking; within the informative and the other inputs it is arbitrary."""
    truth = np.arange(features)
    return {"truth": truth, "random": stream.permutation(features), "inverted": np.roll(truth, -informative)}


def all_weights(inputs: np.ndarray, classes: np.ndarray, orders: dict[str, np.ndarray]) -> np.ndarray:
    """Return least-squares weights on centred inputs, 0 for removed ones: `(ranking, mode, removed, features)`.

    Every fit is a part of one set of normal equations, because a constant input drops out of them.
    """
    centred = inputs - inputs.mean(axis=0)
    gram, target = centred.T @ centred, centred.T @ (classes - classes.mean())
    features = len(target)
    weights = np.zeros((len(RANKINGS), len(MODES), features + 1, features))
    whole = least_squares(gram, target)
    for i, ranking in enumerate(RANKINGS):
        for removed in range(features):
            kept = orders[ranking][removed:]
            weights[i, 0, removed, kept] = least_squares(gram[np.ix_(kept, kept)], target[kept])
            weights[i, 1, removed, kept] = whole[kept]
    return weights


def least_squares(gram: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Return the shortest of the best weights."""
    return np.linalg.lstsq(gram, target, rcond=NEGLIGIBLE)[0]


def flat_until(frame: "pd.DataFrame", tolerance: float = 0.01) -> "pd.DataFrame":
    """Return, for each curve of `curves`, how many inputs go before accuracy is `tolerance` below the full one.

    Columns: `noise_term`, `ranking`, `mode`, `flat_until` (inputs).
    """
    import pandas as pd

    rows = []
    for names, curve in frame.groupby(["noise_term", "ranking", "mode"], sort=False):
        accuracy = curve.sort_values("removed")["accuracy"].to_numpy()
        below = np.flatnonzero(accuracy < accuracy[0] - tolerance)
        rows.append((*names, int(below[0]) - 1 if len(below) else len(accuracy) - 1))
    return pd.DataFrame(rows, columns=["noise_term", "ranking", "mode", "flat_until"])


def _check(seeds: Iterable[int], train_points: int, test_points: int, features: int, informative: int) -> list[int]:
    """Return the seeds in ascending order, so that sums over them are the same to the last bit."""
    seeds = sorted(seeds)
    if not seeds or len(set(seeds)) < len(seeds) or seeds[0] < 0:
        raise InputError(f"seeds: {seeds} must be different whole numbers from 0 up, and at least one")
    for name, size in {"train_points": train_points, "test_points": test_points, "features": features}.items():
        if size < 2:
            raise InputError(f"{name}: {size} is too small; use at least 2")
    if not 1 <= informative < features:
        raise InputError(f"informative: {informative} is not a number of inputs from 1 to {features - 1}")
    return seeds
