"""A second seed for some images: what draws nothing repeats bit for bit, what draws does not."""

import pytest
import torch

import xailib as xai
from tests.attribution.conftest import small_cnn, wrap
from xailib import attribution
from xailib.attribution.repeats import attribute_twice
from xailib.errors import InputError

OPTIONS = {
    "integrated_gradients": {"steps": 3},
    "shap": {"samples": 3},
    "lime": {"samples": 20, "segments": 6},
    "kernel_shap": {"samples": 20, "segments": 6},
    "extremal_perturbation": {"steps": 3, "step": 10.0, "sigma": 20.0},
    "meaningful_perturbation": {"steps": 3},
    "rise": {"masks": 20},
    "smoothgrad": {"samples": 3},
    "deeplift_shap": {"noise_references": 2},
    "occlusion": {"window": 64.0, "stride": 56.0},
    "feature_ablation": {"segments": 6},
    "shapley_value_sampling": {"samples": 2, "segments": 6},
    "ss_cam": {"samples": 2},
    "is_cam": {"samples": 2},
}
DRAWS = {"shap", "lime", "kernel_shap", "rise", "random", "meaningful_perturbation"}
DRAWS |= {"smoothgrad", "deeplift_shap", "shapley_value_sampling", "ss_cam"}


@pytest.fixture
def model() -> xai.models.Model:
    return wrap(small_cnn(), cam_layer="7", offers=("cam_layer", "gap_linear_head"))


@pytest.mark.parametrize("name", xai.list_methods())
def test_only_what_draws_changes_with_the_seed(name, model, pixels, targets) -> None:
    options = OPTIONS.get(name, {})
    maps, repeats = attribute_twice(name, model, pixels, targets, repeats=2, seed=5, **options)
    assert torch.equal(maps[:2], repeats) == (name not in DRAWS)
    other = attribution.attribute(name, model, pixels[:2], targets[:2], seed=6, **options)
    assert torch.equal(repeats, other)
    if name != "meaningful_perturbation":  # its descent enlarges rounding, which depends on the batch
        torch.testing.assert_close(maps, attribution.attribute(name, model, pixels, targets, seed=5, **options))


@pytest.mark.parametrize(("asked", "made"), [(0, 0), (1, 1), (4, 4), (9, 4)])
def test_there_are_as_many_repeats_as_asked_for_and_images_are_there(asked, made, model, pixels, targets) -> None:
    maps, repeats = attribute_twice("random", model, pixels, targets, repeats=asked)
    assert maps.shape == (4, *pixels.shape[-2:]) and len(repeats) == made
    one, again = attribute_twice("random", model, pixels[:1], targets[:1], repeats=asked)
    assert len(one) == 1 and len(again) == min(made, 1)


def test_a_negative_number_is_refused(model, pixels, targets) -> None:
    with pytest.raises(InputError, match="reliability_images: -1 is no number of images; use 0 for none"):
        attribute_twice("random", model, pixels, targets, repeats=-1)
