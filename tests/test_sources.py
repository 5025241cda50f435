"""What is behind a slice's results: all that its code imports, however it writes that, and nothing else."""

import json
import shutil
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

import pytest

from xailib import params
from xailib.errors import InputError
from xailib.params import made_from
from xailib.params.facts import registry_facts
from xailib.params.stages import FINALS, STAGES
from xailib.workflow import digests as sources
from xailib.workflow.digests import BOOKKEEPING, files, imports, lib_code, modules
from xailib.workflow.study import Study, open_study

PACKAGE = sources.SOURCES / "xailib"
LAYOUT = {
    "xailib/__init__.py": "",
    "xailib/errors.py": "",
    "xailib/engine.py": "import numpy\nfrom xailib.errors import InputError\n",
    "xailib/models/__init__.py": "",
    "xailib/rooms/__init__.py": "from xailib.rooms import other\n",
    "xailib/rooms/other.py": "",
    "xailib/rooms/alone.py": "import torch\n",
    "xailib/rooms/lazy.py": "def f():\n    from xailib.rooms.alone import x\n",
    "xailib/rooms/relative.py": "from . import lazy\nfrom .. import engine\n",
    "xailib/rooms/ring.py": "import xailib.rooms.gnir as back\n",
    "xailib/rooms/gnir.py": "from xailib.rooms import ring\n",
    "xailib/rooms/typed.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from xailib.rooms import lazy\n",
    "xailib/rooms/through.py": "import xailib as xai\nfrom xailib import rooms\nxai.load_model, rooms.alone.x\n",
    "xailib/rooms/table.py": "FILE = 'table.csv'\n",
    "xailib/rooms/table.csv": "",
    "xailib/rooms/unused.csv": "",
}

# Read wherever a study is, so that its faults are known; in the digests of those that import them for their numbers.
CHECKED = {"xailib/params/estimator_files.py", "xailib/params/recipe.py", "xailib/image_files.py"}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name, text in LAYOUT.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def write_notebook(path: Path, *cells: str) -> str:
    path.write_text(json.dumps({"cells": [{"cell_type": "code", "source": cell} for cell in cells]}))
    return path.name


@pytest.mark.parametrize(
    ("module", "found"),
    [
        ("alone", ["alone.py"]),
        ("lazy", ["lazy.py", "alone.py"]),
        ("relative", ["../engine.py", "lazy.py", "alone.py", "relative.py"]),  # errors is bookkeeping
        ("ring", ["gnir.py", "ring.py"]),
        ("typed", ["typed.py"]),
        ("through", ["through.py", "../models/__init__.py", "alone.py"]),
        ("table", ["table.py", "table.csv"]),
    ],
)
def test_imports_are_followed_however_they_are_written(root: Path, module: str, found: list[str]) -> None:
    """With the `__init__` of their packages, which runs first, and what that imports."""
    expected = {(root / "xailib/rooms" / name).resolve() for name in (*found, "__init__.py", "other.py")}
    assert {path.resolve() for path in files([f"xailib.rooms.{module}"], root)} == expected


def test_every_form_of_import_is_read(root: Path) -> None:
    assert imports(root / "xailib/rooms/relative.py", root) == [
        "xailib.rooms", "xailib.rooms.lazy", "xailib", "xailib.engine",
    ]  # fmt: skip


def test_a_notebook_is_read_from_its_cells(root: Path) -> None:
    cells = ("%matplotlib inline\nfrom xailib import rooms\n!ls", "x = (3\n     % 2)\nif x:\n    %time x\nrooms.alone")
    name = write_notebook(root / "n.ipynb", *cells)
    assert {path.name for path in files([name], root)} == {"__init__.py", "other.py", "alone.py"}
    write_notebook(root / "n.ipynb", "import (")
    with pytest.raises(InputError, match=r"n.ipynb: line 1 cannot be read as Python"):
        files([name], root)


# ---- The stages of real studies


def slices() -> list[tuple[str, Study, dict[str, Any]]]:
    """One slice of every stage, from the graph."""
    smoke, roar = open_study("smoke"), open_study("roar_smoke")
    found = []
    for stage in STAGES:
        study = roar if stage.startswith("roar_") else smoke
        one = study.grid.get(stage, [{}])[0]
        if stage in ("probe", "train"):
            one = {"model": study.models[0]}
        notebooks = sorted({name for names in FINALS.values() for name in names}) if stage == "final" else (None,)
        found += [(stage, study, one | ({"notebook": name} if name else {})) for name in notebooks]
    return found


def starts(stage: str, study: Study, one: dict[str, Any]) -> tuple[str, ...]:
    return STAGES[stage].starts.format(**one), *modules(stage, study.slice_values(stage, one))


def names(stage: str, study: str = "smoke", **one: Any) -> set[str]:
    """The files behind a slice of a study, from `xailib/`."""
    found = files(starts(stage, open_study(study), one))
    return {path.relative_to(PACKAGE).as_posix() for path in found}


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the sources that tests may edit."""
    root = tmp_path_factory.mktemp("copy")
    for name in ("xailib", "notebooks"):
        shutil.copytree(sources.SOURCES / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    return root


def test_an_edit_of_what_a_slice_reaches_changes_its_digest_and_no_other_edit_does(copy: Path) -> None:
    """For every stage and every file of xailib."""

    def digest(first: str, *rest: str) -> str:
        lib_code.cache_clear()
        sources._bytes.cache_clear()
        return lib_code(first, rest, copy)

    everything = {path for path in (copy / "xailib").rglob("*") if path.suffix in (".py", ".csv", ".j2")}
    for stage, study, one in slices():
        begin = starts(stage, study, one)
        reached, before = files(begin, copy), digest(*begin)
        assert reached and before != digest("xailib.errors")
        texts = {path: path.read_bytes() for path in everything}
        for path in everything - reached:
            path.write_bytes(texts[path] + b"\n# a remark\n")
        new = copy / "xailib" / "datasets" / "brand_new.py"
        new.write_text("from xailib.registry import dataset\n")
        assert digest(*begin) == before, f"{stage}: an edit of what it does not reach"
        new.unlink()
        for path in everything - reached:
            path.write_bytes(texts[path])
        for path in reached:
            path.write_bytes(texts[path] + b"\n# a remark\n")
            assert digest(*begin) != before, f"{stage}: {path}"
            path.write_bytes(texts[path])
    lib_code.cache_clear()
    sources._bytes.cache_clear()


def test_what_a_notebook_really_loads_is_among_its_files() -> None:
    """Read statically, met at run time: each notebook's imports in a fresh Python, and the modules that are there then."""
    code = (
        "import ast, importlib, json, sys\n"
        "found = {}\n"
        "for name, source in json.load(sys.stdin).items():\n"
        "    for module in [m for m in sys.modules if m.partition('.')[0] == 'xailib']:\n"
        "        del sys.modules[module]\n"
        "    tree = ast.parse(source)\n"
        "    tree.body = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]\n"
        "    exec(compile(tree, name, 'exec'))\n"
        "    modules = [m for m in sys.modules.values() if m.__name__.partition('.')[0] == 'xailib']\n"
        "    found[name] = [m.__file__ for m in modules]\n"
        "print(json.dumps(found))\n"
    )
    notebooks = {
        name: "\n".join(sources._cells(sources.SOURCES / name))
        for stage, _, one in slices()
        if (name := STAGES[stage].starts.format(**one)).endswith(".ipynb")
    }
    given = {"input": json.dumps(notebooks), "capture_output": True, "text": True, "cwd": sources.SOURCES}
    run = subprocess.run([sys.executable, "-c", code], **given)
    assert run.returncode == 0, run.stderr
    for name, loaded in json.loads(run.stdout).items():
        paths = {Path(path).relative_to(sources.SOURCES).as_posix() for path in loaded}
        known = {path.relative_to(sources.SOURCES).as_posix() for path in files([name])}
        assert len(paths) > 5 and paths - known <= CHECKED | BOOKKEEPING, name


def test_a_method_has_its_own_files_and_the_shared_ones() -> None:
    pair = {"model": "mini_resnet_vanilla"}
    rise, lime = names("attribute", **pair, method="rise"), names("attribute", **pair, method="lime")
    assert "attribution/rise.py" in rise - lime and "attribution/lime.py" in lime - rise
    assert not (rise | lime) & {"attribution/cam.py", "attribution/gradients.py", "metrics/removal.py"}
    assert {"engine/__init__.py", "attribution/__init__.py", "models/model.py"} <= rise & lime
    assert names("attribute", **pair, method="shap_abs") == names("attribute", **pair, method="shap")


def test_a_slice_has_the_files_of_its_own_data_set_network_metrics_and_estimators() -> None:
    known = registry_facts()
    home = {
        (kind, name): facts["module"].removeprefix("xailib.").replace(".", "/") + ".py"
        for kind, entries in known.items()
        for name, facts in entries.items()
    }
    predict = names("predict", model="mini_resnet_vanilla")
    assert {home["datasets", "pictograms"], home["models", "mini_resnet"]} <= predict
    assert not predict & {home["datasets", "tiny_imagenet"], home["models", "alexnet"], home["datasets", "birdsnap"]}
    one = {"model": "mini_resnet_vanilla", "method": "gradient"}
    deletion = names("evaluate", **one, metrics=["deletion", "insertion"])
    assert home["metrics", "deletion"] in deletion and home["metrics", "localisation"] not in deletion
    assert home["metrics", "localisation"] in names("evaluate", **one, metrics=["deletion", "localisation"])
    rank = names("roar_rank", "roar_smoke", estimators=["vargrad_gradient"])
    assert {home["methods", "gradient"], home["estimators", "vargrad"], home["models", "roar_cnn"]} <= rank
    assert home["methods", "lime"] not in rank
    retrain = names("roar_retrain", "roar_smoke", estimator="gradient", mode="remove", level=50)
    assert "roar/retrain.py" in retrain and not {path for path in retrain if path.startswith("attribution/")}


def test_what_went_unseen_once() -> None:
    """A rule of `using`, and an estimator's defaults, once re-ran nothing when they were edited."""
    for stage, study, one in slices():
        if STAGES[stage].gpu:
            assert "engine/passes.py" in names(stage, study.name, **one), stage
    assert "params/estimator_files.py" in names("roar_rank", "roar_smoke", estimators=["gradient"])


def test_shifts_that_are_data_sets_are_files_of_a_prediction() -> None:
    roots = {"imagenet_v2": "x", "imagenet_real": None}
    found = modules("predict", open_study("smoke").values | {"model": "mini_resnet_vanilla", "shift_roots": roots})
    facts = registry_facts()["datasets"]
    assert {facts[name]["module"] for name in roots} <= set(found)


def test_registered_functions_say_their_module() -> None:
    for kind in ("methods", "metrics"):
        for facts in registry_facts()[kind].values():
            assert (sources.SOURCES / Path(*facts["module"].split("."))).with_suffix(".py").is_file()


def test_what_a_method_really_imports_is_among_its_files() -> None:
    """Read statically, met at run time: every module of the methods' package that a method's module holds names of."""
    from xailib import registry

    study = open_study("smoke")
    for id, entry in registry.method.entries.items():
        module = sys.modules[entry.function.__module__]
        homes = {getattr(value, "__module__", None) or "" for value in vars(module).values()}
        used = {home.replace(".", "/") + ".py" for home in homes if home.startswith("xailib.attribution.")}
        found = files(starts("attribute", study, {"model": study.models[0], "method": id}))
        assert used <= {path.relative_to(sources.SOURCES).as_posix() for path in found}, id


# ---- What no digest holds


def test_bookkeeping_computes_nothing() -> None:
    """What is in no digest can change no number: it imports nothing that computes, and no file of xailib that does."""
    allowed = BOOKKEEPING | CHECKED
    for name in BOOKKEEPING & {path.relative_to(sources.SOURCES).as_posix() for path in PACKAGE.rglob("*.py")}:
        found = imports(sources.SOURCES / name)
        assert not {module.partition(".")[0] for module in found} & {"numpy", "pandas", "scipy", "torchvision"}, name
        for module in found:
            paths = {path.relative_to(sources.SOURCES).as_posix() for path in sources._paths(module, sources.SOURCES)}
            # Reading registries for their facts is how files are checked.
            assert paths <= allowed | {"xailib/registry.py"}, f"{name}: {module}"
    assert len(BOOKKEEPING) < 15


def test_how_files_are_read_is_seen_by_the_values(monkeypatch: pytest.MonkeyPatch) -> None:
    """`xailib.params` is in no digest: another meaning of a parameter file makes other values, which results hold."""
    study, one = open_study("smoke"), {"model": "mini_resnet_vanilla", "method": "rise"}
    before = {stage: study.made_from(stage, **one) for stage in ("attribute", "evaluate")}
    monkeypatch.setattr(params, "options", lambda values, kind, scale: {"other": 1})
    for stage, found in before.items():
        assert made_from.difference(found, study.made_from(stage, **one)), stage


def test_no_modules_import_each_other_in_a_circle() -> None:
    """Imports run one way, late ones too; that a package's `__init__` gathers its own files is no circle."""
    paths = {path: ".".join(path.relative_to(sources.SOURCES).with_suffix("").parts) for path in PACKAGE.rglob("*.py")}
    modules = {name.removesuffix(".__init__"): path for path, name in paths.items()}
    graph = {
        name: {
            other
            for other in imports(path, sources.SOURCES)
            if other in modules and not f"{name}.".startswith(other + ".")
        }
        for name, path in modules.items()
    }
    assert graph["xailib.workflow.run"] >= {"xailib.workflow.slices", "xailib.workflow.warm"}
    TopologicalSorter(graph).prepare()  # raises CycleError, which names the circle
