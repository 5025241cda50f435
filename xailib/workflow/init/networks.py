"""What `--model` says, as the parameter file of a network: its facts are derived as `xailib.wrap` derives them."""

import re
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from xailib import params
from xailib.errors import InputError, nearest
from xailib.models import Model, untrained, wrap
from xailib.models.checkpoints import lay_in, read_checkpoint, sha256_of
from xailib.models.layouts import is_robust, network_state, unwrap
from xailib.models.sources import load_weights, remote
from xailib.registry import architecture as architectures
from xailib.workflow.init.text import Draft
from xailib.workspace import expanded

WEIGHTS = (".pt", ".pth", ".safetensors", ".ckpt", ".bin", ".tar")
FORMS = "timm:NAME, torchvision:NAME, hf:ID, a checkpoint file with --architecture, or my_net.py:make"
INLINE = 12  # class names that are written into the file itself
ASSUMED = "assumed: numbered"
FETCHED = "fetched once by the study, then kept"
_HALVES = (0.5, 0.5, 0.5)  # what torchvision's networks of TensorFlow turn ImageNet's normalisation into, inside

Record = dict[str, Any]
Facts = dict[str, Any]


def network(
    word: str, chosen: str | None = None, names: Sequence[str] | None = None, size: int | None = None
) -> tuple[Draft, Model]:
    """Return a network's parameter file, and the network itself, with random weights where these are yet to be fetched.

    Args:
        word: as `--model` has it; `FORMS` says how.
        chosen: the architecture of a checkpoint: a registered one, one of timm or torchvision, or `my_net.py:make`.
        names: the classes, where the caller knows better than the network.
        size: of its input in pixels a side, where it is not to be the one that it is known to have.

    Raises:
        InputError: an unknown name, weights that there are none of, a checkpoint of another architecture, a function that
            fails, or a network that cannot be explained: the sentence begins with the word.
    """
    kind, _, rest = word.partition(":")
    makers: dict[str, Callable[..., tuple[Record, nn.Module, Facts]]]
    makers = {"timm": _timm, "torchvision": _torchvision, "hf": _huggingface}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # what libraries say of their own plans
            if kind in makers and rest:
                found, title = makers[kind](rest), rest
            elif word.lower().endswith(WEIGHTS):
                found, title = _checkpoint(Path(word), chosen), Path(word).stem
            elif rest:
                found, title = _function(word), kind.removesuffix(".py").rpartition("/")[2] + f" {rest}"
            else:
                raise InputError(f"not understood; write {FORMS}")
        return _draft(word, title, *found, names, size)
    except InputError as error:
        said = re.sub(r"^(params/models/draft\.yaml: )?((weights|model_options)\.name: )?", "", str(error))
        raise InputError(f"--model {word}: {said}") from None


def _draft(
    word: str,
    title: str,
    record: Record,
    net: nn.Module,
    given: Facts,
    names: Sequence[str] | None,
    size: int | None,
) -> tuple[Draft, Model]:
    """The parameter file of a network whose record says where it and its weights come from."""
    id, asked = free_id("models", title), {"size": size} if size else {}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        known = {key: value for key, value in given.items() if key != "origin"}
        model = wrap(net, classes=names, id=id, **known | asked)
    colours = {name: [round(x, 6) for x in getattr(model, name).flatten().tolist()] for name in ("mean", "std")}
    origins = {key: given["origin"] for key in ("mean", "std", "size") if key in given} | model.origins
    origins |= {"size": "given by --size"} if size else {}
    values = {
        "model": id, "label": title.partition("/")[2] or title, "architecture": record["architecture"],
        **({"model_options": record["model_options"]} if "model_options" in record else {}),
        "training_algorithm": "vanilla", "class_names": None, "input_size": model.input_size, **colours,
        **({"cam_layer": model.cam_layer_name} if model.cam_layer_name else {}), "offers": sorted(model.offers),
        "output": model.output, "weights": record["weights"],
    }  # fmt: skip
    notes = {
        "architecture": "what makes the network",
        "model_options": "which of them",
        "training_algorithm": "a word for figures; networks with the same word are one group",
        "input_size": f"pixels a side: {origins.get('size', 'given')}",
        "mean": f"subtracted from pixels in [0, 1]: {origins.get('mean', 'given')}",
        "std": "and they are divided by this",
        "cam_layer": f"whose maps GradCAM and CAM read: {origins.get('cam_layer', 'given')}",
        "offers": "cam_layer: GradCAM can be had; gap_linear_head: CAM too, as the logits are linear in the maps' means",
        "output": "what the network answers, as two passes have shown",
        "weights": record["note"],
    }
    said = [re.sub(r"give mean= and std=.*", f"params/models/{id}.yaml takes others", str(w.message)) for w in caught]
    if origins.get("size", "").startswith("assumed"):
        said.append(f"model '{id}': its input of {model.input_size} pixels a side is assumed, as nothing tells it; "
                    f"input_size in params/models/{id}.yaml takes another")  # fmt: skip
    draft = Draft("models", values, notes, f"Made by: xailib init --model {word}", {}, said)
    name_classes(draft, model.class_names, model.origins.get("classes", "given by --classes"))
    return draft, model


def name_classes(draft: Draft, names: Sequence[str], origin: str) -> None:
    """Write the class names into a network's file: by the word imagenet, in a line, or in a file of their own."""
    from xailib.datasets.imagenet.labels import imagenet_class_names

    draft.files.clear()
    draft.notes["class_names"] = f"what its outputs stand for, in their order: {origin}"
    if list(names) == imagenet_class_names():
        draft.values["class_names"] = "imagenet"
    elif len(names) <= INLINE:
        draft.values["class_names"] = list(names)
    else:
        path = f"params/models/{draft.id}_classes.txt"
        draft.files[path] = "\n".join(names) + "\n"
        draft.values["class_names"] = path


def free_id(kind: str, title: str) -> str:
    """Return an id for a parameter file that neither a shipped file of its kind has nor a folder in results/ is kept for."""
    id = re.sub(r"[^a-z0-9]+", "_", title.lower()).strip("_") or "own"
    taken = id in params.ids(kind) or (kind == "studies" and id in params.RESERVED)
    return f"my_{id}" if taken else id


def _timm(name: str) -> tuple[Record, nn.Module, Facts]:
    import timm

    bare = name.removeprefix("timm/")
    net = untrained("timm", 1000, name=bare)  # refuses an unknown name with the nearest one
    full = bare if "." in bare else f"{bare}.{timm.get_pretrained_cfg(bare).tag}".rstrip(".")
    record = {"model": "draft", "weights": {"source": "timm", "name": full}, "note": FETCHED}
    record |= {"architecture": "timm", "model_options": {"name": full}}
    remote(record)  # refuses a name without weights
    count = timm.get_pretrained_cfg(full).num_classes
    return record, net if count == 1000 and bare == full else untrained("timm", count, name=full), {}


def _torchvision(name: str) -> tuple[Record, nn.Module, Facts]:
    from torchvision import models

    net = untrained("torchvision", 1000, name=name)  # refuses an unknown name with the nearest one
    weights = models.get_model_weights(name).DEFAULT
    how = weights.transforms()
    halves = name in ("googlenet", "inception_v3")
    given = {"mean": _HALVES if halves else how.mean, "std": _HALVES if halves else how.std, "size": how.crop_size[0]}
    record = {"architecture": "torchvision", "model_options": {"name": name}, "note": FETCHED}
    record["weights"] = {"source": "torchvision", "enum": f"{type(weights).__name__}.{weights.name}"}
    return record, net, {**given, "origin": f"of torchvision's {weights.name}"}


def _huggingface(name: str) -> tuple[Record, nn.Module, Facts]:
    if name.startswith("timm/"):
        return _timm(name)
    folder = expanded(name)
    name = str(folder.resolve()) if folder.is_dir() else name
    net = untrained("huggingface", 0, name=name)
    file = "model.safetensors"
    if folder.is_dir():
        weights = {"source": "file", "path": str(folder.resolve() / file)}
    else:
        weights = {"source": "huggingface", "repo": name, "file": file}
    record = {"model": "draft", "architecture": "huggingface", "model_options": {"name": name}, "weights": weights}
    if folder.is_dir():
        lay_in(net, load_weights(record), name, "huggingface")
    return record | {"note": "read from there" if folder.is_dir() else FETCHED}, net, {}


def _function(word: str) -> tuple[Record, nn.Module, Facts]:
    options = {"name": _own(word)}
    record = {"model": "draft", "architecture": "function", "model_options": options, "weights": {"source": "code"}}
    net = untrained("function", 0, **options)
    return (
        record | {"note": "those that the function itself gives its network; an edit of its file makes results anew"},
        net,
        {},
    )


def _own(word: str) -> str:
    """A function of one's own, its file by an absolute path: a study runs elsewhere."""
    place, _, name = word.rpartition(":")
    file = expanded(place if place.endswith(".py") else place.replace(".", "/") + ".py")
    if file.is_file():
        return f"{file.resolve()}:{name}"
    if place.endswith(".py"):
        here = sorted(path.name for path in file.parent.glob("*.py")) if file.parent.is_dir() else []
        raise InputError(f"{file.absolute()}: no such file{nearest(file.name, here) if here else ''}")
    hint = nearest(word, [f"{kind}:{name}" for kind in ("timm", "torchvision", "hf")])
    if "did you mean" in hint and "." not in place:
        raise InputError(f"there is neither a library nor a module of this name here{hint}")
    return word


def _checkpoint(path: Path, chosen: str | None) -> tuple[Record, nn.Module, Facts]:
    path = expanded(path)
    if not path.is_file():
        raise InputError(f"{path.absolute()}: no such weight file")
    if chosen is None:
        raise InputError("a checkpoint holds weights alone; say with --architecture what network they are for")
    name, options = _architecture(chosen)
    content, given = read_checkpoint(path), {}
    state, _ = unwrap(content, str(path))
    if is_robust(state):  # MadryLab's library saves the normalisation too
        saved = {key.rpartition("normalizer.new_")[2]: value for key, value in state.items()}
        given = {key: saved[key].flatten().tolist() for key in ("mean", "std") if key in saved}
    record = {"model": "draft", "architecture": name, **({"model_options": options} if options else {}), **given}
    record["weights"] = {"source": "file", "path": str(path.resolve()), "sha256": sha256_of(path)}
    state = network_state(content, record, str(path))
    net = untrained(name, 1000, **options)
    count = _outputs(net, state)
    if count not in (None, 1000) and name != "function":
        net = untrained(name, count, **options)
    lay_in(net, state, str(path), options.get("name", name))
    return record | {"note": "read without running any code"}, net, {**given, "origin": "of the checkpoint"}


def _architecture(chosen: str) -> tuple[str, dict[str, str]]:
    """The registered architecture that a word stands for, and its options."""
    kind, _, rest = chosen.partition(":")
    if kind in ("timm", "torchvision") and rest:
        return kind, {"name": rest}
    if rest:
        return "function", {"name": _own(chosen)}
    known = [name for name in architectures.names() if name not in ("timm", "torchvision", "function", "huggingface")]
    if chosen in known:
        return chosen, {}
    import timm
    from torchvision import models

    for library, names in (("torchvision", models.list_models(module=models)), ("timm", timm.list_models())):
        if chosen.split(".")[0] in names:
            return library, {"name": chosen}
        known += names
    raise InputError(f"--architecture: neither torchvision nor timm nor xailib has '{chosen}'{nearest(chosen, known)}")


def _outputs(net: nn.Module, state: dict[str, Tensor]) -> int | None:
    """How many classes a state dict tells, where its last layer is called as that of a network of 1,000."""
    heads = [name for name, layer in net.named_modules() if getattr(layer, "out_features", None) == 1000]
    heads += [name for name, layer in net.named_modules() if getattr(layer, "out_channels", None) == 1000]
    found = [len(value) for name in heads for key, value in state.items() if key.endswith(f"{name}.weight")]
    return found[0] if found else None
