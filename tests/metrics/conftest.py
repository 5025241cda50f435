"""Analytic networks and planted images for the metrics' tests."""

import pytest
import torch
from torch import Tensor, nn

from xailib.images import ImageBatch, box_masks
from xailib.models.model import Model


class Evidence(nn.Module):
    """Class 0 has probability `sum(weights * brightness)`, exactly; class 1 has the rest. Weights `(h, w)` sum to 1."""

    def __init__(self, weights: Tensor) -> None:
        super().__init__()
        self.weights = nn.Parameter(weights.double())

    def forward(self, pixels: Tensor) -> Tensor:
        share = (pixels.double().mean(dim=1) * self.weights).sum(dim=(1, 2)).clamp(1e-12, 1 - 1e-12)
        return torch.stack([share.log(), (1 - share).log()], dim=1)


class Small(nn.Module):
    """A tiny random network with dropout and batch norm, to show that modes and buffers are left alone."""

    def __init__(self, classes: int = 5) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(inplace=True), nn.Dropout(0.5)
        )
        self.last = nn.Linear(8 * 16, classes)

    def forward(self, pixels: Tensor) -> Tensor:
        return 3 * self.last(nn.functional.adaptive_avg_pool2d(self.body(pixels), 4).flatten(1))


def wrap(network: nn.Module, side: int, classes: int, mean: float = 0.0, std: float = 1.0) -> Model:
    """A network as a `Model`."""
    names = [f"class {index}" for index in range(classes)]
    return Model(network, id="planted", architecture="planted", training_algorithm="vanilla", input_size=side,
                 class_names=names, mean=(mean,) * 3, std=(std,) * 3)  # fmt: skip


def batch(pixels: Tensor, boxes: list[list[list[float]]] | None = None, labels: list[int] | None = None) -> ImageBatch:
    """Images with ids a, b, ...; no boxes and label 0 unless given."""
    n, _, height, width = pixels.shape
    tensors = [torch.tensor(group, dtype=torch.float32).reshape(-1, 4) for group in boxes or [[]] * n]
    truth = torch.tensor(labels or [0] * n)
    return ImageBatch(pixels, truth, tensors, box_masks(tensors, height, width), [f"image {i}" for i in range(n)])


@pytest.fixture(name="batch")
def _batch():
    return batch


@pytest.fixture(name="evidence")
def _evidence():
    """Make a two-class model whose class 0 has probability `sum(weights * brightness)`."""
    return lambda weights, **options: wrap(Evidence(weights), side=weights.shape[-1], classes=2, **options)


@pytest.fixture(name="wrap")
def _wrap():
    return wrap


@pytest.fixture
def small_model() -> Model:
    torch.manual_seed(0)
    return wrap(Small(), side=16, classes=5, mean=0.4, std=0.3)


@pytest.fixture
def small_images() -> ImageBatch:
    generator = torch.Generator().manual_seed(1)
    pixels = torch.rand(7, 3, 16, 16, generator=generator)
    return batch(pixels, [[[2, 3, 9, 12]]] * 7, labels=[0, 1, 2, 3, 4, 0, 1])


@pytest.fixture
def small_maps() -> Tensor:
    return torch.randn(7, 16, 16, generator=torch.Generator().manual_seed(2))
