"""The front page, the documentation and the release files say what is there."""

import ast
import json
import re
import runpy
import tomllib
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

import xailib

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
TUTORIALS = sorted((ROOT / "docs" / "tutorials").glob("*.ipynb"))
EXAMPLES = {"xailib/attribution/tiles.py", "xailib/datasets/leaves.py"}  # files that a reader is told to write
FOLDERS = "xailib|params|docs|notebooks|weights|profiles|tests|benchmarks|rules"

of_pages = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)


@pytest.fixture(scope="module")
def front() -> SimpleNamespace:
    """What `docs/front.py` defines."""
    return SimpleNamespace(**runpy.run_path(str(ROOT / "docs" / "front.py")))


def test_the_numbers_of_the_front_page_are_those_that_are_shipped(front: SimpleNamespace) -> None:
    assert front.filled(front.README, front.answer()) == front.README.read_text(), "make front writes them anew"
    assert front.filled(front.PAGE, front.details()) == front.PAGE.read_text(), "make front writes them anew"
    for row in front.headlines().to_dict("records"):
        assert row["finding"] in front.PAGE.read_text()


def test_the_figure_draws_each_claim_with_the_number_that_its_verdict_hangs_on(front: SimpleNamespace) -> None:
    rows, heads = front.deciding(), front.headlines()
    (axes,) = front.forest(rows).axes
    told = [text.get_text().replace("\n", " ") for text in axes.texts]
    assert [word for word in told if word in set(heads["finding"])] == heads["finding"].tolist()
    assert [word for word in told if word in front.rules.COLOURS] == heads["verdict"].tolist()
    bars = [line.get_xdata() for line in axes.lines if len(line.get_xdata()) == 2][: len(rows)]
    for (low, high), row in zip(bars, rows, strict=True):
        assert (low > 0, high < 0) == (row["low"] > 0, row["high"] < 0) and -1 <= low <= high <= 1


@of_pages
def test_files_that_a_page_names_are_there(page: Path) -> None:
    text = page.read_text()
    named = set(re.findall(rf"`((?:{FOLDERS})/[\w./-]*\w/?)`", text)) - EXAMPLES
    assert not {name for name in named if not (ROOT / name).exists()}
    links = {link.partition("#")[0] for link in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in link}
    assert not {link for link in links - {""} if "../" not in link and not (page.parent / link).exists()}


@of_pages
def test_commands_that_a_page_names_are_there(page: Path) -> None:
    from xailib.workflow.__main__ import HELP

    text = page.read_text()
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    asked = {
        word for words in re.findall(r"(?:`|^)make ([a-z][a-z -]*)", text, re.MULTILINE) for word in words.split()[:1]
    }
    assert asked <= targets
    assert set(re.findall(r"python -m xailib\.workflow ([a-z]+)", text)) <= set(
        re.findall(r"^  (\w+)", HELP, re.MULTILINE)
    )
    studies = set(re.findall(r"(?:STUDY|study)=([a-z_]+)", text))
    assert not {study for study in studies if not (ROOT / f"params/studies/{study}.yaml").exists()}


@of_pages
def test_examples_of_a_page_are_python_and_yaml(page: Path) -> None:
    for language, code in re.findall(r"^```(python|yaml)\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL):
        (ast.parse if language == "python" else yaml.safe_load)(code)


@pytest.mark.parametrize("path", TUTORIALS, ids=lambda path: path.stem)
def test_a_tutorial_is_stripped_and_begins_with_its_title(path: Path) -> None:
    cells = json.loads(path.read_text())["cells"]
    assert "".join(cells[0]["source"]).startswith("# ")
    assert all(not cell["outputs"] and cell["execution_count"] is None for cell in cells if cell["cell_type"] == "code")


@pytest.mark.parametrize("name", ["add_method", "read_report"])
def test_a_tutorial_runs(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import papermill

    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    papermill.execute_notebook(
        ROOT / f"docs/tutorials/{name}.ipynb", tmp_path / "out.ipynb", cwd=tmp_path, progress_bar=False
    )
    cells = json.loads((tmp_path / "out.ipynb").read_text())["cells"]
    assert any(cell["outputs"] for cell in cells if cell["cell_type"] == "code")


def test_the_site_shows_the_default_report_where_it_was_made(tmp_path: Path) -> None:
    hooks = runpy.run_path(str(ROOT / "docs" / "hooks.py"))
    inside = hooks["on_page_markdown"].__globals__
    page = SimpleNamespace(file=SimpleNamespace(src_uri="report.md"))
    inside["RESULTS"] = tmp_path / "results"
    assert hooks["on_page_markdown"]("text", page) == "text"
    study = tmp_path / "results" / "pictograms"
    for name in ("report.html", "findings.csv", "scores.parquet", "figures/rise.png", "mini_resnet/rise/maps.npz"):
        (study / name).parent.mkdir(parents=True, exist_ok=True)
        (study / name).write_text(name)
    assert 'href="results/pictograms/report.html"' in hooks["on_page_markdown"]("text", page)
    hooks["on_post_build"]({"site_dir": str(tmp_path / "site")})
    copied = {str(path.relative_to(tmp_path / "site")) for path in (tmp_path / "site").rglob("*") if path.is_file()}
    assert copied == {f"results/pictograms/{name}" for name in ("report.html", "findings.csv", "figures/rise.png")}


def test_every_study_is_named(repository: Path) -> None:
    text = (repository / "docs" / "studies.md").read_text()
    assert not {
        path.stem for path in (repository / "params" / "studies").glob("*.yaml") if f"`{path.stem}`" not in text
    }


def test_versions_are_told_alike(repository: Path) -> None:
    assert yaml.safe_load((repository / "CITATION.cff").read_text())["version"] == xailib.__version__
    matrix = yaml.safe_load((repository / ".github/workflows/ci.yml").read_text())["jobs"]["test"]["strategy"]["matrix"]
    oldest, *_, newest = matrix["python"]
    project = tomllib.loads((repository / "pyproject.toml").read_text())["project"]
    assert project["requires-python"] == f">={oldest}"
    assert f"Python {oldest} to {newest}" in (repository / "README.md").read_text()
    assert f"{newest} on Linux" in (repository / "docs/install.md").read_text()


def test_continuous_integration_runs_what_everyone_runs(repository: Path) -> None:
    jobs = [yaml.safe_load(path.read_text())["jobs"] for path in (repository / ".github/workflows").glob("*.yml")]
    runs = [step["run"] for job in jobs for one in job.values() for step in one["steps"] if "run" in step]
    assert "bash .ci/run" in runs
    targets = re.findall(r"^([a-z-]+):", (repository / "Makefile").read_text(), re.MULTILINE)
    assert {word for run in runs if run.startswith("make ") for word in run.split()[1:]} <= set(targets)
    hooks = yaml.safe_load((repository / ".pre-commit-config.yaml").read_text())["repos"]
    assert [hook["repo"] for hook in hooks] == ["local"], "nothing is downloaded"
