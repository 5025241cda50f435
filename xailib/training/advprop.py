"""AdvProp (Xie 2020): clean and adversarial images share weights but not batch normalisation.

timm's split batch normalisation holds the two branches. A batch is the clean half followed by the adversarial half;
in evaluation mode the main (clean) branch answers, which is the branch kept.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.func import functional_call

_AUXILIARY = "aux_bn.0."


def split(network: nn.Module) -> nn.Module:
    """Give every batch-norm layer an auxiliary branch that starts as a copy of the main one."""
    from timm.layers import convert_splitbn_model

    main = network.state_dict()
    network = convert_splitbn_model(network, num_splits=2)
    copies = {key: main[key.replace(_AUXILIARY, "")] for key in network.state_dict() if _AUXILIARY in key}
    network.load_state_dict({**main, **copies})
    return network


def join(clean: Tensor, adversarial: Tensor) -> Tensor:
    """Lay a clean and an adversarial batch out as split batch normalisation expects them."""
    return torch.cat([clean, adversarial])


def auxiliary_view(network: nn.Module) -> Callable[[Tensor], Tensor]:
    """The network in evaluation mode with its auxiliary branch answering: the one the attacker attacks."""
    state = {**dict(network.named_parameters()), **dict(network.named_buffers())}
    swapped = {key.replace(_AUXILIARY, ""): value for key, value in state.items() if _AUXILIARY in key}
    return lambda inputs: functional_call(network, swapped, (inputs,))


def without_auxiliary(network: nn.Module) -> nn.Module:
    """Return the network with plain batch-norm layers that hold the main branch."""
    for name, child in network.named_children():
        setattr(network, name, _plain(child) if hasattr(child, "aux_bn") else without_auxiliary(child))
    return network


def _plain(layer: nn.Module) -> nn.BatchNorm2d:
    plain = nn.BatchNorm2d(layer.num_features, layer.eps, layer.momentum)
    plain.load_state_dict({key: value for key, value in layer.state_dict().items() if "aux_bn" not in key})
    return plain.train(layer.training)
