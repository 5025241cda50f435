"""What slices keep beside their scores, over the whole study: curves, how alike maps are, what methods cost."""

import contextlib
import json
from itertools import combinations_with_replacement
from pathlib import Path

import numpy as np
import pandas as pd

from xailib.analysis.draws import Array, nanmean
from xailib.analysis.frames import Frames
from xailib.errors import InputError
from xailib.results import find_folder, read_curves, read_maps

MOST_IMAGES, MOST_PIXELS = 16, 64  # of each network's maps that are compared: images, and pixels a side


def mean_curves(frames: Frames, results_dir: str | Path) -> pd.DataFrame:
    """Return the mean curves of Deletion and Insertion, one row a (metric, method, point); none where none were kept.

    Networks are averaged image by image, so that the interval is over images.

    Columns: metric, metric_label, method, label, family, fraction (of the pixels changed, [0, 1]), mean, low, high (the
    target's probability with its 95 % interval over images), networks, images.
    """
    paths, rows = frames.kept(find_folder(results_dir), "curves.npz"), []
    for method, facts in frames.methods.iterrows():
        kept = []
        for path in [path for (_, own), path in paths.items() if own == method]:
            with contextlib.suppress(InputError):  # a damaged file
                kept.append(read_curves(path))
        for metric in [name for name in frames.metrics.index if any(name in one["curves"] for one in kept)]:
            stacks = [
                _rows(one["curves"][metric], one["ids"], frames.images) for one in kept if metric in one["curves"]
            ]
            values = nanmean(np.stack(stacks), 0)  # (images, points)
            mean, n = nanmean(values, 0), int(np.isfinite(values[:, 0]).sum())
            half = 1.96 * np.nanstd(values, axis=0, ddof=min(1, n - 1)) / np.sqrt(n) if n else np.nan
            fraction = np.linspace(0, 1, len(mean))
            table = pd.DataFrame({"fraction": fraction, "mean": mean, "low": mean - half, "high": mean + half})
            told = {"metric": metric, "metric_label": frames.metrics.loc[metric, "label"], "method": method}
            told |= {"label": facts["label"], "family": facts["family"], "networks": len(stacks), "images": n}
            rows.append(table.assign(**told))
    return pd.concat(rows, ignore_index=True) if rows else pd.DataFrame()


def agreement(frames: Frames, results_dir: str | Path) -> pd.DataFrame:
    """Return how alike the maps of every two methods are: Spearman's rho over pixels, mean over images and networks.

    Of each network the first `MOST_IMAGES` images, their maps thinned to `MOST_PIXELS` a side. Constant maps have no ranks.

    Columns: first, second (labels; every pair once, and each method with itself), rho, networks.
    """
    paths, methods = frames.kept(find_folder(results_dir), "maps.npz"), list(frames.methods.index)
    images, found = frames.images[:MOST_IMAGES], []
    for model in frames.models.index:
        ranks = [_ranks(paths.get((model, method)), images) for method in methods]
        known = next((stack.shape for stack in ranks if stack is not None), None)
        if known is None:
            continue
        stack = np.stack([np.full(known, np.nan) if one is None else one for one in ranks])  # (methods, images, pixels)
        found.append(np.einsum("aip,bip->abi", stack, stack))
    pairs = combinations_with_replacement(range(len(methods)), 2)
    label, rows = frames.methods["label"], []
    for i, j in pairs if found else ():
        values = np.array([nanmean(matrix[i, j], 0) for matrix in found])
        own = {"first": label[methods[i]], "second": label[methods[j]], "rho": nanmean(values, 0)}
        rows.append(own | {"networks": int(np.isfinite(values).sum()), "images": len(images)})
    return pd.DataFrame(rows, columns=["first", "second", "rho", "networks", "images"])


def costs(frames: Frames, results_dir: str | Path) -> pd.DataFrame:
    """Return what one map costs by each method, mean over networks: passes and seconds; none where no record says it.

    Columns: method, label, family, passes (images through the network, forward and back, for one map), seconds.
    """
    paths, rows = frames.kept(find_folder(results_dir), "attribute.json"), []
    for (_, method), path in sorted(paths.items(), key=lambda one: list(frames.methods.index).index(one[0][1])):
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):  # no maps, or a record of another version
            record = json.loads(path.read_text(encoding="utf-8"))
            passes, repeated = record["passes"], record["parameters"].get("reliability_images")
            with np.load(path.with_name("maps.npz")) as stored:  # its ids alone: maps may be large
                maps = len(stored["ids"]) + int(repeated or 0)
            own = {"passes": (passes["forward"] + passes["backward"]) / maps, "seconds": record["seconds"] / maps}
            rows.append({"method": method, **frames.methods.loc[method, ["label", "family"]], **own})
    names = ["method", "label", "family"]
    table = pd.DataFrame(rows, columns=[*names, "passes", "seconds"])
    return table.groupby(names, sort=False, as_index=False).mean()


def _rows(curves: Array, ids: list[str], images: list[str]) -> Array:
    """The curves of these images in their order, NaN for those that have none."""
    places = {name: i for i, name in enumerate(ids)}
    lost = np.full(curves.shape[1], np.nan)
    return np.stack([curves[places[name]] if name in places else lost for name in images])


def _ranks(path: Path | None, images: list[str]) -> Array | None:
    """Ranks of the pixels of each image's map `(images, pixels)`, centred and of length 1; None without maps of them all."""
    from scipy.stats import rankdata

    if path is None:
        return None
    try:
        found = read_maps(path)
    except InputError:
        return None
    places = {name: i for i, name in enumerate(found["ids"])}
    if not set(images) <= set(places) or not images:
        return None
    maps = found["maps"][[places[name] for name in images]].numpy()
    step = -(-max(maps.shape[1:]) // MOST_PIXELS)
    rank = rankdata(maps[:, ::step, ::step].reshape(len(maps), -1), axis=1)
    rank -= rank.mean(axis=1, keepdims=True)
    length = np.linalg.norm(rank, axis=1, keepdims=True)
    return rank / np.where(length > 0, length, np.nan)
