"""Several methods on one network, set against each other: ranks, tests, checks, costs, and where metrics disagree.

Everything here looks at one network (`networks`), and takes its images for the sample. A method is placed by its rank within
each image and metric, so that every image is a block, as in Friedman's test; two methods are compared by Wilcoxon's signed
ranks over the images and Holm's correction (Benavoli et al. 2016, J. Machine Learning Research 17:5). The overall ranks, and
so their tests, still depend on which methods are in the study; those under one metric are of the two methods' scores alone.
"""

import json
import math
import warnings
from dataclasses import replace
from functools import lru_cache
from itertools import combinations, product
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.special import ndtri
from scipy.stats import friedmanchisquare, wilcoxon

from xailib.analysis import scores
from xailib.analysis.controls import void
from xailib.analysis.draws import critical_rhos, estimate, mean_draws, nanmean, ranks, spearman
from xailib.analysis.facts import literal
from xailib.analysis.frames import Frames
from xailib.analysis.intervals import Array, holm
from xailib.analysis.scores import Named
from xailib.analysis.tables import ARROWS

LEVEL = 0.05  # of all tests of one table together
SANE = 0.5  # rank correlation with the map of a random network from which on a map is taken not to follow the network
OVERALL = "overall"  # stands for all metrics that count
COUNTS, VOID, UNDEFINED = "counts", "void", "not defined"  # of metrics
_MOST = 1000  # more images than this are no advice


def networks(frames: Frames) -> dict[str, Frames]:
    """Return {model: the study of that network alone}, with the methods that were run on it."""
    found = {}
    for model in frames.models.index:
        names = ("scores", "reliability", "sanity")
        tables = {name: (table := getattr(frames, name))[table["model"] == model] for name in names}
        tables = {name: table.reset_index(drop=True) for name, table in tables.items()}
        methods = frames.methods[frames.methods.index.isin(tables["scores"]["method"])]
        found[model] = replace(frames, **tables, models=frames.models.loc[[model]], methods=methods)
    return found


def compared(frames: Frames, *, controls: bool = False) -> list[str]:
    """Return the methods that are compared, or the controls that they are held against."""
    return list(frames.methods.index[(frames.methods["family"] == "control") == controls])


@lru_cache(maxsize=8)
def oriented(frames: Frames) -> Named:
    """Return one network's scores by method (controls too), metric and image, signed so that higher is better."""
    facts = frames.metrics[frames.metrics["better"].isin(ARROWS)]
    data = scores.cube(frames, controls=True).at(metric=list(facts.index))
    signs = np.where(facts["better"] == "lower", -1.0, 1.0)[:, None]
    return Named(data.values[0] * signs, {name: labels for name, labels in data.axes.items() if name != "model"})


@lru_cache(maxsize=8)
def over_controls(frames: Frames) -> pd.DataFrame:
    """Return how far each method is ahead of each control, image by image, under each metric.

    Columns: method, metric, control, lead (mean, above zero: better than the control), p (one-sided), adjusted (Holm over
    the table).
    """
    data, ours, theirs = oriented(frames), compared(frames), compared(frames, controls=True)
    first, second = (data.at(method=names).values for names in (ours, theirs))
    leads = np.moveaxis(first[:, None] - second[None], 1, 2)  # (methods, metrics, controls, images)
    table = pd.DataFrame(product(ours, data.axes["metric"], theirs), columns=["method", "metric", "control"])
    table["lead"] = nanmean(leads, -1).ravel()
    table["p"] = _p(leads, _largest(data.values, (0, 2))[..., None]).ravel()
    return table.assign(adjusted=holm(table["p"]))


def beaten(frames: Frames) -> pd.DataFrame:
    """Return methods x metrics: whether a method is ahead of every control."""
    table = over_controls(frames)
    found = (table["adjusted"] < LEVEL).groupby([table["method"], table["metric"]], sort=False).all().unstack()
    return found.reindex(index=compared(frames), columns=oriented(frames).axes["metric"], fill_value=False).astype(bool)


def judges(frames: Frames) -> pd.DataFrame:
    """Return which metrics count: index metric; label, n (images with a score), word.

    Which are void is asked as everywhere (`controls.void`). That a metric counts is no verdict on a method: whether one is
    ahead of all controls is tested by itself, over all methods, metrics and controls together (`beaten`).
    """
    data = oriented(frames)
    known = np.isfinite(data.at(method=compared(frames)).values).any(axis=0).sum(axis=-1)
    found = frames.metrics.loc[data.axes["metric"], ["label"]].assign(n=known)
    return found.assign(word=np.select([known == 0, found.index.isin(void(frames))], [UNDEFINED, VOID], COUNTS))


@lru_cache(maxsize=8)
def standings(frames: Frames) -> Named:
    """Return each method's rank on each image (1 is the best), the mean over the metrics that count."""
    found = judges(frames)
    data = oriented(frames).at(method=compared(frames), metric=list(found.index[found["word"] == COUNTS]))
    ranked = ranks(data.values, 0) if data.values.size else data.values
    return Named(nanmean(ranked, 1), {name: data.axes[name] for name in ("method", "image")})


def ranking(frames: Frames, bootstrap: int = 2000, seed: int = 0) -> pd.DataFrame:
    """Return the methods from the best: method, label, family, rank (mean over images), low, high (95 %), n (images)."""
    found = standings(frames)
    draws = mean_draws(found.values, bootstrap, seed)
    known, rows = np.isfinite(found.values).sum(axis=1), []
    for i, method in enumerate(found.axes["method"]):
        own = estimate(draws[:, i], int(known[i]))
        facts = {"method": method, **frames.methods.loc[method, ["label", "family"]]}
        rows.append({**facts, "rank": own.value, "low": own.low, "high": own.high, "n": known[i]})
    table = pd.DataFrame(rows, columns=["method", "label", "family", "rank", "low", "high", "n"])
    return table.sort_values("rank", kind="stable", ignore_index=True)


def means(frames: Frames, bootstrap: int = 2000, seed: int = 0) -> pd.DataFrame:
    """Return the mean score of each method and control: method, label, family, metric, value, low, high (95 %), n (images)."""
    data, rows = scores.cube(frames, controls=True), []
    draws, known = mean_draws(data.values[0], bootstrap, seed), np.isfinite(data.values[0]).sum(axis=-1)
    for (i, method), (k, metric) in product(enumerate(data.axes["method"]), enumerate(data.axes["metric"])):
        own = estimate(draws[:, i, k], int(known[i, k]))
        row = {"method": method, **frames.methods.loc[method, ["label", "family"]], "metric": metric}
        rows.append({**row, "value": own.value, "low": own.low, "high": own.high, "n": known[i, k]})
    return pd.DataFrame(rows, columns=["method", "label", "family", "metric", "value", "low", "high", "n"])


def friedman(frames: Frames) -> float:
    """Return Friedman's p that the methods are all alike, over images on which each has a rank; NaN below three methods."""
    values = standings(frames).values
    values = values[:, np.isfinite(values).all(axis=0)]
    return float(friedmanchisquare(*values).pvalue) if len(values) >= 3 and values.shape[1] >= 2 else math.nan


@lru_cache(maxsize=8)
def overall(frames: Frames, bootstrap: int = 2000, seed: int = 0) -> pd.DataFrame:
    """Return every two methods by their ranks over the metrics that count: see `pairs`."""
    return _corrected(_tested(compared(frames), -standings(frames).values, bootstrap, seed).assign(metric=OVERALL))


def pairs(frames: Frames, bootstrap: int = 2000, seed: int = 0) -> pd.DataFrame:
    """Return every two methods, overall and under every metric; the first of the two is the better.

    Columns: first, second (ids), lead (mean difference, in ranks or in the metric's unit), low, high (95 %, of this one), n
    (images with both), p (Wilcoxon's, that they are alike; 1 where it points the other way), metric (overall: over those
    that count), adjusted (Holm over all pairs of the overall ranks, or over all pairs and metrics), more (images beside these
    that would take it below 0.05, if the difference stays; NaN where it is, infinite where no practical number would).
    """
    data, order = oriented(frames).at(method=compared(frames)), compared(frames)
    single = [
        _tested(order, data.at(metric=[name]).values[:, 0], bootstrap, seed).assign(metric=name)
        for name in data.axes["metric"]
    ]
    tables = [overall(frames, bootstrap, seed), *([_corrected(pd.concat(single))] if single else [])]
    return pd.concat(tables, ignore_index=True)


def _tested(names: list[str], blocks: Array, bootstrap: int, seed: int) -> pd.DataFrame:
    """Compare every two rows of `blocks` `(methods, images)`, of which higher is better."""
    couples = list(combinations(range(len(names)), 2))
    leads = np.array([blocks[i] - blocks[j] for i, j in couples]).reshape(len(couples), blocks.shape[1])
    turned = nanmean(leads, -1) < 0
    leads[turned] *= -1
    p = _p(leads, _largest(blocks, (0, 1))[0])
    draws, known, rows = mean_draws(leads, bootstrap, seed), np.isfinite(leads).sum(axis=1), []
    for k, couple in enumerate(couples):
        first, second = couple[::-1] if turned[k] else couple
        own = estimate(draws[:, k], int(known[k]))
        rows.append((names[first], names[second], own.value, own.low, own.high, known[k], min(2 * p[k], 1.0)))
    return pd.DataFrame(rows, columns=["first", "second", "lead", "low", "high", "n", "p"])


def _corrected(table: pd.DataFrame) -> pd.DataFrame:
    """Add Holm's correction over a table of tests, and how many more images each would need."""
    adjusted = holm(table["p"])
    more = [_more(p, n, len(table)) for p, n in zip(table["p"], table["n"], strict=True)]
    return table.assign(adjusted=adjusted, more=np.where(adjusted < LEVEL, np.nan, more))


def apart(frames: Frames) -> pd.DataFrame:
    """Return methods x methods, from the best: the adjusted p that two of them are alike overall; 1 with themselves."""
    order = ranking(frames)["method"]
    found = pd.DataFrame(1.0, order, order)
    for row in overall(frames).itertuples():
        found.loc[row.first, row.second] = found.loc[row.second, row.first] = row.adjusted
    return found


def won(frames: Frames) -> set[tuple[str, str]]:
    """Return which method is seen to be ahead of which overall: (better, worse).

    Two are compared on the images on which both have a rank. Where some lack one, a method may so be behind another that
    its mean rank, over all of its own images, is before.
    """
    table = overall(frames)
    return set(table.loc[table["adjusted"] < LEVEL, ["first", "second"]].itertuples(index=False, name=None))


def checked(frames: Frames) -> pd.DataFrame:
    """Return the sanity check by method: value, last (mean similarity over images, see `metrics.sanity`), n, fails.

    What has no similarity, as of constant maps, neither fails nor passes: `fails` is missing.
    """
    table = frames.sanity.astype({"value": float, "last": float})
    found = table.groupby("method", sort=False).agg(value=("value", "mean"), last=("last", "mean"), n=("last", "count"))
    return found.assign(fails=(found["last"] >= SANE).astype("boolean").mask(found["last"].isna()))


def costs(frames: Frames, results_dir: Path, images: int) -> pd.DataFrame:
    """Return what an image costs, by the slices' records: index method; seconds in the network, passes forward, backward.

    Args:
        frames: of one network.
        results_dir: the study's folder; a method without a record is left out.
        images: how many were explained, the wrongly classified among them.
    """
    rows, model = {}, frames.models.index[0]
    for method in frames.methods.index:
        path = results_dir / model / method / "attribute.json"
        if path.exists():
            record = json.loads(path.read_text(encoding="utf-8"))
            explained = images + record["parameters"]["reliability_images"]  # some of them twice
            rows[method] = {name: record["passes"][name] / explained for name in ("seconds", "forward", "backward")}
    return pd.DataFrame.from_dict(rows, "index", columns=["seconds", "forward", "backward"])


def agreement(frames: Frames) -> pd.DataFrame:
    """Return Spearman's rho of every two metrics that count over the methods' means.

    Columns: first, second, rho, low, high, p, n (methods), critical (the |rho| from which p is below 0.05 over the number of
    pairs).
    """
    table, rows = places(frames), []
    for first, second in combinations(table, 2):
        own = spearman(-table[first].to_numpy(), -table[second].to_numpy())
        rows.append((first, second, own.value, own.low, own.high, own.p, own.n))
    found = pd.DataFrame(rows, columns=["first", "second", "rho", "low", "high", "p", "n"])
    return found.assign(critical=critical_rhos(found, LEVEL / max(int(found["rho"].notna().sum()), 1)))


def places(frames: Frames) -> pd.DataFrame:
    """Return methods x metrics that count: each method's place by its mean (1 is the best)."""
    found = judges(frames)
    data = oriented(frames).at(method=compared(frames), metric=list(found.index[found["word"] == COUNTS]))
    return pd.DataFrame(ranks(nanmean(data.values, -1), 0), data.axes["method"], data.axes["metric"])


def dispute(frames: Frames) -> str:
    """Return a sentence on the method that metrics disagree most about; which metrics do, `agreement` tells."""
    table, label = places(frames), frames.metrics["label"].map(literal)
    if agreement(frames)["rho"].isna().all():
        return "whether metrics agree cannot be said: that needs two metrics that count, and three methods."
    name = (table.max(axis=1) - table.min(axis=1)).idxmax()
    best, worst = table.loc[name].idxmin(), table.loc[name].idxmax()
    disputed = literal(frames.methods.loc[name, "label"])
    return (
        f"the most disputed method is {disputed}: place {table.loc[name, best]:g} of {len(table)} "
        f"by {label[best]}, place {table.loc[name, worst]:g} by {label[worst]}."
    )


def _largest(values: Array, axes: tuple[int, ...]) -> Array:
    """The largest magnitude over some axes, which stay with one place; 1 where there is none."""
    found = np.abs(np.where(np.isfinite(values), values, 0.0)).max(axis=axes, keepdims=True, initial=0.0)
    return np.where(found > 0, found, 1.0)


def _p(leads: Array, sizes: Array) -> Array:
    """Wilcoxon's one-sided p that paired differences `(..., n)` are above zero; NaN ones are left out.

    1 where one is left, and where their mean is not above zero: the mean says who is ahead, and signed ranks can point the
    other way. Rows with and without ties are tested apart, since one with ties takes the exact p from all beside it. Ties are
    what differs by a billionth of `sizes`, the largest of the scores, or less: rounding.
    """
    rows = np.round(leads / sizes, 9).reshape(math.prod(leads.shape[:-1]), -1 if leads.size else 0)
    rows[np.isfinite(rows).sum(axis=-1) < 2] = np.nan
    tied = np.array([len(np.unique([0, *np.abs(row)])) <= len(row) for row in rows], bool)
    p = np.ones(len(rows))
    with warnings.catch_warnings(action="ignore"), np.errstate(all="ignore"):
        for part in (part for part in (tied, ~tied) if rows[part].size):
            p[part] = wilcoxon(rows[part], axis=-1, alternative="greater", nan_policy="omit").pvalue
    return np.where(np.isfinite(p) & (nanmean(rows, -1) > 0), p, 1.0).reshape(leads.shape[:-1])


def _more(p: float, n: int, tests: int) -> float:
    """How many more images the first step of Holm's correction asks for, if the standardised difference stays."""
    z = -ndtri(p / 2)
    needed = n * (ndtri(LEVEL / 2 / tests) / z) ** 2 if z > 0 else math.inf
    return max(math.ceil(needed - n), 1) if needed < _MOST else math.inf
