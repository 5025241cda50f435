"""How far ROAR's own verdict can be trusted: the same rankings without retraining, by ROAD, by the mask alone, by metrics.

Each check gives rows of `trust.parquet`: estimator, check, mode, level, seed, base, value, n, correct.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from xailib.errors import InputError
from xailib.images import ImageBatch
from xailib.metrics.imputation import impute
from xailib.models.model import Model
from xailib.roar.removal import Mode, replaced, unpack
from xailib.roar.retrain import Trainer, retrain
from xailib.roar.store import Part, Store
from xailib.roar.view import Ranking, View

MODES: tuple[Mode, ...] = ("remove", "keep")
Rows = list[dict[str, Any]]


def without_retraining(
    estimator: str, trainer: Trainer, network: nn.Module, store: Store, ranking: Ranking, base: int = 0
) -> Rows:
    """Accuracy of an explained network on the test images with values replaced by the mean, at every level and mode.

    `base` is which of the networks it is: another one's accuracies lie up to thirty points from these.
    """
    rows = []
    for mode in MODES:
        for level in ranking.levels:
            view = View(store.test, store.mean, trainer.device, ranking, level, mode)
            hits = trainer.hits(network, view)
            rows.append(_row(estimator, "no_retraining", mode, level, hits, base=base))
    return rows


def road(
    estimator: str, trainer: Trainer, network: nn.Module, store: Store, ranking: Ranking, *, limit: int, seed: int = 0
) -> Rows:
    """Accuracy of the explained network where removed pixels are imputed instead: ROAD (Rong et al. 2022).

    Mode remove imputes the most important values (MoRF), keep all but them (LeRF's order). The first `limit` test
    images count, since each takes a linear system of its own.
    """
    few = slice(0, min(limit, len(store.test)))
    ids, labels = store.test.ids[few], store.test.labels[few]
    pixels = torch.from_numpy(np.array(store.test.pixels[few])).float().div_(255)
    levels = unpack(torch.from_numpy(np.array(ranking.packed[few])), ranking.shape)
    rows = []
    for mode in MODES:
        for level in ranking.levels:
            removed = replaced(levels, ranking.levels, level, mode)
            imputed = impute(pixels, removed, seed=seed, ids=ids, fill=store.mean)
            part = Part((imputed.clamp(0, 1) * 255).round().byte().numpy(), labels, ids)
            hits = trainer.hits(network, View(part, store.mean, trainer.device))
            rows.append(_row(estimator, "road", mode, level, hits))
    return rows


def mask_alone(
    estimator: str,
    trainer: Trainer,
    store: Store,
    train: Ranking,
    test: Ranking,
    *,
    level: int,
    facts: dict[str, Any],
    seed: int = 0,
    kept: Path | None = None,
    report: Callable[[str], Any] = print,
) -> Rows:
    """Test accuracy of a network that is trained on the masks of removed values and sees no image.

    Above chance, the mask by itself tells the class, and a retrained network can read it: what ROAR measures is then
    partly the mask and not what its pixels showed (Jethani et al. 2021; Rong et al. 2022).

    Args:
        level: percentage of the values in the masks.
        facts: what the rankings come from, `base` among it; see `retrain`.
        seed: of the training.
        kept: keeps the row until the slice is done; see `retrain`.
    """
    views = [
        View(part, store.mean, trainer.device, ranking, level, sight="mask")
        for part, ranking in ((store.train, train), (store.test, test))
    ]
    facts = {**facts, "estimator": estimator, "mode": "remove", "level": level, "sight": "mask"}
    kept = kept and kept.with_name(f"{kept.name}_{seed}")
    row, _ = retrain(trainer, *views, seed, facts, kept=kept, report=report)
    if row["status"] != "ok":
        report(f"mask alone: {row['status']}")
    hits = np.unpackbits(np.frombuffer(row["correct"], np.uint8), count=len(store.test)) if row["correct"] else []
    return [_row(estimator, "mask_only", "remove", level, np.asarray(hits, bool), seed, facts["base"])]


def metric_scores(
    estimator: str,
    model: Model,
    images: ImageBatch,
    saved: dict[str, Any],
    metrics: dict[str, tuple[str, dict[str, Any]]],
) -> Rows:
    """Mean scores of the estimator's maps by the metrics of the explainability study, on the explained network.

    Args:
        images: the first test images of the store, with their boxes.
        saved: their maps, as `results.read_maps` gives them; the explained classes are the targets of the metrics.
        metrics: id -> (registered function, options). An image that a metric is not defined for does not count.
    """
    from xailib.metrics import evaluate

    if saved["ids"] != images.ids:
        raise InputError(f"estimator '{estimator}': its maps belong to other images than the store's; rank again")
    images = images.with_labels(saved["targets"])
    rows = []
    for name, (function, options) in metrics.items():
        values = evaluate(function, saved["maps"], model, images, **options)["value"].dropna()
        row = _row(estimator, name, "", 0, np.zeros(0, bool))
        rows.append({**row, "value": float(values.mean()) if len(values) else float("nan"), "n": len(values)})
    return rows


def _row(
    estimator: str, check: str, mode: str, level: int, hits: np.ndarray, seed: int = 0, base: int = 0
) -> dict[str, Any]:
    facts = {"estimator": estimator, "check": check, "mode": mode, "level": level, "seed": seed, "base": base}
    value = float(hits.mean()) if len(hits) else float("nan")
    return {**facts, "value": value, "n": len(hits), "correct": np.packbits(hits).tobytes()}
