"""What a comparison of methods says: the table of the methods, and one paragraph that says which to trust, and how sure it is."""

import math
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass

import numpy as np
import pandas as pd

from xailib.analysis import compare, reliability, scores
from xailib.analysis.compare import COUNTS, LEVEL
from xailib.analysis.draws import nanmean
from xailib.analysis.facts import listed, literal
from xailib.analysis.frames import Frames
from xailib.analysis.table import Table
from xailib.analysis.tables import arrowed

Won = Set[tuple[str, str]]  # `compare.won`


@dataclass(frozen=True)
class Advice:
    """What a study says of the methods on one network.

    Attributes:
        winner: id of the one method that is ahead of all others; empty where there is none.
        leaders: ids of the first method and of those that it is not seen to be ahead of; none where nothing is recommended.
        text: one paragraph of Markdown.
    """

    winner: str
    leaders: tuple[str, ...]
    text: str


def advise(frames: Frames, costs: pd.DataFrame | None = None) -> Advice:
    """Return what can be recommended on one network, and how sure that is.

    Leaders are the first of the ranking, and those that it is not seen to be ahead of (`compare.won`). Methods that fail
    the sanity check are not recommended, and nothing is where the first is not ahead of every control on some metric that
    counts. So where all methods are alike, a single one is named in at most 5 % of studies, which a test holds this rule
    to.

    Args:
        frames: of one network.
        costs: of its methods, see `compare.costs`.
    """
    judges, ranking = compare.judges(frames), compare.ranking(frames)
    fails = compare.checked(frames)["fails"].reindex(compare.compared(frames))
    failing = set(fails.index[fails.fillna(False)])
    unchecked = list(fails.index[fails.isna()])
    standing = [name for name in ranking.dropna(subset="rank")["method"] if name not in failing]
    ahead = compare.beaten(frames)[list(judges.index[judges["word"] == COUNTS])].any(axis=1)
    ahead |= not compare.compared(frames, controls=True)
    sane = "does not fail" if set(unchecked) & set(standing) else "passes"
    sane = f" that {sane} the sanity check" if failing else ""
    facts = [_failed(frames, failing), _unchecked(frames, unchecked), *_silent(frames, judges)]
    facts += [_too_few(len(frames.images), len(ranking))]
    lacking = _lacking(frames, judges, standing, ahead)
    if lacking:
        return Advice("", (), _paragraph(f"On **{_network(frames)}** nothing can be recommended: {lacking}.", *facts))
    p = compare.apart(frames)
    won = compare.won(frames)
    leaders = tuple(name for name in standing if (standing[0], name) not in won)
    sentences = [
        _leading(frames, leaders, p.loc[leaders[0], standing], won, sane) + _behind(frames, leaders, list(p), won),
        _beaten(frames, leaders, standing, won),
        _how_sure(frames, leaders, list(judges.loc[judges["word"] == COUNTS, "label"])),
        _no_better_than_controls(frames, [name for name in leaders if not ahead[name]]),
        _by_chance(frames, leaders),
        _cost(frames, leaders, costs),
        _at_odds(frames),
    ]
    return Advice(leaders[0] if len(leaders) == 1 else "", leaders, _paragraph(*sentences, *facts))


def recommend(networks: Mapping[str, Frames], costs: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Return what `advise` says of each network: index model; winner, leaders (separated by spaces), text."""
    found = {model: advise(network, costs.get(model)) for model, network in networks.items()}
    rows = [(one.winner, " ".join(one.leaders), one.text) for one in found.values()]
    return pd.DataFrame(rows, pd.Index(found, name="model"), ["winner", "leaders", "text"])


def summary(frames: Frames, costs: pd.DataFrame | None = None, bootstrap: int = 2000, seed: int = 0) -> Table:
    """Return one network's methods from the best, then its controls: rank, means, controls beaten, repeats, sanity, cost."""
    judges, ranking = compare.judges(frames), compare.ranking(frames, bootstrap, seed).set_index("method")
    order = [*ranking.index, *compare.compared(frames, controls=True)]
    data = scores.cube(frames, controls=True).at(method=order)
    means = pd.DataFrame(nanmean(data.values[0], -1), order, data.axes["metric"])
    counting = list(judges.index[judges["word"] == COUNTS])
    beaten = compare.beaten(frames)[counting].sum(axis=1)
    # Reindexed, as there are none where no image counts.
    repeats = reliability.by_network(frames).set_index("method")["correlation"].reindex(order)
    checked = compare.checked(frames).reindex(order)
    plain = ranking[["rank", "low", "high", "n"]].reindex(order).join(means).rename_axis("method")
    plain = plain.assign(controls_beaten=beaten, repeats=repeats, sanity=checked["last"], fails=checked["fails"])
    plain = plain.join(costs) if costs is not None else plain
    shown = {"Rank": plain["rank"], "95 %": [_interval(*ends) for ends in plain[["low", "high"]].to_numpy()]}
    for metric, facts in frames.metrics.iterrows():
        word = judges["word"].get(metric, COUNTS)
        shown[arrowed(facts["label"], facts["better"]) + f" ({word})" * (word != COUNTS)] = means[metric]
    shown["Beats controls"] = [f"{n:.0f} of {len(counting)}" if n == n else "-" for n in plain["controls_beaten"]]
    shown |= {"Repeats": plain["repeats"], "Sanity": [_sanity(*row) for row in plain[["sanity", "fails"]].to_numpy()]}
    if costs is not None:
        passes = [_passes(*row) for row in plain[["forward", "backward"]].to_numpy()]
        shown |= {"Seconds an image": plain["seconds"], "Passes forward + back": passes}
    labels = frames.methods["label"]
    quiet = tuple(labels[compare.compared(frames, controls=True)])
    caption = f"The methods on {frames.models['label'].iloc[0]}, from the best (n = {len(frames.images)} images)"
    frame = pd.DataFrame(shown, order).set_axis(labels[order]).rename_axis("Method")
    return Table(frame, caption, quiet=quiet, plain=plain.reset_index())


def said(p: float) -> str:
    """Write a p value."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.{3 if p < 0.1 else 2}f}"


def _or_more(p: pd.Series) -> str:
    return f"({said(p.min())}{' or more' * (p.nunique() > 1)})"


def _lacking(frames: Frames, judges: pd.DataFrame, standing: list[str], ahead: pd.Series) -> str:
    """Why nothing can be recommended; empty where something can."""
    if len(compare.compared(frames)) < 2 or len(frames.images) < 2:
        return "a comparison needs two methods and two images at least"
    if not (judges["word"] == COUNTS).any():
        return "no metric can tell a method from a map that ignores the network"
    if not standing:
        return "every method fails the sanity check"
    if not ahead[standing[0]]:
        return (
            f"{_labels(frames, standing[:1])} ranks first, but is not seen to be ahead of every control on any metric"
        )
    return ""


def _leading(frames: Frames, leaders: Sequence[str], p: pd.Series, won: Won, sane: str) -> str:
    """The words on the leaders, without a full stop; `p` of the first and each method that may lead."""
    first, rest = f"**{_labels(frames, leaders[:1])}**", list(leaders[1:])
    on, before = f"On **{_network(frames)}**", [name for name in rest if (name, leaders[0]) in won]
    alike = [name for name in rest if name not in before]
    if before:
        verb = "is" if len(before) == 1 else "are"
        less = f"({said(p[before].max())}{' or less' * (p[before].nunique() > 1)})"
        text = f"{on}, {first} ranks first, but **{_labels(frames, before)}** {verb} ahead of it where both have scores {less}"
        return text + (f"; {_labels(frames, alike)} cannot be told apart from it {_or_more(p[alike])}" if alike else "")
    if len(rest) == 1:
        return f"{on}, {first} and **{_labels(frames, rest)}** cannot be told apart ({said(p[rest[0]])})"
    if rest:
        p_of_all = _or_more(p[rest])
        if len(rest) == len(p) - 1:
            return f"{on} no method can be preferred: {first} ranks first, but no other can be told apart from it {p_of_all}"
        return f"{on}, {first} ranks first, but {_labels(frames, rest)} cannot be told apart from it {p_of_all}"
    if len(p) == 1:
        return f"{on}, {first} is the only method{sane}"
    most = p.drop(leaders[0]).max()
    several = " or less" if most >= 0.001 and len(p) > 2 else ""
    return f"{on}, {first} is ahead of every other method{sane} ({said(most)}{several})"


def _behind(frames: Frames, leaders: Sequence[str], methods: Sequence[str], won: Won) -> str:
    """Whom all leaders are ahead of, and whom the first of them alone is; `methods` from the best."""
    if len(leaders) == 1:
        return "."
    later = [name for name in methods if (leaders[0], name) in won]
    shared = [name for name in later if all((leader, name) in won for leader in leaders)]
    own = [name for name in later if name not in shared]
    text = (
        f"; {'both are' if len(leaders) == 2 else 'each of them is'} ahead of {_labels(frames, shared)}"
        if shared
        else ""
    )
    return text + (f"; {_labels(frames, leaders[:1])} is ahead of {_labels(frames, own)}." if own else ".")


def _beaten(frames: Frames, leaders: Sequence[str], standing: Sequence[str], won: Won) -> str:
    """Which leaders after the first are themselves behind a method, by a test that the first one's does not pass."""
    behind = {name: [other for other in standing if (other, name) in won] for name in leaders[1:]}
    told = [
        f"{_labels(frames, [name])} is itself behind {_labels(frames, found)}"
        for name, found in behind.items()
        if found
    ]
    return f"{'; '.join(told)}." if told else ""


def _how_sure(frames: Frames, leaders: Sequence[str], metrics: Sequence[str]) -> str:
    """What the ranks are by, on how many images, and how many would decide between the leaders."""
    text, (first, *rest) = f"Ranked by {listed(map(literal, metrics))}, n = {len(frames.images)} images", leaders
    if not rest:
        return f"{text}."
    table = compare.overall(frames)
    both = pd.concat([table, table.rename(columns={"first": "second", "second": "first"})])
    more = both[both["first"] == first].set_index("second")["more"][rest].dropna()  # of those that are not told apart
    if more.empty:
        return f"{text}."
    nearest, most = more.idxmin(), more.max()
    if math.isinf(more[nearest]):
        return f"{text}; no practical number of images would decide between them."
    if len(rest) == 1:
        return f"{text}; about {most:,.0f} more would decide between them, if the difference stays."
    if len(more) == 1:
        return f"{text}; about {most:,.0f} more would tell {_labels(frames, [first, nearest])} apart, if the difference stays."
    every = "no practical number" if math.isinf(most) else f"about {most:,.0f}"
    near = f"about {more[nearest]:,.0f} more would tell {_labels(frames, [first, nearest])} apart"
    return f"{text}; {near}, {every} would decide between all, if the differences stay."


def _no_better_than_controls(frames: Frames, names: list[str]) -> str:
    verb = "is" if len(names) == 1 else "are"
    return f"{_labels(frames, names)} {verb} not seen to be ahead of every control on any metric." if names else ""


def _by_chance(frames: Frames, leaders: Sequence[str]) -> str:
    """Which leaders change with the seed."""
    table = reliability.by_network(frames).set_index("method")["correlation"]
    names = [name for name in leaders if table.get(name, 1.0) < reliability.RELIABLE]
    if not names:
        return ""
    least = f"rank correlation {table[names].min():z.2f} under two seeds"
    return f"Maps of {_labels(frames, names)} change with the seed ({least}): draw more samples, by a larger `scale`."


def _cost(frames: Frames, leaders: Sequence[str], costs: pd.DataFrame | None) -> str:
    """What an image costs the leaders."""
    seconds = costs["seconds"].reindex(list(leaders)).dropna() if costs is not None else pd.Series(dtype=float)
    if len(seconds) < 2 or seconds.max() < 1.5 * seconds.min():
        return ""
    least, most = seconds.idxmin(), seconds.idxmax()
    dear = f"{_labels(frames, [most])} {seconds[most]:.2g} s"
    return (
        f"{_labels(frames, [least])} is the cheapest of them ({seconds[least]:.2g} s an image in the network, {dear})."
    )


def _at_odds(frames: Frames) -> str:
    """The two metrics that order the methods most against each other, if any two are seen to."""
    table = compare.agreement(frames).query("rho <= -critical")
    if table.empty:
        return ""
    pair = table.loc[table["rho"].idxmin()]
    first, second = frames.metrics.loc[pair[["first", "second"]], "label"].map(literal)
    return f"{first} and {second} order the methods against each other (ρ = {pair['rho']:+z.2f}): which counts for you?"


def _failed(frames: Frames, failing: Set[str]) -> str:
    """Which methods fail the sanity check."""
    names = [name for name in compare.compared(frames) if name in failing]
    least = compare.checked(frames)["last"].reindex(names).min()
    return (
        f"{_labels(frames, names)} {'fails' if len(names) == 1 else 'fail'} the sanity check: with all weights random, maps "
        f"keep their order (rank correlation {least:z.2f}{' or more' * (len(names) > 1)})."
        if names
        else ""
    )


def _unchecked(frames: Frames, names: Sequence[str]) -> str:
    """Of which methods the sanity check has no result."""
    whose = f" of {_labels(frames, names)}" if 0 < len(names) < len(compare.compared(frames)) else ""
    return f"Whether maps{whose} follow the network was not checked." if names else ""


def _silent(frames: Frames, judges: pd.DataFrame) -> list[str]:
    """Which metrics carry no verdict, and why."""
    found = []
    for word, reason in (
        (compare.VOID, "void here: no method is seen to be ahead of the centred Gaussian, which ignores the network"),
        (
            compare.UNDEFINED,
            "left out: without boxes or masks of the objects, or with constant maps, there is no score",
        ),
    ):
        labels = list(judges.loc[judges["word"] == word, "label"].map(literal))
        found += [f"{listed(labels)} {'is' if len(labels) == 1 else 'are'} {reason}."] if labels else []
    return found


def _too_few(images: int, methods: int) -> str:
    """That no result of so few images could tell any two methods apart: Wilcoxon's p is 2^(1 - n) at least."""
    tests = math.comb(methods, 2)
    least = 2 + math.floor(math.log2(tests / LEVEL)) if tests else 0
    few = f"{images} images cannot tell any two of {methods} methods apart, whatever they show: it takes {least} at least."
    return few if 2 <= images < least else ""


def _paragraph(*sentences: str) -> str:
    return " ".join(filter(None, sentences))


def _network(frames: Frames) -> str:
    return literal(frames.models["label"].iloc[0])


def _labels(frames: Frames, names: Sequence[str]) -> str:
    return listed(map(literal, frames.methods.loc[list(names), "label"]))


def _interval(low: float, high: float) -> str:
    return f"{low:.1f} to {high:.1f}" if np.isfinite([low, high]).all() else "-"


def _passes(forward: float, backward: float) -> str:
    return "-" if math.isnan(forward) else f"{forward:,.0f} + {backward:,.0f}"


def _sanity(last: float, fails: object) -> str:
    return "-" if pd.isna(last) else f"{last:z.2f}{' fails' * bool(fails)}"
