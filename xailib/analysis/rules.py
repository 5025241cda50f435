"""Rules that turn a number with its interval into a verdict: supported, contradicted, equivalent or undecided.

An interval must be strictly beyond the value in question; one that is not known decides nothing.
"""

from collections.abc import Callable

from xailib.analysis.draws import Estimate

SUPPORTED, CONTRADICTED, UNDECIDED = "supported", "contradicted", "undecided"
EQUIVALENT = "equivalent"  # the difference is inside the margin that counts, on both sides
DEPENDS = "depends on the convention"  # decides nothing: too few of the usual conventions give one word
DECIDED = (SUPPORTED, CONTRADICTED, EQUIVALENT)
COLOURS = {  # of marks and words: 4.5:1 on white; marks 3:1 on the report's dark page
    SUPPORTED: "#00855f", CONTRADICTED: "#c24e00", EQUIVALENT: "#1f74bd", DEPENDS: "#8a6d00", UNDECIDED: "#6b7480",
}  # fmt: skip
Rule = Callable[[Estimate], str]


def above(estimate: Estimate, least: float = 0.0, margin: float = 0.0) -> str:
    """Supported when the whole interval is above `least`, contradicted when it is below zero.

    Equivalent when it is inside `margin`, below which a difference counts as none.
    """
    if -margin < estimate.low and estimate.high < margin:
        return EQUIVALENT
    if estimate.high < 0:
        return CONTRADICTED
    return SUPPORTED if estimate.low > least else UNDECIDED


def below(estimate: Estimate) -> str:
    """Supported when the whole interval is below zero, contradicted when it is above."""
    return above(-estimate)


def not_above(estimate: Estimate, margin: float) -> str:
    """Supported when the interval ends below `margin`, the least that counts; contradicted when it starts above it.

    Equivalent when it also starts above minus `margin`: no better and no worse.
    """
    if estimate.low > margin:
        return CONTRADICTED
    if estimate.high < margin:
        return EQUIVALENT if estimate.low > -margin else SUPPORTED
    return UNDECIDED


def not_below(estimate: Estimate, margin: float) -> str:
    """Supported when the interval starts above minus `margin`, contradicted when it ends below it."""
    return not_above(-estimate, margin)
