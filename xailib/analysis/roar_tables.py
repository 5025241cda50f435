"""Tables of a ROAR study: accuracies at every level, with the gap to Random, and the paper's beside ours."""

from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd

from xailib.analysis.facts import many
from xailib.analysis.roar_claims import MASK, masked
from xailib.analysis.roar_curves import Curves, racu
from xailib.analysis.roar_frames import RoarFrames
from xailib.analysis.roar_paper import DATASETS, paper_curves
from xailib.analysis.table import Table
from xailib.analysis.tables import best_of
from xailib.results import find_folder, read_table
from xailib.workspace import place

RACU = "RACU"


def describe(frames: RoarFrames) -> str:
    """Return one Markdown paragraph: what the study holds, what its intervals cover, what failed."""
    trained = len(frames.roar)
    kept = frames.roar.loc[frames.roar["mode"] == "keep", "estimator"].nunique()
    text = (
        f"Study **{frames.study.get('study', '')}**: {len(frames.estimators)} rankings, "
        f"{trained} trainings at {', '.join(map(str, frames.levels))} % "
        f"({frames.seeds} a cell; {kept} rankings also with the most important inputs kept), each tested on "
        f"**{frames.images} images** of {frames.classes} classes (chance {frames.chance:.1%})."
    )
    if frames.networks > 1:
        text += f" The rankings explain {frames.networks} networks, whose spread is inside the intervals."
    else:
        text += " *All rankings explain one network: what another training of it would change is in no interval.*"
    if frames.seeds < 2:
        text += " *With one training a cell the intervals cover the test images only, not another training.*"
    nothing = frames.roar[(frames.roar["level"] == 100) & (frames.roar["mode"] == "remove")]
    if len(nothing):
        text += f" With 100 % removed accuracy is {nothing['accuracy'].mean():.1%}, whatever the ranking."
    if len(frames.failed):
        n = len(frames.failed)
        failed = f"{many(n, 'training')} or check{'s' * (n > 1)} failed or {'are' if n > 1 else 'is'} missing"
        text += f" **{failed}** and left out; see the list below."
    return text


def accuracy_table(frames: RoarFrames, found: Curves) -> pd.DataFrame:
    """Return every mean accuracy with its 95 % interval and its gap to Random in the same mode, one row a cell.

    Columns: estimator ("none" at level 0), label, method, form, family, mode, level, accuracy, low, high, gap, gap_low,
    gap_high (all in [0, 1]; NaN where not measured), seeds (trainings), n (test images), networks (explained ones).
    """
    counts, rows = _counts(frames), []
    clean = found.estimate(found.clean)
    if np.isfinite(clean.value):
        row = {"estimator": "none", "label": "Unchanged", "mode": "remove", "level": 0, "accuracy": clean.value}
        row |= {"low": clean.low, "high": clean.high, "seeds": int((frames.roar["level"] == 0).sum()), "n": found.n}
        rows.append(row)
    for mode in found.modes:
        for name, (i, level) in product(found.known(mode), enumerate(found.levels)):
            draws, random = found.of(mode, name)[:, i], found.of(mode, "random")[:, i]
            own, gap = found.estimate(draws), found.estimate(draws - random)
            if np.isfinite(own.value):
                low, high = np.clip([own.low, own.high], 0, 1)
                row = {"estimator": name, **frames.estimators.loc[name], "mode": mode, "level": level}
                row |= {"accuracy": own.value, "low": low, "high": high}
                row |= {"gap": gap.value, "gap_low": gap.low, "gap_high": gap.high}
                rows.append(row | counts[name, mode, level])
    names = ["estimator", "label", "method", "form", "family", "mode", "level"]
    names += ["accuracy", "low", "high", "gap", "gap_low", "gap_high", "seeds", "n"]
    return pd.DataFrame(rows, columns=names).assign(networks=found.networks)


def racu_table(frames: RoarFrames, found: Curves) -> pd.DataFrame:
    """Return Recursive ROAR's area score of each estimator with its 95 % interval (`roar_curves.racu`)."""
    rows = []
    for name, draws in racu(found).items():
        own = found.estimate(draws)
        row = {"estimator": name, **frames.estimators.loc[name], "racu": own.value, "low": own.low, "high": own.high}
        rows.append(row | {"n": found.n})
    names = ["estimator", "label", "method", "form", "family", "racu", "low", "high", "n"]
    return pd.DataFrame(rows, columns=names)


def by_level(
    frames: RoarFrames, accuracy: pd.DataFrame, mode: str = "remove", area: pd.DataFrame | None = None
) -> Table:
    """Return rankings x levels: mean accuracy in percent, the best ranking of each level in bold, controls in grey.

    Args:
        accuracy: `accuracy_table`.
        mode: remove (lower is better) or keep (higher is better).
        area: `racu_table`, for a column of its own.
    """
    part = accuracy[(accuracy["mode"] == mode) & (accuracy["level"] > 0)]
    cells = 100 * part.pivot(index="estimator", columns="level", values="accuracy")
    names = [name for name in frames.estimators.index if name in cells.index]
    cells = cells.loc[names]
    control = frames.estimators.loc[names, "family"].isin(["control", "check"]).to_numpy()
    frame = cells.set_axis([f"{level} %" for level in cells], axis=1)
    frame["mean"] = cells.mean(axis=1, skipna=False)
    if len(cells.columns) and "random" in cells.index:
        top = cells.columns[-1]
        frame[f"{top} % minus Random"] = cells[top] - cells.loc["random", top]
    better = pd.Series("lower" if mode == "remove" else "higher", frame.columns)
    if area is not None:
        frame[RACU], better[RACU] = area.set_index("estimator")["racu"].reindex(names), "higher"
    labels = frames.estimators.loc[names, "label"].to_numpy()
    word = {"remove": "removed (ROAR; lower is better)", "keep": "kept (KAR; higher is better)"}[mode]
    n = f"n = {many(frames.images, 'test image')}, {many(frames.seeds, 'training')}"
    caption = f"Accuracy in % with the most important inputs {word}: {n}"
    best = best_of(frame, list(better), ~control)
    return Table(frame.set_axis(labels), caption, best, tuple(labels[control]), 2, part)


def beyond_chance(frames: RoarFrames, found: Curves) -> Table:
    """Return rankings x judgements that other things than the ranking move less, in points, with 95 % intervals.

    `DiffROAR` (Shah et al. 2021, arXiv 2102.12781): accuracy with the most important inputs kept minus that with as many of
    the least important kept, which is what removing the others leaves; masks of both kinds leak, so much of the leak
    cancels. `Mask alone`: accuracy above chance of a classifier that sees the masks only; `beyond the mask`: what the
    retrained network has above that, which takes off too much where masks and inputs tell the same.
    """
    names, levels = masked(found)
    kept, removed = (set(found.run_levels(mode, found.known("keep"))) for mode in ("keep", "remove"))
    share = min((one for one in kept if 100 - one in removed), default=None)
    rows = []
    for name in found.known("remove"):
        row = {"estimator": name, "label": frames.estimators.loc[name, "label"]}
        draws = {}
        if share is not None and name in found.known("keep"):
            draws["DiffROAR"] = found.of("keep", name, [share])[:, 0] - found.of("remove", name, [100 - share])[:, 0]
        for level in levels if name in names else ():
            alone, retrained = (found.of(mode, name, [level])[:, 0] for mode in (MASK, "remove"))
            draws |= {f"mask alone {level}": alone - found.chance, f"beyond the mask {level}": retrained - alone}
        for key, own in draws.items():
            made = found.estimate(own)
            row |= {key: made.value, f"{key}_low": made.low, f"{key}_high": made.high}
        rows.append(row | {"n": found.n})
    plain = pd.DataFrame(rows, columns=None if rows else ["estimator", "label", "n"])
    heads = {"DiffROAR": f"DiffROAR, {share} % kept"}
    for level in levels:
        heads[f"mask alone {level}"] = f"Mask alone, {level} % gone, above chance"
        heads[f"beyond the mask {level}"] = f"Retrained beyond the mask, {level} % gone"
    shown = [key for key in heads if key in plain]
    cells = {
        heads[key]: [_points(*row) for row in plain[[key, f"{key}_low", f"{key}_high"]].to_numpy()] for key in shown
    }
    quiet = frames.estimators.loc[plain["estimator"], "family"].isin(["control", "check"]).to_numpy()
    caption = f"Judgements that the leak moves less, in points (95 % intervals; n = {found.n} test images)"
    return Table(pd.DataFrame(cells, plain["label"]), caption, None, tuple(plain["label"][quiet]), 1, plain)


def _points(value: float, low: float, high: float) -> str:
    return "-" if np.isnan(value) else f"{100 * value:+z.1f} ({100 * low:+z.1f} to {100 * high:+z.1f})"


def beside_paper(frames: RoarFrames, found: Curves, mode: str = "remove") -> Table:
    """Return rankings x (level, data set): accuracy minus Random's in points, ours beside the paper's three data sets.

    Only levels and rankings that both have; accuracies of different data sets and networks can only be set beside each
    other as differences.
    """
    sources = {"here": found, **{name: paper_curves(name) for name in DATASETS}}
    theirs = paper_curves(next(iter(DATASETS)))
    levels = [level for level in found.levels if level in theirs.levels]
    names = [name for name in found.known(mode) if name in theirs.estimators and name != "random"]
    rows = []
    for level, (source, curves) in product(levels, sources.items()):
        gaps = curves.of(mode, names, [level])[:, :, 0] - curves.of(mode, "random", [level])
        for i, name in enumerate(names):
            own = curves.estimate(gaps[:, i])
            row = {"estimator": name, "mode": mode, "level": level, "source": source, "minus_random": own.value}
            rows.append(row | {"low": own.low, "high": own.high})
    plain = pd.DataFrame(rows, columns=["estimator", "mode", "level", "source", "minus_random", "low", "high"])
    head = plain["level"].astype(str) + " %"
    labels = plain["estimator"].map(frames.estimators["label"])
    cells = (100 * plain["minus_random"]).groupby([labels, head, plain["source"]], sort=False).first()
    frame = cells.unstack([1, 2], sort=False)
    word = {"remove": "removed", "keep": "kept"}[mode]
    caption = (
        f"Accuracy minus Random's in points, the most important inputs {word}: this study beside the paper's Table 2"
    )
    quiet = tuple(labels[plain["estimator"] == "sobel"].unique())
    best = best_of(frame, "lower" if mode == "remove" else "higher", ~frame.index.isin(quiet))
    return Table(frame, caption, best, quiet, 1, plain)


def read_toy(results_dir: str | Path, toy_path: str | Path | None = None) -> pd.DataFrame:
    """Return the toy problem's table (`roar.toy.curves`), or an empty frame where it was not run."""
    path = place(toy_path) if toy_path else find_folder(results_dir) / "toy.csv"
    return read_table(path) if path.exists() else pd.DataFrame()


def failures(frames: RoarFrames) -> Table:
    """Return the trainings that failed or are missing, one row each, with the reason."""
    known = frames.estimators["label"]
    table = frames.failed.assign(estimator=frames.failed["estimator"].map(known).fillna(frames.failed["estimator"]))
    table = table.astype(str).rename(columns={"status": "why"}).set_index("estimator")
    return Table(table, f"Trainings and checks that are left out: {len(table)}", plain=frames.failed)


def _counts(frames: RoarFrames) -> dict[tuple[str, str, int], dict[str, int]]:
    """Return (estimator, mode, level) -> how many trainings and test images; checks have modes as in `Curves`."""
    checks = frames.trust.assign(mode=frames.trust["check"] + "_" + frames.trust["mode"])
    both = pd.concat([frames.roar, checks])[["estimator", "mode", "level", "n"]]
    cells = both.groupby(["estimator", "mode", "level"])["n"].agg(["size", "max"])
    return {(str(a), str(b), int(c)): {"seeds": int(s), "n": int(n)} for (a, b, c), (s, n) in cells.iterrows()}
