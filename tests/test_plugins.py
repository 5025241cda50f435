"""Plug-ins: own methods, metrics, data sets and architectures in the workspace's `plugins/`, found by themselves."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from xailib import params
from xailib.errors import InputError
from xailib.params.facts import broken_plugins, registry_facts
from xailib.workflow import digests
from xailib.workflow.digests import lib_code
from xailib.workflow.study import open_study
from xailib.workspace import environment

MINE = """
import pandas as pd
import torch
from xailib.datasets.items import Item
from xailib.registry import architecture, dataset, method, metric

from .shared import SCALE


@method("mine", family="control", label="Mine", paper="ours")
def mine(model, pixels, targets, *, seed: int, power: float = 1.0):
    return SCALE * pixels.mean(1) ** power


@metric("mean_map", better="higher", range=(0, 1), label="Mean", paper="ours", passes=False)
def mean_map(maps, model, images):
    return pd.DataFrame({'value': maps.mean((1, 2)).numpy()})


@dataset("grey", label="Grey", splits=("test",), class_names=lambda: ["a", "b"])
def grey(*, seed: int, limit: int | None) -> list[Item]:
    return []


@architecture("flat", label="Flat")
def flat(classes: int) -> torch.nn.Module:
    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.LazyLinear(classes))
"""
METHOD = """from xailib.registry import method
@method('{0}', family='control', label='x', paper='x')
def f(model, pixels, targets): pass
"""
STUDY = (
    "study: own\ndataset: pictograms\nmodels: mini_resnet_vanilla\nmethods: [mine, gradient]\nmetrics: pointing_game\n"
)


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A workspace with a plug-in, its helper, a file of another project, and a study that uses the method."""
    files = {
        "plugins/mine.py": MINE,
        "plugins/shared.py": "from .parts.core import SCALE  # of xailib\n",
        "plugins/parts/core.py": "from .scale import SCALE\n",
        "plugins/parts/scale.py": "SCALE = 2.0\n",
        "plugins/foreign.py": "raise SystemExit('not ours')\n",
        "params/methods/mine.yaml": "method: mine\n",
        "params/studies/own.yaml": STUDY,
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setenv("XAILIB_WORKSPACE", str(tmp_path))
    return tmp_path


def ask(code: str) -> subprocess.CompletedProcess[str]:
    """Run code in a fresh Python, since registries are filled once."""
    command = [sys.executable, "-W", "always", "-c", f"import json\nimport xailib as xai\n{code}"]
    return subprocess.run(command, env=environment(), capture_output=True, text=True)


def test_one_file_makes_a_method_a_metric_a_data_set_and_an_architecture(root: Path) -> None:
    facts = registry_facts()
    for kind, name in (("methods", "mine"), ("metrics", "mean_map"), ("datasets", "grey"), ("models", "flat")):
        assert facts[kind][name]["module"] == "xailib.plugins.mine"
        assert list(facts[kind])[-1] == name, "own ones follow the shipped ones in tables"
    assert broken_plugins() == []
    study = open_study("own")
    assert study.pairs == [("mini_resnet_vanilla", "mine"), ("mini_resnet_vanilla", "gradient")]


LEAVES = """
import torch
from pathlib import Path
from PIL import Image

model, images = xai.load_model("mini_resnet_vanilla"), xai.load_images("pictograms", limit=2)
maps = xai.attribute("tiles", model, images, patch=16)
tiles = maps.values.unflatten(1, (4, 16)).unflatten(3, (4, 16))
one = torch.zeros(2, 64, 64)
one[0, 3, 5] = 1
for tree in ("elm", "oak"):
    Path("leaves/test", tree).mkdir(parents=True)
    Image.new("RGB", (300, 200), "green").save(f"leaves/test/{tree}/1.jpg")
leaves = xai.load_images("leaves", root="leaves")
print(json.dumps({
    "flat": bool((tiles == tiles[:, :, :1, :, :1]).all()) and not bool((tiles == tiles[0, 0, 0, 0, 0]).all()),
    "half": xai.evaluate("half_mass", torch.cat([one[:1], torch.ones(1, 64, 64)]), model, images)["value"].tolist(),
    "none": bool(xai.evaluate("half_mass", one, model, images)["value"].isna()[1]),
    "leaves": [*sorted(zip(leaves.ids, leaves.labels.tolist())), leaves.boxes[0].tolist(), list(leaves.pixels.shape)],
}))
"""


def test_the_documents_examples_run(tmp_path: Path, repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As plug-ins, in a study's plan, and by hand."""
    monkeypatch.setenv("XAILIB_WORKSPACE", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    page = (repository / "docs/extend.md").read_text()
    blocks = re.findall(r"^```(?:python|yaml)\n# (\S+/(\S+))\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    for path, name, text in blocks:
        file = tmp_path / (f"plugins/{name}" if path.startswith("xailib/") else path)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"# of xailib\n{text}")
    assert {path.stem for path in tmp_path.glob("plugins/*")} == {"tiles", "leaves", "half_mass"}
    study = tmp_path / "params/studies/own.yaml"
    study.parent.mkdir()
    study.write_text(STUDY.replace("[mine, gradient]", "tiles").replace("pointing_game", "[half_mass, deletion]"))
    assert open_study("own").values["metrics"] == ["half_mass", "deletion"]
    run = ask(LEAVES)
    assert run.returncode == 0, run.stderr
    said = json.loads(run.stdout)
    assert said["flat"] and said["half"] == [1 / 64**2, 0.5] and said["none"]
    leaves = [["elm/1.jpg", 0], ["oak/1.jpg", 1], [[56, 0, 168, 224]], [2, 3, 224, 224]]
    assert said["leaves"] == leaves


def test_an_edit_of_a_plugin_runs_again_only_what_uses_it(root: Path) -> None:
    def origins() -> dict[tuple[str, str], str]:
        lib_code.cache_clear()
        digests._bytes.cache_clear()
        study, model = open_study("own"), "mini_resnet_vanilla"
        stages = [(stage, method) for stage in ("attribute", "evaluate") for method in ("mine", "gradient")]
        return {one: study.origin(one[0])({"model": model, "method": one[1]})["sources"] for one in stages}

    before = origins()
    for file in ("mine", "shared", "parts/core", "parts/scale"):  # what a plug-in imports counts too
        path = root / "plugins" / f"{file}.py"
        path.write_text(path.read_text() + "# a remark\n")
        after = origins()
        assert {one for one in before if before[one] != after[one]} == {("attribute", "mine")}, file
        before = after


def test_one_that_cannot_be_loaded_is_named_and_the_others_go_on(root: Path) -> None:
    (root / "plugins/bad.py").write_text("# xailib\n" + METHOD.format("half") + "def (:\n")
    (root / "plugins/absent.py").write_text(METHOD.format("lost") + "import nothing_of_this_name\n")
    code = (
        "from xailib import registry\n"
        "said = []\n"
        "for name in ('half', 'lost'):\n"
        "    try: xai.attribute(name, None, None)\n"
        "    except xai.InputError as error: said.append(str(error))\n"
        "print(json.dumps([registry.broken(), xai.list_methods('mine'), xai.list_methods('lost'), said]))\n"
    )
    run = ask(code)
    assert run.returncode == 0, run.stderr
    broken, mine, lost, said = json.loads(run.stdout)
    absent = "plugins/absent.py: cannot be loaded (ModuleNotFoundError: No module named 'nothing_of_this_name')"
    bad = "plugins/bad.py: line 5 of bad.py cannot be read as Python (invalid syntax)"
    assert broken == [absent, bad] and mine == ["mine"] and lost == [], "what it registered before it failed is gone"
    assert f"{bad}; what it defines is left out" in run.stderr
    assert all(sentence.startswith("unknown method") and bad in sentence for sentence in said)
    assert broken_plugins() == [absent, bad] and open_study("own").pairs, "a study that uses neither"
    (root / "params/methods/half.yaml").write_text("method: half\n")
    (root / "params/studies/own.yaml").write_text(STUDY.replace("[mine, gradient]", "[mine, half]"))
    with pytest.raises(InputError, match=r"params/methods/half\.yaml: method: unknown method 'half'.*plugins/bad\.py"):
        open_study("own")


def test_locks_of_an_editor_are_no_files_of_ones_own(root: Path) -> None:
    (root / "plugins/.#mine.py").symlink_to("user@host.1")
    (root / "params/methods/.#mine.yaml").symlink_to("user@host.1")
    assert "mine" in registry_facts()["methods"] and broken_plugins() == []
    assert params.resolve("methods", "*mine") == ["mine"]
    assert ask("print(xai.list_methods('mine'))").stdout == "['mine']\n"


def test_one_that_is_put_away_is_not_known_any_more(root: Path) -> None:
    assert "mine" in registry_facts()["methods"]
    (root / "plugins/away").mkdir()
    (root / "plugins/mine.py").rename(root / "plugins/away/mine.py")
    assert "mine" not in registry_facts()["methods"]


@pytest.mark.parametrize(
    ("name", "other"), [("mine", "mine in plugins/mine.py"), ("rise", "rise in xailib/attribution/rise.py")]
)
def test_two_of_one_name_are_refused_by_their_files(root: Path, name: str, other: str) -> None:
    (root / "plugins/twin.py").write_text(METHOD.format(name))
    said = f"method '{name}' is registered twice, by {other} and f in plugins/twin.py; give one of them another name"
    with pytest.raises(InputError) as caught:
        open_study("own")
    assert str(caught.value) == said
    run = ask("try: xai.list_methods()\nexcept xai.InputError as error: print(error)")
    assert run.stdout.strip() == said
