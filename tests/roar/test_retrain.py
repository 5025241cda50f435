"""Retraining: the last epoch counts, a killed training resumes to the same numbers, a diverged one is a row that says so."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.roar.planted import CPU, RECIPE, part, ranking, store, trainer, views
from xailib.errors import InputError
from xailib.params.recipe import Recipe, recipe_of
from xailib.roar import retrain as module
from xailib.roar import slices
from xailib.roar.retrain import optimiser, resized_crop, retrain
from xailib.roar.view import View

FACTS = {"estimator": "truth", "mode": "remove", "level": 90, "base": 0}


def quiet(line: str) -> None:
    pass


def test_a_row_says_what_was_trained_and_what_came_out() -> None:
    images = store(128, 60)
    row, network = retrain(trainer(), *views(images, "inverted", 10), 3, FACTS, report=quiet)
    assert list(row) == [
        "estimator", "mode", "level", "seed", "base", "n", "epochs", "seconds", "accuracy", "status", "correct",
    ]  # fmt: skip
    hits = np.unpackbits(np.frombuffer(row["correct"], np.uint8), count=60)
    assert row["accuracy"] == hits.mean() and row["status"] == "ok" and (row["seed"], row["n"]) == (3, 60)
    assert network is not None and not network.training


def test_the_seed_alone_decides() -> None:
    images = store(128, 60)
    first, again, other = (
        retrain(trainer(), *views(images, "random", 90), seed, FACTS, report=quiet)[0]["correct"] for seed in (0, 0, 1)
    )
    assert first == again and first != other


def test_a_killed_training_resumes_to_the_same_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CHECKPOINT_SECONDS", 0.0)
    images, kept = store(128, 60), tmp_path / "truth_remove_90_0"
    whole, network = retrain(trainer(), *views(images, "random", 90), 0, FACTS, report=quiet)

    def killed(line: str) -> None:
        if line.startswith("epoch 4/"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        retrain(trainer(), *views(images, "random", 90), 0, FACTS, kept=kept, report=killed)
    lines: list[str] = []
    row, resumed = retrain(trainer(), *views(images, "random", 90), 0, FACTS, kept=kept, report=lines.append)
    assert lines[0].startswith("epoch 4/")
    assert row["correct"] == whole["correct"]
    assert all(torch.equal(a, b) for a, b in zip(network.parameters(), resumed.parameters(), strict=True))
    assert [path.name for path in tmp_path.iterdir()] == ["truth_remove_90_0.json"]


def test_a_finished_row_is_used_again_only_for_the_same_training(tmp_path: Path) -> None:
    images, kept = store(64, 20), tmp_path / "kept"
    short = trainer(RECIPE.model_copy(update=dict(epochs=1)))
    first, _ = retrain(short, *views(images, "random", 90), 0, FACTS, kept=kept, report=quiet)
    row, network = retrain(short, *views(images, "random", 90), 0, FACTS, kept=kept, report=quiet)
    assert row == first and network is None
    for facts, how, seed in (
        ({**FACTS, "level": 50}, short, 0),
        (FACTS, trainer(RECIPE.model_copy(update=dict(epochs=1, learning_rate=0.1))), 0),
        (FACTS, short, 1),
    ):
        assert retrain(how, *views(images, "random", 90), seed, facts, kept=kept, report=quiet)[1] is not None
    assert retrain(short, *views(images, "random", 90), 1, FACTS, kept=kept, fresh=True, report=quiet)[1] is not None
    json.loads(kept.with_suffix(".json").read_text())


def test_a_diverged_training_is_a_failed_row() -> None:
    images = store(64, 20)
    wild = trainer(RECIPE.model_copy(update=dict(learning_rate=1e18, epochs=2)))
    row, network = retrain(wild, *views(images, "random", 90), 0, FACTS, report=quiet)
    assert row["status"].startswith("failed: training diverged") and "learning_rate" in row["status"]
    assert np.isnan(row["accuracy"]) and row["correct"] == b"" and network is None


def test_bf16_learns_the_same_task() -> None:
    images = store(256, 100)
    how = replace(trainer(), precision="bf16")
    assert retrain(how, *views(images, "inverted", 10), 0, FACTS, report=quiet)[0]["accuracy"] > 0.9


def test_the_redrawn_mask_changes_with_every_draw_and_keeps_its_share() -> None:
    images = part("train", 40, 1)
    view = View(images, torch.full((3,), 2.0), CPU, ranking(images, "random"), 50, redraw=True)
    rows = torch.arange(40)
    first, again, other = (view.batch(rows, draw)[0] == 2.0 for draw in ((0, 1), (0, 1), (0, 2)))
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert first.float().mean().item() == pytest.approx(0.5, abs=0.02)
    kept = View(images, torch.full((3,), 2.0), CPU, ranking(images, "random"), 10, "keep", redraw=True)
    assert (kept.batch(rows, (0, 1))[0] == 2.0).float().mean().item() == pytest.approx(0.9, abs=0.02)


def test_views_read_large_parts_from_disk_in_any_order(monkeypatch: pytest.MonkeyPatch) -> None:
    images = part("train", 12, 1)
    near = View(images, torch.full((3,), 0.5), CPU, ranking(images, "random"), 50)
    monkeypatch.setattr("xailib.roar.view.RESIDENT_BYTES", 0)
    far = View(images, torch.full((3,), 0.5), CPU, ranking(images, "random"), 50)
    rows = torch.tensor([7, 0, 11, 3])
    assert all(torch.equal(a, b) for a, b in zip(near.batch(rows), far.batch(rows), strict=True))


def test_the_paper_s_schedule() -> None:
    network = torch.nn.Linear(2, 2)
    sgd, schedule, steps = optimiser(network, Recipe(epochs=100, batch_size=512, learning_rate=0.1), images=1024)
    rates = []
    for _ in range(steps):
        rates.append(sgd.param_groups[0]["lr"])
        sgd.step()
        schedule.step()
    assert steps == 200 and rates[10] == pytest.approx(0.2)  # 0.1 at a batch of 256, two steps an epoch
    assert rates[:10] == pytest.approx([0.02 * (i + 1) for i in range(10)])
    assert [rates[2 * epoch] for epoch in (29, 30, 60, 80, 99)] == pytest.approx([0.2, 0.02, 0.002, 0.0002, 0.0002])
    assert [group["weight_decay"] for group in sgd.param_groups] == [1e-4, 0.0]


def test_a_resized_crop_is_a_part_of_the_image() -> None:
    ramp = torch.linspace(0, 1, 32).view(1, 1, 1, 32).expand(64, 3, 32, 32).contiguous()
    cut = resized_crop(ramp, torch.Generator().manual_seed(0))
    widths = cut[:, 0, 16, -4] - cut[:, 0, 16, 3]  # 24 of 32 pixels: how much of the ramp they span tells the scale
    share = widths / (25 / 31)
    assert cut.shape == ramp.shape and (cut > -0.05).all() and (cut < 1.05).all()
    assert share.min() > 0.2 and share.max() < 1.05 and share.std() > 0.1
    assert torch.allclose(cut[:, 0, 4:28].std(dim=1), torch.zeros(64, 32), atol=1e-3)  # rows stay rows: no shear


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"epoch": 3}, "recipe.epoch: unknown key; did you mean 'epochs'"),
        ({"schedule": "step"}, "recipe.schedule: 'step' is not one of steps, one_cycle; did you mean 'steps'"),
        ({"epochs": 0}, "recipe.epochs: 0 is less than the minimum of 1"),
    ],
)
def test_faulty_recipes_are_refused(values: dict, says: str) -> None:
    with pytest.raises(InputError, match=says):
        recipe_of(values)


def test_a_batch_larger_than_the_training_set_is_refused() -> None:
    with pytest.raises(InputError, match="batch_size: 256 is more than the 64"):
        optimiser(torch.nn.Linear(2, 2), Recipe(), images=64)


@pytest.mark.parametrize(("networks", "seeds"), [(1, 3), (2, 2), (2, 4), (3, 6)])
def test_networks_serve_as_many_trainings_each_and_never_their_twin(networks: int, seeds: int) -> None:
    """Training i starts from the weights that network i started from."""
    bases = [slices.base_of(training, networks) for training in range(seeds)]
    assert {bases.count(base) for base in range(networks)} == {seeds // networks}
    assert networks == 1 or all(training != base for training, base in enumerate(bases))
