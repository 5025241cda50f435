"""The interactive panel: pick an image and a method, of a study's networks or your own; see the map and its scores."""

import functools
from collections.abc import Callable
from typing import Any

import pandas as pd

import xailib as xai
from xailib import params, registry
from xailib.attribution import lacking
from xailib.images import ImageBatch
from xailib.maps import Maps
from xailib.models.model import Model
from xailib.targets import as_images
from xailib.workflow.notebooks import image_source

Answer = tuple[Model, ImageBatch, Maps, dict[str, Any], pd.DataFrame]

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
) -> tuple[ImageBatch, Maps, dict[str, Any], pd.DataFrame]:
    """Explain and score one image of a study.

    Returns:
        the image, its map `(1, h, w)`, the deletion and insertion curves by label, and a table of the scores.
    """
    images = study_images(study, model).select([index])
    record = params.load_params("methods", method)
    function = record.get("method_function") or method
    options = params.options(record, "methods", scale)
    target = "label" if images.has_labels else "predicted"
    return images, *explained(_model(model), images, function, targets=target, seed=seed, **options)


def explained(
    model: Model, images: ImageBatch, method: str, **options: Any
) -> tuple[Maps, dict[str, Any], pd.DataFrame]:
    """Explain and score one image: its map, the curves by label, and a table of the scores; options of `attribute`."""
    from xailib.metrics import curves

    maps = xai.attribute(method, model, images, **options)
    lines = {name.capitalize(): curves(name, maps, model, images)[0].numpy() for name in ("deletion", "insertion")}
    return maps, lines, score_table(maps, model, images)


def score_table(maps: Maps, model: Model, images: ImageBatch) -> pd.DataFrame:
    """Return one row a metric: its value, its range and which direction is better."""
    from xailib.registry import metric

    options = {"localisation": {"threshold": THRESHOLD}}
    rows = []
    extra = set(params.ids("metrics")) - set(params.resolve("metrics", "all"))
    for name, entry in metric.entries.items():
        if entry.explains or name in extra:  # too slow for a panel
            continue
        value = xai.evaluate(name, maps, model, images, **options.get(name, {}))["value"].iloc[0]
        arrow = "\u2191" if entry.better == "higher" else "\u2193"
        rows.append({"metric": f"{entry.label} {arrow}", "value": value, "range": "{} to {}".format(*entry.range)})
    return pd.DataFrame(rows).set_index("metric")


def explorer(study: str = "pictograms", *, model: str | None = None, method: str = "gradcam") -> Any:
    """Return the panel: drop-down lists for network and method, a slider for the image, and what they give."""
    from xailib.analysis import frames

    chosen = xai.load_study(study)
    networks = {params.load_params("models", id)["label"]: id for id in chosen["models"]}
    methods = {label: id for id, label in frames.distinct(frames.method_facts(chosen["methods"]))["label"].items()}
    first = model or next(iter(networks.values()))
    count = chosen["limit"] or len(study_images(chosen, first))

    def answer(model: str, method: str, index: int) -> Answer:
        return _model(model), *explain_one(chosen, model, method, index)

    return _panel({"Network": (networks, first), "Method": (methods, method)}, count, answer)


def explore(model: Model, images: Any, *, method: str = "gradcam", scale: str = "small") -> Any:
    """Return the panel over your own network and images: pick a method and an image; the predicted class is explained.

    Args:
        model: any network, from `wrap` or `load_model`.
        images: in any form that `attribute` takes.
        method: the first to be shown; where the network lacks what it needs, the first that is possible.
        scale: the counts that each method's file names so, such as fewer masks for a quick look; or full.
    """
    images, first = as_images(images, model), registry.method.get(method).name
    methods = {registry.method.get(id).label: id for id in xai.list_methods() if not lacking(id, model)}
    first = first if first in methods.values() else next(iter(methods.values()))

    def answer(method: str, index: int) -> Answer:
        one = images.select([index])
        record = params.load_params("methods", method) if method in params.ids("methods") else None
        options = params.options(record, "methods", scale) if record else {}
        return model, one, *explained(model, one, method, **options)

    return _panel({"Method": (methods, first)}, len(images), answer)


def _panel(lists: dict[str, tuple[dict[str, str], str]], images: int, answer: Callable[..., Answer]) -> Any:
    """Return drop-down lists, a slider over images, and below what is answered whenever one of them changes.

    Args:
        lists: head -> ({label: id}, the id that is chosen first).
        images: how many there are.
        answer: is given the id chosen in each list, and the position of the image.
    """
    import ipywidgets as widgets

    choices = [widgets.Dropdown(options=ids, value=first, description=head) for head, (ids, first) in lists.items()]
    choices += [widgets.IntSlider(0, 0, images - 1, description="Image", continuous_update=False)]
    output = widgets.Output()

    def react(_: Any = None) -> None:
        with output:
            output.clear_output(wait=True)
            try:
                _display(*answer(*(widget.value for widget in choices)))
            except xai.InputError as error:
                print(error)

    for widget in choices:
        widget.observe(react, names="value")
    react()
    return widgets.VBox([widgets.HBox(choices), output])


def _display(model: Model, images: ImageBatch, maps: Maps, lines: dict[str, Any], table: pd.DataFrame) -> None:
    from IPython.display import display

    from xailib import plots

    says = model(images.pixels.to(model.device)).softmax(1)[0]
    title = f"The network says {model.class_names[int(says.argmax())]} ({float(says.max()):.0%})"
    if images.has_labels and images.class_names:
        title += f", the label {images.class_names[int(images.labels[0])]}"
    display(plots.overlay(images.pixels[0], maps[0], title))
    steps = len(next(iter(lines.values()))) - 1
    display(plots.curves([i / steps for i in range(steps + 1)], lines))
    display(table.style.format({"value": "{:.3f}"}, na_rep="no box"))
