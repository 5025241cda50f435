"""What networks, and rankings of inputs, are judged by, and how the criteria go together."""

import re
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain, combinations

import numpy as np
import pandas as pd

from xailib.analysis import scores
from xailib.analysis.controls import telling
from xailib.analysis.draws import Array, critical_rhos, interval, mean_draws, nanmean, spearman
from xailib.analysis.frames import Frames, metric_facts
from xailib.analysis.intervals import false_discovery
from xailib.analysis.roar_curves import Curves, racu
from xailib.analysis.roar_frames import RoarFrames
from xailib.analysis.scores import Named

ATTACK = "l2_pgd"
RELABELLED = "imagenet_real"  # the same images under other labels: no shift of the images
ALONE = {"test_accuracy", "shift_accuracy", "adversarial_accuracy", "confidence"}  # no part of explainability
NORMALISED = "value_normalised"
SEEDS = 3  # names the streams of the copies between seeds, one a criterion
FEWEST = 4  # rankings of inputs that a pair of criteria must share
# Ways to judge a ranking of inputs by accuracy: label, and the sign that makes higher better. Lower accuracy after
# removal is a better ranking; a mask that tells less of the class, which keeps retrained accuracy up, is a better one.
MEANS = {
    "remove": ("ROAR", -1),
    "keep": ("KAR", 1),
    "no_retraining_remove": ("Remove, not retrained", -1),
    "no_retraining_keep": ("Keep, not retrained", 1),
    "road_remove": ("ROAD, most relevant first", -1),
    "road_keep": ("ROAD, least relevant first", 1),
    "mask_only_remove": ("Mask alone tells less", -1),
}
AREA = "ROAR area score (RACU)"


@dataclass(frozen=True, eq=False)
class Criteria:
    """What networks (or rankings of inputs) are judged by.

    Attributes:
        draws: by `model` (or `estimator`) and `criterion`, in the criteria's own units; NaN where not measured. The
            copies are over bootstrap copies of the images.
        facts: indexed by criterion: label, better (higher, lower or empty), n (images).
        units: facts of the units: for networks label, architecture, training_algorithm.
        fewest: units that a pair of criteria must share to be correlated.
    """

    draws: Named
    facts: pd.DataFrame
    units: pd.DataFrame
    fewest: int = 0

    @property
    def table(self) -> pd.DataFrame:
        """The observed values: one row a unit, criteria as columns."""
        return pd.DataFrame(self.draws.values[0], index=self.units.index, columns=self.draws.axes["criterion"])

    def get(self, name: str) -> Array:
        """Return draws of one criterion: `(1 + copies, units)`."""
        return self.draws.values[..., self.draws.axes["criterion"].index(name)]


def gathered(found: dict[str, tuple[Array, str, str, int]], units: pd.DataFrame, fewest: int = 0) -> Criteria:
    """Put those criteria together that at least one unit, and at least `fewest`, has.

    Args:
        found: criterion -> draws `(1 + copies, units)`, label, better, n images.
        units: facts of the units.
        fewest: see `Criteria`.
    """
    known = {name: row for name, row in found.items() if np.isfinite(row[0][0]).sum() >= max(fewest, 1)}
    facts = pd.DataFrame([row[1:] for row in known.values()], columns=["label", "better", "n"])
    facts.index = pd.Index(list(known), name="criterion")
    values = np.stack([row[0] for row in known.values()], axis=-1) if known else np.empty((1, len(units), 0))
    axes = {str(units.index.name): list(units.index), "criterion": list(known)}
    return Criteria(Named(values, axes), facts, units, fewest)


@lru_cache(maxsize=4)
def model_criteria(frames: Frames, bootstrap: int = 2000, seed: int = 0) -> Criteria:
    """Measure every network on every criterion, with bootstrap copies over images; of several seeds the recipe's mean.

    The copies then vary between seeds too, so that intervals are about recipes (`scores.over_recipes`).

    Explainability is the mean goodness (0 worst, 1 best) over the metrics that can tell here (`controls.telling`) and
    the methods that apply to all networks, by normalised scores where a metric has them: raw ones follow confidence, and
    are beside it. Shift accuracy is the mean over kinds of shift (their severities averaged), the attack apart.
    """
    found = {}
    for name, label, column, better in (
        ("test_accuracy", "Test accuracy", "correct", "higher"),
        ("confidence", "Mean confidence", "confidence", ""),
    ):
        values = per_image(frames, column)
        found[name] = (mean_draws(values, bootstrap, seed), label, better, values.shape[1])
    for name, label, kinds in (
        ("shift_accuracy", "Shift accuracy", shift_kinds(frames)),
        ("adversarial_accuracy", "Adversarial accuracy", {ATTACK: [ATTACK]}),
    ):
        n = frames.accuracy.loc[frames.accuracy["shift"].isin(list(chain(*kinds.values()))), "n"]
        found[name] = (shift_draws(frames, kinds, bootstrap, seed), label, "higher", int(n.min()) if len(n) else 0)
    images, able = len(frames.images), telling(frames, bootstrap, seed)
    normalised = {name: NORMALISED for name in able if NORMALISED in frames.columns_of(name)}
    shared = scores.shared_methods(scores.means(frames, bootstrap, seed, each=True))
    for name, label, part in (
        ("explainability", "Explainability", frames.by(normalised)),
        ("explainability_raw", "Explainability (raw scores)", frames),
    ):
        good = scores.means(part, bootstrap, seed, each=True).at(method=shared, metric=able)
        found[name] = (good.mean("method", "metric").values, label, "higher", images)
    for suffix, column, word in (("", "value", ""), ("_normalised", NORMALISED, " (normalised)")):
        raw = scores.means(frames, bootstrap, seed, column, oriented=False, each=True).at(method=shared).mean("method")
        for i, (metric, row) in enumerate(frames.metrics.iterrows()):
            found[metric + suffix] = (raw.values[..., i], row["label"] + word, row["better"], images)
    models = {"model": list(frames.models.index)}
    for i, (name, (draws, *facts, n)) in enumerate(found.items()):
        own = scores.over_recipes(Named(draws, models), frames, n, (seed, SEEDS, i))
        found[name] = (own.values, *facts, n)
    return gathered(found, frames.recipes)


def per_image(frames: Frames, column: str) -> Array:
    """Return a column of the predictions `(models, images)` over the largest clean sample."""
    predictions = frames.predictions
    subset = "accuracy" if (predictions["subset"] == "accuracy").any() else "maps"
    rows = predictions[predictions["subset"] == subset]
    table = rows.pivot_table(index="model", columns="image", values=column, aggfunc="first")
    return table.reindex(frames.models.index, columns=rows["image"].unique()).to_numpy(float)


def shift_kinds(frames: Frames) -> dict[str, list[str]]:
    """Return the shifts of the study by kind, severities together: {"gaussian_noise": ["gaussian_noise_1", ...]}."""
    kinds: dict[str, list[str]] = {}
    for shift in dict.fromkeys(frames.accuracy["shift"]):
        if shift not in ("clean", ATTACK, RELABELLED):
            kinds.setdefault(re.sub(r"[_/][0-9]+$", "", shift), []).append(shift)
    return kinds


def shift_draws(frames: Frames, kinds: dict[str, list[str]], bootstrap: int, seed: int) -> Array:
    """Return draws of mean accuracies over kinds of shift `(1 + bootstrap, models)`, networks on the same images."""
    nothing = np.full((1 + bootstrap, len(frames.models)), np.nan)
    if "right" not in frames.accuracy:
        return nothing
    table = frames.accuracy.pivot_table(index="model", columns="shift", values="right", aggfunc="first")
    table = table.reindex(frames.models.index).fillna("")
    known = [shifts for shifts in kinds.values() if set(shifts) <= set(table)]
    draws = [
        nanmean(np.stack([mean_draws(_bits(table[shift]), bootstrap, seed) for shift in shifts]), axis=0)
        for shifts in known
    ]
    return np.mean(draws, axis=0) if draws else nothing


def _bits(texts: pd.Series) -> Array:
    """Which images `(networks, images)` were right, from a text of 1 and 0 a network; NaN for a network without one."""
    n = max(int(texts.str.len().max()), 1)
    return np.array([list(map(float, text)) if len(text) == n else [np.nan] * n for text in texts])


def ranking_criteria(frames: RoarFrames, found: Curves) -> Criteria:
    """Return what each ranking of inputs is judged by, turned round so that higher is better, without an interval.

    Accuracies are means over the levels that a mode was run at; a ranking that lacks one of them is NaN. The blurred and
    redrawn rankings are left out: they are near copies of others.
    """
    units = frames.estimators[frames.estimators["family"] != "check"]
    columns: dict[str, pd.Series] = {}
    for mode, (label, sign) in MEANS.items():
        known = found.known(mode, list(units.index))
        levels = found.run_levels(mode, known)
        if levels:
            columns[label] = pd.Series(sign * found.of(mode, known, levels)[0].mean(axis=1), known)
        if mode == "remove":
            columns[AREA] = pd.Series({name: draws[0] for name, draws in racu(found).items()}, dtype=float)
    scored = frames.trust[~frames.trust["check"].isin(["no_retraining", "road", "mask_only"])]
    for metric, facts in metric_facts(list(dict.fromkeys(scored["check"]))).iterrows():
        values = scored[scored["check"] == metric].groupby("estimator")["value"].mean()
        columns[facts["label"]] = values if facts["better"] == "higher" else -values
    table = pd.DataFrame(columns, index=units.index)
    draws = np.broadcast_to(table.to_numpy(float), (len(found.clean), *table.shape))
    judged = {label: (draws[..., i], label, "", found.n) for i, label in enumerate(table)}
    return gathered(judged, units, FEWEST)


def correlate(criteria: Criteria) -> pd.DataFrame:
    """Return Spearman's rho of every pair of criteria over the units, one row a pair; a part beside its whole is none.

    Columns: first, second, rho (+1: the same order), low, high (95 %, over units), p (of the same method), n (units), q
    (p adjusted for the whole table, by Benjamini and Hochberg), critical (the |rho| from which q is below
    0.05), and for networks within (rho of ranks after each training algorithm's mean rank is taken away: what is left
    when vanilla, robust and AdvProp clusters are taken out).
    """
    columns = ["first", "second", "rho", "low", "high", "p", "n"]
    clusters, rows = criteria.units.get("training_algorithm"), []
    for first, second in combinations(criteria.facts.index, 2):
        x, y = criteria.get(first)[0], criteria.get(second)[0]
        own = spearman(x, y)
        if own.n >= criteria.fewest and not part_of_whole(first, second):
            rows.append(dict(zip(columns, (first, second, own.value, own.low, own.high, own.p, own.n), strict=True)))
            rows[-1] |= {} if clusters is None else {"within": within_clusters(x, y, clusters)}
    columns += [] if clusters is None else ["within"]
    table = pd.DataFrame(rows, columns=columns)  # none where there is one criterion
    q = false_discovery(table["p"].astype(float))
    share = max(int((q < 0.05).sum()), 1) / max(int(np.isfinite(q).sum()), 1)
    return table.assign(q=q, critical=critical_rhos(table, 0.05 * share))


def part_of_whole(first: str, second: str) -> bool:
    """Whether one of two criteria is made of the other, or both of the same numbers: they go together by themselves."""
    first, second = (name.removesuffix("_normalised").removesuffix("_raw") for name in (first, second))
    if first == second or {first, second} == {"ROAR", AREA}:
        return True
    return "explainability" in (first, second) and not {first, second} & ALONE


def within_clusters(x: Array, y: Array, clusters: pd.Series) -> float:
    """Return the correlation of ranks left after each cluster's mean rank is subtracted; NaN for nothing."""
    ranks = pd.DataFrame({"x": x, "y": y, "cluster": list(clusters)}).dropna()
    if len(ranks) < 3 or ranks["cluster"].value_counts().max() < 3:
        return float("nan")
    ranks[["x", "y"]] = ranks[["x", "y"]].rank()
    left = ranks[["x", "y"]] - ranks.groupby("cluster")[["x", "y"]].transform("mean")
    spread = float(np.sqrt((left["x"] ** 2).sum() * (left["y"] ** 2).sum()))
    return float((left["x"] * left["y"]).sum() / spread) if spread > 1e-9 else float("nan")


def closest_to_roar(pairs: pd.DataFrame) -> str:
    """Return one sentence on what agrees with ROAR best and least; empty when nothing was compared."""
    ours = pairs[(pairs["first"] == "ROAR") | (pairs["second"] == "ROAR")].dropna(subset=["rho"])
    ours = ours[~ours[["first", "second"]].isin([AREA]).any(axis=1)]
    if ours.empty:
        return ""
    best, worst = ours.loc[ours["rho"].idxmax()], ours.loc[ours["rho"].idxmin()]
    other = [row["second"] if row["first"] == "ROAR" else row["first"] for row in (best, worst)]
    return (
        f"Of {len(ours)} other ways to judge, ROAR's order of the rankings is closest to *{other[0]}* "
        f"(rho {best['rho']:+z.2f}) and furthest from *{other[1]}* (rho {worst['rho']:+z.2f}), "
        f"over {np.min(ours['n'])} rankings or more."
    )


def points(criteria: Criteria, horizontal: list[str], vertical: list[str]) -> pd.DataFrame:
    """Return one row a network and panel: x, y, their 95 % intervals over images, labels and directions."""
    known = criteria.facts.index
    rows = []
    for first, second in [(x, y) for y in vertical for x in horizontal if x in known and y in known]:
        panel = pd.DataFrame(index=criteria.units.index)
        for axis, name in (("x", first), ("y", second)):
            draws, facts = criteria.get(name), criteria.facts.loc[name]
            ends = np.array([interval(copies) for copies in draws[1:].T])
            panel = panel.assign(**{axis: draws[0], f"{axis}_low": ends[:, 0], f"{axis}_high": ends[:, 1]})
            panel = panel.assign(**{f"{axis}_label": facts["label"], f"{axis}_better": facts["better"]})
        panel = panel.assign(first=first, second=second)
        rows.append(panel.join(criteria.units).reset_index())
    return pd.concat(rows, ignore_index=True) if rows else pd.DataFrame()


def confidence_histogram(frames: Frames, bins: int = 20) -> pd.DataFrame:
    """Return the share of test images in each bin of confidence, one row a network and bin."""
    edges = np.linspace(0, 1, bins + 1)
    rows = []
    for model, row in zip(frames.models.index, per_image(frames, "confidence"), strict=True):
        row = row[np.isfinite(row)]
        shares = np.histogram(row, edges)[0] / max(len(row), 1)
        facts = {"model": model, "low": edges[:-1], "high": edges[1:], "share": shares}
        rows.append(pd.DataFrame({**facts, "mean": row.mean(), "n": len(row)}))
    return pd.concat(rows, ignore_index=True).merge(frames.models.reset_index(), on="model")
