"""Attribution methods and metrics against every package that has them, at equal work.  python benchmarks/race.py --help

Two networks: ResNet in miniature at 64 px with its shipped weights, and ResNet-50 at 224 px with random ones. A row is
one task and one peer; `ratio` is the peer's time over ours, the median of rounds in which all take turns, so above 1
ours is faster. `parity`: the lowest correlation of a map with ours, or for scores one minus the largest difference;
`same` says where both define the very same numbers, elsewhere other random draws keep them apart. `in_network` is the
share of our time that the network's own passes take, which bounds the ratio where a peer runs as many. Peers get a frozen
copy of the same network as its maker gives it; with `--channels_last` in the memory layout that ours has, which none of
them asks for by itself.
"""

import argparse
import multiprocessing
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from statistics import geometric_mean
from typing import Any

import torch
from peers import Peer, Seat, present
from peers.metrics import tolerance
from timing import arguments, load, picture, race, report, settle
from torch import Tensor

import xailib as xai
from xailib import engine


@dataclass(frozen=True)
class Task:
    """What is raced.

    Attributes:
        name: of our method or metric; deletion and insertion at once are `deletion_insertion`.
        unit: what is counted, the option's name.
        counts: how many at 64 px and at 224 px (fewer than the papers', the same for all).
        images: how many at 64 px and at 224 px.
    """

    name: str
    unit: str
    counts: tuple[int, int]
    images: tuple[int, int] = (4, 2)
    options: tuple[tuple[str, Any], ...] = ()


METHODS = [
    Task("gradient", "", (1, 1), (8, 2)),
    Task("guided_backprop", "", (1, 1), (8, 2)),
    Task("integrated_gradients", "steps", (50, 4)),
    Task("shap", "samples", (50, 4)),
    Task("cam", "", (1, 1), (8, 2)),
    Task("gradcam", "", (1, 1), (8, 2)),
    Task("extremal_perturbation", "steps", (16, 2)),
    Task("meaningful_perturbation", "steps", (16, 4), options=(("init", "ones"),)),
    Task("rise", "masks", (256, 12)),
    Task("lime", "samples", (256, 12)),
    Task("kernel_shap", "samples", (256, 12)),
]
# Pictograms can be divided by 16 steps, photographs by 7, into whole pixels; ties are resolved alike.
METRICS = [
    Task("pointing_game", "", (1, 1), (64, 16)),
    Task("pointing_game_exact", "", (1, 1), (64, 16)),
    Task("localisation", "thresholds", (100, 100), (32, 8)),
    Task("deletion", "steps", (16, 7), (8, 2), (("ties", "stable"),)),
    Task("insertion", "steps", (16, 7), (8, 2), (("ties", "stable"),)),
    Task("deletion_insertion", "steps", (16, 7), (8, 2), (("ties", "stable"), ("substrate", "mean"))),
]
LARGE = "resnet50_vanilla"
LABELS = {"rise": "RISE", "lime": "LIME", "kernel_shap": "KernelSHAP", "shap": "SHAP", "cam": "CAM", "gradcam": "GradCAM",
          "deletion_insertion": "Deletion + insertion"}  # fmt: skip


def main() -> None:
    chosen = arguments(__doc__, quick=False, channels_last=False)
    peers = present([task.name for task in [*METHODS, *METRICS]])
    sizes = range(1 if chosen.quick else 2)
    given = [(task, size, peers[task.name], chosen) for size in sizes for task in [*METHODS, *METRICS]]
    if chosen.quick:
        rows = [row for one in given for row in compete(*one)]
    else:  # each task alone in a fresh process: nothing that another left in memory or warmed up helps or hinders
        fresh = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(
            1, mp_context=fresh, initializer=settle, initargs=(chosen,), max_tasks_per_child=1
        ) as pool:
            rows = [row for found in [pool.submit(compete, *one) for one in given] for row in found.result()]
    publish(rows, chosen)


def publish(rows: list[dict[str, Any]], chosen: argparse.Namespace) -> None:
    """Write the table and its picture, and print the geometric mean."""
    name = "race_channels_last" if chosen.channels_last else "race"
    frame = report(name, rows, chosen)
    best = frame[frame["task"].isin([task.name for task in METHODS])].groupby(["task", "model"])["ratio"].min()
    print(f"Methods against the fastest peer of each, geometric mean: {geometric_mean(best):.2f}")
    frame["label"] = frame["task"].map(label) + "  ·  " + frame["peer"]
    frame["panel"] = frame["model"] + " at " + frame["side"].astype(str) + " px"
    title = f"Equal work, {frame['rounds'].min()}-{frame['rounds'].max()} rounds in turn: median, lowest to highest"
    picture.save(name, frame.assign(bound=False), chosen, title)


def compete(task: Task, size: int, peers: list[Peer], chosen: argparse.Namespace) -> list[dict[str, Any]]:
    """One row a peer."""
    if not peers:
        return []
    chosen = argparse.Namespace(**{**vars(chosen), "model": LARGE if size else chosen.model})
    count, images = (8, 2) if chosen.quick else (task.counts[size], task.images[size])
    seat = Seat(*load(chosen, images), "channels_last" if chosen.channels_last else "plain")
    ours, theirs = contestants(task, count, seat, peers)
    made, timed = race(ours, theirs, chosen, least=0 if chosen.quick else 0.1)
    facts = {
        "task": task.name, "model": chosen.model, "side": seat.side,
        "work": f"{len(seat.images)} images" + (f" x {count} {task.unit}" if task.unit else ""),
        "in_network": in_network(ours),
    }  # fmt: skip
    rows = [
        {
            **facts,
            "peer": one.label,
            "same": one.same,
            "parity": parity(made["xailib"], made[one.label]),
            **timed[one.label],
        }
        for one in peers
    ]
    for row in rows:
        print(f"{row['model']} {task.name} {row['peer']}: {row['ratio']:.2f}", flush=True)
    return rows


def in_network(run: Callable[[], Tensor]) -> float:
    """The share of our time that the network's own passes take."""
    with engine.using() as settings:
        began = time.perf_counter()
        run()
        return settings.cost.seconds / (time.perf_counter() - began)


def contestants(
    task: Task, count: int, seat: Seat, peers: list[Peer]
) -> tuple[Callable[[], Tensor], dict[str, Callable[[], Tensor]]]:
    """Ours and the peers' runs of a task, ready to be called."""
    options = {**dict(task.options), **({task.unit: count} if task.unit else {})}
    if task in METHODS:

        def ours() -> Tensor:
            return xai.attribute(task.name, seat.model, seat.images.pixels, seat.images.labels, **options)

        return ours, {one.label: lambda run=one.run: run(seat, count, 0) for one in peers}
    maps = xai.attribute("cam", seat.model, seat.images.pixels, seat.images.labels)

    def score(name: str, column: str = "value", **more: Any) -> Tensor:
        frame = xai.evaluate(name, maps, seat.model, seat.images, **options, **more)
        return torch.from_numpy(frame[column].to_numpy())

    margin = tolerance(seat.side) * 224 / seat.side
    runs: dict[str, Callable[[], Tensor]] = {
        "pointing_game": lambda: score("pointing_game", truth="mask", margin="input", tolerance=margin),
        "pointing_game_exact": lambda: score("pointing_game", truth="mask", tolerance=0.0, strict=False),
        "localisation": lambda: score("localisation", "max_box_acc", largest_by="contour"),
        "deletion_insertion": lambda: torch.stack([score("deletion"), score("insertion")]),
    }
    ours = runs.get(task.name, lambda: score(task.name))
    return ours, {one.label: lambda run=one.run: run(seat, maps, count) for one in peers}


def parity(ours: Tensor, theirs: Tensor) -> float:
    """How well a peer's result agrees with ours: 1 where they are equal.

    Of maps `(n, h, w)` the lowest of the images' correlations; of scores one minus the largest difference.
    """
    theirs = theirs.detach().cpu().to(ours.dtype)
    if ours.ndim < 3:
        return 1 - float((ours - theirs).abs().max())
    return min(
        float(torch.corrcoef(torch.stack([a, b]))[0, 1])
        for a, b in zip(ours.flatten(1), theirs.flatten(1), strict=True)
    )


def label(task: str) -> str:
    """A task's name for a reader."""
    return LABELS.get(task, task.replace("_", " ").capitalize())


if __name__ == "__main__":
    main()
