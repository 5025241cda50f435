"""Checkpoints in every layout give the network that was saved: the same logits, from files as their authors' code saves them."""

from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import save_file
from torch import nn
from torchvision import models

import xailib as xai
from tests.models.saved import IMAGENET, Holder, robustness, shaken, split, training
from xailib.errors import InputError
from xailib.models.checkpoints import lay_in
from xailib.models.layouts import network_state

PIXELS = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
HALF = ((0.5,) * 3, (0.5,) * 3)


def record(path: Path, architecture: str, normal: Any = IMAGENET, **weights: Any) -> Path:
    """A model's parameter file beside its weights."""
    name = architecture.replace("/", "_")
    values: dict[str, Any] = {"model": "mine", "architecture": architecture, "training_algorithm": "vanilla"}
    if "/" in architecture:
        library, name = architecture.split("/")
        values |= {"architecture": library, "model_options": {"name": name}}
    values |= {"model_dataset": "imagenet", "input_size": 64, "mean": list(normal[0]), "std": list(normal[1])}
    file = path.with_name("mine.yaml")
    file.write_text(yaml.safe_dump({**values, "weights": {"source": "file", "path": str(path), **weights}}))
    return file


def expected(network: nn.Module, normal: Any = IMAGENET) -> torch.Tensor:
    mean, std = (torch.tensor(part).view(3, 1, 1) for part in normal)
    with torch.no_grad():
        return network((PIXELS - mean) / std)


def assert_same(found: torch.Tensor, wanted: torch.Tensor) -> None:
    """Equal but for the order of sums: our networks are laid out with channels last."""
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4 * float(wanted.detach().abs().max()))


@pytest.fixture(scope="module")
def resnet18() -> nn.Module:
    return shaken(models.resnet18())


@pytest.mark.parametrize(
    "wrapping", ["plain", "safetensors", "state_dict", "model", "module", "DataParallel checkpoint"]
)
def test_plain_and_wrapped(wrapping: str, resnet18: nn.Module, tmp_path: Path) -> None:
    state = resnet18.state_dict()
    prefixed = nn.DataParallel(resnet18).state_dict()
    content = {
        "plain": state,
        "state_dict": {"state_dict": state, **training(resnet18)},
        "model": {"model": state, "epoch": 3},
        "module": prefixed,
        "DataParallel checkpoint": {**training(resnet18), "state_dict": prefixed},
    }
    path = tmp_path / ("w.safetensors" if wrapping == "safetensors" else "w.pth.tar")
    if wrapping == "safetensors":
        save_file(state, path)
    else:
        torch.save(content[wrapping], path)
    assert_same(xai.load_model(record(path, "torchvision/resnet18"), device="cpu")(PIXELS), expected(resnet18))
    layout = "plain" if wrapping in ("plain", "safetensors") else "wrapped"
    assert xai.load_model(record(path, "torchvision/resnet18", layout=layout), device="cpu").id == "mine"


@pytest.mark.parametrize("architecture", ["resnet50", "mobilenet_v2"])
def test_robustness_checkpoints(architecture: str, tmp_path: Path) -> None:
    """The library's own ResNet-50, and a network of torchvision that it wraps once more."""
    network = shaken(models.get_model(architecture, weights=None))
    torch.save(robustness(network, foreign=architecture != "resnet50"), tmp_path / "w.ckpt")
    file = record(tmp_path / "w.ckpt", architecture, layout="robustness")
    assert_same(xai.load_model(file, device="cpu")(PIXELS), expected(network))
    with pytest.raises(
        InputError, match=r"normalises with mean \[0.485, 0.456, 0.406\].*mine\.yaml says mean: \[0.5, 0.5, 0.5\]"
    ):
        xai.load_model(record(tmp_path / "w.ckpt", architecture, HALF), device="cpu")


def test_robust_googlenet_of_a_fork_with_auxiliary_heads() -> None:
    """Its pooling branch has names of its own, and the file holds heads that speak in training only."""
    network = shaken(models.googlenet(weights=None, aux_logits=True, transform_input=True, init_weights=True))
    saved = robustness(network)
    saved["model"] = {key.replace(".branch4.1.", ".branch4_conv."): value for key, value in saved["model"].items()}
    values = {"model": "mine", "mean": IMAGENET[0], "std": IMAGENET[1], "weights": {"layout": "robustness"}}
    ours = xai.models.untrained("googlenet", 1000, transform_input=True).eval()
    lay_in(ours, network_state(saved, values, "w"), "w", "googlenet")
    assert_same(ours(PIXELS), network(PIXELS))


def test_a_normaliser_of_another_wrapper_is_not_left_out_without_a_word(resnet18: nn.Module, tmp_path: Path) -> None:
    normaliser = nn.BatchNorm2d(3, affine=False)  # buffers of other names than the robustness library's
    own = Holder(normalizer=normaliser, model=resnet18)
    torch.save(own.state_dict(), tmp_path / "w.pt")
    with pytest.raises(InputError, match=r"has no '\S+'; it has it, with others, behind 'model\.'"):
        xai.load_model(record(tmp_path / "w.pt", "torchvision/resnet18", HALF), device="cpu")
    # The wrapper itself, as an architecture, is laid in whole.
    assert network_state(own.state_dict(), {"model": "mine", "weights": {}}, "w").keys() == own.state_dict().keys()


def test_robust_alexnet_and_old_densenet_spell_some_names_differently() -> None:
    alexnet = models.alexnet(num_classes=5)
    state = {key.replace("classifier.6.", "last_layer."): value for key, value in alexnet.state_dict().items()}
    ours = xai.models.untrained("alexnet", 5)
    lay_in(ours, state, "w", "alexnet")
    assert torch.equal(ours.classifier[6].weight, alexnet.classifier[6].weight)
    densenet = shaken(models.densenet161(num_classes=5))
    old = {key: value for key, value in densenet.state_dict().items() if not key.endswith("num_batches_tracked")}
    for part in ("norm1", "conv1", "norm2", "conv2"):
        old = {
            key.replace(f".{part}.", f".{part[:-1]}.{part[-1]}.") if "denselayer" in key else key: v
            for key, v in old.items()
        }
    assert "features.denseblock1.denselayer1.norm.1.weight" in old
    ours = xai.models.untrained("densenet161", 5).eval()
    lay_in(ours, old, "w", "densenet161")
    assert_same(ours(PIXELS), densenet(PIXELS))


def test_advprop_checkpoint_of_a_resnet50(tmp_path: Path) -> None:
    network = shaken(models.resnet50())
    state = {f"module.{key}": value for key, value in split(network, "", "aux_bn").items()}
    torch.save({**training(network), "state_dict": state, "acc": 77.4}, tmp_path / "model_best.pth.tar")
    file = record(tmp_path / "model_best.pth.tar", "resnet50", HALF, layout="split_bn")
    assert_same(xai.load_model(file, device="cpu")(PIXELS), expected(network, HALF))


BRANCHES = [("", "aux_bn"), ("", "aux_bn.0"), ("bns.0", "bns.1"), ("main_bn", "aux_bn"), ("bn_clean", "bn_adv")]


@pytest.mark.parametrize(("main", "auxiliary"), BRANCHES)
def test_the_main_branch_of_split_batch_norms_is_kept(main: str, auxiliary: str, resnet18: nn.Module) -> None:
    values = {"model": "mine", "weights": {"layout": "split_bn"}}
    state = network_state(split(resnet18, main, auxiliary), values, "w")
    assert state.keys() == resnet18.state_dict().keys()
    assert all(torch.equal(state[key], value) for key, value in resnet18.state_dict().items())


def test_timms_split_batch_norm(resnet18: nn.Module) -> None:
    """By timm's own conversion, not by names that we make up."""
    from timm.layers import convert_splitbn_model

    twin = models.resnet18()
    twin.load_state_dict(resnet18.state_dict())
    state = convert_splitbn_model(twin, num_splits=3).state_dict()
    assert "bn1.aux_bn.1.weight" in state
    kept = network_state(state, {"model": "mine", "weights": {}}, "w")
    assert kept.keys() == resnet18.state_dict().keys()


@pytest.mark.parametrize(
    ("layout", "content", "said"),
    [
        ("split_bn", {"bn.weight": torch.zeros(1)}, r"its layout is plain, not the weights.layout 'split_bn' of .*mine.yaml"),
        ("plain", {"state_dict": {"a": torch.zeros(1)}}, "its layout is wrapped, not the weights.layout 'plain'"),
        ("robustnes", {"a": torch.zeros(1)}, "unknown weights.layout 'robustnes'; did you mean 'robustness'"),
        ("auto", {"weights": {"a": torch.zeros(1)}, "epoch": 1}, "not a state dict: it holds weights, epoch"),
        ("auto", {}, "not a state dict: it holds nothing"),
        ("auto", [1], "not a state dict"),
    ],
)  # fmt: skip
def test_another_layout_is_refused_and_named(layout: str, content: Any, said: str) -> None:
    with pytest.raises(InputError, match=said):
        network_state(content, {"model": "mine", "weights": {"layout": layout}}, "w")
