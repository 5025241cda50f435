"""The claims F1 to F6 of "How explainable are adversarially-robust CNNs?" (arXiv 2205.13042): words, rule and test of each.

The paper's own numbers are not public, so nothing is compared with them: each claim is tested as a direction. F7 is ours:
F1 as a dose and its response.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import combinations
from math import nan

import numpy as np

from xailib.analysis import ladder, rules, scores
from xailib.analysis.controls import telling, void
from xailib.analysis.correlation import model_criteria
from xailib.analysis.draws import FEWEST_UNITS, Array, measured, of_units, over_units, ranks, spearman
from xailib.analysis.facts import many
from xailib.analysis.frames import Frames
from xailib.analysis.intervals import Contrast, Estimate, crossed, largest_smallest, over_images, smallest
from xailib.analysis.rankings import FAMILIES, families, rank_draws
from xailib.analysis.verdicts import Claim, Finding, Part, claim, needs, part, together

MARGIN = 0.05  # a gain in explainability (hit rate or area, 0 to 1) below this is none
LOSS = 0.02  # an accuracy lower by less than this still counts as "as high"
LOCALISING = ["pointing_game", "localisation"]
BEST = ["gradcam", "rise"]
CRITERIA = ["test_accuracy", "shift_accuracy", "explainability"]
RAW = "explainability_raw"
NO_GAIN, NO_NIL = partial(rules.not_above, margin=MARGIN), partial(rules.above, margin=MARGIN)
CLAIMS: dict[str, Claim] = {}


@claim(CLAIMS, ("WSL box", "Pointing margin", "Method settings", "Images"), margin=MARGIN)
def f1_robust_gradients(frames: Frames, bootstrap: int = 2000, seed: int = 0) -> Finding:
    """F1: Robust networks explain better than vanilla ones by gradient methods, but not by CAM or perturbation methods.

    Supported: the gain by gradient methods is above zero and above the gain by each other family. Contradicted: any of
    these is below zero, or another family's gain is above {margin}. Equivalent: the gain by gradient methods is inside
    {margin} on both sides, which counts as none. Intervals over architectures and images; the bounds that contradict
    hold for all of them together.
    """
    metrics = [name for name in LOCALISING if name in telling(frames, bootstrap, seed)]
    methods = families(frames)
    if not scores.twins(frames) or "gradient" not in methods or len(methods) < 2:
        return needs("robust twins, gradient methods, others beside them, and object boxes")
    if not metrics:
        middle = "smaller objects, off the middle: by no hit rate is a method ahead of the image's centre"
        return needs(middle if set(LOCALISING) & set(void(frames, bootstrap, seed)) else "object boxes")
    gain = scores.gain(scores.means(frames, bootstrap, seed), frames).at(metric=metrics)
    gains = {name: gain.at(method=own).mean("method", "metric").values for name, own in methods.items()}
    named = " and ".join(name.replace("_", " ") for name in metrics)
    statistic, units = f"robust minus vanilla hit rate ({named})", "architectures"
    contrast = partial(of_units, images=frames.scored(*metrics))
    verdict, parts, told = gradients_only(gains, contrast, measured, statistic, units)
    n = many(parts[0].estimate.n, "architecture")
    return Finding(verdict, f"Robust networks gain {told}, as hit rates over {n}.", parts)


def gradients_only(
    gains: dict[str, Array],
    contrast: Callable[[Array], Contrast],
    n: Callable[[Array], int],
    statistic: str,
    unit: str,
) -> tuple[str, list[Part], str]:
    """Return verdict, parts and the numbers in words of a gain that is claimed of gradient methods and of no others.

    Args:
        gains: family -> draws of what `contrast` makes a number of; the first is the gradient methods'.
        contrast: turns draws into a number with its variance.
        n: how many units are behind draws.
        statistic: what the number is.
        unit: what its n counts.
    """
    tests = 2 * len(gains) - 1  # the bounds that contradict hold for all parts together

    def gain(title: str, draws: Array, rule: rules.Rule, what: str = statistic) -> Part:
        lead = contrast(draws)
        return part(title, what, smallest([lead], n(draws), tests), unit, rule, lead)

    def no_gain(title: str, draws: Array) -> Part:
        lead = contrast(-draws)
        return part(title, statistic, -smallest([lead], n(draws), tests), unit, NO_GAIN, lead)

    own, beyond = [gain(f"{FAMILIES['gradient']} methods", gains["gradient"], NO_NIL)], []
    for name in list(gains)[1:]:
        own.append(no_gain(f"{FAMILIES[name]} methods", gains[name]))
        title, draws = f"gradient beyond {FAMILIES[name]}", gains["gradient"] - gains[name]
        beyond.append(gain(title, draws, rules.above, f"{statistic}, difference of gains"))
    vetoes = [one for one in own[1:] if one.verdict == rules.CONTRADICTED]
    told = ", ".join(f"{one.estimate.value:+z.2f} by {one.name}" for one in own)
    return together([own[0], *beyond, *vetoes]), [*own, *beyond], told


@claim(CLAIMS, loss=LOSS, margin=MARGIN)
def f2_advprop(frames: Frames, bootstrap: int = 2000, seed: int = 0) -> Finding:
    """F2: AdvProp networks are as accurate as vanilla ones or more, but explain no better.

    Supported: accuracies not more than {loss} below and explainability not more than {margin} above the vanilla twin's,
    by the end of the interval. Contradicted: an accuracy is lower, or explainability higher, by more than that. Inside
    that on both sides a part is equivalent. Explainability by normalised scores; raw ones, which follow confidence, only
    inform. Intervals over images, and over seeds where recipes have several, else about these networks only; the bounds
    that contradict hold for all of them together.
    """
    pairs = len(scores.twins(frames, "advprop"))
    if not pairs:
        return needs("AdvProp networks with vanilla twins")
    criteria = model_criteria(frames, bootstrap, seed)
    gain = scores.gain(criteria.draws, frames, "advprop")
    whole = zip(gain.axes["criterion"], np.isfinite(gain.values[0]).all(axis=0), strict=True)
    parts, known = [], [name for name, on_both_sides in whole if on_both_sides and name in CRITERIA]
    if "explainability" not in known:
        return needs("a metric with values by which some method is ahead of the image's centre")
    for name in (*known, RAW):
        label, n = criteria.facts.loc[name, "label"], int(criteria.facts.loc[name, "n"])
        own = over_images(gain.at(criterion=[name]).values.mean(axis=(1, 2)), n, seeds=frames.unit == "recipes")
        if name == RAW:
            found, rule = smallest([own], n), None
        elif name == "explainability":
            found, rule = -smallest([-own], n, len(known)), NO_GAIN
        else:
            found, rule = smallest([own], n, len(known)), partial(rules.not_below, margin=LOSS)
        parts.append(part(label, f"AdvProp minus vanilla, {label.lower()}", found, "images", rule, own))
    told = ", ".join(f"{one.name.lower()} {one.estimate.value:+z.3f}" for one in parts[: len(known)])
    verdict = together(parts, rules.SUPPORTED)
    return Finding(verdict, f"AdvProp minus vanilla, mean of {many(pairs, 'network')}: {told}.", parts)


@claim(CLAIMS, ("WSL box", "Pointing margin", "Deletion on", "Insertion on", "Scores", "Method settings", "Images"))
def f3_best_methods(frames: Frames, bootstrap: int = 2000, seed: int = 0) -> Finding:
    """F3: GradCAM and RISE are consistently the best methods.

    Supported: both rank before every rival. Contradicted: a rival ranks before one of them, by a bound that holds for
    all pairs together. Interval over networks and images. CAM is no rival, since on a network with a pooled linear
    head GradCAM is CAM after ReLU; it is reported as a part.
    """
    methods = list(frames.methods.index[frames.methods["family"] != "control"])
    rivals = [name for name in methods if name not in (*BEST, "cam")]
    if not set(BEST) <= set(methods) or len(rivals) < 2:
        return needs("GradCAM, RISE and at least two other methods")
    metrics, units = telling(frames, bootstrap, seed), len(frames.recipes)
    if not metrics:
        return needs("a metric with values by which some method is ahead of the image's centre")
    rank = rank_draws(frames, bootstrap, seed).at(metric=metrics).mean("metric")
    if units < FEWEST_UNITS:
        return needs(f"at least {FEWEST_UNITS} {frames.unit}; this study has {units}")
    label, images, unit = frames.methods["label"], len(frames.images), frames.unit

    def gap(others: list[str], champions: list[str]) -> Estimate:
        pairs = [rank.at(method=[other, name]).values for other in others for name in champions]
        return smallest([crossed(pair[..., 0] - pair[..., 1], images, unit, ranks=True) for pair in pairs], units)

    statistic, short = "mean rank of the best rival minus the worse of GradCAM's and RISE's", "gap in mean rank"
    parts = [part("GradCAM and RISE before all rivals", statistic, gap(rivals, BEST), unit, rules.above)]
    parts += [part(f"{label[name]} before all rivals", short, gap(rivals, [name]), unit) for name in BEST]
    parts += [part("CAM as a rival", short, gap(["cam"], BEST), unit)] if "cam" in methods else []
    statistic, own = f"mean rank over {unit} and metrics (1 is best)", {}
    for name in methods:
        own[name] = over_units(rank.at(method=[name]).values[..., 0], images, unit, ranks=True)
        parts.append(part(f"mean rank of {label[name]}", statistic, replace(own[name], p=nan, needs=""), unit))
    order = sorted(methods, key=lambda name: own[name].value)[:4]
    told = ", ".join(f"{label[name]} {own[name].value:.1f}" for name in order)
    return Finding(parts[0].verdict, f"Best mean ranks of {len(methods)} methods: {told}.", parts)


@claim(CLAIMS, ("Deletion on", "Insertion on", "Images"))
def f4_confidence(frames: Frames, bootstrap: int = 2000, seed: int = 0) -> Finding:
    """F4: Insertion favours vanilla and Deletion favours robust networks, because both follow confidence.

    Supported: robust networks score lower on both (worse Insertion, better Deletion), and both scores correlate with
    mean confidence, by intervals that leave zero out. Contradicted: any of these is reversed, by a bound that holds for
    all four together. Normalised scores only inform. Differences over architectures and images, correlations over
    networks.
    """
    names, label = ["insertion", "deletion"], frames.metrics["label"]
    if not set(names) <= set(label.index) or not scores.twins(frames):
        return needs("robust twins, Insertion and Deletion")
    blind = [label[name] for name in names if name in void(frames, bootstrap, seed)]
    if blind:
        return needs(f"images on which some method is ahead of the image's centre by {' and '.join(blind)}")
    parts = []
    for column, word, rule in (
        ("value", "raw score", rules.below),
        ("value_normalised", "score over full-image score", None),
    ):
        raw = scores.means(frames, bootstrap, seed, column, oriented=False).at(metric=names)
        gain = scores.gain(raw, frames).mean("method").values
        for i, name in enumerate(names):
            found = -over_units(-gain[..., i], len(frames.images), tests=4)
            title = f"{label[name]}, robust minus vanilla ({word})"
            if np.isfinite(found.value):
                parts.append(part(title, f"difference of {word}s", found, "architectures", rule))
    criteria = model_criteria(frames, bootstrap, seed)
    if len(parts) < 2 or not set(names) <= set(criteria.facts.index):
        return needs("scores of Insertion and Deletion that are numbers")
    gains = [f"{one.estimate.value:+z.2f} on {label[name]}" for name, one in zip(names, parts, strict=False)]
    for name in (*names, *(f"{name}_normalised" for name in names)):
        if name in criteria.facts.index:
            found = spearman(criteria.get("confidence")[0], criteria.get(name)[0], 4, frames.unit)
            title = f"{criteria.facts.loc[name, 'label']} with mean confidence"
            parts.append(part(title, "Spearman's rho", found, frames.unit, rules.above if name in names else None))
    told = {one.name: one.estimate.value for one in parts}
    rho = [told[f"{label[name]} with mean confidence"] for name in names]
    rho = ["unknown (too few networks)" if np.isnan(value) else f"{value:z.2f}" for value in rho]
    return Finding(
        together(parts),
        f"Robust minus vanilla is {' and '.join(gains)}; rho with mean confidence is {' and '.join(rho)}.",
        parts,
    )


@claim(CLAIMS)
def f5_no_best_network(frames: Frames, bootstrap: int = 2000, seed: int = 0) -> Finding:
    """F5: No network is best on test accuracy, accuracy under shift and explainability at once.

    Supported: every network trails another one on some criterion, by a bound that holds for all its comparisons
    together. Contradicted: one network leads all others on all three. Explainability by normalised scores; raw ones only
    inform. Interval over images, and over seeds where recipes have several, else about these networks only.
    """
    criteria, networks, unit = model_criteria(frames, bootstrap, seed), len(frames.recipes), frames.unit
    names = [name for name in CRITERIA if name in criteria.facts.index]
    values, facts = criteria.draws.at(criterion=names).values, criteria.facts
    label, known = facts["label"], np.flatnonzero(np.isfinite(values[0]).all(axis=1))
    if len(names) < 3 or len(known) < 2:
        return needs("at least two networks, measured on all three criteria")

    def closest(names: list[str]) -> Estimate:
        values = criteria.draws.at(criterion=names).values
        images = [(n, f"images for {label[name].lower()}") for name, n in facts.loc[names, "n"].items()]
        leads = [
            [
                over_images(values[:, one, i] - values[:, other, i], *own, seeds=unit == "recipes")
                for other in known if other != one for i, own in enumerate(images)
            ]
            for one in known
        ]  # fmt: skip
        return largest_smallest(leads, networks)

    statistic = "smallest lead over the best other network on the three criteria, of the network where it is largest"
    parts = [part("Closest to best on all", statistic, closest(names), unit, rules.below)]
    parts += [part("Closest to best on all (raw scores)", statistic, closest([*names[:2], RAW]), unit)]
    for first, second in combinations(names, 2):
        found = spearman(criteria.get(first)[0], criteria.get(second)[0], unit=unit)
        parts.append(part(f"{label[first]} with {label[second]}", "Spearman's rho", found, unit))
    winners = frames.recipes["label"].iloc[np.nanargmax(values[0], axis=0)]
    best = "; ".join(f"{label[name].lower()}: {winner}" for name, winner in zip(names, winners, strict=True))
    return Finding(parts[0].verdict, f"Best of {networks} {unit} on {best}.", parts)


@claim(CLAIMS)
def f6_resnet(frames: Frames, bootstrap: int = 2000, seed: int = 0) -> Finding:
    """F6: ResNet is on average the best architecture.

    Each architecture is ranked on test accuracy, shift accuracy and explainability within each training algorithm that
    all of them have. Supported: ResNet's mean rank is before every other. Contradicted: another one's is before it, by
    a bound that holds for all of them together. Explainability by normalised scores; raw ones only inform. Interval over
    images, and over seeds where recipes have several, else about these networks only.
    """
    criteria, models = model_criteria(frames, bootstrap, seed), frames.recipes.assign(place=range(len(frames.recipes)))
    names = [name for name in CRITERIA if name in criteria.facts.index]
    cells = models.pivot_table("place", "architecture", "training_algorithm", "first").dropna(axis=1).astype(int)
    ours = np.array(["resnet" in name for name in cells.index], bool)
    if not ours.any() or len(cells) < 3 or not len(cells.columns) or "explainability" not in names:
        return needs("a ResNet beside at least two other architectures trained alike")

    def mean_ranks(names: list[str]) -> Array:
        """Among the architectures `(draws, architectures)`; before the mean `(..., algorithms, criteria)`."""
        return ranks(criteria.draws.at(criterion=names).values[:, cells.to_numpy()], axis=1).mean(axis=(2, 3))

    def lead(rank: Array) -> Estimate:
        gaps = rank[:, ~ours] - rank[:, ours].min(axis=1, keepdims=True)
        return smallest([over_images(gap, n, ranks=True, seeds=frames.unit == "recipes") for gap in gaps.T], n)

    n, statistic = len(frames.images), "mean rank of the best other architecture minus ResNet's"
    statistic += " (ranks over criteria and training algorithms)"
    rank, raw = mean_ranks(names), mean_ranks([*names[:-1], RAW])
    parts = [part("ResNet before all others", statistic, lead(rank), "images", rules.above)]
    parts += [part("ResNet before all others (raw scores)", statistic, lead(raw), "images")]
    labels = [frames.architecture_label(name) for name in cells.index]
    for label, draws in zip(labels, rank.T, strict=True):
        own = replace(smallest([over_images(draws, n, ranks=True)], n), p=nan, needs="")
        parts.append(part(f"mean rank of {label}", "mean rank (1 is best)", own, "images"))
    told = ", ".join(f"{labels[i]} {rank[0, i]:.1f}" for i in np.argsort(rank[0]))
    return Finding(parts[0].verdict, f"Mean ranks of {len(cells)} architectures: {told}.", parts)


@claim(CLAIMS, ("WSL box", "Pointing margin", "Method settings", "Images"), asked=ladder.there, margin=MARGIN)
def f7_dose(frames: Frames, bootstrap: int = 2000, seed: int = 0) -> Finding:
    """F7: The larger the attacks that a network is trained against, the better gradient methods explain it, and only they.

    Our claim, asked where an architecture was trained against several radii. The number is
    the rise in hit rate from the vanilla network to the largest radius, along the line fitted to the radii in their order.
    Supported: the rise by gradient methods is above zero and above the rise by each other family. Contradicted: any of
    these is below zero, or another family's rise is above {margin}. Equivalent: the rise by gradient methods is inside
    {margin} on both sides. Intervals over images and seeds; the bounds that contradict hold for all of them together.
    """
    metrics = [name for name in LOCALISING if name in telling(frames, bootstrap, seed)]
    methods, rungs = families(frames), ladder.rungs(frames)
    if rungs.empty:
        return needs(f"an architecture trained against {ladder.RUNGS} radii or more, 0 among them")
    if not metrics or "gradient" not in methods or len(methods) < 2:
        return needs("a hit rate that tells methods from the centre, gradient methods, and others beside them")
    if rungs["seeds"].min() < 2:
        return needs("at least two seeds of every radius: between single trainings a trend may be chance")
    found = scores.means(frames, bootstrap, seed, each=True).at(metric=metrics)
    gains = {name: found.at(method=own).mean("method", "metric").values for name, own in methods.items()}
    n = frames.scored(*metrics)

    named = " and ".join(name.replace("_", " ") for name in metrics)
    statistic = f"rise in hit rate ({named}) from radius 0 to {rungs['epsilon'].max():g}"
    rise = partial(ladder.rise, frames=frames, images=n, seed=seed)
    verdict, parts, told = gradients_only(gains, rise, lambda _: n, statistic, "images")
    robust = smallest([rise(gains["gradient"], first=1)], n)
    name = f"{FAMILIES['gradient']} methods, robust networks alone"
    parts.append(part(name, statistic.replace("from radius 0", "from the least radius above 0"), robust, "images"))
    networks = f"{many(len(rungs), 'recipe')}, at least {int(rungs['seeds'].min())} seeds each"
    return Finding(
        verdict, f"From radius 0 to {rungs['epsilon'].max():g}, hit rates change by {told} ({networks}).", parts
    )


def asked(frames: Frames) -> dict[str, Claim]:
    """Return the claims that a study is asked: the paper's, and ours where it has the networks that they are about."""
    return {id: claim for id, claim in CLAIMS.items() if claim.asked(frames)}
