"""Occlusion by captum, and how its methods that take parts of the image away are called.

They see a network by its answers alone, which the engine gives. Maps `(n, h, w)` carry on each pixel what its part is worth,
in units of the output; signed.
"""

import warnings
from typing import TYPE_CHECKING, Annotated, Any

import torch
from annotated_types import Gt
from torch import Tensor

from xailib import engine
from xailib.attribution.superpixels import Hidden, hide
from xailib.errors import InputError
from xailib.models.model import Model
from xailib.registry import method
from xailib.seeding import generators

if TYPE_CHECKING:
    from captum.attr import PerturbationAttribution

SIDE = 224  # of the images for which lengths are given


@method("occlusion", family="perturbation", label="Occlusion", paper="Zeiler & Fergus 2014, section 4.2")
def occlusion(
    model: Model,
    pixels: Tensor,
    targets: Tensor,
    *,
    seed: int = 0,
    window: Annotated[float, Gt(0)] = 32.0,
    stride: Annotated[float, Gt(0)] = 16.0,
    hidden: Hidden = "mean",
    output: engine.Output = "probability",
) -> Tensor:
    """How far the output falls when a square is covered; a pixel has the mean over the squares that cover it.

    Options:
        window, stride: side of the square and its step, in pixels of a 224 px side; they scale with it.
        hidden: what covers: the model's `mean` colour, `segment_mean` (the image's own mean) or `black`.
        output: `probability` or `logit`.
    """
    from captum.attr import Occlusion

    side = min(pixels.shape[-2:])
    size, step = (max(1, round(length * side / SIDE)) for length in (window, stride))
    if not step <= size <= side:
        raise InputError(
            f"method 'occlusion': a window of {window:g} with a stride of {stride:g} leaves gaps or does not fit; the stride "
            "must be at most the window, and the window at most 224"
        )
    whole = torch.zeros_like(pixels[:, 0], dtype=torch.long)
    shapes: dict[str, Any] = {"sliding_window_shapes": (3, size, size), "strides": (3, step, step)}
    return explained(Occlusion, model, pixels, targets, hide(model, pixels, whole, hidden), output, seed, **shapes)


def explained(
    algorithm: "type[PerturbationAttribution]",
    model: Model,
    pixels: Tensor,
    targets: Tensor,
    covered: Tensor,
    output: engine.Output,
    seed: int,
    labels: Tensor | None = None,
    **given: Any,
) -> Tensor:
    """Maps `(n, h, w)` of a captum algorithm, image by image, each with a random stream of its own.

    Args:
        covered: `(n, 3, h, w)`, what the image shows where it is taken away.
        labels: int64 `(n, h, w)`, the parts.
        given: further arguments of captum's `attribute`.
    """

    def forward(inputs: Tensor) -> Tensor:
        logits = engine.logits(model, inputs).to(inputs.device)
        return engine.probabilities(logits) if output == "probability" else logits

    quiet: dict[str, Any] = {"precision": "fp32", "progress": False}
    together, streams, maps = engine.current().batch_size, generators(pixels, seed, algorithm.__name__), []
    given["perturbations_per_eval"] = together
    for i, stream in enumerate(streams):
        parts = {} if labels is None else {"feature_mask": labels[i, None, None]}
        with torch.random.fork_rng([]), warnings.catch_warnings(), engine.using(**quiet):
            torch.default_generator.manual_seed(stream.initial_seed())
            warnings.simplefilter("ignore")
            one, hidden = pixels[i, None], covered[i, None]
            maps.append(algorithm(forward).attribute(one, baselines=hidden, target=targets[i], **parts, **given)[0, 0])
    return torch.stack(maps).float()
