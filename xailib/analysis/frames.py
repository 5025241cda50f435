"""The tidy frames of one study, with the facts of its models, methods and metrics beside them."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import Any

import pandas as pd

from xailib import params
from xailib.errors import InputError, nearest
from xailib.params.facts import registry_facts
from xailib.params.made_from import require
from xailib.results import find_folder, read_table

RELIABILITY = ("model", "method", "metric", "image", "value", "second", "correlation", "same")
SANITY = ("model", "method", "image", "value", "last")


@dataclass(frozen=True, eq=False)  # one study, one identity: what is computed from it can be kept
class Frames:
    """What the slices of a study measured.

    Attributes:
        scores: model, method, metric, image, target, value, and columns that some metrics add (NaN elsewhere).
        predictions: model, image, label, predicted, confidence [0, 1], label_probability, correct, subset
            (`maps`: the images with maps, or those that they were chosen from; `accuracy`: the larger sample).
        accuracy: model, shift, n, accuracy [0, 1], mean_confidence [0, 1], ece, right (text: a 1 or 0 an image).
        skipped: pairs that are not in the grid, with the reason.
        reliability: model, method, metric, image, value, second (the score of the same image's map under another seed),
            correlation (Spearman's, of the two maps), same (they are equal); empty where it was not measured.
        sanity: model, method, image, value, last (see `metrics.sanity`); empty where it was not checked.
        models: indexed by model: label, architecture, training_algorithm, epsilon (the radius that it was trained against;
            0 is vanilla, NaN not known), and recipe, one word for networks that are
            trained alike but for the seed, with its recipe_label. Without these two every network is one of its own.
        methods: indexed by method: label, family, function (what it is registered as; an id may be another setting).
        metrics: indexed by metric: label, better (higher or lower), low, high, function, extra (no claim rests on it).
    """

    scores: pd.DataFrame
    predictions: pd.DataFrame
    accuracy: pd.DataFrame
    skipped: pd.DataFrame
    models: pd.DataFrame
    methods: pd.DataFrame
    metrics: pd.DataFrame
    reliability: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=list(RELIABILITY)))
    sanity: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=list(SANITY)))

    def architecture_label(self, architecture: str) -> str:
        """Return an architecture's name for readers: the label of its first (vanilla) recipe."""
        labels = self.recipes.loc[self.recipes["architecture"] == architecture, "label"]
        return str(labels.iloc[0]) if len(labels) else architecture

    @cached_property
    def recipes(self) -> pd.DataFrame:
        """Facts like those of `models`, one row a recipe, indexed by its first network: the units of intervals over networks.

        Seeds of one recipe are alike, so three of them are averaged and counted once (`scores.over_seeds`): as three
        networks they would make intervals too narrow and p values too small (pseudo-replication, Hurlbert 1984,
        Ecological Monographs 54:187).
        """
        if "recipe" not in self.models:
            return self.models
        first = self.models[~self.models["recipe"].duplicated()]
        return distinct(first.assign(label=first["recipe_label"]))

    @cached_property
    def unit(self) -> str:
        """What an interval over networks counts: networks, or recipes where some have several seeds."""
        return "networks" if len(self.recipes) == len(self.models) else "recipes"

    @cached_property
    def images(self) -> list[str]:
        """Ids of the images that have scores, in order of appearance."""
        return self.scores["image"].unique().tolist()

    def kept(self, folder: Path, file: str) -> dict[tuple[str, str], Path]:
        """Return by (model, method) the files of this name that the slices kept; of pairs with scores, and no others.

        What a pair left behind that the study excludes by now may be of other images or weights.
        """
        pairs = set(self.scores[["model", "method"]].itertuples(index=False, name=None))
        paths = {pair: folder.joinpath(*pair, file) for pair in product(self.models.index, self.methods.index)}
        return {pair: path for pair, path in paths.items() if pair in pairs and path.exists()}

    def scored(self, *metrics: str) -> int:
        """How many images have a score under any of these metrics; without a box or a mask an image has none of some."""
        rows = self.scores[self.scores["metric"].isin(metrics) & self.scores["value"].notna()]
        return rows["image"].nunique()

    @cached_property
    def labelled(self) -> bool:
        """Whether any image has a label; without one no answer is right or wrong."""
        return bool(self.predictions["correct"].notna().any())

    def only_correct(self, only: bool = True) -> "Frames":
        """Keep the scores of the images that every model classifies correctly; with `only` False keep all.

        What a network gets wrong differs between networks and could by itself make one of them look more explainable,
        so this is the default of every table.
        """
        if not only:
            return self
        kept = self.scores["image"].isin(correct_by_all(self))
        return replace(self, scores=self.scores[kept].reset_index(drop=True))

    def by(self, columns: Mapping[str, str]) -> "Frames":
        """Score metrics by another of their columns, which holds another convention: {metric: column}."""
        if not columns:
            return self
        value = self.scores["value"].copy()
        for metric, column in columns.items():
            rows = self.scores["metric"] == metric
            value[rows] = self.scores.loc[rows, column]
        return replace(self, scores=self.scores.assign(value=value))

    def columns_of(self, metric: str) -> set[str]:
        """Return the columns that hold numbers for one metric: value, and value_<convention> of others."""
        rows = self.scores[self.scores["metric"] == metric]
        return {name for name in rows if str(name).startswith("value") and rows[name].notna().any()}

    def one_setting(self, second: bool = False) -> "Frames":
        """Keep one setting of each method and metric, under its function's name: what claims about them speak of.

        Of several settings the one that is called like its function stays, else the first; `second` takes the next one
        of each method that has several.
        """
        kept = {"method": one_each(self.methods, second), "metric": one_each(self.metrics)}
        facts = {"method": self.methods, "metric": self.metrics}
        if all(list(kept[kind]) == list(kept[kind].values()) == list(facts[kind].index) for kind in facts):
            return self
        scores = self.scores[self.scores["method"].isin(kept["method"]) & self.scores["metric"].isin(kept["metric"])]
        scores = scores.assign(**{kind: scores[kind].map(names) for kind, names in kept.items()})
        methods, metrics = (facts[kind].loc[list(names)].rename(index=names) for kind, names in kept.items())
        return replace(self, scores=scores.reset_index(drop=True), methods=methods, metrics=metrics)


def one_each(facts: pd.DataFrame, second: bool = False) -> dict[str, str]:
    """Return {id: function} of the setting that stands for each function (or the `second`), in the order of `facts`."""
    chosen: dict[str, str] = {}
    for function, own in facts.groupby("function", sort=False).groups.items():
        names = sorted(map(str, own), key=lambda name: name != function)  # stable: the others stay as they were
        chosen[str(function)] = names[min(int(second), len(names) - 1)]
    return {name: function for name, function in facts["function"].items() if chosen[function] == name}


def correct_by_all(frames: Frames) -> list[str]:
    """Return the ids of the images with maps that every model of the study classifies correctly."""
    predictions = frames.predictions[frames.predictions["subset"] == "maps"]
    correct = predictions.pivot_table(index="image", columns="model", values="correct", aggfunc="min", observed=True)
    every = correct.reindex(columns=frames.models.index).fillna(0).astype(bool).all(axis=1)
    return [image for image in frames.images if every.get(image, False)]


def read_frames(results_dir: str | Path, **made_from: Any) -> Frames:
    """Read the collected tables of a study from its results folder (relative to here or to the repository).

    Args:
        results_dir: holds `scores.parquet`, `predictions.parquet` and `accuracy.parquet`.
        made_from: what the tables must have been made from, such as `study="smoke"`; tables that do not say are taken.
    """
    folder = find_folder(results_dir)
    tables = {name: _plain(folder / f"{name}.parquet") for name in ("scores", "predictions", "accuracy")}
    for name, table in tables.items():
        if made_from and "made_from" in table.attrs:
            require(folder / f"{name}.parquet", table.attrs["made_from"], made_from, tuple(made_from))
    skipped = folder / "skipped.csv"
    tables["skipped"] = pd.read_csv(skipped) if skipped.exists() and skipped.stat().st_size > 1 else pd.DataFrame()
    for name in ("reliability", "sanity"):  # not every study has them
        path = folder / f"{name}.parquet"
        tables |= {name: _plain(path)} if path.exists() else {}
    present = {name: tables["scores"][name].unique().tolist() for name in ("model", "method", "metric")}
    return Frames(
        **tables,
        models=distinct(model_facts(present["model"])),
        methods=distinct(method_facts(present["method"])),
        metrics=distinct(metric_facts(present["metric"])),
    )


def distinct(facts: pd.DataFrame) -> pd.DataFrame:
    """Add the id to labels that two things share, so that a reader can tell them apart."""
    shared = facts["label"].duplicated(keep=False)
    return facts.assign(label=facts["label"].where(~shared, facts["label"] + " (" + facts.index + ")"))


def by_kind(facts: pd.DataFrame, column: str, order: Sequence[str]) -> pd.DataFrame:
    """Sort facts by a column whose values have an order; others come last, and rows of one value stay as they are."""
    places = facts[column].map({value: i for i, value in enumerate(order)}).fillna(len(order))
    return facts.loc[places.sort_values(kind="stable").index]


def model_facts(models: Sequence[str]) -> pd.DataFrame:
    """Return label, architecture, training algorithm and recipe of models, from their parameter files.

    Seeds of one recipe are numbered: 'ResNet-R 1', 'ResNet-R 2'.
    """
    records = [params.load_params("models", model) for model in models]
    rows = [{"model": model, **record, "recipe": recipe(record)} for model, record in zip(models, records, strict=True)]
    rows = [row | {"epsilon": radius(row)} for row in rows]
    columns = ["model", "label", "architecture", "training_algorithm", "epsilon", "recipe"]
    table = pd.DataFrame(rows, columns=columns).set_index("model")
    table = table.sort_values("epsilon", kind="stable")
    trained = by_kind(table, "training_algorithm", ("vanilla", "advprop", "robust"))
    table = trained.sort_values("architecture", kind="stable").assign(recipe_label=lambda table: table["label"])
    seeds, several = table.groupby("recipe").cumcount() + 1, table["recipe"].duplicated(keep=False)
    return table.assign(
        label=table["label"].where(~several, table["label"] + " " + seeds.astype(str)),
        recipe=table.index.to_series().groupby(table["recipe"]).transform("first"),
    )


def radius(record: Mapping[str, Any]) -> float:
    """Return the L2 radius of the attacks that a network was trained against; 0 of a vanilla one, NaN where not known."""
    known = record.get("epsilon", (record.get("training") or {}).get("epsilon"))
    return known if known is not None else 0.0 if record["training_algorithm"] == "vanilla" else math.nan


def recipe(record: Mapping[str, Any]) -> str:
    """Return how a network is made, but for the seed, as text; one that the suite did not train is its own recipe."""
    training = record.get("training")
    if not training:
        return str(record["model"])
    initial = training.get("initial")
    start = recipe(params.load_params("models", initial)) if initial in params.ids("models") else initial
    alike = {**training, "seed": 0, "initial": start}
    keys = ("architecture", "model_options", "training_algorithm", "model_dataset", "input_size")
    return json.dumps([alike, *(record.get(key) for key in keys)], sort_keys=True)


def method_facts(methods: Sequence[str]) -> pd.DataFrame:
    """Return label, family and function of methods by family: gradient, CAM, perturbation, control."""
    table = _facts("method", methods)[["label", "family", "function"]]
    return by_kind(table, "family", ("gradient", "cam", "perturbation", "control"))


def metric_facts(metrics: Sequence[str]) -> pd.DataFrame:
    """Return label, direction, range and function of metrics, and which are `extra`, in registry order."""
    table = _facts("metric", metrics)
    for i, side in enumerate(("low", "high")):
        table[side] = [ends[i] for ends in table["range"]]
    return table[["label", "better", "low", "high", "function", "extra"]]


def _facts(kind: str, names: Sequence[str]) -> pd.DataFrame:
    """Return what the registry knows, in its order; a parameter file may give a function another id and label."""
    known, files = registry_facts()[f"{kind}s"], params.ids(f"{kind}s")
    rows = []
    for name in names:
        values = params.load_params(f"{kind}s", name) if name in files else {}
        function = values.get(f"{kind}_function", name)
        if function not in known:
            raise InputError(f"unknown {kind} '{function}'{nearest(function, known)}")
        label = values.get(f"{kind}_label", known[function]["label"])
        extra = values.get(f"{kind}_extra", False)
        rows.append({**known[function], "label": label, "function": function, "extra": extra})
    columns = ["label", "family", "better", "range", "function", "extra"]
    table = pd.DataFrame(rows, index=pd.Index(list(names), name=kind, dtype=object), columns=columns)
    return by_kind(table, "function", list(known))


def _plain(path: Path) -> pd.DataFrame:
    """Read a table; categories become text, so that groups which do not occur are not counted."""
    frame = read_table(path)
    return frame.astype({name: str for name in frame.select_dtypes("category").columns})
