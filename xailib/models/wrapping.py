"""`wrap`: any image classifier as a `Model`; what a Model must know is derived from the network where it can be."""

import contextlib
import re
from collections.abc import Iterable, KeysView, Mapping, Sequence, ValuesView
from dataclasses import dataclass, field
from numbers import Integral
from typing import Any, Literal

import torch
from torch import nn

from xailib.devices import pick as pick_device
from xailib.errors import InputError, warn
from xailib.models import layers, probes
from xailib.models.answers import described, unwrapped
from xailib.models.model import Colour, Model, bare, checked_colour, checked_names, private

IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
SIDES = (224, 32, 28, 64, 96, 128, 256, 299, 384)  # tried in this order where nothing says the side


@dataclass
class Facts:
    """What a network's own configuration says of its input and its classes; None where it says nothing.

    Attributes:
        source: whose configuration it is, for messages.
        origins: where a fact comes from, when that is not `source`.
        sure: whether mean and std are more than a guess.
    """

    source: str = "assumed"
    mean: Sequence[float] | None = None
    std: Sequence[float] | None = None
    size: int | None = None
    names: Sequence[str] | None = None
    id: str | None = None
    origins: dict[str, str] = field(default_factory=dict)
    sure: bool = True


@torch.inference_mode(mode=False)
def wrap(
    net: nn.Module,
    *,
    classes: Iterable[str] | Mapping[int, str] | Mapping[str, int] | None = None,
    mean: Colour | None = None,
    std: Colour | None = None,
    size: int | None = None,
    cam_layer: str | None = None,
    output: Literal["auto", "logits", "probabilities", "log_probabilities"] = "auto",
    id: str | None = None,
    device: str | None = None,
) -> Model:
    """Return a network of timm, torchvision, Hugging Face or your own as a `Model` that every method can explain.

    What is not given is read from the network's configuration (timm's `pretrained_cfg`, Hugging Face's `config`) or found
    by passes of two images; what is neither is assumed. `print(model)` says which. The network is left as it is, and may
    be trained on: the model shares its weights, as long as they are float32 and change in place (as optimisers and
    `load_state_dict` change them).

    Args:
        net: takes normalised pixels `(n, 3, h, w)`, returns logits `(n, classes)`, or a dict, tuple or object that holds them.
        classes: one name a logit, in their order; a dict of names by number, or of numbers by name (`class_to_idx`);
            `imagenet` for its 1,000. Of several entries of an answer it is the one of as many values that holds the logits.
        mean: of the normalisation, three numbers in units of pixels in [0, 1], as a list, an array or a tensor.
        std: of the normalisation, alike; both are given, or none.
        size: side of the square input in pixels.
        cam_layer: name of the layer of the last maps `(n, c, h, w)`, `(n, h, w, c)` or tokens `(n, k + h w, c)`.
        output: what the network returns; `auto` tells. Of probabilities the logarithms are taken.
        id: a name for messages and tables.
        device: auto, cpu, cuda or cuda:N; where the network is when None.

    Raises:
        InputError: what the network answers cannot be explained, or what is given does not fit it.
    """
    if isinstance(net, Model):
        raise InputError(f"net: this is a Model already, '{net.id}'; hand it to attribute() and evaluate() as it is")
    if not isinstance(net, nn.Module):
        raise InputError(
            f"net: a torch.nn.Module is needed, not {type(net).__name__}; load_model() takes the id of a model"
        )
    net = bare(net)
    kind = type(net).__name__
    facts = from_timm(net) or from_huggingface(net) or Facts()
    name = id or facts.id or re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", kind).lower()
    names, size = _listed(classes, name), _side(size)
    mean, std = _colours(name, mean=mean, std=std)
    view = private(net, name)
    side, count = _first_pass(view, name, size or facts.size, names or facts.names)
    _assume(facts, net, count, side, size)
    _check_names(names, count, name)
    given = {"mean": mean, "std": std, "size": size, "classes": names}
    origins = {key: facts.origins.get(key, facts.source) for key, value in given.items() if value is None}
    model = Model(
        view,
        id=name,
        architecture=kind,
        training_algorithm="unknown",
        input_size=side,
        class_names=names or facts.names or (),
        mean=mean or facts.mean or (),
        std=std or facts.std or (),
        cam_layer=cam_layer,
        output=output,
    )
    if device is not None:
        model.to(pick_device(device))
    model.origins = origins
    if not names and getattr(net, "num_classes", None) == 0:  # timm's word for features, unless a head was put on since
        warn(
            f"model '{name}': its num_classes is 0, as of a network without a head; its {count} answers are taken for classes"
        )
    if not facts.sure and mean is None:
        warn(
            f"model '{name}': its normalisation is {origins['mean']}; give mean= and std= if it was trained with others"
        )
    probes.check(model, side, side, ("cam_layer",))
    _find_maps(model, given=cam_layer is not None)
    fault = probes.gradient_fault(model, side, side)
    if fault:
        model.origins["output"] = "no gradient: it is cut inside the network's forward"
    return model


def _find_maps(model: Model, given: bool) -> None:
    """Set the model's CAM layer where it is not given, and offer CAM where the logits are linear in its maps' means."""
    with probes.quiet(model):
        pixels = probes.samples(model.input_size, model.input_size, model.device)
        if not given:
            model.cam_layer_name = layers.last_maps(model, pixels)
            model.origins["cam_layer"] = "found by a pass" if model.cam_layer_name else "no layer gives maps"
        if model.cam_layer_name is None:
            return
        linear = model.has_head and layers.is_linear_in_means(model, pixels)
        model.offers = frozenset(["cam_layer", "gap_linear_head"] if linear else ["cam_layer"])


def _first_pass(view: nn.Module, id: str, size: int | None, names: Sequence[str] | None) -> tuple[int, int]:
    """Return the side at which a network takes pixels, and how many logits it answers.

    Of several entries of its answer, that of as many values as there are names holds them.
    """
    failures: list[InputError] = []
    for side in (size,) if size else SIDES:
        two = ["0", "1"]  # not looked at: the network is asked how many there are
        trial = Model(view, id=id, architecture="", training_algorithm="", input_size=side, class_names=two)
        try:
            with probes.quiet(trial):
                answer = probes.answered(trial, probes.samples(side, side, trial.device))
        except InputError as error:
            failures.append(error)
            continue
        rows = unwrapped(answer, len(names) if names else None)
        if names and isinstance(rows, torch.Tensor) and rows.shape[1:] != (len(names),):
            rows = unwrapped(answer, None)  # not as many as names, which is refused once it is known how many there are
        if isinstance(rows, torch.Tensor) and rows.shape in ((2,), (2, 1)):
            raise InputError(f"model '{id}' answers shape {tuple(rows.shape)} for 2 images: {probes.ONE_LOGIT}")
        if not isinstance(rows, torch.Tensor) or rows.ndim < 2:
            raise InputError(f"model '{id}' answers {described(answer)}, in which there are no logits (n, classes)")
        return side, rows.shape[1]
    raise failures[0]


def from_timm(net: nn.Module) -> Facts | None:
    """Return what timm's configuration of a network says, None without one."""
    config = getattr(net, "pretrained_cfg", None) or getattr(net, "default_cfg", None)
    if not isinstance(config, Mapping) or "mean" not in config:
        return None
    size = config.get("input_size") or (3, 224, 224)
    names = config.get("label_names")
    if not names and (config.get("num_classes") or 0) > 1000:
        from timm.data import ImageNetInfo, infer_imagenet_subset

        subset = infer_imagenet_subset(net)
        names = ImageNetInfo(subset).label_descriptions() if subset else None
    return Facts("timm's config", config["mean"], config["std"], int(size[-1]), names, config.get("architecture"))


def from_huggingface(net: nn.Module) -> Facts | None:
    """Return what a Hugging Face network's `config` and its image processor's defaults say, None without a `config`."""
    config: Any = getattr(net, "config", None)
    if not hasattr(config, "id2label"):
        return None
    labels = config.id2label or {}
    names = [str(labels[number]) for number in sorted(labels, key=int)]
    facts = Facts(
        "Hugging Face's config", names=None if all(re.fullmatch(r"LABEL_\d+", name) for name in names) else names
    )
    facts.id = getattr(config, "model_type", None)
    size = getattr(config, "image_size", None)
    facts.size = int(max(size)) if isinstance(size, Sequence) else size
    processor, whose = _processor(config)
    if processor is not None:
        facts.mean, facts.std = processor.image_mean, processor.image_std
        facts.origins = dict.fromkeys(("mean", "std"), whose)
    return facts


def _processor(config: Any) -> tuple[Any, str]:
    """The image processor that goes with a Hugging Face config, and whose it is: the checkpoint's own, if on this machine.

    Else its class's defaults are assumed: a checkpoint may have been trained with others.
    """
    try:
        from transformers import AutoImageProcessor
        from transformers.models.auto import image_processing_auto as auto
    except ImportError:
        return None, ""
    name = getattr(config, "_name_or_path", "")
    if name:
        with contextlib.suppress(OSError, ValueError, ImportError, AttributeError):
            return AutoImageProcessor.from_pretrained(name, local_files_only=True), f"the image processor of {name}"
    known = auto.IMAGE_PROCESSOR_MAPPING_NAMES.get(config.model_type) or ()
    for word in known.values() if isinstance(known, Mapping) else filter(None, known):
        with contextlib.suppress(ImportError, AttributeError, TypeError, ValueError):
            return auto.get_image_processor_class_from_name(word)(), f"assumed: the defaults of {word}"
    return None, ""


def _assume(facts: Facts, net: nn.Module, count: int, side: int, size: int | None) -> None:
    """Fill what no configuration says, and note that it is assumed."""
    torchvision = type(net).__module__.startswith("torchvision.models")
    if facts.mean is None:
        imagenet = torchvision or count == 1000 or facts.source != "assumed"
        facts.mean, facts.std = IMAGENET.values() if imagenet else ((0.0,) * 3, (1.0,) * 3)
        why = "assumed: ImageNet's" if imagenet else "assumed: pixels go in as they are, in [0, 1]"
        facts.origins |= dict.fromkeys(("mean", "std"), why)
    facts.sure = torchvision or not facts.origins.get("mean", "").startswith("assumed")
    if facts.size is None:
        facts.size, facts.origins["size"] = side, "assumed: the first side that passes"
    if facts.names is None or len(facts.names) != count:
        facts.names, facts.origins["classes"] = [f"class {number}" for number in range(count)], "assumed: numbered"
        if count == 1000:
            facts.names, facts.origins["classes"] = _imagenet(), "ImageNet's, as there are 1,000"
    doubles = (
        {name for name in facts.names if list(facts.names).count(name) > 1} if len(set(facts.names)) < count else ()
    )
    facts.names = [f"{name} ({number})" if name in doubles else str(name) for number, name in enumerate(facts.names)]


def _colours(id: str, **given: Colour | None) -> list[list[float] | None]:
    """Mean and std as a caller gave them: both or none, as they make sense together alone."""
    found = [None if values is None else checked_colour(id, name, values) for name, values in given.items()]
    absent = [name for name, values in given.items() if values is None]
    if len(absent) == 1:
        raise InputError(f"model '{id}': {absent[0]}: is missing; mean and std are given together, or neither")
    return found


def _side(size: Any) -> int | None:
    """The side that a caller gave, as a plain number."""
    if size is None:
        return None
    if isinstance(size, bool) or not isinstance(size, Integral) or size < 1:
        raise InputError(f"size: {size!r} is no side of the square input in pixels; give one whole number, such as 224")
    return int(size)


def _listed(classes: Any, id: str) -> list[str] | None:
    """The class names that a caller gave in one of many forms, in the order of the logits."""
    if classes is None:
        return None
    if isinstance(classes, str) and classes == "imagenet":
        return _imagenet()
    if isinstance(classes, Mapping):
        return checked_names(id, _by_number(classes))
    if hasattr(classes, "tolist"):  # arrays, pandas' columns
        classes = classes.tolist()
    if isinstance(classes, str) or not isinstance(classes, Sequence | KeysView | ValuesView):
        raise InputError(f"classes: a list of names is needed, one a logit, or 'imagenet', not {classes!r}")
    return checked_names(id, list(classes)) if len(classes) else []


def _by_number(classes: Mapping[Any, Any]) -> list[str]:
    """The names of a dict, of which the values or else the keys are their numbers, from 0 on."""
    by_name = all(isinstance(value, Integral) for value in classes.values())
    names = {number: name for name, number in classes.items()} if by_name else classes
    try:
        found = {int(number): name for number, name in names.items()}  # of a JSON file numbers are text
    except (TypeError, ValueError):
        found = {}
    if not len(classes) or sorted(found) != list(range(len(classes))):
        first = ", ".join(f"{key!r}: {value!r}" for key, value in list(classes.items())[:3])
        raise InputError(
            f"classes: a dict gives each name a number, or each number a name, from 0 on without gaps, not {{{first}, ...}}"
        )
    return [found[number] for number in range(len(found))]


def _check_names(names: Sequence[str] | None, count: int, id: str) -> None:
    """Refuse names that are not one a logit."""
    if names is None:
        return
    if len(names) != count:
        first = ", ".join(map(str, names[:3]))
        raise InputError(
            f"classes: {len(names)} names ({first}, ...) for the {count} logits of model '{id}'; give one a logit"
        )
    double = next((name for name in names if names.count(name) > 1), None) if len(set(names)) < count else None
    if double is not None:
        raise InputError(f"classes: '{double}' names two classes of model '{id}'; names must differ")


def _imagenet() -> list[str]:
    from xailib.datasets import class_names

    return class_names("imagenet")
