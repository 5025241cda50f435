"""A plan as text that a reader takes in at one look, and as CSV."""

import csv
import sys
from collections.abc import Iterable
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from xailib.plan import Plan, Row

KINDS = {
    "forward_bf16": "forward bf16", "forward": "forward fp32", "both_bf16": "and back bf16", "both": "and back fp32",
}  # fmt: skip


def text(plan: "Plan") -> str:
    """Return the whole plan: how it was found, networks, work, hours and memory of each pair, and the total."""
    rows, models = plan.rows, list(plan.paces)
    blocks = [f"Plan of study '{plan.study}'", "\n".join(plan.notes), _networks(plan), _work(rows)]
    columns = list(dict.fromkeys(row.name for row in rows if row.stage == "attribute"))
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
    forward, backward = sum(row.forward for row in rows), sum(row.backward for row in rows)
    spent = sum(totals.values())
    blocks.append(
        f"In all: {_short(forward)} passes forward, {_short(backward)} back, {_hours(spent)} h on one such device"
        f" ({_hours(spent / 24)} days), at most {max(row.gigabytes for row in rows):.1f} GB."
    )
    return "\n\n".join(blocks)


def write_csv(rows: Iterable["Row"], path: Path | None) -> None:
    """Write rows to a file, or to standard output."""
    from xailib.plan import Row

    file = open(path, "w", newline="") if path else sys.stdout  # noqa: SIM115  (closed below; stdout is not)
    try:
        writer = csv.DictWriter(file, [field.name for field in fields(Row)])
        writer.writeheader()
        writer.writerows(asdict(row) for row in rows)
    finally:
        if path:
            file.close()


def _networks(plan: "Plan") -> str:
    """Milliseconds an image of each kind of pass."""
    kinds = [kind for kind in KINDS if any(kind in pace.seconds for pace in plan.paces.values())]
    lines = [["ms an image", "parameters", *(KINDS[kind] for kind in kinds)]]
    for model, pace in plan.paces.items():
        lines.append([model, _short(pace.parameters), *(f"{1e3 * pace.seconds[kind]:.3g}" for kind in kinds)])
    return _table(lines)


def _work(rows: list["Row"]) -> str:
    """Passes, hours and memory of each method, metric and part of predict, over all networks."""
    lines = [["over all models", "slices", "passes forward", "back", "hours", "GB"]]
    for stage in ("predict", "attribute", "evaluate"):
        for name in dict.fromkeys(row.name for row in rows if row.stage == stage):
            some = [row for row in rows if (row.stage, row.name) == (stage, name)]
            sums = [sum(row.forward for row in some), sum(row.backward for row in some)]
            peak, hours = max(row.gigabytes for row in some), sum(row.hours for row in some)
            lines.append([f"{stage} {name}", str(len(some)), *map(_short, sums), _hours(hours), f"{peak:.1f}"])
    return _table(lines)


def _matrix(title: str, models: list[str], columns: list[str], cells: dict[tuple[str, str], float], total: bool) -> str:
    lines = [[title, *(column.replace("_", " ") for column in columns)]]
    for model in models:
        lines.append([model, *(_hours(cells[model, c]) if (model, c) in cells else "-" for c in columns)])
    if total:
        sums = [sum(cells.get((model, column), 0) for model in models) for column in columns]
        lines.append(["all", *map(_hours, sums)])
    return _table(_wrapped(lines))


def _wrapped(lines: list[list[str]]) -> list[list[str]]:
    """Set the words of the head below each other, so that a dozen columns fit on a screen."""
    head = [cell.split() for cell in lines[0]]
    head[0] = [lines[0][0]]
    depth = max(map(len, head))
    tops = [[([""] * (depth - len(words)) + words)[level][:13] for words in head] for level in range(depth)]
    tops[0][0], tops[-1][0] = (tops[-1][0], "") if depth > 1 else (tops[0][0], tops[0][0])
    return [*tops, *lines[1:]]


def _table(lines: list[list[str]]) -> str:
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    return "\n".join(
        "  ".join([line[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True))])
        .rstrip()
        for line in lines
    )  # fmt: skip


def _hours(value: float) -> str:
    return "0" if value == 0 else f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 1 else f"{value:.2g}"


def _short(count: int) -> str:
    for size, word in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if count >= size:
            return f"{count / size:.3g}{word}"
    return str(count)
