"""`Model`: a classifier that takes pixels in [0, 1] and knows what attribution methods need of it."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class Model(nn.Module):
    """A frozen classifier over pixels in [0, 1].

    Every checkpoint family normalises in its own way, so normalisation belongs to the model; adversaries, blurs
    and mean fills are then defined in one space.

    Attributes:
        network: the bare network, which takes normalised pixels.
        id, architecture, training_algorithm: names; the algorithm is vanilla, robust or advprop.
        input_size: side of the square input in pixels.
        class_names: one name a logit.
        cam_layer: the module whose output is the last convolutional maps `(n, c, h, w)`, or None.
        offers: what methods may ask for; `gap_linear_head` means logits = linear(mean over cells of the maps).
        mean, std: `(3,)`, in pixel units [0, 1].
    """

    def __init__(
        self,
        network: nn.Module,
        *,
        id: str,
        architecture: str,
        training_algorithm: str,
        input_size: int,
        class_names: Sequence[str],
        mean: Sequence[float] = (0.0, 0.0, 0.0),
        std: Sequence[float] = (1.0, 1.0, 1.0),
        cam_layer: str | None = None,
        offers: Sequence[str] = (),
    ) -> None:
        super().__init__()
        self.network = network
        self.id, self.architecture, self.training_algorithm = id, architecture, training_algorithm
        self.input_size, self.class_names = input_size, list(class_names)
        self.offers = frozenset(offers)
        self._cam_layer = cam_layer
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1), persistent=False)
        self.eval().requires_grad_(False)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.mean.device

    @property
    def layout(self) -> torch.memory_format:
        """Of inputs and weights, by what is fast: channels last from 128 pixels a side on and off the CPU.

        On small images convolutions gain nothing by it, and joining maps channel by channel (DenseNet) loses.
        """
        wide = self.input_size >= 128 or self.device.type != "cpu"
        return torch.channels_last if wide else torch.contiguous_format

    @property
    def cam_layer(self) -> nn.Module | None:
        """The module whose output is the last convolutional maps."""
        return None if self._cam_layer is None else self.network.get_submodule(self._cam_layer)

    @property
    def mean_colour(self) -> Tensor:
        """The colour `(1, 3, 1, 1)` in [0, 1] that normalises to zero: the mean fill of deletion and RISE."""
        return self.mean

    @property
    def class_weights(self) -> Tensor:
        """Weights `(classes, channels)` of the last linear layer: what CAM multiplies the maps with."""
        linear = [module for module in self.network.modules() if isinstance(module, nn.Linear)]
        return linear[-1].weight

    def normalise(self, pixels: Tensor) -> Tensor:
        """Map pixels `(n, 3, h, w)` in [0, 1] to what the network was trained on."""
        return (pixels - self.mean) / self.std

    def forward(self, pixels: Tensor) -> Tensor:
        """Return logits `(n, classes)` for pixels `(n, 3, h, w)` in [0, 1]."""
        return self.network(self.normalise(pixels))

    def features(self, pixels: Tensor) -> Tensor:
        """Return the last convolutional maps `(n, c, hc, wc)`; the network must define `features`."""
        return self.network.features(self.normalise(pixels))

    def head(self, maps: Tensor) -> Tensor:
        """Return logits `(n, classes)` for last convolutional maps; the network must define `head`."""
        return self.network.head(maps)

    @property
    def has_split(self) -> bool:
        """Whether `head(features(pixels))` is the whole network."""
        return hasattr(self.network, "features") and hasattr(self.network, "head")
