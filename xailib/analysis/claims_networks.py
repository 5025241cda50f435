"""The findings about single networks and architectures: F2 (AdvProp), F5 (no network is best), F6 (ResNet)."""

import numpy as np

from xailib.analysis import correlation, scores, statistics, verdicts
from xailib.analysis.claims import LOSS, MARGIN
from xailib.analysis.correlation import Criteria
from xailib.analysis.frames import Frames
from xailib.analysis.scores import Array
from xailib.analysis.verdicts import Finding, Part

CRITERIA = ["test_accuracy", "shift_accuracy", "explainability"]


def f2_advprop(frames: Frames, bootstrap: int = 2000, seed: int = 0) -> Finding:
    """F2: AdvProp networks are at least as accurate as vanilla ones, but not more explainable."""
    pairs = scores.twins(frames, "advprop")
    if not pairs:
        return verdicts.needs("F2", "AdvProp networks with vanilla twins")
    criteria = correlation.model_criteria(frames, bootstrap, seed)
    models = list(criteria.models.index)
    rows = [[models.index(name) for name in pair] for _, *pair in pairs]
    parts = []
    for name, margin in (("test_accuracy", LOSS), ("shift_accuracy", LOSS), ("explainability", MARGIN)):
        if name not in criteria.table:
            continue
        values, samples = criteria.get(name)
        value = np.mean([values[a] - values[b] for a, b in rows])
        copies = np.mean([samples[:, a] - samples[:, b] for a, b in rows], axis=0)
        n = int(criteria.facts.loc[name, "n"])
        estimate = verdicts.over_images(value, copies, n)
        if name == "explainability":
            verdict = verdicts.not_above(estimate, margin)
        else:  # "as high or higher" is "the vanilla twin is not ahead"
            verdict = verdicts.not_above(statistics.Estimate(-estimate.value, -estimate.high, -estimate.low, n), margin)
        label = criteria.facts.loc[name, "label"]
        parts.append(Part(label, f"AdvProp minus vanilla, {label.lower()}", estimate, "images", verdict))
    told = ", ".join(f"{part.name.lower()} {part.estimate.value:+.3f}" for part in parts)
    return Finding(
        "F2", verdicts.together([part.verdict for part in parts]),
        f"AdvProp minus vanilla, mean of {len(pairs)} network{'s' * (len(pairs) > 1)}: {told}.",
        parts,
    )  # fmt: skip


def f5_no_best_network(frames: Frames, bootstrap: int = 2000, seed: int = 0) -> Finding:
    """F5: no network is best on test accuracy, shift accuracy and explainability at once."""
    criteria = correlation.model_criteria(frames, bootstrap, seed)
    names = [name for name in CRITERIA if name in criteria.table]
    if len(names) < 3 or len(criteria.models) < 2:
        return verdicts.needs("F5", "at least two networks, measured on all three criteria")
    values, samples = _stacked(criteria, names)
    leads = _lead(values).min(axis=-1)
    networks = len(leads)
    estimate = statistics.Estimate(
        float(leads.max()), *statistics.interval(_lead(samples).min(axis=-1).max(axis=-1)), n=networks
    )
    statistic = "smallest lead over the best other network on the three criteria, of the network where it is largest"
    parts = [Part("Closest to best on all", statistic, estimate, "networks", verdicts.below(estimate))]
    for a, b in ((0, 1), (0, 2), (1, 2)):
        row = correlation.correlate(criteria, seed, [(names[a], names[b])]).iloc[0]
        label = " with ".join(criteria.facts.loc[[names[a], names[b]], "label"])
        parts.append(
            Part(
                label,
                "Spearman's rho",
                statistics.Estimate(row["rho"], row["low"], row["high"], int(row["n"]), row["p"]),
                "networks",
            )
        )
    best = [
        f"{criteria.facts.loc[name, 'label'].lower()}: {criteria.models['label'].iloc[int(np.nanargmax(values[:, i]))]}"
        for i, name in enumerate(names)
    ]
    return Finding(
        "F5", parts[0].verdict, f"Best of {networks} networks on {'; '.join(best)}.",
        parts,
    )  # fmt: skip


def f6_resnet(frames: Frames, bootstrap: int = 2000, seed: int = 0) -> Finding:
    """F6: ResNet is on average the best architecture."""
    criteria = correlation.model_criteria(frames, bootstrap, seed)
    names = [name for name in CRITERIA if name in criteria.table]
    cells = _architecture_cells(criteria)
    architectures = list(cells)
    ours = [i for i, name in enumerate(architectures) if "resnet" in name]
    if not ours or len(architectures) < 3 or "explainability" not in names:
        return verdicts.needs("F6", "a ResNet beside at least two other architectures trained alike")
    order = np.array(list(cells.values()))  # (architectures, algorithms): model indices
    values, samples = _stacked(criteria, names)
    ranks, copies = (_mean_ranks(part[..., order, :]) for part in (values, samples))
    others = [i for i in range(len(architectures)) if i not in ours]
    gap, gaps = (part[..., others].min(axis=-1) - part[..., ours].min(axis=-1) for part in (ranks, copies))
    estimate = verdicts.over_images(gap, gaps, len(frames.images))
    statistic = "mean rank of the best other architecture minus ResNet's (ranks over criteria and training algorithms)"
    parts = [Part("ResNet before all others", statistic, estimate, "images", verdicts.above(estimate))]
    for name, rank, draws in zip(architectures, ranks, copies.T, strict=True):
        parts.append(
            Part(
                f"mean rank of {frames.architecture_label(name)}",
                "mean rank (1 is best)",
                verdicts.over_images(rank, draws, len(frames.images)),
                "images",
            )
        )
    told = ", ".join(f"{frames.architecture_label(architectures[i])} {ranks[i]:.1f}" for i in np.argsort(ranks))
    return Finding(
        "F6", parts[0].verdict, f"Mean ranks of {len(architectures)} architectures: {told}.",
        parts,
    )  # fmt: skip


def _stacked(criteria: Criteria, names: list[str]) -> tuple[Array, Array]:
    """Return values `(models, criteria)` and samples `(resamples, models, criteria)`."""
    found = [criteria.get(name) for name in names]
    return np.stack([values for values, _ in found], axis=-1), np.stack([samples for _, samples in found], axis=-1)


def _lead(values: Array) -> Array:
    """Return how far each network is ahead of the best other one `(..., models, criteria)`."""
    ordered = np.sort(np.where(np.isfinite(values), values, -np.inf), axis=-2)
    best, second = ordered[..., -1:, :], ordered[..., -2:-1, :]
    return values - np.where(values >= best, second, best)


def _architecture_cells(criteria: Criteria) -> dict[str, list[int]]:
    """Return, by architecture, the row of its network under each training algorithm that every architecture has."""
    models = criteria.models.reset_index(drop=True)
    table = models.reset_index().pivot_table(
        index="architecture", columns="training_algorithm", values="index", aggfunc="first"
    )
    return (
        {name: row.astype(int).tolist() for name, row in table.dropna(axis=1).iterrows()}
        if len(table.dropna(axis=1).columns)
        else {}
    )


def _mean_ranks(values: Array) -> Array:
    """Rank architectures in `(..., architectures, algorithms, criteria)` cells and average: `(..., architectures)`."""
    a, b = values[..., :, None, :, :], values[..., None, :, :, :]
    rank = 1 + (b > a).sum(axis=-3) + 0.5 * ((b == a).sum(axis=-3) - 1)
    return rank.mean(axis=(-2, -1))
