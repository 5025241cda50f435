"""Which metrics can tell here: chance, the image's centre and its edges beside every metric.

A metric by which no method is shown to be ahead of a bright spot in the image's centre, which knows nothing of the network,
is *void* for that study: it says where the objects are, not what a method finds. It carries no verdict.
"""

from functools import lru_cache

import numpy as np
import pandas as pd

from xailib.analysis import scores
from xailib.analysis.draws import FEWEST_UNITS, mean_draws, nanmean
from xailib.analysis.frames import Frames
from xailib.analysis.intervals import Contrast, Estimate, crossed, largest, over_images
from xailib.analysis.scores import Named
from xailib.analysis.table import Table

CENTRE = "centre_gaussian"
LEAST = 1 / 3  # of the images that the centre has a score on, on which a method needs one too
CONTROLS = {"chance": "random", "centre": CENTRE, "sobel": "sobel"}


def telling(frames: Frames, bootstrap: int = 2000, seed: int = 0) -> list[str]:
    """Return the metrics that have values and are not void: those that verdicts rest on.

    Extra ones (`metric_extra`) stand beside: the papers' claims do not change with what a study judges by as well. Nor do
    they rest on a metric that has values on a single one of several images, whose mean would count as known for certain.
    """
    void = {name for name, lead in leads(frames, bootstrap, seed).items() if is_void(lead)}
    own, fewest = frames.metrics.index[~frames.metrics["extra"]], 1 if len(frames.images) < 2 else 2
    return [name for name in own if name not in void and frames.scored(name) >= fewest]


def void(frames: Frames, bootstrap: int = 2000, seed: int = 0) -> list[str]:
    """Return the metrics by which no method is shown to be ahead of the centre; none where the study lacks that control."""
    return [name for name, lead in leads(frames, bootstrap, seed).items() if is_void(lead)]


def is_void(lead: Estimate) -> bool:
    """Whether the lower bound of the largest lead is at zero or below; without an interval nothing is known."""
    return lead.low <= 0


@lru_cache(maxsize=8)
def leads(frames: Frames, bootstrap: int = 2000, seed: int = 0) -> dict[str, Estimate]:
    """Return by metric the largest lead of a method over the centre, in goodness, by bounds that hold for all methods.

    Over networks and images from five networks on, else over images: about these networks only.
    """
    found = _leads(frames, bootstrap, seed)
    return {metric: largest(list(own.values()), frames.scored(metric)) for metric, own in found}


def _leads(frames: Frames, bootstrap: int, seed: int) -> list[tuple[str, dict[str, Contrast]]]:
    """The leads of the methods over the centre, by metric; metrics without any are left out.

    Image by image, on those on which both have a score. A network on which a method has one on fewer than a third of the
    centre's images counts for nothing: a mean of so few is no word on the metric.
    """
    centre = _control(frames, CENTRE)
    if centre is None or not frames.images:
        return []
    good = scores.goodness(scores.cube(frames, controls=True), frames)
    methods = list(frames.methods.index[frames.methods["family"] != "control"])
    ours, centres = good.at(method=methods), good.at(method=[centre]).values
    enough = np.isfinite(ours.values - centres).sum(axis=-1) >= np.isfinite(centres).sum(axis=-1) * LEAST
    paired = np.where(enough[..., None], ours.values - centres, np.nan)
    axes = {name: labels for name, labels in ours.axes.items() if name != "image"}
    draws = scores.over_seeds(Named(mean_draws(paired, bootstrap, seed), axes), frames)
    images = np.isfinite(paired).any(axis=0).sum(axis=-1)  # methods x metrics
    found = []
    for k, metric in enumerate(frames.metrics.index):
        own = {
            name: _lead(draws.values[..., i, k], int(images[i, k]), frames.unit)
            for i, name in enumerate(methods)
            if images[i, k]
        }
        found += [(metric, own)] if own else []
    return found


def _lead(draws: np.ndarray, images: int, unit: str) -> Contrast:
    if np.isfinite(draws[0]).sum() >= FEWEST_UNITS:
        return crossed(draws, images, unit)
    return over_images(nanmean(draws, axis=1), images)


def _control(frames: Frames, function: str) -> str | None:
    """The first method of the study that is a setting of a control."""
    return next(iter(frames.methods.index[frames.methods["function"] == function]), None)


def rows(frames: Frames, bootstrap: int = 2000, seed: int = 0) -> pd.DataFrame:
    """Return one row a metric: means of the controls and of the method that leads the centre most, its lead, and `void`.

    Columns: metric, label, better, chance, centre, sobel, best (the method's label), value (its mean), lead, low, high
    (in goodness; bounds for all methods together), void, images, networks. NaN where a control or value is missing.
    """
    observed = scores.cube(frames, controls=True)
    means = observed.mean("model", "image")
    every, found = dict(_leads(frames, bootstrap, seed)), leads(frames, bootstrap, seed)
    table = []
    for metric in frames.metrics.index:
        row = {"metric": metric, **frames.metrics.loc[metric, ["label", "better"]]}
        own = means.at(metric=[metric]).values[:, 0]
        for name, function in CONTROLS.items():
            control = _control(frames, function)
            row[name] = np.nan if control is None else own[means.axes["method"].index(control)]
        if metric in found:
            best = max(every[metric], key=lambda name: every[metric][name].value)
            row |= {"best": frames.methods.loc[best, "label"], "value": own[means.axes["method"].index(best)]}
            row |= {"lead": found[metric].value, "low": found[metric].low, "high": found[metric].high}
        row |= {"void": metric in found and is_void(found[metric])}
        table.append(row | {"images": len(frames.images), "networks": len(frames.models)})
    columns = ["metric", "label", "better", *CONTROLS, "best", "value", "lead", "low", "high"]
    return pd.DataFrame(table, columns=[*columns, "void", "images", "networks"])


def table(frames: Frames, bootstrap: int = 2000, seed: int = 0) -> Table:
    """Return `rows` for readers, with what each metric can tell in words."""
    plain = rows(frames, bootstrap, seed)
    known = plain["lead"].notna()
    bounds = plain.apply(lambda row: f" ({row['low']:+z.3f} to {row['high']:+z.3f})", axis=1)
    told = plain["lead"].map("{:+z.3f}".format) + bounds.where(plain["low"].notna(), "")
    words = plain["void"].map({True: "void", False: "can tell"}).where(plain["low"].notna(), "not tested")
    frame = pd.DataFrame(
        {
            "Chance": plain["chance"],
            "Centre": plain["centre"],
            "Sobel": plain["sobel"],
            "Furthest ahead of the centre": plain["best"].astype(object).fillna("-"),
            "its mean": plain["value"],
            "Lead over the centre (95 %, all methods)": told.where(known, "-"),
            "Here": words,
        }
    ).set_axis(plain["label"].to_numpy(), axis=0)
    caption = f"What each metric can tell here (n = {len(frames.models)} networks x {len(frames.images)} images)"
    return Table(frame.rename_axis("Metric"), caption, quiet=tuple(plain.loc[plain["void"], "label"]), plain=plain)
