"""Methods that are products of others: Input x Gradient and Guided GradCAM."""

from typing import Literal

from torch import Tensor

from xailib import engine
from xailib.attribution.cam import Upsampling, gradcam
from xailib.attribution.gradients import gradient
from xailib.attribution.guided_backprop import guided_backprop
from xailib.attribution.pooling import pooled
from xailib.models.model import Model
from xailib.registry import method


@method("input_x_gradient", family="gradient", label="Input x Grad", paper="Shrikumar et al. 2016, arXiv 1605.01713")
@pooled("signed_sum")
def input_x_gradient(
    model: Model,
    pixels: Tensor,
    targets: Tensor,
    *,
    seed: int = 0,
    reference: Literal["black", "mean"] = "black",
    output: engine.Output = "logit",
) -> Tensor:
    """(x - reference) times the gradient at x, `(n, 3, h, w)`: what Integrated Gradients tends to with one step at x.

    Options:
        reference: `black`: pixels in [0, 1] count; `mean`: as the network sees them, zero at the model's mean colour.
        output, pooling: as in `gradient`; the default keeps the sign.
    """
    slopes = gradient.channels(model, pixels, targets, output=output)
    return slopes * (pixels - model.mean_colour if reference == "mean" else pixels)


@method(
    "guided_gradcam",
    family="cam",
    needs=("cam_layer",),
    label="Guided GradCAM",
    paper="Selvaraju et al. 2017, section 3.2",
)
@pooled("abs_max")
def guided_gradcam(
    model: Model,
    pixels: Tensor,
    targets: Tensor,
    *,
    seed: int = 0,
    upsampling: Upsampling = "bilinear",
    output: engine.Output = "logit",
) -> Tensor:
    """Guided Backprop, value by value `(n, 3, h, w)`, times GradCAM; of the two methods here, which see functional ReLUs.

    Options:
        upsampling: of GradCAM, `bilinear` (the paper) or `nearest` (captum).
        output, pooling: as in `gradient`.
    """
    fine = guided_backprop.channels(model, pixels, targets, output=output)
    return fine * gradcam(model, pixels, targets, upsampling=upsampling, output=output)[:, None]
