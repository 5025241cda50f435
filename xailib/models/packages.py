"""Weights that come inside pip packages: found, checked, read safely, and renamed to timm's or torchvision's layout.

The package's own code is never imported: only the file that its metadata lists is opened.
"""

import hashlib
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from xailib.errors import InputError, first_line, nearest
from xailib.params.installed import package_file

State = dict[str, Tensor]

# What reading bytes that are no pickle, half a pickle or a forbidden one can raise.
_UNREADABLE = (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, TypeError, LookupError, AttributeError)
_CUT_OFF = "it ends too early"  # where they say nothing


def load_package_weights(record: dict[str, Any]) -> State:
    """Return the state dict of a model record whose `weights.source` is `package`.

    `record["weights"]` holds `package` (its name in the registry), `path` (as the package's metadata lists it),
    `sha256` and `layout`: a key of `LAYOUTS`, which says how the file is read and its names are converted.

    Raises:
        InputError: the package is not installed, holds no such file, the file's sha256 differs, or it is no plain table
            of arrays.
    """
    weights, where = record["weights"], f"params/models/{record['model']}.yaml"
    layout = weights["layout"]
    if layout not in LAYOUTS:
        raise InputError(f"{where}: unknown weights.layout '{layout}'{nearest(layout, LAYOUTS)}")
    path = package_file(weights["package"], weights["path"])
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != weights["sha256"]:
        raise InputError(
            f"{path}: sha256 {found[:12]}... is not the {str(weights['sha256'])[:12]}... of {where}; "
            f"reinstall the package {weights['package']}"
        )
    read, convert = LAYOUTS[layout]
    return convert(read(path))


def read_torch(path: Path) -> State:
    """Read a `torch.save` file that holds nothing but tensors."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except _UNREADABLE as error:
        raise InputError(f"{path}: not a state dict of tensors ({first_line(error, _CUT_OFF)})") from None
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise InputError(f"{path}: not a state dict of tensors")
    return state


class _ArraysOnly(pickle.Unpickler):
    """Unpickles NumPy arrays in plain containers; any other name in the file is refused before it is looked up."""

    _ALLOWED: ClassVar = {
        ("numpy.core.multiarray", "_reconstruct"): np.zeros(0).__reduce__()[0],
        ("numpy._core.multiarray", "_reconstruct"): np.zeros(0).__reduce__()[0],
        ("numpy", "ndarray"): np.ndarray,
        ("numpy", "dtype"): np.dtype,
    }

    def find_class(self, module: str, name: str) -> Any:
        try:
            return self._ALLOWED[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}") from None


def read_arrays(path: Path) -> dict[str, list[np.ndarray]]:
    """Read a pickled dict of lists of float arrays; a file that asks for anything else is refused."""
    try:
        with path.open("rb") as file:
            table = _ArraysOnly(file, encoding="latin1").load()
    except _UNREADABLE as error:
        raise InputError(f"{path}: not a table of plain arrays ({first_line(error, _CUT_OFF)})") from None
    lists: list[Any] = list(table.values()) if isinstance(table, dict) else [None]
    if not all(isinstance(arrays, list | tuple) for arrays in lists) or not all(
        isinstance(array, np.ndarray) and array.dtype.kind == "f" for arrays in lists for array in arrays
    ):
        raise InputError(f"{path}: not a table of float arrays")
    return table


def convert_efficientnet_lite(state: State) -> State:
    """Rename the layout of `efficientnet-lite-pytorch` to timm's `tf_efficientnet_lite*`.

    The source numbers its blocks through; timm numbers stages and blocks. A stage begins where a block's output has
    another width, which holds for every EfficientNet.
    """
    stem = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2", "_fc": "classifier"}
    expanded = {"_expand_conv": "conv_pw", "_bn0": "bn1", "_depthwise_conv": "conv_dw", "_bn1": "bn2"}
    expanded |= {"_project_conv": "conv_pwl", "_bn2": "bn3"}
    separable = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}

    places: list[tuple[int, int]] = []  # block number -> (stage, block of the stage)
    width = None
    while (projection := state.get(f"_blocks.{len(places)}._project_conv.weight")) is not None:
        stage, block = places[-1] if places else (-1, 0)
        places.append((stage, block + 1) if len(projection) == width else (stage + 1, 0))
        width = len(projection)

    converted = {}
    for name, tensor in state.items():
        first, rest = name.split(".", 1)
        if first != "_blocks":
            converted[f"{stem[first]}.{rest}"] = tensor
            continue
        number, layer, leaf = rest.split(".")
        names = expanded if f"_blocks.{number}._expand_conv.weight" in state else separable
        stage, block = places[int(number)]
        converted[f"blocks.{stage}.{block}.{names[layer]}.{leaf}"] = tensor
    return converted


def convert_squeezenet(table: dict[str, list[np.ndarray]]) -> State:
    """Turn Keras arrays (kernels height, width, in, out; BGR input) into torchvision's `squeezenet1_1` (RGB input)."""
    places = {"conv1": "features.0", "conv10": "classifier.1"}
    # torchvision's `features` holds ReLU and pooling too, so the fires 2-9 do not lie side by side.
    for fire, place in zip(range(2, 10), (3, 4, 6, 7, 9, 10, 11, 12), strict=True):
        for part, module in (("squeeze1x1", "squeeze"), ("expand1x1", "expand1x1"), ("expand3x3", "expand3x3")):
            places[f"fire{fire}/{part}"] = f"features.{place}.{module}"
    state = {}
    for name, (kernel, bias) in table.items():
        where = places[name]
        weight = torch.from_numpy(np.ascontiguousarray(kernel, dtype=np.float32)).permute(3, 2, 0, 1).contiguous()
        state[f"{where}.weight"] = weight.flip(1) if name == "conv1" else weight
        state[f"{where}.bias"] = torch.from_numpy(np.ascontiguousarray(bias, dtype=np.float32))
    return state


# layout -> (how the file is read, how its names become those of the architecture)
LAYOUTS: dict[str, tuple[Callable[[Path], Any], Callable[[Any], State]]] = {
    "efficientnet_lite": (read_torch, convert_efficientnet_lite),
    "keras_squeezenet": (read_arrays, convert_squeezenet),
}
