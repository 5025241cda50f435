"""Training learns, resumes to the same weights, refuses divergence; AdvProp keeps two batch-norm branches apart."""

import copy
from pathlib import Path
from unittest import mock

import pytest
import torch
from torch import nn

from xailib.errors import InputError
from xailib.training.advprop import auxiliary_view, join, split, without_auxiliary
from xailib.training.fit import Recipe, fit


def bars(n: int = 256) -> tuple[torch.Tensor, torch.Tensor]:
    """Images uint8 `(n, 3, 64, 64)` of two classes that no mirror or shift confuses: upper or lower half bright."""
    labels = torch.arange(n) % 2
    pixels = torch.randint(0, 60, (n, 3, 64, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    pixels[labels == 0, :, :32] += 150
    pixels[labels == 1, :, 32:] += 150
    return pixels, labels


def network() -> nn.Module:
    torch.manual_seed(1)
    return nn.Sequential(
        nn.Conv2d(3, 4, 8, 8), nn.BatchNorm2d(4), nn.ReLU(), nn.AdaptiveAvgPool2d((2, 1)), nn.Flatten(), nn.Linear(8, 2)
    )


def accuracy(trained: nn.Module, pixels: torch.Tensor, labels: torch.Tensor) -> float:
    with torch.inference_mode():
        return (trained(pixels.float() / 255).argmax(1) == labels).float().mean().item()


@pytest.mark.parametrize("precision", ["bf16", "fp32"])
def test_passes_are_in_the_precision_that_the_processor_computes(precision: str) -> None:
    seen = set()
    watched = network()
    watched[0].register_forward_hook(lambda _layer, _inputs, output: seen.add(output.dtype))
    with mock.patch("xailib.training.fit.precision_on", return_value=precision):
        fit(watched, lambda x: x, *bars(32), Recipe(steps=1, batch_size=32), report=lambda line: None)
    assert seen == {torch.bfloat16 if precision == "bf16" else torch.float32}


@pytest.mark.parametrize(("epsilon", "advprop"), [(0.0, False), (0.5, False), (0.5, True)])
def test_training_learns_under_each_algorithm(epsilon: float, advprop: bool) -> None:
    pixels, labels = bars()
    recipe = Recipe(steps=40, batch_size=32, learning_rate=0.05, epsilon=epsilon, attack_steps=1)
    trained = fit(network(), lambda x: x, pixels, labels, recipe, advprop=advprop, report=lambda line: None)
    assert accuracy(trained, pixels, labels) > 0.95
    assert not any("aux" in key for key in trained.state_dict())


def test_killed_training_resumes_to_the_same_weights(tmp_path: Path) -> None:
    pixels, labels = bars()
    recipe = Recipe(steps=200, batch_size=8, learning_rate=0.05, epsilon=0.3, attack_steps=1)
    whole = fit(network(), lambda x: x, pixels, labels, recipe, report=lambda line: None)

    def killed_at_100(line: str) -> None:
        if (tmp_path / "state.pt").exists():
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(network(), lambda x: x, pixels, labels, recipe, checkpoint=tmp_path / "state.pt", report=killed_at_100)
    lines: list[str] = []
    resumed = fit(network(), lambda x: x, pixels, labels, recipe, checkpoint=tmp_path / "state.pt", report=lines.append)
    assert lines and lines[0].startswith("step 200/")
    for key, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[key]), key


def test_diverged_training_is_named() -> None:
    pixels, labels = bars(64)
    broken = network()
    nn.init.constant_(broken[0].weight, float("nan"))
    with pytest.raises(InputError, match="diverged at step 0"):
        fit(broken, lambda x: x, pixels, labels, Recipe(steps=2, batch_size=8), report=lambda line: None)


def test_split_batch_norm_starts_equal_and_its_branches_part() -> None:
    plain = network()
    double = split(network()).train()
    clean, attacked = torch.rand(8, 3, 64, 64), torch.rand(8, 3, 64, 64) * 3
    double(join(clean, attacked))
    auxiliary, main = auxiliary_view(double.eval()), double
    assert not torch.allclose(auxiliary(clean), main(clean))
    plain.train()(clean)
    plain.eval()
    # The main branch saw the clean half alone, so it equals a plain network that saw just that half.
    assert torch.allclose(without_auxiliary(double)(clean), plain(clean), atol=1e-5)


def test_batch_norms_that_hold_an_activation_keep_it_and_shared_ones_stay_shared() -> None:
    from timm.layers import BatchNormAct2d

    class Shared(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.convolution, self.norm, self.head = nn.Conv2d(3, 4, 8, 8), BatchNormAct2d(4), nn.Linear(4, 2)
            self.again, self.last = nn.Conv2d(4, 4, 1), nn.BatchNorm1d(4, affine=False)
            self.same = self.norm

        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            maps = self.same(self.again(self.norm(self.convolution(inputs))))
            return self.head(self.last(maps.mean((2, 3))))

    torch.manual_seed(2)
    plain, inputs = Shared().eval(), torch.rand(4, 3, 64, 64)
    kept = without_auxiliary(split(copy.deepcopy(plain)))
    assert torch.equal(kept(inputs), plain(inputs)) and kept.norm is kept.same
    assert list(map(type, kept.modules())) == list(map(type, plain.modules()))
    double = split(copy.deepcopy(plain)).train()
    auxiliary = double(join(inputs, inputs))
    assert torch.equal(auxiliary[:4], auxiliary[4:])
    assert torch.allclose(auxiliary[:4], plain.train()(inputs), atol=1e-5)


def test_unknown_optimiser_is_refused() -> None:
    pixels, labels = bars(32)
    with pytest.raises(InputError, match="'sgd' or 'adamw'"):
        fit(network(), lambda x: x, pixels, labels, Recipe(optimiser="adam"), report=lambda line: None)


def test_fewer_images_than_a_batch_are_refused() -> None:
    pixels, labels = bars(12)
    with pytest.raises(InputError, match="128 is more than the 12 images"):
        fit(network(), lambda x: x, pixels, labels, Recipe(steps=1), report=lambda line: None)
