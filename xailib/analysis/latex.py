"""Tables for papers: what a reader sees in a notebook, bold cells and arrows included, as LaTeX."""

import re

import numpy as np
import pandas as pd

# What LaTeX's usual fonts lack, or show as another sign: < > | come out as upside-down marks and a dash.
SIGNS = {
    "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
    "±": r"$\pm$",
    "−": "$-$",
    "×": r"$\times$",
    "≤": r"$\leq$",
    "≥": r"$\geq$",
}
SIGNS |= {"ρ": r"$\rho$", "α": r"$\alpha$", "β": r"$\beta$", "γ": r"$\gamma$", "ε": r"$\varepsilon$", "λ": r"$\lambda$"}
SIGNS |= {"μ": r"$\mu$", "σ": r"$\sigma$", "τ": r"$\tau$", "Δ": r"$\Delta$", "→": r"$\to$", "≈": r"$\approx$"}
SIGNS |= {
    "<": "$<$",
    ">": "$>$",
    "|": "$|$",
    "…": r"\dots{}",
    "–": "--",
    "\u2011": "-",
    "\u00a0": "~",
    "°": r"$^\circ$",
}
PACKAGES = "% needs \\usepackage{booktabs} and \\usepackage[table]{xcolor}\n"


def latex(
    frame: pd.DataFrame,
    caption: str,
    name: str,
    best: pd.DataFrame | None = None,
    quiet: tuple[str, ...] = (),
    digits: int = 3,
) -> str:
    """Return a `table` environment with booktabs' rules.

    Args:
        frame: numbers or text, labelled for readers; columns may have two levels.
        caption: plain text.
        name: its label is `tab:name`.
        best: cells to set in bold, shaped like the frame.
        quiet: labels of rows to set in grey.
        digits: decimals of numbers; NaN is a dash.
    """
    shown = frame.rename_axis(index=None, columns=[None] * frame.columns.nlevels)
    grey = shown.index.isin(quiet)
    cells = shown.map(lambda value: value if isinstance(value, str) else _number(value, digits))
    bold = np.zeros(shown.shape, bool) if best is None else best.to_numpy(bool)
    props = np.where(bold, "font-weight: bold;", "") + np.where(grey[:, None], "color: #6b6b6b;", "")
    sides = ["l" if all(isinstance(value, str) for value in column) else "r" for _, column in shown.items()]
    cells = cells.reset_index(names="", col_level=-1)  # labels need not be unique in a column, and must be for Styler
    sheet = np.column_stack([np.where(grey, "color: #6b6b6b; font-style: italic", ""), props])
    styler = cells.style.hide(axis="index").format(escape="latex").format_index(escape="latex", axis=1)
    styler = styler.apply(lambda _: pd.DataFrame(sheet, cells.index, cells.columns), axis=None)
    options = {"hrules": True, "position_float": "centering", "multicol_align": "c", "convert_css": True}
    text = styler.to_latex(caption=escaped(caption), label=f"tab:{name}", column_format="l" + "".join(sides), **options)
    return PACKAGES + re.sub("|".join(map(re.escape, SIGNS)), lambda found: SIGNS[found[0]], text)


def escaped(text: str) -> str:
    """Return plain text as LaTeX writes it."""
    text = re.sub(r"([&%$#_{}])", r"\\\1", text.replace("\\", "\0"))
    return (
        text.replace("~", r"\textasciitilde{}").replace("^", r"\textasciicircum{}").replace("\0", r"\textbackslash{}")
    )


def _number(value: object, digits: int) -> str:
    return "-" if pd.isna(value) else f"{value:z,.{digits}f}"
