"""Maps in a file of one's own: what is loaded is what was saved, and scores exactly as it."""

import json
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

import xailib as xai
from xailib import results
from xailib.errors import InputError


@pytest.fixture(scope="module")
def model() -> xai.Model:
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3)
    )
    return xai.wrap(net, classes=["ant", "bee", "cat"], mean=(0.5,) * 3, std=(0.5,) * 3, size=16, id="tiny")


@pytest.fixture(scope="module")
def images() -> xai.ImageBatch:
    return xai.ImageBatch(torch.rand(3, 3, 16, 16, generator=torch.Generator().manual_seed(1)), ids=["x", "y", "z"])


@pytest.fixture
def maps(model: xai.Model, images: xai.ImageBatch) -> xai.Maps:
    return xai.attribute("integrated_gradients", model, images, targets=["bee", "ant", "cat"], steps=4)


@pytest.mark.parametrize("name", ["a.npz", "a.safetensors", "a.maps"])
def test_the_same_maps_come_back(name: str, tmp_path: Path, maps: xai.Maps, model: Any, images: Any) -> None:
    path = xai.save_maps(maps, tmp_path / name)
    again = xai.load_maps(path)
    assert torch.equal(again.values, maps.values) and torch.equal(again.targets, maps.targets)
    facts = ("target_names", "ids", "method", "label", "options", "model")
    assert {key: getattr(again, key) for key in facts} == {key: getattr(maps, key) for key in facts}
    assert repr(again) == repr(maps)
    for metric in ("deletion", "sanity"):  # the latter explains again, by method and options
        one, other = (xai.evaluate(metric, given, model, images) for given in (maps, again))
        assert one.equals(other)


def test_an_option_may_be_a_tensor(tmp_path: Path, maps: xai.Maps) -> None:
    maps.options["reference"] = torch.arange(6.0).view(2, 3)
    for form in ("npz", "safetensors"):
        again = xai.load_maps(xai.save_maps(maps, tmp_path / "file", format=form))
        assert torch.equal(again.options["reference"], maps.options["reference"])


def test_a_studys_own_file(tmp_path: Path, maps: xai.Maps) -> None:
    made_from = {
        "method": "integrated_gradients_abs",
        "method_function": "integrated_gradients",
        "model": "tiny",
        "seed": 7,
    }
    path = results.write_maps(
        tmp_path / "maps.npz", maps, maps.ids, maps.targets, made_from=made_from | {"options": {"steps": 4}}
    )
    again = xai.load_maps(path)
    assert torch.equal(again.values, maps.values) and again.ids == ["x", "y", "z"]
    assert (again.method, again.label, again.options) == (
        "integrated_gradients",
        made_from["method"],
        {"seed": 7, "steps": 4},
    )


def test_refusals(tmp_path: Path, maps: xai.Maps, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match=r"what attribute\(\) returned is needed"):
        xai.save_maps(maps.values, tmp_path / "a.npz")
    with pytest.raises(InputError, match=r"format: 'safetensor' is not known; did you mean 'safetensors'\?"):
        xai.save_maps(maps, tmp_path / "a.npz", format="safetensor")
    with pytest.raises(InputError, match="no such maps"):
        xai.load_maps(tmp_path / "none.npz")
    with pytest.raises(InputError, match="cannot be written"):
        xai.save_maps(maps, tmp_path)
    for name, content in (("torn.npz", b"PK\3\4"), ("torn.safetensors", b"{}")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match="not a complete file of maps"):
            xai.load_maps(tmp_path / name)
    monkeypatch.setitem(sys.modules, "zarr", None)
    with pytest.raises(InputError, match="zarr needs the package zarr"):
        xai.save_maps(maps, tmp_path / "a.zarr")
    assert not (tmp_path / "a.zarr").exists()


class Group(dict):
    """Of a zarr group what is needed: it empties the folder that it is opened in, and writes each key at once."""

    def __init__(self, path: str, mode: str) -> None:
        assert mode == "w"
        self.path = Path(path)
        shutil.rmtree(path, ignore_errors=True)
        self.path.mkdir()

    @property
    def attrs(self) -> "Group":
        return self

    def __setitem__(self, key: str, value: Any) -> None:
        if key == "facts":
            (self.path / "zarr.json").write_text(json.dumps({"attributes": {"facts": value}}))
        else:
            (self.path / key).mkdir()


@pytest.fixture
def zarr(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "zarr", SimpleNamespace(open_group=Group))


@pytest.mark.usefixtures("zarr")
@pytest.mark.parametrize(
    "found",
    [
        {"thesis.txt": "years of work"},
        {"zarr.json": '{"attributes": {}}', "c0": ""},  # zarr, of someone else
        {".zattrs": '{"facts": "none"}'},
        {"zarr.json": "[", "maps": ""},
        None,  # a file
    ],
)
def test_a_folder_of_something_else_is_not_emptied(tmp_path: Path, maps: xai.Maps, found: dict[str, str]) -> None:
    place = tmp_path / "mine"
    if found is None:
        place.write_text("years of work")
    else:
        place.mkdir()
        for name, text in found.items():
            (place / name).write_text(text)
    with pytest.raises(
        InputError, match=r"mine: holds something else than maps that save_maps wrote, which would be lost"
    ):
        xai.save_maps(maps, place, format="zarr")
    assert place.is_file() or {file.name: file.read_text() for file in place.iterdir()} == found
    assert [*tmp_path.iterdir()] == [place]


@pytest.mark.usefixtures("zarr")
def test_maps_in_a_folder_are_replaced_whole_or_not_at_all(
    tmp_path: Path, maps: xai.Maps, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "new" / "a.zarr"
    assert xai.save_maps(maps, place) == place
    (place / "options.reference").mkdir()  # as maps may have that were saved before
    xai.save_maps(maps, place)
    assert {path.name for path in place.iterdir()} == {"zarr.json", "maps", "targets"}
    for key in ("maps", "targets"):
        with monkeypatch.context() as patch:
            patch.setattr(Group, "__setitem__", lambda self, name, _, key=key: 1 / (name != key))
            with pytest.raises(ZeroDivisionError):
                xai.save_maps(maps, place)
        assert {path.name for path in place.iterdir()} == {"zarr.json", "maps", "targets"}
    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", refuse_once(Path.rename))
        with pytest.raises(InputError, match="cannot be written"):
            xai.save_maps(maps, place)
    assert {path.name for path in place.iterdir()} == {"zarr.json", "maps", "targets"}
    (place / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="would be lost"):
        xai.save_maps(maps, place)
    (tmp_path / "empty").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "empty")
    xai.save_maps(maps, tmp_path / "link", format="zarr")
    assert (tmp_path / "link").is_symlink() and (tmp_path / "empty" / "maps").is_dir()
    assert {path.name for path in tmp_path.iterdir()} == {"new", "empty", "link"}
    assert [*place.parent.iterdir()] == [place]


def refuse_once(rename: Any) -> Any:
    """`Path.rename` on a disk that is full when the new folder is to take its place, and not when the old one comes back."""

    def renamed(self: Path, target: Path) -> Path:
        if self.name == "partial":
            raise OSError(28, "No space left on device")
        return rename(self, target)

    return renamed


def test_zarr(tmp_path: Path, maps: xai.Maps) -> None:
    pytest.importorskip("zarr")
    again = xai.load_maps(xai.save_maps(maps, tmp_path / "a.zarr"))
    assert torch.equal(again.values, maps.values) and again.options == maps.options
