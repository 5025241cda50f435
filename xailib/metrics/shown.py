"""What other packages' metrics are given: a network that is asked with some of an image's pixels hidden.

Their features are then pixels, with all their channels, and a pixel that is taken away shows the colour that the network
normalises to zero, as in Deletion: on images they would rank the channels of a pixel apart.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from xailib import engine
from xailib.models.model import Model

if TYPE_CHECKING:
    import pandas as pd

CONSTANT = "the map is constant"


class Shown(nn.Module):
    """From how far each cell of an image is shown, `(b, 1, rows, columns)` in [0, 1], to outputs `(b, classes)`.

    Cells lie as `cells` says. The engine runs the passes, in chunks and in fp32; outputs are float64.
    """

    def __init__(self, model: Model, image: Tensor, output: engine.Output) -> None:
        super().__init__()
        self._held = (model, image.to(model.device))  # no child: what looks through modules is not to find the network
        self.output = output
        self.eval()

    def forward(self, shown: Tensor) -> Tensor:
        """Return probabilities or logits."""
        model, image = self._held
        share = shown.to(image).flatten(2)[:, :, cells(*shown.shape[2:], *image.shape[1:]).to(image.device)]
        with engine.using(precision="fp32", progress=False):
            logits = engine.logits(model, torch.lerp(model.mean_colour.expand_as(image[None]), image[None], share))
        return (engine.probabilities(logits) if self.output == "probability" else logits.double()).to(shown.device)


def cells(rows: int, columns: int, height: int, width: int) -> Tensor:
    """Return which of `rows` x `columns` cells each pixel belongs to, in reading order: int64 `(height, width)`.

    Each pixel lies in one cell, also where sides do not divide: adaptive pooling lets cells overlap there.
    """
    return columns * (torch.arange(height) * rows // height)[:, None] + torch.arange(width) * columns // width


def sums(maps: Tensor, where: Tensor) -> Tensor:
    """Sums of maps `(n, h, w)` over the cells `where` `(h, w)`, float64 `(n, cells)`."""
    found = torch.zeros(len(maps), int(where.max()) + 1, dtype=torch.float64)
    return found.index_add_(1, where.flatten(), maps.flatten(1).double())


def constant(maps: Tensor) -> Tensor:
    """Return which of maps `(n, h, w)` have one value throughout, bool `(n,)`."""
    return (maps.flatten(1).diff(dim=1) == 0).all(dim=1)


def table(found: Sequence[float], maps: Tensor) -> "pd.DataFrame":
    """Return one row a map `(h, w)`: `value`, its score; NaN where the map is constant."""
    import pandas as pd

    return pd.DataFrame({"value": pd.Series(found, dtype=float).mask(constant(maps).numpy())})
