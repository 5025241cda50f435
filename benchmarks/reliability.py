"""What a map that can be trusted costs: samples and seconds to a given reliability.  python benchmarks/reliability.py --help

Methods that draw samples give another map under another seed. Reliability is the Spearman correlation of the maps of
two seeds, the mean over images. Each contestant's samples are doubled (or halved) until the reliability passes 0.8 (--target 80);
the count at which it does is read between the two on a logarithmic scale, the seconds in proportion. Ours has the
options of `scale: small` in params/methods; peers have theirs. A peer that does not get there at its largest count
gives a lower bound. All turn over turn in one run, on one thread; on a CPU the networks run side by side.
"""

import argparse
import functools
import statistics
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

import pandas as pd
from peers import Seat, present
from race import label
from scipy.stats import spearmanr
from timing import arguments, load, picture, report, seconds, settle
from torch import Tensor

import xailib as xai
from xailib.params import setting

NETWORKS = ["mini_resnet_vanilla", "mini_googlenet_vanilla"]
# The option that counts samples, each one pass (SHAP: forward and back); the peers' first and largest count.
METHODS = {
    "shap": ("samples", 128, 512), "rise": ("masks", 2048, 4096), "lime": ("samples", 1024, 2048),
    "kernel_shap": ("samples", 1024, 4096),
}  # fmt: skip
QUICK = {"rise": ("masks", 16, 32), "lime": ("samples", 16, 32)}
LEAST = {"kernel_shap": 32}  # samples, else 4: one order of all superpixels

Points = dict[int, tuple[float, float]]  # samples -> reliability, seconds an image
Maps = Callable[[int, int], Tensor]  # (samples, seed) -> maps (n, h, w)


def main() -> None:
    chosen = arguments(__doc__, images=4, target=80, quick=False)  # target in per cent
    methods = QUICK if chosen.quick else METHODS
    present(list(methods))
    jobs = [(network, method) for method in methods for network in NETWORKS]
    measure = functools.partial(measured, chosen)
    if chosen.quick or chosen.device != "cpu":
        found = list(map(measure, jobs))
    else:
        with ProcessPoolExecutor(len(NETWORKS), mp_context=get_context("spawn")) as pool:
            found = list(pool.map(measure, jobs))
    frame = report("reliability", [row for rows in found for row in rows], chosen)
    ratios = compared(frame)
    if ratios.empty:
        return
    fastest = ratios.groupby("task")["ratio"].min()
    print(f"Against each method's fastest peer, geometric mean: {statistics.geometric_mean(fastest):.2f}")
    title = f"Time to a reliability of {chosen.target / 100}: {len(NETWORKS)} networks, {chosen.images} images"
    picture.save("reliability", ratios.assign(panel="Pictograms, 64 px"), chosen, title)


def measured(chosen: argparse.Namespace, job: tuple[str, str]) -> list[dict[str, Any]]:
    """One row a contestant, ours first: what it needs on one network."""
    settle(chosen)
    network, method = job
    unit, first, largest = (QUICK if chosen.quick else METHODS)[method]
    model, images = load(argparse.Namespace(**{**vars(chosen), "model": network}))
    background = xai.load_images("pictograms", split="train", limit=50).pixels.to(model.device)  # as in the study
    seat = Seat(model, images, references=background if method == "shap" else None)
    function, given = setting("methods", method, "small")
    given |= {"references": background} if method == "shap" else {}

    def ours(count: int, seed: int) -> Tensor:
        pixels, labels = seat.images.pixels, seat.images.labels
        return xai.attribute(function, seat.model, pixels, labels, seed=seed, **{**given, unit: count})

    start = min(given[unit], largest) if chosen.quick else given[unit]
    contestants: dict[str, tuple[Maps, int, int]] = {"xailib": (ours, start, max(16 * start, largest))}
    for one in present([method])[method]:
        contestants[one.label] = (functools.partial(one.run, seat), first, largest)
    points: dict[str, Points] = {name: {} for name in contestants}
    least = LEAST.get(method, 4)
    for maps, *_ in contestants.values():
        maps(least, 0)  # nothing is warmed up on the clock
    target = chosen.target / 100
    while turns := {
        name: count
        for name, (_, low, high) in contestants.items()
        if (count := following(points[name], low, high, target, least))
    }:
        for name, count in turns.items():
            points[name][count] = measure(contestants[name][0], count, chosen)
    facts = {"task": method, "network": network}
    return [{**facts, "contestant": name, **needed(points[name], target)} for name in contestants]


def measure(maps: Maps, count: int, chosen: argparse.Namespace) -> tuple[float, float]:
    """Reliability at so many samples, and seconds an image."""
    made: list[Tensor] = []
    taken = [
        seconds(lambda seed=seed: made.append(maps(count, seed)), chosen.device, chosen.threads) for seed in (0, 1)
    ]
    pairs = zip(*(one.cpu().flatten(1) for one in made), strict=True)
    return statistics.fmean(spearmanr(a, b).statistic for a, b in pairs), statistics.fmean(taken) / len(made[0])


def following(points: Points, first: int, largest: int, target: float, least: int = 4) -> int | None:
    """The next count to try, so that two neighbours come to lie about the target; None when there is none."""
    if not points:
        return first
    low, high = min(points), max(points)
    if points[low][0] >= target:
        return low // 2 if low // 2 >= least else None
    if points[high][0] < target:
        return 2 * high if 2 * high <= largest else None
    return None


def needed(points: Points, target: float) -> dict[str, Any]:
    """Samples and seconds an image to the target, whether it was reached, and what was measured."""
    counts = sorted(points)
    above = next((i for i, count in enumerate(counts) if points[count][0] >= target), None)
    if above:
        low, high = counts[above - 1 : above + 1]
        share = (target - points[low][0]) / (points[high][0] - points[low][0])
        samples = low * (high / low) ** share
        spent = points[low][1] + (samples - low) / (high - low) * (points[high][1] - points[low][1])
    else:  # the smallest count is enough, or the largest is not
        samples = counts[0 if above == 0 else -1]
        spent = points[samples][1]
    measured = " ".join(f"{count}: {points[count][0]:.2f}" for count in counts)
    return {"samples": round(samples), "seconds": spent, "reached": above is not None, "measured": measured}


def compared(frame: pd.DataFrame) -> pd.DataFrame:
    """One row a method and peer: its seconds over ours, geometric mean and range over networks; `bound` for "at least"."""
    ours = frame[frame["contestant"] == "xailib"].set_index(["task", "network"])
    rows = []
    for (task, peer), part in frame[frame["contestant"] != "xailib"].groupby(["task", "contestant"], sort=False):
        mine = ours.loc[[(task, network) for network in part["network"]]]
        if not mine["reached"].all():
            print(f"{task}: ours does not get there itself, so there is no ratio to {peer}")
            continue
        ratios = part["seconds"].to_numpy() / mine["seconds"].to_numpy()
        facts = {"task": task, "peer": peer, "label": f"{label(task)}  ·  {peer}", "bound": not part["reached"].all()}
        mean = statistics.geometric_mean(ratios)
        rows.append({**facts, "ratio": mean, "ratio_low": ratios.min(), "ratio_high": ratios.max()})
    return pd.DataFrame(rows)


if __name__ == "__main__":
    main()
