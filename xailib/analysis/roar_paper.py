"""The ROAR paper's own numbers (Hooker et al. 2019, arXiv 1806.10758), in the form that ours have."""

from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd

from xailib.analysis.roar_curves import Curves

TABLE = Path(__file__).with_name("roar_paper.csv")
DATASETS = {"Birdsnap": 500, "Food-101": 101, "ImageNet": 1000}  # classes


@lru_cache(maxsize=1)
def paper_table() -> pd.DataFrame:
    """Return the paper's Table 2 and the few numbers beside it, one row a number.

    Columns: dataset (Birdsnap, Food-101, ImageNet), mode (remove, keep, none for unchanged images, no_retraining),
    estimator (our ids), level (percent removed or kept), percent (mean test accuracy), source, note (where the printed
    number looks wrong).
    """
    return pd.read_csv(TABLE, comment="#", keep_default_na=False)


@lru_cache(maxsize=4)
def paper_curves(dataset: str) -> Curves:
    """Return one data set of the paper as `Curves` without bootstrap copies: the paper prints means only."""
    table = paper_table()
    table = table[table["dataset"] == dataset]
    tested = table[table["level"] > 0]
    names, levels = tuple(dict.fromkeys(tested["estimator"])), tuple(sorted(map(int, tested["level"].unique())))
    modes = {}
    for mode, part in tested.groupby("mode"):
        cells = part.pivot(index="estimator", columns="level", values="percent").reindex(index=names, columns=levels)
        mode = "no_retraining_remove" if mode == "no_retraining" else str(mode)
        modes[mode] = cells.to_numpy(float)[None] / 100
    clean = table.loc[table["level"] == 0, "percent"].to_numpy(float) / 100
    return Curves(
        modes, np.asarray(clean), names, levels, 1 / DATASETS[dataset], 0, "trainings on the paper's test set"
    )
