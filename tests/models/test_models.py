"""Models: maps of 8 x 8 cells, features and head make the whole, weight files are checked before they are used."""

from pathlib import Path

import pytest
import torch
from torch import nn

import xailib as xai
from xailib.errors import InputError
from xailib.models import architectures
from xailib.models.checkpoints import lay_in, load_file_weights, read_state, save_weights
from xailib.models.model import Model
from xailib.registry import architecture

MINIATURES = [name for name in architecture.names("mini_*")]


@pytest.mark.parametrize("name", MINIATURES)
def test_miniatures_end_in_maps_of_eight_cells(name: str) -> None:
    network = architecture.get(name).function(12).eval()
    pixels = torch.rand(2, 3, 64, 64)
    maps = network.features(pixels)
    assert maps.shape[2:] == (8, 8) and (maps >= 0).all()
    assert torch.equal(network.head(maps), network(pixels))
    assert sum(p.numel() for p in network.parameters()) * 2 < 2e6  # fp16 bytes


def test_only_alexnet_has_no_gap_linear_head() -> None:
    without = [name for name in MINIATURES if "gap_linear_head" not in architecture.get(name).offers]
    assert without == ["mini_alexnet"]


@pytest.mark.parametrize("name", [name for name in MINIATURES if name != "mini_alexnet"])
def test_gap_linear_head_is_what_it_says(name: str) -> None:
    network = architecture.get(name).function(12).eval()
    model = Model(
        network, id=name, architecture=name, training_algorithm="vanilla", input_size=64, class_names=["c"] * 12,
        cam_layer=architecture.get(name).cam_layer, offers=architecture.get(name).offers,
    )  # fmt: skip
    maps = model.features(torch.rand(2, 3, 64, 64))
    linear = [module for module in network.modules() if isinstance(module, nn.Linear)][-1]
    assert torch.allclose(maps.mean(dim=(2, 3)) @ model.class_weights.T + linear.bias, model.head(maps), atol=1e-5)


def test_model_normalises_inside_and_is_frozen() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(12, 2))
    model = Model(
        network, id="m", architecture="a", training_algorithm="vanilla", input_size=2, class_names=["a", "b"],
        mean=[0.5, 0.4, 0.3], std=[0.2, 0.2, 0.5],
    )  # fmt: skip
    fill = model.mean_colour.expand(1, 3, 2, 2)
    assert torch.allclose(model(fill), network[1].bias[None])
    assert not model.training and not any(p.requires_grad for p in model.parameters())


def record(path: Path, sha256: str | None = None) -> dict:
    return {"model": "m", "weights": {"source": "file", "path": str(path), "sha256": sha256}}


def test_weights_survive_the_round_trip_in_half_precision(tmp_path: Path) -> None:
    network = architecture.get("mini_resnet").function(12)
    sha256 = save_weights(network, tmp_path / "w.safetensors")
    twin = architecture.get("mini_resnet").function(12)
    lay_in(twin, load_file_weights(record(tmp_path / "w.safetensors", sha256)), "w")
    for a, b in zip(network.state_dict().values(), twin.state_dict().values(), strict=True):
        assert torch.allclose(a.float(), b.float(), atol=1e-3, rtol=1e-3)
    assert not list(tmp_path.glob("*.partial"))


def test_what_half_precision_cannot_hold_survives_the_round_trip_too(tmp_path: Path) -> None:
    network, twin = nn.BatchNorm2d(3), nn.BatchNorm2d(3)
    for _ in range(40):
        network(255 * 8 * torch.rand(4, 3, 8, 8))  # pixels of 0 to 255, as Caffe's and Keras's networks take them
    assert network.running_var.max() > 65504
    save_weights(network, tmp_path / "w.safetensors")
    state = read_state(tmp_path / "w.safetensors")
    lay_in(twin, state, "w")
    assert torch.equal(twin.running_var, network.running_var) and state["weight"].dtype == torch.float16


def test_altered_weights_are_refused(tmp_path: Path) -> None:
    save_weights(nn.Linear(2, 2), tmp_path / "w.safetensors")
    with pytest.raises(InputError, match="sha256"):
        load_file_weights(record(tmp_path / "w.safetensors", "0" * 64))
    (tmp_path / "w.safetensors").write_bytes((tmp_path / "w.safetensors").read_bytes()[:-3])
    with pytest.raises(InputError, match="not a complete safetensors file"):
        load_file_weights(record(tmp_path / "w.safetensors"))
    with pytest.raises(InputError, match="no such weight file"):
        load_file_weights(record(tmp_path / "gone.safetensors"))


def test_wrong_shapes_name_the_first_key() -> None:
    with pytest.raises(InputError, match=r"'weight' has shape \(3, 2\), the network needs \(2, 2\)"):
        lay_in(nn.Linear(2, 2), {"weight": torch.zeros(3, 2), "bias": torch.zeros(2)}, "w")
    with pytest.raises(InputError, match="has no 'weight'"):
        lay_in(nn.Linear(2, 2), {"bias": torch.zeros(2)}, "w")


class Payload:
    """Something that a pickle could run."""


def test_pickles_that_are_no_state_dict_are_refused(tmp_path: Path) -> None:
    torch.save(Payload(), tmp_path / "p.pt")
    with pytest.raises(InputError, match="not a state dict"):
        read_state(tmp_path / "p.pt")
    torch.save([1, 2], tmp_path / "l.pt")
    with pytest.raises(InputError, match="not a state dict"):
        read_state(tmp_path / "l.pt")


def test_unknown_model_and_device() -> None:
    with pytest.raises(InputError, match="did you mean 'mini_resnet_vanilla'"):
        xai.load_model("mini_resnet_vanila")
    with pytest.raises(InputError, match="use auto, cpu"):
        xai.load_model("mini_resnet_vanilla", device="gpu")


def test_all_twelve_miniatures_have_a_parameter_file() -> None:
    assert len(xai.list_models("mini_*")) == 12
    assert architectures.GAP_LINEAR
