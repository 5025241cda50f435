"""F-Fidelity (Zheng et al. 2025): what the answer loses with a few of the pixels that a map names, and with a few others.

Never more pixels go than the network was fine-tuned to miss, and those that go are drawn at random from what the map names, so
that neither the size nor the shape of the hole speaks.
"""

from typing import TYPE_CHECKING, Annotated, Any

import torch
from annotated_types import Ge, Gt, Le
from torch import Tensor

from xailib import engine
from xailib.images import ImageBatch
from xailib.metrics.finetuned import finetuned
from xailib.metrics.removal import Ties, counts, ranked
from xailib.models.model import Model
from xailib.registry import metric
from xailib.seeding import digest, generator

if TYPE_CHECKING:
    import pandas as pd

Share = Annotated[float, Gt(0), Le(1)]


def without_some_pixels(pixels: Tensor, fill: Tensor, *, beta: float = 0.1, **_: Any) -> Tensor:
    """Delete random pixels of each image, up to a share of `beta`: what the copy is fine-tuned on."""
    shares = beta * torch.rand(len(pixels), 1, 1)
    gone = torch.rand(len(pixels), *pixels.shape[2:]) < shares
    return torch.where(gone[:, None].to(pixels.device), fill, pixels)


@metric(
    "f_fidelity",
    better="higher",
    range=(-1, 1),
    label="F-Fidelity",
    columns=("value_plus", "value_minus"),
    paper="Zheng et al. 2025, F-Fidelity, arXiv 2410.02970",
)
@finetuned(without_some_pixels, explained=False)
def f_fidelity(
    maps: Tensor,
    model: Model,
    images: ImageBatch,
    *,
    sizes: Annotated[int, Ge(2)] = 20,
    samples: Annotated[int, Ge(1)] = 50,
    alpha: Share = 0.5,
    beta: Share = 0.1,
    ties: Ties = "random",
    seed: int = 0,
) -> "pd.DataFrame":
    """How much more of the target's probability is lost with named pixels than with others, mean over sizes of what is named.

    At size s the most important share s of the pixels is named. A random share min(alpha s, beta) of the image goes from
    there (Fid+), or min(alpha (1 - s), beta) from the rest (Fid-), and shows the model's mean colour. The authors' code
    for images counts right answers where this takes probabilities, lets every pixel go by a coin of its own where this
    draws their number exactly, and scores maps of the fine-tuned copy where this scores those of the network itself.

    Args:
        sizes: s is 1 / sizes, 2 / sizes, ... below 1; not more than the image has pixels.
        samples: draws at each size, one pass each for Fid+ and for Fid-.
        alpha: share of the named pixels, or of the rest, that goes, as long as that is less than
        beta: the share of the image up to which the network has learnt to miss pixels.
        ties: as in Deletion.
        seed: of the draws and of the order of ties, streams that belong to (seed, image).

    Returns:
        `value`, the difference of `value_plus` (Fid+, higher is better) and `value_minus` (Fid-, lower is better).
    """
    import pandas as pd

    n, _, height, width = images.pixels.shape
    pixels, order = images.pixels.to(model.device), ranked(maps, images, ties, seed)
    streams = [digest(image) for image in images.pixels]
    named = counts(sizes, height * width, "sizes")[1:-1]  # pixels, at each size

    def perturbed(image: Tensor, sample: Tensor) -> Tensor:
        """Samples count sides (named, others), then sizes, then draws; the image itself is the last."""
        gone = torch.zeros(len(image), height * width, dtype=torch.bool)
        for row, i, place in zip(gone, image.tolist(), sample.tolist(), strict=True):
            side, which, draw = place // (len(named) * samples), place // samples % len(named), place % samples
            if side < 2:
                own = (order[i] < named[which]) == (side == 0)
                stream = generator(seed, "f_fidelity", streams[i], which, draw)
                row[_drawn(own, min(alpha * int(own.sum()), beta * len(row)), stream)] = True
        gone = gone.view(-1, 1, height, width).to(model.device)
        return torch.where(gone, model.mean_colour, pixels[image])

    count = 2 * len(named) * samples
    found = (
        engine.scores(model, images.labels, count + 1, perturbed, description=f"{model.id} F-Fidelity").cpu().double()
    )
    plus, minus = (found[:, -1:] - found[:, :-1]).view(n, 2, -1).mean(dim=2).numpy().T
    return pd.DataFrame({"value": plus - minus, "value_plus": plus, "value_minus": minus})


def _drawn(own: Tensor, count: float, stream: torch.Generator) -> Tensor:
    """Places of `count` random pixels of those that are `own` `(h * w)`; at least one, as long as there is one."""
    places = own.nonzero().squeeze(1)
    return places[torch.randperm(len(places), generator=stream)[: max(1, round(count))]]
