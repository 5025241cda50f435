"""`Table`: a frame as readers see it in a notebook or report, and as plain numbers on disk."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from xailib.params import ROOT
from xailib.results import write_table

_STYLE = [
    {"selector": "caption", "props": "text-align: left; font-weight: 600; padding: 0.4em 0; white-space: nowrap"},
    {"selector": "th, td", "props": "text-align: right; padding: 0.25em 0.35em"},
    {"selector": "th.row_heading", "props": "text-align: left; font-weight: normal; white-space: nowrap"},
    {"selector": "td.short", "props": "white-space: nowrap"},
    {"selector": "td.text", "props": "text-align: left; vertical-align: top"},
]


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
        """Write the table as `{out_dir}/{name}.csv`; a relative folder starts from the repository."""
        return write_table(
            ROOT / out_dir / f"{name}.csv", self.frame.reset_index() if self.plain is None else self.plain
        )

    def _repr_html_(self) -> str:
        frame = self.frame.rename_axis(index=None, columns=None)
        numbered = not frame.index.is_unique  # Styler wants unique labels: a column of labels does the same
        frame = frame.reset_index(names="") if numbered else frame
        texts = frame.map(lambda value: isinstance(value, str))
        wordy = {
            name: [{"selector": "", "props": "text-align: left"}] for name in frame if texts[name].all() and len(texts)
        }
        styler = frame.style.format(
            lambda value: value if isinstance(value, str) else "-" if pd.isna(value) else f"{value:.{self.digits}f}"
        )
        styler = (
            styler.set_caption(self.caption)
            .set_table_styles(_STYLE)
            .set_table_styles(wordy, overwrite=False)
            .set_td_classes(frame.map(_class))
        )
        if numbered:
            styler = styler.hide(axis="index")
        if self.best is not None:
            marks = np.where(self.best.to_numpy(bool), "font-weight: 700", "")
            styler = styler.apply(lambda _: pd.DataFrame(marks, frame.index, frame.columns), axis=None)
        if self.quiet:
            rows = frame.index.isin(self.quiet)
            styler = styler.apply(lambda part: np.where(rows, "color: #777", ""), axis=0)
            styler = styler.apply_index(lambda part: np.where(rows, "color: #777; font-style: italic", ""))
        return styler.to_html()


def _class(value: object) -> str:
    """Words are set left; few words stay on one line."""
    return "" if not isinstance(value, str) else "text short" if len(value) <= 20 else "text"
