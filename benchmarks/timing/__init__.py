"""Time contestants side by side in one run: rounds interleave them, so that a busy machine slows all alike."""

import argparse
import csv
import statistics
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

import xailib as xai
from xailib.images import ImageBatch
from xailib.models.model import Model

RESULTS = Path(__file__).parents[2] / "results" / "benchmarks"


def arguments(description: str, **defaults: int) -> argparse.Namespace:
    """Read `--model`, `--device`, `--threads`, `--rounds` and one whole number for each of `defaults`."""
    warnings.filterwarnings("ignore")
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--model", default="mini_resnet_vanilla")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    for name, value in defaults.items():
        parser.add_argument(f"--{name}", type=int, default=value)
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    return chosen


def load(chosen: argparse.Namespace) -> tuple[Model, ImageBatch]:
    """The model and images that fit it: pictograms for the small networks, photographs for the others."""
    model = xai.load_model(chosen.model, device=chosen.device)
    world = "pictograms" if chosen.model.startswith("mini_") else "photos"
    side = {} if world == "pictograms" else {"side": model.input_size}
    return model, xai.load_images(world, limit=chosen.images, **side)


def seconds(run: Callable[[], Any]) -> float:
    """Seconds of one call: of the processor on a CPU (a busy machine does not change them), of the clock on a GPU."""
    if not torch.cuda.is_available():
        began = time.process_time()
        run()
        return time.process_time() - began
    torch.cuda.synchronize()
    began = time.perf_counter()
    run()
    torch.cuda.synchronize()
    return time.perf_counter() - began


def race(task: str, ours: Callable[[], Any], peer: str, theirs: Callable[[], Any], rounds: int) -> dict[str, Any]:
    """Warm both up, run them in turn `rounds` times and return the medians and the peer's time over ours."""
    ours(), theirs()
    pairs = [(seconds(ours), seconds(theirs)) for _ in range(rounds)]
    ratios = sorted(b / a for a, b in pairs)
    row = {
        "task": task, "peer": peer,
        "xailib_s": statistics.median(a for a, _ in pairs), "peer_s": statistics.median(b for _, b in pairs),
        "ratio": statistics.median(ratios), "ratio_low": ratios[0], "ratio_high": ratios[-1],
    }  # fmt: skip
    return row


def report(name: str, rows: list[dict[str, Any]]) -> None:
    """Print rows as a table and write them to `results/benchmarks/<name>.csv`."""
    keys = list(rows[0])
    cells = [[f"{row[key]:.3g}" if isinstance(row[key], float) else str(row[key]) for key in keys] for row in rows]
    widths = [max(len(line[i]) for line in [keys, *cells]) for i in range(len(keys))]
    for line in [keys, *cells]:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
    RESULTS.mkdir(parents=True, exist_ok=True)
    with open(RESULTS / f"{name}.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, keys)
        writer.writeheader()
        writer.writerows(rows)
