"""The report: what `notebooks/report.ipynb` shows, and that notebook, once executed, as one page that needs no network.

`python -m xailib.workflow report results/<study>/report.ipynb [report.html]` writes the page.
"""

import argparse
import dataclasses
import html
import inspect
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

from xailib.analysis import findings
from xailib.analysis.facts import question, study_values
from xailib.analysis.frames import find_folder
from xailib.analysis.table import Table
from xailib.errors import InputError
from xailib.params.stages import FINALS
from xailib.results import atomic, read_table

NOTEBOOKS = FINALS["papers"]
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


def studies(results_dir: str | Path, roar_dir: str | Path | None = None) -> tuple[Path | None, Path | None]:
    """Return the folders of the explainability study and of the ROAR study, None where there is none.

    Raises:
        InputError: a missing folder, or two ROAR studies.
    """
    folder = find_folder(results_dir)
    if not (folder / ROAR_TABLE).exists():
        return folder, find_folder(roar_dir) if roar_dir else None
    if roar_dir:
        raise InputError(
            f"{results_dir}: is a ROAR study's folder itself; give an explainability study's with roar_dir"
        )
    return None, folder


def kind(main: Path) -> str:
    """Return what kind of study a folder holds: papers or compare."""
    return study_values(main).get("kind", "papers")


def finals(main: Path) -> tuple[str, ...]:
    """Return the final notebooks of the study in a folder, in the order of the report."""
    return FINALS[kind(main)]


def recommended(main: Path) -> str:
    """Return what a comparison of methods recommends, a paragraph of Markdown a network."""
    return "\n\n".join(read_table(main / "figures" / "advice.csv")["text"])


def title(main: Path | None, roar: Path | None) -> str:
    """Return the head of the report in Markdown: its question, and the studies that answer it."""
    text = f"# {question(study_values(main)) if main else 'Which rankings find what the network needs?'}"
    for values in (study_values(folder) for folder in (main, roar) if folder):
        text += f"\n\nStudy **{values['study']}**" + (f": {values['description']}" if values["description"] else "")
    return text


def verdicts(path: Path) -> Table:
    """Return the verdicts of a table of findings (`findings.save`), without the rules."""
    if not path.exists():
        return Table(pd.DataFrame(), f"Nothing was tested yet: {path.name} is missing.")
    shown = findings.headlines(read_table(path).fillna({"claim": "", "sentence": "", "statistic": ""}))
    return dataclasses.replace(shown, frame=shown.frame.drop(columns="Rule"), best=None)


def source(function: Callable[..., Any]) -> Any:
    """Return a function's source, folded under its name and the first line of its docstring."""
    from IPython.display import HTML
    from pygments import highlight
    from pygments.formatters import HtmlFormatter
    from pygments.lexers import PythonLexer

    code = highlight(inspect.getsource(function), PythonLexer(), HtmlFormatter(noclasses=True))
    about = html.escape((function.__doc__ or "").partition("\n")[0])
    return HTML(f"<details><summary><code>{function.__name__}</code> {about}</summary>{code}</details>")


def show_notebook(path: Path, start: Path) -> None:
    """Show an executed notebook's prose, tables and figures in the cell that calls, its headings one level down.

    Args:
        path: the notebook.
        start: where the report lies, for the link to the notebook.
    """
    from IPython.display import Markdown, display

    heading = ""
    for cell in _visible(path):
        if cell.cell_type == "markdown":
            text = re.sub(r"^(#+ .*)", r"#\1", cell.source, flags=re.MULTILINE)
            if not heading:
                text += f"\n\nFrom [{path.name}]({os.path.relpath(path, start)})."
            heading = (re.findall(r"^#+ (.*)", text, re.MULTILINE) or [heading or path.stem])[-1]
            display(Markdown(text))
        for output in cell.get("outputs", []):
            if output.output_type == "stream":
                print(output.text, end="")
            elif output.output_type in ("display_data", "execute_result"):
                display(dict(output.data), metadata={"image/png": {"alt": heading}}, raw=True)


def write_page(path: str | Path, page: str | Path | None = None) -> Path:
    """Write an executed notebook as one HTML page without code: figures inside, a table of contents beside it.

    Args:
        path: the notebook.
        page: the file to write; by default the notebook's name with `.html`.

    Raises:
        InputError: a missing or damaged notebook.
    """
    import nbformat
    from jinja2 import Environment, StrictUndefined
    from nbconvert import HTMLExporter

    exporter = HTMLExporter(
        template_name="basic",
        exclude_input=True,
        exclude_input_prompt=True,
        exclude_output_prompt=True,
        embed_images=True,
        mathjax_url="",
        require_js_url="",
        mermaid_js_url="",
        jquery_url="",
    )
    body, _ = exporter.from_notebook_node(nbformat.v4.new_notebook(cells=_visible(Path(path))))
    heads = [(int(level), id, re.sub(r"<[^>]+>", "", text)) for level, id, text in re.findall(
        r'<h([123]) id="([^"]*)">(.*?)<a class="anchor-link"', body, re.DOTALL
    )]  # fmt: skip
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    text = environment.from_string(TEMPLATE.read_text(encoding="utf-8")).render(body=body, heads=heads)
    loads = remote_loads(text)
    if loads:
        raise RuntimeError(f"the report would load from the network: {loads[0][:120]}")
    page = Path(page) if page else Path(path).with_suffix(".html")
    with atomic(page) as partial:
        partial.write_text(text, encoding="utf-8")
    return page


def remote_loads(page: str) -> list[str]:
    """Return everything in a page that a browser would fetch from the network (plain links to follow are not)."""
    return [match[0] for match in _LOADS.finditer(page)]


def _visible(path: Path) -> list[Any]:
    """Read an executed notebook's cells for readers: without those tagged for whoever runs it, and without stderr."""
    import nbformat

    try:
        cells = nbformat.read(path, as_version=4).cells
    except FileNotFoundError:
        raise InputError(f"{path}: no such executed notebook; run the study first (snakemake)") from None
    except (ValueError, nbformat.reader.NotJSONError) as error:
        raise InputError(f"{path}: not a complete notebook ({error}); delete it and run snakemake again") from None
    cells = [cell for cell in cells if HIDDEN not in cell.metadata.get("tags", [])]
    for cell in cells:
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
    return cells


def main(words: list[str] | None = None) -> int:
    """Run the command line and return its exit status: 0, or 2 for a user's error."""
    about = (__doc__ or "").partition("\n")[0]
    parser = argparse.ArgumentParser(prog="python -m xailib.workflow report", description=about)
    parser.add_argument("notebook", help="the executed report.ipynb")
    parser.add_argument("page", nargs="?", help="the HTML file to write (default: report.html beside it)")
    arguments = parser.parse_args(words)
    try:
        path = write_page(arguments.notebook, arguments.page)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"wrote {path} ({path.stat().st_size / 1e6:.1f} MB)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
