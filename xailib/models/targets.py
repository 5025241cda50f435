"""What is explained: images and classes, taken in any form that users hand over. The one entrance of all that explains."""

import re
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from xailib import engine
from xailib.errors import InputError, nearest
from xailib.images import ImageBatch
from xailib.models.classes import comparer, first_few
from xailib.models.model import Model
from xailib.models.state import untouched

WORDS = ("predicted", "label")


def as_model(model: Any) -> Model:
    """Return a `Model` as it is, and refuse what is none with an `InputError`."""
    if not isinstance(model, Model):
        raise InputError(f"model: a xailib Model is needed, not {type(model).__name__}; xailib.wrap(network) makes one")
    return model


def as_images(source: Any, model: Model) -> ImageBatch:
    """Return an `ImageBatch` as it is, and what `load_images` takes as one; photographs get the side of the model's input.

    Raises:
        InputError: no `Model`, no images, or what `load_images` refuses.
    """
    as_model(model)
    if not isinstance(source, ImageBatch):
        from xailib.datasets import load_images

        array = isinstance(source, Tensor | np.ndarray)
        try:
            source = ImageBatch(source) if array else load_images(source, side=model.input_size)
        except InputError as error:
            raise InputError(re.sub(r"^(source|pixels):", "images:", str(error))) from None
    if not len(source):
        raise InputError("images: the batch is empty; there is no image to explain")
    return source


def as_targets(targets: Any, model: Model, images: ImageBatch) -> Tensor:
    """Return the classes to explain, int64 `(n,)` on the CPU.

    Args:
        targets: None or "predicted" for the class that the model predicts (among `images.classes`, where these are given);
            "label" for the images' labels; a class's name or index for all images; or a list, array or tensor of one name or
            index an image.

    Raises:
        InputError: what is no class of the model, or not one an image; labels asked of images without, or of other classes.
    """
    if targets is None or (isinstance(targets, str) and targets == "predicted"):
        return predicted(model, images)
    if isinstance(targets, str) and targets == "label":
        return labels(model, images)
    if isinstance(targets, dict | set | frozenset):
        raise InputError(f"targets: a list in the order of the images is needed, not a {type(targets).__name__}")
    if isinstance(targets, Tensor | np.ndarray | np.generic):
        targets = targets.tolist()
    n, single = len(images), isinstance(targets, str) or not isinstance(targets, Iterable)
    classes = [targets] * n if single else list(targets)
    if len(classes) != n:
        raise InputError(f"targets: one class an image is needed, {n} in all, not {len(classes)}")
    return torch.tensor([_index(one, model) for one in classes])


def predicted(model: Model, images: ImageBatch) -> Tensor:
    """Return the class that the model predicts for each image, int64 `(n,)`, in fp32 and among `images.classes`."""
    with engine.using(model, precision="fp32"), untouched(model):
        classes = images.classes and counted(model, images).classes
        return masked(engine.logits(model, images.pixels), classes).argmax(dim=1)


def masked(logits: Tensor, classes: tuple[int, ...] | None) -> Tensor:
    """Logits `(n, c)` with those of other classes at minus infinity."""
    if classes is None:
        return logits
    chosen = torch.tensor(classes)
    found = torch.full_like(logits, -torch.inf)
    found[:, chosen] = logits[:, chosen]
    return found


def labels(model: Model, images: ImageBatch) -> Tensor:
    """Return the images' labels as the model counts its classes, int64 `(n,)`; raises as `counted` does, or without labels."""
    if not images.has_labels:
        raise InputError("targets: the images have no labels; use targets='predicted', or name the class")
    return counted(model, images).labels.cpu()


def counted(model: Model, images: ImageBatch) -> ImageBatch:
    """Return the images with labels, answers and classes as the model counts its classes.

    Where the images name their classes otherwise than the model, a class is the model's of the same name, compared as
    `xailib.models.classes.comparer` says.

    Raises:
        InputError: a label or a class that the model does not know, classes that are not the model's.
    """
    named = images.class_names or []
    compared = comparer(named, model.class_names)
    theirs, ours = [list(map(compared, names)) for names in (named, model.class_names)]
    if theirs and theirs != ours[: len(theirs)]:
        strange = next((i for i, name in enumerate(theirs) if ours.count(name) != 1), None)
        if strange is not None:
            raise InputError(
                f"labels: the images' class '{named[strange]}' is none of model '{model.id}': the images' are "
                f"{first_few(named)}, the model's {first_few(model.class_names)}; use targets='predicted', or "
                "images.with_labels(...) with the model's"
            )
        images = images.recounted([ours.index(name) for name in theirs])
    known = f"no class of model '{model.id}'; use 0 to {len(ours) - 1}"
    found = images.labels.tolist() if images.has_labels else []
    wrong = next((i for i, label in enumerate(found) if not 0 <= label < len(ours)), None)
    if wrong is not None:
        raise InputError(f"images: label {found[wrong]} of '{images.ids[wrong]}' is {known}")
    beyond = next((one for one in images.classes or () if not 0 <= one < len(ours)), None)
    if beyond is not None:
        raise InputError(f"images: {beyond} of their classes is {known}")
    return images


def _index(one: Any, model: Model) -> int:
    """The index of one class, given by index or by name."""
    one = one.item() if isinstance(one, np.generic) or (isinstance(one, Tensor) and one.ndim == 0) else one
    classes = len(model.class_names)
    if isinstance(one, int) and not isinstance(one, bool):
        if not 0 <= one < classes:
            raise InputError(f"targets: model '{model.id}' knows classes 0 to {classes - 1}, found {one}")
        return one
    if not isinstance(one, str):
        raise InputError(f"targets: a class is an index or a name, not {one!r}; or use 'predicted' or 'label'")
    compared = comparer(model.class_names)
    places = [i for i, name in enumerate(model.class_names) if compared(name) == compared(one)]
    if len(places) != 1:
        known = f"; {' and '.join(map(str, places))} have this name, so give the index" if places else ""
        hint = known or nearest(one, [*model.class_names, *WORDS])
        raise InputError(f"targets: '{one}' is not one class of model '{model.id}'{hint}")
    return places[0]
