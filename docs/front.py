"""The numbers of the front page, from the findings that are shipped: `python docs/front.py` writes them anew.

It draws `docs/verdicts.png` and fills the marked parts of README.md and docs/findings.md, so that nobody types a number.
"""

import re
import sys
import textwrap
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from xailib.analysis import findings, rules, story, worlds
from xailib.plots import style

DOCS = Path(__file__).resolve().parent
README, PAGE, FIGURE = DOCS.parent / "README.md", DOCS / "findings.md", DOCS / "verdicts.png"
STUDIES = ("pictograms_hard", "pictograms_ladder", "roar_pictograms_full")  # whose verdicts are on the front page
ASKED = {"pictograms_ladder": ["F7"]}  # of a study that was made for some claims only
WORLDS = {
    "pictograms_hard": "Hard pictograms",
    "pictograms_ladder": "A ladder of radii",
    "pictograms_full": "Pictograms",
    "tiny_imagenet": "Tiny ImageNet",
    "roar_pictograms_full": "ROAR on pictograms",
    "roar_colours": "ROAR on colours",
    "roar_imagenette": "ROAR on photographs (Imagenette)",
}
COUNTED = {
    "pictograms_hard": "findings of Nourelahi et al.",
    "roar_pictograms_full": "claims about ROAR, on pictograms,",
    "roar_colours": "on symbols whose colour is the class",
    "roar_imagenette": "on photographs",
}
ANSWERS = {  # question of the front page -> the claim that answers it
    "Are robust networks explained better?": "F1",
    "Does training against a stronger attacker help more?": "F7",
    "Which method ranks first?": "F3",
    "Can ROAR, which retrains without the most important pixels, be trusted?": "R10",
}


def shipped(world: str) -> pd.DataFrame:
    """Return a study's table of findings, as it is shipped in `docs/findings`: of the claims that it was made for."""
    found = pd.read_csv(DOCS / "findings" / f"{world}.csv")
    return found[found["finding"].isin(ASKED.get(world, found["finding"]))]


def headlines() -> pd.DataFrame:
    """Return F1 to F7 on hard pictograms and R1 to R10 on pictograms, a row each."""
    found = pd.concat(map(shipped, STUDIES), ignore_index=True)
    return found[found["part"] == "headline"].reset_index(drop=True)


def deciding() -> list[dict[str, Any]]:
    """Return the row that each verdict hangs on, as the report draws it."""
    return [row for world in STUDIES for row in story.shown(shipped(world))]


def answer() -> str:
    """Return the front page's answer in Markdown: what was found, and how sure it is."""
    rows = headlines().set_index("finding")
    lines = []
    for question, finding in ANSWERS.items():
        row = rows.loc[finding]
        lines.append(
            f"- **{question}** {row['sentence']} *{finding} {row['verdict']}: {row['claim']}* {elsewhere(finding)}".rstrip()
        )
    counted = []
    for world, name in COUNTED.items():
        counts = shipped(world).query("part == 'headline'")["verdict"].value_counts()
        told = ", ".join(f"{counts[word]} {word}" for word in rules.COLOURS if word in counts)
        counted.append(f"Of {counts.sum()} {name} {told}.")
    return "\n".join([*lines, "", " ".join(counted), ""])


def elsewhere(finding: str) -> str:
    """Return the verdicts on a finding in the other worlds that ask it, as a sentence."""
    heads = {world: shipped(world).query("part == 'headline'").set_index("finding") for world in WORLDS}
    told = [
        f"{head.loc[finding, 'verdict']} on {WORLDS[world].removeprefix('ROAR on ')}"
        for world, head in heads.items()
        if world not in STUDIES and finding in head.index
    ]
    return f"Elsewhere: {', '.join(told)}." if told else ""


def details() -> str:
    """Return in Markdown where worlds agree, and the headline of every shipped finding under the name of its study."""
    tables = {world: shipped(world) for world in WORLDS}
    text = ""
    for kind, roar in (("F1 to F6", False), ("R1 to R10", True)):
        alike = {
            world: table for world, table in tables.items() if world.startswith("roar_") == roar and world not in ASKED
        }
        text += f"{kind}. {worlds.verdict_on_worlds(alike)}\n\n"
    for world, title in WORLDS.items():
        found = tables[world]
        text += f"## {title}\n\nn = {found['images'].max():,} images; 95 % intervals.\n\n"
        for row in found[found["part"] == "headline"].to_dict("records"):
            paper, needs = findings.papers(row), row.get("needs")
            text += f"**{row['finding']}, {row['verdict']}.** *{row['claim']}* {row['sentence']}"
            if isinstance(row["statistic"], str):  # not where a study lacks what a claim is about
                text += f"\nThe number: {findings.number(row)}, {row['statistic']}; n = {row['n']:,.0f} {row['unit']}."
            text += f" The paper's: {paper}." if paper != "-" else ""
            text += f" What would decide it: {needs}.\n\n" if isinstance(needs, str) else "\n\n"
    return text


def forest(rows: list[dict[str, Any]]) -> Figure:
    """Draw a row a claim: the effect and 95 % interval, each on the row's own scale about a common zero; the verdict."""
    figure = plt.figure(figsize=(13, 0.57 * len(rows)), layout="none")
    axes = figure.add_axes((0.46, 0.01, 0.22, 0.98))
    text = {"va": "center", "fontsize": 11.5, "linespacing": 1.05}
    for y, row in zip(range(len(rows) - 1, -1, -1), rows, strict=True):
        colour, reach = rules.COLOURS[row["verdict"]], max(abs(row[name]) for name in ("low", "value", "high"))
        axes.plot([row["low"] / reach, row["high"] / reach], [y, y], color=colour, linewidth=3)
        axes.plot(row["value"] / reach, y, "o", color=colour, markersize=8)
        axes.text(-5.5, y, row["finding"], **text, weight="bold", color=colour)
        axes.text(-5.15, y + 0.14, textwrap.fill(row["claim"], 58), **text)
        part = "" if row["part"] == "headline" else row["part"]
        axes.text(-5.15, y - 0.33, part, va="center", fontsize=9, color=style.GREY)
        axes.text(1.15, y, findings.number(row), **text)
        axes.text(4.25, y, textwrap.fill(row["verdict"], 14), **text, weight="bold", color=colour, ha="right")
    axes.axvline(0, color=style.GREY, linewidth=1)
    axes.set(xlim=(-1.1, 1.1), ylim=(-0.6, len(rows) - 0.4))
    axes.axis("off")
    return figure


def filled(path: Path, text: str) -> str:
    """Return a page with the part between its marks replaced by a text."""
    marked = re.compile(r"(<!-- written by docs/front.py -->\n).*?(<!-- end -->)", re.DOTALL)
    return marked.sub(lambda match: f"{match[1]}\n{text}\n{match[2]}", path.read_text(encoding="utf-8"))


def main() -> int:
    """Write the figure and both pages."""
    forest(deciding()).savefig(FIGURE, dpi=110)
    README.write_text(filled(README, answer()), encoding="utf-8")
    PAGE.write_text(filled(PAGE, details()), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
