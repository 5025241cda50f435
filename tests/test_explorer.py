"""The panel of explore.ipynb: one click gives a map, two curves and scores, and leaves no figure open."""

import time
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest

import xailib as xai
from xailib.explorer import explain_one, explorer, study_images


@pytest.fixture(scope="module")
def study() -> dict:
    return xai.load_study("pictograms")


def test_one_image_gets_a_map_two_curves_and_scores(study: dict) -> None:
    images, maps, curves, table = explain_one(study, "mini_resnet_vanilla", "gradcam", 3)
    assert len(images) == 1 and maps.shape == (1, 64, 64)
    assert sorted(curves) == ["Deletion", "Insertion"] and all(len(line) == 29 for line in curves.values())
    assert len(table) == 7 and table["value"].notna().all()
    alone = xai.attribute("gradcam", xai.load_model("mini_resnet_vanilla"), images.pixels, images.labels)
    assert (maps - alone).abs().max() < 1e-6


def test_panel_lists_the_study_and_answers_a_choice(study: dict) -> None:
    panel = explorer("pictograms", method="gradient")
    network, method, image = panel.children[0].children
    assert len(network.options) == 12 and image.max == study["limit"] - 1
    assert sorted(dict(method.options).values()) == sorted(study["methods"])
    method.value = "cam"
    network.value = "mini_alexnet_vanilla"  # an impossible pair is answered by a sentence, not a traceback
    began = time.perf_counter()
    method.value = "random"
    assert time.perf_counter() - began < 60


def test_panel_names_a_second_setting_by_its_record(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(
        "study: mine\ndataset: pictograms\nlimit: 1\nmodels: mini_resnet_vanilla\n"
        "methods: [random, integrated_gradients, integrated_gradients_abs]\nmetrics: all\n"
    )
    _, method, _ = explorer(str(file), method="random").children[0].children
    assert dict(method.options) == {
        "IG": "integrated_gradients",
        "IG (abs)": "integrated_gradients_abs",
        "Random": "random",
    }


def test_a_second_setting_is_explained_with_its_options(study: dict) -> None:
    signed, absolute = (
        explain_one(study, "mini_resnet_vanilla", name, 0, scale="smoke")[1]
        for name in ("integrated_gradients", "integrated_gradients_abs")
    )
    assert (signed < 0).any() and (absolute >= signed.abs() - 1e-6).all()


def test_images_come_in_the_networks_size_and_a_study_may_take_all() -> None:
    for name in ("foolbox", "ndf"):
        try:
            distribution(name)
        except PackageNotFoundError:
            pytest.skip("needs the extra 'photos'")
    photos = xai.load_study("photos")
    assert photos["limit"] is None
    assert study_images(photos, "squeezenet1_1").pixels.shape == (20, 3, 227, 227)
    network, method, image = explorer("photos", model="squeezenet1_1", method="random").children[0].children
    assert image.max == 19 and len(network.options) == 2 and len(method.options) == len(photos["methods"])
