"""Checkpoints that are not what the record says: one sentence that names what was found and what to do."""

import argparse
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torchvision import models

import xailib as xai
from tests.models.test_layouts import record
from xailib.errors import InputError
from xailib.models.checkpoints import lay_in, read_checkpoint
from xailib.models.mismatch import recognise


def refusal(file: Path) -> str:
    with pytest.raises(InputError) as raised:
        xai.load_model(file, device="cpu")
    assert "\n" not in str(raised.value)
    return str(raised.value)


def test_another_architecture_is_named_with_the_first_key(tmp_path: Path) -> None:
    torch.save(models.mobilenet_v2(num_classes=7).state_dict(), tmp_path / "w.pth")
    said = refusal(record(tmp_path / "w.pth", "resnet50"))
    assert "not the weights of resnet50 but of mobilenet_v2: the file has no 'bn1.bias'" in said and "w.pth" in said
    torch.save(models.resnet18().state_dict(), tmp_path / "w.pth")  # no architecture of ours, but of torchvision
    assert "not the weights of resnet50 but of resnet18: the file has no 'layer1.0.bn3.bias'" in refusal(
        record(tmp_path / "w.pth", "resnet50")
    )


def test_an_architecture_that_differs_in_shapes_only(tmp_path: Path) -> None:
    torch.save(models.wide_resnet50_2().state_dict(), tmp_path / "w.pth")
    said = refusal(record(tmp_path / "w.pth", "resnet50"))
    assert (
        "not the weights of resnet50 but of wide_resnet50_2: 'layer1.0.conv1.weight' has shape (128, 64, 1, 1)" in said
    )


def test_weights_of_nothing_known_name_the_first_key_alone(tmp_path: Path) -> None:
    torch.save({"a.weight": torch.zeros(2, 2)}, tmp_path / "w.pth")
    assert "not the weights of squeezenet1_1: the file has no 'classifier.1.bias'" in refusal(
        record(tmp_path / "w.pth", "squeezenet1_1")
    )


@pytest.mark.parametrize("name", ["mini_resnet", "mini_densenet", "alexnet", "googlenet", "densenet161"])
def test_registered_architectures_are_recognised_by_their_weights(name: str) -> None:
    with torch.device("meta"):
        assert recognise(xai.models.untrained(name, 5).state_dict()) == name


def test_another_number_of_classes_says_both(tmp_path: Path) -> None:
    torch.save(models.mobilenet_v2(num_classes=200).state_dict(), tmp_path / "w.pth")
    said = refusal(record(tmp_path / "w.pth", "mobilenet_v2"))
    assert "the weights tell 200 classes apart, the record's 1000 of the data set 'imagenet'" in said
    with pytest.raises(InputError, match="tell 3 classes apart, the record's 2;"):
        lay_in(torch.nn.Linear(4, 2), torch.nn.Linear(4, 3).state_dict(), "w")


class Parameters:
    """Stands for `cox.utils.Parameters`, which the robustness library keeps in some checkpoints."""


class Malice:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)

    def __reduce__(self) -> tuple:
        return os.mkdir, (self.path,)


@pytest.mark.parametrize("extra", ["class", "namespace", "numpy", "code"])
def test_a_pickle_that_needs_code_is_refused_with_the_safe_way(extra: str, tmp_path: Path) -> None:
    things = {"class": Parameters(), "namespace": argparse.Namespace(eps=3), "numpy": np.float64(3), "code": None}
    things["code"] = Malice(tmp_path / "trace")
    names = {"class": "test_refusals.Parameters", "namespace": "argparse.Namespace", "numpy": "numpy", "code": "mkdir"}
    network = models.squeezenet1_1()
    torch.save({"model": network.state_dict(), "args": things[extra]}, tmp_path / "w.pth")
    said = refusal(record(tmp_path / "w.pth", "squeezenet1_1"))
    assert "throw-away environment" in said and "torch.save(" in said and names[extra] in said
    assert not (tmp_path / "trace").exists()


@pytest.mark.parametrize("saved", ["namespace", "module", "DataParallel", "averaged module", "script"])
def test_the_safe_way_works(saved: str, tmp_path: Path) -> None:
    """The command of the message, run by a shell as it is told, leaves a file that loads."""
    network = models.squeezenet1_1().eval()
    path = tmp_path / "it's $w.pth"
    if saved == "script":
        torch.jit.trace(network, torch.zeros(1, 3, 64, 64)).save(path)
    else:
        contents = {
            "namespace": {"state_dict": network.state_dict(), "args": argparse.Namespace(eps=3), "epoch": 3},
            "module": network,
            "DataParallel": torch.nn.DataParallel(network),
            "averaged module": {"model": None, "ema": network, "optimizer": torch.optim.SGD(network.parameters())},
        }
        torch.save(contents[saved], path)
    said = refusal(record(path, "squeezenet1_1"))
    command = "python -c " + said.split(" run python -c ")[1].removesuffix(" and use the tensors.pt it writes")
    subprocess.run(command.replace("python", sys.executable, 1), shell=True, check=True, cwd=tmp_path)
    found = xai.load_model(record(tmp_path / "tensors.pt", "squeezenet1_1"), device="cpu")
    assert all(torch.equal(value, network.state_dict()[key]) for key, value in found.network.state_dict().items())


@pytest.mark.parametrize("name", ["w.pth", "w.safetensors"])
@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "not a state dict but an empty file"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:12\nsize 9\n", "a pointer of Git LFS; run 'git lfs pull'"),
        (b"\n<!DOCTYPE html><html><body>404</body></html>", r"a web page \(HTML or XML\); download the file itself"),
        (b"Not Found", "not a (complete|state dict)"),
    ],
)  # fmt: skip
def test_what_took_a_files_place_is_named(content: bytes, said: str, name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    assert re.search(said, refusal(record(tmp_path / name, "squeezenet1_1")))


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.99])
def test_truncated_files(share: float, legacy: bool, tmp_path: Path) -> None:
    path = tmp_path / "w.pth"
    torch.save(models.squeezenet1_1().state_dict(), path, _use_new_zipfile_serialization=not legacy)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(InputError, match=r"w\.pth: not a (complete torch file of a )?state dict"):
        read_checkpoint(path)


def test_an_unknown_source_and_missing_files(tmp_path: Path) -> None:
    file: Any = record(tmp_path / "absent.pth", "squeezenet1_1", origin="from the authors")
    assert "absent.pth: no such weight file; put the checkpoint there (from the authors)" in refusal(file)
    file.write_text(file.read_text().replace("source: file", "source: torchvison"))
    assert "unknown weights.source 'torchvison'; did you mean 'torchvision'" in refusal(file)
    with pytest.raises(
        InputError, match=r"not on this machine yet; run: python -m xailib\.models\.fetch alexnet_vanilla"
    ):
        xai.load_model("alexnet_vanilla")
