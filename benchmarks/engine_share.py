"""How much of a method's time is the network's own passes?  python benchmarks/engine_share.py --help"""

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


def main() -> None:
    chosen = arguments(__doc__, images=2)
    model, images = load(chosen)
    xai.attribute("rise", model, images.pixels, images.labels, masks=20)
    rows = []
    for method, options in METHODS.items():
        runs = []
        for _ in range(chosen.rounds):
            with engine.using() as settings:
                began = time.perf_counter()
                xai.attribute(method, model, images.pixels, images.labels, **options)
                runs.append((time.perf_counter() - began, settings.cost))
        wall, cost = min(runs, key=lambda run: run[0])
        row = {"method": method, "model": chosen.model, "seconds": wall, "in_network_s": cost.seconds}
        passes = cost.forward + cost.backward
        rows.append({**row, "share": cost.seconds / wall, "passes": passes, "ms_a_pass": 1e3 * cost.seconds / passes})
    report("engine_share", rows)


if __name__ == "__main__":
    main()
