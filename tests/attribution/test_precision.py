"""bf16 ranks the pixels of every registered method as fp32 does, or the method does not use it."""

import pytest
import torch
from scipy.stats import spearmanr

import xailib as xai
from xailib import engine

SLIC = {"segments": 10, "samples": 24}
OPTIONS = {
    "integrated_gradients": {"steps": 5},
    "shap": {"samples": 5},
    "kernel_shap": SLIC,
    "lime": SLIC,
    "rise": {"masks": 200},
    "extremal_perturbation": {"steps": 40, "step": 22.0, "sigma": 67.0, "lr": 0.05},
    "meaningful_perturbation": {"steps": 40, "mask_size": 56.0},
    "occlusion": {"window": 64.0, "stride": 56.0},
    "feature_ablation": {"segments": 10},
    "shapley_value_sampling": {"segments": 10, "samples": 2},
    "smoothgrad": {"samples": 3},
    "ss_cam": {"samples": 2},
    "is_cam": {"samples": 2},
}
EXACT = (
    "gradient",
    "integrated_gradients",
    "shap",
    "guided_backprop",
    "extremal_perturbation",
    "meaningful_perturbation",
    *("input_x_gradient", "smoothgrad", "deeplift", "deeplift_shap", "lrp", "deconvolution"),
    *("occlusion", "feature_ablation", "shapley_value_sampling"),
    *("layer_cam", "xgradcam", "score_cam", "ss_cam", "is_cam"),
)


@pytest.mark.parametrize("name", xai.list_methods())
def test_bf16_ranks_the_pixels_alike(name, cnn, pixels, targets):
    """Ranks within each image, over the values that matter to a metric."""
    options = OPTIONS.get(name, {})
    exact = xai.attribute(name, cnn, pixels, targets, **options)
    with engine.using() as run:
        coarse = xai.attribute(name, cnn, pixels, targets, precision="bf16", **options)
    for one, other in zip(exact, coarse, strict=True):
        assert spearmanr(one.flatten(), other.flatten()).statistic >= 0.99
    if name in EXACT:
        assert torch.equal(exact, coarse) and run.cost.forward_bf16 == 0 < run.cost.forward
    elif run.cost.forward:
        assert run.cost.forward_bf16 > 0
