"""The slices of a study: which there are, which cannot be, and what of its files the code would refuse."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from xailib import params
from xailib.errors import nearest
from xailib.params import estimator_files
from xailib.params.facts import broken_plugins, registry_facts

Values = dict[str, Any]
Grid = dict[str, list[dict[str, Any]]]
"""Stage -> its slices, each by the wildcards that tell it from the others."""


def grid(path: Path, values: Values) -> tuple[Grid, list[tuple[str, str, str]]]:
    """Lay out the slices of a study, whose values are checked against the registries first.

    Args:
        path: its file, for messages.
        values: what is in it.

    Returns:
        Its slices, and (model, method, reason) of the pairs that are left out.

    Raises:
        InputError: every fault of the study and of the files that it names, in one message.
    """
    return (_trainings(path, values), []) if "estimators" in values else _pairs(path, values)


def _pairs(path: Path, values: Values) -> tuple[Grid, list[tuple[str, str, str]]]:
    """Every (model, method) that is possible and not excluded."""
    kinds = {
        kind: {id: params.load_params(kind, id) for id in values[kind]} for kind in ("models", "methods", "metrics")
    }
    kinds["datasets"] = {values["dataset"]: params.load_params("datasets", values["dataset"])}
    facts = registry_facts()
    things = [(kind, id, thing) for kind, found in kinds.items() for id, thing in found.items()]
    params.refuse([fault for kind, id, thing in things for fault in faults(kind, id, thing, facts[kind])])
    models, methods = values["models"], values["methods"]
    excluded = {tuple(pair) for pair in values["exclude"]}
    params.refuse([fault for pair in excluded for fault in _unknown_pair(pair, models, methods)])
    reasons = {
        (model, method): obstacle(kinds["models"][model], kinds["methods"][method], facts)
        for model in models
        for method in methods
    }
    reasons |= dict.fromkeys(excluded, "excluded by the study")
    networks = [{"model": model} for model in models]
    pairs = [{"model": model, "method": method} for (model, method), reason in reasons.items() if not reason]
    skipped = [(*pair, reason) for pair, reason in reasons.items() if reason]
    if not pairs:
        told = "; ".join(f"{model} x {method}: {reason}" for model, method, reason in skipped[:3])
        params.refuse([f"{path}: no method is left that explains any of its models ({told})"])
    found = {"predict": networks, "attribute": pairs, "evaluate": pairs}
    if values["kind"] == "compare" and values["sanity_images"]:
        found["sanity"] = pairs
    if copies := finetuned(values):
        found["finetune"] = [{"model": model, "metric": metric} for model in models for metric in copies]
        found["indomain"] = pairs
    return found, skipped


def finetuned(values: Values) -> list[str]:
    """Return those of a study's metrics that are scored on fine-tuned copies of its networks."""
    known = registry_facts()["metrics"]
    return [id for id in values["metrics"] if known[params.setting("metrics", id)[0]]["finetuned"]]


def _trainings(path: Path, values: Values) -> Grid:
    """Every group of estimators that share their passes, and every (estimator, mode, level)."""
    facts = registry_facts()
    records = [params.load_params("estimators", id) for id in values["estimators"]]
    found = [fault for record in records for fault in estimator_files.faults(record, facts)]
    params.refuse(found + [f"{path}: {fault}" for fault in _roar_faults(values, facts)])
    groups = estimator_files.group(records, values["scale"], facts)
    chosen = [("remove", id) for id in values["estimators"]] + [("keep", id) for id in values["keep_estimators"]]
    return {
        "roar_base": [{"estimator": "none", "mode": "remove", "level": 0}],
        "roar_rank": [
            {"base": base, "group": group, "estimators": members}
            for base in range(values["base_networks"])
            for group, members in groups.items()
        ],
        "roar_retrain": [
            {"estimator": id, "mode": mode, "level": level} for mode, id in chosen for level in values["levels"]
        ],
        "roar_trust": [{"estimator": id} for id in values["estimators"]],
    }


def faults(kind: str, id: str, values: Values, known: Mapping[str, Any]) -> list[str]:
    """What the registered function would refuse of a parameter file: an unknown function, or unknown options."""
    word, where = params.KINDS[kind], f"params/{kind}/{id}.yaml"
    noun, key = ("architecture", "architecture") if kind == "models" else (word, f"{word}_function")
    name = values.get(key, id)
    if name not in known:
        why = "; ".join([nearest(name, known), *broken_plugins()])
        return [f"{where}: {key if key in values else word}: unknown {noun} '{name}'{why}"]
    if known[name]["explains"]:
        return [
            f"{where}: {key}: '{name}' explains again, which the stored maps of a study cannot; "
            f"call xai.evaluate('{name}', maps, model, images)"
        ]
    blocks = {f"{word}_options": values.get(f"{word}_options", {})}
    blocks |= {f"{word}_accuracy_options": values.get(f"{word}_accuracy_options", {})}
    blocks |= {f"{word}_scales.{scale}": options for scale, options in values.get(f"{word}_scales", {}).items()}
    options = known[name]["options"]
    return [
        f"{where}: {block}.{option}: unknown option{nearest(option, options)}"
        for block, given in blocks.items()
        for option in given
        if option not in options
    ]


def obstacle(model: Values, method: Values, facts: Mapping[str, Any]) -> str:
    """Return why a method cannot explain a model, or an empty string; known without loading any weights."""
    offers = {*facts["models"][model["architecture"]]["offers"], *model.get("offers", ())}
    offers |= {"cam_layer"} if model.get("cam_layer") else set()
    missing = _missing(facts["methods"][method.get("method_function", method["method"])], offers)
    return f"{method['method']} needs {missing}, which {model['architecture']} does not offer" if missing else ""


def _missing(method: Mapping[str, Any], offers: set[str]) -> str:
    """What a method needs beyond what is offered, in words."""
    return " and ".join(need for need in method["needs"] if need not in offers)


def _unknown_pair(pair: tuple[str, str], models: list[str], methods: list[str]) -> list[str]:
    named = (("model", pair[0], models), ("method", pair[1], methods))
    return [
        f"exclude: unknown {noun} '{word}'{nearest(word, known)}" for noun, word, known in named if word not in known
    ]


def _roar_faults(values: Values, facts: Mapping[str, Any]) -> list[str]:
    """What no record can see of a ROAR study: names that do not fit together."""
    found, architecture = [], values["architecture"]
    if architecture not in facts["models"]:
        found.append(f"architecture: unknown '{architecture}'{nearest(architecture, facts['models'])}")
    else:
        offers = set(facts["models"][architecture]["offers"])
        for id in values["estimators"]:
            method = facts["methods"].get(params.load_params("estimators", id)["estimator_method"])
            if method and (missing := _missing(method, offers)):
                found.append(f"estimators: '{id}' needs {missing}, which {architecture} does not offer")
    return found
