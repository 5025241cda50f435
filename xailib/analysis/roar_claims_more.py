"""The claims about ensembles, keeping and retraining: R5 (best), R6 (which base), R7 (KAR), R8 (retraining)."""

from xailib.analysis import verdicts
from xailib.analysis.roar_claims import everywhere, lead, part
from xailib.analysis.roar_curves import Curves, Draws
from xailib.analysis.roar_rules import BASES, CONTROLS, ENSEMBLES, FAR, RANKINGS, SMOOTHGRAD, SQUARED, label
from xailib.analysis.statistics import Estimate
from xailib.analysis.verdicts import Finding, Part


def far_above(estimate: Estimate) -> str:
    """Supported when the interval is above ten points of accuracy, contradicted when it is below zero."""
    if estimate.low > FAR:
        return verdicts.SUPPORTED
    return verdicts.CONTRADICTED if estimate.high < 0 else verdicts.UNDECIDED


def r5_ensembles(found: Curves) -> Finding:
    """R5: SmoothGrad-Squared and VarGrad are better than everything else by far."""
    names = found.known("remove", ENSEMBLES, found.top)
    others = found.known("remove", [*BASES, *SMOOTHGRAD, *CONTROLS], found.top)
    if not names or not set(CONTROLS) <= set(others):
        return verdicts.needs("R5", "SmoothGrad-Squared or VarGrad, Random and Sobel at the highest level")
    top = found.top
    worst, rest = (found.of("remove", group, [top])[:, :, 0] for group in (names, others))
    ahead = rest.min(axis=1) - worst.max(axis=1)
    statistic = f"accuracy of the best other ranking minus that of the worst ensemble, at {top} %"
    parts = [part(found, "ensembles before all others", statistic, ahead, far_above)]
    for control in CONTROLS:
        gaps = -lead(found, names, control)[0]
        for i, name in enumerate(names):
            estimate = found.estimate(gaps[:, i].mean(axis=1))
            statistic = f"{label(control)}'s accuracy minus the ensemble's, mean over levels"
            verdict = everywhere(found, gaps[:, i])
            parts.append(Part(f"{label(name)} before {label(control)}", statistic, estimate, found.unit, verdict))
    decisive = [p.verdict for p in parts]
    squared = found.known("remove", SQUARED, top)
    if squared:
        gap = found.of("remove", squared, [top])[:, :, 0].min(axis=1) - worst.max(axis=1)
        statistic = f"accuracy of the best squared ranking minus that of the worst ensemble, at {top} %"
        parts.append(part(found, "ensembles before squared rankings", statistic, gap))
    return Finding(
        "R5", verdicts.together(decisive),
        f"At {top} % the ensembles reach {worst[0].min():.1%} to {worst[0].max():.1%}, "
        f"all others {rest[0].min():.1%} to {rest[0].max():.1%}.",
        parts,
    )  # fmt: skip


def r6_best_base(found: Curves) -> Finding:
    """R6: the best ensemble is built on GRAD or GB, never on IG."""
    names = found.known("remove", ENSEMBLES, found.top)
    groups = {base: [name for name in names if name.endswith(base)] for base in BASES}
    rivals = [*groups["gradient"], *groups["guided_backprop"]]
    if not groups["integrated_gradients"] or not rivals:
        return verdicts.needs("R6", "ensembles built on IG and on GRAD or GB, at the highest level")
    top = found.top
    best = {base: found.of("remove", group, [top])[:, :, 0].min(axis=1) for base, group in groups.items() if group}
    ours = found.of("remove", rivals, [top])[:, :, 0].min(axis=1)
    statistic = f"accuracy of the best IG-based ensemble minus that of the best other one, at {top} %"
    parts = [part(found, "GRAD or GB before IG", statistic, best["integrated_gradients"] - ours, verdicts.above)]
    for base, draws in best.items():
        parts.append(part(found, f"best {label(base)}-based ensemble", f"accuracy at {top} %", draws))
    values = dict(zip(names, found.of("remove", names, [top])[0, :, 0], strict=True))
    winner = min(values, key=values.__getitem__)
    told = ", ".join(f"{label(base)} {draws[0]:.1%}" for base, draws in best.items())
    return Finding(
        "R6", parts[0].verdict, f"Best at {top} %: {label(winner)}. Best ensemble of each base: {told}.", parts
    )


def r7_keep(found: Curves) -> Finding:
    """R7: keeping the most important inputs separates the rankings less than removing them."""
    names = found.known("remove", found.known("keep", RANKINGS, found.top), found.top)
    if len(names) < 3:
        return verdicts.needs("R7", "at least three rankings with the most important inputs both removed and kept")
    levels = [level for level in found.shared_levels("keep", names) if level in found.shared_levels("remove", names)]
    top = found.top
    removed, kept = (_spread(found.of(mode, names, levels)) for mode in ("remove", "keep"))
    statistic = f"spread over rankings at {top} %: removing minus keeping"
    parts = [part(found, "removing beyond keeping", statistic, removed[:, -1] - kept[:, -1], verdicts.above)]
    for i, level in enumerate(levels):
        parts.append(part(found, f"keep {level} %", "largest minus smallest accuracy", kept[:, i]))
        parts.append(part(found, f"remove {level} %", "largest minus smallest accuracy", removed[:, i]))
    return Finding(
        "R7", parts[0].verdict,
        f"At {top} % {len(names)} rankings span {100 * kept[0, -1]:.1f} points when kept and "
        f"{100 * removed[0, -1]:.1f} when removed.",
        parts,
    )  # fmt: skip


def r8_retraining(found: Curves) -> Finding:
    """R8: without retraining all rankings look good, Random included."""
    mode = "no_retraining_remove"
    names, top = found.known(mode, RANKINGS, found.top), found.top
    if "random" not in names or not found.known("remove", ["random"], top):
        return verdicts.needs("R8", "the random ranking with and without retraining at the highest level")
    retrained = found.of("remove", "random", [top])[:, 0]
    fallen = found.of(mode, names, [top])[:, :, 0]
    own = retrained - fallen[:, names.index("random")]
    statistic = f"Random's accuracy with retraining minus that without, at {top} %"
    parts = [part(found, "Random", statistic, own, far_above)]
    if len(names) > 1:
        statistic = f"Random's accuracy with retraining minus a ranking's without, at {top} %, where it is least"
        parts.append(part(found, "every ranking", statistic, retrained - fallen.max(axis=1), far_above))
    return Finding(
        "R8", verdicts.together([p.verdict for p in parts]) if len(names) > 1 else verdicts.UNDECIDED,
        f"At {top} % Random reaches {retrained[0]:.1%} with retraining and {retrained[0] - own[0]:.1%} without, where "
        f"{len(names)} ranking{'s' * (len(names) > 1)} reach {fallen[0].min():.1%} to {fallen[0].max():.1%}.",
        parts,
    )  # fmt: skip


def _spread(draws: Draws) -> Draws:
    """Return largest minus smallest accuracy over rankings: `(1 + bootstrap, levels)`."""
    return draws.max(axis=1) - draws.min(axis=1)
