"""Ladders: one architecture trained against attackers of several radii, so that robustness is a dose."""

import pandas as pd

from xailib.analysis import scores
from xailib.analysis.correlation import ATTACK, model_criteria
from xailib.analysis.draws import Array, estimate
from xailib.analysis.frames import Frames
from xailib.analysis.intervals import Contrast, over_images
from xailib.analysis.rankings import families
from xailib.analysis.scores import Named

RUNGS = 4  # radii, 0 of vanilla networks among them, below which nothing is said of a trend
COLUMNS = ["recipe", "architecture", "epsilon", "rung", "seeds"]
STREAM = 4  # names the copies between seeds


def rungs(frames: Frames) -> pd.DataFrame:
    """Return the recipes that stand on a ladder: recipe, architecture, epsilon, rung (0 is the least radius), seeds.

    Those of architectures whose vanilla and robust networks have at least `RUNGS` radii, 0 among them; empty where none has.
    """
    facts = frames.recipes
    if not {"epsilon", "recipe"} <= set(facts):
        return pd.DataFrame(columns=COLUMNS)
    facts = facts[facts["training_algorithm"].isin(("vanilla", "robust")) & facts["epsilon"].notna()]
    own = facts.groupby("architecture")["epsilon"]
    whole = (own.transform("nunique") >= RUNGS) & (own.transform("min") == 0)
    facts = facts.assign(rung=own.rank(method="dense").astype(int) - 1)[whole]
    seeds = frames.models["recipe"].value_counts().reindex(facts["recipe"]).to_numpy()
    return facts.assign(seeds=seeds)[COLUMNS]


def there(frames: Frames) -> bool:
    """Whether a study has a ladder."""
    return bool(len(rungs(frames)))


def rise(found: Array, frames: Frames, images: int, seed: int, first: int = 0) -> Contrast:
    """Return by how much a number rises from a ladder's `first` rung to its last, along the line fitted to these rungs.

    Rungs count alike however far their radii are apart. The mean over ladders, with a variance over images, and over the
    seeds of the recipes (`scores.over_recipes`): about networks trained like these.

    Args:
        found: draws `(1 + copies, networks)`.
        frames: the study.
        images: behind the draws.
        seed: of the copies.
        first: 1 leaves the vanilla networks out, which were trained for fewer steps where robust ones start from them.
    """
    facts = rungs(frames).query("rung >= @first")
    own = scores.over_recipes(Named(found, {"model": list(frames.models.index)}), frames, images, (seed, STREAM))
    ladders = facts.groupby("architecture")["rung"]
    centred = facts["rung"] - ladders.transform("mean")
    height = ladders.transform("max") - ladders.transform("min")
    fitted = centred * height / (centred**2).groupby(facts["architecture"]).transform("sum")
    weights = fitted.to_numpy() / facts["architecture"].nunique()
    rise = own.at(model=list(facts.index)).values @ weights
    return over_images(rise, images, seeds=frames.unit == "recipes")


def doses(frames: Frames, metrics: list[str], bootstrap: int = 2000, seed: int = 0) -> pd.DataFrame:
    """Return how often the maps of each family hit, and how often networks are right, at each rung of the ladders.

    Columns: recipe, architecture, epsilon, rung, seeds; axis (`Hit rate` or `Accuracy`), what (the family, or the
    shift: `clean` or the attack), value, low, high (95 % over images and seeds), images (behind it).

    Args:
        frames: the study.
        metrics: hit rates, whose mean is taken.
        bootstrap, seed: copies behind each interval.
    """
    facts, rows = rungs(frames), []
    means = scores.means(frames, bootstrap, seed, each=True).at(metric=metrics)
    images, models = frames.scored(*metrics), {"model": list(frames.models.index)}
    for family, methods in families(frames).items():
        hits = means.at(method=methods).mean("method", "metric").values
        own = scores.over_recipes(Named(hits, models), frames, images, (seed, STREAM)).at(model=list(facts.index))
        told = {"axis": "Hit rate", "what": family}
        rows += [
            row | told | _told(draws, images) for draws, row in zip(own.values.T, facts.to_dict("records"), strict=True)
        ]
    criteria = model_criteria(frames, bootstrap, seed)
    for what, name in (("clean", "test_accuracy"), (ATTACK, "adversarial_accuracy")):
        if name in criteria.facts.index:
            own, n = criteria.get(name)[:, frames.recipes.index.get_indexer(facts.index)], criteria.facts.at[name, "n"]
            told = {"axis": "Accuracy", "what": what}
            rows += [row | told | _told(draws, n) for draws, row in zip(own.T, facts.to_dict("records"), strict=True)]
    return pd.DataFrame(rows).dropna(subset="value")


def _told(draws: Array, images: int) -> dict[str, float]:
    """The columns of a row that say a number and its interval."""
    found = estimate(draws, images)
    return {"value": found.value, "low": found.low, "high": found.high, "images": images}
