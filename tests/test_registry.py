"""What a registered function declares and takes is checked where it is registered, and what it returns where it is used."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pandas as pd
import pytest
import torch
from torch import Tensor

import xailib as xai
from xailib.datasets.shifts import shift_images
from xailib.errors import InputError
from xailib.metrics import curves
from xailib.models import untrained
from xailib.registry import Registry, architecture, dataset, method, metric

METHOD = {"family": "gradient", "label": "Own", "paper": "ours"}
METRIC = {"better": "higher", "range": (0, 1), "label": "Own", "paper": "ours"}


@pytest.fixture(autouse=True)
def registries(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test registers is gone after it."""
    for one in (method, metric, dataset, architecture):
        monkeypatch.setattr(one, "entries", dict(one.entries))


@pytest.fixture(scope="module")
def model() -> xai.Model:
    return xai.load_model("mini_resnet_vanilla")


@pytest.fixture(scope="module")
def images() -> xai.ImageBatch:
    return xai.load_images("pictograms", limit=2)


def bright(model: xai.Model, pixels: Tensor, targets: Tensor, *, seed: int, power: float = 1.0) -> Tensor:
    return pixels.mean(1) ** power


def table(values: Any = (0.25, 0.75), **columns: Any) -> Callable[..., pd.DataFrame]:
    return lambda maps, model, images: pd.DataFrame({"value": list(values)} | columns)


@pytest.mark.parametrize(
    ("registry", "facts", "says"),
    [
        (
            method,
            METHOD | {"family": "gradients"},
            "method 'own': family: unknown 'gradients'; did you mean 'gradient'?",
        ),
        (method, METHOD | {"needs": "cam_layer"}, r"method 'own': needs: 'cam_layer' is no list of words; write \("),
        (method, METHOD | {"label": 3}, "method 'own': label: 3 is no text"),
        (metric, METRIC | {"better": "up"}, "metric 'own': better: unknown 'up'; known: higher, lower"),
        (metric, METRIC | {"better": True}, "metric 'own': better: unknown True; known: higher, lower"),
        (metric, METRIC | {"range": (1, 0)}, r"metric 'own': range: \(1, 0\) is not \(lowest, highest\)"),
        (metric, METRIC | {"range": (0, math.nan)}, r"metric 'own': range: \(0, nan\) is not"),
        (metric, METRIC | {"range": 1}, "metric 'own': range: 1 is not"),
        (metric, METRIC | {"columns": "iou"}, "metric 'own': columns: 'iou' is no list of words"),
        (dataset, {"label": "Own", "splits": "test"}, "data set 'own': splits: 'test' is no list of words"),
    ],
)
def test_facts_that_mean_nothing_are_refused(registry: Registry, facts: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError, match=says):
        registry("own", **facts)


@pytest.mark.parametrize(
    ("registry", "facts", "function", "says"),
    [
        (method, METHOD, lambda model, pixels: pixels.mean(1), r"must take \(model, pixels, targets\), .* too many"),
        (
            method,
            METHOD,
            lambda model, pixels, targets, *, steps: pixels,
            "must take .* have a default: missing .*'steps'",
        ),
        (metric, METRIC, lambda maps, images: maps, r"must take \(maps, model, images\), .* too many"),
    ],
)
def test_functions_that_cannot_be_called_are_refused(
    registry: Registry, facts: dict[str, Any], function: Callable[..., Any], says: str
) -> None:
    with pytest.raises(InputError, match=f"{registry.kind} 'own': .*<lambda> {says}"):
        registry("own", **facts)(function)


def test_a_function_that_is_not_registered_is_asked_as_much(model: xai.Model, images: xai.ImageBatch) -> None:
    assert torch.equal(xai.attribute(bright, model, images, power=2.0).values, images.pixels.mean(1) ** 2)
    with pytest.raises(InputError, match=r"method '<lambda>': must take \(model, pixels, targets\)"):
        xai.attribute(lambda pixels: pixels.mean(1), model, images)


def test_any_order_and_index_of_a_metrics_table_is_taken(model: xai.Model, images: xai.ImageBatch) -> None:
    """Its own names of images are not believed: rows are in the images' order."""
    facts = METRIC | {"range": (0, math.inf), "columns": ["half"]}
    metric("own", **facts)(table(half=[1, 2], image=["x", "y"], metric="z"))
    found = xai.evaluate("own", torch.rand(2, 64, 64), model, images)
    assert list(found.columns) == ["image", "metric", "value", "half"] and found["image"].tolist() == images.ids
    assert found["metric"].tolist() == ["own", "own"] and found["value"].tolist() == [0.25, 0.75]


def test_a_metric_that_writes_into_what_it_is_given_changes_no_score_beside_it(
    model: xai.Model, images: xai.ImageBatch
) -> None:
    @metric("own", **METRIC)
    def own(maps: Tensor, model: xai.Model, images: xai.ImageBatch) -> pd.DataFrame:
        return pd.DataFrame({"value": (maps.neg_().mean((1, 2)) + images.pixels.zero_().mean((1, 2, 3))).numpy()})

    maps, pixels = torch.rand(2, 64, 64), images.pixels.clone()
    before, alone = maps.clone(), xai.evaluate("deletion", maps, model, images, steps=4)["value"].tolist()
    beside = xai.evaluate(["own", "deletion"], maps, model, images, steps=4)["value"].tolist()
    assert beside[2:] == alone and beside[:2] == pytest.approx((-before.mean((1, 2))).tolist())
    assert torch.equal(maps, before) and torch.equal(images.pixels, pixels)


def test_a_curve_of_ones_own_changes_nothing_and_is_checked(model: xai.Model, images: xai.ImageBatch) -> None:
    def curve(maps: Tensor, model: xai.Model, images: xai.ImageBatch, *, columns: bool = True) -> Tensor:
        found = torch.stack([maps.neg_().mean((1, 2)), images.pixels.zero_().mean((1, 2, 3))], dim=1)
        return found if columns else found[:, 0]

    metric("own", **METRIC, curve=curve)(curve)
    maps, pixels = torch.rand(2, 64, 64), images.pixels.clone()
    before = maps.clone()
    found = curves("own", maps, model, images)
    assert found.dtype == torch.float64 and torch.allclose(found[:, 0].float(), -before.mean((1, 2)))
    assert torch.equal(maps, before) and torch.equal(images.pixels, pixels)
    with pytest.raises(InputError, match=r"metric 'own': its curve must be a tensor \(2, steps \+ 1\), not \(2,\)"):
        curves("own", maps, model, images, columns=False)


@pytest.mark.parametrize("made", [lambda images: images.pixels, lambda images: replace(images, ids=["x", "y"])])
def test_what_a_shift_of_ones_own_makes_of_images_is_checked(
    made: Callable[[xai.ImageBatch], Any], images: xai.ImageBatch
) -> None:
    dataset("own", label="Own", shift_of="pictograms", relabel=lambda images, root: made(images))(lambda root: [])
    with pytest.raises(InputError, match="data set 'own': its relabel must return an ImageBatch of images that it was"):
        shift_images(images, "pictograms", "own", {}, {"own": None})


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (lambda maps, model, images: maps.mean((1, 2)), "a table of 2 rows with value, not Tensor"),
        (lambda maps, model, images: None, "a table of 2 rows with value, not NoneType"),
        (table([0.5]), "a table of 2 rows with value, not 1 rows of value"),
        (
            lambda maps, model, images: pd.DataFrame({"score": [1, 2]}),
            "a table of 2 rows with value, not 2 rows of score",
        ),
        (table(["high", "low"]), "numbers as value, not str"),
        (table([1j, 2j]), "numbers as value, not complex128"),
    ],
)
def test_what_is_no_table_of_scores_is_refused(
    function: Callable[..., Any], says: str, model: xai.Model, images: xai.ImageBatch
) -> None:
    metric("own", **METRIC)(function)
    with pytest.raises(InputError, match=f"metric 'own' must return {says}"):
        xai.evaluate("own", torch.rand(2, 64, 64), model, images)


def test_an_architecture_is_called_with_its_classes_and_returns_a_network() -> None:
    def widths(classes: int, *, width: int) -> torch.nn.Module:
        return torch.nn.Linear(width, classes)

    architecture("own", label="Own")(widths)
    architecture("other", label="Other")(lambda classes: lambda pixels: pixels)
    assert untrained("own", 3, width=2).out_features == 3
    with pytest.raises(
        InputError, match=r"architecture 'own': must take \(classes\).*missing a required argument: 'width'"
    ):
        untrained("own", 3)
    with pytest.raises(InputError, match=r"architecture 'other' must return a torch\.nn\.Module, not function"):
        untrained("other", 3)
