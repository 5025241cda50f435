"""Tables as LaTeX: bold, grey, arrows and words as in the notebook, and nothing that LaTeX chokes on."""

from pathlib import Path

import numpy as np
import pandas as pd

from xailib import params
from xailib.analysis.latex import escaped, latex
from xailib.analysis.table import Table

FRAME = pd.DataFrame(
    {
        "Deletion ↓": [0.1, 0.25, np.nan],
        "Insertion_1 ↑ (95 %)": [0.5, 0.6, 0.7],
        "verdict": ["a & b", "c", "supported"],
    },
    index=["RISE", "Grad_CAM", "Random"],
)


def test_save_writes_it_beside_the_numbers(tmp_path: Path) -> None:
    table = Table(FRAME, "n = 3 & 100 %", best=FRAME.map(lambda value: value == 0.1), quiet=("Random",), digits=2)
    table.save(tmp_path, "table_x")
    text = (tmp_path / "table_x.tex").read_text()
    assert (tmp_path / "table_x.csv").is_file()
    assert r"\caption{n = 3 \& 100 \%}" in text and r"\label{tab:table_x}" in text and r"\begin{tabular}{lrrl}" in text
    assert r"Deletion $\downarrow$ & Insertion\_1 $\uparrow$ (95 \%) & verdict \\" in text
    assert r"RISE & \bfseries 0.10 & 0.50 & a \& b \\" in text and r"Grad\_CAM & 0.25 & 0.60 & c \\" in text
    assert r"\itshape Random & \color[HTML]{6B6B6B} - & " in text
    assert text.count("bfseries") == 1 and "↓" not in text


def test_two_levels_and_labels_that_repeat() -> None:
    columns = pd.MultiIndex.from_product([["net_1"], ["d", "i"]])
    text = latex(pd.DataFrame([[1.0, 2.0], [3.0, 4.0]], index=["a", "a"], columns=columns), "c", "n")
    assert r"\multicolumn{2}{c}{net\_1}" in text and text.count("\na & ") == 2


def test_an_empty_table_is_left_out(tmp_path: Path) -> None:
    Table(pd.DataFrame(), "nothing").save(tmp_path, "empty")
    assert not (tmp_path / "empty.tex").exists()


def test_signs_that_fonts_lack_or_show_as_others() -> None:
    """`<`, `>` and `|` of text come out as others in LaTeX's own fonts; radii are in the labels of shipped networks."""
    labels = {params.load_params("models", id)["label"] for id in params.ids("models")}
    text = latex(pd.DataFrame({"p": ["< 0.001"], "v": ["a|b > c"]}, ["Food\u2011101"]), "|ρ| < 0.05", "n")
    assert r"\caption{$|$$\rho$$|$ $<$ 0.05}" in text and "Food-101 & $<$ 0.001 & a$|$b $>$ c" in text
    assert latex(pd.DataFrame({"x": sorted(labels)}), "c", "n").isascii()


def test_what_rounds_to_zero_has_no_minus() -> None:
    table = Table(pd.DataFrame({"x": [-0.0001, -0.02], "n": [0, -3]}, ["a", "b"]), "c", digits=2)
    assert "a & 0.00 & 0.00" in latex(table.frame, "c", "n", digits=2)
    assert "<td>0.00</td><td>0.00</td>" in table._repr_html_() and "<td>-0.02</td><td>-3.00</td>" in table._repr_html_()


def test_escaping() -> None:
    assert escaped(r"50 % of a_b & {c} ~ ^ \ #") == (
        r"50 \% of a\_b \& \{c\} \textasciitilde{} \textasciicircum{} \textbackslash{} \#"
    )
