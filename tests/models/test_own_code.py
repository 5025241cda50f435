"""Networks by a function of one's own: made, given their own weights, and made anew when their file changes."""

from pathlib import Path
from typing import Any

import pytest
import torch

from xailib import load_model
from xailib.errors import InputError
from xailib.models import untrained
from xailib.params import checks, made_from
from xailib.params.records import CLASSES

CODE = """
from torch import nn

from helper import WIDTH


def make():
    return nn.Sequential(nn.Conv2d(3, WIDTH, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(WIDTH, 2))


def broken():
    return 1 / 0


def number():
    return 3


def needs(width):
    return nn.Linear(width, 2)
"""


@pytest.fixture
def code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("sys.path", [*__import__("sys").path])
    (tmp_path / "helper.py").write_text("WIDTH = 4\n")
    (tmp_path / "my_net.py").write_text(CODE)
    return tmp_path / "my_net.py"


def record(code: Path, **changes: Any) -> dict[str, Any]:
    values = {"architecture": "function", "model_options": {"name": f"{code}:make"}, "training_algorithm": "vanilla"}
    values |= {"class_names": ["a", "b"], "input_size": 16, "weights": {"source": "code"}, "cam_layer": "1"}
    return {"model": "mine", **values, **changes}


def write(code: Path, **changes: Any) -> Path:
    import yaml

    path = code.parent / "mine.yaml"
    path.write_text(yaml.safe_dump(record(code, **changes)))
    return path


def test_the_weights_are_its_own_and_the_same_every_time(code: Path) -> None:
    pixels = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    torch.manual_seed(1)
    one = load_model(write(code), device="cpu")(pixels)
    torch.manual_seed(2)
    assert torch.equal(one, load_model(write(code), device="cpu")(pixels))


def test_loading_leaves_the_random_stream_alone(code: Path) -> None:
    torch.manual_seed(5)
    load_model(write(code), device="cpu")
    after = torch.rand(1)
    torch.manual_seed(5)
    untrained("function", 2, name=f"{code}:make")  # the network that the weights are put into
    assert torch.equal(after, torch.rand(1))


def test_an_edit_of_the_file_makes_another_network(code: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("xailib.params.load_params", lambda kind, id: record(code, mean=[0.0] * 3, std=[1.0] * 3))
    before = made_from.network("mine")
    assert made_from.network("mine") == before
    code.write_text(CODE + "\n# another\n")
    assert made_from.network("mine") != before


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("{code}:mak", "has no function 'mak'; did you mean 'make'?"),
        ("{code}:broken", "broken() fails (ZeroDivisionError: division by zero)"),
        ("{code}:needs", "it is called without arguments"),
        ("{code}:number", "number() must return a torch.nn.Module, not int"),
        ("{folder}/other.py:make", "other.py:make': {folder}/other.py: no such file"),
        ("no_such_package:make", "Python finds no module 'no_such_package'; write my_net.py:make"),
        ("{folder}/script.py:make", "script.py cannot be imported (SystemExit: 3)"),
        ("{folder}/wrong.py:make", "wrong.py cannot be imported (SyntaxError: "),
    ],
)
def test_refusals(code: Path, name: str, said: str) -> None:
    (code.parent / "script.py").write_text("raise SystemExit(3)\n")
    (code.parent / "wrong.py").write_text("def make(:\n")
    with pytest.raises(InputError) as error:
        untrained("function", 2, name=name.format(code=code, folder=code.parent))
    assert said.format(folder=code.parent) in str(error.value)


@pytest.mark.parametrize("options", [{}, {"name": 3}, {"name": None}])
def test_a_record_names_the_function(options: dict[str, Any]) -> None:
    (fault,) = checks.faults(CLASSES["model"], {**record(Path("net.py")), "model_options": options})
    assert "architecture function makes a network by its name" in fault


def test_a_module_that_python_finds() -> None:
    assert isinstance(untrained("function", 2, name="torchvision.models:resnet18"), torch.nn.Module)


def test_hugging_face_needs_its_package() -> None:
    try:
        import transformers  # noqa: F401
    except ImportError:
        with pytest.raises(InputError, match="'google/vit' needs the package transformers"):
            untrained("huggingface", 2, name="google/vit")


def test_hugging_face_makes_what_its_configuration_says(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    config = transformers.ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], num_labels=3)
    config.save_pretrained(tmp_path)
    assert isinstance(untrained("huggingface", 3, name=str(tmp_path)), torch.nn.Module)
    with pytest.raises(InputError, match="has no image classifier"):
        untrained("huggingface", 3, name=str(tmp_path / "none"))
