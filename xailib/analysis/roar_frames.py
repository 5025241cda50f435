"""The tidy frames of one ROAR study: every training, every check, and the facts of the estimators beside them."""

import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from xailib.analysis.frames import by_kind, distinct
from xailib.errors import InputError
from xailib.params import load_params
from xailib.params.estimator_files import family
from xailib.params.facts import registry_facts
from xailib.results import find_folder, read_table

ORDER = ("base", "smoothgrad", "squared", "ensemble", "control", "check")
COLUMNS = ["estimator", "mode", "level", "seed", "base", "accuracy", "n", "epochs", "seconds", "status", "correct"]
FAILED = ["estimator", "mode", "level", "seed", "status"]
BOXED = ("pointing_game", "localisation")  # checks that ask where the object is: no fault of images without boxes
TRUST_COLUMNS = ["estimator", "check", "mode", "level", "seed", "base", "value", "n", "correct"]


@dataclass(frozen=True, eq=False)  # one study, one identity: what is computed from it can be kept
class RoarFrames:
    """What the trainings and checks of a ROAR study measured.

    Attributes:
        roar: trainings that ended well: estimator ("none": unchanged images, level 0), mode (remove, keep), level
            (percent), seed, base (the network whose ranking it was), accuracy [0, 1], n (test images), epochs, seconds,
            correct (packed bits, see `hits`).
        trust: checks: estimator, check, mode, level, seed, base, value, n, correct (empty where there are no hits).
        failed: trainings and checks that failed or are missing: estimator, mode, level, seed, status (why).
        estimators: indexed by estimator: label, method, form, family (base, smoothgrad, squared, ensemble, control, or
            check for the blurred and redrawn rankings that test ROAR itself).
        study: the study's values.
        classes: how many.
        chance: accuracy of a network that sees nothing (`blind_accuracy`).
    """

    roar: pd.DataFrame
    trust: pd.DataFrame
    failed: pd.DataFrame
    estimators: pd.DataFrame
    study: dict[str, Any]
    classes: int
    chance: float

    @property
    def levels(self) -> list[int]:
        """The removal levels in percent, without 0 and 100, where all rankings are the same."""
        return sorted(int(level) for level in self.roar["level"].unique() if 0 < level < 100)

    @property
    def seeds(self) -> int:
        """How many trainings a cell has at most."""
        cells = self.roar.groupby(["estimator", "mode", "level"]).size()
        return int(cells.max()) if len(cells) else 0

    @property
    def networks(self) -> int:
        """How many base networks the rankings explain: those with a training that ended well."""
        return max(self.roar["base"].nunique(), 1)

    @property
    def blind(self) -> set[str]:
        """The rankings that look at no network."""
        methods = registry_facts()["methods"]
        known = self.estimators["method"].map(lambda name: methods.get(name, {}).get("family") == "control")
        return set(self.estimators.index[known])

    @property
    def images(self) -> int:
        """How many test images every training was tested on."""
        return int(self.roar["n"].max()) if len(self.roar) else 0


def hits(rows: pd.DataFrame) -> NDArray[np.bool_]:
    """Unpack which test images each row got right: bool `(rows, n)`; the rows must have one `n`."""
    n = int(rows["n"].iloc[0])
    packed = np.stack([np.frombuffer(row, np.uint8) for row in rows["correct"]])
    return np.unpackbits(packed, axis=1, count=n).astype(bool)


def read_roar(results_dir: str | Path, study: Mapping[str, Any] | None = None) -> RoarFrames:
    """Read the collected tables of a ROAR study from its results folder (relative to here or to the repository).

    Args:
        results_dir: holds `roar.parquet` and, where the checks were run, `trust.parquet`.
        study: the study's values; by default those of its parameter file.

    Raises:
        InputError: a missing or damaged table, an unknown estimator, or a training whose accuracy is not what its hits
            say.
    """
    from xailib.analysis.facts import study_values

    folder = find_folder(results_dir)
    values = dict(study) if study is not None else study_values(folder)
    table = _checked(read_table(folder / "roar.parquet"), COLUMNS, folder / "roar.parquet")
    trust = pd.DataFrame(columns=TRUST_COLUMNS)
    if (folder / "trust.parquet").exists():
        trust = _checked(read_table(folder / "trust.parquet"), TRUST_COLUMNS, folder / "trust.parquet")
    well = (table["status"] == "ok") & table["accuracy"].notna() & (table["correct"].map(len) > 0)
    roar = table[well].reset_index(drop=True)
    _agree(roar, "accuracy", folder / "roar.parquet")
    _agree(trust[trust["correct"].map(len) > 0], "value", folder / "trust.parquet")
    boxless = [check for check in BOXED if trust.loc[trust["check"] == check, "value"].isna().all()]
    unclear = trust[trust["value"].isna() & ~trust["check"].isin(boxless)]
    unclear = unclear.assign(status="no result of check " + unclear["check"].astype(str))
    failed = pd.concat([table[~well], missing(table), unclear], ignore_index=True)
    names = [name for name in dict.fromkeys([*table["estimator"], *trust["estimator"]]) if name != "none"]
    store = folder / "store" / "store.json"
    images = json.loads(store.read_text(encoding="utf-8")) if store.exists() else None
    classes = len(images["class_names"]) if images else count_classes(folder, values)
    return RoarFrames(
        roar=roar,
        trust=trust,
        failed=failed[FAILED],
        estimators=estimator_facts(names),
        study=values,
        classes=classes,
        chance=blind_accuracy(classes, *(images[part]["labels"] for part in ("train", "test") if images)),
    )


def missing(table: pd.DataFrame) -> pd.DataFrame:
    """Return the trainings that an estimator lacks beside the levels and seeds that others of its mode have."""
    keys = ["estimator", "level", "seed"]
    rows = []
    for mode, part in table[table["level"] > 0].groupby("mode"):
        known = set(part[keys].itertuples(index=False, name=None))
        names, levels, seeds = (part[name].unique() for name in keys)
        whole = itertools.product(names, sorted(levels), sorted(seeds))
        rows += [(name, mode, *cell, "missing: was not run") for name, *cell in whole if (name, *cell) not in known]
    return pd.DataFrame(rows, columns=FAILED)


def estimator_facts(names: Sequence[str]) -> pd.DataFrame:
    """Return label, method, form and family of estimators, from their parameter files, by family.

    A blurred or redrawn ranking is a check on ROAR, not an estimator.
    """
    facts, rows = registry_facts(), []
    for name in names:
        values = {"estimator_label": name, "estimator_method": name, "estimator_form": "plain"}
        values |= load_params("estimators", name)
        check = values.get("estimator_blur") or values.get("estimator_redraw")
        kinds = [values[f"estimator_{key}"] for key in ("label", "method", "form")]
        rows.append([name, *kinds, "check" if check else family(values, facts)])
    table = pd.DataFrame(rows, columns=["estimator", "label", "method", "form", "family"]).set_index("estimator")
    return distinct(by_kind(table, "family", ORDER))


def blind_accuracy(classes: int, train: Sequence[int] = (), test: Sequence[int] = ()) -> float:
    """Return the accuracy in [0, 1] of a network that sees nothing, the better of two answers: any class, or always one.

    The one is the commonest class of training: where nine images in ten are of it, it is right in nine of ten.

    Args:
        classes: how many.
        train, test: labels of the images; where they are not known, classes are taken to be equally frequent.
    """
    if not len(test):
        return 1 / classes
    trained, tested = (np.bincount(labels, minlength=classes) for labels in (train, test))
    return max(1 / classes, float(tested[trained == trained.max()].mean() / len(test)))


def count_classes(folder: Path, study: Mapping[str, Any]) -> int:
    """Return how many classes a study's data set has, where the images that it was made of are gone."""
    if not study.get("dataset"):
        raise InputError(
            f"{folder}: neither an image store nor the study says how many classes there are; give the data set"
        )
    from xailib.datasets import class_names

    record = load_params("datasets", study["dataset"])
    options = {**record.get("dataset_options", {}), **study.get("image_options", {}), "root": study.get("root")}
    return len(class_names(record.get("dataset_function", study["dataset"]), **options))


def _checked(table: pd.DataFrame, columns: list[str], path: Path) -> pd.DataFrame:
    lacking = [name for name in columns if name not in table]
    if lacking:
        raise InputError(f"{path}: has no column '{lacking[0]}'; it needs {', '.join(columns)}")
    table = table.astype({name: object for name in table.select_dtypes("category").columns})
    return table.assign(mode=table["mode"].fillna(""))


def _agree(rows: pd.DataFrame, column: str, path: Path) -> None:
    """Refuse a row whose accuracy is not the share of its hits, or whose hits are of another length."""
    for row in rows.itertuples():
        value, bits = getattr(row, column), np.frombuffer(row.correct, np.uint8)
        if len(bits) != -(-row.n // 8) or abs(np.unpackbits(bits, count=int(row.n)).mean() - value) > 1e-4:
            raise InputError(
                f"{path}: {row.estimator} {row.mode} {row.level} % seed {row.seed} has accuracy {value:.4f}, which its "
                f"{row.n} hits do not say; delete the file and collect again"
            )
