"""The stages of a study, in one table: what a stage runs, what its results depend on, and how long it may take.

The rules of the Snakefile, the digests of sources, what a result says it was made from and the time limits on a cluster
read this table. A stage is called as its rule is.
"""

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Stage:
    """One stage.

    Attributes:
        starts: the notebook or module that it runs; its code, and all that this imports, are behind its results.
        study: the study's values that they depend on. Others (which models, how large a batch) re-run no slice.
        files: values of other files that they depend on, and what `made_from` makes of them.
        uses: values that name what is looked up in the registries: the files of these functions count, not their neighbours'.
        minutes: a slice's time limit in its first attempt at full scale: ImageNet's 2,000 images on one GPU; trainings of
            ROAR run all seeds of a ResNet-50. Studies of smaller scales have shorter ones, but for `any_scale`.
        gpu: whether its slices run faster on a GPU.
        any_scale: whether it takes as long for any study.
    """

    starts: str
    study: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    uses: tuple[str, ...] = ()
    minutes: int = 60
    gpu: bool = False
    any_scale: bool = False


_IMAGES = ("dataset", "root", "split", "limit", "seed", "precision")
_FILES = ("images", "other_images")  # what is in the files of a data set of one's own
_DATASET = ("dataset_function", "dataset_options", "dataset_classes", *_FILES)
_MAPS = ("chosen", *_DATASET, "dataset_references", "model", "network", "method", "method_function", "options")
_ACCURACY = (*_DATASET, "dataset_accuracy_options", "model", "network")
_SHIFTS = ("shifts", "shift_roots", "accuracy_images", "attack_images", "attack_epsilon", "attack_steps")
_FINETUNE = ("finetune_split", "finetune_images", "finetune_steps", "finetune_rate")
_PARTS = ("train_split", "test_split", "train_images", "test_images")

STAGES = {
    "probe": Stage(
        "notebooks/predict.ipynb",
        study=("dataset", "root", "split", "seed", "precision"),
        files=_ACCURACY,
        uses=("dataset", "model"),
        minutes=240,
        gpu=True,
    ),
    "predict": Stage(
        "notebooks/predict.ipynb",
        study=(*_IMAGES, "only_correct", *_SHIFTS),
        files=_ACCURACY,
        uses=("dataset", "model", "shift_roots"),
        minutes=240,
        gpu=True,
    ),
    "choose": Stage("xailib.workflow.choose", study=(*_IMAGES, "only_correct", "accuracy_images", "models")),
    "attribute": Stage(
        "notebooks/attribute.ipynb",
        study=(*_IMAGES, "scale", "target", "reliability_images"),
        files=_MAPS,
        uses=("dataset", "model", "method"),
        minutes=720,
        gpu=True,
    ),
    "evaluate": Stage(
        "notebooks/evaluate.ipynb",
        study=(*_IMAGES, "scale", "metrics"),
        files=("chosen", *_DATASET, "model", "network", "method", "options"),
        uses=("dataset", "model", "metrics"),
        minutes=480,
        gpu=True,
    ),
    "sanity": Stage(
        "notebooks/sanity.ipynb",
        study=(*_IMAGES, "scale", "target", "sanity_images", "sanity_points"),
        files=_MAPS,
        uses=("dataset", "model", "method"),
        minutes=720,
        gpu=True,
    ),
    # Only where a metric asks for copies of the networks that know deletions (`xailib.metrics.finetuned`).
    "finetune": Stage(
        "notebooks/finetune.ipynb",
        study=("dataset", "root", "split", "seed", "scale", *_FINETUNE),
        files=(*_DATASET, "model", "network", "metric", "metric_function", "options"),
        uses=("dataset", "model", "metric"),
        minutes=720,
        gpu=True,
    ),
    "indomain": Stage(
        "notebooks/indomain.ipynb",
        study=(*_IMAGES, "scale", "target", "metrics", *_FINETUNE),
        files=(*_MAPS, "judges"),
        uses=("dataset", "model", "method", "metrics"),
        minutes=720,
        gpu=True,
    ),
    "collect": Stage(
        "xailib.workflow.collect",
        study=("study", *_IMAGES, "scale", "target", "models", "methods", "metrics", "exclude"),
    ),
    "final": Stage(
        "notebooks/{notebook}.ipynb",
        study=("study", "description", "only_correct", "bootstrap", "compare"),
        uses=("dataset",),
    ),
    "report_notebook": Stage("notebooks/report.ipynb"),
    "report": Stage("xailib.analysis.page"),
    "train": Stage("notebooks/train.ipynb", uses=("model",), minutes=1440, gpu=True, any_scale=True),
    # Of a ROAR study. Which estimators there are, or how many seeds, re-run no ranking.
    "roar_images": Stage(
        "xailib.roar.images",
        study=("dataset", "root", "image_options", "side", *_PARTS, "seed"),
        files=("dataset_function", "dataset_options", *_FILES),
        uses=("dataset",),
        minutes=240,
    ),
    "roar_rank": Stage(
        "notebooks/roar_rank.ipynb",
        study=("levels", "unit", "target", "scale", "seed", "trust_images"),
        files=("base", "estimators", "options"),
        uses=("architecture", "estimators"),
        minutes=1440,
        gpu=True,
    ),
    "roar_retrain": Stage(
        "notebooks/roar_retrain.ipynb",
        study=("architecture", "recipe", "seeds", "base_networks", "precision"),
        files=("estimator", "mode", "level"),
        uses=("architecture",),
        minutes=4320,
        gpu=True,
    ),
    "roar_trust": Stage(
        "notebooks/roar_trust.ipynb",
        study=("architecture", "recipe", "base_networks", "precision", "trust_images", "scale", "seed"),
        files=("estimator", "mask_levels", "options"),
        uses=("dataset", "architecture", "metrics"),
        minutes=720,
        gpu=True,
    ),
    "roar_toy": Stage("notebooks/roar_toy.ipynb"),
    "roar_collect": Stage("xailib.workflow.collect", study=("study", "estimators", "keep_estimators", "levels")),
    "roar_results": Stage(
        "notebooks/roar_results.ipynb", study=("study", "description", "bootstrap"), uses=("dataset",)
    ),
}
# The final notebooks of a study, by its kind, in the order of the report.
FINALS = {"papers": ("gallery", "explainability", "correlation"), "compare": ("compare", "gallery")}
STAGES["roar_base"] = replace(STAGES["roar_retrain"])  # the same training, on unchanged images


def of_rule(name: str) -> Stage:
    """Return the stage of a rule, whose name may have got a prefix where another workflow takes the rules in."""
    return STAGES[max((stage for stage in STAGES if stage in name), key=len)]
