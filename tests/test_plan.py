"""The planner counts what the engine counts, for everything registered, and adds it up."""

import csv
import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from torch import nn

import xailib as xai
from tests.test_engine import SIDE, N, make_model
from xailib import engine, params, registry
from xailib.errors import InputError
from xailib.images import ImageBatch
from xailib.workflow import plan, plan_costs
from xailib.workflow import study as workflow
from xailib.workflow.plan_costs import computed

# At a small scale; another one than the defaults, so that a count that ignores the options shows.
OPTIONS: dict[str, dict[str, Any]] = {
    "integrated_gradients": {"steps": 3, "reference": "random", "trials": 2},
    "shap": {"samples": 3},
    "lime": {"samples": 9, "segments": 6},
    "kernel_shap": {"samples": 9, "segments": 6},
    "extremal_perturbation": {"steps": 3, "areas": [0.1, 0.3], "step": 28.0, "sigma": 56.0},
    "meaningful_perturbation": {"steps": 2},
    "rise": {"masks": 13},
    "deletion": {"steps": 6},
    "insertion": {"steps": 7},
    "road_morf": {"steps": 4},
    "road_lerf": {"steps": 3},
    "smoothgrad": {"samples": 3},
    "deeplift_shap": {"noise_references": 2},
    "infidelity": {"samples": 5},
    "faithfulness_correlation": {"samples": 5},
    "faithfulness_estimate": {"steps": 8},
    "monotonicity_correlation": {"steps": 4, "samples": 3},
    "non_sensitivity": {"cells": 3},
}
# Their passes depend on how many superpixels an image has, or on how many maps the network's last stage gives.
VARIES = {"feature_ablation", "shapley_value_sampling", "score_cam", "ss_cam", "is_cam"}


@pytest.fixture(scope="module")
def images() -> ImageBatch:
    pixels = torch.rand(N, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(4))
    masks = torch.ones(N, SIDE, SIDE, dtype=torch.bool)
    return ImageBatch(pixels, torch.arange(N) % 3, [torch.tensor([[1.0, 1.0, 9.0, 9.0]])] * N, masks, [*"abcdef"])


def counted(run: Callable[[], Any], precision: str) -> tuple[int, int, int, int]:
    """What the engine counts: forward, back, and those of them in bf16."""
    with engine.using(precision=precision, batch_size=4) as settings:
        run()
    cost = settings.cost
    return cost.forward, cost.backward, cost.forward_bf16, cost.backward_bf16


def planned(passes: pd.Series) -> tuple[int, int, int, int]:
    low = passes["forward_bf16"] + passes["both_bf16"]
    return passes.sum(), passes["both"] + passes["both_bf16"], low, passes["both_bf16"]


@pytest.mark.parametrize("name", sorted({*xai.list_methods()} - VARIES))
def test_every_method_is_counted_exactly(name: str, images: ImageBatch) -> None:
    options = OPTIONS.get(name, {})
    for precision in ("fp32", "bf16"):
        real = counted(lambda: xai.attribute(name, make_model(), images.pixels, images.labels, **options), precision)
        assert planned(plan_costs.method_passes(name, options, N, precision, SIDE)) == real
    assert real[0] > 0 or registry.method.get(name).family == "control"


def test_passes_that_depend_on_the_side_are_counted_at_the_study_s_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tiles of 16 pixels, of which an image of 8 has none: 4 x 4 of them and the whole image, at 64 pixels."""
    monkeypatch.setattr(registry.method, "entries", {**registry.method.entries})

    @registry.method("tiles_of_mine", family="perturbation", label="Tiles", paper="none")
    def tiles(model: xai.Model, pixels: torch.Tensor, targets: torch.Tensor, *, patch: int = 16) -> torch.Tensor:
        engine.scores(model, targets, 1, lambda images, _: pixels[images])
        engine.scores(model, targets, (pixels.shape[-1] // patch) ** 2, lambda images, _: pixels[images])
        return pixels.mean(1)

    assert planned(plan_costs.method_passes("tiles_of_mine", {}, 10, "fp32", 64))[0] == 10 * 17
    given = {"limit": 3, "precision": "fp32", "models": "mini_resnet_vanilla", "target": "label"}
    values = {"dataset": "pictograms", "methods": ["occlusion"], "metrics": ["deletion"], "study": "mine"}
    (tmp_path / "mine.yaml").write_text(json.dumps(values | given))
    _, work = plan.passes(workflow.open_study(tmp_path / "mine.yaml"))
    model, images = xai.load_model("mini_resnet_vanilla"), xai.load_images("pictograms", limit=3)
    real = counted(lambda: xai.attribute("occlusion", model, images, "label"), "fp32")
    assert planned(work["attribute", "occlusion"])[0] == 2 * real[0]  # again under another seed


@pytest.mark.parametrize("name", [name for name in xai.list_metrics() if not registry.metric.get(name).explains])
def test_every_metric_is_counted_exactly(name: str, images: ImageBatch) -> None:
    options, maps = OPTIONS.get(name, {}), torch.rand(N, SIDE, SIDE)
    real = counted(lambda: xai.evaluate(name, maps, make_model(), images, **options), "bf16")
    assert planned(plan_costs.metric_passes(name, options, N, "bf16")) == real


def test_predict_is_counted_as_its_notebook_runs(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The cells of the notebook that make passes, with the parameters that it has by itself."""
    monkeypatch.setattr("pandas.DataFrame.plot", None, raising=False)
    cells = json.loads((repository / "notebooks" / "predict.ipynb").read_text())["cells"]
    names: dict[str, Any] = {}
    for cell in cells:
        code = "".join(cell["source"])
        if cell["cell_type"] == "code" and ".plot" not in code and "write_table" not in code:
            exec(code.replace('device: str = "auto"', 'device: str = "cpu"'), names)
    cost = names["settings"].cost
    values = params.load_study("smoke") | {key: names[key] for key in ("attack_steps", "attack_images")}
    found = plan_costs.predict_passes(values, names["limit"], names["accuracy_images"], len(names["chosen_shifts"]))
    total = found["accuracy"] + found["shifts"] + found["attack"]
    assert planned(total)[:2] == (cost.forward, cost.backward)


def test_shifts_are_counted_before_their_folders_are_there(tmp_path: Path) -> None:
    study = params.load_study("imagenet")
    assert plan_costs.shift_count({**study, "shifts": ["imagenet_v2", "imagenet_real"]}, "imagenet") == 2
    assert plan_costs.shift_count({**study, "shifts": "*_2"}, "imagenet") == 4
    assert plan_costs.shift_count({**study, "shifts": "none"}, "imagenet") == 0
    on_the_fly = plan_costs.shift_count({**study, "shifts": "*/3"}, "imagenet")
    assert plan_costs.shift_count(study, "imagenet") == len(study["shift_roots"]) + on_the_fly > 10
    with pytest.raises(InputError, match="unknown shift 'imagenet_w2'"):
        plan_costs.shift_count({**study, "shifts": ["imagenet_w2"]}, "imagenet")


def test_the_sanity_check_of_a_comparison_is_counted() -> None:
    """Two images, and again at each of three points."""
    study = workflow.open_study("compare_example")
    study = dataclasses.replace(
        study, values=study.values | {"sanity_images": 2, "sanity_points": 3, "precision": "fp32"}
    )
    _, work = plan.passes(study)
    assert planned(work["sanity", "gradient"])[:2] == (8, 8)
    assert planned(work["sanity", "rise"])[0] == 320 * 8
    assert not any(stage == "sanity" for stage, _ in plan.passes(workflow.open_study("smoke"))[1])


def test_fine_tuned_copies_are_counted(tmp_path: Path) -> None:
    """The training once a network, and each method explained again on the copy."""
    given = {"limit": 3, "finetune_steps": 5, "scale": "full", "precision": "fp32", "models": "mini_resnet_vanilla"}
    values = {"dataset": "pictograms", "methods": ["gradient"], "metrics": ["deletion", "idsds"], "study": "mine"}
    (tmp_path / "mine.yaml").write_text(json.dumps(values | given))
    _, work = plan.passes(workflow.open_study(tmp_path / "mine.yaml"))
    assert work["finetune", "idsds"]["both"] == 64 * 5
    assert dict(work["indomain", "gradient"]) == {"forward": 17 * 3, "forward_bf16": 0, "both": 3, "both_bf16": 0}
    assert ("evaluate", "deletion") in work and ("evaluate", "idsds") not in work


def test_bytes_and_operations_of_a_pass_are_those_of_its_shapes() -> None:
    model = make_model()
    model.network[0] = nn.Conv2d(3, 6, 3, padding=1, bias=False)
    model.eval().requires_grad_(False)
    size, flop = computed(model, "forward", 10)
    weights = sum(tensor.nbytes for tensor in [*model.parameters(), *model.buffers()])
    inputs, maps = (10 * channels * SIDE * SIDE * 4 for channels in (3, 6))
    assert flop == 2 * (27 * 6 * SIDE * SIDE + 6 * 3)
    # The network has normalised, and holds its maps before and after the ReLU.
    assert weights + inputs + 2 * maps <= size <= weights + 3 * inputs + 2 * maps + 10_000
    both, double = computed(model, "both", 10), computed(model, "both", 20)
    assert both[0] > size and double[0] == pytest.approx(2 * both[0] - weights, rel=0.05)
    assert both[1] == double[1] == pytest.approx(2 * flop)


def test_hours_are_passes_at_the_pace_of_their_kind() -> None:
    pace = pd.DataFrame(
        {"seconds": [1.0, 0.5, 3.0], "bytes": [10, 5, 30], "flop": [0, 2e15, 1e15]},
        index=["forward", "forward_bf16", "both"],
    )
    found = plan_costs.cost(plan_costs.made(forward=2, forward_bf16=4, both=1), pace, held=5)
    assert found == {
        "forward": 7, "backward": 1, "hours": (2 + 2 + 3) / 3600, "gigabytes": 35e-9, "pflop_fp32": 1, "pflop_bf16": 8,
    }  # fmt: skip
    assert set(plan_costs.cost(plan_costs.made(), pace).values()) == {0}


def test_a_whole_plan(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study = tmp_path / "mine.yaml"
    study.write_text(
        "study: mine\ndataset: pictograms\nmodels: [mini_alexnet_vanilla, mini_resnet_robust]\nscale: smoke\nlimit: 5\n"
        "methods: [cam, gradient, lime]\nmetrics: [deletion]\nshifts: none\naccuracy_images: 7\nattack_images: 0\n"
    )
    path = tmp_path / "plan.csv"
    assert (
        plan.main([str(study), "--device", "cpu", "--rounds", "1", "--csv", str(path), "--tflops", "0.001", "1"]) == 0
    )
    said = capsys.readouterr()
    rows = list(csv.DictReader(path.open()))
    pairs = [(row["model"], row["name"]) for row in rows if row["stage"] == "attribute"]
    assert sorted(pairs) == sorted(workflow.open_study(study).pairs) and len(pairs) == 5
    cells = {(row["model"], row["name"]): row for row in rows}
    lime = params.options(params.load_params("methods", "lime"), "methods", "smoke")["samples"]
    assert int(cells["mini_resnet_robust", "lime"]["forward"]) == (5 + 4) * lime, "four images under a second seed too"
    deletion = [int(cells[model, "deletion"]["forward"]) for model in ("mini_resnet_robust", "mini_alexnet_vanilla")]
    assert deletion[0] / 3 == deletion[1] / 2 > 5 + 4, "one slice a method"
    assert int(cells["mini_alexnet_vanilla", "accuracy"]["forward"]) == 2 * 7, "the five are among the seven"
    assert all(float(row["hours"]) > 0 and float(row["gigabytes"]) > 0 for row in rows if int(row["forward"]))
    total = sum(int(row["forward"]) for row in rows)
    assert f"In all: {plan.short(total)} passes forward" in said.out
    for words in ("random weights", "No GPU here", "cam needs gap_linear_head", "an estimate, not a measurement"):
        assert words in said.out
    assert said.err.count("timing") == 2


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("dataset: imagenet\nroot: nowhere\nlimit: null", "all images, so they must be there to be counted: nowhere"),
        ("dataset: pictograms\nshifts: [silhouete]", "unknown shift 'silhouete'; did you mean 'silhouette'"),
    ],
)
def test_bad_input_is_one_sentence(line: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study = tmp_path / "mine.yaml"
    study.write_text(f"study: mine\nmodels: mini_resnet_robust\nmethods: gradient\nmetrics: deletion\n{line}\n")
    assert plan.main([str(study), "--device", "cpu"]) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1
    assert plan.main([str(study), "--csv", "nowhere/plan.csv"]) == 2
    assert "--csv nowhere/plan.csv: there is no folder nowhere" in capsys.readouterr().err
    assert plan.main(["roar_smoke"]) == 2 and "is a ROAR study" in capsys.readouterr().err
    assert plan.main(["imagenett"]) == 2 and "did you mean 'imagenet'" in capsys.readouterr().err
