"""A network's private view: modules, modes, flags and hooks of its own over the caller's weights."""

import copy
from typing import Any

import torch
from torch import Tensor, nn

from xailib.errors import InputError, first_line

address = id  # as copy.deepcopy's memo knows what was copied


def private(network: nn.Module, id: str) -> nn.Module:
    """Return a view of a network, in float32, frozen and in evaluation mode; the network itself is left as it is.

    Modules are copied, weights are shared where they are float32 already: the view takes no memory, and follows a training
    that goes on and all else that writes into the weights. It does not follow where the network gets other tensors or
    modules (`weight.data = ...`, `vector_to_parameters`, `load_state_dict(assign=True)`): wrap it again. Weights of other
    precision are copied. What `torch.compile`, `DataParallel` and
    `DistributedDataParallel` wrap is taken out.

    Raises:
        InputError: no module, one that cannot be copied, or one whose weights are not all at one place.
    """
    if not isinstance(network, nn.Module):
        raise InputError(f"model '{id}': a torch.nn.Module is needed, not {type(network).__name__}")
    network = getattr(network, "_orig_mod", network)
    if isinstance(network, nn.DataParallel | nn.parallel.DistributedDataParallel):
        network = network.module
    tensors = [*network.parameters(), *network.buffers()]
    if any(torch.nn.parameter.is_lazy(tensor) for tensor in tensors):
        raise InputError(f"model '{id}': layers of its network have no weights yet; run one batch through it first")
    places = sorted({str(tensor.device) for tensor in tensors})
    if len(places) > 1 or places == ["meta"]:
        raise InputError(f"model '{id}': its weights lie on {' and '.join(places)}; move them to one device")
    shared = [
        tensor for module in network.modules() for tensor in _tensors(module)
    ]  # kept, so that no id is used twice
    try:
        with torch.no_grad():
            view = copy.deepcopy(network, {address(tensor): _view(tensor) for tensor in shared})
    except Exception as error:  # whatever a network holds may refuse to be copied in its own way
        reason = first_line(error, type(error).__name__)
        raise InputError(
            f"model '{id}': its network cannot be copied, and must not be changed ({reason}); keep what cannot be "
            "copied outside the network"
        ) from None
    if any(tensor.is_floating_point() and tensor.dtype != torch.float32 for tensor in tensors):
        view.float()
    for weights in view.parameters():  # scripted modules have no requires_grad_()
        weights.requires_grad_(False)
    return view.eval()


def _tensors(module: nn.Module) -> list[Tensor]:
    """The tensors of a module to share: weights, buffers, and what weight norms derive from them at every pass."""
    if isinstance(module, torch.jit.ScriptModule):
        return []  # these copy themselves, weights and all
    held: list[Any] = [*module.parameters(recurse=False), *module.buffers(recurse=False)]
    return held + [value for value in vars(module).values() if isinstance(value, Tensor) and not value.is_leaf]


def _view(tensor: Tensor) -> Tensor:
    detached = tensor.clone() if tensor.is_inference() else tensor.detach()
    return nn.Parameter(detached, requires_grad=False) if isinstance(tensor, nn.Parameter) else detached
