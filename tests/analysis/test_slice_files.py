"""What slices keep: mean curves, agreement of maps, costs."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
import synthetic
import torch

from xailib import results
from xailib.analysis import slice_files


@pytest.fixture
def kept(tmp_path):
    """A study of two networks and three methods in its folder."""
    study = synthetic.only(
        synthetic.study(images=4, architectures=("mini_resnet",)), ["mini_resnet_vanilla", "mini_resnet_robust"]
    )
    methods = ["gradient", "rise", "random"]
    rows = study.scores[study.scores["method"].isin(methods)].reset_index(drop=True)
    study = dataclasses.replace(study, scores=rows, methods=study.methods.loc[methods])
    return study, synthetic.write(study, tmp_path / "made_up")


def test_mean_curves_average_networks_then_images(kept) -> None:
    study, folder = kept
    for height, model in ((0.2, "mini_resnet_vanilla"), (0.6, "mini_resnet_robust")):
        curve = torch.full((4, 5), height) + torch.tensor([0.0, 0.1, 0.2, 0.3])[:, None]
        ids = study.images[::-1] if height == 0.6 else study.images
        curve = curve.flip(0) if height == 0.6 else curve
        results.write_curves(folder / model / "rise" / "curves.npz", {"deletion": curve}, ids)
    found = slice_files.mean_curves(study, folder)
    assert set(found["method"]) == {"rise"} and set(found["metric"]) == {"deletion"} and len(found) == 5
    np.testing.assert_allclose(found["mean"], 0.55, atol=1e-3)
    half = 1.96 * np.std([0.0, 0.1, 0.2, 0.3], ddof=1) / 2
    np.testing.assert_allclose(found["high"] - found["mean"], half, atol=1e-3)
    assert found["fraction"].tolist() == [0, 0.25, 0.5, 0.75, 1] and (found["networks"] == 2).all()
    chosen = dataclasses.replace(study, scores=study.scores[study.scores["image"] == study.images[3]])
    np.testing.assert_allclose(slice_files.mean_curves(chosen, folder)["mean"], 0.7, atol=1e-3)


def test_results_without_curves_have_none(kept) -> None:
    assert slice_files.mean_curves(*kept).empty


def test_maps_agree_by_the_order_of_their_pixels(kept) -> None:
    study, folder = kept
    maps = torch.rand(4, 8, 8, generator=torch.Generator().manual_seed(1))
    for method, stack in (("gradient", maps), ("rise", -maps.exp()), ("random", torch.zeros(4, 8, 8))):
        results.write_maps(
            folder / "mini_resnet_vanilla" / method / "maps.npz", stack, study.images, torch.zeros(4, dtype=torch.long)
        )
        (folder / "mini_resnet_robust" / method / "maps.npz").unlink()
    found = slice_files.agreement(study, folder).set_index(["first", "second"])["rho"]
    assert found["Gradient", "RISE"] == pytest.approx(-1) and found["RISE", "RISE"] == pytest.approx(1)
    assert np.isnan(found["RISE", "Random"]), "a constant map has no ranks"
    assert slice_files.agreement(study, folder)["networks"].max() == 1


def test_costs_are_a_map_each_and_left_out_where_no_record_says(kept) -> None:
    study, folder = kept
    record = {
        "parameters": {"limit": 50, "reliability_images": 2},  # of the four images that there are
        "passes": {"forward": 1920, "backward": 0},
        "seconds": 3,
    }
    results.write_json(folder / "mini_resnet_vanilla" / "rise" / "attribute.json", record)
    results.write_json(folder / "mini_resnet_vanilla" / "random" / "attribute.json", {"passes": None})
    pd.testing.assert_frame_equal(
        slice_files.costs(study, folder),
        pd.DataFrame(
            {"method": ["rise"], "label": ["RISE"], "family": ["perturbation"], "passes": [320.0], "seconds": [0.5]}
        ),
    )


def test_what_an_excluded_pair_left_behind_is_not_read(kept) -> None:
    """Its slices ran once, perhaps on other images or weights; then the study came to exclude it."""
    study, folder = kept
    maps = torch.rand(4, 8, 8, generator=torch.Generator().manual_seed(1))
    for model in study.models.index:
        for method in study.methods.index:
            place, classes = folder / model / method, torch.zeros(4, dtype=torch.long)
            results.write_maps(place / "maps.npz", maps, study.images, classes)
            results.write_curves(place / "curves.npz", {"deletion": torch.rand(4, 5)}, study.images)
            slow = 100.0 if (model, method) == ("mini_resnet_robust", "rise") else 1.0
            passes = {"forward": 4, "backward": 0}
            results.write_json(place / "attribute.json", {"passes": passes, "seconds": slow, "parameters": {}})
    gone = (study.scores["model"] == "mini_resnet_robust") & (study.scores["method"] == "rise")
    study = dataclasses.replace(study, scores=study.scores[~gone])
    assert slice_files.costs(study, folder)["seconds"].eq(0.25).all()
    curves = slice_files.mean_curves(study, folder).groupby("method")["networks"].max()
    assert curves.to_dict() == {"gradient": 2, "rise": 1, "random": 2}
    networks = slice_files.agreement(study, folder).set_index(["first", "second"])["networks"]
    assert (networks["RISE", "RISE"], networks["Gradient", "Gradient"]) == (1, 2)
