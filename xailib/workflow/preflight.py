"""What only the code can say of a study before it runs: its images, classes, shifts and the values of options.

`python -m xailib.workflow.preflight` reads a study's values from standard input and prints its faults. `faults` asks it in a
fresh Python, as the Snakefile's own loads no torch, and keeps the answer while nothing that it depends on changes.
"""

import contextlib
import hashlib
import json
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from xailib import params
from xailib.errors import InputError
from xailib.params.facts import sources
from xailib.params.made_from import code_file
from xailib.workflow import grids
from xailib.workspace import environment, place

Values = dict[str, Any]


def faults(values: Values) -> list[str]:
    """Return what is wrong with a study, one sentence each, without loading torch here."""
    question = json.dumps(_question(values), sort_keys=True, default=str)
    kept = place(f".snakemake/xailib/checked-{hashlib.sha256(question.encode()).hexdigest()[:16]}")
    if kept.exists():
        return []
    command = [sys.executable, "-m", "xailib.workflow.preflight"]
    given = {"input": json.dumps(values), "capture_output": True, "encoding": "utf-8"}
    run = subprocess.run(command, env=environment(), **given)
    if run.returncode:
        raise RuntimeError(f"the study cannot be checked:\n{run.stderr}")
    found = json.loads(run.stdout.splitlines()[-1])
    if not found:
        with contextlib.suppress(OSError):  # a read-only workspace asks again next time
            kept.parent.mkdir(parents=True, exist_ok=True)
            kept.touch()
    return found


def _question(values: Values) -> Values:
    """What the answer depends on: values of the study and of the files it names, the code, and the state of its folders."""
    asked = ("dataset", "root", "split", "target", "scale", "shifts", "shift_roots", "architecture", "recipe", "side")
    found = {
        key: values.get(key)
        for key in (*asked, "image_options", "train_split", "test_split", "kind", "limit", "finetune_split")
    }
    found["code"] = sources()
    found["datasets"] = record = params.load_params("datasets", values["dataset"])
    for kind in ("models", "methods", "metrics", "estimators"):
        found[kind] = [params.load_params(kind, id) for id in values.get(kind, ())]
    files = [record["class_names"] for record in found["models"] if isinstance(record.get("class_names"), str)]
    codes = (str(record["model_options"].get("name", "")).rpartition(":")[0] for record in found["models"])
    files += [path for path in codes if path.endswith(".py")]
    files += [option for option in found["datasets"]["dataset_options"].values() if isinstance(option, str)]
    roots = [root for root in (values["root"], *(values.get("shift_roots") or {}).values()) if root]
    parts = [found[key] for key in ("split", "train_split", "test_split", "finetune_split")]
    parts += [record["dataset_references"]]
    splits = [Path(root) / str(part) for root in roots for part in parts if part]
    found["times"] = [_changed(place(path)) for path in (*files, *roots, *splits)]
    return found


def _changed(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


def check(values: Values) -> list[str]:
    """Return what is wrong with a study; loads torch, data sets and the names of classes, but no image and no weights."""
    parts = (
        [_code, _images, _classes, _shifts, _options, _copies]
        if "models" in values
        else [_roar_images, _estimator_options]
    )
    parts += [_comparison] if values.get("kind") == "compare" else []
    return [fault for part in parts for fault in part(values)]


def _told(key: str, call: Callable[..., Any], *arguments: Any, **options: Any) -> list[str]:
    """What a call refuses, as a list of none or one sentence."""
    try:
        with warnings.catch_warnings(action="ignore"):
            call(*arguments, **options)
    except InputError as error:
        return [f"{key}: {str(error).removeprefix(f'{key}: ')}"]
    return []


def _dataset(values: Values) -> tuple[str, Values]:
    """The registered data set of a study, and the options that it is read with."""
    record = params.load_params("datasets", values["dataset"])
    root = values["root"]
    source = {"root": str(place(root)) if root else None, "seed": values["seed"], **record["dataset_options"]}
    return record.get("dataset_function", values["dataset"]), source


def _code(values: Values) -> Iterator[str]:
    """Whether the files are there that make networks of one's own; nothing of them runs."""
    for id in values["models"]:
        record = params.load_params("models", id)
        if record["architecture"] == "function":
            yield from _told(f"models: {id}", code_file, record["model_options"]["name"])


def _images(values: Values) -> Iterator[str]:
    """Whether there are images: of the maps, of accuracy, and those that SHAP draws from."""
    from xailib import attribution, datasets

    function, source = _dataset(values)
    record = params.load_params("datasets", values["dataset"])
    source["split"] = values["split"]
    samples = [source, {**source, **record["dataset_accuracy_options"]}]
    split = record.get("dataset_references")
    names = [params.setting("methods", id)[0] for id in values["methods"]]
    if split and any("references" in attribution.defaults(name) for name in names):
        samples.append({**source, "split": split})
    for i, sample in enumerate(samples):
        if sample not in samples[:i]:
            yield from _told("dataset", datasets.open_images, function, limit=1, **sample)


def _classes(values: Values) -> Iterator[str]:
    """Whether the networks answer in the classes of the data set, those of each split whose labels the study reads."""
    from xailib.models import classes

    function, source = _dataset(values)
    record = params.load_params("datasets", values["dataset"])
    wanted = record["dataset_classes"]
    if wanted == "unknown" and values["target"] != "predicted":
        yield f"target: '{values['target']}' needs labels, and dataset_classes is unknown; write target: predicted"
    source["split"] = values["split"]
    samples = {"": source, ", images of accuracy": {**source, **record["dataset_accuracy_options"]}}
    if grids.finetuned(values):
        samples[f", split '{values['finetune_split']}'"] = {**source, "split": values["finetune_split"]}
    lists: dict[str, list[str]] = {}
    for where, sample in {} if wanted == "unknown" else samples.items():
        ours, faults = _class_names(function, sample)
        if faults and not where:
            yield from faults
            return
        if not faults and ours not in lists.values():  # where others have none, `_images` and `_copies` say so
            lists[where] = ours
    for id in values["models"]:
        network = params.load_params("models", id)
        faults = _told("classes", classes.of_model, network)
        yield from faults
        for where, ours in {} if faults else lists.items():
            yield from _told("classes", classes.mapping, ours, classes.of_model(network), wanted, f"{id}{where}: ")


def _class_names(function: str, sample: Values) -> tuple[list[str], list[str]]:
    """The class names of images that are read with these options, and why there are none."""
    from xailib import datasets

    found: list[str] = []
    given = {key: value for key, value in sample.items() if key != "seed"}
    return found, _told("classes", lambda: found.extend(datasets.class_names(function, **given)))


def _shifts(values: Values) -> Iterator[str]:
    """Whether the shifts are known, and their labels those that the networks are asked for."""
    from xailib.datasets.shifts import choose_shifts, refuse_variants

    function, source = _dataset(values)
    chosen: list[str] = []
    yield from _told("shifts", lambda: chosen.extend(choose_shifts(values["shifts"], function, values["shift_roots"])))
    if chosen and _are_mapped(values, function, {**source, "split": values["split"]}):
        yield from _told("shifts", refuse_variants, chosen, function)


def _are_mapped(values: Values, function: str, source: Values) -> bool:
    """Whether the data set's labels become others for a network; what cannot be mapped is told by `_classes`."""
    from xailib.models import classes

    wanted = params.load_params("datasets", values["dataset"])["dataset_classes"]
    ours, _ = _class_names(function, source)
    for id in values["models"]:
        with contextlib.suppress(InputError):
            if classes.mapping(ours, classes.of_model(params.load_params("models", id)), wanted) is not None:
                return True
    return False


def _options(values: Values) -> Iterator[str]:
    """Whether options at the study's scale are of the types, words and bounds that their functions take."""
    from xailib import registry
    from xailib.params import signatures

    for kind, word in (("methods", "method"), ("metrics", "metric")):
        for id in values[kind]:
            name, given = params.setting(kind, id, values["scale"])
            function = getattr(registry, word).get(name).function
            yield from _told(f"params/{kind}/{id}.yaml", signatures.check, word, id, function, given)


def _copies(values: Values) -> Iterator[str]:
    """Whether there is something to fine-tune copies of the networks on, where a metric asks for them."""
    from xailib import datasets

    names = grids.finetuned(values)
    if not names:
        return
    who, split = f"metrics: {' and '.join(names)}", values["finetune_split"]
    if len(names) == len(values["metrics"]):
        yield f"{who} alone look at fine-tuned copies; name one more that looks at the networks, such as deletion"
    if params.load_params("datasets", values["dataset"])["dataset_classes"] == "unknown":
        yield f"{who}: copies are fine-tuned on labelled images, and dataset_classes is unknown; leave it out"
        return
    function, source = _dataset(values)
    for fault in _told(who, datasets.open_images, function, limit=1, split=split, **source):
        yield f"{fault}; copies are fine-tuned on split '{split}': name another by finetune_split, or leave the metric out"


def _comparison(values: Values) -> Iterator[str]:
    """Whether there is something to compare: methods, networks of the same classes, a sample of images, a metric."""
    from xailib import registry
    from xailib.models import classes
    from xailib.workflow import plan_costs

    families = {id: registry.method.get(params.setting("methods", id)[0]).family for id in values["methods"]}
    ours = [id for id, family in families.items() if family != "control"]
    if len(ours) < 2:
        found = f"'{ours[0]}' alone" if ours else "controls alone"
        yield f"methods: {found} cannot be compared; name two methods or more beside the controls"
    known = {id: sorted(classes.of_model(params.load_params("models", id))) for id in values["models"]}
    first, *others = values["models"]
    for id in (id for id in others if known[id] != known[first]):
        yield f"models: {first} and {id} know different classes; compare networks of the same, or each in its own study"
    images = _sample(values)
    if images is not None and (len(images) < 2 or values["limit"] == 1):
        yield "limit: one image is no sample; compare methods on 2 or more, better 20"
    elif images is not None and not any(map(len, images.boxes)):
        metrics = [params.setting("metrics", id, values["scale"]) for id in values["metrics"]]
        if all(plan_costs.scores_nothing(*one) for one in metrics):
            needy = " and ".join(values["metrics"])
            yield f"metrics: without boxes or masks {needy} score nothing here; add one that asks the network, such as deletion"


def _sample(values: Values) -> Any:
    """The first two images of a study; None where there are none, as `_images` says."""
    from xailib import datasets

    function, source = _dataset(values)
    try:
        with warnings.catch_warnings(action="ignore"):
            return datasets.open_images(function, limit=2, split=values["split"], **source).select(slice(2))
    except InputError:
        return None


def _estimator_options(values: Values) -> Iterator[str]:
    """Whether the options of a ROAR study's estimators are what their methods take."""
    from xailib import registry
    from xailib.params import estimator_files, signatures

    for id in values["estimators"]:
        settled = estimator_files.settle(params.load_params("estimators", id), values["scale"])
        method = registry.method.get(settled["estimator_method"])
        where = f"params/estimators/{id}.yaml: estimator_options"
        yield from _told(where, signatures.check, "method", method.name, method.function, settled["estimator_options"])


def _roar_images(values: Values) -> Iterator[str]:
    """Whether both parts of a ROAR study's images are there, with labels that count the same classes."""
    from xailib import datasets

    function, source = _dataset(values)
    samples = [source | values["image_options"] | {"split": values[key]} for key in ("train_split", "test_split")]
    faults = [fault for one in samples for fault in _told("dataset", datasets.open_images, function, limit=1, **one)]
    (train, wrong), (test, _) = (_class_names(function, sample) for sample in samples)
    if faults or wrong:
        yield from faults or wrong
    elif train != test:
        odd = ", ".join(sorted({*train} ^ {*test})[:3]) or "in another order"
        yield (
            f"classes: splits '{values['train_split']}' and '{values['test_split']}' have different classes ({odd}); name"
            " splits with the same, or list them as `classes` in image_options"
        )
    elif len(train) < 2:
        yield f"classes: '{train[0]}' is the only one, which no network can tell from others; give two or more"
    else:
        yield from _network(values, len(train))


def _network(values: Values, classes: int) -> Iterator[str]:
    """Whether a ROAR study's architecture makes networks of so many classes, which take its images a batch at a time."""
    import torch

    from xailib.errors import first_line
    from xailib.models import untrained
    from xailib.params.recipe import recipe_of

    name, side, batch = values["architecture"], values["side"], recipe_of(values["recipe"]).batch_size
    try:
        untrained(name, classes).train()(torch.zeros(min(batch, 2), 3, side, side))
    except Exception as error:  # of any code
        yield (
            f"architecture: '{name}', without options, trains on no batch of {batch} images of {side} pixels"
            f" ({first_line(error)}); name another, such as roar_cnn, or change side or recipe.batch_size"
        )


if __name__ == "__main__":
    print(json.dumps(check(json.load(sys.stdin))))
