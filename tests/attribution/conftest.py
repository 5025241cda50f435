"""Planted networks whose attribution is known in closed form, and one small network with every trap in it."""

import pytest
import torch
from torch import Tensor, nn

from xailib.models.model import Model

HEIGHT, WIDTH, CLASSES = 24, 20, 5  # sides differ, so that a swap of axes shows
MEAN, STD = (0.4, 0.5, 0.6), (0.2, 0.25, 0.3)


def wrap(network: nn.Module, **facts: object) -> Model:
    """A `Model` around a toy network, with a normalisation that matters."""
    record = {
        "id": "toy", "architecture": "toy", "training_algorithm": "vanilla", "input_size": HEIGHT,
        "class_names": [str(i) for i in range(CLASSES)], "mean": MEAN, "std": STD,
    }  # fmt: skip
    return Model(network, **{**record, **facts})


class Squares(nn.Module):
    """Additive over pixels and not linear: logits = W x^2 + b."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(3 * HEIGHT * WIDTH, CLASSES)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.linear(inputs.square().flatten(1))


def small_cnn(inplace: bool = True) -> nn.Sequential:
    """Convolutions, batch norm and (in-place) ReLUs, average pooling, dropout, one linear layer."""
    torch.manual_seed(7)
    network = nn.Sequential(
        nn.Conv2d(3, 12, 5, stride=2, padding=2), nn.BatchNorm2d(12), nn.ReLU(inplace=inplace),
        nn.Conv2d(12, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(inplace=inplace),
        nn.Conv2d(16, 24, 3, stride=2, padding=1), nn.ReLU(inplace=inplace),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.5), nn.Linear(24, CLASSES),
    )  # fmt: skip
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.uniform_(-0.3, 0.3)
                module.running_var.uniform_(0.5, 1.5)
        network[-1].weight.mul_(4)
    return network


@pytest.fixture(scope="session")
def pixels() -> Tensor:
    """Four smooth images `(4, 3, 24, 20)` with texture, so that SLIC finds uneven superpixels."""
    generator = torch.Generator().manual_seed(3)
    coarse = torch.rand(4, 3, 5, 4, generator=generator)
    smooth = nn.functional.interpolate(coarse, (HEIGHT, WIDTH), mode="bicubic", align_corners=False)
    return (smooth + 0.1 * torch.randn(4, 3, HEIGHT, WIDTH, generator=generator)).clamp(0, 1)


@pytest.fixture(scope="session")
def targets() -> Tensor:
    return torch.tensor([0, 3, 4, 1])


@pytest.fixture
def linear() -> Model:
    """logits = W (x - mean) / std + b."""
    torch.manual_seed(1)
    return wrap(nn.Sequential(nn.Flatten(), nn.Linear(3 * HEIGHT * WIDTH, CLASSES)))


@pytest.fixture
def linear_weights(linear: Model) -> Tensor:
    """d logits / d pixels of `linear`: `(classes, 3, h, w)`."""
    return linear.network[1].weight.view(CLASSES, 3, HEIGHT, WIDTH) / torch.tensor(STD).view(1, 3, 1, 1)


@pytest.fixture
def squares() -> Model:
    torch.manual_seed(2)
    return wrap(Squares())


@pytest.fixture
def cnn() -> Model:
    """A GAP + linear network whose last maps are followed by an in-place ReLU's output and whose ReLUs are in place."""
    return wrap(small_cnn(), cam_layer="7", offers=("cam_layer", "gap_linear_head"))


@pytest.fixture
def make_model():
    """`wrap`, for tests that build their own network."""
    return wrap


@pytest.fixture
def make_cnn():
    """`small_cnn`, for tests that change it."""
    return small_cnn


@pytest.fixture
def explain_by_package():
    """The lime package's coefficients `(s,)` for one image, and the coalitions `(samples, s)` that it drew."""
    import numpy as np
    from lime.lime_image import LimeImageExplainer

    def explain(model, image, target, labels, colour, samples):
        def classify(images):
            with torch.no_grad():
                return model(torch.from_numpy(np.asarray(images)).permute(0, 3, 1, 2).float()).softmax(1).numpy()

        found = LimeImageExplainer(random_state=0).explain_instance(
            image.permute(1, 2, 0).double().numpy(), classify, labels=(target,), top_labels=None, hide_color=colour,
            num_samples=samples, batch_size=50, segmentation_fn=lambda _: labels.numpy(), random_seed=0,
        )  # fmt: skip
        count = int(labels.max()) + 1
        shown = np.random.RandomState(0).randint(0, 2, samples * count).reshape(samples, count) == 1
        shown[0] = True
        weights = dict(found.local_exp[target])
        return torch.tensor([weights[s] for s in range(count)]), torch.from_numpy(shown)

    return explain
