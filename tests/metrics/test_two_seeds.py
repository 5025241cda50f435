"""Two seeds side by side: the rank correlation of maps, and the scores of both."""

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

import xailib as xai
from xailib import engine, registry
from xailib.metrics.reliability import agreement, scored_twice

IDS = [f"image {i}" for i in range(7)]


def test_agreement_is_spearmans_with_ties_on_their_mean_rank(small_maps) -> None:
    repeats = (small_maps[:3] + torch.randn(3, 16, 16, generator=torch.Generator().manual_seed(3))).round(decimals=1)
    found = agreement(small_maps, repeats, IDS)
    expected = [spearmanr(a.flatten(), b.flatten()).statistic for a, b in zip(small_maps, repeats, strict=False)]
    assert found["correlation"].tolist() == pytest.approx(expected) and not found["same"].any()
    assert found["image"].tolist() == IDS[:3]


def test_maps_that_are_all_equal_are_deterministic_even_where_constant() -> None:
    maps = torch.stack([torch.zeros(4, 4), torch.arange(16.0).view(4, 4)])
    found = agreement(maps, maps.clone(), IDS)
    assert found["same"].all() and (found["correlation"] == 1).all()


def test_a_constant_map_among_others_has_no_ranks(small_maps) -> None:
    maps, repeats = small_maps.clone(), small_maps[:3] + torch.rand(3, 16, 16)
    maps[0] = repeats[0] = 0.1  # the same both times
    repeats[1] = 7.0  # constant once
    found = agreement(maps, repeats, IDS)
    assert found["correlation"].isna().tolist() == [True, True, False]
    assert found["same"].tolist() == [True, False, False]


@pytest.mark.parametrize("name", [name for name in xai.list_metrics() if not registry.metric.get(name).explains])
def test_repeats_are_scored_as_the_maps_were(name, small_model, small_images, small_maps) -> None:
    repeats = torch.randn(3, 16, 16, generator=torch.Generator().manual_seed(8))
    first = xai.evaluate(name, small_maps, small_model, small_images)
    found = scored_twice(name, first, small_maps, repeats, small_model, small_images)
    replaced = xai.evaluate(name, torch.cat([repeats, small_maps[3:]]), small_model, small_images)
    # Also for a metric that is not `together`, so that the fact is right for every metric.
    np.testing.assert_allclose(found["second"], replaced["value"][:3], atol=1e-6)
    assert found["value"].tolist() == first["value"][:3].tolist() and found["image"].tolist() == IDS[:3]


def test_a_threshold_is_tuned_on_the_whole_stack(small_model, small_images, small_maps) -> None:
    assert [name for name in xai.list_metrics() if registry.metric.get(name).together] == ["localisation"]
    first = xai.evaluate("localisation", small_maps, small_model, small_images)
    found = scored_twice("localisation", first, small_maps, -small_maps[:1], small_model, small_images)
    alone = xai.evaluate("localisation", -small_maps[:1], small_model, small_images.select(slice(1)))
    assert found["second"].notna().all() and alone["value"].isna().all()  # one image alone has no other half


def test_equal_maps_cost_no_pass_and_none_are_no_rows(small_model, small_images, small_maps) -> None:
    first = xai.evaluate("deletion", small_maps, small_model, small_images)
    with engine.using() as settings:
        found = scored_twice("deletion", first, small_maps, small_maps[:4].clone(), small_model, small_images)
        none = scored_twice("deletion", first, small_maps, small_maps[:0], small_model, small_images)
    assert settings.cost.forward == 0 and found["second"].tolist() == first["value"][:4].tolist()
    assert none.empty and agreement(small_maps, small_maps[:0], IDS).empty
