"""`Picture`: a figure as notebooks show it, with number-ready caption, and words for those who cannot see it."""

import base64
import html
import io
from dataclasses import dataclass

import pandas as pd
from matplotlib.figure import Figure


@dataclass(frozen=True, eq=False)
class Picture:
    """A figure that was saved: what a cell shows, and what a page needs to number, caption and link it.

    Attributes:
        figure: as it was drawn.
        name: of its files (`plots.save`).
        caption: what it shows and how to read it, one or two sentences.
        alt: what it says, in words; the caption where there is none.
        half: whether two of them stand side by side.
    """

    figure: Figure
    name: str
    caption: str = ""
    alt: str = ""
    half: bool = False

    def _repr_html_(self) -> str:
        buffer = io.BytesIO()
        self.figure.savefig(buffer, format="png", dpi=100, metadata={"Software": None})
        data = base64.b64encode(buffer.getvalue()).decode()
        kind = ' class="half"' if self.half else ""
        alt = html.escape(self.alt or self.caption or self.name.replace("_", " "))
        caption = f"<figcaption>{html.escape(self.caption, quote=False)}</figcaption>"
        image = f'<img src="data:image/png;base64,{data}" alt="{alt}">'
        return f'<figure id="{self.name}" data-name="{self.name}"{kind}>{image}{caption}</figure>'


def told(frame: pd.DataFrame, label: str, value: str, form: str = "{:.2f}", most: int = 14) -> str:
    """Return a frame's numbers as words, for an alternative text: 'GradCAM 2.10, RISE 3.42, ...'."""
    rows = frame.dropna(subset=[value]).head(most)
    words = ", ".join(f"{name} {form.format(number)}" for name, number in zip(rows[label], rows[value], strict=True))
    return words + (f" and {len(frame) - most} more" if len(frame) > most else "")
