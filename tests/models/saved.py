"""Checkpoints as their authors' code saves them, around any network: the layouts that `xailib.models.layouts` reads."""

from typing import Any

import torch
from torch import nn

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


class InputNormalize(nn.Module):
    """The robustness library's normaliser: two buffers `(3, 1, 1)`."""

    def __init__(self, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        super().__init__()
        self.register_buffer("new_mean", torch.tensor(mean)[..., None, None])
        self.register_buffer("new_std", torch.tensor(std)[..., None, None])


class Holder(nn.Module):
    """Modules under names of their own."""

    def __init__(self, **modules: nn.Module) -> None:
        super().__init__()
        for name, module in modules.items():
            self.add_module(name, module)


def shaken(network: nn.Module) -> nn.Module:
    """Batch norms with statistics and weights of their own, so that no two layers, and no two branches, are alike."""
    generator = torch.Generator().manual_seed(0)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor in (module.weight.data, module.bias.data, module.running_mean, module.running_var):
                tensor.add_(0.2 * torch.rand(tensor.shape, generator=generator))
    return network.eval()


def robustness(network: nn.Module, foreign: bool = False, normal: Any = IMAGENET) -> dict[str, Any]:
    """What `robustness.train` saves of an `AttackerModel` under `DataParallel`.

    `foreign` networks, such as torchvision's own, are wrapped once more, in its `DummyModel`.
    """
    model = Holder(model=network) if foreign else network
    attacker = Holder(normalize=InputNormalize(*normal), model=model)
    state = nn.DataParallel(Holder(normalizer=InputNormalize(*normal), model=model, attacker=attacker)).state_dict()
    return {**training(network), "model": state, "schedule": {"last_epoch": 89, "_step_count": 90}, "amp": None}


def training(network: nn.Module) -> dict[str, Any]:
    """What a training script keeps beside the weights: optimiser, epoch, best accuracy."""
    optimiser = torch.optim.SGD(list(network.parameters())[-2:], 0.1, momentum=0.9)
    return {"epoch": 90, "optimizer": optimiser.state_dict(), "best_acc": torch.tensor(0.5), "arch": "resnet50"}


def split(network: nn.Module, main: str, auxiliary: str) -> dict[str, torch.Tensor]:
    """The network's state with every batch norm in two branches: `main` and `auxiliary` follow its name ("" for itself)."""
    norms = {name for name, module in network.named_modules() if isinstance(module, nn.BatchNorm2d)}
    state = {}
    for key, tensor in network.state_dict().items():
        layer, _, leaf = key.rpartition(".")
        if layer in norms:
            state[".".join(filter(None, (layer, main, leaf)))] = tensor
            state[f"{layer}.{auxiliary}.{leaf}"] = tensor + 1
        else:
            state[key] = tensor
    return state
