"""What a study says about claims: words, rule and test of a claim, the numbers a finding rests on, and their table."""

import inspect
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from xailib.analysis.intervals import Contrast, Estimate
from xailib.analysis.rules import CONTRADICTED, EQUIVALENT, SUPPORTED, UNDECIDED, Rule, above, below

COLUMNS = ("finding", "part", "verdict", "statistic", "value", "low", "high", "p", "n", "unit", "needs", "claimed")


@dataclass(frozen=True)
class Part:
    """One number that a finding rests on, and what it says by itself.

    Attributes:
        name: what was compared.
        statistic: what the number is, with its unit and sign.
        estimate: value, 95 % interval, n, p, and what would decide it.
        unit: what n counts.
        verdict: supported, contradicted, equivalent, undecided, or empty for a number that only informs.
        claimed: the side of zero on which a number supports the claim: 1 above, -1 below, 0 for one that only informs.
    """

    name: str
    statistic: str
    estimate: Estimate
    unit: str
    verdict: str = ""
    claimed: int = 0


def part(
    name: str,
    statistic: str,
    estimate: Estimate,
    unit: str,
    rule: Rule | None = None,
    weakest: Contrast | None = None,
) -> Part:
    """Make a part whose verdict a rule gives; without one it only informs.

    What an estimate needs takes zero out of its interval, which decides by `above` and `below` alone. What else would
    decide an undecided one is told by `open_by`, from `weakest`, the difference that its interval rests on.
    """
    if rule is None:
        return Part(name, statistic, estimate, unit)
    claimed, verdict = 1 if rule(Estimate(math.inf, math.inf, math.inf)) == SUPPORTED else -1, rule(estimate)
    if verdict == UNDECIDED and not (estimate.needs and rule in (above, below)):
        estimate = replace(estimate, needs=open_by(rule, estimate, unit, weakest) or estimate.needs)
    return Part(name, statistic, estimate, unit, verdict, claimed)


def open_by(rule: Rule, estimate: Estimate, unit: str, weakest: Contrast | None = None) -> str:
    """Say what would decide a number that its rule leaves open: by how much its interval must narrow around it."""
    if not math.isfinite(estimate.high - estimate.low):
        return ""

    def word(share: float) -> str:
        """The rule's word where the interval has this share of its width."""
        ends = (estimate.value + share * (end - estimate.value) for end in (estimate.low, estimate.high))
        return rule(Estimate(estimate.value, *ends))

    if word(0.0) == UNDECIDED:
        return f"another number: more {unit} leave one of this size between what counts and its opposite"
    enough, much = 0.0, 1.0
    while much - enough > 1e-3:
        middle = (enough + much) / 2
        enough, much = (enough, middle) if word(middle) == UNDECIDED else (middle, much)
    enough = max(enough, 1e-3)
    told = weakest.narrowed(enough) if weakest else ""
    return told or f"about {1 / enough**2:,.1f} times as many {unit}, if the number stays"


def together(parts: Iterable[Part], equivalent: str = EQUIVALENT) -> str:
    """Contradicted by any contradicted part; supported when every part with a verdict is; else undecided.

    A part whose difference is nil makes the whole so too, or counts as supported where the claim says "no better".
    """
    words = {equivalent if one.verdict == EQUIVALENT else one.verdict for one in parts if one.verdict}
    for word in (CONTRADICTED, EQUIVALENT, UNDECIDED):
        if word in words:
            return word
    return SUPPORTED if words else UNDECIDED


@dataclass(frozen=True)
class Finding:
    """What a study says about a claim: the verdict, one sentence, and the numbers, the one to be shown first."""

    verdict: str
    sentence: str
    parts: Sequence[Part] = ()

    @property
    def lead(self) -> Part | None:
        """The number shown first: the one that contradicts the claim, else the first."""
        against = [part for part in self.parts if self.verdict == part.verdict == CONTRADICTED]
        return next(iter([*against, *self.parts]), None)


def needs(what: str) -> Finding:
    """Return the verdict on a claim that the study cannot speak to."""
    return Finding(UNDECIDED, f"Undecided: needs {what}.")


@dataclass(frozen=True)
class Claim:
    """One claim: its words, how it gets its verdict, the function that tests it, over which conventions, of which studies."""

    text: str
    rule: str
    test: Callable[..., Finding]
    varies: tuple[str, ...] = ()
    asked: Callable[..., bool] = lambda _: True


def claim(
    claims: dict[str, Claim],
    varies: Sequence[str] = (),
    asked: Callable[..., bool] = Claim.asked,
    **numbers: float,
) -> Callable[[Callable], Callable]:
    """Decorate the test of a claim, so that `claims` knows it.

    The test's docstring holds the words that readers see: the id and the claim ("F1: ..."), a blank line, and the rule of
    its verdict, where `{margin}` stands for one of `numbers`. `varies` are the conventions that it is tested under, `asked`
    says of which studies; the papers' claims are asked of all.
    """

    def known(test: Callable[..., Finding]) -> Callable[..., Finding]:
        head, rule = (" ".join(text.split()) for text in inspect.getdoc(test).split("\n\n"))
        id, text = head.split(": ", 1)
        claims[id] = Claim(text, rule.format(**numbers), test, tuple(varies), asked)
        return test

    return known


def examine(claims: Mapping[str, Claim], *evidence: Any) -> pd.DataFrame:
    """Test claims on a study: a headline row each, followed by a row for each of its parts."""
    return table(claims, {id: claim.test(*evidence) for id, claim in claims.items()})


def undecided(claims: Mapping[str, Claim], lacking: str) -> pd.DataFrame:
    """Return the table of a study that no claim can be tested on."""
    return table(claims, {id: needs(lacking) for id in claims}).drop(columns="lead")


def table(claims: Mapping[str, Claim], findings: Mapping[str, Finding]) -> pd.DataFrame:
    """Return findings as one frame: a headline row each, with the claim's words, followed by its parts.

    A headline shows the number of the part called `lead`, and as `needs` what would decide the parts that are not.
    """
    rows = []
    for id, found in findings.items():
        lead = found.lead or Part("", "", Estimate(math.nan), "")
        words = {"claim": claims[id].text, "sentence": found.sentence, "rule": claims[id].rule}
        more: dict[str, str] = {}
        for one in found.parts if found.verdict == UNDECIDED else ():
            if one.verdict == UNDECIDED and one.estimate.needs:
                more.setdefault(one.estimate.needs, one.name)
        told = "; ".join(f"{name}: {what}" for what, name in more.items())
        rows.append(_row(id, "headline", lead, found.verdict) | words | {"needs": told, "lead": lead.name})
        rows += [_row(id, one.name, one, one.verdict) for one in found.parts]
    return pd.DataFrame(rows, columns=[*COLUMNS, "claim", "sentence", "rule", "lead"])


def _row(id: str, name: str, part: Part, verdict: str) -> dict[str, Any]:
    found = part.estimate
    values = (id, name, verdict, part.statistic, found.value, found.low, found.high, found.p, found.n, part.unit)
    values += (found.needs if verdict in ("", UNDECIDED) else "", part.claimed)
    return dict(zip(COLUMNS, values, strict=True))
