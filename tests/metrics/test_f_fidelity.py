"""F-Fidelity on a network whose losses are known sums, and the share of pixels that it may take."""

import numpy as np
import pytest
import torch

import xailib as xai
from xailib.metrics.f_fidelity import without_some_pixels


@pytest.fixture
def planted(batch, evidence):
    """White images, and class 0's probability the sum of the weights of what is shown."""
    weights = torch.rand(20, 20, generator=torch.Generator().manual_seed(0))
    weights /= weights.sum()
    return evidence(weights), batch(torch.ones(1, 3, 20, 20)), weights


def test_losses_are_those_of_the_named_pixels_and_of_the_others(planted) -> None:
    """Expected: as many pixels as may go, times the mean weight of where they are drawn from."""
    model, images, weights = planted
    found = xai.evaluate("f_fidelity", weights[None], model, images, sizes=4, samples=60).iloc[0]
    order, plus, minus = weights.flatten().sort(descending=True).values, [], []
    for named in (100, 200, 300):
        plus.append(min(0.5 * named, 40) * order[:named].mean().item())
        minus.append(min(0.5 * (400 - named), 40) * order[named:].mean().item())
    assert found["value_plus"] == pytest.approx(np.mean(plus), rel=0.02)
    assert found["value_minus"] == pytest.approx(np.mean(minus), rel=0.05)
    assert found["value"] == pytest.approx(found["value_plus"] - found["value_minus"])


def by_coins(weights: torch.Tensor, scores: torch.Tensor, *, alpha: float, beta: float, draws: int) -> float:
    """What is lost with `draws` coins a size, by the recipe of the authors' code: the ratio is capped, not the count."""
    lost, order, coins = [], scores.flatten().argsort(descending=True), torch.Generator().manual_seed(0)
    for named in range(20, 400, 20):  # 5 %, 10 %, ... of the pixels
        candidate = torch.zeros(400)
        candidate[order[:named]] = 1
        ratio = min(alpha, beta * 400 / named)
        gone = candidate * (torch.rand(draws, 400, generator=coins) <= ratio)
        lost.append((gone * weights.flatten()).sum(1).mean().item())
    return float(np.mean(lost))


def test_agrees_with_the_recipe_of_the_authors(planted) -> None:
    """Theirs names the least important pixels for Fid-: the rest of ours, size by size."""
    model, images, weights = planted
    random = torch.rand(20, 20, generator=torch.Generator().manual_seed(1))
    for scores in (weights, 0.5 * weights / weights.max() + random):
        found = xai.evaluate("f_fidelity", scores[None], model, images, sizes=20, samples=200).iloc[0]
        for column, theirs in (("value_plus", scores), ("value_minus", -scores)):
            recipe = by_coins(weights, theirs, alpha=0.5, beta=0.1, draws=2000)
            assert found[column] == pytest.approx(recipe, rel=0.015), column


def test_the_true_map_beats_random_beats_inverted(planted) -> None:
    model, images, weights = planted
    random = torch.rand(20, 20, generator=torch.Generator().manual_seed(1))
    true, chance, wrong = (
        xai.evaluate("f_fidelity", one[None], model, images, sizes=5, samples=20)["value"].item()
        for one in (weights, random, -weights)
    )
    assert true > 0.03 and abs(chance) < 0.02 and wrong == pytest.approx(-true, abs=0.01)


def test_never_more_goes_than_was_learnt(planted, monkeypatch) -> None:
    model, images, weights = planted
    seen, forward = [], model.forward
    monkeypatch.setattr(model, "forward", lambda pixels: seen.append(pixels.clone()) or forward(pixels))
    xai.evaluate("f_fidelity", weights[None], model, images, sizes=10, samples=3, alpha=0.5, beta=0.1)
    gone = (torch.cat(seen)[-(2 * 9 * 3 + 1) :] == 0).all(1).flatten(1).sum(1)
    assert set(gone.tolist()) == {0, 20, 40}, "half of the 40 that are named first, then a tenth of all"
    torch.manual_seed(0)
    learnt = without_some_pixels(torch.ones(300, 3, 20, 20), torch.zeros(1, 3, 1, 1), beta=0.1)
    shares = (learnt == 0).all(1).float().mean((1, 2))
    assert 0.09 < shares.max() < 0.16 and shares.mean().item() == pytest.approx(0.05, abs=0.01)


def test_more_sizes_than_pixels_are_refused(planted) -> None:
    """Some would name no pixel, and none is then lost by both sides."""
    model, images, weights = planted
    with pytest.raises(xai.InputError, match="sizes: 401 is more than the image's 400 pixels"):
        xai.evaluate("f_fidelity", weights[None], model, images, sizes=401, samples=1)


def test_batch_and_order_change_nothing(small_model, small_images, small_maps) -> None:
    given = {"sizes": 3, "samples": 2}
    whole = xai.evaluate("f_fidelity", small_maps, small_model, small_images, batch_size=4, **given)["value"].to_numpy()
    order = [5, 0, 3]
    part = xai.evaluate(
        "f_fidelity",
        small_maps[order],
        small_model,
        small_images.pixels[order],
        targets=small_images.labels[order],
        **given,
    )
    np.testing.assert_allclose(part["value"], whole[order], atol=1e-6)
    other = xai.evaluate("f_fidelity", small_maps, small_model, small_images, seed=1, **given)["value"]
    assert (np.abs(other - whole) > 1e-9).any()
