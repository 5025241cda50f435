"""Planted truth: ROAR, keep-and-retrain and the mask-only check give the answers that are known beforehand."""

import pytest

from tests.roar.planted import LEVELS, ranking, store, trainer, views
from xailib.roar import trust
from xailib.roar.store import Store
from xailib.roar.view import View


@pytest.fixture(scope="module")
def images() -> Store:
    return store()


def accuracy(pair: tuple[View, View], seed: int = 0) -> float:
    how = trainer()
    return how.hits(how.train(pair[0], seed, report=lambda line: None), pair[1]).mean()


def test_removing_the_truth_first_drops_to_chance_and_last_keeps_accuracy(images: Store) -> None:
    found = {kind: accuracy(views(images, kind, 90)) for kind in ("truth", "random", "inverted")}
    whole = accuracy(views(images, "inverted", 10))
    assert accuracy(views(images, "truth", 10)) == pytest.approx(0.5, abs=0.1)
    assert found["truth"] == pytest.approx(0.5, abs=0.1)
    assert whole > 0.97 and found["inverted"] > 0.97
    assert found["truth"] + 0.08 < found["random"] < found["inverted"] - 0.03


def test_keeping_the_truth_keeps_accuracy_and_keeping_all_else_loses_it(images: Store) -> None:
    assert accuracy(views(images, "truth", 10, "keep")) > 0.97
    assert accuracy(views(images, "inverted", 50, "keep")) == pytest.approx(0.5, abs=0.1)


@pytest.mark.parametrize(("kind", "low", "high"), [("leaking", 0.97, 1.0), ("random", 0.38, 0.62)])
def test_only_a_mask_that_leaks_tells_the_class(images: Store, kind: str, low: float, high: float) -> None:
    rankings = {name: ranking(getattr(images, name), kind) for name in ("train", "test")}
    (row,) = trust.mask_alone(
        kind, trainer(), images, **rankings, level=50, facts={"base": 0}, report=lambda line: None
    )
    assert low <= row["value"] <= high and row["n"] == len(images.test) and row["level"] in LEVELS


def test_without_retraining_a_network_fails_on_what_it_never_saw(images: Store) -> None:
    how = trainer()
    network = how.train(views(images, "inverted", 10)[0], 0, report=lambda line: None)
    rows = trust.without_retraining("truth", how, network, images, ranking(images.test, "truth"))
    value = {(row["mode"], row["level"]): row["value"] for row in rows}
    assert value["remove", 10] < 0.7 and value["keep", 90] > 0.95
    imputed = trust.road("truth", how, network, images, ranking(images.test, "truth"), limit=100)
    assert {row["n"] for row in imputed} == {100}
    value = {(row["mode"], row["level"]): row["value"] for row in imputed}
    assert value["remove", 10] < 0.75 and value["keep", 90] > 0.95
