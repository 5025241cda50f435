"""The first screen of a report: the answers with their numbers, what to read them with, and all verdicts in one figure."""

import html
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from xailib.analysis import findings, roar_claims, rules
from xailib.analysis.facts import fewer, listed, many, study_values
from xailib.analysis.table import chip
from xailib.results import read_table

FILES = {"F": "findings.csv", "R": "roar_findings.csv"}  # of each paper's claims, in its study's folder
PAPERS = {
    "F": ("How explainable are adversarially-robust CNNs?", "https://arxiv.org/abs/2205.13042"),
    "R": (
        "A Benchmark for Interpretability Methods in Deep Neural Networks (ROAR)",
        "https://arxiv.org/abs/1806.10758",
    ),
}
SECTIONS = {"F": "Findings", "R": "Claims"}  # where the report shows how each verdict was reached
SHORT = {
    "F1": "Robust networks gain, by gradient methods only",
    "F2": "AdvProp: as accurate, explained no better",
    "F3": "GradCAM and RISE are the best methods",
    "F4": "Insertion and Deletion follow confidence",
    "F5": "No network is best at everything",
    "F6": "ResNet is the best architecture",
    "F7": "... and more so the larger the attacks",
    "R1": "Single estimates are worse than random",
    "R2": "... and most so at the highest level",
    "R3": "... and no better than Sobel's edges",
    "R4": "SmoothGrad is worse than random and unsmoothed",
    "R5": "SmoothGrad-Squared and VarGrad are best by far",
    "R6": "The best ensemble is built on GRAD or GB, not IG",
    "R7": "Keeping pixels (KAR) separates rankings less",
    "R8": "Without retraining every ranking looks good",
    "R9": "The best estimator finds more than blurred noise",
    "R10": "Retrained networks read pixels, not mask shapes",
}
AGAINST = {  # claims on ROAR itself, which no paper makes -> what it means where one is contradicted or open, and the figure
    "R9": (
        "Noise that knows nothing beats every estimator of ROAR",
        "No estimator of ROAR is shown to beat noise that knows nothing",
        "roar_blurred",
    ),
    "R10": ("The masks of ROAR give the class away", "The masks of ROAR may give the class away", "roar_leak"),
}
OURS = {
    "F7": "how F1 goes with the radius",
    **dict.fromkeys(AGAINST, "ROAR itself"),
}  # what no paper claims: about what
ANSWERS = {  # the claim that answers it -> question
    "F1": "Are robust networks explained better?",
    "F7": "Does training against larger attacks help more?",
    "F3": "Which method ranks first?",
    "R5": "Which rankings find what a network needs (ROAR: accuracy left; lower is better)?",
}
FEW = 50  # images under which an interval is worth a warning
WIDTH, HEIGHT = 210, 24  # of a row's drawing, in pixels


def read(main: Path | None, roar: Path | None) -> dict[str, pd.DataFrame]:
    """Return the findings that the studies have, by the letter of their paper's claims."""
    paths = {"F": main and main / FILES["F"], "R": roar and roar / FILES["R"]}
    return {letter: findings.read(path) for letter, path in paths.items() if path and path.exists()}


def first_screen(main: Path | None, roar: Path | None) -> str:
    """Return the answers, the warnings beside them and the figure of all verdicts, as HTML; a sentence where none are.

    Args:
        main: the explainability study's folder.
        roar: the ROAR study's.
    """
    found = read(main, roar)
    missing = [FILES[letter] for letter, folder in (("F", main), ("R", roar)) if folder and letter not in found]
    notes = "".join(f"<p>Nothing was tested yet: {name} is missing.</p>" for name in missing)
    if not found:
        return notes
    cares = "".join(f"<li>{line}</li>" for line in warnings(main, roar))
    aside = f'<aside class="care"><h3 id="care">Read with care</h3><ul>{cares}</ul></aside>' if cares else ""
    lines = "".join(f"<p>{text}</p>" for text in answers(found))
    return f'{notes}<div class="story"><div>{lines}</div>{aside}</div>{forest(found, main or roar, roar)}'


def answers(found: dict[str, pd.DataFrame]) -> list[str]:
    """Return the answers as HTML: a sentence with numbers each, and how many claims hold."""
    told = []
    heads = {row["finding"]: row for table in found.values() for row in _headlines(table)}
    for name, question in ANSWERS.items():
        if name in heads and isinstance(heads[name]["sentence"], str):
            sentence = html.escape(heads[name]["sentence"])
            told.append(f"<b>{question}</b> {sentence} <i>{name}: {heads[name]['verdict']}.</i>")
    own = {name: row for name, row in heads.items() if name not in OURS}
    words = pd.Series([row["verdict"] for row in own.values()]).value_counts()
    counts = ", ".join(f"{n} {word}" for word, n in words.items())
    papers = " and ".join(f'<a href="{PAPERS[letter][1]}"><cite>{PAPERS[letter][0]}</cite></a>' for letter in found)
    return [f"Of {many(len(own), 'claim')} of {papers}: <b>{counts}</b>.", *told]


def warnings(main: Path | None, roar: Path | None) -> Iterator[str]:
    """Yield what changes how the verdicts read, as HTML: found in the study's own numbers, or not said."""
    if main:
        yield from _void(main)
        yield from filter(None, [html.escape(fewer(main))])
    yield from _roar(read(main, roar).get("R", pd.DataFrame(columns=["part"])))
    yield from _few(main, roar)


def _void(main: Path) -> Iterator[str]:
    """Metrics on which no method is shown to be ahead of a map that looks at no network."""
    path = main / "figures" / "void.csv"
    table = read_table(path) if path.exists() else pd.DataFrame(columns=["void"])
    for row in table[table["void"].astype(bool)].to_dict("records"):
        yield (
            f"<b>{html.escape(row['label'])} is void here</b>: no method is shown to beat a centred blob that sees no "
            f"network (which has {row['centre']:.2f}; furthest ahead is {html.escape(str(row['best']))}, {row['value']:.2f})."
        )


def _roar(found: pd.DataFrame) -> Iterator[str]:
    """What the claims on ROAR itself say against it; nothing where they were not tested."""
    for row in _headlines(found):
        if row["finding"] in AGAINST and row["verdict"] != rules.SUPPORTED and pd.notna(row["value"]):
            sure, unsure, figure = AGAINST[row["finding"]]
            title = sure if row["verdict"] == rules.CONTRADICTED else unsure
            sentence = html.escape(row["sentence"])
            yield f'<b>{title}</b>: {sentence} <i>{row["finding"]}: {row["verdict"]}</i> (<a href="#{figure}"></a>).'


def _few(main: Path | None, roar: Path | None) -> Iterator[str]:
    """Few images, networks or trainings behind the intervals."""
    found = read(main, roar)
    for letter, table in found.items():
        images = int(table["images"].max())
        if images < FEW:
            kind = "test image" if letter == "R" else "image"
            chosen = letter == "F" and main and study_values(main).get("only_correct", True)
            right = " that every network classifies correctly" if chosen else ""
            names = list(table["finding"].unique())
            rest = f"{names[0]} to {names[-1]} rest" if len(names) > 1 else f"{names[0]} rests"
            n = many(images, kind) if images else f"no {kind}"
            yield f"<b>n is small</b>: {rest} on {n}{right}."
    if roar and (roar / "roar_accuracy.csv").exists():
        removed = read_table(roar / "roar_accuracy.csv").query("mode == 'remove' and level > 0")
        if len(removed) and removed["seeds"].max() < 5:
            networks = int(removed["networks"].max()) if "networks" in removed else 1  # of earlier versions
            explained = "one network" if networks == 1 else f"{networks} networks"
            trained = many(int(removed["seeds"].max()), "training")
            yield f"The rankings explain {explained}, with {trained} a point; the paper has 5."


def forest(found: dict[str, pd.DataFrame], start: Path, roar: Path | None = None) -> str:
    """Return all verdicts as one figure in HTML: a row a claim with its effect, interval, the paper's number and the word.

    Args:
        found: `read`.
        start: where the report lies, with the first study's tables, for the links to them.
        roar: the ROAR study's folder, where it is another.
    """
    shares = any("share" in table for table in found.values())
    body, links = "", []
    for letter, table in found.items():
        rows = [row | {"short": SHORT.get(row["finding"], row["claim"])} for row in shown(table)]
        common = _reach(rows) if letter == "R" else None
        scale = "in points of accuracy, on one scale" if common else "each on its own scale; zero is common"
        body += (
            f'<tr class="paper"><th scope="rowgroup" colspan="5">{PAPERS[letter][0]} <small>{scale}</small></th></tr>'
        )
        body += "".join(_row(row, common or _reach([row])) for row in rows)
        path = os.path.relpath((start if letter == "F" else roar or start) / FILES[letter], start)
        links.append(
            f'<a href="#{SECTIONS[letter]}">how {letter} was decided</a>, <a href="{html.escape(path)}">CSV</a>'
        )
    heads = ["Claim", "Effect, 95 % interval", "Here", "In the paper", "Verdict"]
    head = "".join(f'<th scope="col">{name}</th>' for name in heads)
    names = [name for table in found.values() for name in table["finding"].unique()]
    own = [name for name in names if name in OURS]
    about = dict.fromkeys(OURS[name] for name in own)
    caption = (
        f"The verdicts on {many(len(names) - len(own), 'claim')} of the papers"
        + (f", and on {listed(own)}, which {'are' if len(own) > 1 else 'is'} ours on {listed(about)}" if own else "")
        + ": the number that each hangs on, with its 95 % interval. Shaded: the side that the claim predicts"
        + ("; diamonds: the paper's own numbers (Birdsnap, Food-101, ImageNet)" if "R" in found else "")
        + ("; under a verdict: how many conventions of measuring give it" if shares else "")
        + ". The first paper's numbers are not public." * ("F" in found)
    )
    return (
        f'<figure id="verdicts" class="forest" data-name=""><style>{STYLE}</style><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table><figcaption>{caption} {'; '.join(links)}.</figcaption></figure>"
    )


def shown(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the row of each claim that its verdict hangs on: the first part of the same verdict, else the headline.

    Each has the headline's claim, verdict and, where findings have it, share of the specifications.
    """
    chosen = []
    for head in _headlines(table):
        parts = table[(table["finding"] == head["finding"]) & (table["part"] != "headline")]
        same = parts[parts["verdict"] == head["verdict"]].to_dict("records")
        deciding = [part for part in same if str(head["needs"]).startswith(f"{part['part']}: ")]
        row = next(iter([*deciding, *same]), head)
        kept = {name: head[name] for name in ("claim", "verdict", "share", "specifications") if name in head}
        chosen.append(row | kept)
    return chosen


def _row(row: dict[str, Any], reach: float) -> str:
    part = "" if row["part"] == "headline" else str(row["part"])
    told = findings.number(row) if pd.notna(row["value"]) else "-"
    number, _, interval = told.partition(" (")
    name = f'<th scope="row" title="{html.escape(str(row["claim"]))}">{row["finding"]} {html.escape(row["short"])}'
    cells = [f"{name}<small>{html.escape(part)}</small></th>", f"<td>{_drawn(row, reach)}</td>"]
    number += f" <small>{interval.removesuffix(')')}</small>" if interval else ""
    cells += [f'<td class="here" title="{html.escape(str(row["statistic"]))}">{number}</td>']
    cells.append(f"<td class='here'>{_papers(row)}</td>")
    share = ""
    if pd.notna(row.get("share")):
        n = int(row["specifications"])
        share = f"<small>{round(row['share'] * n)} of {n} conventions</small>"
    return f"<tr>{''.join(cells)}<td>{chip(row['verdict'])}{share}</td></tr>"


def _papers(row: dict[str, Any]) -> str:
    """The paper's own numbers, in points and the order of its data sets."""
    if row["finding"] in OURS:
        return "no paper's claim"
    if row["finding"] not in roar_claims.CLAIMS:
        return "not public"
    values = [100 * row[name] for name in row if str(name).startswith(findings.PAPER) and pd.notna(row[name])]
    return ", ".join(f"{value:+z.1f}" for value in values) or "-"


def _reach(rows: Sequence[dict[str, Any]]) -> float:
    """The largest distance from zero that is drawn."""
    names = {"value", "low", "high"} | {name for row in rows for name in row if str(name).startswith(findings.PAPER)}
    values = np.array([[row.get(name, np.nan) for name in sorted(names)] for row in rows], float)
    return float(np.nanmax(np.abs(values), initial=1e-9))


def _drawn(row: dict[str, Any], reach: float) -> str:
    """One row's effect as a drawing: zero in the middle, the claimed side shaded, interval, number, the paper's numbers."""
    half, middle = WIDTH / 2, HEIGHT / 2

    def x(value: float) -> str:
        return f"{half + (half - 8) * value / reach:.1f}"

    side = row["claimed"] if pd.notna(row.get("claimed")) else 0
    shade = f'<rect class="side" x="{half if side > 0 else 0}" y="0" width="{half}" height="{HEIGHT}"/>' if side else ""
    marks = f'{shade}<path class="zero" d="M{half} 0V{HEIGHT}"/>'
    for name in row:
        if str(name).startswith(findings.PAPER) and pd.notna(row[name]):
            place = float(x(row[name]))
            marks += f'<path class="theirs" d="M{place} {middle - 5}l5 5l-5 5l-5 -5z"/>'
    if pd.notna(row["low"]):
        marks += f'<path class="bar" d="M{x(row["low"])} {middle}H{x(row["high"])}"/>'
    if pd.notna(row["value"]):
        marks += f'<circle class="dot" cx="{x(row["value"])}" cy="{middle}" r="4.5"/>'
    label = html.escape(f"{row['finding']}: {findings.number(row)}")
    kind = html.escape(str(row["verdict"]).partition(" ")[0])
    return f'<svg class="{kind}" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{label}">{marks}</svg>'


def _headlines(table: pd.DataFrame) -> list[dict[str, Any]]:
    return table[table["part"] == "headline"].to_dict("records")


STYLE = """
.forest { margin: 0.6rem 0; }
.forest table { border-collapse: collapse; width: 100%; font-size: 0.78rem; line-height: 1.15; }
.forest td, .forest th { text-align: left; padding: 0 0.6rem 0 0; vertical-align: middle; }
.forest th[scope=row] { font-weight: 500; }
.forest th[scope=row] small { display: block; font-weight: 400; opacity: 0.8; }
.forest td:last-child { max-width: 8.5rem; } .forest td:last-child small { display: block; }
.forest .verdict { white-space: normal; display: inline-block; }
.forest .paper th { padding-top: 0.3rem; }
.forest .here { white-space: nowrap; }
.forest svg { width: 210px; height: 22px; display: block; overflow: visible; }
.forest .side { fill: currentColor; opacity: 0.07; } .forest .zero { stroke: currentColor; opacity: 0.5; }
.forest .bar { stroke: var(--mark); stroke-width: 3; } .forest .dot { fill: var(--mark); }
.forest .theirs { fill: none; stroke: currentColor; opacity: 0.75; }
@media screen and (max-width: 46rem) {
  .forest thead { display: none; } .forest table, .forest tbody { display: block; }
  .forest tr { display: grid; grid-template-columns: 1fr auto; gap: 0.1rem 0.6rem; padding: 0.4rem 0; }
  .forest tr { border-top: 1px solid #8883; }
  .forest tr > * { display: block; } .forest th { grid-column: 1; } .forest td:last-child { grid-row: 1; grid-column: 2; }
  .forest .paper th, .forest td:nth-child(2) { grid-column: 1 / 3; }
  .forest td.here { font-size: 0.9em; } .forest td:nth-child(4)::before { content: "Paper: "; }
}
"""
STYLE += "".join(
    f".forest .{word.partition(' ')[0]} {{ --mark: {colour}; }}\n" for word, colour in rules.COLOURS.items()
)
