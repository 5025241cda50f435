"""Scores as arrays whose axes have names, the draws of their means, and which network is whose twin."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pandas as pd

from xailib.analysis.draws import IMAGES, Array, groups, mean_draws, nanmean
from xailib.analysis.frames import Frames
from xailib.analysis.intervals import beside, multipliers, quantile

AXES = ("model", "method", "metric", "image")


@dataclass(frozen=True, eq=False)
class Named:
    """Numbers whose axes have names, with NaN where there is none; an axis of draws, if any, comes before the others.

    Attributes:
        values: `(*axes)`, or `(1 + copies, *axes)`.
        axes: name -> labels, in the order of the axes.
    """

    values: Array
    axes: dict[str, list[str]]

    def place(self, name: str) -> int:
        """Return the position of an axis, counted from the last (-1), so that it holds with and without draws."""
        return list(self.axes).index(name) - len(self.axes)

    def at(self, **chosen: Sequence[str]) -> "Named":
        """Take some labels of an axis, in their order: `means.at(metric=["deletion"])`."""
        values = self.values
        for name, labels in chosen.items():
            places = np.array([self.axes[name].index(label) for label in labels], int)
            values = values.take(places, axis=self.place(name))
        return Named(values, self.axes | {name: list(labels) for name, labels in chosen.items()})

    def mean(self, *names: str) -> "Named":
        """Average over some axes; NaN values are left out."""
        axes = {name: labels for name, labels in self.axes.items() if name not in names}
        return Named(nanmean(self.values, tuple(self.place(name) for name in names)), axes)


def cube(frames: Frames, column: str = "value", controls: bool = False) -> Named:
    """Arrange one column of the scores by model, method, metric and image, with or without the control methods."""
    methods = list(frames.methods.index[controls | (frames.methods["family"] != "control")])
    labels = (list(frames.models.index), methods, list(frames.metrics.index), frames.images)
    axes = dict(zip(AXES, labels, strict=True))
    values = np.full([len(labels) for labels in axes.values()], np.nan)
    if column in frames.scores:
        rows = frames.scores[frames.scores["method"].isin(methods)]
        places = [pd.Index(labels, dtype=object).get_indexer(rows[name]) for name, labels in axes.items()]
        values[tuple(places)] = rows[column].to_numpy(float)
    return Named(values, axes)


def goodness(scores: Named, frames: Frames) -> Named:
    """Put scores on one scale: 0 is the metric's worst score and 1 its best.

    Of a range without an end, which has no such score, x units from the end that it has (or from zero, halfway between
    both) are x / (1 + |x|) of the way: the order stays, and so does the sign of every difference.
    """
    facts = frames.metrics.loc[scores.axes["metric"]]
    shape = [-1] + [1] * (-1 - scores.place("metric"))
    low, high, lower = (
        column.to_numpy().reshape(shape) for column in (facts["low"], facts["high"], facts["better"] == "lower")
    )
    from_low, from_high = np.isfinite(low), np.isfinite(high)
    away = scores.values - np.where(from_low, low, np.where(from_high, high, 0.0))
    bent = away / (1 + np.abs(away))
    endless = np.where(from_low, bent, np.where(from_high, 1 + bent, (1 + bent) / 2))
    with np.errstate(invalid="ignore"):
        scaled = np.where(from_low & from_high, (scores.values - low) / (high - low), endless)
    return Named(np.where(lower, 1 - scaled, scaled), scores.axes)


@lru_cache(maxsize=8)
def means(
    frames: Frames,
    bootstrap: int,
    seed: int,
    column: str = "value",
    oriented: bool = True,
    controls: bool = False,
    each: bool = False,
) -> Named:
    """Return draws of the mean scores over images, by model, method and metric; copies are shared, so cells are paired.

    Seeds of one recipe are one `model`, their mean; with `each` every network is one. `oriented` puts every metric on the
    scale of `goodness` first; `controls` has the control methods too.
    """
    data = cube(frames, column, controls)
    data = goodness(data, frames) if oriented else data
    axes = {name: labels for name, labels in data.axes.items() if name != "image"}
    found = Named(mean_draws(data.values, bootstrap, seed), axes)
    return found if each else over_seeds(found, frames)


def over_seeds(found: Named, frames: Frames) -> Named:
    """Average over the networks of each recipe: one `model` a recipe (`Frames.recipes`), called like its first network."""
    recipes = list(frames.recipes.index)
    if recipes == found.axes["model"]:
        return found
    seeds = frames.models.groupby("recipe", sort=False).groups.values()  # in the order of their first networks
    own = [found.at(model=list(models)).mean("model").values for models in seeds]
    return Named(np.stack(own, axis=found.place("model")), found.axes | {"model": recipes})


def over_recipes(found: Named, frames: Frames, images: int, stream: tuple[int, ...]) -> Named:
    """Average over the seeds of each recipe, with copies that vary as its other seeds would too: about recipes, not networks.

    The variance between seeds is pooled over the recipes that have several, less what their copies of the images show of
    it; a recipe's mean has it divided by its seeds. It is widened to Student's quantile at its degrees of freedom.

    Args:
        found: draws by `model` alone.
        frames: the study.
        images: behind the draws; what is drawn for seeds is not correlated with their copies.
        stream: names the random stream; its first number is the seed of the copies.
    """
    own = over_seeds(found, frames)
    if own is found:
        return own
    recipes = [list(models) for models in frames.models.groupby("recipe", sort=False).groups.values()]
    apart, freedom = 0.0, 0
    for models in recipes:
        seeds = found.at(model=models).values
        seeds = seeds[:, np.isfinite(seeds[0])]
        deviations = seeds - nanmean(seeds, 1)[:, None]
        apart += float((deviations[0] ** 2).sum() - ((deviations[1:] - deviations[0]) ** 2).sum(axis=1).mean())
        freedom += max(seeds.shape[1] - 1, 0)
    if not freedom:
        return own
    spread = math.sqrt(max(apart, 0.0) / freedom) * quantile(freedom) / quantile(math.inf)
    copies = len(found.values) - 1
    of_images = multipliers(copies, groups(images, copies), (stream[0], IMAGES, images))
    values = own.values.copy()
    values[1:] += beside(of_images, len(recipes), stream) * spread / np.sqrt([len(models) for models in recipes])
    return Named(values, own.axes)


def shared_methods(found: Named) -> list[str]:
    """Return the methods that have `means` on every model, so that a mean over them compares like with like."""
    measured = np.isfinite(found.values[0]).any(axis=2).all(axis=0)
    return [name for name, known in zip(found.axes["method"], measured, strict=True) if known]


def twins(frames: Frames, kind: str = "robust", base: str = "vanilla") -> list[tuple[str, str, str]]:
    """Return (architecture, model, base model) for every model trained as `kind` with a `base` twin."""
    first = frames.models.reset_index().groupby(["architecture", "training_algorithm"], sort=False)["model"].first()
    rows = frames.models[frames.models["training_algorithm"] == kind]
    return [
        (row.architecture, model, first[row.architecture, base])
        for model, row in rows.iterrows()
        if (row.architecture, base) in first.index
    ]


def gain(found: Named, frames: Frames, kind: str = "robust", base: str = "vanilla") -> Named:
    """Return networks trained as `kind` minus their vanilla twins: one `model` an architecture, called like it.

    Several networks or recipes of an architecture and training are averaged first: they are no further architectures.
    Within a pair only what both have is a number.

    Args:
        found: `cube` (then the gains are image by image) or draws, such as `means`.
        frames: the study.
        kind: of training.
        base: what it is compared with.
    """
    names = list(dict.fromkeys(architecture for architecture, *_ in twins(frames, kind, base)))
    facts = frames.models.loc[found.axes["model"]]
    trained = facts.groupby(["architecture", "training_algorithm"], sort=False).groups
    sides = []
    for side in (kind, base):
        means = [found.at(model=list(trained[name, side])).mean("model").values for name in names]
        place = found.place("model") + means[0].ndim + 1 if means else 0
        sides.append(np.stack(means, axis=place) if means else found.at(model=[]).values)
    return Named(sides[0] - sides[1], found.axes | {"model": names})
