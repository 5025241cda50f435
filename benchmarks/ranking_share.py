"""How much of the time of ROAR's rankings is the network's own passes?  python benchmarks/ranking_share.py --help"""

import tempfile
import time
from dataclasses import replace
from pathlib import Path

import torch
from timing import arguments, load, report

from xailib import engine, params
from xailib.roar.rank import rank
from xailib.roar.store import Store, build

GROUPS = {
    "gradient": ["gradient", "squared_gradient"],
    "guided_backprop": ["guided_backprop", "squared_guided_backprop"],
    "integrated_gradients": ["integrated_gradients", "squared_integrated_gradients"],
    "gradient_noisy": [
        "smoothgrad_gradient", "squared_smoothgrad_gradient", "smoothgrad_squared_gradient", "vargrad_gradient",
    ],
    "integrated_gradients_noisy": ["smoothgrad_integrated_gradients", "vargrad_integrated_gradients"],
}  # fmt: skip


def main() -> None:
    chosen = arguments(__doc__, images=64)
    model, _ = load(chosen)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        quiet = {"report": lambda line: None}
        store = build(f"{folder}/store", "pictograms", side=64, train_images=chosen.images, test_images=12, **quiet)
        for group, ids in GROUPS.items():
            wall, cost = min(
                (once(store, model, ids, Path(folder)) for _ in range(chosen.rounds)), key=lambda run: run[0]
            )
            row = {"group": group, "model": chosen.model, "seconds": wall, "in_network_s": cost.seconds}
            images = len(store.train) + len(store.test)
            rows.append({**row, "share": cost.seconds / wall, "ms_an_image": 1e3 * wall / images})
    report("ranking_share", rows, chosen)


def once(store: Store, model: torch.nn.Module, ids: list[str], folder: Path) -> tuple[float, engine.Cost]:
    """Rank all images once, and return the seconds and what the network's passes cost."""
    records = [params.load_params("estimators", id) for id in ids]
    store = replace(store, class_names=model.class_names)
    with engine.using() as settings:
        began = time.perf_counter()
        folders = {id: folder / id for id in ids}
        rank(folders, records, store, model, levels=[10, 50, 90], scale="small", report=lambda line: None)
        return time.perf_counter() - began, settings.cost


if __name__ == "__main__":
    main()
