"""One HTML page of a study that needs no network: `python -m xailib.analysis.report results/<study> [report.html]`.

The executed final notebooks without their code, with the findings first and the study's parameters, what was left out and
the provenance of every slice last. With `--roar results/<roar study>` the page holds a ROAR study too; a ROAR study's own
folder gives a page of that alone.
"""

import argparse
import html
import re
import sys
from dataclasses import dataclass
from pathlib import Path

from xailib.analysis import facts, roar_facts
from xailib.analysis.frames import find_folder
from xailib.errors import InputError
from xailib.results import atomic

NOTEBOOKS = ("explainability", "correlation", "gallery")
ROAR_NOTEBOOKS = ("roar_results",)
ROAR_TABLE = "roar.parquet"  # a folder that holds it is a ROAR study's
HIDDEN = "not-in-report"  # tag of cells that matter only to whoever runs the notebook
TEMPLATE = Path(__file__).with_name("report.html.j2")
# What would make a browser ask the network: attributes of elements that load, imports and url() of styles.
_LOADS = re.compile(
    r"""<(?:script|img|iframe|link|source|video|audio|object|embed)\b[^>]*\b(?:src|href|data|srcset)\s*=\s*["']?\s*(?:https?:)?//[^"'\s>]*"""
    r"""|@import\s[^;]*|url\(\s*["']?\s*(?:https?:)?//[^)]*\)""",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Section:
    """One notebook as a part of the page: its title, its body, and the headings for the table of contents."""

    id: str
    title: str
    body: str
    headings: list[tuple[str, str]]


def main(words: list[str] | None = None) -> int:
    """Run the command line and return its exit status: 0, or 2 for a user's error."""
    parser = argparse.ArgumentParser(
        prog="python -m xailib.analysis.report", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("results", help="a study's results folder, with the executed final notebooks")
    parser.add_argument("report", nargs="?", help="the HTML file to write (default: report.html in that folder)")
    parser.add_argument("--roar", metavar="FOLDER", help="a ROAR study's results folder, to report on the same page")
    arguments = parser.parse_args(words)
    try:
        path = write_report(arguments.results, arguments.report, arguments.roar)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"wrote {path} ({path.stat().st_size / 1e6:.1f} MB)")
    return 0


def write_report(results_dir: str | Path, report: str | Path | None = None, roar_dir: str | Path | None = None) -> Path:
    """Write the report of a study and return its path.

    Args:
        results_dir: the folder of an explainability study, or of a ROAR study.
        report: the file to write; by default report.html in that folder.
        roar_dir: the folder of a ROAR study to report on the same page.

    Raises:
        InputError: a missing folder or notebook, or two ROAR studies.
    """
    from jinja2 import Environment, StrictUndefined

    folder = find_folder(results_dir)
    alone = (folder / ROAR_TABLE).exists()
    if alone and roar_dir:
        raise InputError(f"{results_dir}: is a ROAR study's folder itself; give an explainability study's with --roar")
    roar = folder if alone else find_folder(roar_dir) if roar_dir else None
    main = None if alone else folder
    parts = [(main, NOTEBOOKS)] if main else []
    parts += [(roar, ROAR_NOTEBOOKS)] if roar else []
    sections = [section(place / f"{name}.ipynb") for place, names in parts for name in names]
    studies = [facts.study_values(place) for place, _ in parts]
    records = [record for place, _ in parts for record in facts.slice_records(place)]
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    page = environment.from_string(TEMPLATE.read_text(encoding="utf-8")).render(
        studies=studies,
        explained=main is not None,
        findings=facts.findings_rows(main) if main else [],
        roar=roar is not None,
        claims=roar_facts.claim_rows(roar) if roar else [],
        sections=sections,
        parameters=[facts.parameter_rows(study) for study in studies],
        skipped=facts.skipped_rows(main) if main else [],
        failed=roar_facts.failed_rows(roar) if roar else [],
        stages=facts.stage_rows(records),
        origins=facts.origins(records),
    )
    loads = remote_loads(page)
    if loads:
        raise RuntimeError(f"the report would load from the network: {loads[0][:120]}")
    path = Path(report) if report else folder / "report.html"
    with atomic(path) as partial:
        partial.write_text(page, encoding="utf-8")
    return path


def section(path: Path) -> Section:
    """Turn an executed notebook into a section: prose, tables and figures, images embedded, no code."""
    import nbformat
    from nbconvert import HTMLExporter

    try:
        notebook = nbformat.read(path, as_version=4)
    except FileNotFoundError:
        raise InputError(f"{path}: no such executed notebook; run the study first (snakemake)") from None
    except (ValueError, nbformat.reader.NotJSONError) as error:
        raise InputError(f"{path}: not a complete notebook ({error}); delete it and run snakemake again") from None
    notebook.cells = [cell for cell in notebook.cells if HIDDEN not in cell.metadata.get("tags", [])]
    # Kernel warnings on stderr are for whoever runs the notebook, not for readers.
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
    exporter = HTMLExporter(
        template_name="basic",
        exclude_input=True,
        exclude_input_prompt=True,
        exclude_output_prompt=True,
        exclude_anchor_links=True,
        embed_images=True,
        mathjax_url="",
        require_js_url="",
        mermaid_js_url="",
        jquery_url="",
    )
    body, _ = exporter.from_notebook_node(notebook)
    return _sectioned(path.stem, body)


def _sectioned(name: str, body: str) -> Section:
    """Move headings one level down, and make their ids unique in the page."""
    headings: list[tuple[str, str]] = []
    title = name.capitalize()

    def moved(match: re.Match[str]) -> str:
        nonlocal title
        level, inner = int(match[1]), match[2]
        text = html.unescape(re.sub(r"<[^>]+>", "", inner)).strip()
        anchor = f"{name}-{re.sub(r'[^a-z0-9]+', '-', text.lower()).strip('-')}"
        if level == 1:
            title = text
            return ""
        if level == 2:
            headings.append((anchor, text))
        return f'<h{level + 1} id="{anchor}">{inner}</h{level + 1}>'

    body = re.sub(r"<h([1-5])\b[^>]*>(.*?)</h\1>", moved, body, flags=re.DOTALL)
    return Section(name, title, body, headings)


def remote_loads(page: str) -> list[str]:
    """Return everything in a page that a browser would fetch from the network (plain links to follow are not)."""
    return [match[0] for match in _LOADS.finditer(page)]


if __name__ == "__main__":
    sys.exit(main())
