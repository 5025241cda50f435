"""What a study will cost, before anyone spends a week: `python -m xailib.workflow plan STUDY`, or `make plan STUDY=imagenet`.

Times each network for a few batches on the machine at hand, counts the passes of each method, metric and `predict`
slice exactly, and multiplies. What happens around the passes comes on top: reading images, SLIC, ranks, boxes.
"""

import argparse
import dataclasses
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xailib import params
from xailib.errors import InputError, command

if TYPE_CHECKING:
    import pandas as pd

    from xailib.workflow.study import Study

STAGES = ["predict", "attribute", "sanity", "evaluate", "finetune", "indomain"]
PAIRED = ("attribute", "sanity", "indomain")  # a slice a method
KINDS = {
    "forward_bf16": "forward bf16",
    "forward": "forward fp32",
    "both_bf16": "and back bf16",
    "both": "and back fp32",
}


@dataclasses.dataclass(frozen=True)
class Plan:
    """What each slice of a study costs, and how that was found.

    Attributes:
        rows: a line for each slice, and for each metric within all slices of a network: `model`, `stage` (predict,
            attribute, sanity, evaluate, finetune or indomain), `name` (accuracy, shifts or attack, a method, or a metric)
            and what `plan_costs.cost` returns.
        paces: those of `plan_costs.pace`, by model.
        skipped: (model, method, reason).
        notes: sentences.
    """

    study: str
    methods: list[str]
    rows: "pd.DataFrame"
    paces: dict[str, "pd.DataFrame"]
    skipped: list[tuple[str, str, str]]
    notes: list[str]


def plan(
    study: "Study",
    *,
    device: str | None = None,
    rounds: int = 3,
    known: "dict[str, pd.DataFrame] | None" = None,
) -> Plan:
    """Time the study's networks, which standard error tells, and count its passes.

    Args:
        study: from `workflow.open_study`.
        device: auto, cpu, cuda or cuda:N; None is the study's own.
        rounds: timed passes of each kind.
        known: the paces of networks that an earlier plan timed on this device; those timed here are added.

    Raises:
        InputError: all images are asked for, and they are not there to be counted; an unknown shift or device.
    """
    import torch

    from xailib import devices
    from xailib.engine.passes import precision_on
    from xailib.results import provenance
    from xailib.workflow.plan_costs import CPU_BATCH, pace

    chosen = devices.pick(device or study.values["device"])
    values = study.values | {"precision": precision_on(chosen, study.values["precision"])}
    study = dataclasses.replace(study, values=values)
    images, work = passes(study)
    kinds = [kind for kind in KINDS if any(one[kind] for one in work.values())]
    paces, known = {}, {} if known is None else known
    for id in study.models:
        record = params.load_params("models", id)
        key = json.dumps(
            [record["architecture"], record.get("model_options"), record["input_size"], kinds], sort_keys=True
        )
        if key not in known:
            print(f"timing {record['architecture']} at {record['input_size']} px on {chosen} ...", file=sys.stderr)
            known[key] = pace(record, chosen, values, kinds, rounds)
        paces[id] = known[key]
    notes = [
        f"{len(study.models)} models, {len(study.methods)} methods, {len(study.metrics)} metrics, {images} images; "
        f"scale {values['scale']}, precision {values['precision']}, batch size {values['batch_size']}.",
        f"Timed on {provenance.device(chosen)} with random weights, whose values change no time; networks alike are timed "
        "once.",
        "Hours are those of the networks' passes, one device after the other; reading images, SLIC and ranks come on top.",
    ]
    if chosen.type != "cuda":
        batch, threads = min(CPU_BATCH, values["batch_size"]), torch.get_num_threads()
        notes.insert(2, f"No GPU here: passes of {batch} images on {threads} thread(s) are multiplied up, and memory is "
                        "computed from shapes. A GPU takes a small fraction.")  # fmt: skip
    return Plan(study.name, study.methods, _rows(study, work, paces, images), paces, study.skipped, notes)


def passes(study: "Study") -> tuple[int, dict[tuple[str, str], "pd.Series"]]:
    """Return how many images get maps, at most, and the passes of each (stage, name) on one network."""
    from xailib.workflow import plan_costs
    from xailib.workflow.choose import candidates

    values = study.values
    data = params.load_params("datasets", values["dataset"])
    function = data.get("dataset_function", data["dataset"])
    wanted = candidates(values["limit"], values["accuracy_images"]) if values["only_correct"] else values["limit"]
    asked, other = wanted or _count(values, data, function, {}), data.get("dataset_accuracy_options", {})
    images = values["limit"] or asked
    sample = values["accuracy_images"] or _count(values, data, function, other)
    again = 0 if wanted == values["accuracy_images"] and not other else asked  # else they are those of accuracy
    parts = plan_costs.predict_passes(values, again, sample, plan_costs.shift_count(values, function))
    work = {("predict", name): one for name, one in parts.items()}
    side = max(params.load_params("models", model)["input_size"] for model in study.models)
    kind = "forward_bf16" if values["precision"] == "bf16" else "forward"  # to find the class that is explained
    target = plan_costs.made(**{kind: images if values["target"] == "predicted" else 0})
    explained = images + min(values["reliability_images"], images)  # equal maps are not scored again: an upper bound
    for method in study.methods:
        found = params.setting("methods", method, values["scale"])
        work["attribute", method] = target + plan_costs.method_passes(*found, explained, values["precision"], side)
        if "sanity" in study.grid:
            checked = min(images, values["sanity_images"]) * (1 + values["sanity_points"])
            work["sanity", method] = plan_costs.method_passes(*found, checked, values["precision"], side)
        for metric in study.judges("indomain"):
            judged = params.setting("metrics", metric, values["scale"])
            passes = plan_costs.indomain_passes(found, judged, images, values["precision"], side)
            work["indomain", method] = passes + work.get(("indomain", method), 0)
    for metric in study.judges("evaluate"):
        found = params.setting("metrics", metric, values["scale"])
        work["evaluate", metric] = plan_costs.metric_passes(*found, explained, values["precision"], side)
    for metric in study.judges("indomain"):
        work["finetune", metric] = plan_costs.made(both=64 * values["finetune_steps"])
    return images, work


def _count(values: dict[str, Any], data: dict[str, Any], function: str, other: dict[str, Any]) -> int:
    """Count the images of a study that wants all there are."""
    from xailib import datasets

    options = {**data.get("dataset_options", {}), **other}
    try:
        return len(datasets.open_images(function, split=values["split"], root=values["root"], **options))
    except InputError as error:
        raise InputError(f"the study wants all images, so they must be there to be counted: {error}") from None


def _rows(
    study: "Study", work: dict[tuple[str, str], "pd.Series"], paces: dict[str, "pd.DataFrame"], images: int
) -> "pd.DataFrame":
    import pandas as pd

    from xailib.workflow.plan_costs import cost

    rows = []
    for model in study.models:
        methods = [method for one, method in study.pairs if one == model]
        side = params.load_params("models", model)["input_size"]
        held = 2 * images * 3 * side * side * 4  # the images on the device, and what a method makes of them
        for (stage, name), one in work.items():
            if stage not in PAIRED or name in methods:
                one = one * len(methods) if stage == "evaluate" else one
                rows.append({"model": model, "stage": stage, "name": name} | cost(one, paces[model], held))
    return pd.DataFrame(rows)


def text(plan: Plan, tflops: Sequence[float] | None = None) -> str:
    """Return the whole plan: how it was found, networks, work, hours and memory of each pair, and the total.

    Args:
        tflops: what another device sustains in fp32 and in bf16, in 10^12 operations a second.
    """
    column = plan.rows["name"].where(plan.rows["stage"].isin(PAIRED), plan.rows["stage"])
    cells = plan.rows.assign(column=column.replace("evaluate", "metrics")).groupby(["model", "column"], sort=False)
    shape = {"index": plan.paces, "columns": [*plan.methods, "predict", "metrics"]}
    hours = cells["hours"].sum().unstack().reindex(**shape)
    memory = cells["gigabytes"].max().unstack().reindex(**shape)
    hours["all"], memory["all"] = hours.sum(axis=1), memory.max(axis=1)
    hours.loc["all"] = hours.sum()
    return "\n\n".join(
        [
            f"Plan of study '{plan.study}'",
            "\n".join(plan.notes),
            _networks(plan),
            _work(plan.rows),
            _table("Hours", hours.map(_number)),
            _table("Peak memory, GB", memory.map(_number)),
            *(f"Left out: {reason}." for reason in dict.fromkeys(reason for _, _, reason in plan.skipped)),
            _total(plan.rows, tflops),
        ]
    )


def _networks(plan: Plan) -> str:
    """Milliseconds an image of each kind of pass."""
    import pandas as pd

    heads = {model: {"parameters": short(pace.attrs["parameters"])} for model, pace in plan.paces.items()}
    times = {model: (1e3 * pace["seconds"]).map(_number).rename(KINDS) for model, pace in plan.paces.items()}
    return _table("ms an image", pd.DataFrame(heads).T.join(pd.DataFrame(times).T))


def _work(rows: "pd.DataFrame") -> str:
    """Passes, hours and memory of each method, metric and part of predict, over all networks."""
    rows = rows.sort_values("stage", key=lambda stages: stages.map(STAGES.index), kind="stable")
    groups = rows.groupby(rows["stage"] + " " + rows["name"], sort=False)
    sums = groups.agg({"model": "size", "forward": "sum", "backward": "sum", "hours": "sum", "gigabytes": "max"})
    sums.columns = ["slices", "passes forward", "back", "hours", "GB"]
    words = {"passes forward": short, "back": short, "hours": _number, "GB": "{:.1f}".format}
    return _table("over all models", sums.assign(**{name: sums[name].map(word) for name, word in words.items()}))


def _total(rows: "pd.DataFrame", tflops: Sequence[float] | None) -> str:
    """The last sentences."""
    sums, peak = rows.sum(numeric_only=True), rows["gigabytes"].max()
    hours, pflop = sums["hours"], (sums["pflop_fp32"], sums["pflop_bf16"])
    lines = [
        f"In all: {short(sums['forward'])} passes forward, {short(sums['backward'])} back: {_number(hours)} h on one such "
        f"device ({_number(hours / 24)} days), at most {peak:.1f} GB.",
        f"Arithmetic: {_number(pflop[0])} PFLOP in fp32, {_number(pflop[1])} in bf16.",
    ]
    if tflops:
        there = sum(amount / speed for amount, speed in zip(pflop, tflops, strict=True)) / 3.6
        lines.append(f"A device that sustains {tflops[0]:g} TFLOP/s in fp32 and {tflops[1]:g} in bf16 needs "
                     f"{_number(there)} h for it: an estimate, not a measurement.")  # fmt: skip
    return "\n".join(lines)


def _table(title: str, frame: "pd.DataFrame") -> str:
    """Set a frame as text, the words of its head below each other, so that a dozen columns fit on a screen."""
    from tabulate import tabulate

    lines = [[title, *(column.replace("_", "\n") for column in frame.columns)], *frame.itertuples()]
    return tabulate(lines, tablefmt="plain", stralign="right", disable_numparse=True, colalign=["left"])


def _number(value: float) -> str:
    if value != value:
        return "-"
    if 0 < value < 0.0005:
        return "<.001"
    return "0" if value == 0 else f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 1 else f"{value:.2g}"


def short(count: float) -> str:
    """Write a count as a reader says it: 12.3 M."""
    for size, word in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if count >= size:
            return f"{count / size:.3g}{word}"
    return f"{count:.0f}"


@command
def main(words: list[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m xailib.workflow plan", description=__doc__.splitlines()[0])
    parser.add_argument("study", help="an id of params/studies/, or a YAML file")
    parser.add_argument("--device", help="auto, cpu, cuda or cuda:N; the study's by default")
    parser.add_argument("--rounds", type=int, default=3, help="timed passes of each kind")
    parser.add_argument("--tflops", type=float, nargs=2, metavar=("FP32", "BF16"),
                        help="speeds that another device sustains, in TFLOP/s: hours there by arithmetic alone")  # fmt: skip
    parser.add_argument(
        "--csv", type=Path, metavar="FILE", help="write every row to a file as well; - prints rows only"
    )
    parser.add_argument(
        "--scale", nargs="+", metavar="SCALE", help="plan it at these scales instead of the study's own"
    )
    arguments = parser.parse_args(words)
    import pandas as pd

    from xailib.workflow.study import open_study

    if "estimators" in params.load_study(arguments.study):
        raise InputError(f"{arguments.study} is a ROAR study; only studies of maps can be planned")
    if arguments.csv and not arguments.csv.parent.is_dir():
        raise InputError(f"--csv {arguments.csv}: there is no folder {arguments.csv.parent}; make it, or name another")
    quiet = str(arguments.csv) == "-"
    study, known = open_study(arguments.study), {}
    scales = arguments.scale or [study.values["scale"]]
    params.refuse([fault for scale in scales for fault in params.scale_faults(scale)])
    studies = [dataclasses.replace(study, values=study.values | {"scale": scale}) for scale in scales]
    plans = [plan(one, device=arguments.device, rounds=arguments.rounds, known=known) for one in studies]
    if arguments.csv:
        rows = pd.concat([made.rows.assign(scale=scale) for scale, made in zip(scales, plans, strict=True)])
        rows.to_csv(sys.stdout if quiet else arguments.csv, index=False)
    if not quiet:
        print("\n\n".join(text(made, arguments.tflops) for made in plans))
    return 0
