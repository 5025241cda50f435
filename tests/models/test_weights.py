"""The shipped networks are what their model cards say, and the robust ones are robust."""

import json
from typing import Any

import pytest

import xailib as xai
from xailib import engine
from xailib.training.card import measure
from xailib.workspace import find

CARDS = {name: json.loads(find(f"weights/{name}/card.json").read_text()) for name in ("pictograms", "tiny_imagenet")}
EVERY = [(world, name) for world, card in CARDS.items() for name in card]
ROBUST = [(world, name) for world, name in EVERY if name.endswith("_robust")]
# Least clean accuracy that a reader accepts of vanilla and robust networks; five thousand photographs teach less.
LEAST = {"pictograms": (0.9, 0.8), "tiny_imagenet": (0.75, 0.55)}


@pytest.mark.parametrize(("world", "pattern"), [("pictograms", "mini_*"), ("tiny_imagenet", "tiny_*")])
def test_card_covers_all_twelve_networks_and_no_file_exceeds_two_megabytes(world: str, pattern: str) -> None:
    assert sorted(CARDS[world]) == xai.list_models(pattern) and len(CARDS[world]) == 12
    assert all(find(f"weights/{world}/{name}.safetensors").stat().st_size < 2e6 for name in CARDS[world])


@pytest.mark.parametrize(("world", "name"), EVERY)
def test_accuracies_are_those_on_the_card(world: str, name: str) -> None:
    root, dataset = None, xai.params.load_params("models", name)["model_dataset"]
    if world != "pictograms":
        root = "data"
        if not find(f"{root}/tiny-imagenet-200").is_dir():
            pytest.skip("needs Tiny ImageNet in data/tiny-imagenet-200")
    card: dict[str, Any] = CARDS[world][name]["accuracy"]
    sizes = {"images": 240, "shifted": 0, "attacked": 24}
    with engine.using(precision="fp32"):
        found = measure(
            xai.load_model(name), dataset, **sizes, epsilon=CARDS[world][name]["attacked_epsilon"], root=root
        )
    # The sample is part of the card's: three standard errors of a share, and an image for shares near 0 or 1.
    clean, attacked = card["clean"], card["l2_pgd"]
    assert found["clean"] == pytest.approx(clean, abs=3 * (clean * (1 - clean) / 240) ** 0.5 + 0.01)
    assert found["l2_pgd"] == pytest.approx(attacked, abs=3 * (attacked * (1 - attacked) / 24) ** 0.5 + 0.05)


@pytest.mark.parametrize(("world", "name"), ROBUST)
def test_robust_networks_resist_three_times_as_often_as_their_vanilla_twins(world: str, name: str) -> None:
    robust, vanilla = (CARDS[world][id]["accuracy"] for id in (name, name.replace("_robust", "_vanilla")))
    assert robust["l2_pgd"] >= 3 * vanilla["l2_pgd"] and robust["l2_pgd"] > 0.25
    assert vanilla["clean"] >= LEAST[world][0] and robust["clean"] >= LEAST[world][1]
