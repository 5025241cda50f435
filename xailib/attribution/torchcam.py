"""torch-cam's methods on the maps of `cam_layer`, brought to the size of the image; none is negative. In fp32.
The package is asked for when one of them is called, and not before."""

from typing import Annotated, Any, cast

import torch
from annotated_types import Ge, Gt
from torch import Tensor, nn

from xailib import engine
from xailib.attribution.cam import upsample
from xailib.errors import InputError
from xailib.models.model import Model
from xailib.registry import method
from xailib.seeding import generators

FACTS = {"family": "cam", "needs": ("cam_layer",)}


@method("layer_cam", label="LayerCAM", paper="Jiang et al. 2021, equations 6 and 7", **FACTS)
def layer_cam(model: Model, pixels: Tensor, targets: Tensor, *, seed: int = 0) -> Tensor:
    """Maps times their positive gradients, cell by cell, summed."""
    return _by_gradient("LayerCAM", model, pixels, targets)


@method("xgradcam", label="XGradCAM", paper="Fu et al. 2020, equation 8", **FACTS)
def xgradcam(model: Model, pixels: Tensor, targets: Tensor, *, seed: int = 0) -> Tensor:
    """Maps summed with their gradients' means, in which each cell counts by its share of the map."""
    return _by_gradient("XGradCAM", model, pixels, targets)


@method("score_cam", label="ScoreCAM", paper="Wang et al. 2020, equations 5 to 9", **FACTS)
def score_cam(model: Model, pixels: Tensor, targets: Tensor, *, seed: int = 0) -> Tensor:
    """Maps summed with the softmax of the logits of the image seen through each map alone; one pass a map."""
    return _by_scores("ScoreCAM", model, pixels, targets, seed)


@method("ss_cam", label="SS-CAM", paper="Wang et al. 2020, arXiv 2006.14255, equation 10", **FACTS)
def ss_cam(
    model: Model,
    pixels: Tensor,
    targets: Tensor,
    *,
    seed: int = 0,
    samples: Annotated[int, Ge(1)] = 35,
    noise: Annotated[float, Gt(0)] = 2.0,
) -> Tensor:
    """ScoreCAM with the mean logit over `samples` copies of each map in [0, 1], with `noise` of this standard deviation."""
    return _by_scores("SSCAM", model, pixels, targets, seed, num_samples=samples, std=noise)


@method("is_cam", label="IS-CAM", paper="Naidu et al. 2020, arXiv 2010.03023, equation 7", **FACTS)
def is_cam(
    model: Model, pixels: Tensor, targets: Tensor, *, seed: int = 0, samples: Annotated[int, Ge(1)] = 10
) -> Tensor:
    """ScoreCAM with the mean logit over `samples` ever brighter copies of each map in [0, 1], one pass a map each.

    Copy i of N is i (i + 1) / 2N times the map, as torch-cam adds its steps up: the last is (N + 1) / 2 times as bright.
    """
    return _by_scores("ISCAM", model, pixels, targets, seed, num_samples=samples)


class _Normalised(nn.Module):
    """A model of normalised pixels, of which torch-cam's masks leave the mean colour."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.model = model

    def forward(self, inputs: Tensor) -> Tensor:
        return engine.all_logits(self.model, inputs * self.model.std + self.model.mean)


def _by_gradient(name: str, model: Model, pixels: Tensor, targets: Tensor) -> Tensor:
    """Maps of an extractor that reads gradients: one pass forward, and back through the layers after the maps."""

    def work(part: slice) -> Tensor:
        with _extractor(name, model, pixels) as extractor, torch.enable_grad():
            logits = extractor.model(model.normalise(pixels[part]).requires_grad_())
            found = extractor(targets[part].tolist(), logits, normalized=False)[0]
        engine.current().cost.count(backward=len(found))
        return found.detach()

    with engine.using(precision="fp32"):
        maps = torch.cat(engine.chunked(len(pixels), work, description=name))
    return upsample(maps, pixels, "none", "bilinear", False)


def _by_scores(name: str, model: Model, pixels: Tensor, targets: Tensor, seed: int, **options: Any) -> Tensor:
    """Maps of an extractor that masks the image by its maps, image by image, each with a random stream of its own."""
    together, streams = engine.current().batch_size, generators(pixels, seed, name)

    def work(part: slice) -> Tensor:
        with torch.no_grad(), torch.random.fork_rng([]), _extractor(name, model, pixels, **options) as extractor:
            torch.default_generator.manual_seed(streams[part.start].initial_seed())
            extractor.bs = together
            extractor.model(model.normalise(pixels[part]))
            return extractor(targets[part].tolist(), normalized=False)[0]

    with engine.using(precision="fp32"):
        maps = torch.cat(engine.chunked(len(pixels), work, weight=together, description=name))
    return upsample(maps, pixels, "none", "bilinear", False)


def _extractor(name: str, model: Model, pixels: Tensor, **options: Any) -> Any:
    """One of torch-cam's extractors on the model's `cam_layer`."""
    try:
        from torchcam import methods
    except ImportError:
        raise InputError(f"torch-cam, which makes {name}, is not installed; run: pip install torchcam") from None
    given = {"target_layer": model.cam_layer, "reshape_transform": lambda maps: model.maps(maps, *pixels.shape[-2:])}
    extractor = getattr(methods, name)(_Normalised(model), **given, **options)
    # After its own hook: what goes on is a clone, which an in-place ReLU may change.
    handle = cast(nn.Module, model.cam_layer).register_forward_hook(lambda *passed: passed[-1].clone())
    extractor.hook_handles.append(handle)
    return extractor
