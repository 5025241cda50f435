"""The report: one file, no network, findings first; and the final notebooks that it is made of."""

import re
from pathlib import Path

import nbformat
import pytest
from cells import executed_cells, run_cells

from xailib import results
from xailib.analysis import claims, facts, findings, page, report
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
        nbformat.v4.new_markdown_cell("for the runner only", metadata={"tags": [page.HIDDEN]}),
    ]
    (folder / f"{name}.ipynb").write_text(nbformat.writes(nbformat.v4.new_notebook(cells=cells)))


@pytest.fixture
def reported(tmp_path, study):
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


def write_report(folder: Path, roar: Path | None = None) -> Path:
    """Execute report.ipynb on a study's folder and write its page."""
    given = {"results_dir": str(folder), "roar_dir": roar and str(roar)}
    nbformat.write(executed_cells("report", given), folder / "report.ipynb")
    return page.write_page(folder / "report.ipynb")


def test_report_is_one_file_that_loads_nothing(reported) -> None:
    text = write_report(reported).read_text()
    assert page.remote_loads(text) == []
    assert "<script" not in text
    assert text.replace("\n", "").count(f"data:image/png;base64,{PIXEL}") == 3
    assert text.count('alt="Which methods rank best?"') == 3


def test_report_holds_findings_first_then_sections_and_provenance(reported) -> None:
    text = write_report(reported).read_text()
    heads = ["How explainable are CNNs?", "What was found", *(f"The {name}" for name in report.NOTEBOOKS)]
    heads += ["Parameters", "What was left out", "Provenance"]
    anchors = [re.search(rf'<h[12] id="([^"]*)">{re.escape(head)}', text) for head in heads]
    places = [anchor.start() for anchor in anchors]
    assert places == sorted(places)
    nav = text[: text.index("</nav>")]
    assert all(f'href="#{anchor[1]}"' in nav for anchor in anchors)
    assert places[1] < text.index("supported</span>") < places[2]  # the verdicts are the first thing to see
    assert 'href="explainability.ipynb"' in text
    assert "abc123abc123" in text and "torch 2.12.1" in text and "2,000" in text and "needs gap_linear_head" in text
    for hidden in ("secret_code", "noise on stderr", "for the runner only", "papermill"):
        assert hidden not in text


def test_two_runs_write_the_same_page(reported) -> None:
    written = write_report(reported)
    assert written.read_bytes() == page.write_page(reported / "report.ipynb", reported / "again.html").read_bytes()


def test_ids_of_headings_are_their_own() -> None:
    """The table of contents links to them, and links in the text do."""
    names = ("report", *report.NOTEBOOKS, *report.ROAR_NOTEBOOKS)
    heads = [
        head
        for name in names
        for cell in nbformat.read(f"notebooks/{name}.ipynb", as_version=4).cells
        if cell.cell_type == "markdown" and page.HIDDEN not in cell.metadata.get("tags", [])
        for head in re.findall(r"^#+ (.*)", cell.source, re.MULTILINE)
    ]
    assert len(set(heads)) == len(heads) and {"Findings", "Claims"} <= set(heads)


def test_source_of_a_verdict_is_folded_under_its_claim() -> None:
    shown = report.source(claims.CLAIMS["F1"].test).data
    assert shown.startswith("<details><summary><code>f1_robust_gradients</code> F1: Robust networks explain better")
    assert "gradients_only" in shown and shown.endswith("</details>")


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
    assert page.remote_loads(text)


def test_what_only_links_is_allowed() -> None:
    assert page.remote_loads('<a href="https://example.org">a</a> <img src="data:image/png;base64,xx">') == []


def test_missing_and_broken_notebooks_are_named(reported, capsys) -> None:
    (reported / "gallery.ipynb").write_text('{"cells": [')
    with pytest.raises(InputError, match=r"gallery\.ipynb: not a complete notebook"):
        write_report(reported)
    (reported / "gallery.ipynb").unlink()
    with pytest.raises(InputError, match=r"gallery\.ipynb: no such executed notebook"):
        write_report(reported)
    assert page.main([str(reported / "report.ipynb")]) == 2
    assert "report.ipynb: no such executed notebook" in capsys.readouterr().err
    assert not (reported / "report.html").exists()


def test_report_without_findings_or_records(tmp_path) -> None:
    for name in report.NOTEBOOKS:
        executed(tmp_path, name)
    text = write_report(tmp_path).read_text()
    assert "Nothing was tested yet: findings.csv is missing" in text and "none, every method was run" in text


def test_model_cards_are_linked_and_other_sources_named(tmp_path) -> None:
    results.write_json(
        tmp_path / "study.yaml",
        {
            "study": "own",
            "dataset": "pictograms",
            "models": ["mini_resnet_robust", "resnet50_robust"],
            "methods": ["rise"],
            "metrics": ["deletion"],
        },
    )
    first, second = facts.model_cards(tmp_path).splitlines()
    assert first.startswith("- mini_resnet_robust: [model card](") and first.endswith("weights/pictograms/README.md)")
    assert "weights from [madrylab/robust-imagenet-models](https://huggingface.co/" in second
    (tmp_path / "study.yaml").unlink()
    assert facts.model_cards(tmp_path) == ""


def test_several_values_of_slices_are_all_told(tmp_path) -> None:
    for i, device in enumerate(("cpu", {"name": "H200"})):
        record = {"device": device, "git": {"commit": f"{i}" * 40, "changed": bool(i)}, "packages": {"torch": f"2.{i}"}}
        results.write_json(tmp_path / str(i) / "predict.json", record | {"finished": f"2030-01-0{2 - i}"})
    (tmp_path / "0" / "evaluate.json").write_text('{"half')
    slices = facts.slice_records(tmp_path)
    told = facts.origins(slices).frame["Value"]
    assert told["Code (commit)"] == f"{'0' * 12}, {'1' * 12} with local changes" and told["Device"] == "cpu, name: H200"
    assert told["Packages"] == "torch 2.0, torch 2.1" and told["Slices finished"] == "2030-01-01 to 2030-01-02"
    assert facts.costs(slices).frame.loc["predict", "Slices"] == 2


def test_costs_are_of_every_stage_and_no_number_where_none_was_counted(tmp_path) -> None:
    passes = {"seconds": 2.0, "forward": 70, "backward": 0}
    for name in ("a/probe/probe", "base_0/ranks/gradient", "base_1/ranks/gradient_noisy"):
        results.write_json(tmp_path / f"{name}.json", {"seconds": 3.0, "passes": passes, "device": "cpu"})
    results.write_json(tmp_path / "base" / "retrain.json", {"seconds": 9.0, "passes": None})
    results.write_json(tmp_path / "base_0" / "gradient" / "ranking.json", {"levels": [10, 90]})
    slices = facts.slice_records(tmp_path)
    table = facts.costs(slices)
    assert table.frame["Slices"].to_dict() == {"probe": 1, "rank": 2, "retrain": 1}
    assert table.frame.loc["rank"].tolist()[:5] == [2, 6, 4, 140, 0]
    assert "<td>9</td><td>-</td><td>-</td><td>-</td><td>-</td>" in table._repr_html_()
    told = facts.origins(slices).frame["Value"]
    assert (told["Device"], told["Platform"]) == ("cpu", "unknown"), "a record that does not say adds no device"


@pytest.mark.parametrize("name", report.NOTEBOOKS)
def test_final_notebook_runs_on_a_made_up_study(name: str, folder, tmp_path) -> None:
    """Run the notebook's cells as they stand, with the parameters of a small study."""
    given = {"results_dir": str(folder), "out_dir": str(tmp_path), "limit": 8, "bootstrap": 100, "several": 2}
    run_cells(name, given)
    written = {path.suffix for path in tmp_path.iterdir()}
    assert {".png", ".pdf", ".csv"} <= written
