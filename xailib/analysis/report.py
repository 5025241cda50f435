"""What `notebooks/report.ipynb` shows: which studies, their final notebooks as they were executed, sources of verdicts."""

import html
import inspect
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from xailib.analysis.facts import fewer, question, study_values
from xailib.analysis.page import compose, visible
from xailib.errors import InputError
from xailib.params.stages import FINALS
from xailib.results import find_folder, read_table

NOTEBOOKS = FINALS["papers"]
ROAR_NOTEBOOKS = ("roar_results",)
ROAR_TABLE = "roar.parquet"  # a folder that holds it is a ROAR study's


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
    """Return what a comparison of methods recommends, a paragraph of Markdown a network, and if its images were too few."""
    return "\n\n".join(filter(None, [*read_table(main / "figures" / "advice.csv")["text"], fewer(main)]))


def title(main: Path | None, roar: Path | None) -> str:
    """Return the head of the report in Markdown: its question, and the studies that answer it."""
    text = f"# {question(study_values(main)) if main else 'Which rankings find what the network needs?'}"
    studies = [study_values(folder) for folder in (main, roar) if folder]
    told = [f"**{values['study']}**{': ' * bool(values['description'])}{values['description']}" for values in studies]
    return f"{text}\n\n{' '.join(told)}"


def source(function: Callable[..., Any]) -> Any:
    """Return a function's source, folded under its name and the first line of its docstring."""
    from IPython.display import HTML
    from pygments import highlight
    from pygments.formatters import HtmlFormatter
    from pygments.lexers import PythonLexer

    code = highlight(inspect.getsource(function), PythonLexer(), HtmlFormatter(noclasses=True))
    about = html.escape((function.__doc__ or "").partition("\n")[0])
    return HTML(f"<details><summary><code>{function.__name__}</code> {about}</summary>{code}</details>")


def verbatim(text: str) -> Any:
    """Return HTML that stands on the page as it is, scripts included."""
    from IPython.display import HTML

    return HTML(f"<!--verbatim-->{text}<!--/verbatim-->")


def notebook(path: Path, start: Path) -> Any:
    """Return an executed notebook's prose, tables and figures as HTML, its headings one level down.

    Args:
        path: the notebook.
        start: where the report lies, for the links to the notebook and to the files of its figures.
    """
    from IPython.display import HTML

    text, link = compose(visible(path), level=1), html.escape(os.path.relpath(path, start))
    text = text.replace("</p>", f' <a class="from" href="{link}">{path.name}</a></p>', 1)
    places = f'data-folder="{html.escape(os.path.relpath(path.parent / "figures", start))}" data-notebook="{link}"'
    return HTML(re.sub(r'(<(?:figure|table)\b[^>]*)( data-name="[^"]+")', rf"\1\2 {places}", text))
