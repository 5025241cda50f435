"""How often verdicts are wrong, and how often they are given, on studies whose truth is planted: `docs/calibration.md`.

python benchmarks/calibration.py --studies 200 --out docs        # minutes; --only F3 for one claim
"""

import argparse
import sys
from collections import Counter
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "analysis"))

import planted
import roar_synthetic

from xailib.analysis import claims, controls, roar_claims, specifications
from xailib.analysis.frames import Frames
from xailib.analysis.roar_curves import curves
from xailib.analysis.rules import DEPENDS, SUPPORTED, UNDECIDED
from xailib.plots import style
from xailib.workspace import place

WORDS = ["supported", "contradicted", "equivalent", "undecided"]  # what depends on the convention counts as undecided
BEFORE, NOW = "before", "now"  # of the rules; the rows of before are kept as they were measured
TEXT = """# How often the verdicts are wrong

Made by `python benchmarks/calibration.py` from {least} to {most} made-up studies a row, whose truth is planted and whose
networks, images and methods vary as those of the pictograms' studies do (`tests/analysis/planted.py`). *null*: every
effect is zero. *true*, *false*: the claim is, by a margin. *edge*: the least favourable case between. A word is wrong
when it says what is not so; *undecided* never is, and *equivalent* is not where the difference is nil. The rules are
made to let a wrong word pass in 5 % of studies at most; a row of 100 studies may show 9 % by chance, one of 40 up to 12 %.
{above}

![Wrong words under the rules of before and of now](calibration.png)

*Before*, measured with the code of then: intervals from redrawing networks and images independently, which counts what
is particular to a network and an image three times; extremes of several methods, networks or rankings as if they had been
named beforehand; each contradiction at its own 5 %. *Now*: variance components, the bounds of extremes held for all
candidates together, and one interval and p value a number (`xailib/analysis/intervals.py`).

*All conventions*: F1, F3 and F4 as a study gives them, whose verdict is the word that three quarters of the combinations of
conventions give, else that it depends on the convention, which is counted as undecided (`xailib/analysis/specifications.py`).
*Half of the conventions*: the claim holds by one convention of each kind and its opposite by the other, so that any word
but that is wrong. *void*: how often Deletion is said to tell methods from a bright spot in the image's centre
(`xailib/analysis/controls.py`); in *null* all methods are just as good as that. *Networks differ*: ROAR's accuracies
depend on which training of the explained network is explained, as on pictograms; the truth is their mean over such networks.

![How often a true word is found](calibration_power.png)

| claim | what is true | wrong words before | wrong words now | now: supported | contradicted | equivalent | undecided | studies |
|---|---|---|---|---|---|---|---|---|
{rows}

The same numbers are in `calibration.csv`, those of the curves in `calibration_power.csv`.
"""


def count(claim: str, world: object, studies: int, copies: int) -> Counter[str]:
    """Return how often each word is the verdict on one claim, over studies drawn from one world."""
    words: Counter[str] = Counter()
    for seed in range(studies):
        if isinstance(world, planted.World):
            words[word_of(claim, planted.study(world, seed), copies, seed)] += 1
        else:
            drawn = roar_synthetic.study(seed, **{**planted.SHAPE, **world})
            words[roar_claims.CLAIMS[claim].test(curves(drawn, copies, seed)).verdict] += 1
    return words


def word_of(claim: str, frames: Frames, copies: int, seed: int) -> str:
    """Return what a study says of a claim, or of its metrics: supported where Deletion can tell methods from the centre."""
    if claim == planted.VOID:
        return UNDECIDED if "deletion" in controls.void(frames, copies, seed) else SUPPORTED
    if "value_extent" not in frames.scores:
        return claims.CLAIMS[claim].test(frames, copies, seed).verdict
    rows = specifications.tested(claim, frames, frames, copies, seed)
    return specifications.agreed([row["verdict"] for row in rows])[0]


def measure(studies: int, copies: int, only: list[str], named: str = "") -> pd.DataFrame:
    """Return the words of every claim in every world `named` so; half as many studies where only power is asked for."""
    rows = []
    for claim, worlds in {**planted.WORLDS, **planted.ROAR_WORLDS}.items():
        for name, (world, wrong) in worlds.items() if not only or claim in only else ():
            if named not in name:
                continue
            drawn = studies if set(wrong) == set(planted.BOTH) else studies // 2
            words = count(claim, world, drawn, copies)
            words[UNDECIDED] += words.pop(DEPENDS, 0)
            row = {"claim": claim, "world": name, "rules": NOW, "studies": drawn, "wrong": sum(words[w] for w in wrong)}
            rows.append(row | {word: words[word] for word in WORDS})
            print(rows[-1], flush=True)
    for name, world in planted.NULLS.items() if not only else ():
        rows += nulls(name, world, studies, copies) if named in name else []
    return pd.DataFrame(rows)


def nulls(name: str, world: dict[str, object], studies: int, copies: int) -> list[dict[str, object]]:
    """Return the words of all of ROAR's claims in a world where nothing is true of any: one study serves them all."""
    words: dict[str, Counter[str]] = {claim: Counter() for claim in roar_claims.CLAIMS}
    for seed in range(studies):
        found = curves(roar_synthetic.study(seed, **world), copies, seed)
        for claim, counts in words.items():
            counts[roar_claims.CLAIMS[claim].test(found).verdict] += 1
    rows = []
    for claim, counts in words.items():
        wrong = sum(counts[word] for word in planted.ROAR_WORLDS[claim]["null"][1])
        row = {"claim": claim, "world": name, "rules": NOW, "studies": studies, "wrong": wrong}
        rows.append(row | {word: counts[word] for word in WORDS})
        print(rows[-1], flush=True)
    return rows


def power(studies: int, copies: int, only: list[str]) -> pd.DataFrame:
    """Return how often the true word is found along each curve."""
    rows = []
    for claim, (_, word, _, lines) in planted.CURVES.items():
        for line, points in lines.items() if not only or claim in only else ():
            for x, world in points.items():
                found = count(claim, world, studies, copies)[word] / studies
                rows.append({"claim": claim, "line": line, "x": x, "share": found, "studies": studies})
                print(rows[-1], flush=True)
    return pd.DataFrame(rows)


def in_order(names: pd.Series) -> pd.Series:
    """R2 before R10."""
    return names.str.replace(r"\d+", lambda found: found[0].zfill(2), regex=True)


def merged(path: Path, new: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """Put new rows in the place of those of the same keys in a table that was saved earlier; save and return it."""
    table = pd.concat([pd.read_csv(path, keep_default_na=False), new]) if path.exists() else new
    table = table.drop_duplicates(keys, keep="last").sort_values(keys[:1], kind="stable", key=in_order)
    table.to_csv(path, index=False)
    return table


@style.styled
def draw_wrong(table: pd.DataFrame) -> plt.Figure:
    """Draw the largest share of wrong words of each claim over its worlds, before and now."""
    figure, axes = plt.subplots(figsize=(11, 4.2))
    names = list(dict.fromkeys(table["claim"]))
    table = table[table["world"] != planted.TAKEN]
    share = table.assign(share=100 * table["wrong"] / table["studies"]).groupby(["rules", "claim"])["share"].max()
    for shift, (rules, colour) in zip((-0.2, 0.2), ((BEFORE, style.OTHERS[1]), (NOW, "#0072B2")), strict=True):
        if rules in share.index:
            heights = share[rules].reindex(names)
            axes.bar(np.arange(len(names)) + shift, heights, 0.38, color=colour, label=rules)
    axes.axhline(5, color=style.GREY, linewidth=1, linestyle="--")
    axes.annotate("5 %", (len(names) - 0.4, 6), color=style.GREY)
    axes.set_xticks(range(len(names)), names)
    axes.set(ylabel="wrong words, % of studies\n(worst of the claim's worlds)", ylim=(0, 100))
    axes.legend(title="rules", loc="upper right")
    return figure


@style.styled
def draw_power(table: pd.DataFrame) -> plt.Figure:
    """Draw how often the true word is found, one panel a claim."""
    known = [claim for claim in planted.CURVES if claim in set(table["claim"])]
    figure, grid = plt.subplots(1, len(known), figsize=(4.1 * len(known), 4.4), sharey=True, squeeze=False)
    for axes, claim in zip(grid[0], known, strict=True):
        title, word, varied, _ = planted.CURVES[claim]
        lines = table[table["claim"] == claim].groupby("line", sort=False)
        for (name, rows), colour, marker in zip(lines, ("#0072B2", "#D55E00"), style.MARKERS, strict=False):
            axes.plot(rows["x"], 100 * rows["share"], color=colour, marker=marker, label=name)
        axes.axhline(80, color=style.GREY, linewidth=1, linestyle="--")
        axes.set(xlabel=varied, ylim=(-2, 102))
        axes.set_title(f"{claim}, {word}:\n{title}", fontsize=11)
        axes.legend(loc="lower right", fontsize=10)
    grid[0, 0].set_ylabel("% of studies that find it")
    return figure


def page(table: pd.DataFrame) -> str:
    """Return `docs/calibration.md`."""
    now, before = (table[table["rules"] == rules].set_index(["claim", "world"]) for rules in (NOW, BEFORE))
    earlier = (before["wrong"] / before["studies"]).reindex(now.index)
    shares = now["wrong"] / now["studies"]
    rows = []
    for (claim, world), row in now.iterrows():
        old = earlier[claim, world]
        words = [f"{row[word] / row['studies']:.0%}" for word in WORDS]
        cells = [claim, world, "-" if pd.isna(old) else f"{old:.0%}", f"{shares[claim, world]:.1%}", *words]
        rows.append("| " + " | ".join([*cells, str(row["studies"])]) + " |")
    taken = shares.index.get_level_values("world") == planted.TAKEN
    over = [f"{claim}, {world} ({share:.1%})" for (claim, world), share in shares[~taken].items() if share > 0.05]
    above = f"Above 5 %: {'; '.join(over)}." if over else "No row is above 5 %."
    if taken.any():
        worst = shares[taken].groupby("claim", sort=False).first().sort_values(ascending=False)
        told = ", ".join(f"{claim} {share:.0%}" for claim, share in worst.items() if share > 0.05)
        above += (
            f" That is with two explained networks where these differ; with one, taken for all: {told or 'none above'}."
        )
    most, least = now["studies"].max(), now["studies"].min()
    return TEXT.format(least=least, most=most, above=above, rows="\n".join(rows))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=200, help="a world; half as many a point of a curve")
    parser.add_argument("--copies", type=int, default=300, help="of the bootstrap")
    parser.add_argument("--only", nargs="*", default=[], help="claims")
    parser.add_argument("--out", type=Path, default=place("docs"))
    parser.add_argument("--worlds", default="", help="only those whose name holds this; curves are left as they are")

    given = parser.parse_args()
    sizes = (given.copies, given.only)
    measured = measure(given.studies, *sizes, given.worlds)
    words = merged(given.out / "calibration.csv", measured, ["claim", "world", "rules"])
    curve = pd.DataFrame() if given.worlds else power(given.studies // 2, *sizes)
    found = merged(given.out / "calibration_power.csv", curve, ["claim", "line", "x"])
    draw_wrong(words).savefig(given.out / "calibration.png")
    draw_power(found).savefig(given.out / "calibration_power.png")
    (given.out / "calibration.md").write_text(page(words), encoding="utf-8")
