"""What a map that can be trusted costs: seconds and samples to a given reliability.  python benchmarks/reliability.py --help

Methods that draw samples give another map under another seed. Reliability is the Spearman correlation of the maps of
two seeds, the mean over images. Each contestant's samples are doubled (or halved) until the reliability passes 0.8,
and the count at which it does is read between the two on a logarithmic scale; seconds likewise. Ours has the options
of `scale: small` in params/methods; peers have theirs. A peer that does not get there at its largest count is a lower
bound. `ratio` is the peer's seconds over ours, the geometric mean over networks, which run side by side on a CPU.
"""

import argparse
import functools
import math
import statistics
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

from peers import Peer, Seat, present
from race import label
from scipy.stats import spearmanr
from timing import arguments, load, picture, report, seconds
from torch import Tensor

import xailib as xai
from xailib.plan_passes import options

TARGET = 0.8
NETWORKS = ["mini_resnet_vanilla", "mini_googlenet_vanilla"]
# The option that counts samples, each one pass (SHAP: forward and back); a peer's first and largest count.
METHODS = {
    "shap": ("samples", 64, 512),
    "rise": ("masks", 1024, 4096),
    "lime": ("samples", 512, 2048),
    "kernel_shap": ("samples", 512, 2048),
}
LEAST = 4
Points = dict[int, tuple[float, float]]  # samples -> reliability, seconds an image


def main() -> None:
    chosen = arguments(__doc__, images=8, quick=False)
    networks, methods = (NETWORKS[:1], ["rise"]) if chosen.quick else (NETWORKS, list(METHODS))
    peers = present(methods)
    jobs = [(network, method) for method in methods for network in networks]
    measure = functools.partial(measured, chosen=chosen, peers={k: [one.name for one in v] for k, v in peers.items()})
    if chosen.quick or chosen.device != "cpu":
        found = [measure(job) for job in jobs]
    else:
        with ProcessPoolExecutor(len(networks), mp_context=get_context("spawn")) as pool:
            found = list(pool.map(measure, jobs))
    rows = [row for part in found for row in part]
    report("reliability", rows, chosen)
    summary = summarise(rows)
    best = {row["task"]: min(r["ratio"] for r in summary if r["task"] == row["task"]) for row in summary}
    print(f"Against each method's fastest peer, geometric mean: {statistics.geometric_mean(best.values()):.2f}")
    title = f"Time to a reliability of {TARGET}: mean and range over {len(networks)} networks, {chosen.images} images each"
    picture.save("reliability", picture.frame(summary), chosen, title)
