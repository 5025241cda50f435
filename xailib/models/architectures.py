"""Miniature CNNs for 64-pixel images: the paper's five architectures, narrowed.

Each keeps its original's blocks (torchvision's own where it has them) and ends, as the originals do at 224 pixels, in
maps of 8 x 8 cells, so that CAM means the same. All are `FeaturesHead`: last maps, then logits.
torchvision, which takes as long to load as torch, is loaded when a network is built.
"""

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from xailib.registry import architecture

GAP_LINEAR = ("cam_layer", "gap_linear_head")


class FeaturesHead(nn.Module):
    """A network in two parts: `features` gives the last convolutional maps, `head` the logits."""

    def __init__(self, features: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.features, self.head = features, head

    def forward(self, inputs: Tensor) -> Tensor:
        """Return logits `(n, classes)` for normalised pixels `(n, 3, h, w)`."""
        return self.head(self.features(inputs))


def pooled_linear(channels: int, classes: int, dropout: float = 0.0) -> nn.Sequential:
    """Global average pooling, then one linear layer."""
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(dropout), nn.Linear(channels, classes))


@architecture("mini_alexnet", cam_layer="features", offers=("cam_layer",), label="AlexNet")
def mini_alexnet(classes: int, width: int = 32, pool: int = 1, norm: bool = False) -> FeaturesHead:
    """AlexNet (Krizhevsky 2012): five convolutions without normalisation, three linear layers. 0.7 M parameters.

    `width` channels to three times as many, as in the hidden layers; `pool`: side of the cells that are averaged before
    these; `norm`: batch normalisation after each convolution, without which small objects are not learned.
    """

    def conv(before: int, after: int, size: int, stride: int = 1) -> list[nn.Module]:
        normalised = [nn.BatchNorm2d(after)] if norm else []
        return [nn.Conv2d(before, after, size, stride, size // 2), *normalised, nn.ReLU()]

    features = nn.Sequential(
        *conv(3, width, 5, 2), nn.MaxPool2d(3, 2, 1), *conv(width, 2 * width, 5), nn.MaxPool2d(3, 2, 1),
        *conv(2 * width, 3 * width, 3), *conv(3 * width, 3 * width, 3), *conv(3 * width, 2 * width, 3),
    )  # fmt: skip
    hidden, inputs = 3 * width, 2 * width * (8 // pool) ** 2
    flat = nn.Flatten() if pool == 1 else nn.Sequential(nn.AvgPool2d(pool), nn.Flatten())
    head = nn.Sequential(
        flat, nn.Dropout(0.1), nn.Linear(inputs, hidden), nn.ReLU(),
        nn.Dropout(0.1), nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, classes),
    )  # fmt: skip
    network = FeaturesHead(features, head)
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):  # without normalisation, torch's default start shrinks signals
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
    return network


@architecture("mini_googlenet", cam_layer="features", offers=GAP_LINEAR, label="GoogLeNet")
def mini_googlenet(classes: int) -> FeaturesHead:
    """GoogLeNet (Szegedy 2015): a stem and five Inception blocks with torchvision's functional ReLUs."""
    from torchvision.models.googlenet import BasicConv2d, Inception

    features = nn.Sequential(
        BasicConv2d(3, 32, kernel_size=3, stride=2, padding=1),
        nn.MaxPool2d(3, 2, 1),
        Inception(32, 16, 24, 32, 4, 8, 8),
        Inception(64, 24, 32, 48, 8, 12, 12),
        nn.MaxPool2d(3, 2, 1),
        Inception(96, 48, 48, 64, 8, 16, 16),
        Inception(144, 48, 48, 64, 8, 16, 16),
        Inception(144, 64, 64, 96, 12, 24, 24),
    )
    return FeaturesHead(features, pooled_linear(208, classes))


@architecture("mini_resnet", cam_layer="features", offers=GAP_LINEAR, label="ResNet")
def mini_resnet(classes: int, width: int = 24) -> FeaturesHead:
    """ResNet (He 2016): three stages of two basic blocks, `width` to four times as many channels. 0.4 M parameters."""
    stem = [nn.Conv2d(3, width, 3, 2, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
    stages = [_stage(width, width, 1), _stage(width, 2 * width, 2), _stage(2 * width, 4 * width, 2)]
    return FeaturesHead(nn.Sequential(*stem, *stages), pooled_linear(4 * width, classes))


def _stage(before: int, after: int, stride: int) -> nn.Sequential:
    from torchvision.models.resnet import BasicBlock

    shortcut = None
    if stride != 1 or before != after:
        shortcut = nn.Sequential(nn.Conv2d(before, after, 1, stride, bias=False), nn.BatchNorm2d(after))
    return nn.Sequential(BasicBlock(before, after, stride, shortcut), BasicBlock(after, after))


@architecture("mini_densenet", cam_layer="features", offers=GAP_LINEAR, label="DenseNet")
def mini_densenet(classes: int, blocks: Sequence[int] = (4, 4, 4)) -> FeaturesHead:
    """DenseNet (Huang 2017): torchvision's, growth 12, three `blocks` of four layers, no pooling in the stem."""
    from torchvision.models.densenet import DenseNet

    network = DenseNet(growth_rate=12, block_config=blocks, num_init_features=24, bn_size=2, num_classes=classes)
    network.features.conv0 = nn.Conv2d(3, 24, 3, 2, 1, bias=False)
    network.features.pool0 = nn.Identity()
    # torchvision applies the last ReLU in forward(); here it closes the features.
    return FeaturesHead(
        nn.Sequential(network.features, nn.ReLU()), pooled_linear(network.classifier.in_features, classes)
    )


@architecture("mini_mobilenet_v2", cam_layer="features", offers=GAP_LINEAR, label="MobileNet-v2")
def mini_mobilenet_v2(classes: int, last: int = 1) -> FeaturesHead:
    """MobileNet-v2 (Sandler 2018): torchvision's inverted residuals, ReLU6, five blocks and `last` more, 384 last channels."""
    from torchvision.models.mobilenetv2 import MobileNetV2

    setting = [[1, 16, 1, 1], [4, 24, 2, 2], [4, 40, 2, 2], [4, 64, last, 1]]
    network = MobileNetV2(num_classes=classes, inverted_residual_setting=setting)
    widest: Any = network.features[-1]
    widest[0] = nn.Conv2d(64, 384, 1, bias=False)
    widest[1] = nn.BatchNorm2d(384)
    return FeaturesHead(network.features, pooled_linear(384, classes))


@architecture("roar_cnn", cam_layer="features", offers=GAP_LINEAR, label="ROAR-CNN")
def roar_cnn(classes: int, width: int = 24) -> FeaturesHead:
    """Five convolutions with batch norm, `width` to four times as many channels: retrained hundreds of times by ROAR.

    Ends in maps of an eighth of the side: 4 x 4 cells at 32 pixels, 8 x 8 at 64. 0.15 M parameters.
    """

    def conv(before: int, after: int, stride: int = 1) -> list[nn.Module]:
        return [nn.Conv2d(before, after, 3, stride, 1, bias=False), nn.BatchNorm2d(after), nn.ReLU()]

    features = nn.Sequential(
        *conv(3, width, 2), *conv(width, 2 * width, 2), *conv(2 * width, 2 * width),
        *conv(2 * width, 4 * width, 2), *conv(4 * width, 4 * width),
    )  # fmt: skip
    return FeaturesHead(features, pooled_linear(4 * width, classes))
