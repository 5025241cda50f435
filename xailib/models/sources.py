"""Where a model's weights come from: a file at hand, a pip package, code, or an address from which they are fetched once.

What is fetched lies in `resources/weights/<model>/`, beside `fetched.json`, which says from where and with what sha256.
"""

import json
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from xailib.errors import InputError, nearest
from xailib.models import classes
from xailib.models.checkpoints import State, check_hash, load_file_weights, read_checkpoint
from xailib.models.layouts import network_state
from xailib.registry import architecture
from xailib.workspace import place

Record = dict[str, Any]


@dataclass(frozen=True)
class Remote:
    """A file to fetch: its address, its name, and as much of its sha256 (hexadecimal) as is known."""

    url: str
    name: str
    sha256: str = ""


def load_weights(record: Record) -> State:
    """Return the state dict that a model record's `weights` name, in the names of its architecture.

    Raises:
        InputError: weights that are not there (the command that gets them is named), altered, cut off, of an unknown or
            another layout, or in a pickle that needs code.
    """
    source, where = record["weights"]["source"], f"params/models/{record['model']}.yaml"
    if source not in SOURCES:
        raise InputError(f"{where}: unknown weights.source '{source}'{nearest(source, SOURCES)}")
    if source == "package":
        from xailib.models.packages import load_package_weights

        return load_package_weights(record)
    if source == "file":
        return load_file_weights(record)
    if source == "code":
        with torch.random.fork_rng([]):  # what the code leaves to chance is the same in every slice
            torch.manual_seed(0)
            made = architecture.get(record["architecture"]).function
            return made(len(classes.of_model(record)), **record.get("model_options", {})).state_dict()
    path = fetched_file(record)
    return network_state(read_checkpoint(path), record, str(path))


def fetched_file(record: Record) -> Path:
    """Return the checked file that was fetched for a record; nothing is fetched here."""
    command = f"python -m xailib.models.fetch {record['model']}"
    note = marker(record["model"])
    try:
        facts = json.loads(note.read_text())
        path = note.parent / facts["name"]
        size = path.stat().st_size
    except (OSError, ValueError, KeyError, TypeError):
        raise InputError(f"the weights of '{record['model']}' are not on this machine yet; run: {command}") from None
    if size != facts["bytes"]:
        raise InputError(
            f"{path}: {size} bytes, not the {facts['bytes']} that were fetched; delete it and run: {command}"
        )
    wanted = record["weights"].get("sha256") or record["weights"].get("sha256_prefix") or ""
    known = facts["sha256"] if facts["sha256"].startswith(wanted) else wanted
    check_hash(path, {"sha256": known}, record["model"], f"delete it and run: {command}")
    return path


def marker(model: str) -> Path:
    """Return the file that says what was fetched for a model; it exists when, and only when, its weights are there."""
    return place(f"resources/weights/{model}/fetched.json")


def remote(record: Record) -> Remote | None:
    """Return what to fetch for a record, or None where its source needs no network."""
    weights, where = record["weights"], f"params/models/{record['model']}.yaml"
    address = SOURCES.get(weights["source"])
    if address is None:
        return None
    try:
        found = address(record)
    except KeyError as error:
        raise InputError(f"{where}: weights.source '{weights['source']}' needs weights.{error.args[0]}") from None
    return Remote(found.url, found.name, weights.get("sha256") or weights.get("sha256_prefix") or found.sha256)


def _torchvision(record: Record) -> Remote:
    """An entry of torchvision's weight enums; its file names carry the first digits of the sha256."""
    from torchvision import models

    enum = record["weights"]["enum"]
    try:
        url = models.get_weight(enum).url
    except (ValueError, AttributeError, KeyError):
        near = nearest(enum.partition(".")[0], [name for name in dir(models) if name.endswith("_Weights")])
        raise InputError(
            f"params/models/{record['model']}.yaml: weights.enum: torchvision has no '{enum}'{near}"
        ) from None
    return _url(url)


def _timm(record: Record) -> Remote:
    """The weights that timm gives a name with a tag, on Hugging Face or, for the older ones, elsewhere."""
    import timm

    name = record["weights"].get("name") or record.get("model_options", {}).get("name")
    if name is None:
        raise KeyError("name")
    try:
        configuration: Any = timm.get_pretrained_cfg(name)
    except RuntimeError:  # the network is known, the tag is not
        configuration = None
    if configuration is None or not (configuration.hf_hub_id or configuration.url):
        family = timm.list_pretrained(f"{name.split('.')[0]}*") or timm.list_pretrained("resnet50*")
        where = f"params/models/{record['model']}.yaml"
        raise InputError(f"{where}: weights.name: timm has no weights '{name}'{nearest(name, family)}")
    if configuration.hf_hub_id:
        return _hub(configuration.hf_hub_id, configuration.hf_hub_filename or "model.safetensors", "main")
    return _url(configuration.url)


def _huggingface(record: Record) -> Remote:
    weights = record["weights"]
    return _hub(weights["repo"], weights["file"], weights.get("revision", "main"))


def _hub(repository: str, file: str, revision: str) -> Remote:
    home = os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")
    return Remote(f"{home}/{repository}/resolve/{revision}/{file}", file.rpartition("/")[2])


def _url(url: str) -> Remote:
    name = url.partition("?")[0].rpartition("/")[2]
    digits = re.search(r"-([0-9a-f]{8,64})\.\w+$", name)
    return Remote(url, name, digits[1] if digits else "")


# weights.source -> how the address of its file is had; None where nothing is fetched
SOURCES: dict[str, Callable[[Record], Remote] | None] = {
    "file": None,
    "package": None,
    "code": None,
    "torchvision": _torchvision,
    "timm": _timm,
    "huggingface": _huggingface,
    "url": lambda record: _url(record["weights"]["url"]),
}
