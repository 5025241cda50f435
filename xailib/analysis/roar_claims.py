"""The claims R1 to R8 of the ROAR paper (Hooker et al. 2019, arXiv 1806.10758), and two of ours: words, rule, test.

Each test takes accuracies as draws; the paper's own table (`roar_paper`) goes through the same functions. A number with
a verdict is above zero where the claim holds.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from itertools import combinations, product

import numpy as np

from xailib.analysis import rules
from xailib.analysis.facts import listed
from xailib.analysis.intervals import Array, Estimate, best_beside, smallest
from xailib.analysis.intervals import spread as apart
from xailib.analysis.roar_curves import Curves
from xailib.analysis.verdicts import Claim, Finding, Part, claim, needs, part, together

ON_PAR = 0.02  # an accuracy lower by less than this is "on par"
FAR = 0.10  # "by far" and "look good": ten points of accuracy

BASES = {"gradient": "GRAD", "guided_backprop": "GB", "integrated_gradients": "IG"}
FORMS = {"squared_smoothgrad": "SQ-SG", "smoothgrad_squared": "SG-SQ"}
FORMS |= {"smoothgrad": "SG", "squared": "SQ", "vargrad": "VAR"}
CONTROLS = ("random", "sobel")
NOISE = "blurred_random"  # coherent, and knows nothing
SMOOTHGRAD = tuple(f"smoothgrad_{base}" for base in BASES)
ENSEMBLES = tuple(f"{form}_{base}" for form in ("smoothgrad_squared", "vargrad") for base in BASES)
SQUARED = tuple(f"{form}_{base}" for form in ("squared", "squared_smoothgrad") for base in BASES)
RANKINGS = (*BASES, *SMOOTHGRAD, *SQUARED, *ENSEMBLES, *CONTROLS)

CLAIMS: dict[str, Claim] = {}


@claim(CLAIMS)
def r1_base_below_random(found: Curves) -> Finding:
    """R1: GRAD, GB and IG are worse than a random ranking at every level.

    For each method, accuracy minus Random's, so above zero is worse than Random. Supported: the mean over levels is
    above zero for each method. Contradicted: a mean is below zero, or a gap at one level, by a bound that holds for all
    of these together. Intervals over test images and trainings.
    """
    names = found.known("remove", list(BASES), found.top)
    gaps, levels = lead(found, names, "random")
    if not names or not levels:
        return needs("GRAD, GB or IG and the random ranking at the same levels")
    means, tests = gaps.mean(axis=2), len(names) * (1 + len(levels))
    parts = [extreme(found, "the best of them", "least mean gap to Random over levels", means, rules.above, tests)]
    parts += everywhere(found, [label(name) for name in names], "accuracy minus Random's", gaps, levels, tests, "best")
    told = ", ".join(f"{label(name)} {points(means[0, i])}" for i, name in enumerate(names))
    below = int((gaps[0] < 0).sum())
    return Finding(
        together(parts),
        f"Points above Random's accuracy, mean over levels: {told}; below Random in {below} of {gaps[0].size} cells.",
        parts,
    )


@claim(CLAIMS)
def r2_widest_at_top(found: Curves) -> Finding:
    """R2: The gap between GRAD, GB, IG and the random ranking is widest at the highest level.

    Mean gap of the three methods at the highest level minus that at each lower level. Supported: above zero for every
    lower level. Contradicted: below zero for one of them, by a bound that holds for all. Intervals over test images and
    trainings.
    """
    names = found.known("remove", list(BASES), found.top)
    gaps, levels = lead(found, names, "random")
    if not names or len(levels) < 2:
        return needs("GRAD, GB or IG and the random ranking at two levels or more")
    top, wider = levels[-1], gaps[:, :, -1:] - gaps[:, :, :-1]
    mean = wider.mean(axis=1)
    statistic = f"gap to Random at {top} % minus the widest at a lower level, mean of the methods"
    parts = [extreme(found, "the methods together", statistic, mean, rules.above)]
    for i, name in enumerate(names):
        parts.append(extreme(found, label(name), "the same for this method alone", wider[:, i]))
    for i, level in enumerate(levels[:-1]):
        parts.append(number(found, f"beyond {level} %", f"mean gap at {top} % minus that at {level} %", mean[:, i]))
    told = ", ".join(f"{points(gap)} at {level} %" for level, gap in zip(levels, gaps[0].mean(axis=0), strict=True))
    return Finding(
        parts[0].verdict,
        f"Mean gap of {', '.join(map(label, names))} to Random in points: {told}.",
        parts,
    )


@claim(CLAIMS, points=100 * ON_PAR)
def r3_sobel(found: Curves) -> Finding:
    """R3: GRAD, GB and IG are on par with or worse than the Sobel edge filter.

    The method's accuracy minus Sobel's, mean over levels. Supported: above minus {points:.0f} points, the least that
    counts, for each method. Contradicted: below that for one of them, by a bound that holds for all. A method inside
    that on both sides is equivalent. Intervals over test images and trainings.
    """
    names = found.known("remove", list(BASES), found.top)
    gaps, levels = lead(found, names, "sobel")
    if not names or not levels:
        return needs("GRAD, GB or IG and the Sobel ranking at the same levels")
    means, rule = gaps.mean(axis=2), partial(rules.not_below, margin=ON_PAR)
    parts = [extreme(found, "the best of them", "least mean gap to Sobel over levels", means, rule)]
    statistic = "accuracy minus Sobel's, mean over levels"
    for i, name in enumerate(names):
        parts.append(extreme(found, label(name), statistic, means[:, i : i + 1], rule, len(names)))
    for i, name in enumerate(names):
        statistic = f"accuracy minus Sobel's, at {levels[-1]} %"
        parts.append(number(found, f"{label(name)} at the highest level", statistic, gaps[:, i, -1]))
    told = ", ".join(f"{label(name)} {points(means[0, i])}" for i, name in enumerate(names))
    verdict = together(parts[:1], rules.SUPPORTED)
    return Finding(verdict, f"Points above Sobel's accuracy, mean over levels: {told}.", parts)


@claim(CLAIMS, points=100 * ON_PAR)
def r4_smoothgrad(found: Curves) -> Finding:
    """R4: SmoothGrad is worse than the random ranking, and for GRAD and IG worse than a single estimate.

    At the highest level: SmoothGrad's accuracy minus Random's, and minus the single estimate's for GRAD and IG.
    Supported: all above zero. Contradicted: one is below, by a bound that holds for all. Equivalent: one is inside
    {points:.0f} points on both sides, which counts as none. Intervals over test images and trainings.
    """
    names = found.known("remove", SMOOTHGRAD, found.top)
    if not names or not found.known("remove", ["random"], found.top):
        return needs("SmoothGrad rankings and the random ranking at the highest level")
    singles = found.known("remove", ["gradient", "integrated_gradients"], found.top)
    pairs = [(name, "random") for name in names]
    pairs += [(f"smoothgrad_{base}", base) for base in singles if f"smoothgrad_{base}" in names]
    gaps = {f"{label(a)} minus {label(b)}": lead(found, [a], b)[0][:, 0] for a, b in pairs}
    at = f"at {found.top} %"
    rule, top = partial(rules.above, margin=ON_PAR), np.stack([gap[:, -1] for gap in gaps.values()], axis=1)
    parts = [extreme(found, "least of these", f"least of the differences {at}", top, rules.above)]
    decisive = []
    for name, gap in gaps.items():
        decisive.append(extreme(found, name, f"difference of accuracies {at}", gap[:, -1:], rule, len(gaps)))
    means = [number(found, f"{name}, all levels", "mean over levels", gap.mean(axis=1)) for name, gap in gaps.items()]
    told = ", ".join(f"{one.name} {points(one.estimate.value)}" for one in decisive)
    return Finding(together(decisive), f"Points {at}: {told}.", [*parts, *decisive, *means])


@claim(CLAIMS, points=100 * FAR)
def r5_ensembles(found: Curves) -> Finding:
    """R5: SmoothGrad-Squared and VarGrad are by far the best, below Random and Sobel at every level.

    At the highest level: the best other ranking's accuracy minus the worst ensemble's. Supported: above {points:.0f}
    points, and each ensemble's mean over levels below Random's and Sobel's. Contradicted: below zero, or one of these
    means above, or a difference at one level, by bounds that hold for all of these together. A blurred random ranking
    is one of the others; the squared rankings only inform. Intervals over test images and trainings.
    """
    top, names = found.top, found.known("remove", ENSEMBLES, found.top)
    others = found.known("remove", [*BASES, *SMOOTHGRAD, *CONTROLS, NOISE], top)
    if not names or not set(CONTROLS) <= set(others):
        return needs("SmoothGrad-Squared or VarGrad, Random and Sobel at the highest level")
    ours, rest = found.at_top("remove", names), found.at_top("remove", others)
    statistic = f"accuracy of the best other ranking minus that of the worst ensemble, at {top} %"
    levels = [found.shared_levels("remove", [*names, control]) for control in CONTROLS]
    ahead, tests = over(rest, ours), len(others) * len(names) + len(names) * sum(1 + len(own) for own in levels)
    rule = partial(rules.above, least=FAR)
    decisive = [extreme(found, "ensembles before all others", statistic, ahead, rule, tests)]
    for control, own in zip(CONTROLS, levels, strict=True):
        titles = [f"{label(name)} before {label(control)}" for name in names]
        statistic, gaps = f"{label(control)}'s accuracy minus the ensemble's", -lead(found, names, control)[0]
        decisive += everywhere(found, titles, statistic, gaps, own, tests, "worst")
    parts, squared = list(decisive), found.known("remove", SQUARED, top)
    if squared:
        statistic = f"accuracy of the best squared ranking minus that of the worst ensemble, at {top} %"
        ahead = over(found.at_top("remove", squared), ours)
        parts.append(extreme(found, "ensembles before squared rankings", statistic, ahead))
    return Finding(
        together(decisive),
        f"At {top} % the ensembles reach {ours[0].min():.1%} to {ours[0].max():.1%}, "
        f"all others {rest[0].min():.1%} to {rest[0].max():.1%}.",
        parts,
    )


@claim(CLAIMS)
def r6_best_base(found: Curves) -> Finding:
    """R6: The best ensemble is built on GRAD or GB, not on IG.

    At the highest level: accuracy of the best IG-based ensemble minus that of the best other one. Supported: each
    IG-based one is behind another. Contradicted: each other one is behind one based on IG. The bounds of an ensemble's
    comparisons hold together. Intervals over test images and trainings.
    """
    top, names = found.top, found.known("remove", ENSEMBLES, found.top)
    accuracy = dict(zip(names, found.at_top("remove", names).T, strict=True))
    best = {}  # base -> draws of its best ensemble
    for base in BASES:
        draws = [own for name, own in accuracy.items() if name.endswith(base)]
        best |= {base: np.min(draws, axis=0)} if draws else {}
    theirs = [own for name, own in accuracy.items() if name.endswith("integrated_gradients")]
    rivals = [own for name, own in accuracy.items() if not name.endswith("integrated_gradients")]
    if not rivals or not theirs:
        return needs("ensembles built on IG and on GRAD or GB, at the highest level")
    statistic = f"accuracy of the best IG-based ensemble minus that of the best other one, at {top} %"
    parts = [beside(found, "GRAD or GB before IG", statistic, rivals, theirs)]
    for base, draws in best.items():
        parts.append(number(found, f"best {label(base)}-based ensemble", f"accuracy at {top} %", draws))
    winner = min(names, key=lambda name: accuracy[name][0])
    told = ", ".join(f"{label(base)} {draws[0]:.1%}" for base, draws in best.items())
    return Finding(parts[0].verdict, f"Best at {top} %: {label(winner)}. Best ensemble of each base: {told}.", parts)


@claim(CLAIMS)
def r7_keep(found: Curves) -> Finding:
    """R7: Keeping the most important inputs (KAR) separates the rankings less than removing them.

    Where as many inputs are left, at the highest level removed: spread (largest minus smallest accuracy) over the same
    rankings when the most important inputs are removed, minus that when only the most important are kept. Supported:
    above zero. Contradicted: below. The bounds of a spread hold for all pairs of rankings together. Intervals over test
    images and trainings.
    """
    names = found.known("remove", found.known("keep", RANKINGS), found.top)
    kept, removed = (set(found.shared_levels(mode, names)) for mode in ("keep", "remove"))
    top = max((level for level in removed if 100 - level in kept), default=0)
    if len(names) < 3 or not top:
        return needs(
            "three rankings with the most important inputs removed, and with as many inputs kept as that leaves"
        )
    statistic = f"spread over rankings: {top} % removed minus {100 - top} % kept"
    drawn = {mode: found.of(mode, names, [level])[:, :, 0] for mode, level in (("remove", top), ("keep", 100 - top))}
    wide, narrow = (apart([found.contrast(a - b) for a, b in combinations(own.T, 2)]) for own in drawn.values())
    ends = {mode: own[:, own[0].argmax()] - own[:, own[0].argmin()] for mode, own in drawn.items()}
    widest = found.contrast(ends["remove"] - ends["keep"])
    own = Estimate(wide[0] - narrow[0], wide[1] - narrow[2], wide[2] - narrow[1], found.n, needs=widest.lacking)
    parts = [part("removing beyond keeping", statistic, own, found.unit, rules.above, widest)]
    for level, mode in product(sorted(kept & removed), ("keep", "remove")):
        spread = np.ptp(found.of(mode, names, [level])[:, :, 0], axis=1)
        parts.append(number(found, f"{mode} {level} %", "largest minus smallest accuracy", spread))
    return Finding(
        parts[0].verdict,
        f"With {100 - top} % of the inputs left {len(names)} rankings span {100 * wide[0]:.1f} points when the most "
        f"important are removed and {100 * narrow[0]:.1f} when they are kept.",
        parts,
    )


@claim(CLAIMS, points=100 * FAR)
def r8_retraining(found: Curves) -> Finding:
    """R8: Retraining is needed: without it every ranking looks good, the random one too.

    At the highest level: Random's accuracy after retraining minus Random's, and minus every ranking's, without
    retraining. Supported: all above {points:.0f} points. Contradicted: one is below zero, by a bound that holds for
    all. Intervals over test images and trainings.
    """
    mode, top = "no_retraining_remove", found.top
    names = found.known(mode, RANKINGS, top)
    if "random" not in names or not found.known("remove", ["random"], top):
        return needs("the random ranking with and without retraining at the highest level")
    retrained, fallen = found.at_top("remove", ["random"])[:, 0], found.at_top(mode, names)
    own, rule = retrained - fallen[:, names.index("random")], partial(rules.above, least=FAR)
    statistic = f"Random's accuracy with retraining minus that without, at {top} %"
    parts = [extreme(found, "Random", statistic, own[:, None], rule, len(names))]
    if len(names) > 1:
        statistic = f"Random's accuracy with retraining minus a ranking's without, at {top} %, where it is least"
        parts.append(extreme(found, "every ranking", statistic, retrained[:, None] - fallen, rule))
    told = (
        f"At {top} % Random reaches {retrained[0]:.1%} with retraining and {retrained[0] - own[0]:.1%} without, where "
        f"{len(names)} ranking{'s' * (len(names) > 1)} reach {fallen[0].min():.1%} to {fallen[0].max():.1%}."
    )
    if len(names) == 1:
        return Finding(rules.UNDECIDED, f"{told} Undecided: needs another ranking without retraining.", parts)
    return Finding(together(parts), told, parts)


@claim(CLAIMS)
def r9_noise(found: Curves) -> Finding:
    """R9: The best estimator finds more than blurred noise, a coherent ranking that knows nothing.

    A claim of this suite (after Song et al. 2023, arXiv 2304.13836). At the highest level: accuracy of the blurred random
    ranking minus that of the best estimator. Supported: an estimator is below the noise, by a bound that holds for all.
    Contradicted: the noise is below each estimator. Intervals over test images and trainings.
    """
    names = found.known("remove", [name for name in RANKINGS if name not in CONTROLS], found.top)
    if not names or not found.known("remove", [NOISE], found.top):
        return needs("estimators and a blurred random ranking at the highest level")
    noise, ours = found.at_top("remove", [NOISE])[:, 0], found.at_top("remove", names)
    statistic, at = "accuracy of blurred noise minus", f"at {found.top} %"
    best = f"{statistic} that of the best estimator, {at}"
    parts = [beside(found, "the best estimator before blurred noise", best, ours.T, [noise])]
    order = np.argsort(ours[0], kind="stable")
    parts += [number(found, label(names[i]), f"{statistic} its, {at}", noise - ours[:, i]) for i in order]
    below = int((ours[0] < noise[0]).sum())
    return Finding(
        parts[0].verdict,
        f"At {found.top} % blurred noise leaves {noise[0]:.1%}, the best estimator ({label(names[order[0]])}) "
        f"{ours[0].min():.1%}; {below} of {len(names)} estimators leave less than the noise.",
        parts,
    )


@claim(CLAIMS, points=100 * ON_PAR)
def r10_mask(found: Curves) -> Finding:
    """R10: Retrained networks read the inputs that are left, not the shape of what is gone.

    A claim of this suite (the leak is told by Rong et al. 2022, arXiv 2202.00449). Where a classifier was trained on the
    masks alone: accuracy after retraining minus that classifier's. Supported: above {points:.0f} points for every
    ranking. Contradicted: below that for one, by a bound that holds for all: the mask alone tells as much. Intervals over
    test images and trainings.
    """
    names, levels = masked(found)
    names = [name for name in names if name in (*RANKINGS, NOISE)]
    if not names:
        return needs("classifiers that see the masks alone (`mask_estimators`)")
    alone, retrained = (found.of(mode, names, levels) for mode in (MASK, "remove"))
    rule = partial(rules.not_below, margin=-ON_PAR)  # below two points the mask tells as much
    statistic = "accuracy after retraining minus that from the mask alone, at"
    ahead = retrained - alone
    parts = [extreme(found, "least of them", f"least of: {statistic} {listed(levels)} %", ahead, rule)]
    for j, level in enumerate(levels):
        for i in np.argsort(ahead[0, :, j], kind="stable"):
            name = label(names[i]) + (f" at {level} %" if len(levels) > 1 else "")
            parts.append(number(found, name, f"{statistic} {level} %", ahead[:, i, j]))
    shares = [f"{own.min():.1%} to {own.max():.1%} at {level} %" for level, own in zip(levels, alone[0].T, strict=True)]
    leaky = int((alone[0] > found.chance + FAR).all(axis=1).sum())
    sentence = (
        f"The masks alone tell the class in {listed(shares)} of the images (chance {found.chance:.1%}); for {leaky} of "
        f"{len(names)} rankings in {100 * FAR:.0f} points more than chance{' at every level' if len(levels) > 1 else ''}."
    )
    return Finding(parts[0].verdict, sentence, parts)


LEAKING = ("R1", "R3", "R4", "R5", "R6")  # rest on accuracies after retraining alone, and can be tested at some levels
AT_TOP = ("R4", "R5", "R6")  # speak of the highest level
MASK = "mask_only_remove"


def masked(found: Curves) -> tuple[list[str], list[int]]:
    """Return the rankings with classifiers on the masks alone beside the retrained networks, and the levels of the masks."""
    levels = [level for level in found.levels if found.known(MASK, level=level)]
    if not levels:
        return [], []
    both = np.isfinite(found.of(MASK, found.estimators, levels)[0] + found.of("remove", found.estimators, levels)[0])
    return [name for name, there in zip(found.estimators, both.all(axis=1), strict=True) if there], levels


def leaks(found: Curves) -> dict[str, str]:
    """Return, of each claim whose verdict the masks decide, a sentence that says so.

    At the levels of the masks a claim is tested twice: on the accuracies as they are, and on these less what a classifier
    of the masks alone reads above chance. The latter takes off too much where masks and inputs tell the same, so the
    truth lies between. A word as measured that does not stand without the masks is put down to the leak, also where the
    claim is then undecided; one that stands only without them is not told. Masks that were not looked at where a claim
    speaks say less of it, which the sentence tells.
    """
    names, levels = masked(found)
    if not names:
        return {}
    raw, told = (found.of(mode, found.estimators, levels) for mode in ("remove", MASK))
    raw = np.where(np.isfinite(told[:1]), raw, np.nan)  # the same rankings in both
    plain = replace(found, modes={"remove": raw}, levels=tuple(levels))
    beyond = replace(plain, modes={"remove": raw - (told - found.chance)})
    sentences = {}
    for id in LEAKING:
        before, after = (CLAIMS[id].test(own).verdict for own in (plain, beyond))
        if before in rules.DECIDED and after != before:
            where = f"At {listed(levels)} %"
            where += f", not at the {found.top} % of the claim," if id in AT_TOP and levels[-1] != found.top else ""
            sentences[id] = f"{where} the leak decides: {before} as measured, {after} without what the masks tell."
    return sentences


def number(found: Curves, name: str, statistic: str, draws: Array) -> Part:
    """Make a part of draws `(1 + bootstrap,)` that only informs."""
    return part(name, statistic, found.estimate(draws), found.unit)


def extreme(
    found: Curves, name: str, statistic: str, draws: Array, rule: rules.Rule | None = None, tests: int | None = None
) -> Part:
    """Make a part of the smallest of differences `(1 + bootstrap, ...)`, all claimed to be above zero (`smallest`)."""
    leads = found.contrasts(draws)
    weakest = min(leads, key=lambda lead: lead.value - lead.half())
    return part(name, statistic, smallest(leads, found.n, tests), found.unit, rule, weakest)


def beside(found: Curves, name: str, statistic: str, ours: Sequence[Array], theirs: Sequence[Array]) -> Part:
    """Make a part of how far the best of `ours` is below the best of `theirs`, each draws `(1 + bootstrap,)`."""
    leads = [[found.contrast(other - one) for other in theirs] for one in ours]
    return part(name, statistic, best_beside(leads, found.n), found.unit, rules.above)


def everywhere(
    found: Curves, names: Sequence[str], statistic: str, draws: Array, levels: Sequence[int], tests: int, word: str
) -> list[Part]:
    """Make two parts of each row of differences `(1 + bootstrap, names, levels)`, claimed to be above zero at all levels.

    Its mean over levels supports and contradicts; its least at one level, the method's `word` level, only contradicts,
    or informs.
    """
    parts = []
    for i, name in enumerate(names):
        own = draws[:, i]
        mean, where = own.mean(axis=1)[:, None], f"{statistic}, mean over levels"
        parts.append(extreme(found, name, where, mean, rules.above, tests))
        place = int(np.argmin([lead.t if lead.variance > 0 else lead.value for lead in found.contrasts(own)]))
        where = f"{statistic}, at {levels[place]} %, where it is least for its error"
        least = extreme(found, f"{name} at its {word} level", where, own[:, place : place + 1], rules.above, tests)
        parts.append(least if least.verdict == rules.CONTRADICTED else replace(least, verdict=""))
    return parts


def over(theirs: Array, ours: Array) -> Array:
    """Return every difference of `theirs` `(1 + bootstrap, a)` and `ours` `(1 + bootstrap, b)`: `(1 + bootstrap, a, b)`."""
    return theirs[:, :, None] - ours[:, None]


def lead(found: Curves, names: Sequence[str], over: str) -> tuple[Array, list[int]]:
    """Return accuracy of `names` minus that of `over` `(1 + bootstrap, names, levels)`, and the levels they share.

    No levels when `over` was not run, or none of `names`.
    """
    levels = found.shared_levels("remove", [*names, over])
    return found.of("remove", names, levels) - found.of("remove", over, levels)[:, None], levels


def points(value: float) -> str:
    """A difference of accuracies in points: +12.3."""
    return f"{100 * value:+z.1f}"


def label(estimator: str) -> str:
    """Return the paper's row name of an estimator: SG-SQ-GRAD for smoothgrad_squared_gradient."""
    base = next((base for base in BASES if estimator.endswith(base)), "")
    form = estimator.removesuffix(base).rstrip("_")
    if base and form in FORMS:
        return f"{FORMS[form]}-{BASES[base]}"
    return BASES.get(base) or estimator.capitalize().replace("_", " ")
