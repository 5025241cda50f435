"""What other packages offer, called as a careful user would: weights frozen, batches as large as pays, superpixels made once."""

import copy
import functools
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from typing import Any

import torch
from torch import Tensor, nn

from xailib import engine
from xailib.images import ImageBatch
from xailib.models.model import Model

# The package that a peer's name means, where it is one; the others are recipes that nobody maintains as a package.
DISTRIBUTIONS = {"captum": "captum", "torch-cam": "torchcam", "grad-cam": "grad-cam", "TorchRay": "torchray",
                 "lime": "lime", "Quantus": "quantus"}  # fmt: skip
MODULES = {"grad-cam": "pytorch_grad_cam"}


@dataclass(frozen=True)
class Seat:
    """What all contestants of a race are given.

    Attributes:
        model: ours.
        images: a few, of the model's side.
        layout: of the peers' network: `plain`, as its maker gives it, or `channels_last`, as ours has it.
        references: the background of SHAP `(k, 3, h, w)`; None: noise that each draws for itself.
    """

    model: Model
    images: ImageBatch
    layout: str = "plain"
    references: Tensor | None = None

    @property
    def batch(self) -> int:
        """Inputs a pass, as many as in our engine."""
        with engine.using(self.model) as settings:
            return settings.batch_size

    @functools.cached_property
    def whole(self) -> Model:
        """The peers' own network, a plain module that takes pixels in [0, 1]; nothing of ours can reach it."""
        whole = copy.deepcopy(self.model)
        if self.layout == "plain":
            whole.to(memory_format=torch.contiguous_format)
            whole.normalise = lambda pixels: (pixels - whole.mean).div_(whole.std)
        return whole

    @property
    def network(self) -> nn.Module:
        """The peers' network for normalised `inputs`."""
        return self.whole.network

    @functools.cached_property
    def pixels(self) -> Tensor:
        return self.images.pixels.to(self.model.device)

    @functools.cached_property
    def inputs(self) -> Tensor:
        return self.whole.normalise(self.pixels)

    @functools.cached_property
    def labels(self) -> Tensor:
        return self.images.labels.to(self.model.device)

    @property
    def side(self) -> int:
        return self.pixels.shape[-1]

    @functools.cached_property
    def superpixels(self) -> Tensor:
        """SLIC labels int64 `(n, h, w)`: our defaults, found once, as our cache does."""
        from skimage.segmentation import slic

        found = [
            slic(image.permute(1, 2, 0).double().numpy(), 50, 30.0, sigma=3 * self.side / 224, start_label=0)
            for image in self.images.pixels
        ]
        return torch.stack([torch.from_numpy(labels).long() for labels in found]).to(self.model.device)

    def probability(self, pixels: Tensor) -> Tensor:
        """The peers' softmax probabilities `(b, classes)`."""
        return self.whole(pixels).softmax(1)


@dataclass(frozen=True)
class Peer:
    """One way to do a task.

    Attributes:
        name: of the package, or of the recipe.
        run: what it does; `(seat, count, seed) -> maps` for a method, `(seat, maps, steps) -> scores` for a metric.
        same: whether it defines the very numbers that ours does, so that they must agree; else other random draws, or
            another optimiser, keep them apart.
    """

    name: str
    run: Callable[..., Any]
    same: bool

    @property
    def missing(self) -> bool:
        """Whether its package is not installed."""
        module = MODULES.get(self.name, DISTRIBUTIONS.get(self.name))
        return module is not None and importlib.util.find_spec(module) is None

    @property
    def label(self) -> str:
        """Name and version."""
        package = DISTRIBUTIONS.get(self.name)
        return self.name if package is None or self.missing else f"{self.name} {metadata.version(package)}"


PEERS: dict[str, list[Peer]] = {}


def peer(task: str, name: str, *, same: bool = False) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Enter a function as a peer's way to do a task."""

    def enter(run: Callable[..., Any]) -> Callable[..., Any]:
        PEERS.setdefault(task, []).append(Peer(name, run, same))
        return run

    return enter


def present(tasks: list[str]) -> dict[str, list[Peer]]:
    """Return the peers that are installed, by task; say which are not."""
    from peers import methods, metrics, recipes  # noqa: F401  (fill the table)

    for name in sorted({one.name for task in tasks for one in PEERS[task] if one.missing}):
        print(f"{name} is not installed, so its rows are left out: pip install --no-deps {DISTRIBUTIONS[name]}")
    return {task: [one for one in PEERS[task] if not one.missing] for task in tasks}
