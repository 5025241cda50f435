"""A plan as text that a reader takes in at one look, and as CSV."""

import csv
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from xailib.workflow.plan_timing import Pace

KINDS = {
    "forward_bf16": "forward bf16", "forward": "forward fp32", "both_bf16": "and back bf16", "both": "and back fp32",
}  # fmt: skip


@dataclass(frozen=True)
class Row:
    """One line of a plan: what a slice, or a metric within all slices of a network, costs.

    Attributes:
        stage: predict, attribute or evaluate.
        name: accuracy, shifts or attack; a method; a metric (for all of the network's methods together).
        forward, backward: images through the network, each way.
        gigabytes: peak memory of weights, images and passes.
        pflop_fp32, pflop_bf16: arithmetic of the passes, 10^15 additions and multiplications.
    """

    model: str
    stage: str
    name: str
    forward: int
    backward: int
    hours: float
    gigabytes: float
    pflop_fp32: float
    pflop_bf16: float


@dataclass(frozen=True)
class Plan:
    """A study's rows, and how they were found."""

    study: str
    methods: list[str]
    rows: list[Row]
    paces: dict[str, "Pace"]
    skipped: list[tuple[str, str, str]]
    notes: list[str]


def text(plan: Plan, tflops: Sequence[float] | None = None) -> str:
    """Return the whole plan: how it was found, networks, work, hours and memory of each pair, and the total.

    Args:
        tflops: what another device sustains in fp32 and in bf16, in 10^12 operations a second.
    """
    rows, models = plan.rows, list(plan.paces)
    blocks = [f"Plan of study '{plan.study}'", "\n".join(plan.notes), _networks(plan), _work(rows)]
    columns = plan.methods
    hours = {(row.model, row.name): row.hours for row in rows}
    memory = {(row.model, row.name): row.gigabytes for row in rows}
    totals = {model: sum(row.hours for row in rows if row.model == model) for model in models}
    head = [*columns, "predict", "metrics", "all"]
    for row in rows:
        if row.stage != "attribute":
            key = (row.model, "predict" if row.stage == "predict" else "metrics")
            hours[key] = hours.get(key, 0) + row.hours
            memory[key] = max(memory.get(key, 0), row.gigabytes)
    for model in models:
        hours[model, "all"] = totals[model]
        memory[model, "all"] = max(row.gigabytes for row in rows if row.model == model)
    blocks.append(_matrix("Hours", models, head, hours, total=True))
    blocks.append(_matrix("Peak memory, GB", models, head, memory, total=False))
    for reason in dict.fromkeys(reason for _, _, reason in plan.skipped):
        blocks.append(f"Left out: {reason}.")
    blocks.append(_total(rows, sum(totals.values()), tflops))
    return "\n\n".join(blocks)


def _total(rows: list[Row], hours: float, tflops: Sequence[float] | None) -> str:
    """The last sentences."""
    forward, backward = sum(row.forward for row in rows), sum(row.backward for row in rows)
    pflop = [sum(row.pflop_fp32 for row in rows), sum(row.pflop_bf16 for row in rows)]
    lines = [
        f"In all: {_short(forward)} passes forward, {_short(backward)} back: {_number(hours)} h on one such device"
        f" ({_number(hours / 24)} days), at most {max(row.gigabytes for row in rows):.1f} GB.",
        f"Arithmetic: {_number(pflop[0])} PFLOP in fp32, {_number(pflop[1])} in bf16.",
    ]
    if tflops:
        there = sum(amount / speed for amount, speed in zip(pflop, tflops, strict=True)) / 3.6
        lines.append(
            f"A device that sustains {tflops[0]:g} TFLOP/s in fp32 and {tflops[1]:g} in bf16 needs {_number(there)} h for it:"
            " an estimate, not a measurement."
        )
    return "\n".join(lines)


def write_csv(rows: Iterable[Row], path: Path | None) -> None:
    """Write rows to a file, or to standard output."""
    file = open(path, "w", newline="") if path else sys.stdout  # noqa: SIM115  (closed below; stdout is not)
    try:
        writer = csv.DictWriter(file, [field.name for field in fields(Row)])
        writer.writeheader()
        writer.writerows(asdict(row) for row in rows)
    finally:
        if path:
            file.close()


def _networks(plan: Plan) -> str:
    """Milliseconds an image of each kind of pass."""
    kinds = [kind for kind in KINDS if any(kind in pace.seconds for pace in plan.paces.values())]
    lines = [["ms an image", "parameters", *(KINDS[kind] for kind in kinds)]]
    for model, pace in plan.paces.items():
        lines.append([model, _short(pace.parameters), *(_number(1e3 * pace.seconds[kind]) for kind in kinds)])
    return _table(lines)


def _work(rows: list[Row]) -> str:
    """Passes, hours and memory of each method, metric and part of predict, over all networks."""
    lines = [["over all models", "slices", "passes forward", "back", "hours", "GB"]]
    for stage in ("predict", "attribute", "evaluate"):
        for name in dict.fromkeys(row.name for row in rows if row.stage == stage):
            some = [row for row in rows if (row.stage, row.name) == (stage, name)]
            sums = [sum(row.forward for row in some), sum(row.backward for row in some)]
            peak, hours = max(row.gigabytes for row in some), sum(row.hours for row in some)
            lines.append([f"{stage} {name}", str(len(some)), *map(_short, sums), _number(hours), f"{peak:.1f}"])
    return _table(lines)


def _matrix(title: str, models: list[str], columns: list[str], cells: dict[tuple[str, str], float], total: bool) -> str:
    lines = [[title, *columns]]
    for model in models:
        lines.append([model, *(_number(cells[model, c]) if (model, c) in cells else "-" for c in columns)])
    if total:
        sums = [sum(cells.get((model, column), 0) for model in models) for column in columns]
        lines.append(["all", *map(_number, sums)])
    return _table(_wrapped(lines))


def _wrapped(lines: list[list[str]]) -> list[list[str]]:
    """Set the words of the head below each other, so that a dozen columns fit on a screen."""
    head = [[lines[0][0]], *(cell.split("_") for cell in lines[0][1:])]
    depth = max(map(len, head))
    tops = [[([""] * (depth - len(words)) + words)[level] for words in head] for level in range(depth)]
    return [*tops, *lines[1:]]


def _table(lines: list[list[str]]) -> str:
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    return "\n".join(
        "  ".join([line[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True))])
        .rstrip()
        for line in lines
    )  # fmt: skip


def _number(value: float) -> str:
    if 0 < value < 0.0005:
        return "<.001"
    return "0" if value == 0 else f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 1 else f"{value:.2g}"


def _short(count: int) -> str:
    for size, word in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if count >= size:
            return f"{count / size:.3g}{word}"
    return str(count)
