"""What all figures share: palette, type sizes, saving a figure with the numbers behind it, its caption and its words.

A notebook that draws calls `set_style()` once; the functions of `xailib.plots` bring the style with them.
"""

import base64
import functools
import html
import io
import sys
import textwrap
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from xailib.results import atomic, write_table
from xailib.workspace import place

# Okabe and Ito (2008): distinct under every common kind of colour blindness.
ALGORITHMS = {"vanilla": "#0072B2", "advprop": "#009E73", "robust": "#D55E00"}
FAMILIES = {"gradient": "#CC79A7", "cam": "#0072B2", "perturbation": "#E69F00", "control": "#7F7F7F"}
FAMILY_LABELS = {"gradient": "Gradient", "cam": "CAM", "perturbation": "Perturbation", "control": "Control"}
FAMILY_PALETTE = {FAMILY_LABELS[name]: colour for name, colour in FAMILIES.items()}
ALGORITHM_LABELS = {"vanilla": "Vanilla", "advprop": "AdvProp", "robust": "Robust"}
OTHERS = ("#CC79A7", "#E69F00", "#56B4E9")  # training algorithms that are not the paper's, in order of appearance
MARKERS = "osD^vPX*<>"
GREY = "#555555"

STYLE = {
    "font.family": "DejaVu Sans",
    "font.size": 13,
    "axes.titlesize": 14,
    "axes.labelsize": 14,
    "legend.fontsize": 12,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "grid.color": "#DDDDDD",
    "grid.linewidth": 0.8,
    "figure.dpi": 100,
    "figure.constrained_layout.use": True,
    "savefig.dpi": 200,
    "savefig.bbox": "tight",
    "pdf.fonttype": 42,  # text stays text
    "svg.fonttype": "none",
    "text.parse_math": False,  # names of files, classes and networks may hold a $
}


def set_style() -> None:
    """Let everything that is drawn from here on be in the house style."""
    plt.rcParams.update(STYLE)


def show_in_notebooks() -> None:
    """Let a Jupyter kernel show figures although MPLBACKEND names a backend that shows none, as in a script."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    if hasattr(shell, "kernel") and plt.get_backend().lower() == "agg":
        shell.run_line_magic("matplotlib", "inline")


show_in_notebooks()


def styled(draw: Callable[..., Figure]) -> Callable[..., Figure]:
    """Decorate a drawing function: everything it draws is in the house style, and no figure is shown twice."""

    @functools.wraps(draw)
    def wrapped(*args: Any, **options: Any) -> Figure:
        with plt.rc_context(STYLE):
            figure = draw(*args, **options)
            plt.close(figure)  # leaves pyplot's list, so that a notebook shows it only as a cell's value
            return figure

    return wrapped


def algorithms(names: Iterable[str]) -> dict[str, tuple[str, str]]:
    """Return {training algorithm: (colour, label)} of those that occur: the paper's first, then any other word."""
    found = set(names := list(dict.fromkeys(names)))
    ours = {name: (colour, ALGORITHM_LABELS[name]) for name, colour in ALGORITHMS.items() if name in found}
    others = [name for name in names if name not in ALGORITHMS]
    label = {name: name.replace("_", " ").capitalize() for name in others}
    return ours | {name: ((*OTHERS, GREY)[min(i, len(OTHERS))], label[name]) for i, name in enumerate(others)}


def subplots(rows: int = 1, columns: int = 1, **options: Any) -> tuple[Figure, Any]:
    """Return a figure that lays itself out, and its axes `(rows, columns)`, also where there is only one."""
    return plt.subplots(rows, columns, layout="constrained", squeeze=False, **options)


def note(axes: Axes, text: str) -> None:
    """Write n and what the intervals are above a chart."""
    axes.set_title(text, fontsize=12, color=GREY, loc="left")


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


def told(frame: pd.DataFrame, label: str, value: str, form: str = "{:z.2f}", most: int = 14) -> str:
    """Return a frame's numbers as words, for an alternative text: 'GradCAM 2.10, RISE 3.42, ...'."""
    known = frame.dropna(subset=[value])
    rows = known.head(most)
    words = ", ".join(f"{name} {form.format(number)}" for name, number in zip(rows[label], rows[value], strict=True))
    return words + (f" and {len(known) - most} more" if len(known) > most else "")


def save(
    figure: Figure,
    out_dir: str | Path,
    name: str,
    data: pd.DataFrame,
    caption: str = "",
    alt: str = "",
    half: bool = False,
) -> Picture:
    """Write `{out_dir}/{name}.png`, `.pdf` and the `.csv` behind them; return the figure, closed, with its caption.

    A relative folder starts from the workspace; for caption, alt and half see `Picture`.
    """
    plt.close(figure)  # a notebook shows it as the cell's value, and not a second time as an open figure
    out_dir = place(out_dir)
    with plt.rc_context(STYLE):
        figure.draw_without_rendering()
        figure.set_layout_engine("none")  # it is laid out now; each file would do it again
        for ending, facts in (("png", {"Software": None}), ("pdf", {"CreationDate": None})):
            with atomic(out_dir / f"{name}.{ending}") as partial:
                figure.savefig(partial, format=ending, metadata=facts)
    write_table(out_dir / f"{name}.csv", data)
    return Picture(figure, name, caption, alt, half)


@styled
def empty(message: str) -> Figure:
    """Return a small figure that says why there is nothing to draw."""
    figure, axes = subplots(figsize=(8, 1.5))
    axes[0, 0].axis("off")
    axes[0, 0].text(0.5, 0.5, textwrap.fill(message, 64), ha="center", va="center", color=GREY)
    return figure


def list_files(*paths: str | Path) -> str:
    """Return a Markdown list of the files in folders, and of single files, with sizes in kB."""
    lines = []
    for path in paths:
        folder = place(path)
        for file in sorted(folder.iterdir()) if folder.is_dir() else [folder]:
            if file.is_file():
                name = Path(path) / file.name if folder.is_dir() else path
                lines.append(f"- `{name}` ({file.stat().st_size / 1000:.0f} kB)")
    return "\n".join(lines)
