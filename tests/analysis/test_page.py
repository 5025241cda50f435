"""The page: numbered figures and tables that link their files, closed parts, what screen readers and phones need."""

import re

import nbformat
import numpy as np
import pandas as pd
import pytest
from bs4 import BeautifulSoup

from xailib import plots
from xailib.analysis import page, report
from xailib.analysis.table import Table
from xailib.errors import InputError


def cell(source: str = "x", *outputs: str, tags: tuple[str, ...] = ()) -> nbformat.NotebookNode:
    shown = [nbformat.v4.new_output("display_data", {"text/html": text}) for text in outputs]
    return nbformat.v4.new_code_cell(source, outputs=shown, metadata={"tags": list(tags)})


@pytest.fixture
def written(tmp_path):
    """The page of a notebook with a figure, a table, references to them, and parts that are closed."""
    figure = plots.curves([0, 1], {"Deletion": [1, 0]})
    picture = plots.save(
        figure, tmp_path / "figures", "falls", pd.DataFrame({"x": [1]}), "It falls.", "From 1 to 0.", True
    )
    frame = pd.DataFrame([[0.5, 0.25]], ["RISE"], pd.MultiIndex.from_product([["ResNet"], ["V", "R"]]))
    table = Table(frame, "Scores", beside=pd.DataFrame([["0.4 to 0.6", ""]])).save(tmp_path / "figures", "table_scores")
    long = Table(pd.DataFrame({"Verdict": ["supported"]}, ["a"]), "Long. More of it")
    text = nbformat.v4.new_markdown_cell
    cells = [
        text("# Final\n\nSee [](#falls), [](#table_scores) and [](#nowhere)."),
        cell("", picture._repr_html_(), table._repr_html_()),
        cell("", long._repr_html_(), tags=(page.FOLDED,)),
        text("## Details\n\nProse.", metadata={"tags": [page.FOLDED]}),
        cell("", pd.DataFrame({"a": [1]})._repr_html_()),
        text("## After"),
    ]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / "final.ipynb")
    shown = report.notebook(tmp_path / "final.ipynb", tmp_path).data
    script = report.verbatim("<script>if (1 < 2 && 2 > 1) {}</script>").data
    nbformat.write(nbformat.v4.new_notebook(cells=[cell("", shown), cell("", script)]), tmp_path / "report.ipynb")
    return page.write_page(tmp_path / "report.ipynb").read_text()


def test_figures_and_tables_are_numbered_captioned_and_linked(written) -> None:
    soup = BeautifulSoup(written, "html.parser")
    text = soup.find("main").get_text(" ", strip=True).replace("\u00a0", " ")
    assert "See Fig. 1 , Table 1 and not in this report." in text
    figure, table = soup.find("figure"), soup.find("table", id="table_scores")
    assert figure.img["alt"] == "From 1 to 0." and figure.img["src"].startswith("data:image/webp;base64,")
    assert figure["class"] == ["half"] and "It falls." in figure.figcaption.get_text()
    links = [link["href"] for link in figure.select(".files a")]
    assert links == ["figures/falls.pdf", "figures/falls.csv", "final.ipynb"]
    caption = soup.find(id=table["aria-labelledby"])
    assert [link["href"] for link in caption.select(".files a")] == [
        "figures/table_scores.csv",
        "final.ipynb",
    ]
    assert [number.get_text(strip=True) for number in soup.select(".caption .number")] == [
        "Table\u00a01.",
        "Table\u00a02.",
    ]


def test_tables_have_heads_with_a_scope_and_a_box_that_scrolls(written) -> None:
    soup = BeautifulSoup(written, "html.parser")
    for table in soup.select("table"):
        assert (
            table.parent["class"] == ["scroll"]
            and table.parent["tabindex"] == "0"
            and (table.parent.get("aria-label") or table.get("aria-labelledby"))
        )
        assert all(head.get("scope") and head.get_text(strip=True) for head in table.select("th"))
    table = soup.find("table", id="table_scores")
    assert [head.get_text() for head in table.select("thead th")] == ["ResNet", "V", "R"]
    assert table.find("th", colspan="2") and "0.4 to 0.6" in table.tbody.small.get_text()


def test_closed_parts_keep_their_heading_and_end_where_the_next_begins(written) -> None:
    soup = BeautifulSoup(written, "html.parser")
    section = soup.find("details", class_="section")
    assert section.summary.h3["id"] == "Details" and "Prose." in section.get_text() and section.find("table")
    assert "After" not in section.get_text()
    folded = soup.find("details", class_=False)
    assert folded.summary.get_text() == "Long" and "supported" in folded.get_text()
    assert 'href="#Details"' in written[: written.index("</nav>")]


def test_what_is_verbatim_stays_as_it_is(written) -> None:
    assert "<script>if (1 < 2 && 2 > 1) {}</script>" in written and "<!--kept-->" not in written


def test_a_cell_that_loads_from_the_network_is_one_sentence(tmp_path) -> None:
    remote = nbformat.v4.new_notebook(cells=[cell("", '<img src="https://example.org/a.png">')])
    nbformat.write(remote, tmp_path / "report.ipynb")
    with pytest.raises(InputError, match=r"report\.ipynb: the page would load .*example\.org"):
        page.write_page(tmp_path / "report.ipynb")


def test_a_figure_without_files_keeps_the_picture_of_the_notebook(tmp_path) -> None:
    figure = plots.Picture(plots.curves([0, 1], {"Deletion": [1, 0]}), "gone", "Gone.")
    nbformat.write(nbformat.v4.new_notebook(cells=[cell("", figure._repr_html_())]), tmp_path / "final.ipynb")
    shown = report.notebook(tmp_path / "final.ipynb", tmp_path).data
    nbformat.write(nbformat.v4.new_notebook(cells=[cell("", shown)]), tmp_path / "report.ipynb")
    found = BeautifulSoup(page.write_page(tmp_path / "report.ipynb").read_text(), "html.parser").figure
    assert found.img["src"].startswith("data:image/png;base64,") and found.img["alt"] == "Gone."
    assert [link["href"] for link in found.select("a")] == ["final.ipynb"]


def test_two_hundred_networks_scroll_in_their_box() -> None:
    frame = pd.DataFrame(np.zeros((3, 200)), columns=[f"net-{i}" for i in range(200)])
    shown = Table(frame, "Many", quiet=(2,))._repr_html_()
    assert len(re.findall(r'<th scope="col"', shown)) == 200 and shown.count('class="quiet"') == 1
    assert "<script>" not in Table(pd.DataFrame({"<script>": ["<b>"]}, ["<i>"]), "<u>")._repr_html_()
