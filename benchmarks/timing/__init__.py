"""Time contestants side by side in one run: rounds interleave them, so that a busy machine slows all alike."""

import argparse
import math
import os
import platform
import statistics
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor

import xailib as xai
from xailib import params
from xailib.images import ImageBatch
from xailib.models import build_network, from_record
from xailib.models.model import Model
from xailib.results import provenance

RESULTS = Path(__file__).parents[2] / "results" / "benchmarks"
FLAGS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16", "asimd", "bf16")


def arguments(description: str, model: str = "mini_resnet_vanilla", **defaults: int | bool) -> argparse.Namespace:
    """Read `--model`, `--device`, `--threads`, `--rounds`, `--save`, and one whole number or switch for each default."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=model)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--save", type=Path, default=RESULTS, help="folder of the table and its picture")
    for name, value in defaults.items():
        kind = {"action": "store_true"} if isinstance(value, bool) else {"type": int, "default": value}
        parser.add_argument(f"--{name}", **kind)
    chosen = parser.parse_args()
    if os.environ.get("OMP_NUM_THREADS") != str(chosen.threads):  # numpy and the like read it when they are imported
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, "OMP_NUM_THREADS": str(chosen.threads)})
    settle(chosen)
    return chosen


def settle(chosen: argparse.Namespace) -> None:
    """Make this process as asked: its threads, and no warnings of packages."""
    warnings.filterwarnings("ignore")
    torch.set_num_threads(chosen.threads)


def load(chosen: argparse.Namespace, images: int | None = None) -> tuple[Model, ImageBatch]:
    """The model and images that fit it: pictograms for the small networks, photographs for the others.

    A large network has random weights, so that nothing is to be fetched: their values change no time.
    """
    small = chosen.model.startswith("mini_")
    model = xai.load_model(chosen.model, device=chosen.device) if small else make(chosen.model, chosen.device)
    side = {} if small else {"side": model.input_size}
    return model, xai.load_images("pictograms" if small else "photos", limit=images or chosen.images, **side)


def make(id: str, device: str) -> Model:
    """A network with random weights, the same at each call."""
    torch.manual_seed(0)
    record = params.load_params("models", id)
    return from_record(build_network(record), record, device)


def seconds(run: Callable[[], Any], device: str = "cpu", threads: int = 1) -> float:
    """Seconds of one call: of the processor on one CPU thread (a busy machine changes them least), else of the clock."""
    cuda = str(device).startswith("cuda")
    clock = time.process_time if threads == 1 and not cuda else time.perf_counter
    wait = torch.cuda.synchronize if cuda else lambda: None
    wait()
    began = clock()
    run()
    wait()
    return clock() - began


def race(
    ours: Callable[[], Tensor], peers: dict[str, Callable[[], Tensor]], chosen: argparse.Namespace, least: float = 0.1
) -> tuple[dict[str, Tensor], dict[str, dict[str, float]]]:
    """Run ours (called "xailib") and all peers in turn, again and again.

    All run once or twice before, so that nothing is warmed up on the clock. A turn repeats what takes less than `least`
    seconds; where a whole turn takes less than a second there are three times as many rounds.

    Returns:
        What each made, and for each peer the medians and the ratios: its time over ours.
    """
    made: dict[str, Tensor] = {}
    first: dict[str, float] = {}

    def once(name: str, times: int = 1) -> float:
        def run() -> None:
            for _ in range(times):
                made[name] = runs[name]()

        return seconds(run, chosen.device, chosen.threads) / times

    runs = {"xailib": ours, **peers}
    for name in runs:
        first[name] = once(name)
        if first[name] < 1:  # else what was warmed up did not count for much
            first[name] = once(name)
    times = {name: max(1, math.ceil(least / max(taken, 1e-6))) for name, taken in first.items()}
    rounds = chosen.rounds * (3 if least and sum(max(least, taken) for taken in first.values()) < 1 else 1)
    turns = [{name: once(name, times[name]) for name in runs} for _ in range(rounds)]
    found = {}
    for peer in peers:
        ratios = [turn[peer] / turn["xailib"] for turn in turns]
        found[peer] = {
            "xailib_s": statistics.median(turn["xailib"] for turn in turns),
            "peer_s": statistics.median(turn[peer] for turn in turns),
            "ratio": statistics.median(ratios), "ratio_low": min(ratios), "ratio_high": max(ratios), "rounds": rounds,
        }  # fmt: skip
    return made, found


def machine(chosen: argparse.Namespace) -> str:
    """What a reader must know of the machine: the processor, what it computes with, threads, the GPU, torch."""
    words = {}
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            name, _, value = line.partition(":")
            words.setdefault(name.strip(), value.strip())
    except OSError:  # no Linux
        pass
    processor = words.get("model name") or platform.processor() or platform.machine()
    known = set((words.get("flags") or words.get("Features") or "").split())
    parts = [processor, f"{chosen.threads} of {os.cpu_count()} threads", " ".join(f for f in FLAGS if f in known)]
    if str(chosen.device).startswith("cuda"):
        parts.append(provenance.device(torch.device(chosen.device)))
    bf16 = "bf16 in hardware" if {"avx512_bf16", "amx_bf16", "bf16"} & known else "no bf16 in hardware"
    return ", ".join(part for part in [*parts, bf16, "fp32", f"torch {torch.__version__}"] if part)


def report(name: str, rows: list[dict[str, Any]], chosen: argparse.Namespace) -> pd.DataFrame:
    """Print rows as a table, write them with the machine to `<name>.csv` in `--save`, and return them."""
    frame = pd.DataFrame(rows)
    print(frame.to_string(index=False, float_format=lambda value: f"{value:.3g}"))
    chosen.save.mkdir(parents=True, exist_ok=True)
    frame.assign(machine=machine(chosen)).to_csv(chosen.save / f"{name}.csv", index=False, float_format="%.4g")
    return frame
