"""Architectures of real ImageNet networks, as timm and torchvision define them.

Each function takes the number of classes and returns the untrained network. The paper's five have functions of their
own; `timm` and `torchvision` make any other by name, and the model's record says where its maps are.
"""

from torch import Tensor, nn

from xailib.errors import InputError, nearest
from xailib.registry import architecture

_GAP_LINEAR = ("cam_layer", "gap_linear_head")
_MANY = "; list_models() of that library names what it has"  # a thousand


@architecture("alexnet", label="AlexNet", cam_layer="features.11", offers=("cam_layer",))
def alexnet(classes: int) -> nn.Module:
    """AlexNet (Krizhevsky 2014, "one weird trick"). The maps, 13 x 13 cells, are those before the last pooling."""
    return torchvision_network(classes, name="alexnet")


@architecture("googlenet", label="GoogLeNet", cam_layer="inception5b", offers=_GAP_LINEAR)
def googlenet(classes: int, *, transform_input: bool = False) -> nn.Module:
    """GoogLeNet (Szegedy et al. 2015) with batch norm, without the auxiliary heads, which speak in training only.

    Args:
        classes: number of logits.
        transform_input: turn pixels normalised by ImageNet's mean and std into pixels normalised by 0.5 and 0.5 inside the
            network, as torchvision's weights need it: TensorFlow trained them.
    """
    from torchvision.models import googlenet as network

    options = {"aux_logits": False, "transform_input": transform_input, "init_weights": True}
    return network(weights=None, num_classes=classes, **options)


@architecture("resnet50", label="ResNet-50", cam_layer="layer4", offers=_GAP_LINEAR)
def resnet50(classes: int) -> nn.Module:
    """ResNet-50 (He et al. 2016), torchvision's: what ROAR explains and retrains on its three data sets."""
    return torchvision_network(classes, name="resnet50")


@architecture("densenet161", label="DenseNet-161", cam_layer="features", offers=_GAP_LINEAR)
def densenet161(classes: int) -> nn.Module:
    """DenseNet-161 (Huang et al. 2017)."""
    from torchvision.models.densenet import DenseNet

    class Closed(DenseNet):
        """torchvision applies the last ReLU in forward(), where no hook reaches. Here it closes the features.

        The names of the weights stay torchvision's. A second ReLU would change no value, but that one is in place, and
        breaks the gradient of the first.
        """

        def forward(self, inputs: Tensor) -> Tensor:
            return self.classifier(self.features(inputs).mean((2, 3)))

    made = Closed(growth_rate=48, block_config=(6, 12, 36, 24), num_init_features=96, num_classes=classes)
    made.features.add_module("relu5", nn.ReLU())
    return made


@architecture("mobilenet_v2", label="MobileNet-v2", cam_layer="features", offers=_GAP_LINEAR)
def mobilenet_v2(classes: int) -> nn.Module:
    """MobileNet-v2 (Sandler et al. 2018), width 1."""
    return torchvision_network(classes, name="mobilenet_v2")


@architecture("squeezenet1_1", label="SqueezeNet 1.1", cam_layer="features", offers=("cam_layer",))
def squeezenet1_1(classes: int) -> nn.Module:
    """SqueezeNet 1.1 (Iandola et al. 2016). Convolution, ReLU and pooling follow the maps: no linear head, no CAM."""
    return torchvision_network(classes, name="squeezenet1_1")


@architecture("timm", label="timm")
def timm_network(classes: int, *, name: str) -> nn.Module:
    """Any network of timm by its `name`, with or without the tag of its weights; its record names `cam_layer`, `offers`."""
    import timm

    try:
        return timm.create_model(name, pretrained=False, num_classes=classes)
    except (RuntimeError, ValueError) as error:
        if name.split(".")[0] in timm.list_models():
            raise InputError(f"model_options.name: timm cannot make '{name}' ({error})") from None
        near = nearest(name.split(".")[0], timm.list_models(), _MANY)
        raise InputError(f"model_options.name: timm has no '{name}'{near}") from None


@architecture("torchvision", label="torchvision")
def torchvision_network(classes: int, *, name: str) -> nn.Module:
    """Any classifier of torchvision by its `name`; its record names `cam_layer` and `offers`."""
    from torchvision import models

    known = models.list_models(module=models)
    if name not in known:
        raise InputError(f"model_options.name: torchvision has no '{name}'{nearest(name.split('.')[0], known, _MANY)}")
    return models.get_model(name, weights=None, num_classes=classes)


# `bn2` is timm's last batch norm with its ReLU6: the maps that global average pooling and the linear head read.
_LITE = {"cam_layer": "bn2", "offers": _GAP_LINEAR}


@architecture("tf_efficientnet_lite0", label="EfficientNet-Lite0", **_LITE)
def tf_efficientnet_lite0(classes: int) -> nn.Module:
    """EfficientNet-Lite0 (Tan & Le 2019, without squeeze-excitation and with ReLU6)."""
    return timm_network(classes, name="tf_efficientnet_lite0")


@architecture("tf_efficientnet_lite1", label="EfficientNet-Lite1", **_LITE)
def tf_efficientnet_lite1(classes: int) -> nn.Module:
    """EfficientNet-Lite1: deeper than Lite0, 240 px."""
    return timm_network(classes, name="tf_efficientnet_lite1")


@architecture("tf_efficientnet_lite2", label="EfficientNet-Lite2", **_LITE)
def tf_efficientnet_lite2(classes: int) -> nn.Module:
    """EfficientNet-Lite2: deeper and wider than Lite0, 260 px."""
    return timm_network(classes, name="tf_efficientnet_lite2")
