"""The sanity check: does a method's map change when what the network has learnt is taken away, layer by layer?"""

import contextlib
import copy
import functools
from collections import defaultdict
from itertools import chain, pairwise
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
import torch
from annotated_types import Ge
from torch import Tensor, nn

from xailib.attribution import attribute
from xailib.errors import InputError
from xailib.images import ImageBatch
from xailib.metrics.again import recipe
from xailib.metrics.shown import constant
from xailib.models.model import Model
from xailib.registry import metric
from xailib.seeding import generator

if TYPE_CHECKING:
    import pandas as pd

WINDOW = 7  # of SSIM, in pixels


@metric(
    "sanity",
    better="lower",
    range=(-1, 1),
    label="Sanity check",
    columns=("last",),
    nan="the map's absolute values are constant",
    explains=True,
    paper="Adebayo et al. 2018, Sanity Checks for Saliency Maps, arXiv 1810.03292, section 3.1",
)
def sanity(
    maps: Tensor,
    model: Model,
    images: ImageBatch,
    *,
    similarity: Literal["spearman", "ssim"] = "spearman",
    points: Annotated[int, Ge(1)] = 10,
    noise: Literal["same", "fresh"] = "same",
    seed: int = 0,
) -> "pd.DataFrame":
    """How alike a method's map stays while the network's weights are drawn anew from the top layer down (cascading).

    1 is a map that does not depend on the network, as an edge detector's; it costs `points` times the method. The maps are
    explained again on a private copy of the network, with the method, options and classes that they say.

    Args:
        similarity: of absolute values: Spearman's correlation over the pixels, ties sharing their mean rank, or `ssim` of
            maps divided by their maxima. A constant map has no ranks, so that Spearman's correlation with it counts as 0.
        points: of the cascade at which maps are compared, spread evenly over its layers; not more than there are layers.
        noise: what a method draws is the `same` as for the map, so that only the network differs, and what its draws alone
            decide (a random map, RISE with few masks) is seen to ignore it; or `fresh` at each point, which counts as change.
        seed: of the new weights, a stream that belongs to (seed, weight). They are normal, of the mean and standard deviation
            of those they replace, so that answers keep their scale; the statistics of batch norms stay.

    Returns:
        `value`, the mean similarity over the points, and `last`, that at the last, where every weight is drawn.

    Raises:
        InputError: maps that do not say how they were made, of no registered method or another network; no weights.
    """
    import pandas as pd

    maps, options = recipe(maps, model, "the sanity check")
    own = copy.deepcopy(model)
    layers, weights = cascade(own, images.pixels[:1]), dict(own.named_parameters())
    cuts = np.linspace(0, len(layers), min(points, len(layers)) + 1).round().astype(int)
    first, found = options.pop("seed"), []
    for point, (start, stop) in enumerate(pairwise(cuts), start=1):
        for name in chain(*layers[start:stop]):
            redraw(weights[name], generator(seed, "sanity", name))
        drawn = first + point if noise == "fresh" else first
        again = attribute(maps.method, own, images, maps.targets, seed=drawn, **options)
        found.append(SIMILARITIES[similarity](maps.values.abs(), again.values.abs()))
    values = np.where(constant(maps.values.abs()).numpy(), np.nan, np.array(found))
    return pd.DataFrame({"value": values.mean(axis=0), "last": values[-1]})


def cascade(model: Model, pixels: Tensor) -> list[list[str]]:
    """Return the names of each layer's weights, the layers from the top down: last the one that a pass reaches first.

    A layer is a module with weights of its own; one that a pass does not call itself belongs to the module around it, as do
    all parts of a scripted module, which say nothing of their calls.

    Args:
        model: the network; left as it is.
        pixels: an image `(1, 3, h, w)` to run it on.

    Raises:
        InputError: a network without weights.
    """
    reached: dict[str, int] = {}

    def note(name: str, module: nn.Module, inputs: Any) -> None:
        reached.setdefault(name, len(reached))

    with contextlib.ExitStack() as hooks, torch.no_grad():
        for name, one in model.named_modules():
            if isinstance(one, torch.jit.ScriptModule):  # which takes no hook
                continue
            hooks.enter_context(one.register_forward_pre_hook(functools.partial(note, name)))
        model(pixels.to(model.device))
    layers = defaultdict(list)
    for name, _ in model.named_parameters():
        layer = name.replace(".parametrizations.", ".").rpartition(".")[0]  # a parametrised weight belongs to its layer
        while layer not in reached:
            layer = layer.rpartition(".")[0]
        layers[reached[layer]].append(name)
    if not layers:
        raise InputError(f"model '{model.id}' has no weights to draw anew, so that there is no sanity check of it")
    return [layers[place] for place in sorted(layers, reverse=True)]


@torch.no_grad()
def redraw(weights: Tensor, stream: torch.Generator) -> None:
    """Replace weights by normal ones of the same mean and standard deviation, in place; equal weights stay."""
    drawn = torch.randn(weights.shape, generator=stream).to(weights)
    weights.copy_(weights.mean() + weights.std(correction=0) * drawn)


def _spearman(maps: Tensor, others: Tensor) -> np.ndarray:
    import pandas as pd

    ranks = [pd.DataFrame(stack.flatten(1).numpy()).rank(axis=1) for stack in (maps, others)]
    return ranks[0].corrwith(ranks[1], axis=1).fillna(0).to_numpy()


def _ssim(maps: Tensor, others: Tensor) -> np.ndarray:
    from skimage.metrics import structural_similarity

    if min(maps.shape[1:]) < WINDOW:
        raise InputError(f"similarity: ssim needs maps of {WINDOW} x {WINDOW} pixels or more; use spearman")
    tiny = torch.finfo(maps.dtype).tiny
    pairs = ((stack / stack.amax(dim=(1, 2), keepdim=True).clamp(min=tiny)).numpy() for stack in (maps, others))
    return np.array([structural_similarity(*pair, win_size=WINDOW, data_range=1) for pair in zip(*pairs, strict=True)])


SIMILARITIES = {"spearman": _spearman, "ssim": _ssim}
