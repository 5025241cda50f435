"""House rules of notebooks: prose before code, no definitions, typed parameters, nothing committed but the source."""

import ast
import json
import re
from pathlib import Path
from typing import Any

import pytest

from xailib.params.records import CLASSES

NOTEBOOKS = sorted((Path(__file__).resolve().parent.parent / "notebooks").glob("*.ipynb"))
SLICES = (
    "predict",
    "attribute",
    "evaluate",
    "sanity",
    "finetune",
    "indomain",
    "train",
    "roar_rank",
    "roar_retrain",
    "roar_trust",
)
pytestmark = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def cells(path: Path, kind: str = "") -> list[dict[str, Any]]:
    return [cell for cell in json.loads(path.read_text())["cells"] if kind in ("", cell["cell_type"])]


def source(cell: dict[str, Any]) -> str:
    # Magics are not Python; none of the rules below is about them.
    return "\n".join(line for line in "".join(cell["source"]).splitlines() if not line.startswith(("%", "!")))


def tagged(path: Path) -> list[dict[str, Any]]:
    return [cell for cell in cells(path, "code") if "parameters" in cell["metadata"].get("tags", [])]


def test_it_is_stripped_and_runs_on_the_native_kernel(path: Path) -> None:
    notebook = json.loads(path.read_text())
    assert notebook["metadata"]["kernelspec"]["name"] == "python3"
    assert all(not cell["outputs"] and cell["execution_count"] is None for cell in cells(path, "code"))


def test_it_reads_as_a_page(path: Path) -> None:
    kinds = [cell["cell_type"] for cell in cells(path)]
    assert kinds[0] == "markdown" and source(cells(path)[0]).startswith("# ")
    assert kinds.count("code") <= 15
    assert all(source(cell).strip() for cell in cells(path))


def test_it_defines_nothing(path: Path) -> None:
    """What is worth a name belongs into xailib, where it is tested."""
    for cell in cells(path, "code"):
        nodes = ast.walk(ast.parse(source(cell)))
        assert not [node for node in nodes if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef)]


def test_it_hides_no_figure(path: Path) -> None:
    """A figure of `xailib.plots` is shown as the cell's value; after a semicolon it would not be."""
    for cell in cells(path, "code"):
        assert not re.search(r"^(figure|plots\.\w+\(.*\))\s*;\s*$", source(cell), re.MULTILINE)


def test_parameters_are_typed_literals_with_a_comment(path: Path) -> None:
    found = tagged(path)
    assert len(found) == (0 if path.stem == "explore" and not found else 1)
    for cell in found:
        nodes = ast.parse(source(cell)).body
        assert source(cell).count("  # ") >= len(nodes), "each parameter says what it is: papermill's help shows it"
        for node in nodes:
            assert isinstance(node, ast.AnnAssign)
            ast.literal_eval(node.value)  # papermill injects after the cell: what derives from others keeps old values


def test_parameters_are_keys_of_parameter_files_or_paths(path: Path) -> None:
    if path.stem not in SLICES:
        pytest.skip("not a slice")
    known = {key for record in CLASSES.values() for key in record.model_fields} | {"steps", "mode", "level", "base"}
    names = {node.target.id for cell in tagged(path) for node in ast.parse(source(cell)).body}
    assert {name for name in names if not name.endswith(("_path", "_dir"))} <= known


def test_it_speaks_before_every_step(path: Path) -> None:
    if path.stem not in SLICES[:4]:
        pytest.skip("not a slice")
    kinds = [cell["cell_type"] for cell in cells(path)]
    bare = [i for i in range(1, len(kinds)) if kinds[i] == kinds[i - 1] == "code"]
    assert len(bare) <= 1  # the imports follow the parameters
