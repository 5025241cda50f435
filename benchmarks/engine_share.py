"""How much of a method's or metric's time is the network's own passes?  python benchmarks/engine_share.py --help"""

import time

from timing import arguments, load, report

import xailib as xai
from xailib import engine

METHODS = {
    "rise": {"masks": 128},
    "lime": {"samples": 128},
    "kernel_shap": {"samples": 128},
    "extremal_perturbation": {"steps": 10, "step": 14.0},
    "meaningful_perturbation": {"steps": 10},
    "integrated_gradients": {"steps": 10},
}
METRICS = {"deletion": {"steps": 28}, "insertion": {"steps": 28}}


def main() -> None:
    chosen = arguments(__doc__, images=2)
    model, images = load(chosen)
    maps = xai.attribute("rise", model, images.pixels, images.labels, masks=20)

    def run(name: str) -> None:
        if name in METRICS:
            xai.evaluate(name, maps, model, images, **METRICS[name])
        else:
            xai.attribute(name, model, images.pixels, images.labels, **METHODS[name])

    rows = []
    for name in [*METHODS, *METRICS]:
        run(name)
        runs = []
        for _ in range(chosen.rounds):
            with engine.using() as settings:
                began = time.perf_counter()
                run(name)
                runs.append((time.perf_counter() - began, settings.cost))
        wall, cost = min(runs, key=lambda run: run[0])
        row = {"task": name, "model": chosen.model, "seconds": wall, "in_network_s": cost.seconds}
        passes = cost.forward + cost.backward
        rows.append({**row, "share": cost.seconds / wall, "passes": passes, "ms_a_pass": 1e3 * cost.seconds / passes})
    report("engine_share", rows, chosen)


if __name__ == "__main__":
    main()
