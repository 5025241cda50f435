"""What the gallery shows: which networks, which images, which maps."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from xailib.analysis import scores
from xailib.analysis.frames import Frames, correct_by_all, find_folder
from xailib.errors import InputError, nearest
from xailib.images import ImageBatch
from xailib.results import read_maps


@dataclass(frozen=True)
class Row:
    """One row of the grid: an image `(3, h, w)` and maps `(h, w)` by method id, None where a method does not apply."""

    label: str
    pixels: Any
    maps: dict[str, Any]


@dataclass(frozen=True)
class MapGrid:
    """A figure of maps: `columns` maps method ids to labels, `signed` holds those with negative values."""

    rows: list[Row]
    columns: dict[str, str]
    signed: set[str]
    caption: str
    table: pd.DataFrame


def study_images(
    frames: Frames,
    dataset: str,
    *,
    split: str | None,
    limit: int | None,
    seed: int,
    root: str | None = None,
    most: int = 64,
) -> ImageBatch:
    """Load the first `most` images of a study, in the order of its slices.

    Raises:
        InputError: the study's maps belong to other images than these.
    """
    from xailib.datasets import load_images
    from xailib.params import load_params, place

    record = load_params("datasets", dataset)
    source = {"split": split, "seed": seed, "root": root and place(root), **record["dataset_options"]}
    images = load_images(record.get("dataset_function", dataset), limit=min(limit or most, most), **source)
    if set(images.ids) & set(frames.images) != set(images.ids):
        other = next(name for name in images.ids if name not in frames.images)
        raise InputError(
            f"{dataset}: image '{other}' has no scores; give the split, limit and seed that the study ran with"
        )
    return images


def teaser(
    frames: Frames, results_dir: str | Path, images: ImageBatch, architecture: str = "", image: str = ""
) -> MapGrid:
    """One image on up to four networks of one architecture.

    Args:
        architecture: whose networks; empty for the ResNet, else the architecture with most networks (with one network
            each, the study's first four).
        image: its id; empty for the first that every network classifies correctly.
    """
    models = chosen_networks(frames, architecture)[:4]
    name = image or _right(frames, images)[0]
    if name not in images.ids:
        raise InputError(f"image: no image '{name}' in this study{nearest(name, images.ids)}")
    rows = [(frames.models.loc[model, "label"], model, name) for model in models]
    return _grid(
        frames, results_dir, images, rows, f"One image, every method, {len(models)} network{'s' * (len(models) > 1)}"
    )


def pair(
    frames: Frames, results_dir: str | Path, images: ImageBatch, architecture: str = "", count: int = 4, seed: int = 0
) -> MapGrid:
    """Several images, each on a vanilla network and its robust twin (or on the study's first two networks).

    The images are drawn among those that every network classifies correctly.
    """
    twins = scores.twins(frames)
    ours = [models for name, *models in twins if name == architecture or (not architecture and "resnet" in name)] or [
        models for _, *models in twins
    ]
    models = list(reversed(ours[0])) if ours else list(frames.models.index[:2])
    right = _right(frames, images)
    chosen = np.random.default_rng(seed).permutation(len(right))[:count]
    names = [right[i] for i in sorted(chosen)]
    rows = [(frames.models.loc[model, "label"], model, name) for name in names for model in models]
    return _grid(
        frames, results_dir, images, rows, " and ".join(frames.models.loc[models, "label"]) + f" on {len(names)} images"
    )


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
    frames: Frames, results_dir: str | Path, images: ImageBatch, rows: list[tuple[str, str, str]], caption: str
) -> MapGrid:
    """Read the maps of (label, model, image) rows for every method but the controls."""
    folder = find_folder(results_dir)
    methods = frames.methods[frames.methods["family"] != "control"]
    found: dict[tuple[str, str], dict[str, Any]] = {}
    signed: set[str] = set()
    for model in dict.fromkeys(model for _, model, _ in rows):
        for method in methods.index:
            path = folder / model / method / "maps.npz"
            if path.exists():
                record = read_maps(path)
                found[model, method] = dict(zip(record["ids"], record["maps"].numpy(), strict=True))
                if (record["maps"] < 0).any():
                    signed.add(method)
    drawn = [
        Row(
            label,
            images.pixels[images.ids.index(name)].numpy(),
            {method: found.get((model, method), {}).get(name) for method in methods.index},
        )
        for label, model, name in rows
    ]
    table = pd.DataFrame(
        [
            {"row": i, "model": model, "image": name, "method": method, "signed": method in signed,
             "low": np.min(row.maps[method]), "high": np.max(row.maps[method])}
            for i, ((_, model, name), row) in enumerate(zip(rows, drawn, strict=True))
            for method in methods.index if row.maps[method] is not None
        ]
    )  # fmt: skip
    return MapGrid(drawn, dict(methods["label"]), signed, caption, table)
