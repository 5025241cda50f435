"""Accuracy, confidence and explainability of networks, and how they go together."""

import re
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pandas as pd

from xailib.analysis import scores, statistics
from xailib.analysis.frames import Frames
from xailib.analysis.scores import Array

ATTACK = "l2_pgd"
RELABELLED = "imagenet_real"  # the same images under other labels: no shift of the images
LABELS = {
    "test_accuracy": "Test accuracy",
    "shift_accuracy": "Shift accuracy",
    "adversarial_accuracy": "Adversarial accuracy",
    "confidence": "Mean confidence",
    "explainability": "Explainability",
}


@dataclass(frozen=True)
class Criteria:
    """What each network is judged by.

    Attributes:
        table: one row a model: criteria as columns, in their own units; NaN where not measured.
        samples: `(resamples, models, criteria)`: the same over bootstrap copies of the images.
        facts: indexed by criterion: label, better (higher, lower or empty), n (images).
        models: indexed by model: label, architecture, training_algorithm.
    """

    table: pd.DataFrame
    samples: Array
    facts: pd.DataFrame
    models: pd.DataFrame

    def get(self, name: str) -> tuple[Array, Array]:
        """Return one criterion's values `(models,)` and samples `(resamples, models)`."""
        return self.table[name].to_numpy(float), self.samples[:, :, self.table.columns.get_loc(name)]


@lru_cache(maxsize=4)
def model_criteria(frames: Frames, bootstrap: int = 2000, seed: int = 0) -> Criteria:
    """Measure every network on every criterion, with bootstrap copies over images.

    Explainability is the mean goodness (0 worst, 1 best) over all metrics and the methods that apply to all networks.
    Shift accuracy is the mean over kinds of shift (their severities averaged), the attack apart.
    """
    columns: dict[str, tuple[Array, Array]] = {}
    facts = []

    def add(name: str, label: str, better: str, n: int, found: tuple[Array, Array]) -> None:
        columns[name] = found
        facts.append({"criterion": name, "label": label, "better": better, "n": n})

    for name, column, better in (("test_accuracy", "correct", "higher"), ("confidence", "confidence", "")):
        values = per_image(frames, column)
        add(name, LABELS[name], better, values.shape[1], averaged(values, bootstrap, seed))
    for name, shifts in (("shift_accuracy", shift_kinds(frames)), ("adversarial_accuracy", {ATTACK: [ATTACK]})):
        n = frames.accuracy.loc[
            frames.accuracy["shift"].isin([shift for kind in shifts.values() for shift in kind]), "n"
        ]
        add(name, LABELS[name], "higher", int(n.min()) if len(n) else 0, shifted(frames, shifts, bootstrap, seed))

    good = scores.means(frames, bootstrap, seed)
    shared = scores.shared_methods(good.cube)
    add("explainability", LABELS["explainability"], "higher", good.images, good.pick(methods=shared))
    for suffix, column in (("", "value"), ("_normalised", "value_normalised")):
        raw = scores.means(frames, bootstrap, seed, column, oriented=False)
        for metric, row in frames.metrics.iterrows():
            found = raw.pick(methods=shared, metrics=[metric])
            if np.isfinite(found[0]).any():
                label = f"{row['label']}{' (normalised)' if suffix else ''}"
                add(metric + suffix, label, row["better"], raw.images, found)
    table = pd.DataFrame({name: found[0] for name, found in columns.items()}, index=frames.models.index)
    samples = np.stack([found[1] for found in columns.values()], axis=-1)
    known = [i for i, name in enumerate(table) if table[name].notna().any()]
    return Criteria(
        table.iloc[:, known], samples[..., known], pd.DataFrame(facts).set_index("criterion").iloc[known], frames.models
    )


def per_image(frames: Frames, column: str) -> Array:
    """Return a column of the predictions `(models, images)` over the largest clean sample."""
    predictions = frames.predictions
    subset = "accuracy" if (predictions["subset"] == "accuracy").any() else "maps"
    rows = predictions[predictions["subset"] == subset]
    table = rows.pivot_table(index="model", columns="image", values=column, aggfunc="first")
    return table.reindex(frames.models.index).to_numpy(float)


def averaged(values: Array, bootstrap: int, seed: int) -> tuple[Array, Array]:
    """Return means over images `(models,)` and their bootstrap copies `(resamples, models)`."""
    return scores.nanmean(values, axis=-1), statistics.resampled_means(values, bootstrap, seed)


def shift_kinds(frames: Frames) -> dict[str, list[str]]:
    """Return the shifts of the study by kind, severities together: {"gaussian_noise": ["gaussian_noise_1", ...]}."""
    kinds: dict[str, list[str]] = {}
    for shift in dict.fromkeys(frames.accuracy["shift"]):
        if shift not in ("clean", ATTACK, RELABELLED):
            kinds.setdefault(re.sub(r"[_/][0-9]+$", "", shift), []).append(shift)
    return kinds


def shifted(frames: Frames, kinds: dict[str, list[str]], bootstrap: int, seed: int) -> tuple[Array, Array]:
    """Return mean accuracies over kinds of shift `(models,)` and copies `(resamples, models)`.

    Only counts are stored for shifts, so the copies draw them from a binomial distribution, each shift on its own.
    """
    table = frames.accuracy.pivot_table(index="model", columns="shift", values=["accuracy", "n"], dropna=False).reindex(
        frames.models.index
    )
    random = np.random.default_rng(seed)
    values, samples = [], []
    for shifts in kinds.values():
        missing = [shift for shift in shifts if shift not in table["accuracy"]]
        if missing:
            continue
        accuracy, n = table["accuracy"][shifts].to_numpy(float), table["n"][shifts].to_numpy(float)
        trials = np.nan_to_num(n).astype(int)
        hits = random.binomial(trials, np.clip(np.nan_to_num(accuracy), 0, 1), size=(bootstrap, *accuracy.shape))
        values.append(scores.nanmean(accuracy, axis=1))
        samples.append(np.where(np.isfinite(accuracy), hits / np.maximum(trials, 1), np.nan).mean(axis=2))
    if not values:
        models = len(frames.models)
        return np.full(models, np.nan), np.full((bootstrap, models), np.nan)
    return np.mean(values, axis=0), np.mean(samples, axis=0)


def correlate(criteria: Criteria, seed: int = 0, pairs: list[tuple[str, str]] | None = None) -> pd.DataFrame:
    """Return Spearman's rho of pairs of criteria (all of them by default) over the networks, one row a pair.

    Columns: first, second, rho, low, high (95 %, over networks and images), p (permutation), n (networks), critical
    (the |rho| that n networks must pass for p < 0.05), within (rho of ranks after each training algorithm's mean rank
    is taken away: what is left when vanilla, robust and AdvProp clusters are taken out).
    """
    names = list(criteria.table)
    pairs = pairs or [(a, b) for i, a in enumerate(names) for b in names[i + 1 :]]
    rows = []
    for first, second in pairs:
        (x, x_samples), (y, y_samples) = criteria.get(first), criteria.get(second)
        found = statistics.spearman(np.vstack([x, x_samples]), np.vstack([y, y_samples]), len(x_samples), seed)
        rows.append(
            {
                **{"first": first, "second": second, "rho": found.value, "low": found.low, "high": found.high},
                **{"p": found.p, "n": found.n, "critical": statistics.critical_rho(found.n)},
                "within": within_clusters(x, y, criteria.models["training_algorithm"]),
            }
        )
    columns = ["first", "second", "rho", "low", "high", "p", "n", "critical", "within"]
    return pd.DataFrame(rows, columns=columns)  # none where there is one criterion


def within_clusters(x: Array, y: Array, clusters: pd.Series) -> float:
    """Return the correlation of ranks left after each cluster's mean rank is subtracted; NaN for nothing."""
    ranks = pd.DataFrame({"x": x, "y": y, "cluster": list(clusters)}).dropna()
    if len(ranks) < 3 or ranks["cluster"].value_counts().max() < 3:
        return float("nan")
    ranks[["x", "y"]] = ranks[["x", "y"]].rank()
    left = ranks[["x", "y"]] - ranks.groupby("cluster")[["x", "y"]].transform("mean")
    spread = float(np.sqrt((left["x"] ** 2).sum() * (left["y"] ** 2).sum()))
    return float((left["x"] * left["y"]).sum() / spread) if spread > 1e-9 else float("nan")


def points(criteria: Criteria, horizontal: list[str], vertical: list[str]) -> pd.DataFrame:
    """Return one row a network and panel: x, y, their 95 % intervals over images, labels and directions."""
    known = list(criteria.table)
    rows = []
    for first, second in [(x, y) for y in vertical for x in horizontal if x in known and y in known]:
        ends = {}
        for axis, name in (("x", first), ("y", second)):
            values, samples = criteria.get(name)
            bounds = np.array([statistics.interval(samples[:, i]) for i in range(len(values))])
            ends |= {axis: values, f"{axis}_low": bounds[:, 0], f"{axis}_high": bounds[:, 1]}
            ends |= {
                f"{axis}_label": criteria.facts.loc[name, "label"],
                f"{axis}_better": criteria.facts.loc[name, "better"],
            }
        panel = pd.DataFrame(ends, index=criteria.table.index).assign(first=first, second=second)
        rows.append(panel.join(criteria.models).reset_index())
    return pd.concat(rows, ignore_index=True) if rows else pd.DataFrame()


def confidence_histogram(frames: Frames, bins: int = 20) -> pd.DataFrame:
    """Return the share of test images in each bin of confidence, one row a network and bin."""
    values = per_image(frames, "confidence")
    edges = np.linspace(0, 1, bins + 1)
    rows = []
    for model, row in zip(frames.models.index, values, strict=True):
        row = row[np.isfinite(row)]
        shares = np.histogram(row, edges)[0] / max(len(row), 1)
        rows.append(
            pd.DataFrame(
                {
                    "model": model,
                    "low": edges[:-1],
                    "high": edges[1:],
                    "share": shares,
                    "mean": row.mean(),
                    "n": len(row),
                }
            )
        )
    return pd.concat(rows, ignore_index=True).merge(frames.models.reset_index(), on="model")
