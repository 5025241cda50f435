"""What a study will cost, before anyone spends a week: `python -m xailib.workflow.plan STUDY`, or `make plan STUDY=imagenet`.

Times each network for a few batches on the machine at hand, counts the passes of each method, metric and `predict`
slice exactly, and multiplies. What happens around the passes comes on top: reading images, SLIC, ranks, boxes.
"""

import argparse
import dataclasses
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xailib import params
from xailib.errors import InputError
from xailib.workflow.plan_table import Plan, Row, text, write_csv

if TYPE_CHECKING:
    from xailib.workflow.plan_passes import Passes
    from xailib.workflow.plan_timing import Pace
    from xailib.workflow.study import Study


def plan(study: "Study", *, device: str | None = None, rounds: int = 3, say: Callable[[str], None] = print) -> Plan:
    """Time the study's networks and count its passes.

    Args:
        study: from `workflow.open_study`.
        device: auto, cpu, cuda or cuda:N; None is the study's own.
        rounds: timed passes of each kind.
        say: is told what goes on.

    Raises:
        InputError: all images are asked for, and they are not there to be counted; an unknown shift or device.
    """
    import torch

    from xailib import devices
    from xailib.engine.passes import precision_on
    from xailib.workflow.plan_timing import CPU_BATCH, KINDS, pace

    chosen = devices.pick(device or study.values["device"])
    precision = precision_on(chosen, study.values["precision"])
    study = dataclasses.replace(study, values={**study.values, "precision": precision})
    images, work = passes(study)
    kinds = {kind for kind in KINDS if any(getattr(one, kind) for one in work.values())}
    paces, known = {}, {}
    for id in study.models:
        record = params.load_params("models", id)
        key = json.dumps([record["architecture"], record.get("model_options"), record["input_size"]], sort_keys=True)
        if key not in known:
            say(f"timing {record['architecture']} at {record['input_size']} px on {chosen} ...")
            known[key] = pace(record, chosen, study.values, kinds, rounds)
        paces[id] = known[key]
    batch = study.values["batch_size"]
    notes = [
        f"{len(study.models)} models, {len(study.methods)} methods, {len(study.metrics)} metrics, {images} images; "
        f"scale {study.values['scale']}, precision {study.values['precision']}, batch size {batch}.",
        f"Timed on {_name(chosen)} with random weights, whose values change no time; networks alike are timed once.",
        "Hours are those of the networks' passes, one device after the other; reading images, SLIC and ranks come on top.",
    ]
    if chosen.type != "cuda":
        notes.insert(2, f"No GPU here: passes of {min(CPU_BATCH, batch)} images on {torch.get_num_threads()} thread(s) "
                        "are multiplied up, and memory is computed from shapes. A GPU takes a small fraction.")  # fmt: skip
    return Plan(study.name, study.methods, _rows(study, work, paces, images), paces, study.skipped, notes)


def passes(study: "Study") -> tuple[int, dict[tuple[str, str], "Passes"]]:
    """Return how many images get maps, and the passes of each (stage, name) on one network."""
    from xailib.workflow import plan_passes

    values = study.values
    data = params.load_params("datasets", values["dataset"])
    function = data.get("dataset_function", data["dataset"])
    images = values["limit"] or _count(values, data, function, {})
    sample = values["accuracy_images"] or _count(values, data, function, data.get("dataset_accuracy_options", {}))
    work: dict[tuple[str, str], Passes] = {}
    shifts = plan_passes.shift_count(values, function)
    for name, one in plan_passes.predict_passes(values, images, sample, shifts).items():
        work["predict", name] = one
    target = plan_passes.target_passes(values, images)
    explained = images + min(values["reliability_images"], images)  # equal maps are not scored again: an upper bound
    for method in study.methods:
        found = plan_passes.options("methods", method, values["scale"])
        work["attribute", method] = target + plan_passes.method_passes(*found, explained, values["precision"])
    for metric in study.metrics:
        found = plan_passes.options("metrics", metric, values["scale"])
        work["evaluate", metric] = plan_passes.metric_passes(*found, explained, values["precision"])
    return images, work


def _rows(study: "Study", work: dict[tuple[str, str], "Passes"], paces: dict[str, "Pace"], images: int) -> list[Row]:
    rows = []
    for model in study.models:
        methods = [method for one, method in study.pairs if one == model]
        side = params.load_params("models", model)["input_size"]
        held = 2 * images * 3 * side * side * 4  # the images on the device, and what a method makes of them
        for (stage, name), one in work.items():
            if stage == "attribute" and name not in methods:
                continue
            one = one * len(methods) if stage == "evaluate" else one
            pace = paces[model]
            facts = {"hours": pace.of(one) / 3600, "gigabytes": (pace.peak(one) + held) / 1e9}
            facts |= dict(zip(("pflop_fp32", "pflop_bf16"), pace.pflop(one), strict=True))
            rows.append(Row(model, stage, name, one.all_forward, one.all_backward, **facts))
    return rows


def _count(values: dict[str, Any], data: dict[str, Any], function: str, other: dict[str, Any]) -> int:
    """Count the images of a study that wants all there are."""
    from xailib import datasets

    options = {**data.get("dataset_options", {}), **other}
    try:
        return len(datasets.open_images(function, split=values["split"], root=values["root"], **options))
    except InputError as error:
        raise InputError(f"the study wants all images, so they must be there to be counted: {error}") from None


def _name(device: Any) -> str:
    from xailib.results import provenance

    return provenance.device(device)


def main(words: list[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m xailib.workflow.plan", description=__doc__.splitlines()[0])
    parser.add_argument("study", help="an id of params/studies/, or a YAML file")
    parser.add_argument("--device", help="auto, cpu, cuda or cuda:N; the study's by default")
    parser.add_argument("--rounds", type=int, default=3, help="timed passes of each kind")
    parser.add_argument("--tflops", type=float, nargs=2, metavar=("FP32", "BF16"),
                        help="speeds that another device sustains, in TFLOP/s: hours there by arithmetic alone")  # fmt: skip
    parser.add_argument(
        "--csv", type=Path, metavar="FILE", help="write every row to a file as well; - prints rows only"
    )
    arguments = parser.parse_args(words)
    from xailib.workflow import study as workflow

    try:
        if "estimators" in params.load_study(arguments.study):
            raise InputError(f"{arguments.study} is a ROAR study; only studies of maps can be planned")
        study = workflow.open_study(arguments.study)
        quiet = str(arguments.csv) == "-"
        made = plan(
            study, device=arguments.device, rounds=arguments.rounds, say=lambda line: print(line, file=sys.stderr)
        )
        if arguments.csv:
            write_csv(made.rows, None if quiet else arguments.csv)
        if not quiet:
            print(text(made, arguments.tflops))
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
