"""Results are written whole or not at all, and read back as written."""

import errno
import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from xailib import results
from xailib.engine import Cost
from xailib.errors import InputError
from xailib.results import provenance


def test_maps_come_back_in_their_own_scale(tmp_path: Path) -> None:
    scales = torch.tensor([1e-12, 1.0, 1e9])[:, None, None]
    maps = torch.randn(3, 8, 8, generator=torch.Generator().manual_seed(0)) * scales
    results.write_maps(tmp_path / "a" / "maps.npz", maps, ["x", "y", "z"], torch.tensor([2, 0, 1]))
    saved = results.read_maps(tmp_path / "a" / "maps.npz", ids=["x", "y", "z"])
    peaks = maps.abs().amax(dim=(1, 2), keepdim=True)
    assert ((saved["maps"] - maps).abs() / peaks).max() < 5e-4
    assert saved["ids"] == ["x", "y", "z"] and saved["targets"].tolist() == [2, 0, 1]
    assert saved["maps"].flatten(1).argmax(1).tolist() == maps.flatten(1).argmax(1).tolist()


def test_repeats_come_back_and_older_files_have_none(tmp_path: Path) -> None:
    maps = torch.randn(3, 8, 6, generator=torch.Generator().manual_seed(0))
    where, rest = tmp_path / "m.npz", (["x", "y", "z"], torch.tensor([2, 0, 1]))
    results.write_maps(where, maps, *rest, repeats=torch.stack([maps[0], 1e6 * maps[2]]))
    repeats = results.read_maps(where)["repeats"]
    assert torch.equal(repeats[0], results.read_maps(where)["maps"][0]), "equal maps are equal once stored"
    torch.testing.assert_close(repeats[1], 1e6 * maps[2], rtol=1e-3, atol=1e3)
    with pytest.raises(InputError, match="NaN"):
        results.write_maps(where, maps, *rest, repeats=torch.full((1, 8, 6), torch.nan))
    results.write_maps(where, maps, *rest)  # as before there were repeats
    assert results.read_maps(where)["repeats"].shape == (0, 8, 6)


def test_constant_maps_survive(tmp_path: Path) -> None:
    results.write_maps(tmp_path / "m.npz", torch.zeros(2, 4, 4), ["a", "b"], torch.zeros(2, dtype=torch.long))
    assert (results.read_maps(tmp_path / "m.npz")["maps"] == 0).all()


def test_bad_maps_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.npz"
    with pytest.raises(InputError, match="NaN"):
        results.write_maps(path, torch.full((1, 2, 2), torch.nan), ["a"], torch.tensor([0]))
    with pytest.raises(ValueError, match="as many ids"):
        results.write_maps(path, torch.zeros(2, 2, 2), ["a"], torch.tensor([0]))
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(InputError, match="run the attribute slice first"):
        results.read_maps(path)
    results.write_maps(path, torch.ones(1, 2, 2), ["a"], torch.tensor([0]))
    with pytest.raises(InputError, match="belong to other images"):
        results.read_maps(path, ids=["b"])
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(InputError, match="not a complete file of maps"):
        results.read_maps(path)


@pytest.mark.parametrize("suffix", ["parquet", "csv"])
def test_tables_round_trip(tmp_path: Path, suffix: str) -> None:
    frame = pd.DataFrame({"model": ["a", "b"], "value": [0.25, np.nan]})
    path = results.write_table(tmp_path / f"t.{suffix}", frame)
    pd.testing.assert_frame_equal(results.read_table(path), frame)
    assert [file.name for file in tmp_path.iterdir()] == [f"t.{suffix}"]


def test_damaged_and_missing_tables(tmp_path: Path) -> None:
    (tmp_path / "t.parquet").write_bytes(b"PAR1")
    with pytest.raises(InputError, match="not a complete table"):
        results.read_table(tmp_path / "t.parquet")
    with pytest.raises(InputError, match="no such table"):
        results.read_table(tmp_path / "u.parquet")


def test_a_failing_writer_leaves_the_old_file(tmp_path: Path) -> None:
    path = results.write_json(tmp_path / "a.json", {"n": 1})
    with pytest.raises(RuntimeError), results.atomic(path) as partial:
        partial.write_text("half")
        raise RuntimeError
    assert json.loads(path.read_text()) == {"n": 1} and len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("path", ["a/b.json", "a/b/c.json"])
def test_a_file_in_the_place_of_a_folder_is_named(tmp_path: Path, path: str) -> None:
    (tmp_path / "a").touch()
    with pytest.raises(InputError, match=rf"{path}: cannot be written because a file is where its folder would be"):
        results.write_json(tmp_path / path, {})


@pytest.mark.parametrize(("number", "said"), [(errno.ENOSPC, "disk is full"), (errno.EROFS, "read-only")])
def test_a_full_disk_is_one_sentence(tmp_path: Path, number: int, said: str) -> None:
    with pytest.raises(InputError, match=said), results.atomic(tmp_path / "a.json"):
        raise OSError(number, os.strerror(number))
    assert list(tmp_path.iterdir()) == []


def test_a_really_full_disk() -> None:
    """/dev/full answers every write as a full disk does."""
    if not os.path.exists("/dev/full"):
        pytest.skip("this system has no /dev/full")
    with pytest.raises(InputError, match="disk is full"), results.atomic("/dev/shm/x"), open("/dev/full", "w") as file:
        file.write("x" * 100_000)


def test_json_takes_numpy_torch_and_paths(tmp_path: Path) -> None:
    path = results.write_json(tmp_path / "r.json", {"a": np.float32(0.5), "b": torch.tensor(3), "c": Path("x")})
    assert json.loads(path.read_text()) == {"a": 0.5, "b": 3, "c": "x"}


def test_a_record_says_where_a_result_comes_from() -> None:
    record = provenance.record({"seed": 3}, cost=Cost(forward=7, backward=2, seconds=0.5), began=0.0, device="cpu")
    assert record["parameters"] == {"seed": 3} and record["device"] == "cpu"
    assert record["passes"] == {"forward": 7, "backward": 2, "seconds": 0.5}
    assert record["packages"]["torch"] == torch.__version__.partition("+")[0] or record["packages"]["torch"]
    assert record["peak_memory_mib"]["resident"] > 10
    assert set(record["git"]) == {"commit", "changed"}
    json.dumps(record)


def test_outside_a_checkout_there_is_no_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provenance, "PACKAGE", tmp_path / "xailib")
    assert provenance.git_state() == {"commit": None, "changed": None}


def test_curves_round_trip_in_half_precision(tmp_path: Path) -> None:
    curve = torch.linspace(0, 1, 58).view(2, 29)
    path = results.write_curves(tmp_path / "curves.npz", {"deletion": curve}, ["x", "y"], {"method": "rise"})
    read = results.read_curves(path)
    assert read["ids"] == ["x", "y"] and list(read["curves"]) == ["deletion"]
    np.testing.assert_allclose(read["curves"]["deletion"], curve, atol=3e-4)
    assert results.read_curves(results.write_curves(path, {}, []))["curves"] == {}
    with pytest.raises(ValueError, match="2 curves of deletion need as many ids, not 1"):
        results.write_curves(path, {"deletion": curve}, ["x"])
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(InputError, match="not a complete file of curves"):
        results.read_curves(path)
    with pytest.raises(InputError, match="no such curves; run the evaluate slice again"):
        results.read_curves(tmp_path / "none.npz")
