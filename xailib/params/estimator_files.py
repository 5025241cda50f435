"""What an estimator's parameter file means, without loading torch: values at a scale, shared passes, faults.

`facts` are those of `xailib.params.facts.registry_facts()`: what the registries of methods and forms know.
"""

import hashlib
import json
from typing import Any

from xailib import params
from xailib.errors import nearest
from xailib.params.records import Estimator

Record = dict[str, Any]
Facts = dict[str, dict[str, Any]]


def settle(record: Record, scale: str = "full") -> Record:
    """Return an estimator's values at a study's scale: its own, overridden by those of the scale, options merged."""
    changes = record.get("estimator_scales", {}).get(scale, {})
    options = {**record.get("estimator_options", {}), **changes.get("estimator_options", {})}
    return {**Estimator.defaults(), **record, **changes, "estimator_options": options}


def family(record: Record, facts: Facts) -> str:
    """Return the family of an estimator in figures: base, smoothgrad, squared, ensemble or control."""
    if facts["methods"][record["estimator_method"]]["family"] == "control":
        return "control"
    return facts["estimators"][record["estimator_form"]]["family"]


def shared_pass(settled: Record, facts: Facts) -> str:
    """Return a text that is equal for the estimators that one pass over the images serves."""
    parts = [settled["estimator_method"], settled["estimator_options"]]
    if facts["estimators"][settled["estimator_form"]]["noisy"]:
        parts += [settled["estimator_samples"], float(settled["estimator_noise"])]
    return json.dumps(parts, sort_keys=True)


def group(records: list[Record], scale: str, facts: Facts) -> dict[str, list[str]]:
    """Return {group: estimator ids} of the estimators that one pass serves, in the order of the records.

    A group is called after its method, with `_noisy` where noise is read: `gradient`, `gradient_noisy`. Where options,
    samples or noise differ from the shipped estimator's (`METHOD.yaml`, `smoothgrad_METHOD.yaml`), a suffix made of
    them alone is added, so that a group keeps its name whatever else a study holds.
    """
    groups: dict[str, list[str]] = {}
    for record in records:
        settled = settle(record, scale)
        method, noisy = settled["estimator_method"], facts["estimators"][settled["estimator_form"]]["noisy"]
        key = shared_pass(settled, facts)
        name = f"{method}_noisy" if noisy else method
        if key != _usual(method, noisy, scale, facts):
            name += f"_{hashlib.sha256(key.encode()).hexdigest()[:6]}"
        groups.setdefault(name, []).append(settled["estimator"])
    return groups


def _usual(method: str, noisy: bool, scale: str, facts: Facts) -> str:
    """The shared pass of the shipped estimator of a method; of one without options where none is shipped."""
    record = {"estimator_method": method, "estimator_form": "smoothgrad" if noisy else "plain"}
    id = f"smoothgrad_{method}" if noisy else method
    if id in params.ids("estimators"):
        shipped, faults = params.read(params.path_of("estimators", id), "estimators")
        record = shipped if not faults else record
    return shared_pass(settle(record, scale), facts)


def faults(record: Record, facts: Facts) -> list[str]:
    """What the code would refuse of an estimator's file, one sentence each: unknown names and options, no spread."""
    where, methods, forms = f"params/estimators/{record['estimator']}.yaml", facts["methods"], facts["estimators"]
    method, form = record["estimator_method"], record["estimator_form"]
    found = []
    if method not in methods:
        found.append(f"estimator_method: unknown method '{method}'{nearest(method, methods)}")
    if form not in forms:
        found.append(f"estimator_form: unknown form '{form}'{nearest(form, forms)}")
    for prefix, values in (("", record), *_scales(record)):
        if method in methods:
            found += _option_faults(prefix, values.get("estimator_options", {}), methods[method])
        samples = values.get("estimator_samples", Estimator.defaults()["estimator_samples"])
        if form in forms and forms[form]["noisy"] and samples < 2:
            found.append(
                f"{prefix}estimator_samples: {samples} noisy copies have no mean or variance worth the name; 2 or more are right"
            )
    return [f"{where}: {fault}" for fault in found]


def _scales(record: Record) -> list[tuple[str, Record]]:
    return [(f"estimator_scales.{scale}.", values) for scale, values in record.get("estimator_scales", {}).items()]


def _option_faults(prefix: str, options: dict[str, Any], method: dict[str, Any]) -> list[str]:
    """Options that the method does not have, or that an estimator decides itself."""
    found = []
    for option in options:
        where = f"{prefix}estimator_options.{option}"
        if option == "pooling" and method["channels"]:
            found.append(
                f"{where}: an estimator keeps the colour channels apart and ROAR pools them by their mean; leave it out"
            )
        elif option not in method["options"]:
            found.append(f"{where}: unknown option{nearest(option, method['options'])}")
    return found
