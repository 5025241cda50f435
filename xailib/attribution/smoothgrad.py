"""SmoothGrad: the mean gradient of noisy copies of the image. In fp32, as every gradient here."""

from typing import Annotated

from annotated_types import Ge
from torch import Tensor

from xailib import engine
from xailib.attribution.ensembles import moments, noisy_copies
from xailib.attribution.gradients import gradient
from xailib.attribution.pooling import pooled
from xailib.models.model import Model
from xailib.registry import method


@method("smoothgrad", family="gradient", label="SmoothGrad", paper="Smilkov et al. 2017, section 3")
@pooled("abs_max")
def smoothgrad(
    model: Model,
    pixels: Tensor,
    targets: Tensor,
    *,
    seed: int = 0,
    samples: Annotated[int, Ge(1)] = 50,
    noise: Annotated[float, Ge(0)] = 0.15,
    output: engine.Output = "logit",
) -> Tensor:
    """The gradient `(n, 3, h, w)`, averaged over copies of the image with Gaussian noise from (seed, image).

    Options:
        samples: copies, one pass forward and back each.
        noise: its standard deviation, as a share of the image's (max - min).
        output, pooling: as in `gradient`.
    """

    def explain(copies: Tensor, images: Tensor) -> Tensor:
        return gradient.channels(model, copies, targets[images], output=output)

    together = max(1, engine.current().batch_size // len(pixels))
    return moments(explain, noisy_copies(pixels, samples, noise, seed), together).mean
