"""A made-up study whose effects are planted, so that every verdict is known beforehand. Never shipped as a result."""

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from xailib.analysis.frames import Frames
from xailib.results import write_maps, write_table

ARCHITECTURES = ("mini_alexnet", "mini_densenet", "mini_googlenet", "mini_mobilenet_v2", "mini_resnet")
METHODS = {
    "gradient": "gradient", "integrated_gradients": "gradient", "shap": "gradient",
    "cam": "cam", "gradcam": "cam",
    "extremal_perturbation": "perturbation", "meaningful_perturbation": "perturbation",
    "rise": "perturbation", "lime": "perturbation",
    "random": "control", "centre_gaussian": "control", "sobel": "control",
}  # fmt: skip
NOISE = {"rise": 0.1, "lime": 0.2, "shap": 0.05, "random": 0.4}  # between seeds, of one score; others draw nothing
METRICS = {"pointing_game": "higher", "localisation": "higher", "deletion": "lower", "insertion": "higher"}
LABELS = {"gradcam": "GradCAM", "rise": "RISE", "cam": "CAM", "lime": "LIME", "shap": "SHAP"}


def study(
    seed: int = 0,
    images: int = 40,
    *,
    gradient_gain: float = 0.3,
    cam_gain: float = 0.0,
    advprop_gain: float = 0.0,
    advprop_accuracy: float = 0.03,
    champions: float = 0.2,
    confidence_gap: float = 0.3,
    resnet_gain: float = 0.1,
    robust_cost: float = 0.15,
    accuracy: float = 0.93,
    architectures: tuple[str, ...] = ARCHITECTURES,
    ids: list[str] | None = None,
) -> Frames:
    """Return frames of vanilla and robust twins, and two AdvProp ResNets, with these planted effects.

    Args:
        seed: of the noise.
        images: number of images with scores.
        gradient_gain, cam_gain: what robust training adds to the hit rates of gradient and CAM methods.
        advprop_gain, advprop_accuracy: what AdvProp adds to every score, and to accuracy.
        champions: lead of GradCAM and RISE over other methods.
        confidence_gap: how much less confident robust networks are; insertion and deletion follow it.
        resnet_gain: lead of ResNet in every criterion.
        accuracy: of vanilla networks.
        robust_cost: what robust training takes from accuracy.
        architectures: which of them.
        ids: names of the images.
    """
    images = len(ids) if ids else images
    random = np.random.default_rng(seed)
    models = _models(architectures)
    scores, predictions, accuracies = [], [], []
    ids = ids or [f"image_{i:03d}" for i in range(images)]
    for position, (model, facts) in enumerate(models.iterrows()):
        robust, advprop, resnet = (
            facts["training_algorithm"] == "robust",
            facts["training_algorithm"] == "advprop",
            facts["architecture"] == "mini_resnet",
        )
        confidence = 0.95 - confidence_gap * robust - 0.01 * (position % 5) - 0.002 * position
        right = min(0.99, accuracy - robust_cost * robust + 0.4 * resnet_gain * resnet + advprop_accuracy * advprop)
        for method, family in METHODS.items():
            if method == "cam" and facts["architecture"] == "mini_alexnet":
                continue
            skill = (
                0.0
                if family == "control"
                else 0.25 + champions * (method in ("gradcam", "rise")) + 0.1 * (method == "cam")
            )
            skill += (gradient_gain * (family == "gradient") + cam_gain * (family == "cam")) * robust
            skill += resnet_gain * resnet + advprop_gain * advprop
            for metric in METRICS:
                if metric in ("pointing_game", "localisation"):
                    value, normalised = (random.random(images) < 0.25 + skill).astype(float), np.full(images, np.nan)
                else:
                    sign = 1 if metric == "insertion" else -1
                    normalised = 0.5 + sign * 0.3 * skill + random.normal(0, 0.05, images)
                    value = normalised * confidence
                scores.append((model, method, metric, value, normalised))
        for subset, names in (("maps", ids), ("accuracy", [f"more_{i:04d}" for i in range(600)])):
            n = len(names)
            correct = np.ones(n, bool) if subset == "maps" else random.random(n) < right
            rows = {"model": model, "image": names, "label": 0, "predicted": 0, "correct": correct, "subset": subset}
            rows |= {
                "confidence": np.clip(confidence + random.normal(0, 0.05, n), 0, 1),
                "label_probability": confidence,
            }
            predictions.append(pd.DataFrame(rows))
        for shift, loss in (
            ("clean", 0),
            ("silhouette", 0.3),
            ("gaussian_noise_1", 0.1),
            ("gaussian_noise_3", 0.3),
            ("l2_pgd", None),
        ):
            rate = (0.5 if robust else 0.02) if loss is None else right - loss * (0.5 if robust else 1) - 0.1 * robust
            n = 600 if loss is not None else 200
            hits = random.binomial(n, min(rate, 1))
            rightly = np.random.default_rng([seed, position, n]).permutation(n) < hits
            row = {
                "model": model,
                "shift": shift,
                "n": n,
                "accuracy": hits / n,
                "right": "".join(str(int(one)) for one in rightly),
                "mean_confidence": confidence,
                "ece": 0.05,
            }
            accuracies.append(row)
    scores = _tidy(scores, ids)
    return Frames(
        scores=scores,
        reliability=repeated(scores, ids[:4], NOISE),
        predictions=pd.concat(predictions, ignore_index=True),
        accuracy=pd.DataFrame(accuracies),
        skipped=pd.DataFrame(
            [["mini_alexnet_vanilla", "cam", "needs gap_linear_head"]], columns=["model", "method", "reason"]
        ),
        models=models,
        methods=pd.DataFrame(
            {"label": map(_label, METHODS), "family": METHODS.values(), "function": METHODS.keys()},
            pd.Index(METHODS, name="method"),
        ),
        metrics=pd.DataFrame(
            {
                "label": map(_label, METRICS),
                "better": METRICS.values(),
                "low": 0.0,
                "high": 1.0,
                "extra": False,
                "function": METRICS.keys(),
            },
            pd.Index(METRICS, name="metric"),
        ),
    )


def _label(name: str) -> str:
    return LABELS.get(name, name.replace("_", " ").capitalize())


def repeated(scores: pd.DataFrame, ids: list[str], noise: dict[str, float], seed: int = 0) -> pd.DataFrame:
    """Return a second seed's scores of some images: each seed moves a score by noise of this standard deviation."""
    random = np.random.default_rng(seed)
    table = scores[scores["image"].isin(ids)][["model", "method", "metric", "image", "value"]].reset_index(drop=True)
    spread = table["method"].map(noise).fillna(0.0).to_numpy()
    correlation = np.where(spread == 0, 1.0, np.exp(-5 * spread) + 0.02 * random.normal(size=len(table)))
    table["second"] = table["value"] + np.sqrt(2) * spread * random.normal(size=len(table))
    return table.assign(correlation=correlation, same=spread == 0)


def _tidy(scores: list[tuple], ids: list[str]) -> pd.DataFrame:
    names, values = (
        list(zip(*scores, strict=True))[:3],
        [np.concatenate(part) for part in list(zip(*scores, strict=True))[3:]],
    )
    columns = {
        key: np.repeat(np.array(part, object), len(ids))
        for key, part in zip(("model", "method", "metric"), names, strict=True)
    }
    columns |= {"image": np.tile(np.array(ids, object), len(scores)), "target": 0}
    return pd.DataFrame({**columns, "value": values[0], "value_normalised": values[1]})


def _models(architectures: tuple[str, ...]) -> pd.DataFrame:
    rows = [
        (f"{a}_{kind}", f"{a.removeprefix('mini_').capitalize()}{'-R' * (kind == 'robust')}", a, kind)
        for a in architectures
        for kind in ("vanilla", "robust")
    ]
    if "mini_resnet" in architectures:
        rows[-1:-1] = [(f"mini_resnet_advprop{i}", f"ResNet-AP{i}", "mini_resnet", "advprop") for i in (1, 5)]
    return pd.DataFrame(rows, columns=["model", "label", "architecture", "training_algorithm"]).set_index("model")


def write(frames: Frames, folder: Path, side: int = 16) -> Path:
    """Write frames as a study's results folder, with made-up maps."""
    for name in ("scores", "reliability", "predictions", "accuracy"):
        write_table(folder / f"{name}.parquet", getattr(frames, name))
    write_table(folder / "skipped.csv", frames.skipped)
    random = torch.Generator().manual_seed(0)
    for model, method in frames.scores[["model", "method"]].drop_duplicates().itertuples(index=False):
        maps = torch.rand(len(frames.images), side, side, generator=random) - (0.5 if method == "lime" else 0.0)
        write_maps(
            folder / model / method / "maps.npz", maps, frames.images, torch.zeros(len(frames.images), dtype=torch.long)
        )
    return folder


def only(frames: Frames, models: list[str]) -> Frames:
    """Keep some models of a study."""
    tables = {name: getattr(frames, name) for name in ("scores", "reliability", "predictions", "accuracy")}
    kept = {name: table[table["model"].isin(models)].reset_index(drop=True) for name, table in tables.items()}
    return dataclasses.replace(frames, **kept, models=frames.models.loc[models])
