"""What the gallery shows: which networks, which images, which maps."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from xailib.analysis import scores
from xailib.analysis.facts import many
from xailib.analysis.frames import Frames, correct_by_all
from xailib.errors import InputError, nearest
from xailib.images import ImageBatch
from xailib.plots.maps import Grid
from xailib.results import find_folder, read_maps


def alt(grid: Grid) -> str:
    """Say in words what a figure of pictures shows."""
    if not grid.rows:
        return grid.caption
    images = ", ".join(grid.table["image"].unique()) if len(grid.table) else "none"
    rows = ", ".join(dict.fromkeys(" ".join(label.split()) for label, _ in grid.rows))
    return f"Maps in a grid. Rows: {rows}. Columns: {', '.join(grid.titles)}. Images: {images}."


def explained_images(
    frames: Frames,
    dataset: str,
    *,
    split: str | None,
    seed: int,
    root: str | None = None,
    most: int = 64,
) -> ImageBatch:
    """Load the first `most` images of a study that have scores, in the order of its slices.

    Raises:
        InputError: the study's maps belong to other images than these.
    """
    from xailib.datasets import load_images
    from xailib.params import load_params, place

    record = load_params("datasets", dataset)
    source = {"split": split, "seed": seed, "root": root and place(root), **record["dataset_options"]}
    # The networks have answered on all images up to the last that has scores, in the data set's order.
    asked = frames.predictions.loc[frames.predictions["subset"] == "maps", "image"].unique().tolist()
    names = [name for name in frames.images if name in asked][:most]
    images = load_images(record.get("dataset_function", dataset), at=[asked.index(name) for name in names], **source)
    other = next((name for name in images.ids if name not in names), None)
    if other:
        raise InputError(f"{dataset}: image '{other}' has no scores; give the split and seed that the study ran with")
    return images


def teaser(
    frames: Frames, results_dir: str | Path, images: ImageBatch, architecture: str = "", image: str = ""
) -> Grid:
    """One image on up to four networks of one architecture, trained differently where there are such: the first to the last.

    Args:
        architecture: whose networks; empty for the ResNet, else the architecture with most networks (with one network
            each, the study's first four).
        image: its id; empty for the first that every network classifies correctly.
    """
    several = frames.models.loc[chosen_networks(frames, architecture)]
    models = list(several.index[:4])
    if "recipe" in several and several["architecture"].nunique() == 1:  # seeds of one recipe come last
        again = several["recipe"].duplicated()
        spread = np.linspace(0, (~again).sum() - 1, min(4, (~again).sum())).round().astype(int)
        models = [*several.index[~again][spread], *several.index[again]][:4]
    name = image or _right(frames, images)[0]
    if name not in images.ids:
        raise InputError(f"image: no image '{name}' in this study{nearest(name, images.ids)}")
    caption = f"One image, every method, {many(len(models), 'network')}"
    return _grid(frames, results_dir, images, models, [name], caption)


def pair(
    frames: Frames, results_dir: str | Path, images: ImageBatch, architecture: str = "", count: int = 4, seed: int = 0
) -> Grid:
    """Several images, each on a vanilla network and its robust twin (or on the study's first networks, two at most).

    The images are drawn among those that every network classifies correctly.
    """
    twins: dict[str, list[str]] = {}
    for name, robust, vanilla in scores.twins(frames):
        twins.setdefault(name, [vanilla, robust])  # the first of several seeds, of both
    asked = [name for name in twins if name == architecture or (not architecture and "resnet" in name)]
    models = next((twins[name] for name in [*asked, *twins]), list(frames.models.index[:2]))
    right = _right(frames, images)
    names = [right[i] for i in sorted(np.random.default_rng(seed).permutation(len(right))[:count])]
    caption = f"{' and '.join(frames.models.loc[models, 'label'])} on {many(len(names), 'image')}"
    return _grid(frames, results_dir, images, models, names, caption)


def extremes(
    frames: Frames, results_dir: str | Path, images: ImageBatch, count: int = 2, architecture: str = ""
) -> Grid:
    """The images whose maps score best and worst, on the first of `chosen_networks`; among those that all get right.

    An image's score is the mean over methods and metrics on one scale (0 the worst, 1 the best possible).
    """
    right, model = _right(frames, images), chosen_networks(frames, architecture)[0]
    data = scores.goodness(scores.cube(frames).at(model=[model]), frames).mean("model", "method", "metric")
    found = (
        pd.Series(data.values, data.axes["image"]).reindex(right).dropna().sort_values(ascending=False, kind="stable")
    )
    count = min(count, len(found) // 2)
    names = [*found.index[:count], *found.index[len(found) - count :]]
    caption = f"{frames.models.loc[model, 'label']}: the {count} best and {count} worst of {len(found)} images"
    if not count:
        return Grid(
            [], [], "Too few images with scores for best and worst cases: at least two are needed.", pd.DataFrame()
        )
    grid = _grid(frames, results_dir, images, [model], names, caption)
    words = ["best"] * count + ["worst"] * count
    labels = [f"{word}\n{found[name]:.2f}" for word, name in zip(words, names, strict=True)]
    rows = [(label, pictures) for label, (_, pictures) in zip(labels, grid.rows, strict=False)]
    return replace(grid, rows=rows)


def chosen_networks(frames: Frames, architecture: str = "") -> list[str]:
    """Return the networks to compare: of one architecture, or the study's first when each architecture has only one."""
    counts = frames.models["architecture"].value_counts(sort=False)
    if architecture and architecture not in counts:
        raise InputError(
            f"architecture: no network of '{architecture}' in this study{nearest(architecture, counts.index)}"
        )
    if not architecture:
        if counts.max() == 1:
            return list(frames.models.index)
        resnets = [name for name in counts.index if "resnet" in name and counts[name] > 1]
        architecture = resnets[0] if resnets else counts.idxmax()
    return list(frames.models.index[frames.models["architecture"] == architecture])


def _right(frames: Frames, images: ImageBatch) -> list[str]:
    """The images that every network classifies correctly; all of them when there are none."""
    return [name for name in correct_by_all(frames) if name in images.ids] or images.ids


def _grid(
    frames: Frames, results_dir: str | Path, images: ImageBatch, models: list[str], names: list[str], caption: str
) -> Grid:
    """Read the maps of every method but the controls: a row an (image, network)."""
    methods = frames.methods.loc[frames.methods["family"] != "control", "label"]
    paths = frames.kept(find_folder(results_dir), "maps.npz")
    maps = {key: read_maps(path) for key, path in paths.items() if key[0] in models and key[1] in methods.index}
    signed = {method for (_, method), record in maps.items() if (record["maps"] < 0).any()}
    rows, table = [], []
    for name in names:
        for model in models:
            pictures: list[Any] = [images.pixels[images.ids.index(name)].numpy()]
            for method in methods.index:
                record = maps.get((model, method), {"ids": []})
                found = record["maps"][record["ids"].index(name)].numpy() if name in record["ids"] else None
                pictures.append(found)
                if found is not None:
                    facts = {"row": len(rows), "model": model, "image": name, "method": method}
                    table.append({**facts, "signed": method in signed, "low": found.min(), "high": found.max()})
            rows.append((frames.models.loc[model, "label"], pictures))
    if methods.empty:
        rows, caption = [], "This study has no method beside the controls: no maps to show."
    return Grid(rows, ["Image", *methods], caption, pd.DataFrame(table), set(methods.loc[list(signed)]))
