"""The findings about methods and metrics: F1 (gradient maps), F3 (the best methods), F4 (confidence)."""

import numpy as np

from xailib.analysis import correlation, rankings, scores, statistics, verdicts
from xailib.analysis.claims import MARGIN
from xailib.analysis.frames import Frames
from xailib.analysis.verdicts import Finding, Part

LOCALISING = ["pointing_game", "localisation"]
BEST = ["gradcam", "rise"]
NAMES = {"gradient": "gradient", "cam": "CAM", "perturbation": "perturbation"}


def f1_robust_gradients(frames: Frames, bootstrap: int = 2000, seed: int = 0) -> Finding:
    """F1: robust networks score higher than vanilla ones on gradient maps, not on CAM or perturbation maps."""
    metrics = [name for name in LOCALISING if name in frames.metrics.index]
    families = [name for name in rankings.FAMILIES if (frames.methods["family"] == name).any()]
    if not scores.twins(frames) or not metrics or "gradient" not in families or len(families) < 2:
        return verdicts.needs("F1", "robust twins, gradient methods, others beside them, and object boxes")
    found = scores.means(frames, bootstrap, seed)
    gains = {family: rankings.family_differences(found, frames, family, metrics) for family in families}
    parts, statistic = [], "robust minus vanilla hit rate (pointing game and localisation)"
    for family in families:
        estimate = verdicts.over_units(*gains[family], seed)
        own = verdicts.above(estimate) if family == "gradient" else verdicts.not_above(estimate, MARGIN)
        parts.append(Part(f"{NAMES[family]} methods", statistic, estimate, "architectures", own))
    for family in families[1:]:
        values, samples = (a - b for a, b in zip(gains["gradient"], gains[family], strict=True))
        estimate = verdicts.over_units(values, samples, seed)
        parts.append(
            Part(
                f"gradient beyond {NAMES[family]}",
                f"{statistic}, difference of gains",
                estimate,
                "architectures",
                verdicts.above(estimate),
            )
        )
    decisive = [parts[0].verdict, *(part.verdict for part in parts if part.name.startswith("gradient beyond"))]
    vetoes = [part.verdict for part in parts if part.verdict == verdicts.CONTRADICTED]
    told = ", ".join(f"{part.estimate.value:+.2f} by {part.name}" for part in parts[: len(families)])
    return Finding(
        "F1", verdicts.together([*decisive, *vetoes]),
        f"Robust networks gain {told}, as hit rates over {_count(parts[0].estimate.n, 'pair')} of networks.",
        parts,
    )  # fmt: skip


def f3_best_methods(frames: Frames, bootstrap: int = 2000, seed: int = 0) -> Finding:
    """F3: GradCAM and RISE are the best of the nine methods."""
    methods = list(frames.methods.index[frames.methods["family"] != "control"])
    rivals = [name for name in methods if name not in (*BEST, "cam")]
    if not set(BEST) <= set(methods) or len(rivals) < 2:
        return verdicts.needs("F3", "GradCAM, RISE and at least two other methods")
    observed, samples, found = rankings.rank_samples(frames, bootstrap, seed)
    ranks = dict(zip(methods, scores.nanmean(observed, (0, 2)), strict=True))
    copies = dict(zip(methods, samples.T, strict=True))
    networks = len(found.cube.models)
    statistic = "mean rank of the best rival minus the worse of GradCAM's and RISE's"

    def gap(others: list[str], champions: list[str]) -> statistics.Estimate:
        value = min(ranks[name] for name in others) - max(ranks[name] for name in champions)
        draws = np.min([copies[name] for name in others], axis=0) - np.max([copies[name] for name in champions], axis=0)
        return statistics.Estimate(value, *statistics.interval(draws, units=networks), n=networks)

    lead = gap(rivals, BEST)
    parts = [Part("GradCAM and RISE before all rivals", statistic, lead, "networks", verdicts.above(lead))]
    for name in BEST:
        estimate = gap(rivals, [name])
        parts.append(
            Part(
                f"{frames.methods.loc[name, 'label']} before all rivals",
                "gap in mean rank",
                estimate,
                "networks",
                verdicts.above(estimate),
            )
        )
    if "cam" in methods:
        estimate = gap(["cam"], BEST)
        parts.append(Part("CAM as a rival", "gap in mean rank", estimate, "networks"))
    for name in methods:
        estimate = statistics.Estimate(ranks[name], *statistics.interval(copies[name], units=networks), n=networks)
        parts.append(
            Part(
                f"mean rank of {frames.methods.loc[name, 'label']}",
                "mean rank over networks and metrics (1 is best)",
                estimate,
                "networks",
            )
        )
    order = ", ".join(
        f"{frames.methods.loc[name, 'label']} {ranks[name]:.1f}" for name in sorted(methods, key=ranks.get)[:4]
    )
    return Finding(
        "F3", parts[0].verdict, f"Best mean ranks of {len(methods)} methods: {order}.",
        parts,
    )  # fmt: skip


def f4_confidence(frames: Frames, bootstrap: int = 2000, seed: int = 0) -> Finding:
    """F4: Insertion favours vanilla and Deletion robust networks, as both follow the network's confidence."""
    if not {"insertion", "deletion"} <= set(frames.metrics.index) or not scores.twins(frames):
        return verdicts.needs("F4", "robust twins, Insertion and Deletion")
    parts = []
    for column, verdict, word in (
        ("value", verdicts.below, "raw score"),
        ("value_normalised", None, "score over full-image score"),
    ):
        found = scores.means(frames, bootstrap, seed, column, oriented=False)
        for metric in ("insertion", "deletion"):
            estimate = verdicts.over_units(*rankings.family_differences(found, frames, "all", [metric]), seed)
            label = f"{frames.metrics.loc[metric, 'label']}, robust minus vanilla"
            if np.isfinite(estimate.value):
                parts.append(
                    Part(
                        f"{label} ({word})",
                        f"difference of {word}s",
                        estimate,
                        "architectures",
                        verdict(estimate) if verdict else "",
                    )
                )
    criteria = correlation.model_criteria(frames, bootstrap, seed)
    if len(parts) < 2 or not {"insertion", "deletion"} <= set(criteria.table):
        return verdicts.needs("F4", "scores of Insertion and Deletion that are numbers")
    names = [
        name
        for name in ("insertion", "deletion", "insertion_normalised", "deletion_normalised")
        if name in criteria.table
    ]
    for row in correlation.correlate(criteria, seed, [("confidence", name) for name in names]).itertuples():
        estimate = statistics.Estimate(row.rho, row.low, row.high, row.n, row.p)
        raw = row.second in frames.metrics.index
        name = f"{criteria.facts.loc[row.second, 'label']} with mean confidence"
        parts.append(Part(name, "Spearman's rho", estimate, "networks", verdicts.correlated(estimate) if raw else ""))
    told = {part.name: part.estimate.value for part in parts}
    rho = {
        label: told[f"{label} with mean confidence"] for label in frames.metrics.loc[["insertion", "deletion"], "label"]
    }
    first, second = (frames.metrics.loc[name, "label"] for name in ("insertion", "deletion"))
    return Finding(
        "F4", verdicts.together([part.verdict for part in parts if part.verdict]),
        f"Robust minus vanilla is {parts[0].estimate.value:+.2f} on {first} "
        f"and {parts[1].estimate.value:+.2f} on {second}; "
        f"rho with mean confidence is {_rho(rho[first])} and {_rho(rho[second])}.",
        parts,
    )  # fmt: skip


def _rho(value: float) -> str:
    return "unknown (too few networks)" if np.isnan(value) else f"{value:.2f}"


def _count(n: int, noun: str) -> str:
    return f"{n} {noun}{'s' * (n != 1)}"
