"""`Table`: a frame as readers see it in a notebook or report, and as plain numbers on disk."""

import html
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path

import numpy as np
import pandas as pd

from xailib.analysis.latex import latex
from xailib.results import atomic, write_table
from xailib.workspace import place

# Verdicts are told apart by their words; the colours (dark on light, 7:1 or more) help to find them.
WORDS = {
    "supported": "background: #d5f0e5; color: #00543c",
    "equivalent": "background: #dcebfa; color: #0b3d66",
    "contradicted": "background: #fbdfcd; color: #7d2f00",
    **dict.fromkeys(("undecided", "depends on the convention", "void"), "background: #e6e8eb; color: #3d444d"),
}


@dataclass(frozen=True)
class Table:
    """A frame to look at: notebooks show it, `save` keeps its plain numbers.

    Attributes:
        frame: numbers or text, labelled for readers; columns of two levels get a head of two rows.
        caption: what it shows, with n.
        best: cells to set in bold, shaped like the frame.
        quiet: labels of rows to set in grey (controls).
        digits: decimals of numbers.
        plain: what to save instead of `frame`: tidy, with ids instead of labels.
        beside: text to set small behind each cell, such as its interval; shaped like the frame.
        name: of the file that it was saved to, without the ending; a page links it.
    """

    frame: pd.DataFrame
    caption: str
    best: pd.DataFrame | None = None
    quiet: tuple[str, ...] = ()
    digits: int = 3
    plain: pd.DataFrame | None = None
    beside: pd.DataFrame | None = None
    name: str = ""

    def save(self, out_dir: str | Path, name: str) -> "Table":
        """Write numbers as `{out_dir}/{name}.csv`, what readers see as `.tex`, from the workspace; return it with its name."""
        plain = self.frame.reset_index() if self.plain is None else self.plain
        if not self.frame.empty:
            with atomic(place(Path(out_dir, f"{name}.tex"))) as partial:
                shown = latex(self.frame, self.caption, name, self.best, self.quiet, self.digits)
                partial.write_text(shown, encoding="utf-8")
        write_table(place(Path(out_dir, f"{name}.csv")), plain)
        return replace(self, name=name)

    def _repr_html_(self) -> str:
        if self.frame.empty:
            return f"<p>{html.escape(self.caption)}</p>"
        best = np.zeros(self.frame.shape, bool) if self.best is None else self.best.to_numpy(bool)
        beside = np.full(self.frame.shape, "") if self.beside is None else self.beside.fillna("").to_numpy()
        rows = []
        for label, values, bold, small in zip(self.frame.index, self.frame.to_numpy(object), best, beside, strict=True):
            cells = map(self._cell, values, bold, small)
            grey = ' class="quiet" style="color: #6b6b6b; font-style: italic"' if label in self.quiet else ""
            head = f'<th scope="row" style="text-align: left; font-weight: normal">{_text(label)}</th>'
            rows.append(f"<tr{grey}>{head}{''.join(cells)}</tr>")
        caption = f'<caption style="text-align: left; font-weight: 600">{html.escape(self.caption)}</caption>'
        known = f' id="{self.name}" data-name="{self.name}"' if self.name else ""
        body = "\n".join(rows)
        return f'<table class="numbers"{known}>{caption}\n<thead>{self._head()}</thead>\n<tbody>{body}</tbody></table>'

    def _head(self) -> str:
        """The rows of the head: of columns with two levels, the upper one spans those that share it."""
        columns, first = self.frame.columns, self.frame.index.name
        corner = f'<th scope="col" style="text-align: left">{_text(first)}</th>' if first else "<td></td>"
        lower, upper = list(columns), ""
        if columns.nlevels > 1:
            groups = [(name, len(list(own))) for name, own in groupby(columns.get_level_values(0))]
            spans = "".join(
                f'<th scope="colgroup" colspan="{n}" style="text-align: center">{_text(name)}</th>'
                for name, n in groups
            )
            lower, upper = list(columns.get_level_values(1)), f"<tr><td></td>{spans}</tr>"
        wordy = (all(isinstance(value, str) for value in column) for _, column in self.frame.items())
        sides = ["left" if words else "right" for words in wordy]
        cells = [
            f'<th scope="col" style="text-align: {side}">{_text(name)}</th>'
            for name, side in zip(lower, sides, strict=True)
        ]
        return f"{upper}<tr>{corner}{''.join(cells)}</tr>"

    def _cell(self, value: object, bold: bool, small: str) -> str:
        if isinstance(value, str) and value in WORDS:
            return f"<td>{chip(value)}</td>"
        text = _text(value) if isinstance(value, str) else "-" if pd.isna(value) else f"{value:z,.{self.digits}f}"
        text = f"<b>{text}</b>" if bold else text
        text += f" <small>{_text(small)}</small>" if small else ""
        if not isinstance(value, str):
            return f"<td>{text}</td>"
        kind = "text short" if len(value) <= 20 else "text"  # few words stay on one line
        return f'<td class="{kind}" style="text-align: left">{text}</td>'


def chip(verdict: str) -> str:
    """Return a verdict's word in its colour, as HTML."""
    colours = WORDS.get(verdict, WORDS["undecided"])
    return f'<span class="verdict" style="{colours}; font-weight: 600; padding: 0.1em 0.4em">{_text(verdict)}</span>'


def _text(value: object) -> str:
    return html.escape(str(value), quote=False)
