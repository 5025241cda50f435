"""Networks that bring code of their own: a function of yours, and what Hugging Face's `transformers` makes."""

import importlib
import importlib.util
import sys
from typing import Any

from torch import nn

from xailib.errors import InputError, nearest
from xailib.params.made_from import code_file
from xailib.registry import architecture


@architecture("function", label="Own code")
def function(classes: int, *, name: str) -> nn.Module:
    """What a function of your own returns; it takes no argument, and says by itself how many classes there are.

    Args:
        classes: not handed on.
        name: `my_net.py:make` (from the workspace, or absolute) or `package.module:make`. It is your code, and runs.

    Raises:
        InputError: no such file, module or function, one that fails, or what is no network.
    """
    place, _, word = name.rpartition(":")
    where = f"model_options.name: '{name}'"
    module = _imported(name, where)
    make = getattr(module, word, None)
    if not callable(make):
        known = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]
        raise InputError(f"{where}: {place} has no function '{word}'{nearest(word, known)}")
    try:
        network = make()
    except (Exception, SystemExit) as error:  # what a user's code does is not known
        raise InputError(f"{where}: {word}() fails ({_line(error)}); it is called without arguments") from error
    if not isinstance(network, nn.Module):
        raise InputError(f"{where}: {word}() must return a torch.nn.Module, not {type(network).__name__}")
    return network


def _imported(name: str, where: str) -> Any:
    """The module of a file or of a dotted name; modules beside a file can be imported by it."""
    file, place = code_file(name), name.rpartition(":")[0]
    try:
        if not place.endswith(".py"):
            return importlib.import_module(place)
        if str(file.parent) not in sys.path:
            sys.path.append(str(file.parent))
        spec = importlib.util.spec_from_file_location(file.stem, file)
        if spec is None or spec.loader is None:
            raise ImportError("no Python file")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        raise InputError(f"{where}: {file} cannot be imported ({_line(error)})") from error
    return module


def _line(error: BaseException) -> str:
    return f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"


@architecture("huggingface", label="Hugging Face")
def huggingface(classes: int, *, name: str) -> nn.Module:
    """Any image classifier of Hugging Face's `transformers`, with random weights.

    Args:
        classes: not handed on: the configuration says them.
        name: `owner/name` on the hub, whose configuration is fetched once, or a folder that `save_pretrained` wrote.

    Raises:
        InputError: the package is not installed, or there is no such classifier.
    """
    try:
        from transformers import AutoConfig, AutoModelForImageClassification
    except ImportError:
        raise InputError(
            f"model_options.name: '{name}' needs the package transformers; run: pip install transformers"
        ) from None
    try:
        return AutoModelForImageClassification.from_config(AutoConfig.from_pretrained(name))
    except (OSError, ValueError) as error:  # no such repository, no network, or no classifier of images
        raise InputError(
            f"model_options.name: Hugging Face has no image classifier '{name}' ({_line(error)})"
        ) from None
