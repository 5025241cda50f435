"""How a claim becomes a verdict: parts with estimates, rules that turn intervals into words."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from xailib.analysis import claims, roar_rules, statistics
from xailib.analysis.claims import FEWEST_UNITS
from xailib.analysis.scores import Array
from xailib.analysis.statistics import Estimate

CLAIMS = {**claims.CLAIMS, **roar_rules.CLAIMS}
RULES = {**claims.RULES, **roar_rules.RULES}
SUPPORTED, CONTRADICTED, UNDECIDED = "supported", "contradicted", "undecided"


@dataclass(frozen=True)
class Part:
    """One number that a finding rests on, and what it says by itself.

    Attributes:
        name: what was compared.
        statistic: what the number is, with its unit and sign.
        estimate: value, 95 % interval, n, p.
        unit: what n counts.
        verdict: supported, contradicted, undecided, or empty for a number that only informs.
    """

    name: str
    statistic: str
    estimate: Estimate
    unit: str
    verdict: str = ""


@dataclass(frozen=True)
class Finding:
    """One claim of the paper with what this study says about it."""

    id: str
    verdict: str
    sentence: str
    parts: Sequence[Part] = field(default_factory=tuple)

    def rows(self) -> list[dict[str, object]]:
        """Return the headline row, then one row a part."""
        lead = self.parts[0] if self.parts else Part("", "", Estimate(math.nan), "")
        headline = _row(self.id, "headline", lead, self.verdict)
        headline |= {"claim": CLAIMS[self.id], "sentence": self.sentence, "rule": RULES[self.id]}
        return [headline, *(_row(self.id, part.name, part, part.verdict) for part in self.parts)]


def _row(id: str, name: str, part: Part, verdict: str) -> dict[str, object]:
    found = part.estimate
    return {"finding": id, "part": name, "verdict": verdict, "statistic": part.statistic, "value": found.value,
            "low": found.low, "high": found.high, "p": found.p, "n": found.n, "unit": part.unit}  # fmt: skip


def table(findings: Sequence[Finding]) -> pd.DataFrame:
    """Return all findings as one frame: a headline row each, followed by its parts."""
    columns = [
        "finding",
        "part",
        "verdict",
        "statistic",
        "value",
        "low",
        "high",
        "p",
        "n",
        "unit",
        "claim",
        "sentence",
        "rule",
    ]
    return pd.DataFrame([row for finding in findings for row in finding.rows()], columns=columns)


def needs(id: str, what: str) -> Finding:
    """Return the verdict on a claim that the study cannot speak to."""
    return Finding(id, UNDECIDED, f"Undecided: needs {what}.")


def above(estimate: Estimate) -> str:
    """Supported when the whole interval is above zero, contradicted when it is below."""
    if estimate.low > 0:
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


def correlated(estimate: Estimate) -> str:
    """Supported when rho passes the critical value of its n, contradicted when minus rho does."""
    critical = statistics.critical_rho(estimate.n)
    if estimate.value >= critical:
        return SUPPORTED
    return CONTRADICTED if estimate.value <= -critical else UNDECIDED


def together(parts: Sequence[str]) -> str:
    """Contradicted by any contradicted part; supported when every part is; else undecided."""
    if CONTRADICTED in parts:
        return CONTRADICTED
    return SUPPORTED if parts and set(parts) == {SUPPORTED} else UNDECIDED


def over_units(values: Array, samples: Array, seed: int) -> Estimate:
    """Return the mean over units with an interval over units and images.

    Args:
        values: `(units,)`, such as robust-minus-vanilla differences of architectures; NaN units are left out.
        samples: `(resamples, units)`: the same over bootstrap copies of the images.

    Below five units there is no interval: even if all of them agreed, chance would do as well more than once in twenty.
    """
    known = np.isfinite(values)
    values, samples = values[known], samples[:, known]
    n = len(values)
    if n == 0:
        return Estimate(math.nan)
    if n < FEWEST_UNITS:
        return Estimate(float(values.mean()), n=n, p=statistics.sign_flip_p(values, seed))
    copies = np.take_along_axis(samples, statistics.draws(n, len(samples), seed), axis=1).mean(axis=1)
    value = float(values.mean())
    return Estimate(value, *statistics.t_interval(value, copies, n), n=n, p=statistics.sign_flip_p(values, seed))


def over_images(value: float, samples: Array, n: int) -> Estimate:
    """Return a number with its interval over images alone: a statement about these very networks."""
    return Estimate(float(value), *statistics.interval(samples), n=n)
