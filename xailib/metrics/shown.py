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

    The engine runs the passes, in chunks and in fp32; outputs are float64.
    """

    def __init__(self, model: Model, image: Tensor, output: engine.Output) -> None:
        super().__init__()
        self._held = (model, image.to(model.device))  # no child: what looks through modules is not to find the network
        self.output = output
        self.eval()

    def forward(self, shown: Tensor) -> Tensor:
        """Return probabilities or logits."""
        model, image = self._held
        cells = nn.functional.interpolate(shown.to(image), image.shape[-2:], mode="nearest")
        with engine.using(precision="fp32", progress=False):
            logits = engine.logits(model, torch.lerp(model.mean_colour.expand_as(image[None]), image[None], cells))
        return (engine.probabilities(logits) if self.output == "probability" else logits.double()).to(shown.device)


def constant(maps: Tensor) -> Tensor:
    """Return which of maps `(n, h, w)` have one value throughout, bool `(n,)`."""
    return (maps.flatten(1).diff(dim=1) == 0).all(dim=1)


def table(found: Sequence[float], maps: Tensor) -> "pd.DataFrame":
    """Return one row a map `(h, w)`: `value`, its score; NaN where the map is constant."""
    import pandas as pd

    return pd.DataFrame({"value": pd.Series(found, dtype=float).mask(constant(maps).numpy())})
