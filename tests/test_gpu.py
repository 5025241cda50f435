"""On a GPU: the maps and scores of fp32 on a CPU, by every method, in both precisions and every way of running."""

import pytest
import torch
from scipy.stats import spearmanr

import xailib as xai
from tests.test_engine import OPTIONS, make_model
from xailib import engine
from xailib.images import ImageBatch

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
SIDE = 32
# Descents enlarge the rounding in which two machines differ.
LOOSE = {"extremal_perturbation": 0.05, "meaningful_perturbation": 0.05}


@pytest.fixture(scope="module")
def images() -> ImageBatch:
    pixels = torch.rand(3, 3, 5, 5, generator=torch.Generator().manual_seed(0))
    pixels = torch.nn.functional.interpolate(pixels, (SIDE, SIDE), mode="bicubic").clamp(0, 1)
    masks = torch.ones(3, SIDE, SIDE, dtype=torch.bool)
    return ImageBatch(
        pixels, torch.tensor([0, 1, 2]), [torch.tensor([[0.0, 0.0, 9.0, 9.0]])] * 3, masks, ["a", "b", "c"]
    )


@pytest.mark.parametrize("mode", ["none", "cuda_graphs"])
@pytest.mark.parametrize("name", xai.list_methods())
def test_maps_are_those_of_the_cpu(name, mode, images):
    options = OPTIONS.get(name, {})
    expected = xai.attribute(name, make_model(), images.pixels, images.labels, **options)
    with engine.using(compile=mode, batch_size=9):
        found = xai.attribute(name, make_model().cuda(), images.pixels, images.labels, **options)
    tolerance = LOOSE.get(name, 1e-3) * float(expected.abs().max())
    assert (found - expected).abs().max() <= tolerance
    coarse = xai.attribute(name, make_model().cuda(), images.pixels, images.labels, precision="bf16", **options)
    for one, other in zip(found, coarse, strict=True):
        assert spearmanr(one.flatten(), other.flatten()).statistic >= 0.99


@pytest.mark.parametrize("mode", ["none", "compile", "cuda_graphs"])
@pytest.mark.parametrize("name", ["deletion", "insertion"])
def test_scores_are_those_of_the_cpu(name, mode, images):
    maps = torch.rand(3, SIDE, SIDE, generator=torch.Generator().manual_seed(2))
    expected = xai.evaluate(name, maps, make_model(), images)
    with engine.using(compile=mode, batch_size=9):
        found = xai.evaluate(name, maps, make_model().cuda(), images)
    assert (found["value"] - expected["value"]).abs().max() < 1e-4


def test_seconds_are_the_devices(images):
    with engine.using() as run:
        xai.attribute("rise", make_model().cuda(), images.pixels, images.labels, masks=500)
    assert 0 < run.cost.seconds < 60
