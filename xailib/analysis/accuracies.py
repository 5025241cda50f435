"""How often networks are right: on each kind of shifted image and under attack, and at each confidence."""

import numpy as np
import pandas as pd

from xailib.analysis.correlation import ATTACK
from xailib.analysis.frames import Frames, by_kind


def by_shift(frames: Frames) -> pd.DataFrame:
    """Return the accuracy of every network on every shift, one row each: frames' own rows, with labels.

    Columns: model, label, shift, shift_label, accuracy [0, 1], n.
    """
    table = frames.accuracy[["model", "shift", "accuracy", "n"]]
    words = table["shift"].str.replace("_", " ").str.capitalize().where(table["shift"] != ATTACK, "L2 attack")
    table = table.assign(label=table["model"].map(frames.models["label"]), shift_label=words)
    return by_kind(table, "model", list(frames.models.index)).reset_index(drop=True)


def calibration(frames: Frames, bins: int = 10) -> pd.DataFrame:
    """Return how often each network is right at each confidence, one row a network and bin that holds images.

    Columns: model, label, training_algorithm, low, high (the bin), confidence, accuracy (means, [0, 1]), n (images), ece
    (the network's mean gap of the two, weighted by images; NaN without labels).
    """
    rows = frames.predictions[frames.predictions["subset"] == "accuracy"]
    rows = rows if len(rows) else frames.predictions
    edges = np.linspace(0, 1, bins + 1)
    place = np.clip(np.digitize(rows["confidence"].to_numpy(float), edges[1:-1]), 0, bins - 1)
    rows = rows.astype({"correct": float}).assign(low=edges[place], high=edges[place + 1])
    measures = {"confidence": ("confidence", "mean"), "accuracy": ("correct", "mean"), "n": ("image", "size")}
    table = rows.groupby(["model", "low", "high"]).agg(**measures).reset_index()
    gap = (table["confidence"] - table["accuracy"]).abs() * table["n"]
    sums = gap.groupby(table["model"]).sum(min_count=1) / table.groupby("model")["n"].sum()
    return table.assign(ece=table["model"].map(sums)).merge(
        frames.models[["label", "training_algorithm"]].reset_index(), on="model"
    )
