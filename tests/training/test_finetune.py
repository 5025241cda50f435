"""Fine-tuning makes deletions in-domain, leaves the network alone, and goes on where it was killed."""

import pytest
import torch

import xailib as xai
from xailib import engine
from xailib.errors import InputError
from xailib.metrics.idsds import without_a_patch
from xailib.models.checkpoints import save_weights
from xailib.training import finetune as module
from xailib.training.finetune import finetune, load_finetuned


@pytest.fixture(scope="module")
def images():
    return xai.load_images("pictograms", split="train", limit=512)


@pytest.fixture(scope="module")
def model():
    return xai.load_model("mini_mobilenet_v2_vanilla", device="cpu")


def half_gone(pixels: torch.Tensor, fill: torch.Tensor) -> torch.Tensor:
    """Cells of 8 x 8 pixels, half of them deleted."""
    cells = torch.rand(len(pixels), 1, 8, 8) < 0.5
    return torch.where(torch.nn.functional.interpolate(cells.float(), pixels.shape[2:]) > 0, fill, pixels)


def right(model, pixels, labels) -> float:
    return (engine.logits(model, pixels).argmax(1) == labels).float().mean().item()


def test_deletions_become_in_domain(model, images) -> None:
    before = {name: value.clone() for name, value in model.state_dict().items()}
    test = xai.load_images("pictograms", limit=200)
    torch.manual_seed(0)
    holed = half_gone(test.pixels, model.mean_colour)
    own = finetune(model, images.pixels, images.labels, half_gone, steps=60, learning_rate=0.02, report=lambda _: None)
    assert right(own, holed, test.labels) > right(model, holed, test.labels) + 0.05
    assert right(own, test.pixels, test.labels) > 0.7
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert not own.training and not any(weights.requires_grad for weights in own.parameters())


def test_a_killed_one_goes_on_to_the_same_weights(model, images, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(module, "place", lambda path: tmp_path / path)
    given = {"steps": 120, "batch_size": 8, "facts": {"model": "m"}}

    def run(report=lambda _: None, **changes):
        return finetune(
            model, images.pixels[:64], images.labels[:64], without_a_patch, report=report, **given | changes
        )

    def die(_):
        raise KeyboardInterrupt

    whole = run()
    kept = tmp_path / "resources/training"
    assert not list(kept.glob("*.pt"))
    monkeypatch.setattr("xailib.training.fit.save_checkpoint", killed_after(die))
    with pytest.raises(KeyboardInterrupt):
        run()
    monkeypatch.undo()
    monkeypatch.setattr(module, "place", lambda path: tmp_path / path)
    assert len(list(kept.glob("*.pt"))) == 1
    again = run()
    assert all(torch.equal(value, again.state_dict()[name]) for name, value in whole.state_dict().items())
    other = run(facts=None, seed=1)
    assert any(not torch.equal(value, other.state_dict()[name]) for name, value in whole.state_dict().items())


def killed_after(die):
    from xailib.training.loop import save_checkpoint

    def save(*arguments, **parts):
        save_checkpoint(*arguments, **parts)
        die("")

    return save


def test_weights_come_back(model, images, tmp_path) -> None:
    own = finetune(model, images.pixels[:64], images.labels[:64], without_a_patch, steps=2, report=lambda _: None)
    save_weights(own.network, tmp_path / "weights.safetensors")
    again = load_finetuned(model.id, tmp_path / "weights.safetensors", device="cpu")
    few = images.pixels[:8]
    torch.testing.assert_close(engine.logits(again, few), engine.logits(own, few), atol=0.05, rtol=0.01)
    assert not torch.allclose(engine.logits(again, few), engine.logits(model, few), atol=1e-3)
    with pytest.raises(InputError, match="1 training image is too few"):
        finetune(model, images.pixels[:1], images.labels[:1], without_a_patch, steps=1)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"steps": 0}, "steps: 0 is not a number from 1"),
        ({"learning_rate": float("nan")}, "learning_rate: nan is not a finite number above 0"),
        ({"labels": torch.tensor([0, 1, 2, 99])}, "knows classes 0 to 11, found 99"),
        ({"labels": torch.tensor([0, 1])}, "one class an image is needed, 4 in all, not 2"),
        ({"pixels": torch.full((4, 3, 64, 64), 200.0)}, "divide by 255"),
    ],
)
def test_what_cannot_be_learnt_from_is_refused(given, said):
    usual = {"pixels": torch.rand(4, 3, 64, 64), "labels": torch.arange(4), "deletes": without_a_patch, "steps": 1}
    with pytest.raises(InputError, match=said):
        finetune(xai.load_model("mini_resnet_vanilla"), **{**usual, **given})


def test_a_copy_that_is_not_there_is_named(tmp_path):
    with pytest.raises(InputError, match=r"weights\.safetensors: no such file"):
        load_finetuned("mini_resnet_vanilla", tmp_path / "weights.safetensors")
