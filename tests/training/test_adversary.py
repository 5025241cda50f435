"""The L2 attacker stays in its ball, finds the closed-form optimum of a linear network, and is order-free."""

import pytest
import torch
from torch import nn

from xailib import engine
from xailib.models.model import Model
from xailib.training.adversary import l2_pgd, network_attack


@pytest.fixture
def linear() -> Model:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, 2))
    return Model(
        network, id="linear", architecture="linear", training_algorithm="vanilla", input_size=8, class_names=["a", "b"]
    )


def middle(n: int) -> torch.Tensor:
    """Images far enough from 0 and 1 that clamping never acts on a ball of radius 0.5."""
    return 0.5 + 0.1 * torch.rand(n, 3, 8, 8, generator=torch.Generator().manual_seed(1))


def test_attack_on_a_linear_network_is_the_normal_of_its_boundary(linear: Model) -> None:
    pixels, labels = middle(3), torch.tensor([0, 1, 0])
    attacked = l2_pgd(linear, pixels, labels, epsilon=0.5, steps=40)
    weight = linear.network[1].weight
    normal = torch.stack([weight[1 - label] - weight[label] for label in labels]).view(-1, 3, 8, 8)
    best = 0.5 * normal / normal.flatten(1).norm(dim=1).view(-1, 1, 1, 1)
    assert torch.allclose(attacked - pixels, best, atol=0.02)


def test_attack_stays_in_the_ball_and_in_range(linear: Model) -> None:
    pixels, labels = torch.rand(4, 3, 8, 8), torch.tensor([0, 1, 1, 0])
    attacked = l2_pgd(linear, pixels, labels, epsilon=0.7, steps=5)
    assert (attacked - pixels).flatten(1).norm(dim=1).max() <= 0.7 + 1e-4
    assert attacked.min() >= 0 and attacked.max() <= 1


def test_attack_does_not_depend_on_batch_or_order(linear: Model) -> None:
    pixels, labels = middle(5), torch.tensor([0, 1, 1, 0, 1])
    with engine.using(batch_size=2):
        small = l2_pgd(linear, pixels, labels, epsilon=0.5, steps=4, seed=3)
    whole = l2_pgd(linear, pixels, labels, epsilon=0.5, steps=4, seed=3)
    backwards = l2_pgd(linear, pixels.flip(0), labels.flip(0), epsilon=0.5, steps=4, seed=3).flip(0)
    assert torch.allclose(small, whole, atol=1e-5) and torch.allclose(backwards, whole, atol=1e-5)


def test_attack_is_on_the_network_as_it_is_used_whatever_state_it_is_found_in() -> None:
    torch.manual_seed(0)
    layers = nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(3 * 8 * 8, 2)
    model = Model(
        nn.Sequential(*layers),
        id="n",
        architecture="n",
        training_algorithm="vanilla",
        input_size=8,
        class_names=["a", "b"],
    )
    pixels, labels = middle(5), torch.tensor([0, 1, 1, 0, 1])
    wanted = l2_pgd(model, pixels, labels, epsilon=0.5, steps=4)
    with torch.inference_mode():
        assert torch.allclose(l2_pgd(model, pixels, labels, epsilon=0.5, steps=4), wanted, atol=1e-6)
    model.network[0].register_forward_hook(lambda *_: None)  # which keeps it from being copied
    model.train()
    assert torch.allclose(l2_pgd(model, pixels, labels, epsilon=0.5, steps=4), wanted, atol=1e-6)
    assert model.training and layers[0].num_batches_tracked == 0 and not layers[0].running_mean.any()


def test_training_attack_raises_the_loss(linear: Model) -> None:
    pixels, labels = middle(8), torch.zeros(8, dtype=torch.long)
    attacked = network_attack(linear, pixels, labels, epsilon=0.5, steps=3)
    loss = nn.functional.cross_entropy
    assert loss(linear(attacked), labels) > loss(linear(pixels), labels)
