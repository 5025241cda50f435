"""Which files a method or metric is made of: what it imports, however it writes that, and nothing else."""

import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from xailib.params.facts import registry_facts
from xailib.workflow import digests as sources
from xailib.workflow.digests import files, imports

PACKAGE = sources.ROOT / "xailib"
LAYOUT = {
    "xailib/__init__.py": "",
    "xailib/errors.py": "",
    "xailib/engine.py": "import numpy\nfrom xailib.errors import InputError\n",
    "xailib/rooms/__init__.py": "from xailib.rooms import other\n",
    "xailib/rooms/other.py": "",
    "xailib/rooms/plain.py": "import torch\n",
    "xailib/rooms/lazy.py": "def f():\n    from xailib.rooms.plain import x\n",
    "xailib/rooms/relative.py": "from . import lazy\nfrom .. import engine\n",
    "xailib/rooms/ring.py": "import xailib.rooms.gnir as back\n",
    "xailib/rooms/gnir.py": "from xailib.rooms import ring\n",
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name, text in LAYOUT.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


@pytest.mark.parametrize(
    ("module", "found"),
    [
        ("plain", ["plain"]),
        ("lazy", ["lazy", "plain"]),
        ("relative", ["../engine", "lazy", "plain", "relative"]),  # errors is bookkeeping
        ("ring", ["gnir", "ring"]),
    ],
)
def test_imports_are_followed_however_they_are_written(root: Path, module: str, found: list[str]) -> None:
    expected = {(root / "xailib/rooms" / f"{name}.py").resolve() for name in found}
    assert {path.resolve() for path in files([f"xailib.rooms.{module}"], root)} == expected


def test_every_form_of_import_is_read(root: Path) -> None:
    assert list(imports(root / "xailib/rooms/relative.py", root)) == [
        "xailib.rooms", "xailib.rooms.lazy", "xailib", "xailib.engine",
    ]  # fmt: skip


def names(stage: str, kind: str, *ids: str) -> set[str]:
    return {str(path.relative_to(sources.ROOT / "xailib")) for path in sources.sources(stage, kind, *ids)}


def test_a_method_has_its_own_files_and_the_shared_ones() -> None:
    rise, lime = names("attribute", "methods", "rise"), names("attribute", "methods", "lime")
    assert rise - lime == {"attribution/rise.py"}
    assert lime - rise == {"attribution/lime.py", "attribution/superpixels.py"}
    assert {"engine/__init__.py", "attribution/__init__.py", "seeding.py", "models/state.py"} <= rise & lime
    assert names("attribute", "methods", "shap_abs") == names("attribute", "methods", "shap")


def test_a_study_has_the_files_of_its_metrics() -> None:
    deletion = names("evaluate", "metrics", "deletion", "insertion")
    assert "metrics/removal.py" in deletion and "metrics/localisation.py" not in deletion
    assert "metrics/localisation.py" in names("evaluate", "metrics", "deletion", "localisation")


def test_registered_functions_say_their_module() -> None:
    for kind in ("methods", "metrics"):
        for facts in registry_facts()[kind].values():
            assert (sources.ROOT / Path(*facts["module"].split("."))).with_suffix(".py").is_file()


def test_what_a_method_really_imports_is_among_its_files() -> None:
    """Read statically, met at run time: every module of the methods' package that a method's module holds names of."""
    import xailib.attribution  # noqa: F401  (loads them all)

    for id, facts in registry_facts()["methods"].items():
        module = sys.modules[facts["module"]]
        homes = {getattr(value, "__module__", None) or "" for value in vars(module).values()}
        used = {home.removeprefix("xailib.").replace(".", "/") + ".py" for home in homes if home.startswith("xailib.")}
        assert used - {"registry.py", "errors.py"} <= names("attribute", "methods", id), id


def test_no_modules_import_each_other_in_a_circle() -> None:
    """Imports run one way, late ones too; that a package's `__init__` gathers its own files is no circle."""
    paths = {path: ".".join(path.relative_to(sources.ROOT).with_suffix("").parts) for path in PACKAGE.rglob("*.py")}
    modules = {name.removesuffix(".__init__"): path for path, name in paths.items()}
    graph = {
        name: {
            other
            for other in imports(path, sources.ROOT)
            if other in modules and not f"{name}.".startswith(other + ".")
        }
        for name, path in modules.items()
    }
    assert graph["xailib.workflow.run"] >= {"xailib.workflow.slices", "xailib.workflow.warm"}
    TopologicalSorter(graph).prepare()  # raises CycleError, which names the circle
