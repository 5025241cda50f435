"""The claims about single rankings against Random and Sobel: R1 and R2 (base), R3 (Sobel), R4 (SmoothGrad)."""

from collections.abc import Callable, Sequence

import numpy as np

from xailib.analysis import verdicts
from xailib.analysis.roar_curves import Curves, Draws
from xailib.analysis.roar_rules import BASES, ON_PAR, SMOOTHGRAD, label
from xailib.analysis.statistics import Estimate
from xailib.analysis.verdicts import Finding, Part

Rule = Callable[[Estimate], str]


def part(found: Curves, name: str, statistic: str, draws: Draws, rule: Rule | None = None) -> Part:
    """Make a part of draws `(1 + bootstrap,)`; without a rule it only informs."""
    estimate = found.estimate(draws)
    return Part(name, statistic, estimate, found.unit, rule(estimate) if rule else "")


def lead(found: Curves, names: Sequence[str], over: str) -> tuple[Draws, list[int]]:
    """Return accuracy of `names` minus that of `over` `(1 + bootstrap, names, levels)`, and the levels they share.

    No levels when `over` was not run, or none of `names`.
    """
    levels = found.shared_levels("remove", [*names, over])
    return found.of("remove", names, levels) - found.of("remove", over, levels)[:, None], levels


def everywhere(found: Curves, draws: Draws) -> str:
    """Judge "above zero at every level" of differences `(1 + bootstrap, levels)`.

    Supported: the mean over levels is above zero and no level's interval is below. Contradicted: the mean is below.
    """
    verdict = verdicts.above(found.estimate(draws.mean(axis=1)))
    singles = [found.estimate(draws[:, i]) for i in range(draws.shape[1])]
    broken = any(single.high < 0 for single in singles)
    return verdicts.UNDECIDED if verdict == verdicts.SUPPORTED and broken else verdict


def points(value: float) -> str:
    """A difference of accuracies in points: +12.3."""
    return f"{100 * value:+.1f}"


def r1_base_below_random(found: Curves) -> Finding:
    """R1: the base methods are worse than Random at all levels."""
    names = found.known("remove", list(BASES), found.top)
    gaps, levels = lead(found, names, "random")
    if not names or not levels:
        return verdicts.needs("R1", "GRAD, GB or IG and the random ranking at the same levels")
    means = gaps.mean(axis=2)
    parts = [part(found, "the best of them", "least mean gap to Random over levels", means.min(axis=1), verdicts.above)]
    for i, name in enumerate(names):
        estimate = found.estimate(means[:, i])
        verdict = everywhere(found, gaps[:, i])
        parts.append(Part(label(name), "accuracy minus Random's, mean over levels", estimate, found.unit, verdict))
        lowest = gaps[0, i].argmin()
        where = f"smallest of the gaps to Random, at {levels[lowest]} %"
        parts.append(part(found, f"{label(name)} at its best level", where, gaps[:, i, lowest]))
    told = ", ".join(f"{label(name)} {points(means[0, i])}" for i, name in enumerate(names))
    below = int((gaps[0] < 0).sum())
    return Finding(
        "R1", verdicts.together([p.verdict for p in parts[1::2]]),
        f"Points above Random's accuracy, mean over levels: {told}; below Random in {below} of {gaps[0].size} cells.",
        parts,
    )  # fmt: skip


def r2_widest_at_top(found: Curves) -> Finding:
    """R2: the gap of the base methods to Random is widest at the highest level."""
    names = found.known("remove", list(BASES), found.top)
    gaps, levels = lead(found, names, "random")
    if not names or len(levels) < 2:
        return verdicts.needs("R2", "GRAD, GB or IG and the random ranking at two levels or more")
    wider = gaps[:, :, -1:] - gaps[:, :, :-1]
    mean = wider.mean(axis=1)
    statistic = f"gap to Random at {levels[-1]} % minus the widest at a lower level, mean of the methods"
    parts = [part(found, "the methods together", statistic, mean.min(axis=1), verdicts.above)]
    singles = [
        part(
            found,
            f"beyond {level} %",
            f"mean gap at {levels[-1]} % minus that at {level} %",
            mean[:, i],
            verdicts.above,
        )
        for i, level in enumerate(levels[:-1])
    ]
    for i, name in enumerate(names):
        own = wider[:, i].min(axis=1)
        parts.append(part(found, label(name), "the same for this method alone", own))
    told = ", ".join(f"{points(gap)} at {level} %" for level, gap in zip(levels, gaps[0].mean(axis=0), strict=True))
    return Finding(
        "R2", verdicts.together([single.verdict for single in singles]),
        f"Mean gap of {', '.join(map(label, names))} to Random in points: {told}.",
        [*parts, *singles],
    )  # fmt: skip


def r3_sobel(found: Curves) -> Finding:
    """R3: the base methods are on par with or worse than Sobel."""
    names = found.known("remove", list(BASES), found.top)
    gaps, levels = lead(found, names, "sobel")
    if not names or not levels:
        return verdicts.needs("R3", "GRAD, GB or IG and the Sobel ranking at the same levels")
    better = -gaps.mean(axis=2)
    statistic = "Sobel's accuracy minus the method's, mean over levels"

    def rule(estimate: Estimate) -> str:
        return verdicts.not_above(estimate, ON_PAR)

    parts = [part(found, "the best of them", "largest lead over Sobel, mean over levels", better.max(axis=1), rule)]
    parts += [part(found, label(name), statistic, better[:, i], rule) for i, name in enumerate(names)]
    for i, name in enumerate(names):
        top = f"Sobel's accuracy minus the method's, at {levels[-1]} %"
        parts.append(part(found, f"{label(name)} at the highest level", top, -gaps[:, i, -1]))
    told = ", ".join(f"{label(name)} {points(-better[0, i])}" for i, name in enumerate(names))
    decisive = [p.verdict for p in parts[1 : 1 + len(names)]]
    return Finding(
        "R3", verdicts.together(decisive), f"Points above Sobel's accuracy, mean over levels: {told}.", parts
    )


def r4_smoothgrad(found: Curves) -> Finding:
    """R4: SmoothGrad is worse than Random, and than the single estimate for GRAD and IG."""
    names = found.known("remove", SMOOTHGRAD, found.top)
    if not names or not found.known("remove", ["random"], found.top):
        return verdicts.needs("R4", "SmoothGrad rankings and the random ranking at the highest level")
    singles = found.known("remove", ["gradient", "integrated_gradients"], found.top)
    pairs = [(name, "random") for name in names]
    pairs += [(f"smoothgrad_{base}", base) for base in singles if f"smoothgrad_{base}" in names]
    gaps = {f"{label(a)} minus {label(b)}": lead(found, [a], b)[0][:, 0] for a, b in pairs}
    at = f"at {found.top} %"
    least = np.min([gap[:, -1] for gap in gaps.values()], axis=0)
    parts = [part(found, "least of these", f"least of the differences {at}", least, verdicts.above)]
    for name, gap in gaps.items():
        parts.append(part(found, name, f"difference of accuracies {at}", gap[:, -1], verdicts.above))
    for name, gap in gaps.items():
        parts.append(part(found, f"{name}, all levels", "mean over levels", gap.mean(axis=1)))
    told = ", ".join(f"{p.name} {points(p.estimate.value)}" for p in parts[1 : 1 + len(pairs)])
    return Finding(
        "R4", verdicts.together([p.verdict for p in parts[1 : 1 + len(pairs)]]),
        f"Points {at}: {told}.",
        parts,
    )  # fmt: skip
