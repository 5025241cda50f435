"""Leave a model as it was found."""

import contextlib
from collections.abc import Iterator

from torch import nn

_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")


@contextlib.contextmanager
def untouched(model: nn.Module) -> Iterator[None]:
    """Run the block with `model` frozen and in eval mode; afterwards every flag, hook and gradient is as before.

    Restores training and inplace flags, hooks, `requires_grad` and `.grad`, also when the block raises. Writes only what
    differs and reads `vars(module)`: a walk with the methods of modules takes as long as a small network's pass.
    """
    modules = list(model.modules())
    flags = [(module.training, vars(module).get("inplace")) for module in modules]
    hooks = [{name: list(held) for name in _HOOKS if (held := getattr(module, name))} for module in modules]
    parameters = [
        (one, one.requires_grad, one.grad) for module in modules for one in module._parameters.values() if one is not None
    ]
    if any(training for training, _ in flags):
        model.eval()
    for parameter, trainable, _ in parameters:
        if trainable:
            parameter.requires_grad_(False)
    try:
        yield
    finally:
        for module, (training, inplace), before in zip(modules, flags, hooks, strict=True):
            if module.training != training:
                module.training = training
            if vars(module).get("inplace") != inplace:
                module.inplace = inplace
            for name in _HOOKS:
                current = getattr(module, name)
                for key in [key for key in current if key not in before.get(name, ())]:
                    del current[key]
        for parameter, trainable, gradient in parameters:
            if parameter.requires_grad != trainable:
                parameter.requires_grad_(trainable)
            if parameter.grad is not gradient:
                parameter.grad = gradient
