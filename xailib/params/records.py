"""What each kind of file in `params/` may say: one class a kind, one field a key.

`python -m xailib.params.schema` writes them as JSON schemas, which editors read.
"""

from collections.abc import Iterator
from itertools import pairwise
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Le, Len, Predicate
from pydantic import Field, StringConstraints

from xailib.params.checks import Record, field
from xailib.params.recipe import Recipe

# Folder of params/ -> the key that is a file's identity. Notebooks merge the files in this order; later ones may not
# repeat a key.
KINDS = {
    "studies": "study",
    "datasets": "dataset",
    "models": "model",
    "methods": "method",
    "metrics": "metric",
    "estimators": "estimator",
}


def different(words: list[str]) -> bool:
    """a list of different words, at least one"""
    return 0 < len(words) == len(set(words))


def ascending(levels: list[int]) -> bool:
    """in ascending order"""
    return all(low < high for low, high in pairwise(levels))


Id = Annotated[str, StringConstraints(pattern="^[a-z0-9_]+$")]
Device = Annotated[str, StringConstraints(pattern="^(auto|cpu|cuda|cuda:[0-9]+|mps)$")]
Sha256 = Annotated[str, StringConstraints(pattern="^[0-9a-f]{64}$")]
Sha256Prefix = Annotated[str, StringConstraints(pattern="^[0-9a-f]{8,64}$")]
Names = Annotated[list[str], Predicate(different), Field(json_schema_extra={"minItems": 1, "uniqueItems": True})]
Pair = Annotated[list[str], Len(2, 2)]
Count = Annotated[int, Ge(1)]
Natural = Annotated[int, Ge(0)]
Side = Annotated[int, Ge(8)]
Width = Annotated[float, Ge(0)]
Share = Annotated[float, Ge(0), Le(1)]
Colour = Annotated[list[Annotated[float, Field(json_schema_extra={"minimum": 0, "maximum": 1})]], Len(3, 3)]
Levels = Annotated[list[Annotated[int, Ge(1), Le(100)]], Len(1, 15), Predicate(ascending)]
MaskLevels = Annotated[list[Annotated[int, Ge(1), Le(99)]], Len(0, 15), Predicate(ascending)]
Options = dict[str, Any]


class Dataset(Record):
    """A data set"""

    dataset: Id = field("Data set id: the file name")
    dataset_function: str = field("Registered function, where it is not called like the file", None)
    dataset_label: str = field("Name in figures", None)
    dataset_options: Options = field("Options of the registered function", {})
    dataset_classes: Literal["by_name", "unknown"] | dict[str, str] | None = field(
        "Which of a network's classes each class is. null: the same in the same order; by_name: that of the same "
        "name; unknown: none (target: predicted); or lines of 'class: its name in the network'",
        None,
    )
    dataset_held_out: str = field("What the images are that accuracy is measured on, in words", None)
    dataset_accuracy_options: Options = field("Options of the images of accuracy, over dataset_options", {})
    dataset_references: str | None = field("Split that SHAP's references are from; null for noise", None)


class Method(Record):
    """An attribution method"""

    method: Id = field("Method id: the file name")
    method_function: str = field("Registered function, where it is not called like the file", None)
    method_label: str = field("Name in figures, where it is not the registered one", None)
    method_options: Options = field("Options of the registered function", {})
    method_scales: dict[str, Options] = field("Options that a study's scale overrides", {})
    method_extra: bool = field('Left out of "all": a study must name it, or a pattern that it fits', False)


class Metric(Record):
    """A metric"""

    metric: Id = field("Metric id: the file name")
    metric_function: str = field("Registered function, where it is not called like the file", None)
    metric_label: str = field("Name in figures, where it is not the registered one", None)
    metric_options: Options = field("Options of the registered function", {})
    metric_scales: dict[str, Options] = field("Options that a study's scale overrides", {})
    metric_extra: bool = field(
        'Left out of "all", and no claim of a paper rests on it: a study must name it, or a pattern that it fits', False
    )


class Weights(Record):
    """Where the weights come from"""

    source: str = field(
        "file, package, torchvision, timm, huggingface or url; code: those that the architecture's function itself gives"
    )
    path: str = field("file: relative to the repository, or absolute; package: as it lists it", None)
    package: str = field("package: its name in the registry", None)
    enum: str = field("torchvision: such as ResNet50_Weights.IMAGENET1K_V1", None)
    name: str = field("timm: the network's name with the tag of the weights", None)
    repo: str = field("huggingface: owner/name", None)
    file: str = field("huggingface: the file in the repository", None)
    revision: str = field("huggingface: branch, tag or commit; main when not given", None)
    url: str = field("url: address of the file", None)
    sha256: Sha256 | None = field("Of the file, where known", None)
    sha256_prefix: Sha256Prefix = field("Its first digits, where no more is known", None)
    layout: str = field(
        "auto (if absent), plain, wrapped, robustness, split_bn, efficientnet_lite or keras_squeezenet", None
    )
    key: str = field("The entry of the file that holds them, where there are several", None)
    origin: str = field("file: where the user gets it", None)
    license: str = field("On what terms", None)


class Figure(Record):
    """An accuracy and where it is from"""

    value: Share = field("In [0, 1]")
    source: str = field("Where the figure is from")


class Accuracy(Figure):
    """Expected clean top-1 accuracy; a network far off it is refused before it is explained"""

    dataset: str = field("Data set, or its registered function, that it holds for")
    also: list[Figure] = field("Figures for other samples; agreement with one is enough", None)


class Model(Record):
    """A model"""

    model: Id = field("Model id: the file name")
    label: str = field("Name in figures", None)
    architecture: str = field(
        "A registered architecture; timm, torchvision, huggingface and function make any by model_options.name"
    )
    training_algorithm: Id = field(
        "vanilla, robust and advprop are the paper's; another word is a group of its own in figures"
    )
    epsilon: Annotated[float, Ge(0)] = field(
        "L2 radius, over pixels in [0, 1], of the attacks it was trained against, where `training` does not say", None
    )
    model_dataset: str = field(
        "Data set that it was trained on, and whose class names it has unless class_names says otherwise", None
    )
    class_names: str | Names = field(
        "What its outputs stand for: a list, a file with one name a line, or a data set (imagenet)", None
    )
    input_size: Side = field("Side of the square input in pixels")
    mean: Colour = field("Subtracted from pixels in [0, 1]", [0.0, 0.0, 0.0])
    std: Colour = field("Pixels in [0, 1] are divided by it", [1.0, 1.0, 1.0])
    output: Literal["auto", "logits", "probabilities", "log_probabilities"] = field(
        "What it answers; auto looks, and warns of other than logits", "auto"
    )
    cam_layer: str = field("Layer of the last maps, where the architecture does not say", None)
    offers: list[Literal["cam_layer", "gap_linear_head"]] = field(
        "What methods may ask for; gap_linear_head: logits are linear in the mean of the maps", None
    )
    weights: Weights = field("Where the weights come from")
    accuracy: Accuracy = field("Expected clean top-1 accuracy; one far off it is refused", None)
    model_options: Options = field("Options of the registered architecture", {})
    training: Options = field("Recipe, for models that the suite trains", None)

    @classmethod
    def together(cls, values: dict[str, Any]) -> Iterator[tuple[str, str]]:
        for name, other, opening in (("mean", "std", "["), ("std", "mean", "(")):
            colour = values.get(name) or []
            if name in values and other not in values:
                yield other, f"missing; {name} is given, and neither goes without the other"
            if not all(share <= 1 and (share > 0 or (share == 0 and name == "mean")) for share in colour):
                hint = "; divide by 255?" if all(share > 1 for share in colour) else ""
                yield name, f"{colour} does not lie in {opening}0, 1]{hint}"
        radius, training = values.get("epsilon"), values.get("training") or {}
        algorithm, learns = values.get("training_algorithm"), training.get("epsilon")
        if radius is not None and training.get("epsilon", radius) != radius:
            yield "epsilon", f"{radius}, but training.epsilon is {training['epsilon']}; leave one of them out"
        elif (radius or learns) and algorithm == "vanilla":
            key = "epsilon" if radius else "training.epsilon"
            yield key, f"{radius or learns}, but a vanilla network was trained against no attack; leave it out"
        if values.get("training") is not None and not learns and algorithm in ("robust", "advprop"):
            yield "training.epsilon", f"missing; {algorithm} trains on attacked images, so give their radius above 0"
        options, kind = values.get("model_options", {}), values.get("architecture")
        by_name = kind in ("timm", "torchvision", "huggingface", "function") and options is not None
        if by_name and not isinstance(options.get("name"), str):
            yield "model_options", f"architecture {kind} makes a network by its name; add `name:`, a text"


class EstimatorScale(Record):
    """Values of an estimator at one scale"""

    estimator_options: Options = field("Options of the method, over those at full scale", None)
    estimator_samples: Count = field("Noisy copies of each image", None)
    estimator_noise: Width = field("Standard deviation of the noise", None)
    estimator_blur: Width = field("Standard deviation of the blur", None)


class Estimator(Record):
    """A ROAR estimator: a method's map, or what noise on the image makes of it, as a ranking"""

    estimator: Id = field("Estimator id: the file name")
    estimator_label: str = field("Name in figures; the id where there is none", None)
    estimator_method: str = field("A registered attribution method")
    estimator_form: str = field(
        "plain, squared, smoothgrad, smoothgrad_then_squared, smoothgrad_squared, vargrad or another that is registered"
    )
    estimator_options: Options = field("Options of the method", {})
    estimator_samples: Count = field("Noisy copies of each image, for forms that read them", 15)
    estimator_noise: Width = field("Standard deviation of the noise as a share of (max - min) of the image", 0.15)
    estimator_blur: Width = field("Standard deviation in pixels of a blur of the map; 0 is none", 0.0)
    estimator_redraw: bool = field("Random only: a new mask every epoch instead of one an image", False)
    estimator_scales: dict[str, EstimatorScale] = field("What a study's scale overrides", {})

    @classmethod
    def together(cls, values: dict[str, Any]) -> Iterator[tuple[str, str]]:
        method = values.get("estimator_method")
        if values.get("estimator_redraw") and method not in ("random", None):
            yield "estimator_redraw", f"only method 'random' can be drawn anew, not '{method}'; write false"


class AnyStudy(Record):
    """What both kinds of study say"""

    study: Id = field("Name of the study: its file name, and its folder in results/")
    description: str = field("One sentence for the report", "")
    dataset: Id = field("Data set id: a file of params/datasets/")
    root: str | None = field("Folder of the images, where they are read from one", None)
    seed: Natural = field("Chooses the images, and seeds all that is random", 0)
    scale: Id = field("Which `*_scales` to use; full is the papers'", "full")
    precision: Literal["auto", "fp32", "bf16"] = field(
        "auto is bf16 where the machine computes it, else fp32; gradients of pixels and ROAR's maps are always fp32",
        "auto",
    )
    device: Device = field("Where networks run; auto takes a GPU where there is one", "auto")
    batch_size: Count = field("Network inputs a pass at most; changes memory and time, never a result", 128)
    bootstrap: Annotated[int, Ge(100)] = field("Bootstrap samples behind every interval", 2000)


class Study(AnyStudy):
    """A study: which images, models, methods and metrics, and how large"""

    kind: Literal["papers", "compare"] = field(
        "What it asks: papers tests claims F1 to F6; compare which of its methods can be trusted on its networks",
        "papers",
    )
    split: str | None = field("Split of the data set; null is the data set's own default", None)
    limit: Count | None = field("Images that get maps (see only_correct); null is all of them", 32)
    models: str | Names = field('Ids: "all", a pattern such as "mini_*", or a list of both')
    methods: str | Names = field('Ids: "all", a pattern, or a list')
    metrics: str | Names = field('Ids: "all", a pattern, or a list')
    exclude: list[Pair] = field("Pairs [model, method] to leave out; impossible ones are anyway", [])
    compile: Literal["auto", "none", "compile", "cuda_graphs"] = field(
        "Makes passes of one shape faster on a GPU; changes a result by rounding alone", "auto"
    )
    target: Literal["label", "predicted"] = field("The class that maps explain", "label")
    reliability_images: Natural = field(
        "First images, explained under a second seed too: what of a map and a score is chance", 4
    )
    shifts: str | Names = field(
        'Shifts that accuracy is measured under; "*/3" names ImageNet-C\'s corruptions, made on the fly', "all"
    )
    shift_roots: dict[str, str | None] = field("Folders of shifts that are data sets, such as imagenet_v2: FOLDER", {})
    accuracy_images: Count | None = field("Images of accuracy, for every shift; null is all", 1200)
    attack_images: Natural = field("Images that are attacked; 0 leaves the attack out", 256)
    attack_epsilon: Annotated[float, Gt(0)] = field("Radius of the L2 attack, over pixels in [0, 1]", 1.0)
    attack_steps: Count = field("Steps of the L2 attack", 20)
    only_correct: bool = field(
        "Maps explain the first `limit` images that all models are right on, looked for among the first "
        "`accuracy_images`; false: the first `limit` images",
        True,
    )
    compare: list[str] = field("Studies to set beside this one: run here, or in docs/findings", [])
    roar: str | None = field("A ROAR study that is run and reported with this one", None)
    sanity_images: Natural = field(
        "First images of the sanity check of a comparison, which explains anew while weights are randomised; 0 for none",
        4,
    )
    finetune_split: str | None = field(
        "Split that copies of the networks are fine-tuned on, where a metric is scored on such copies (idsds)", "train"
    )
    finetune_images: Count | None = field("Images that they are fine-tuned on; null is all of the split", 2000)
    finetune_steps: Count = field("Steps of that, 64 images each", 400)
    finetune_rate: Annotated[float, Gt(0)] = field("Peak of its learning rate", 0.001)
    sanity_points: Count = field("Points of the cascade of randomised layers at which maps are compared", 3)

    @classmethod
    def together(cls, values: dict[str, Any]) -> Iterator[tuple[str, str]]:
        if values.get("kind") == "compare":
            for key in ("roar", "compare"):
                if values.get(key):
                    yield (
                        key,
                        "belongs to a study of the papers; leave it out of one of kind compare, or write kind: papers",
                    )


class RoarStudy(AnyStudy):
    """A ROAR study: which images and estimators, at which levels, and how the networks are retrained"""

    side: Side = field("Side of the square images in pixels")
    image_options: Options = field("Options of the data set's function, over those of its file", {})
    train_split: str = field("Split that networks are trained on", "train")
    test_split: str = field("Split that accuracy is measured on", "test")
    train_images: Annotated[int, Ge(2)] | None = field("Images of the training split; null is all of them", None)
    test_images: Count | None = field("Images of the test split; null is all of them", None)
    architecture: Id = field("A registered architecture: the network that is explained and retrained")
    recipe: Recipe = field("How networks are trained; the paper's way on ImageNet where not given", {})
    estimators: str | Names = field('Ids: "all", a pattern, or a list')
    keep_estimators: str | Names = field("Those that are also run the other way round: keep and retrain", "none")
    mask_estimators: str | Names = field(
        "Those whose masks alone train a classifier: does the mask tell the class?", "all"
    )
    levels: Levels = field("Ascending percentages of the pixels", [10, 30, 50, 70, 90])
    mask_levels: MaskLevels | None = field(
        "Levels of those classifiers, some of the levels; null is the middle one below 100", None
    )
    seeds: Count = field("Independent trainings of every modified data set", 5)
    base_networks: Count = field(
        "Explained networks, trained with different seeds, whose rankings the trainings share out; seeds is a multiple of it",
        1,
    )
    unit: Literal["pixel", "channel"] = field(
        "What is ranked: whole pixels, or each channel (the released code)", "pixel"
    )
    target: Literal["predicted", "label"] = field(
        "The class that is explained: the answer (the paper) or the label", "predicted"
    )
    trust_images: Side = field("Test images that ROAD imputes and that metrics score", 256)

    @classmethod
    def together(cls, values: dict[str, Any]) -> Iterator[tuple[str, str]]:
        given = {**cls.defaults(), **values}
        levels, seeds, networks = (given[key] for key in ("levels", "seeds", "base_networks"))
        side, recipe = given.get("side"), {**Recipe().model_dump(), **(given["recipe"] or {})}
        if given["train_images"] and recipe["batch_size"] > given["train_images"]:
            yield "recipe.batch_size", f"{recipe['batch_size']} is more than the {given['train_images']} train_images"
        if side and recipe["crop"] == "shift" and not recipe["shift"] < side:
            yield (
                "recipe.shift",
                f"{recipe['shift']} moves images of {side} pixels out of sight; give less than the side",
            )
        stray = next((level for level in given["mask_levels"] or () if levels and level not in levels), None)
        if stray is not None:
            yield "mask_levels", f"{stray} is none of the levels {levels}"
        if seeds and networks and seeds % networks:
            yield (
                "base_networks",
                f"{seeds} trainings cannot be shared out evenly among {networks} networks; make seeds a multiple of it",
            )


CLASSES: dict[str, type[Record]] = {
    "study": Study,
    "roar_study": RoarStudy,
    "dataset": Dataset,
    "model": Model,
    "method": Method,
    "metric": Metric,
    "estimator": Estimator,
}
