"""Every claim under every usual convention: a verdict that hangs on one of several choices is none.

A metric's column `value_<convention>` holds its scores by another convention; `value` is the study's own. A specification
is one choice of each convention that a claim depends on, and `share` is how many of them give its verdict (specification
curve: Simonsohn et al. 2020, Nature Human Behaviour 4:1208).
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import product

import numpy as np
import pandas as pd

from xailib.analysis import claims, rules
from xailib.analysis.frames import Frames
from xailib.analysis.verdicts import Claim

ENOUGH = 0.75  # of the specifications must give a word for it to be the verdict (`docs/calibration.md`)
COPIES = 400  # of the bootstrap in each: they only give variances, which are exact for means
# convention -> option -> the column that holds it, by metric. In what order, no option is first.
COLUMNS: dict[str, dict[str, dict[str, str]]] = {
    "WSL box": {
        "largest component": {"localisation": "value_largest"},
        "extent of all": {"localisation": "value_extent"},
    },
    "Pointing margin": {
        "4.0 % of the side": {"pointing_game": "value_original"},
        "6.7 % of the side": {"pointing_game": "value_input"},
        "none, exact mask": {"pointing_game": "value_mask"},
    },
    "Deletion on": {"mean colour": {"deletion": "value_mean"}, "blurred image": {"deletion": "value_blur"}},
    "Insertion on": {"mean colour": {"insertion": "value_mean"}, "blurred image": {"insertion": "value_blur"}},
}
SCORES, NORMALISED, CURVES = "Scores", "_normalised", ("deletion", "insertion")
SETTINGS, IMAGES = "Method settings", "Images"
FACTS = ("finding", "verdict", "value", "low", "high", "default")


@dataclass(frozen=True)
class Option:
    """One way to do it.

    Attributes:
        name: for readers.
        default: whether it is the study's own.
        columns: metric -> column.
    """

    name: str
    default: bool
    columns: Mapping[str, str] = field(default_factory=dict)


@lru_cache(maxsize=4)
def table(frames: Frames, everything: Frames, bootstrap: int = 2000, seed: int = 0) -> pd.DataFrame:
    """Test the claims that depend on conventions under all of them: one row a claim and specification.

    Args:
        frames: the study, with the images that count.
        everything: with all images.
        bootstrap: copies; at most `COPIES` are drawn.
        seed: of the copies.

    Returns:
        finding, verdict, the first number behind it (value, low, high), `default` (the study's own conventions), and a
        column a convention with the name of the option; empty where it is not varied.
    """
    able = bool(frames.images) and bool((frames.methods["family"] != "control").any())
    tests = claims.asked(frames) if able else ()
    rows = [row for id in tests for row in tested(id, frames, everything, min(bootstrap, COPIES), seed)]
    conventions = [*COLUMNS, SCORES, SETTINGS, IMAGES]
    found = pd.DataFrame(rows, columns=[*FACTS, *conventions])
    return found.drop(columns=[name for name in conventions if found[name].isna().all()])


def tested(id: str, frames: Frames, everything: Frames, bootstrap: int, seed: int) -> list[dict[str, object]]:
    """Return the rows of one claim in `table`; none of a claim that depends on no convention."""
    rows, claim = [], claims.CLAIMS[id]
    for chosen, part in specified(frames, everything, claim) if claim.varies else ():
        found = claim.test(part, bootstrap, seed)
        first = found.parts[0].estimate if found.parts else None
        ends = (first.value, first.low, first.high) if first else (np.nan,) * 3
        row = (id, found.verdict, *ends, all(option.default for option in chosen.values()))
        rows.append(dict(zip(FACTS, row, strict=True)) | {name: option.name for name, option in chosen.items()})
    return rows


def specified(frames: Frames, everything: Frames, claim: Claim) -> Iterator[tuple[dict[str, Option], Frames]]:
    """Make the study under every specification of a claim: what was chosen where there is a choice, and the frames."""
    bases = list(_bases(frames, everything, claim.varies))
    options = _options(bases[0][1] if bases else frames, claim.varies)
    for (chosen, base), picked in product(bases, product(*options.values())):
        own = dict(zip(options, picked, strict=True))
        columns = {metric: column for option in own.values() for metric, column in option.columns.items()}
        if SCORES in own and own[SCORES].name == "normalised":
            columns |= {metric: columns.get(metric, "value") + NORMALISED for metric in CURVES}
        yield own | chosen, base.by(columns)


def agreed(words: Sequence[str]) -> tuple[str, float]:
    """Return the word that `ENOUGH` of the specifications give, else that it depends; and the commonest word's share."""
    (word, count), *_ = Counter(words).most_common()
    share = count / len(words)
    return (word if share >= ENOUGH else rules.DEPENDS), share


def counted(words: Sequence[str]) -> str:
    """Return how many specifications give which word, in a sentence."""
    told = ", ".join(f"{count} {word}" for word, count in Counter(words).most_common())
    return f"Of {len(words)} combinations of conventions: {told}."


def _options(frames: Frames, varies: Sequence[str]) -> dict[str, list[Option]]:
    """The options of each convention that the study has columns for, where there are at least two."""
    known = {metric: frames.columns_of(metric) for metric in frames.metrics.index}
    found = {}
    for name in (name for name in COLUMNS if name in varies):
        found[name] = [
            Option(option, all(_same(frames, *one) for one in columns.items()), columns)
            for option, columns in COLUMNS[name].items()
            if all(column in known.get(metric, ()) for metric, column in columns.items())
        ]
    if SCORES in varies and all("value" + NORMALISED in known.get(metric, ()) for metric in CURVES):
        found[SCORES] = [Option("raw", True), Option("normalised", False)]
    return {name: options for name, options in found.items() if len(options) > 1}


def _same(frames: Frames, metric: str, column: str) -> bool:
    rows = frames.scores[frames.scores["metric"] == metric]
    return bool(np.array_equal(rows["value"], rows[column], equal_nan=True))


def _bases(frames: Frames, everything: Frames, varies: Sequence[str]) -> Iterator[tuple[dict[str, Option], Frames]]:
    """The study with each choice of images and of the methods' settings, where there are several."""
    images = {"right by all networks": everything.only_correct(), "all": everything}
    images = {name: part for name, part in images.items() if part.images}
    if IMAGES not in varies or len({len(part.images) for part in images.values()}) < 2:
        images = {"": frames}
    several = SETTINGS in varies and frames.methods["function"].duplicated().any()
    for (name, part), second in product(images.items(), (False, True) if several else (False,)):
        chosen = {IMAGES: Option(name, len(part.images) == len(frames.images))} if name else {}
        chosen |= {SETTINGS: Option("the other" if second else "as named", not second)} if several else {}
        yield chosen, part.one_setting(second)
