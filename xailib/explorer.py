"""The interactive panel of `explore.ipynb`: pick a network, an image and a method; see the map and its four scores."""

import dataclasses
import functools
from typing import Any

import pandas as pd
from torch import Tensor

import xailib as xai
from xailib import params
from xailib.classes import UNKNOWN
from xailib.images import ImageBatch
from xailib.models.model import Model
from xailib.slices import image_source

THRESHOLD = 0.5  # localisation of a single image cannot be tuned on others: half of the maximum


@functools.lru_cache(maxsize=4)
def _model(id: str) -> Model:
    return xai.load_model(id)


@functools.lru_cache(maxsize=2)
def _images(dataset: str, limit: int | None, source: tuple[tuple[str, Any], ...]) -> ImageBatch:
    return xai.load_images(dataset, limit=limit, **dict(source))


def study_images(study: dict[str, Any], model: str) -> ImageBatch:
    """Return the images of a study as a network takes them."""
    record = params.load_params("datasets", study["dataset"])
    function = record.get("dataset_function", study["dataset"])
    given = {"split": study["split"], "seed": study["seed"], "root": study["root"], **record["dataset_options"]}
    source = image_source(function, _model(model), record["dataset_classes"], **given)
    lists = {key: tuple(value) for key, value in source.items() if isinstance(value, list)}
    return _images(function, study["limit"], tuple((source | lists).items()))


def explain_one(
    study: dict[str, Any], model: str, method: str, index: int, scale: str = "small", seed: int = 0
) -> tuple[ImageBatch, Tensor, dict[str, Any], pd.DataFrame]:
    """Explain and score one image of a study.

    Returns:
        the image, its map `(1, h, w)`, the deletion and insertion curves by label, and a table of the four scores.
    """
    classifier = _model(model)
    images = study_images(study, model).select([index])
    if (images.labels == UNKNOWN).all():
        images = dataclasses.replace(images, labels=classifier(images.pixels).argmax(1).cpu())
    record = params.load_params("methods", method)
    function = record.get("method_function") or method
    options = params.options(record, "methods", scale)
    maps = xai.attribute(function, classifier, images.pixels, images.labels, seed=seed, **options)
    from xailib.metrics import curves

    lines = {name.capitalize(): curves(name, maps, classifier, images)[0].numpy() for name in ("deletion", "insertion")}
    return images, maps, lines, score_table(maps, classifier, images)


def score_table(maps: Tensor, model: Model, images: ImageBatch) -> pd.DataFrame:
    """Return one row a metric: its value, its range and which direction is better."""
    from xailib.registry import metric

    options = {"localisation": {"threshold": THRESHOLD}}
    rows = []
    for name in xai.list_metrics():
        entry = metric.get(name)
        value = xai.evaluate(name, maps, model, images, **options.get(name, {}))["value"].iloc[0]
        arrow = "\u2191" if entry.better == "higher" else "\u2193"
        rows.append({"metric": f"{entry.label} {arrow}", "value": value, "range": "{} to {}".format(*entry.range)})
    return pd.DataFrame(rows).set_index("metric")


def explorer(study: str = "pictograms", *, model: str | None = None, method: str = "gradcam") -> Any:
    """Return the panel: drop-down lists for network and method, a slider for the image, and what they give."""
    import ipywidgets as widgets
    import matplotlib.pyplot as plt
    from IPython.display import display

    from xailib import plots
    from xailib.analysis import frames

    chosen = xai.load_study(study)
    labels = {params.load_params("models", id)["label"]: id for id in chosen["models"]}
    names = {label: id for id, label in frames.distinct(frames.method_facts(chosen["methods"]))["label"].items()}
    first = model or next(iter(labels.values()))
    last = (chosen["limit"] or len(study_images(chosen, first))) - 1
    pick_model = widgets.Dropdown(options=labels, value=first, description="Network")
    pick_method = widgets.Dropdown(options=names, value=method, description="Method")
    pick_image = widgets.IntSlider(0, 0, last, description="Image", continuous_update=False)
    output = widgets.Output()

    def show(_: Any = None) -> None:
        with output:
            output.clear_output(wait=True)
            try:
                images, maps, lines, table = explain_one(chosen, pick_model.value, pick_method.value, pick_image.value)
            except xai.InputError as error:
                print(error)
                return
            says = _model(pick_model.value)(images.pixels).softmax(1)[0]
            kinds = _model(pick_model.value).class_names
            title = f"{kinds[int(images.labels[0])]}: the network says {kinds[int(says.argmax())]} ({float(says.max()):.0%})"
            display(plots.overlay(images.pixels[0], maps[0], title))
            steps = len(next(iter(lines.values()))) - 1
            display(plots.curves([i / steps for i in range(steps + 1)], lines))
            display(table.style.format({"value": "{:.3f}"}))
            plt.close("all")

    for widget in (pick_model, pick_method, pick_image):
        widget.observe(show, names="value")
    show()
    return widgets.VBox([widgets.HBox([pick_model, pick_method, pick_image]), output])
