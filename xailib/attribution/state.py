"""Leave a model as it was found."""

import contextlib
from collections.abc import Iterator

import torch
from torch import nn

_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")


@contextlib.contextmanager
def untouched(model: nn.Module) -> Iterator[None]:
    """Run the block with `model` frozen and in eval mode; afterwards every flag, hook and gradient is as before.

    Restores training and inplace flags, hooks, `requires_grad` and `.grad`, also when the block raises. New tensors are
    float32 within, whatever torch's default type is.
    """
    modules = list(model.modules())
    flags = [(module.training, getattr(module, "inplace", None)) for module in modules]
    hooks = [{name: dict(getattr(module, name)) for name in _HOOKS} for module in modules]
    parameters = [(parameter, parameter.requires_grad, parameter.grad) for parameter in model.parameters()]
    default = torch.get_default_dtype()
    model.eval().requires_grad_(False)
    torch.set_default_dtype(torch.float32)
    try:
        yield
    finally:
        torch.set_default_dtype(default)
        for module, (training, inplace), before in zip(modules, flags, hooks, strict=True):
            module.training = training
            if inplace != getattr(module, "inplace", None):  # scripted modules let nobody set it
                module.inplace = inplace
            for name, entries in before.items():
                current = getattr(module, name)
                for key in [key for key in current if key not in entries]:
                    del current[key]
        for parameter, trainable, gradient in parameters:
            parameter.requires_grad_(trainable)
            parameter.grad = gradient
