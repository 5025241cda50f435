"""The report: one file, no network, findings first; and the final notebooks that it is made of."""

from pathlib import Path

import nbformat
import pytest
from cells import run_cells

from xailib import results
from xailib.analysis import report
from xailib.errors import InputError

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+A8AAQUBAScY42YAAAAASUVORK5CYII="


def executed(folder: Path, name: str) -> None:
    """Write a small executed notebook: prose, a figure, a warning, a cell for the runner only."""
    figure = nbformat.v4.new_output("display_data", data={"image/png": PIXEL, "text/plain": "<Figure>"})
    warning = nbformat.v4.new_output("stream", name="stderr", text="noise on stderr")
    cells = [
        nbformat.v4.new_markdown_cell(f"# The {name}\n\nProse with $x^2$ and a [link](https://example.org)."),
        nbformat.v4.new_markdown_cell("## Which methods rank best?"),
        nbformat.v4.new_code_cell("secret_code()", outputs=[warning, figure]),
        nbformat.v4.new_markdown_cell("for the runner only", metadata={"tags": [report.HIDDEN]}),
    ]
    (folder / f"{name}.ipynb").write_text(nbformat.writes(nbformat.v4.new_notebook(cells=cells)))


@pytest.fixture
def reported(tmp_path, study):
    from xailib.analysis import findings

    folder = tmp_path / "made_up"
    folder.mkdir()
    for name in report.NOTEBOOKS:
        executed(folder, name)
    results.write_table(folder / "skipped.csv", study.skipped)
    findings.save(findings.examine(study, 100, 0), folder)
    record = {
        **{"seconds": 2.5, "python": "3.11.9", "packages": {"torch": "2.12.1"}, "device": "cpu"},
        **{"git": {"commit": "abc123" * 6, "changed": False}, "finished": "2030-01-01T00:00:00+00:00"},
        "passes": {"forward": 1000, "backward": 0, "seconds": 2.0},
    }
    for name in ("gradient", "rise"):
        results.write_json(folder / "mini_resnet_vanilla" / name / "attribute.json", record)
    return folder


def test_report_is_one_file_that_loads_nothing(reported) -> None:
    page = report.write_report(reported).read_text()
    assert report.remote_loads(page) == []
    assert "<script" not in page
    assert f"data:image/png;base64,{PIXEL}" in page.replace("\n", "")


def test_report_holds_findings_first_then_sections_and_provenance(reported) -> None:
    page = report.write_report(reported, reported / "other.html").read_text()
    headings = [
        'id="findings"',
        *(f'<h2 id="{name}"' for name in (*report.NOTEBOOKS, "parameters", "skipped", "provenance")),
    ]
    places = [page.index(heading) for heading in headings]
    assert places == sorted(places)
    assert 'class="verdict supported"' in page
    assert (
        'href="#explainability-which-methods-rank-best"' in page
        and 'id="explainability-which-methods-rank-best"' in page
    )
    assert "abc123abc123" in page and "torch 2.12.1" in page and "2,000" in page and "needs gap_linear_head" in page
    for hidden in ("secret_code", "noise on stderr", "for the runner only"):
        assert hidden not in page


def test_two_runs_write_the_same_page(reported) -> None:
    assert (
        report.write_report(reported).read_bytes()
        == report.write_report(reported, reported / "again.html").read_bytes()
    )


@pytest.mark.parametrize(
    "text",
    [
        '<script src="https://cdnjs.cloudflare.com/x.js"></script>',
        "<img alt='a' src=http://example.org/a.png>",
        '<link rel="stylesheet" href="//example.org/a.css">',
        "<style>@import url(https://example.org/a.css);</style>",
        "<style>a { background: url('http://example.org/a.png') }</style>",
    ],
)
def test_what_would_load_from_the_network_is_found(text: str) -> None:
    assert report.remote_loads(text)


def test_what_only_links_is_allowed() -> None:
    assert report.remote_loads('<a href="https://example.org">a</a> <img src="data:image/png;base64,xx">') == []


def test_missing_and_broken_notebooks_are_named(reported, capsys) -> None:
    (reported / "gallery.ipynb").write_text('{"cells": [')
    with pytest.raises(InputError, match=r"gallery\.ipynb: not a complete notebook"):
        report.write_report(reported)
    (reported / "gallery.ipynb").unlink()
    assert report.main([str(reported)]) == 2
    assert "gallery.ipynb: no such executed notebook" in capsys.readouterr().err
    assert not (reported / "report.html").exists()


def test_report_without_findings_or_records(tmp_path) -> None:
    for name in report.NOTEBOOKS:
        executed(tmp_path, name)
    page = report.write_report(tmp_path).read_text()
    assert "No findings yet" in page and "None: every method" in page


@pytest.mark.parametrize("name", report.NOTEBOOKS)
def test_final_notebook_runs_on_a_made_up_study(name: str, folder, tmp_path) -> None:
    """Run the notebook's cells as they stand, with the parameters of a small study."""
    given = {"results_dir": str(folder), "out_dir": str(tmp_path), "limit": 8, "bootstrap": 100, "several": 2}
    run_cells(name, given)
    written = {path.suffix for path in tmp_path.iterdir()}
    assert {".png", ".pdf", ".csv"} <= written
