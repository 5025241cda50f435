"""How much of a map, and of a mean score, is chance: what a second seed changes on the same images."""

from itertools import combinations

import numpy as np
import pandas as pd
from scipy.special import stdtrit

from xailib.analysis import scores
from xailib.analysis.draws import nanmean
from xailib.analysis.facts import literal
from xailib.analysis.frames import Frames, by_kind
from xailib.analysis.table import Table
from xailib.analysis.tables import arrowed

RELIABLE = 0.8  # rank correlation of maps under two seeds from which their ranks are taken to repeat
NOT_MEASURED = (
    "Reliability was not measured: the study's `reliability_images` is 0, or its results are older than this measure."
)


def by_network(frames: Frames) -> pd.DataFrame:
    """Return the rank correlation of two seeds' maps, one row a (method, network); none where it was not measured.

    Columns: method, label, family, model, network (label), correlation (mean over images), deterministic (the method's
    maps are equal on every image and network), images, undefined (pairs with a constant map, which has no ranks).
    """
    maps = frames.reliability.drop_duplicates(["model", "method", "image"]).astype({"correlation": float, "same": bool})
    fixed = maps.groupby("method")["same"].transform("all")
    maps = maps.assign(undefined=maps["correlation"].isna(), deterministic=fixed)
    measures = {"correlation": "mean", "deterministic": "all", "image": "size", "undefined": "sum"}
    rows = maps.groupby(["method", "model"], sort=False).agg(measures).rename(columns={"image": "images"}).reset_index()
    rows = rows.join(frames.methods[["label", "family"]], on="method").assign(
        network=rows["model"].map(frames.models["label"])
    )
    return by_kind(rows, "method", list(frames.methods.index)).reset_index(drop=True)


def noise(frames: Frames) -> pd.DataFrame:
    """Return how much another seed changes scores, one row a (method, metric).

    Seeds draw the same for every network (a stream belongs to the seed and the image), so networks do not average chance
    out: the change is first averaged over networks, image by image, and only images count as independent. A mean over n
    images then moves by t sqrt(mean(change^2) / 2 / n) for 95 % of the seeds, with t of as many degrees of freedom as
    images were repeated.

    Columns: method, metric, spread (standard deviation of one score between seeds), noise (by how much the mean over
    networks and the study's images moves), images (repeated), networks. Undefined scores are left out.
    """
    table = frames.reliability.astype({"value": float, "second": float})
    table = table.assign(change=table["second"] - table["value"]).dropna(subset=["change"])
    rows = []
    for (method, metric), part in table.groupby(["method", "metric"], sort=False):
        change = part.groupby("image")["change"].mean()
        of_mean = np.sqrt((change**2).mean() / 2 / max(len(frames.images), 1))
        facts = {"method": method, "metric": metric, "spread": np.sqrt((part["change"] ** 2).mean() / 2)}
        facts |= {"noise": stdtrit(len(change), 0.975) * of_mean}
        rows.append({**facts, "images": len(change), "networks": part["model"].nunique()})
    return pd.DataFrame(rows, columns=["method", "metric", "spread", "noise", "images", "networks"])


def table(frames: Frames) -> Table:
    """Return methods x (word, rank correlation, the lowest network's, the noise of each metric's mean)."""
    maps, moved = by_network(frames), noise(frames)
    if maps.empty:
        return Table(pd.DataFrame(), NOT_MEASURED)
    rows = {}
    for method, part in maps.groupby("method", sort=False):
        mean = part["correlation"].mean()
        word = "deterministic" if part["deterministic"].all() else "yes" if mean >= RELIABLE else "no"
        rows[method] = {f"repeats (≥ {RELIABLE})": word, "rank correlation": mean, "lowest": part["correlation"].min()}
    noises = moved.pivot(index="method", columns="metric", values="noise").reindex(
        index=list(rows), columns=frames.metrics.index
    )
    labels = [f"{arrowed(row['label'], row['better'])} ±" for _, row in frames.metrics.iterrows()]
    frame = pd.concat([pd.DataFrame(rows).T, noises.set_axis(labels, axis=1)], axis=1)
    facts = frames.methods.loc[list(rows)]
    undefined, pairs = int(maps["undefined"].sum()), int(maps["images"].sum())
    left_out = f"; {undefined} of {pairs} pairs of maps hold a constant one, which has no ranks" if undefined else ""
    return Table(
        frame.set_axis(facts["label"], axis=0).rename_axis("Method"),
        f"Two seeds: rank correlation of maps (n = {maps['images'].max()} images x {maps['model'].nunique()} networks, "
        f"and the lowest network{left_out}), and by how much the mean over {len(frames.images)} images moves from seed "
        "to seed (95 %)",
        quiet=tuple(facts.index[facts["family"] == "control"].map(facts["label"])),
        plain=moved.merge(pd.DataFrame(rows).T.rename_axis("method").reset_index(), on="method", how="right"),
    )


def close_pairs(frames: Frames) -> pd.DataFrame:
    """Return every two methods of which one draws samples, controls apart, under every metric.

    Columns: metric, first, second (labels), difference (of their means, over what both scored), noise (of the
    difference: both methods' together).
    """
    data, moved = scores.cube(frames), noise(frames).set_index(["method", "metric"])["noise"]
    rows = []
    for k, metric in enumerate(data.axes["metric"]):
        for (i, first), (j, second) in combinations(enumerate(data.axes["method"]), 2):
            between = float(np.hypot(*(moved.get((name, metric), np.nan) for name in (first, second))))
            difference = float(nanmean(data.values[:, i, k] - data.values[:, j, k], axis=(0, 1)))
            if between > 0:
                rows.append((metric, *frames.methods.loc[[first, second], "label"], difference, between))
    return pd.DataFrame(rows, columns=["metric", "first", "second", "difference", "noise"])


def describe(frames: Frames) -> str:
    """Return a Markdown list: from which difference of means on two methods differ, and which do not."""
    pairs = close_pairs(frames)
    if frames.reliability.empty:
        return NOT_MEASURED
    if pairs.empty:
        return "No method of this study draws samples, so no difference between methods is noise of sampling."
    lines = []
    for metric, part in pairs.groupby("metric", sort=False):
        close = part[part["difference"].abs() < part["noise"]]
        told = ", ".join(f"{literal(row.first)} and {literal(row.second)}" for row in close.itertuples(index=False))
        lines.append(
            f"- **{literal(frames.metrics.loc[metric, 'label'])}**: a difference between the means of two methods smaller than "
            f"{part['noise'].max():.3f} (n = {len(frames.images)} images x {len(frames.models)} networks) may be noise of "
            f"sampling alone. Closer to each other than their own noise: {told or 'no two methods'}."
        )
    return "\n".join(lines)
