"""A study's folders of shifts are looked at before anything runs, and without loading torch."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from xailib.errors import InputError
from xailib.params import shift_roots
from xailib.workflow import study as workflow
from xailib.workspace import SHIPPED


def study(folder: Path, **values: object) -> Path:
    """Write a small study on ImageNet."""
    values = {
        "study": "variants",
        "dataset": "imagenet_paper",
        "root": str(folder),
        "models": ["squeezenet1_1"],
        "methods": ["gradient"],
        "metrics": ["deletion"],
        **values,
    }
    path = folder / "variants.yaml"
    path.write_text("\n".join(f"{key}: {json.dumps(value)}" for key, value in values.items()))
    return path


def test_folders_that_are_there(tmp_path: Path) -> None:
    opened, _ = workflow.open_studies(
        study(tmp_path, shift_roots={"imagenet_v2": str(tmp_path), "imagenet_real": None})
    )
    assert opened.values["shift_roots"] == {"imagenet_v2": str(tmp_path), "imagenet_real": None}
    bare, _ = workflow.open_studies(study(tmp_path))
    assert bare.values["shift_roots"] == {} and bare.needs("predict") != opened.needs("predict")
    assert bare.needs("attribute") == opened.needs("attribute"), "other shifts make no new maps"


@pytest.mark.parametrize(
    ("roots", "sentence"),
    [
        ({"imagenet_v2": "nowhere/v2"}, "^shift_roots: imagenet_v2: there is no folder nowhere/v2; unpack it there"),
        ({"imagenet_a": None}, "^shift_roots: imagenet_a needs the folder"),
        ({"imagenet_skech": "."}, "^shift_roots: unknown shift 'imagenet_skech'; did you mean 'imagenet_sketch'"),
        ({"imagenet_v2": 3}, r"shift_roots\.imagenet_v2: 3 is not text or null"),
    ],
)
def test_faults_are_told_when_the_study_is_read(tmp_path: Path, roots: dict, sentence: str) -> None:
    path = study(tmp_path, shift_roots=roots)
    with pytest.raises(InputError, match=sentence):
        workflow.open_studies(path)


def test_other_data_sets_have_none() -> None:
    with pytest.raises(InputError, match="imagenet_a is a shift of data set 'imagenet', not of 'pictograms'"):
        shift_roots.check_study({"dataset": "pictograms", "shift_roots": {"imagenet_a": "."}})


def test_the_check_loads_no_torch(tmp_path: Path) -> None:
    workflow.open_studies(study(tmp_path))  # the registries' facts are then kept
    path = study(tmp_path, shift_roots={"imagenet_r": str(tmp_path)})
    code = f"import sys; from xailib.workflow import study; study.open_studies({str(path)!r}); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=SHIPPED).returncode == 0
