"""The networks of a ROAR study: new ones to train, and the trained one as a `Model` that methods can explain."""

import torch
from torch import nn

from xailib.models import untrained
from xailib.models.model import Model
from xailib.registry import architecture
from xailib.roar.store import Store

STD = (0.25, 0.25, 0.25)  # pixels are divided by it after their mean is taken off, so a replaced value enters as zero


def new_network(name: str, classes: int, seed: int) -> nn.Module:
    """Return a network of a registered architecture with random weights that depend on `seed` alone."""
    torch.manual_seed(seed)
    return untrained(name, classes).to(memory_format=torch.channels_last)


def as_model(network: nn.Module, name: str, store: Store, device: torch.device) -> Model:
    """Return the network, frozen, as a `Model` over pixels in [0, 1] of the store's images."""
    entry = architecture.get(name)
    model = Model(
        network,
        id=f"{name}_{store.facts['dataset']}",
        architecture=name,
        training_algorithm="vanilla",
        input_size=store.side,
        class_names=store.class_names,
        mean=store.mean.tolist(),
        std=STD,
        cam_layer=entry.cam_layer,
        offers=entry.offers,
    )
    return model.to(device).to(memory_format=torch.channels_last)
