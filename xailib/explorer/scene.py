"""What is explored in a notebook: networks, images and methods, of a study or one's own."""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import xailib as xai
from xailib import params, registry
from xailib.analysis import frames
from xailib.attribution import defaults, lacking
from xailib.errors import InputError, nearest, warn
from xailib.explorer.facts import stored_curves
from xailib.images import ImageBatch
from xailib.maps import Maps
from xailib.models import classes
from xailib.models.model import Model, private
from xailib.models.targets import as_images, counted
from xailib.results import read_maps, read_table
from xailib.workflow.notebooks import background, image_source, study_images
from xailib.workflow.study import open_study

THRESHOLD = 0.5  # localisation of a single image cannot be tuned on others: half of the maximum
OBJECT, PIXELS = (
    ("pointing_game", "localisation"),
    ("deletion", "insertion"),
)  # metrics that need a box, and that do not

Setting = tuple[str, dict[str, Any]]  # a registered function, and its options


@dataclass(frozen=True)
class About:
    """What is known of a network before it is loaded; the names are `Model`'s.

    Attributes:
        mean: the colour that its normalisation maps to zero, in [0, 1].
    """

    id: str
    input_size: int
    class_names: list[str]
    mean: list[float]


class Scene:
    """Networks, images and methods to choose from.

    Attributes:
        labels: id -> label of the networks, in their order.
        methods, metrics: tables as in `Frames`.
        scale: of the methods' options.
        usual: the class that maps explain unless another is chosen: `label` or `predicted`.
        added: pictures `(name, Pillow image or path)` that came later.
    """

    usual: str

    def __init__(self, labels: dict[str, str], methods: Sequence[str], metrics: Sequence[str], scale: str) -> None:
        self.labels, self.scale = labels, scale
        self.methods = frames.distinct(frames.method_facts(methods))
        self.metrics = frames.distinct(frames.metric_facts(metrics))
        self.added: list[tuple[str, Any]] = []
        self._models: dict[str, Model] = {}
        self._pictures: dict[str, ImageBatch] = {}

    def model(self, id: str) -> Model:
        """Return a network."""
        return self._models[id]

    def about(self, id: str) -> About:
        """Return what is known of a network without running it."""
        model = self.model(id)
        return About(id, model.input_size, model.class_names, model.mean.flatten().tolist())

    @property
    def first(self) -> About:
        """The network in whose size pictures are shown."""
        return self.about(next(iter(self.labels)))

    def images(self, about: About) -> ImageBatch:
        """Return the images that were there from the start, in the size of a network."""
        if about.id not in self._pictures:
            self._pictures[about.id] = self._load(about)
        return self._pictures[about.id]

    def _load(self, about: About) -> ImageBatch:
        raise NotImplementedError

    def image(self, about: About, index: int) -> ImageBatch:
        """Return one image, from the start or added, in the size of a network."""
        own = self.images(about)
        if index < len(own):
            return own.select([index])
        name, picture = self.added[index - len(own)]
        return ImageBatch(xai.load_images([picture], side=about.input_size).pixels, ids=[name])

    def setting(self, method: str) -> Setting:
        """Return the registered function of a method and the options that its file gives at the scene's scale."""
        return params.setting("methods", method, self.scale)

    def background(self, method: str, about: About) -> dict[str, Any]:
        """Return what a method takes of other images, beside its options."""
        return {}

    def offered(self, method: str) -> dict[str, Any]:
        """Return the options of a method that can be typed, with the values that it has here."""
        function, given = self.setting(method)
        values = {**defaults(function), **given}
        return {key: value for key, value in values.items() if isinstance(value, int | float | str | bool | None)}

    def metric(self, id: str) -> Setting:
        """Return the registered function of a metric, and its options."""
        return id, {"threshold": THRESHOLD} if id == "localisation" else {}

    def skipped(self) -> dict[str, str]:
        """Return the pairs "network/method" that are impossible, with the reason."""
        raise NotImplementedError

    def stored(self, network: str, method: str, index: int) -> Maps | None:
        """Return a map of the usual class by the usual options that was made before."""
        return None

    def stored_score(self, network: str, method: str, id: str, metric: str) -> tuple[float, Any] | None:
        """Return a score of such a map that was made before, and the curve behind it."""
        return None


class OwnScene(Scene):
    """Networks and images of one's own, explained by every method."""

    def __init__(self, models: Sequence[Any], images: Any, scale: str = "small") -> None:
        if not models:
            raise InputError("source: the list is empty; give at least one network")
        for fault in params.scale_faults(str(scale)):
            raise InputError(fault)
        files, known = params.resolve("methods", "all"), params.ids("methods")
        covered = {params.setting("methods", id)[0] for id in known}
        methods = [*files, *(id for id in xai.list_methods() if id not in {*known, *covered})]
        named = [xai.load_model(one) if isinstance(one, str) else one for one in models]
        wrapped = [one if isinstance(one, Model) else xai.wrap(one) for one in named]
        ids = [one.id for one in wrapped]
        ids = [id if ids.count(id) == 1 else f"{id} {i + 1}" for i, id in enumerate(ids)]
        super().__init__({id: id for id in ids}, methods, PIXELS, scale)
        for id, model in zip(ids, wrapped, strict=True):
            # A view of its own: what is computed here goes on in a thread, while the notebook uses the network.
            self._models[id] = view = private(model, id)
            view.id = id
        self._source = images
        shown = self.images(self.first)
        self.usual = "label" if shown.has_labels else "predicted"
        if shown.masks.any():
            self.metrics = frames.distinct(frames.metric_facts([*OBJECT, *PIXELS]))

    def _load(self, about: About) -> ImageBatch:
        model = self.model(about.id)
        images = as_images(self._source, model)
        try:
            if images.has_labels or images.classes:
                counted(model, images)
        except InputError as error:
            # Folders are called as one likes: what the network answers can be explained all the same.
            warn(f"{str(error).partition('; use')[0]}; here the class that it predicts is explained")
            images = images.recounted([])
        return images

    def skipped(self) -> dict[str, str]:
        """Return the pairs "network/method" that are impossible, with the reason."""
        pairs = [(id, method) for id in self.labels for method in self.methods.index]
        missing = {pair: lacking(self.methods.loc[pair[1], "function"], self.model(pair[0])) for pair in pairs}
        return {
            f"{id}/{method}": f"{method} needs {' and '.join(needs)}, which {id} does not offer"
            for (id, method), needs in missing.items()
            if needs
        }


class StudyScene(Scene):
    """The networks, images and methods of a study; maps, scores and answers that are in its files are taken from there.

    Raises:
        InputError: an unknown study, or one that has no networks of its own (ROAR).
    """

    def __init__(self, study: str | Path) -> None:
        found = open_study(study)
        if not found.models:
            known = [id for id in params.ids("studies") if "models" in params.read(params.study_path(id), "studies")[0]]
            raise InputError(
                f"study '{found.name}' trains its own networks, so it has none to explore{nearest('', known)}"
            )
        labels = frames.distinct(frames.model_facts(found.models))["label"].to_dict()
        functions = {id: params.setting("metrics", id)[0] for id in found.judges("evaluate")}
        # One that makes maps again is too slow here.
        metrics = [id for id, name in functions.items() if not registry.metric.get(name).explains]
        super().__init__(labels, found.methods, metrics, found.values["scale"])
        self.values, self.usual, self._skipped = found.values, found.values["target"], found.skipped
        self.folder = params.resolved_copy(found.name).parent

    def model(self, id: str) -> Model:
        """Return a network of the study; it is loaded when it is first asked for."""
        if id not in self._models:
            self._models[id] = xai.load_model(id)
        return self._models[id]

    def about(self, id: str) -> About:
        """Return what a network's file says: a study's own maps are shown before any network is loaded."""
        record = params.load_params("models", id)
        return About(id, record["input_size"], classes.of_model(record), record["mean"])

    @functools.cached_property
    def _record(self) -> dict[str, Any]:
        return params.load_params("datasets", self.values["dataset"])

    def _source(self, about: About) -> tuple[str, dict[str, Any]]:
        """The data set's function and the arguments of `load_images`."""
        function = self._record.get("dataset_function") or self.values["dataset"]
        given = {key: self.values[key] for key in ("split", "seed", "root")} | self._record["dataset_options"]
        return function, image_source(function, about, self._record["dataset_classes"], **given)

    def _load(self, about: About) -> ImageBatch:
        function, source = self._source(about)
        chosen = self.folder / "chosen.json"
        known = self.values["only_correct"] and chosen.exists()  # a study that has not run has chosen no images yet
        return study_images(function, source, self.values["limit"], chosen if known else None)

    def background(self, method: str, about: About) -> dict[str, Any]:
        """Return the images that SHAP compares with, as the study's slices take them."""
        function, source = self._source(about)
        return background(self.setting(method)[0], function, self._record["dataset_references"], source)

    def metric(self, id: str) -> Setting:
        """Return the registered function of a metric, and its options at the study's scale."""
        function, options = params.setting("metrics", id, self.scale)
        return function, super().metric(function)[1] | options

    def skipped(self) -> dict[str, str]:
        """Return the pairs that the study leaves out, with the reason."""
        return {f"{model}/{method}": reason for model, method, reason in self._skipped}

    def stored(self, network: str, method: str, index: int) -> Maps | None:
        """Return the study's own map of one of its images; None where that slice has not run."""
        about, found = self.about(network), _now(read_maps, self.folder / network / method / "maps.npz")
        images = self.images(about)
        if found is None or index >= len(images) or images.ids[index] not in found["ids"]:
            return None
        i, targets = found["ids"].index(images.ids[index]), found["targets"]
        return Maps.of(
            found["maps"][i : i + 1],
            targets=targets[i : i + 1],
            target_names=[about.class_names[int(targets[i])]],
            ids=[images.ids[index]],
            method=method,
            label=self.methods.loc[method, "label"],
            options={},
            model=network,
        )

    def stored_score(self, network: str, method: str, id: str, metric: str) -> tuple[float, Any] | None:
        """Return the study's own score of an image by a metric, and the curve behind it, None where none was kept."""
        folder = self.folder / network / method
        value = (_now(_scores, folder / "scores.parquet") or {}).get((id, metric))
        if value is None:
            return None
        return value, stored_curves(folder / "curves.npz", [id]).get(metric, [None])[0]


def _now(read: Callable[[Path], Any], path: Path) -> Any:
    """What a file of the study holds, read again when a slice has written it anew; None where it is not there or not whole."""
    try:
        about = path.stat()
        return _once(read, path, about.st_mtime_ns, about.st_size)
    except (OSError, InputError):
        return None


@functools.lru_cache(maxsize=64)
def _once(read: Callable[[Path], Any], path: Path, *_: int) -> Any:
    return read(path)


def _scores(path: Path) -> dict[tuple[str, str], float]:
    """The scores of one network and method by image and metric."""
    table = read_table(path)
    return dict(zip(zip(table["image"], table["metric"], strict=True), table["value"], strict=True))
