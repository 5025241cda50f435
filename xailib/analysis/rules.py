"""Rules that turn a number with its interval into a verdict: supported, contradicted or undecided."""

from collections.abc import Callable

from xailib.analysis.draws import Estimate, critical_rho

SUPPORTED, CONTRADICTED, UNDECIDED = "supported", "contradicted", "undecided"
Rule = Callable[[Estimate], str]


def above(estimate: Estimate, least: float = 0.0) -> str:
    """Supported when the whole interval is above `least`, contradicted when it is below zero."""
    if estimate.low > least:
        return SUPPORTED
    return CONTRADICTED if estimate.high < 0 else UNDECIDED


def below(estimate: Estimate) -> str:
    """Supported when the whole interval is below zero, contradicted when it is above."""
    return {SUPPORTED: CONTRADICTED, CONTRADICTED: SUPPORTED}.get(above(estimate), UNDECIDED)


def not_above(estimate: Estimate, margin: float) -> str:
    """Contradicted when the interval is above zero; supported when it ends below `margin`, the least that counts."""
    if estimate.low > 0:
        return CONTRADICTED
    return SUPPORTED if estimate.high < margin else UNDECIDED


def not_below(estimate: Estimate, margin: float) -> str:
    """Contradicted when the interval is below zero; supported when it starts above minus `margin`."""
    return not_above(Estimate(-estimate.value, -estimate.high, -estimate.low), margin)


def correlated(estimate: Estimate) -> str:
    """Supported when rho passes the critical value of its n, contradicted when minus rho does."""
    critical = critical_rho(estimate.n)
    if estimate.value >= critical:
        return SUPPORTED
    return CONTRADICTED if estimate.value <= -critical else UNDECIDED
