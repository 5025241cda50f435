"""AdvProp (Xie 2020): clean and adversarial images share weights but not batch normalisation.

A batch is the clean half followed by the adversarial half; in evaluation mode the main (clean) branch answers, which is
the branch kept.
"""

import copy
import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

_AUXILIARY = "aux_bn.0."  # as timm's split batch normalisation names it


def split(network: nn.Module) -> nn.Module:
    """Give every batch-norm layer an auxiliary branch that starts as a copy of the main one."""
    for layer in [one for one in network.modules() if isinstance(one, nn.modules.batchnorm._BatchNorm)]:
        layer.aux_bn = nn.ModuleList([copy.deepcopy(layer)])
        layer.__class__ = _split(type(layer))
    return network


@functools.cache
def _split(kind: Any) -> Any:
    """A kind of batch norm, with all that it does besides (timm's hold an activation), of two branches in training."""

    def forward(self: Any, inputs: Tensor) -> Tensor:
        if not self.training:
            return kind.forward(self, inputs)
        clean, adversarial = inputs.chunk(2)
        return torch.cat([kind.forward(self, clean), self.aux_bn[0](adversarial)])

    return type(f"Split{kind.__name__}", (kind,), {"forward": forward})


def join(clean: Tensor, adversarial: Tensor) -> Tensor:
    """Lay a clean and an adversarial batch out as split batch normalisation expects them."""
    return torch.cat([clean, adversarial])


def auxiliary_view(network: nn.Module) -> Callable[[Tensor], Tensor]:
    """The network in evaluation mode with its auxiliary branch answering: the one the attacker attacks."""
    state = {**dict(network.named_parameters()), **dict(network.named_buffers())}
    swapped = {key.replace(_AUXILIARY, ""): value for key, value in state.items() if _AUXILIARY in key}
    return lambda inputs: functional_call(network, swapped, (inputs,))


def without_auxiliary(network: nn.Module) -> nn.Module:
    """Return the network with its batch-norm layers as they were, which hold the main branch."""
    for layer in [one for one in network.modules() if hasattr(one, "aux_bn")]:
        del layer.aux_bn
        layer.__class__ = type(layer).__mro__[1]
    return network
