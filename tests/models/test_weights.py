"""The shipped networks are what their model card says, and the robust ones are robust."""

import json
from typing import Any

import pytest

import xailib as xai
from xailib import engine
from xailib.params import ROOT
from xailib.training.card import measure

CARD = json.loads((ROOT / "weights" / "pictograms" / "card.json").read_text())
ROBUST = [name for name in CARD if name.endswith("_robust")]


def test_card_covers_all_twelve_networks_and_no_file_exceeds_two_megabytes() -> None:
    assert sorted(CARD) == xai.list_models("mini_*")
    assert all((ROOT / "weights" / "pictograms" / f"{name}.safetensors").stat().st_size < 2e6 for name in CARD)


@pytest.mark.parametrize("name", list(CARD))
def test_accuracies_are_those_on_the_card(name: str) -> None:
    card: dict[str, Any] = CARD[name]["accuracy"]
    with engine.using(precision="fp32"):
        found = measure(
            xai.load_model(name), "pictograms", images=240, shifted=0, attacked=24, epsilon=CARD[name]["epsilon"] or 1.0
        )
    # The sample is part of the card's: three standard errors of a share, and an image for shares near 0 or 1.
    clean, attacked = card["clean"], card["l2_pgd"]
    assert found["clean"] == pytest.approx(clean, abs=3 * (clean * (1 - clean) / 240) ** 0.5 + 0.01)
    assert found["l2_pgd"] == pytest.approx(attacked, abs=3 * (attacked * (1 - attacked) / 24) ** 0.5 + 0.05)


@pytest.mark.parametrize("name", ROBUST)
def test_robust_networks_resist_three_times_as_often_as_their_vanilla_twins(name: str) -> None:
    robust, vanilla = CARD[name]["accuracy"], CARD[name.replace("_robust", "_vanilla")]["accuracy"]
    assert robust["l2_pgd"] >= 3 * vanilla["l2_pgd"] and robust["l2_pgd"] > 0.25
    assert robust["clean"] >= 0.8 and vanilla["clean"] >= 0.9
