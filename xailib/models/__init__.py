"""Models: `load_model` makes a frozen classifier from a parameter file; `list_models` says which there are."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from xailib import params
from xailib.errors import InputError, nearest
from xailib.models.checkpoints import lay_in, load_file_weights
from xailib.models.model import Model
from xailib.registry import architecture


def _package(record: dict[str, Any]) -> dict[str, Tensor]:
    from xailib.models.packages import load_package_weights

    return load_package_weights(record)


# weights.source -> how the state dict of a model record is had
SOURCES: dict[str, Callable[[dict[str, Any]], dict[str, Tensor]]] = {"file": load_file_weights, "package": _package}


def list_models(pattern: str = "*") -> list[str]:
    """Return the ids of the models in `params/models/` that match a shell pattern, sorted."""
    return params.ids("models", pattern)


def load_model(id: str | Path, *, device: str = "auto") -> Model:
    """Return a model, frozen and in evaluation mode, ready to be called with pixels in [0, 1].

    Args:
        id: an id from `list_models()`, or the path of a model's YAML file.
        device: auto (a GPU when there is one), cpu, cuda, or cuda:N.

    Raises:
        InputError: an unknown id, a weight file that is missing, altered or of another architecture, a device that is not there.
    """
    if str(id).endswith((".yaml", ".yml")):
        record, faults = params.read(id, "models")
        if faults:
            raise InputError("; ".join(faults))
    else:
        record = params.load_params("models", str(id))
    network = build_network(record)
    source = record["weights"]["source"]
    if source not in SOURCES:
        raise InputError(f"params/models/{record['model']}.yaml: unknown weights.source '{source}'{nearest(source, SOURCES)}")
    lay_in(network, SOURCES[source](record), record["weights"].get("path", record["model"]))
    return wrap(network, record, device)


def build_network(record: dict[str, Any]) -> nn.Module:
    """Return the untrained network that a model record names."""
    return untrained(record["architecture"], len(_class_names(record)), **record.get("model_options", {}))


def untrained(name: str, classes: int, **options: Any) -> nn.Module:
    """Return a network of a registered architecture with random weights from torch's stream."""
    import xailib.models.architectures
    import xailib.models.imagenet_architectures  # noqa: F401  (fills the registry)

    return architecture.get(name).function(classes, **options)


def wrap(network: nn.Module, record: dict[str, Any], device: str = "cpu") -> Model:
    """Return a `Model` around a network, with the facts of its record and of its architecture."""
    entry = architecture.get(record["architecture"])
    model = Model(
        network,
        id=record["model"],
        architecture=record["architecture"],
        training_algorithm=record["training_algorithm"],
        input_size=record["input_size"],
        class_names=_class_names(record),
        mean=record["mean"],
        std=record["std"],
        cam_layer=entry.cam_layer,
        offers=entry.offers,
    )
    return model.to(pick_device(device)).to(memory_format=torch.channels_last)


def pick_device(device: str) -> torch.device:
    """Return the device that `device` names; `auto` is a GPU when there is one."""
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        picked = torch.device(device)
    except RuntimeError:
        raise InputError(f"device: '{device}' is not known; use auto, cpu, cuda or cuda:N") from None
    if picked.type == "cuda" and (picked.index or 0) >= torch.cuda.device_count():
        raise InputError(f"device: '{device}' is not there; this machine has {torch.cuda.device_count()} GPUs")
    return picked


def _class_names(record: dict[str, Any]) -> list[str]:
    from xailib.datasets import class_names

    dataset = record["model_dataset"]
    known = params.load_params("datasets", dataset) if dataset in params.ids("datasets") else {}
    return class_names(known.get("dataset_function", dataset), **known.get("dataset_options", {}))
