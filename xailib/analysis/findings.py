"""What a study says about the claims of its paper: tested, saved, and as two tables for readers.

Each claim is a function of a study's frames (F1 to F6, `claims`) or of its accuracies (R1 to R10, `roar_claims`) that
returns what was measured, how sure it is, and the verdict.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from xailib.analysis import claims, controls, roar_claims, rules, specifications, verdicts
from xailib.analysis.frames import Frames
from xailib.analysis.roar_curves import Curves
from xailib.analysis.roar_paper import DATASETS, paper_curves
from xailib.analysis.table import Table
from xailib.errors import InputError
from xailib.results import read_table, write_table
from xailib.workspace import place

READ = ("finding", "part", "verdict", "statistic", "value", "low", "high", "n", "unit", "claim", "sentence", "images")
PAPER = "paper_"  # columns with the same statistic of a data set of the paper's own table


def examine(frames: Frames, bootstrap: int = 2000, seed: int = 0, everything: Frames | None = None) -> pd.DataFrame:
    """Test F1 to F6, and F7 where it is asked: a headline row a claim, then its parts (`verdicts.table`); n images as `images`.

    Claims speak of methods and metrics, so one setting of each is tested (`Frames.one_setting`). The numbers are those of the
    study's own conventions. Where a claim depends on conventions, the headline's verdict is the word that enough of them
    give (`specifications.agreed`), `share` the share of the commonest word, and `specifications` how many there are. `void`
    names the metrics that no verdict rests on (`controls`).

    Args:
        frames: the study, with the images that count (`Frames.only_correct`).
        bootstrap: copies behind each interval.
        seed: of the copies.
        everything: the study with all images, where which count is varied too.
    """
    asked = claims.asked(frames)
    if not frames.images:
        right = "at least one image that every network classifies correctly"
        found = verdicts.undecided(asked, right if frames.labelled else "labels of the images")
    elif (frames.methods["family"] == "control").all():
        found = verdicts.undecided(asked, "at least one method beside the controls")
    else:
        found = verdicts.examine(asked, frames.one_setting(), bootstrap, seed).drop(columns="lead")
    found = found.assign(images=len(frames.images), share=np.nan, specifications=0, void="")
    if not frames.images:
        return found
    head = found["part"] == "headline"
    found.loc[head, "void"] = ", ".join(frames.metrics.loc[controls.void(frames, bootstrap, seed), "label"])
    every = specifications.table(frames, frames if everything is None else everything, bootstrap, seed)
    for id, rows in every.groupby("finding"):
        if len(rows) > 1:
            _share(found, head & (found["finding"] == id), list(rows["verdict"]))
    return found


def _share(found: pd.DataFrame, head: pd.Series, words: list[str]) -> None:
    """Set the headline of a claim to what its specifications say together."""
    word, share = specifications.agreed(words)
    open_ = {rules.DEPENDS: "a reason to prefer one of the conventions"} | dict.fromkeys(rules.DECIDED, "")
    sentence = f"{found.loc[head, 'sentence'].item()} {specifications.counted(words)}"
    values = [word, share, len(words), sentence, open_.get(word, found.loc[head, "needs"].item())]
    found.loc[head, ["verdict", "share", "specifications", "sentence", "needs"]] = values


def examine_roar(found: Curves) -> pd.DataFrame:
    """Test R1 to R10 on accuracies: a headline row a claim, followed by its parts (`verdicts.table`); n images as `images`.

    `leak` marks claims that the masks decide (`roar_claims.leaks`), and their sentence says so.

    The columns paper_<data set> hold the same statistic of the paper's own table; NaN where it does not say.
    """
    if not found.levels:
        return verdicts.undecided(roar_claims.CLAIMS, "trainings with inputs removed").assign(images=0)
    table = verdicts.examine(roar_claims.CLAIMS, found).assign(images=found.n)
    leaks, head = roar_claims.leaks(found), table["part"] == "headline"
    table["leak"] = head & table["finding"].isin(leaks.keys())
    told = [f"{row.sentence} {leaks[row.finding]}" if row.leak else row.sentence for row in table.itertuples()]
    table["sentence"] = told
    shown = table[["finding", "part"]].assign(part=table["part"].where(table["part"] != "headline", table["lead"]))
    table = table.drop(columns="lead")
    for dataset in DATASETS:
        theirs = alike(paper_curves(dataset), found)
        if not theirs.levels:
            continue
        rows = verdicts.examine(roar_claims.CLAIMS, theirs).drop_duplicates(["finding", "part"])
        known = rows.set_index(["finding", "part"])["value"]
        table[PAPER + dataset] = known.reindex(pd.MultiIndex.from_frame(shown)).to_numpy(float)
    return table


def alike(paper: Curves, ours: Curves) -> Curves:
    """Keep of the paper's accuracies those whose ranking, mode and level we have too."""
    names, levels = ours.estimators, tuple(level for level in ours.levels if level in paper.levels)
    modes = {}
    for mode in paper.modes:
        known = np.isfinite(ours.of(mode, names, levels)[:1])
        modes[mode] = np.where(known, paper.of(mode, names, levels), np.nan)
    return Curves(modes, paper.clean, names, levels, paper.chance, paper.n, paper.unit)


def save(found: pd.DataFrame, out_dir: str | Path, name: str = "findings") -> Path:
    """Write findings, or another tidy table, as `{name}.csv` into a folder; a relative one starts from the workspace."""
    return write_table(place(Path(out_dir, f"{name}.csv")), found)


def read(path: Path) -> pd.DataFrame:
    """Read a table of findings, of this study or another one, or of an earlier version.

    Raises:
        InputError: no table, or one without the columns and rows that every study's has.
    """
    found = read_table(path)
    missing = [column for column in READ if column not in found]
    if missing:
        raise InputError(f"{path}: has no column '{missing[0]}'; delete it and run the study again")
    heads = found.loc[(found["part"] == "headline") & found["verdict"].notna(), "finding"]
    lost = next((name for name in found["finding"] if name not in set(heads)), "any finding" if found.empty else "")
    if lost:
        raise InputError(f"{path}: has no headline of {lost} with its verdict; delete it and run the study again")
    return found


def headlines(found: pd.DataFrame) -> Table:
    """Return one row a claim: claim, verdict, number with interval, n or the paper's own number, and the rule."""
    rows, roar = found[found["part"] == "headline"], _is_roar(found)
    records = rows.to_dict("records")
    table = {"Claim": rows["claim"], "Verdict": rows["verdict"], "What was found": rows["sentence"]}
    told = [f"{number(row)}: {row['statistic']}" if pd.notna(row["value"]) else "-" for row in records]
    if roar:
        table |= {"Points": told, "Paper": [papers(row) for row in records]}
        of, intervals = "claims", "test images; 95 % intervals over images and trainings"
    else:
        table |= {"Statistic": told, "n": [_count(row) for row in records]}
        table |= {"Conventions that say so": [_agreement(row) for row in records]} if "share" in rows else {}
        of, intervals = "findings", "images; 95 % intervals"
        void = next(iter(rows["void"].dropna()), "") if "void" in rows else ""
        intervals += f"; without {void}, void here" if void else ""
    open_ = rows["needs"].fillna("").replace("", "-") if "needs" in rows else "-"  # findings of earlier versions
    frame = pd.DataFrame(table | {"Would decide it": open_, "Rule": rows["rule"]}).set_index(rows["finding"])
    caption = f"The paper's {of}, tested on this study (n = {found['images'].max()} {intervals})"
    return Table(frame, caption, best=frame.isin(rules.DECIDED))


def parts(found: pd.DataFrame) -> Table:
    """Return the numbers behind the verdicts, one row each; of a ROAR study in points, with the paper's own."""
    rows, roar = found[found["part"] != "headline"], _is_roar(found)
    records = rows.to_dict("records")
    table = {"Part": rows["part"], "Points" if roar else "Value": [_value(row["value"], row) for row in records]}
    table |= {"95 % interval": [_interval(row) or "-" for row in records]}
    caption = "The numbers behind the verdicts"
    if roar:
        names = [name for name in rows if name.startswith(PAPER)]
        table |= {name.removeprefix(PAPER): [_value(row[name], row) for row in records] for name in names}
        n, unit = (int(rows["n"].max()), rows["unit"].iloc[0]) if len(rows) else (0, "")
        caption += f" (n = {n} {unit}), and the same numbers of the paper's table"
    else:
        table |= {"p": ["-" if pd.isna(p) else "< 0.001" if p < 0.001 else f"{p:.3f}" for p in rows["p"]]}
        table |= {"n": [_count(row) for row in records]}
    frame = pd.DataFrame(table | {"Verdict": rows["verdict"], "Statistic": rows["statistic"]})
    return Table(frame.set_index(rows["finding"]), caption)


def number(row: dict[str, Any]) -> str:
    """A row's own number with its interval: '+0.063 (+0.037 to +0.090)', of ROAR in points: '+6.3 (+3.7 to +9.0)'."""
    return _value(row["value"], row) + (f" ({_interval(row)})" if _interval(row) else "")


def papers(row: dict[str, Any]) -> str:
    """The paper's own numbers of a row, such as 'Birdsnap +17.7, Food-101 +7.1', each kept on one line."""
    known = {name.removeprefix(PAPER): row[name] for name in map(str, row) if name.startswith(PAPER)}
    told = [f"{name} {_value(value, row)}" for name, value in known.items() if pd.notna(value)]
    return ", ".join(word.replace("-101", "\u2011101").replace(" ", "\u00a0") for word in told) or "-"


def _is_roar(found: pd.DataFrame) -> bool:
    return bool(found["finding"].isin(roar_claims.CLAIMS.keys()).all())


def _interval(row: dict[str, Any]) -> str:
    return f"{_value(row['low'], row)} to {_value(row['high'], row)}" if pd.notna(row["low"]) else ""


def _value(value: float, row: dict[str, Any]) -> str:
    """A number of a row: accuracies of ROAR in points, mean ranks without a sign."""
    if pd.isna(value):
        return "-"
    if row["finding"] in roar_claims.CLAIMS:
        return f"{100 * value:+z.1f}"
    return f"{value:.2f}" if "(1 is best)" in row["statistic"] else f"{value:+z.3f}"


def _agreement(row: dict[str, Any]) -> str:
    return f"{row['share']:.0%} of {row['specifications']:.0f}" if pd.notna(row["share"]) else "-"


def _count(row: dict[str, Any]) -> str:
    return f"{int(row['n'])} {row['unit']}" if row["n"] else "-"
