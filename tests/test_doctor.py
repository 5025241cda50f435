"""`xailib doctor`: a screen of plain text, and a status that says whether something is missing."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml

from xailib.workflow import doctor


def write(folder: Path, **changes: object) -> str:
    values = {"study": "mine", "dataset": "pictograms", "models": ["mini_resnet_vanilla"], "methods": ["gradcam"]}
    values |= {"metrics": ["deletion"], "shifts": "none", **changes}
    path = folder / "mine.yaml"
    path.write_text(yaml.safe_dump(values))
    return str(path)


def test_a_whole_installation(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert doctor.main([write(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert all(line.startswith("ok  ") for line in said.splitlines()) and len(said.splitlines()) < 24
    for word in ("core: torch ", "device: ", "precision: ", "compiler: ", "disk: ", "study mine: 1 networks"):
        assert word in said


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"dataset": "folder", "root": "/none/such"}, "/none/such: looked for one folder a class"),
        ({"models": ["mini_resnet_vanila"]}, "did you mean 'mini_resnet_vanilla'?"),
        ({"dataset": "imagenet", "root": "/none/such", "split": "val"}, "/none/such"),
    ],
)
def test_what_a_study_lacks(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], changes: dict[str, object], said: str
) -> None:
    assert doctor.main([write(tmp_path, **changes)]) == 1
    assert any(line.startswith("!!  study ") and said in line for line in capsys.readouterr().out.splitlines())


def test_weights(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    remote = {"model": "a", "weights": {"source": "url", "url": "https://example.org/a.pt"}}
    file = {"model": "a", "weights": {"source": "file", "path": str(tmp_path / "a.pt"), "origin": "ask me"}}
    monkeypatch.setattr("xailib.models.sources.marker", lambda model: tmp_path / "fetched.json")
    monkeypatch.setattr("xailib.params.load_params", lambda kind, id: {"remote": remote, "file": file}[id])
    assert doctor._missing_weights("remote") == (True, "")
    assert doctor._missing_weights("file") == (False, f"file: no weights at {tmp_path}/a.pt; put them there (ask me)")
    for name in ("fetched.json", "a.pt"):
        (tmp_path / name).touch()
    assert doctor._missing_weights("remote") is None and doctor._missing_weights("file") is None


def test_a_gpu_that_torch_does_not_see(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.path.exists", lambda path: path == "/dev/nvidiactl")
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    first = next(doctor._device())
    assert not first.well and "though there is a GPU" in first.text


def test_lists_are_those_of_the_package(repository: Path) -> None:
    project = tomllib.loads((repository / "pyproject.toml").read_text())["project"]
    named = {"core": project["dependencies"], "suite": project["optional-dependencies"]["suite"]}
    named = {key: {re.match(r"[\w-]+", word)[0] for word in words} for key, words in named.items()}
    assert set(doctor.CORE) <= named["core"] and set(doctor.SUITE) <= named["suite"]


def test_a_workspace_that_is_not_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XAILIB_WORKSPACE", str(tmp_path / "none"))
    assert not doctor._disk().well and "is not there" in doctor._disk().text


def test_a_full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 1e9})())
    assert not doctor._disk().well and "1.0 GB free" in doctor._disk().text


def test_weights_that_the_package_ships_are_there_in_any_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("XAILIB_WORKSPACE", raising=False)
    assert doctor.main([]) == 0
    assert "study pictograms: 12 networks" in capsys.readouterr().out
