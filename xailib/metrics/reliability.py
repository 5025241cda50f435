"""How much of a map, and of its score, is chance: the same images' maps under two seeds, side by side."""

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from xailib import registry
from xailib.images import ImageBatch
from xailib.metrics import evaluate
from xailib.models.model import Model

if TYPE_CHECKING:
    import pandas as pd


def agreement(maps: Tensor, repeats: Tensor, ids: list[str]) -> "pd.DataFrame":
    """Compare maps `(n, h, w)` with those of the first k images under another seed `(k, h, w)`.

    Returns:
        One row an image of the k: `image`, `same` (the two maps are equal bit for bit), `correlation`: Spearman's over
        the pixels, ties sharing their mean rank, in [-1, 1]. NaN where a map is constant and so has no ranks; but 1 everywhere
        where every map is equal, as the method draws nothing.
    """
    import pandas as pd

    first = maps[: len(repeats)]
    same = (first == repeats).flatten(1).all(dim=1).numpy()
    ranks = [pd.DataFrame(stack.flatten(1).numpy()).rank(axis=1) for stack in (first, repeats)]
    correlation = np.ones(len(same)) if same.all() else ranks[0].corrwith(ranks[1], axis=1)
    return pd.DataFrame({"image": ids[: len(repeats)], "same": same, "correlation": correlation})


def scored_twice(
    name: str, first: "pd.DataFrame", maps: Tensor, repeats: Tensor, model: Model, images: ImageBatch, **options: Any
) -> "pd.DataFrame":
    """Score the first k images' maps under another seed as the others were scored.

    Where a map's score depends on its stack (the tuned threshold of localisation), the repeats take the place of the
    first maps in it. Where all maps are equal, so are their scores.

    Args:
        name, model, images, options: as in `evaluate`.
        first: what `evaluate` gave for `maps`.
        maps, repeats: `(n, h, w)`, and the first k images' under another seed `(k, h, w)`; k may be 0.

    Returns:
        One row an image of the k: `image`, `value` and `second`, its scores.
    """
    k = len(repeats)
    table = first[["image", "value"]].head(k)
    if torch.equal(maps[:k], repeats):
        return table.assign(second=table["value"])
    if registry.metric.get(name).together:
        again = evaluate(name, torch.cat([repeats, maps[k:]]), model, images, **options).head(k)
    else:
        again = evaluate(name, repeats, model, images.select(slice(k)), **options)
    return table.assign(second=again["value"].to_numpy())
