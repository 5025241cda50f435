"""`evaluate`: what it refuses, what it returns, and what the registry says of every metric."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

import xailib as xai
from xailib.errors import InputError
from xailib.metrics import curves
from xailib.registry import metric as metrics

PARAMS = Path(__file__).parents[2] / "params" / "metrics"
RELEVANCE = ["relevance_mass", "relevance_rank", "average_precision"]
NAMES = ["pointing_game", "localisation", "deletion", "insertion", *RELEVANCE]


def test_the_metrics_and_their_facts():
    assert [name for name in xai.list_metrics() if name in [*NAMES, "sanity"]] == [*NAMES, "sanity"]
    assert xai.list_metrics("del*") == ["deletion"]
    assert [name for name in NAMES if metrics.get(name).better == "lower"] == ["deletion"]
    facts = [metrics.get(name) for name in NAMES]
    assert all(fact.range == (0, 1) and fact.paper and fact.nan and fact.label for fact in facts)


@pytest.mark.parametrize("name", NAMES)
def test_a_tidy_frame_with_the_declared_columns(name, small_model, small_images, small_maps):
    frame = xai.evaluate(name, small_maps, small_model, small_images)
    assert list(frame.columns) == ["image", "metric", "value", *metrics.get(name).columns]
    assert frame["image"].tolist() == small_images.ids and (frame["metric"] == name).all()
    assert frame["value"].between(0, 1).all()
    for kind in (small_maps.double(), small_maps.numpy(), small_maps.clone().requires_grad_()):
        assert xai.evaluate(name, kind, small_model, small_images).equals(frame)


def test_the_curves_behind_areas_are_kept_on_request(small_model, small_images, small_maps):
    kept, names = {}, ["deletion", "pointing_game", "insertion"]
    frame = xai.evaluate(names, small_maps, small_model, small_images, keep_curves=kept)
    assert list(kept) == ["deletion", "insertion"] and frame.attrs == {}
    for name, curve in kept.items():
        assert torch.equal(curve.double(), curves(name, small_maps, small_model, small_images))
    assert frame.equals(xai.evaluate(names, small_maps, small_model, small_images))


@pytest.mark.parametrize("name", NAMES)
def test_the_order_of_the_images_does_not_matter(name, small_model, small_images, small_maps):
    order = [3, 0, 6, 5, 1, 4, 2]
    frame = xai.evaluate(name, small_maps, small_model, small_images).set_index("image")
    turned = xai.evaluate(name, small_maps[order], small_model, small_images.select(order)).set_index("image")
    turned, frame = (table.drop(columns="metric") for table in (turned.loc[frame.index], frame))
    assert np.allclose(turned, frame, atol=1e-6, equal_nan=True)


@pytest.mark.parametrize("name", NAMES)
def test_true_masks_beat_random_maps(name, batch, evidence):
    """Each metric in its own direction, on images whose evidence is where the object is."""
    side, box = 32, [4.0, 12.0, 14.0, 28.0]
    inside = torch.zeros(side, side)
    inside[12:28, 4:14] = 1
    model, images = evidence(inside / inside.sum()), batch(torch.ones(8, 3, side, side), [[box]] * 8)
    random = torch.rand(8, side, side, generator=torch.Generator().manual_seed(0))
    true = inside.expand(8, -1, -1)
    scores = [xai.evaluate(name, maps, model, images)["value"].mean() for maps in (true, random, 1 - true)]
    scores = scores if metrics.get(name).better == "higher" else [-score for score in scores]
    assert scores[0] > scores[1] >= scores[2]


@pytest.mark.parametrize("name", NAMES)
def test_parameter_files_name_options_that_exist(name, small_model, small_images, small_maps):
    values = yaml.safe_load((PARAMS / f"{name}.yaml").read_text())
    assert values["metric"] == name
    default = xai.evaluate(name, small_maps, small_model, small_images)
    assert xai.evaluate(name, small_maps, small_model, small_images, **values["metric_options"]).equals(default)
    for options in values.get("metric_scales", {}).values():
        xai.evaluate(name, small_maps, small_model, small_images, **{**values["metric_options"], **options})


def test_what_is_refused(small_model, small_images, small_maps):
    def refused(message, name="deletion", maps=small_maps, images=small_images):
        with pytest.raises(InputError, match=message):
            xai.evaluate(name, maps, small_model, images)

    refused("unknown metric 'delection'; did you mean 'deletion'", name="delection")
    refused(r"shape \(7, 8, 16\) does not fit the images; use \(7, 16, 16\)", maps=small_maps[:, :8])
    refused(r"shape \(6, 16, 16\)", maps=small_maps[:6])
    broken = small_maps.clone()
    broken[2, 0, 0], broken[5, 0, 0] = torch.nan, torch.inf
    refused("2 of 7 hold NaN or infinity .first: image 'image 2'", maps=broken)
    refused("'image 0' occurs more than once", maps=small_maps[:2], images=small_images.select([0, 0]))
    refused("the batch is empty", maps=small_maps[:0], images=small_images.select([]))
    labels = small_images.labels.clone()
    labels[1] = 5
    wrong = type(small_images)(small_images.pixels, labels, small_images.boxes, small_images.masks, small_images.ids)
    refused("label 5 of 'image 1' is no class of model 'planted'; use 0 to 4", images=wrong)


def test_importing_the_metrics_is_light():
    heavy = "{'pandas', 'scipy', 'skimage', 'sklearn', 'matplotlib', 'captum', 'timm'}"
    code = f"import sys, xailib.metrics, xailib.metrics.accuracy; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=PARAMS.parents[1]
    )
    assert done.stdout.strip() == "[]"


def test_a_new_file_of_metrics_is_found_by_itself(monkeypatch, tmp_path):
    from xailib import metrics as package
    from xailib.registry import metric as registry

    (tmp_path / "brightness.py").write_text(
        "from xailib.registry import metric\n\n"
        "@metric('brightness', better='higher', range=(0, 1), label='Brightness', paper='test')\n"
        "def brightness(maps, model, images, *, share: float = 0.5):\n"
        "    import pandas as pd\n"
        "    return pd.DataFrame({'value': share * maps.mean(dim=(1, 2)).numpy()})\n"
    )
    monkeypatch.setattr(package, "__path__", [*package.__path__, str(tmp_path)])
    monkeypatch.setattr(registry, "_found", dict(registry.entries))
    monkeypatch.delitem(vars(registry), "entries")  # as before the first look
    assert "brightness" in xai.list_metrics() and registry.get("brightness").better == "higher"
    sys.modules.pop(f"{package.__name__}.brightness")


@pytest.mark.parametrize("change", ["turned", "other byte order", "tensors", "sparse"])
def test_maps_of_any_layout_are_scored_alike(change, small_model, small_images, small_maps):
    maps = torch.as_tensor(small_maps).float()
    given = {
        "turned": maps.numpy()[:, ::-1].copy()[:, ::-1],
        "other byte order": maps.numpy().astype(">f4"),
        "tensors": list(maps),
        "sparse": maps.to_sparse(),
    }[change]
    scored = xai.evaluate("deletion", given, small_model, small_images)
    assert scored.equals(xai.evaluate("deletion", maps, small_model, small_images))
