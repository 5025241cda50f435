"""Architectures of real ImageNet networks, as timm and torchvision define them.

Each function takes the number of classes and returns the untrained network.
"""

from torch import nn

from xailib.registry import architecture


def _efficientnet_lite(name: str, classes: int) -> nn.Module:
    import timm

    # `bn2` is timm's last batch norm with its ReLU6: the maps that global average pooling and the linear head read.
    return timm.create_model(name, pretrained=False, num_classes=classes)


_LITE = {"cam_layer": "bn2", "offers": ("cam_layer", "gap_linear_head")}


@architecture("tf_efficientnet_lite0", label="EfficientNet-Lite0", **_LITE)
def tf_efficientnet_lite0(classes: int) -> nn.Module:
    """EfficientNet-Lite0 (Tan & Le 2019, without squeeze-excitation and with ReLU6)."""
    return _efficientnet_lite("tf_efficientnet_lite0", classes)


@architecture("tf_efficientnet_lite1", label="EfficientNet-Lite1", **_LITE)
def tf_efficientnet_lite1(classes: int) -> nn.Module:
    """EfficientNet-Lite1: deeper than Lite0, 240 px."""
    return _efficientnet_lite("tf_efficientnet_lite1", classes)


@architecture("tf_efficientnet_lite2", label="EfficientNet-Lite2", **_LITE)
def tf_efficientnet_lite2(classes: int) -> nn.Module:
    """EfficientNet-Lite2: deeper and wider than Lite0, 260 px."""
    return _efficientnet_lite("tf_efficientnet_lite2", classes)


@architecture("squeezenet1_1", label="SqueezeNet 1.1", cam_layer="features", offers=("cam_layer",))
def squeezenet1_1(classes: int) -> nn.Module:
    """SqueezeNet 1.1 (Iandola et al. 2016). Convolution, ReLU and pooling follow the maps: no linear head, no CAM."""
    from torchvision.models import squeezenet1_1 as network

    return network(weights=None, num_classes=classes)


@architecture("resnet50", label="ResNet-50", cam_layer="layer4", offers=("cam_layer", "gap_linear_head"))
def resnet50(classes: int) -> nn.Module:
    """ResNet-50 (He et al. 2016), torchvision's: what ROAR explains and retrains on its three data sets."""
    from torchvision.models import resnet50 as network

    return network(weights=None, num_classes=classes)
