"""Run a final notebook's cells in this process, a second instead of a kernel's five, and see what it drew."""

import ast
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import nbformat
import pytest
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output
from matplotlib.figure import Figure

from xailib import plots
from xailib.analysis import frames

NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"


def run_cells(name: str, given: dict[str, Any]) -> dict[str, Any]:
    """Execute the cells as they stand, with those `given` values that the parameters cell declares; return its names."""
    cells = [
        cell for cell in nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4).cells if cell.cell_type == "code"
    ]
    assert "parameters" in cells[0].metadata["tags"] and len(cells) <= 15
    space: dict[str, Any] = {}
    for i, cell in enumerate(cells):
        assert not any(isinstance(node, ast.FunctionDef | ast.ClassDef) for node in ast.walk(ast.parse(cell.source)))
        exec(compile(cell.source, f"{name} cell {i}", "exec"), space)
        if i == 0:
            space |= {key: value for key, value in given.items() if key in space}
    return space


def executed_cells(name: str, given: dict[str, Any]) -> nbformat.NotebookNode:
    """Execute a notebook as `run_cells` does and return it with its outputs; an error in a cell is raised."""
    notebook, shell = nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4), InteractiveShell.instance()
    shell.reset()
    for cell in (cell for cell in notebook.cells if cell.cell_type == "code"):
        with capture_output() as captured:
            result = shell.run_cell(cell.source)
        result.raise_error()
        shown = [
            nbformat.v4.new_output("display_data", out.data, metadata=out.metadata or {}) for out in captured.outputs
        ]
        if hasattr(result.result, "_repr_html_"):  # what a cell ends with is printed here, and shown by a kernel
            shown.append(nbformat.v4.new_output("display_data", {"text/html": result.result._repr_html_()}))
        text = captured.stdout if result.result is None else ""
        cell.outputs = [*([nbformat.v4.new_output("stream", text=text)] if text else []), *shown]
        if "parameters" in cell.metadata.get("tags", []):
            shell.user_ns.update({key: value for key, value in given.items() if key in shell.user_ns})
    return notebook


def figures(name: str, study: frames.Frames, out: Path, **given: Any) -> dict[str, Figure]:
    """Run a final notebook on frames; return the figures that it saves, by name."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(frames, "read_frames", lambda *_, **__: study)
        folders = {"out_dir": str(out), "results_dir": str(out)}
        return drawn(name, folders | {"bootstrap": 100, "study": "made_up", "compare": []} | given)


def drawn(name: str, given: dict[str, Any]) -> dict[str, Figure]:
    """Run a final notebook as `run_cells` does, but keep what it would save: {name: figure}."""
    found: dict[str, Figure] = {}

    def keep(figure: Figure, out_dir: str, name: str, data: Any, *_: Any) -> Figure:
        plt.close(figure)
        return found.setdefault(name, figure)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plots, "save", keep)
        run_cells(name, given)
    return found


def texts(figure: Figure) -> str:
    """All that is written in a figure, a line a text."""
    found = figure.findobj(lambda artist: hasattr(artist, "get_text"))
    return "\n".join(" ".join(text.get_text().split()) for text in found)
