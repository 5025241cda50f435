"""Which networks `make weights` trains."""

import shutil
from pathlib import Path

import pytest

from xailib.params import ids
from xailib.workflow.rules import to_train


def test_missing_networks_are_trained_and_where_none_is_all_again(
    tmp_path: Path, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    every = ids("models", "mini_*")
    assert to_train("pictograms") == every
    models = tmp_path / "params" / "models"
    shutil.copytree(repository / "params" / "models", models)
    for name in ("mini_resnet_vanilla", "mini_resnet_robust"):
        text = (models / f"{name}.yaml").read_text().replace("weights/pictograms/", "weights/nowhere/")
        (models / f"{name}.yaml").write_text(text)
    monkeypatch.setenv("XAILIB_WORKSPACE", str(tmp_path))
    assert to_train("pictograms") == ["mini_resnet_robust", "mini_resnet_vanilla"]
