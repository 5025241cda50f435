"""Models: `load_model` makes one from a parameter file, `wrap` of any network; `list_models` says which files there are."""

from pathlib import Path
from typing import Any

from torch import nn

from xailib import params
from xailib.devices import pick as pick_device
from xailib.errors import InputError
from xailib.models import classes
from xailib.models.checkpoints import lay_in
from xailib.models.model import Model
from xailib.models.probes import check
from xailib.models.sources import load_weights
from xailib.models.wrapping import wrap
from xailib.registry import architecture, uncallable

__all__ = ["Model", "build_network", "from_record", "list_models", "load_model", "untrained", "wrap"]


def list_models(pattern: str = "*") -> list[str]:
    """Return the ids of the models in `params/models/` that match a shell pattern, sorted."""
    return params.ids("models", pattern)


def load_model(id: str | Path, *, device: str = "auto") -> Model:
    """Return a model, frozen and in evaluation mode, ready to be called with pixels in [0, 1].

    Args:
        id: an id from `list_models()`, or the path of a model's YAML file.
        device: auto (a GPU when there is one), cpu, cuda, or cuda:N.

    Raises:
        InputError: an unknown id, weights that are not fetched yet, missing, altered or of another architecture, a device that
            is not there.
    """
    if str(id).endswith((".yaml", ".yml")):
        record, faults = params.read(id, "models")
        if faults:
            raise InputError("; ".join(faults))
    else:
        record = params.load_params("models", str(id))
    network = build_network(record)
    file = record["weights"].get("path") or record["weights"]["source"]
    where = f"{file} (for params/models/{record['model']}.yaml)"
    name = record.get("model_options", {}).get("name", record["architecture"])
    lay_in(network, load_weights(record), where, name, record.get("model_dataset", ""))
    model = from_record(network, record, device)
    check(model, model.input_size, model.input_size)
    return model


def build_network(record: dict[str, Any]) -> nn.Module:
    """Return the untrained network that a model record names."""
    return untrained(record["architecture"], len(classes.of_model(record)), **record.get("model_options", {}))


def untrained(name: str, classes: int, /, **options: Any) -> nn.Module:
    """Return a network of a registered architecture with random weights from torch's stream."""
    entry = architecture.get(name)
    if fault := uncallable(entry.function, ("classes",), **options):
        raise InputError(f"architecture '{name}': {fault}")
    network = entry.function(classes, **options)
    if not isinstance(network, nn.Module):
        raise InputError(f"architecture '{name}' must return a torch.nn.Module, not {type(network).__name__}")
    return network


def from_record(network: nn.Module, record: dict[str, Any], device: str = "cpu") -> Model:
    """Return a `Model` around a network, with the facts of its record and, where that is silent, of its architecture."""
    entry = architecture.get(record["architecture"])
    model = Model(
        network,
        id=record["model"],
        architecture=record["architecture"],
        training_algorithm=record["training_algorithm"],
        input_size=record["input_size"],
        class_names=classes.of_model(record),
        mean=record["mean"],
        std=record["std"],
        cam_layer=record.get("cam_layer") or entry.cam_layer,
        offers=record.get("offers") or entry.offers,
        output=record.get("output", "auto"),
    )
    return model.to(pick_device(device))
