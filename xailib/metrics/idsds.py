"""The in-domain single deletion score (Hesse et al. 2024): do a map's patches rank as what the answer loses without each?"""

from typing import TYPE_CHECKING, Annotated, Any

import torch
from annotated_types import Ge
from torch import Tensor

from xailib import engine
from xailib.errors import InputError
from xailib.images import ImageBatch
from xailib.metrics.finetuned import finetuned
from xailib.metrics.shown import CONSTANT, cells, sums, table
from xailib.models.model import Model
from xailib.registry import metric

if TYPE_CHECKING:
    import pandas as pd

Grid = Annotated[int, Ge(2)]


def patches(grid: int, height: int, width: int) -> Tensor:
    """Return which of `grid` x `grid` patches each pixel belongs to, in reading order: int64 `(h, w)`."""
    if grid > min(height, width):
        raise InputError(f"grid: {grid} x {grid} patches are too many for images of {height} x {width} pixels")
    return cells(grid, grid, height, width)


def without_a_patch(pixels: Tensor, fill: Tensor, *, grid: int = 4, **_: Any) -> Tensor:
    """Delete a random patch of every other image or so: what the authors fine-tune on."""
    one = torch.randint(grid**2, (len(pixels), 1, 1))
    gone = (patches(grid, *pixels.shape[2:]) == one) & (torch.rand(len(pixels), 1, 1) < 0.5)
    return torch.where(gone[:, None].to(pixels.device), fill, pixels)


@metric(
    "idsds",
    better="higher",
    range=(-1, 1),
    label="IDSDS",
    nan=f"{CONSTANT}, all patches have one sum, or the answer loses the same without each",
    paper="Hesse et al. 2024, Benchmarking the Attribution Quality of Vision Models, arXiv 2407.11910, section 3",
)
@finetuned(without_a_patch, explained=True)
def idsds(
    maps: Tensor, model: Model, images: ImageBatch, *, grid: Grid = 4, output: engine.Output = "logit"
) -> "pd.DataFrame":
    """Rank correlation (Spearman) of a map's sums over patches with what the target loses when each is deleted alone.

    In-domain where the network was fine-tuned on such deletions and the maps are of that network, as in a study; on any
    other it is the authors' single deletion score.

    Args:
        grid: patches a side; a deleted one has the model's mean colour.
        output: of the target, whose `logit` the authors take, or `probability`.
    """
    import pandas as pd

    patch = patches(grid, *maps.shape[1:])
    pixels, where = images.pixels.to(model.device), patch.to(model.device)

    def perturbed(image: Tensor, sample: Tensor) -> Tensor:
        """The image itself at sample 0."""
        return torch.where((where == sample[:, None, None] - 1)[:, None], model.mean_colour, pixels[image])

    outputs = engine.scores(model, images.labels, grid**2 + 1, perturbed, output, f"{model.id} IDSDS").cpu().double()
    losses = outputs[:, :1] - outputs[:, 1:]
    ranks = [pd.DataFrame(values.numpy()).rank(axis=1) for values in (sums(maps, patch), losses)]
    found = ranks[0].corrwith(ranks[1], axis=1)
    return table(found.tolist(), maps)  # a constant map would rank patches by their size
