"""Quantus' metrics, asked so that what is known to be wrong in them is kept out.

One image a call: Quantus divides maps by the maximum of the whole batch, and draws from one stream for all of it. What a
metric perturbs is pixels, with all their channels (see `shown`). Where a map is constant, or there is no object to compare
with, the score is NaN. The package is asked for when one of its metrics is called, and not before.

Left out are those that are wrong however they are asked (0.6.0): ROAD, which scores its first batch alone and takes no
colours; Completeness, which wants floats to be equal; the pointing game, where an image without object is a hit; and areas
under Pixel Flipping, which grow with the steps: `deletion` is that area.
"""

import contextlib
import inspect
import threading
import warnings
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import TYPE_CHECKING, Any
from unittest import mock

import numpy as np
import torch
from torch import Tensor

from xailib import engine
from xailib.errors import InputError
from xailib.images import ImageBatch
from xailib.metrics.shown import Shown, constant
from xailib.models.model import Model
from xailib.seeding import generators

if TYPE_CHECKING:
    import pandas as pd

_turn = threading.RLock()  # NumPy's stream, its settings and what is patched are the process's, not a thread's


def scored(
    name: str,
    maps: Tensor,
    images: ImageBatch,
    *,
    masks: bool = False,
    seed: int = 0,
    call: Callable[[int], dict[str, Any]] | None = None,
    **options: Any,
) -> "pd.DataFrame":
    """Scores of one of Quantus' metrics, image by image.

    Args:
        name: of its class.
        masks: whether it compares with the object's pixels; without any, the score is NaN.
        seed: of its draws, a stream that belongs to (seed, image).
        call: from an image's index to further arguments of the metric's call: a model and what it takes.
        options: of the class.
    """
    import pandas as pd

    kind, found = getattr(_package(), name), []
    undefined = constant(maps) | (~images.masks.cpu().flatten(1).any(1) if masks else False)
    for i, stream in enumerate(generators(images.pixels, seed, name)):
        if undefined[i]:
            found.append(np.nan)
            continue
        given = {
            "model": None,
            "x_batch": images.pixels[i, None].cpu().numpy(),
            "y_batch": images.labels[i, None].cpu().numpy(),
            "a_batch": maps[i, None, None].double().numpy(),  # in which squares of small values do not vanish
            "s_batch": images.masks[i, None, None].cpu().numpy() if masks else None,
            "channel_first": True,
        }
        if "seed" in inspect.signature(kind).parameters:  # with which it would start NumPy's stream anew in each call
            options["seed"] = stream.initial_seed() % 2**32
        with _seeded(stream), warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            one = kind(disable_warnings=True, display_progressbar=False, return_aggregate=False, **options)
            found.append(float(one(**{**given, **(call(i) if call else {})})[0]))
    return pd.DataFrame({"value": found}, dtype=float)


def by_hiding(
    name: str, maps: Tensor, model: Model, images: ImageBatch, output: engine.Output, seed: int, **options: Any
) -> "pd.DataFrame":
    """Scores of a metric that takes features `(n, rows, columns)` of an image away."""
    whole = torch.ones(1, 1, *maps.shape[1:]).numpy()

    def call(i: int) -> dict[str, Any]:
        return {"model": Shown(model, images.pixels[i], output), "x_batch": whole, "softmax": False, "device": "cpu"}

    return scored(name, maps, images, seed=seed, call=call, **options)


def spearman(a: np.ndarray, b: np.ndarray, **_: Any) -> np.ndarray:
    """Spearman's correlation of one pair `(1, p)`; NaN where either is constant, at which Quantus' own stops."""
    from scipy.stats import spearmanr

    return np.array([spearmanr(a[0], b[0]).statistic])


@contextlib.contextmanager
def _seeded(stream: torch.Generator) -> Iterator[None]:
    """Within the block NumPy's own stream, from which Quantus draws, starts from an image's, and maps may be negative.

    One thread at a time.
    """
    helpers = _package().helpers
    with _turn:
        before = np.random.get_state()
        np.random.seed(stream.initial_seed() % 2**32)
        try:
            # Which refuses maps without a positive value.
            with mock.patch.object(helpers.asserts, "assert_attributions"):
                yield
        finally:
            np.random.set_state(before)
            model = helpers.model.pytorch_model.PyTorchModel
            for kept in ("_get_last_softmax_layer_index", "_get_model_with_linear_top"):
                getattr(model, kept).cache_clear()  # which would keep every image's network


def _package() -> ModuleType:
    try:
        import quantus
    except ImportError:
        raise InputError("Quantus, which makes this metric, is not installed; run: pip install quantus") from None
    return quantus
