"""Shared by all tests."""

import os
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest

# Read when torch is loaded, which test files do; notebooks and Snakemake inherit it. Two tests at a time whose threads are more
# than the cores take ten times as long.
os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_collection_modifyitems(items: list[pytest.Function]) -> None:
    """Begin with the files that run Snakemake, which take minutes: at the end the short ones share out evenly."""
    items.sort(key=lambda item: not {"World", "SNAKEFILE"} & vars(item.module).keys())


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of this checkout."""
    return Path(__file__).resolve().parent.parent


@pytest.fixture
def short_tmp(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A private TMPDIR: servers and sockets that a test starts are gone with it."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr("tempfile.tempdir", None)
    return folder


@pytest.fixture(autouse=True)
def environment_as_before() -> Iterator[None]:
    """What a test, or the code under it, sets in the environment is gone with it: the next one shares its process."""
    with mock.patch.dict(os.environ):
        yield
