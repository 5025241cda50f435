"""Shared by all tests."""

import os
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest


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


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Notebooks and Snakemake inherit it: more threads than cores make every test slower."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(autouse=True)
def environment_as_before() -> Iterator[None]:
    """What a test, or the code under it, sets in the environment is gone with it: the next one shares its process."""
    with mock.patch.dict(os.environ):
        yield
