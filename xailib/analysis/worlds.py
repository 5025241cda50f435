"""One study's findings beside those of others: which verdicts hold in every world, and which do not."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from xailib.analysis import findings
from xailib.analysis.facts import listed, many
from xailib.analysis.rules import CONTRADICTED, DECIDED, SUPPORTED, UNDECIDED
from xailib.analysis.table import Table
from xailib.results import find_folder
from xailib.workspace import findings_path


def other_findings(studies: Sequence[str], results_dir: str | Path) -> dict[str, pd.DataFrame]:
    """Return {study id: its findings} for those of `studies` that were run here or whose findings are shipped."""
    paths = {study: findings_path(study, find_folder(results_dir).parent) for study in studies}
    return {study: findings.read(path) for study, path in paths.items() if path is not None}


def verdict_table(worlds: Mapping[str, pd.DataFrame], *, parts: bool = False) -> pd.DataFrame:
    """Return the verdicts, one column a study: one row a finding, or with `parts` one a (finding, part) that has one."""
    columns = {}
    for study, found in worlds.items():
        headline = found["part"] == "headline"
        rows = found[~headline & found["verdict"].notna()] if parts else found[headline]
        columns[study] = rows.set_index(["finding", "part"] if parts else "finding")["verdict"]
    return pd.DataFrame(columns)


def side_by_side(worlds: Mapping[str, pd.DataFrame]) -> Table:
    """Return one row a finding: what it claims, and in each study the verdict with the number it rests on.

    Args:
        worlds: {study id: findings, as `findings.examine` makes them}; the first one's claims are shown.
    """
    first = next(iter(worlds.values()))
    lead = first[first["part"] == "headline"].set_index("finding")
    cells = {"Claim": lead["claim"], "Statistic": lead["statistic"]}
    for study, found in worlds.items():
        rows = found[found["part"] == "headline"].set_index("finding").reindex(lead.index)
        cells[study] = pd.Series([_cell(row) for row in rows.itertuples()], lead.index)
    frame = pd.DataFrame(cells)
    decided = verdict_table(worlds).reindex(lead.index).isin(DECIDED)
    return Table(
        frame,
        f"The findings in {many(len(worlds), 'world')}: verdict, statistic (95 % interval), n; bold where it is decided",
        best=decided.reindex(columns=frame.columns, fill_value=False),
    )


def _cell(row: object) -> str:
    verdict, value, low, high, n, unit = (getattr(row, key) for key in ("verdict", "value", "low", "high", "n", "unit"))
    if pd.isna(verdict):
        return "not asked"
    if pd.isna(value):
        return str(verdict)
    interval = "" if pd.isna(low) else f" ({low:+z.3f} to {high:+z.3f})"
    return f"{verdict}: {value:+z.3f}{interval}, n = {int(n)} {unit}"


def verdict_on_worlds(worlds: Mapping[str, pd.DataFrame]) -> str:
    """Return what the comparison comes to, as some sentences in Markdown: agreement, disagreement, also of the parts."""
    asked = verdict_table(worlds)
    asked = asked[asked.notna().sum(axis=1) > 1]  # in two worlds or more
    verdicts = asked.fillna(UNDECIDED)
    if verdicts.shape[1] < 2:
        return "No other world's findings are here: name its study in `compare`, and run it where the repository has none of it."
    kinds = {str(id): _kind(set(row)) for id, row in verdicts.iterrows()}
    by_kind = {kind: [id for id in kinds if kinds[id] == kind] for kind in ("same", "opposed", "apart", "one", "open")}
    sentences = [
        f"**The worlds agree on** {listed([f'{id} ({verdicts.loc[id].iloc[0]})' for id in by_kind['same']])}."
        if by_kind["same"]
        else "**On no finding do all worlds agree.**",
        f"**They disagree on** {listed(by_kind['opposed'])}: supported in one, contradicted in another."
        if by_kind["opposed"]
        else "No finding is supported in one and contradicted in another.",
    ]
    told = [_words(id, asked.loc[id]) for id in by_kind["apart"]]
    sentences += [f"Decided differently: {listed(told)}."] if told else []
    sentences += [f"Decided in some worlds only: {listed(by_kind['one'])}."] if by_kind["one"] else []
    sentences += [f"Undecided in all: {listed(by_kind['open'])}."] if by_kind["open"] else []
    parts = verdict_table(worlds, parts=True)
    split = parts[[_kind(set(row)) == "opposed" for _, row in parts.iterrows()]]
    told = [_words(f"{id}, {part}", row) for (id, part), row in split.iterrows()]
    sentences += [f"**Behind the verdicts they disagree on** {listed(told)}."] if told else []
    return " ".join(sentences)


def _kind(verdicts: set[object]) -> str:
    """How the verdicts of several worlds go together: same, opposed, apart (in other words), one (in some only) or open."""
    decided = verdicts & set(DECIDED)
    if {SUPPORTED, CONTRADICTED} <= decided:
        return "opposed"
    if len(decided) > 1:
        return "apart"
    if decided:
        return "same" if len(verdicts) == 1 else "one"
    return "open"


def _words(name: str, row: pd.Series) -> str:
    return f"{name} ({', '.join(f'{word} on {study}' for study, word in row.dropna().items())})"
