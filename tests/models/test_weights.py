"""The shipped networks are what their model cards say, and the robust ones are robust."""

import functools
import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from unittest import mock

import pytest
import torch

import xailib as xai
from xailib import engine
from xailib.training import card as cards
from xailib.training.card import measure
from xailib.workspace import find

WORLDS = {
    "pictograms": "mini_*",
    "tiny_imagenet": "tiny_*",
    "pictograms_hard": "hard_*",
    "pictograms_ladder": "ladder_*",
}
CARDS = {name: json.loads(find(f"weights/{name}/card.json").read_text()) for name in WORLDS}
EVERY = [(world, name) for world, card in CARDS.items() for name in card]
MEASURED = [(world, name) for world, name in EVERY if not name.endswith(("_s1", "_s2"))]  # of three seeds the first
ROBUST = [(world, name) for world, name in EVERY if "_robust" in name]
HARD = xai.list_models("hard_*")
# Least clean accuracy that a reader accepts of vanilla and robust networks; five thousand photographs teach less, and hard
# pictograms are.
LEAST = {"pictograms": (0.9, 0.8), "tiny_imagenet": (0.75, 0.55), "pictograms_hard": (0.74, 0.67)}
# How many times as often as its vanilla twin a robust network is right under attack; of AlexNets both hold out.
TIMES = {"pictograms": 3, "tiny_imagenet": 3, "pictograms_hard": 2.5}


@pytest.fixture(scope="module", autouse=True)
def rendered_once() -> Iterator[None]:
    """The networks of one world see the same images."""
    with mock.patch.object(cards, "split_images", functools.cache(cards.split_images)):
        yield


@pytest.mark.parametrize("world", WORLDS)
def test_card_covers_all_networks_and_no_file_exceeds_two_megabytes(world: str) -> None:
    records = [xai.params.load_params("models", name) for name in xai.list_models(WORLDS[world])]
    shipped = [record["model"] for record in records if find(record["weights"]["path"]).is_file()]
    many = {"pictograms_hard": 36, "pictograms_ladder": 15}
    assert sorted(CARDS[world]) == shipped and len(shipped) == many.get(world, 12)
    # A study is of what is there; the ladder's also of hard networks, which are two of its rungs.
    explained = xai.params.load_study(world)["models"]
    assert sorted(name for name in explained if world != "pictograms_ladder" or name.startswith("ladder")) == shipped
    assert all(find(f"weights/{world}/{name}.safetensors").stat().st_size < 2e6 for name in CARDS[world])


@pytest.mark.parametrize(("world", "name"), MEASURED)
def test_accuracies_are_those_on_the_card(world: str, name: str) -> None:
    root, dataset = None, xai.params.load_params("models", name)["model_dataset"]
    if world == "tiny_imagenet":
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
def test_robust_networks_resist_several_times_as_often_as_their_vanilla_twins(world: str, name: str) -> None:
    robust, vanilla = (CARDS[world][id]["accuracy"] for id in (name, name.replace("_robust", "_vanilla")))
    assert robust["l2_pgd"] >= TIMES[world] * vanilla["l2_pgd"] and robust["l2_pgd"] > 0.25
    assert vanilla["clean"] >= LEAST[world][0] and robust["clean"] >= LEAST[world][1]


def test_every_recipe_has_three_seeds_that_differ_in_the_seed_alone() -> None:
    recipes: dict[str, dict[int, dict[str, Any]]] = {}
    for id in HARD:
        record = xai.params.load_params("models", id)
        name, _, seed = id.rpartition("_s")
        assert record["training"].pop("seed") == int(seed)
        record["training"]["initial"] = record["training"].get("initial", "").removesuffix(f"_s{seed}")
        own = {key: record[key] for key in record if key not in ("model", "weights", "accuracy")}
        recipes.setdefault(name, {})[int(seed)] = own
    assert len(recipes) == 12
    for name, seeds in recipes.items():
        assert sorted(seeds) == [0, 1, 2] and seeds[0] == seeds[1] == seeds[2], name


def test_along_the_ladder_networks_are_right_less_often_and_differ_in_the_radius_alone() -> None:
    card, radii = CARDS["pictograms_ladder"], ["003", "006", "012", "050", "100"]
    clean = [
        sum(card[f"ladder_resnet_e{radius}_s{seed}"]["accuracy"]["clean"] for seed in range(3)) / 3 for radius in radii
    ]
    assert clean == sorted(clean, reverse=True) and clean[-1] > 0.3  # of eight classes
    for name in card:
        record = xai.params.load_params("models", name)
        twin = xai.params.load_params("models", f"hard_resnet_robust_s{record['training']['seed']}")
        same = {key: value for key, value in record["training"].items() if key != "epsilon"}
        assert same == {key: value for key, value in twin["training"].items() if key != "epsilon"}


def test_a_vanilla_network_is_attacked_as_most_of_its_heirs_were() -> None:
    assert cards.twin_epsilon("hard_resnet_vanilla_s0") == 0.25  # a robust one, two AdvProp ones, five of the ladder
    assert cards.twin_epsilon("mini_resnet_vanilla") == 1.0 and cards.twin_epsilon("hard_resnet_robust_s0") == 1.0


def test_hard_networks_are_of_one_size() -> None:
    networks = [xai.models.build_network(xai.params.load_params("models", id)) for id in HARD if id.endswith("_s0")]
    sizes = [sum(parameter.numel() for parameter in network.parameters()) for network in networks]
    assert max(sizes) < 1.5 * min(sizes), sizes


def test_all_weights_that_are_shipped_take_at_most_forty_megabytes() -> None:
    assert sum(path.stat().st_size for path in find("weights").rglob("*.safetensors")) < 40e6


def test_maps_follow_the_class_that_is_asked_for() -> None:
    """In hard pictograms the distractor is a class too: of two symbols GradCAM shows the one that is explained."""
    options = xai.params.load_params("datasets", "pictograms_hard")["dataset_options"]
    symbols = [xai.load_images("pictograms", limit=64, **options, symbol=name) for name in ("object", "distractor")]
    model = xai.load_model("hard_resnet_vanilla_s0")
    mass = torch.zeros(2, 2)  # explained, where
    for i, asked in enumerate(symbols):
        maps = xai.attribute("gradcam", model, asked, asked.labels)
        for j, place in enumerate(symbols):
            scores = xai.evaluate(
                "relevance_mass", maps, model, replace(place, labels=asked.labels), targets=asked.labels
            )
            mass[i, j] = scores["value"].mean()
    assert mass[0, 0] > 2 * mass[1, 0] and mass[1, 1] > 2 * mass[0, 1], mass
