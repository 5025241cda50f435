"""`Table`: a frame as readers see it in a notebook or report, and as plain numbers on disk."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from xailib.analysis.latex import latex
from xailib.results import atomic, write_table
from xailib.workspace import place

_STYLE = [
    {"selector": "caption", "props": "text-align: left; font-weight: 600; padding: 0.4em 0; white-space: nowrap"},
    {"selector": "th, td", "props": "text-align: right; padding: 0.25em 0.35em"},
    {
        "selector": "th.row_heading",
        "props": "text-align: left; font-weight: normal; white-space: nowrap; vertical-align: top",
    },
    {"selector": "td.short", "props": "white-space: nowrap"},
    {"selector": "td.text", "props": "text-align: left; vertical-align: top"},
]
# Verdicts are told apart by their words; the colours (dark on light, 7:1 or more) help to find them.
_WORDS = {
    "supported": "background: #d5f0e5; color: #00543c; font-weight: 600",
    "equivalent": "background: #dcebfa; color: #0b3d66; font-weight: 600",
    "contradicted": "background: #fbdfcd; color: #7d2f00; font-weight: 600",
    "undecided": "background: #e6e8eb; color: #3d444d; font-weight: 600",
    "depends on the convention": "background: #e6e8eb; color: #3d444d; font-weight: 600",
    "void": "background: #e6e8eb; color: #3d444d; font-weight: 600",
}


@dataclass(frozen=True)
class Table:
    """A frame to look at: notebooks show it, `save` keeps its plain numbers.

    Attributes:
        frame: numbers or text, labelled for readers.
        caption: what it shows, with n.
        best: cells to set in bold, shaped like the frame.
        quiet: labels of rows to set in grey (controls).
        digits: decimals of numbers.
        plain: what to save instead of `frame`: tidy, with ids instead of labels.
    """

    frame: pd.DataFrame
    caption: str
    best: pd.DataFrame | None = None
    quiet: tuple[str, ...] = ()
    digits: int = 3
    plain: pd.DataFrame | None = None

    def save(self, out_dir: str | Path, name: str) -> Path:
        """Write plain numbers as `{out_dir}/{name}.csv`, and what readers see as `{name}.tex`; from the workspace."""
        plain = self.frame.reset_index() if self.plain is None else self.plain
        if not self.frame.empty:
            with atomic(place(Path(out_dir, f"{name}.tex"))) as partial:
                shown = latex(self.frame, self.caption, name, self.best, self.quiet, self.digits)
                partial.write_text(shown, encoding="utf-8")
        return write_table(place(Path(out_dir, f"{name}.csv")), plain)

    def _repr_html_(self) -> str:
        if self.frame.empty:
            return f"<p>{self.caption}</p>"
        frame = self.frame.rename_axis(index=None, columns=None)
        numbered = not frame.index.is_unique  # Styler wants unique labels: a column of labels does the same
        frame = frame.reset_index(names="") if numbered else frame
        quiet = frame.index.isin(self.quiet)
        weights = np.zeros(frame.shape, bool) if self.best is None else self.best.to_numpy(bool)
        props = np.where(weights, "font-weight: 700;", "") + np.where(quiet[:, None], "color: #6b6b6b;", "")
        styler = (
            frame.style.format(self._text, escape="html")
            .set_caption(self.caption)
            .set_table_styles(_STYLE)
            .set_td_classes(frame.map(_class))
            .apply(lambda _: pd.DataFrame(props, frame.index, frame.columns), axis=None)
            .map(_WORDS.get)
            .apply_index(lambda _: np.where(quiet, "color: #6b6b6b; font-style: italic", ""))
            .apply_index(
                lambda names: ["text-align: left !important" if _wordy(frame[name]) else "" for name in names], axis=1
            )
        )
        return (styler.hide(axis="index") if numbered else styler).to_html()

    def _text(self, value: object) -> str:
        return value if isinstance(value, str) else "-" if pd.isna(value) else f"{value:,.{self.digits}f}"


def _wordy(column: pd.Series) -> bool:
    return len(column) > 0 and all(isinstance(value, str) for value in column)


def _class(value: object) -> str:
    """Words are set left; few words stay on one line."""
    return "" if not isinstance(value, str) else "text short" if len(value) <= 20 else "text"
