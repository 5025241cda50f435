"""The probe: exact, silent on honest networks, and loud on a network that is fed wrongly normalised pixels."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from scipy.stats import binomtest

import xailib as xai
from xailib import engine, params
from xailib.errors import InputError
from xailib.images import ImageBatch
from xailib.metrics import probe
from xailib.metrics.accuracy import predictions


@pytest.mark.parametrize(
    ("hits", "n", "expected"), [(180, 240, 0.9), (236, 240, 0.9), (3, 24, 0.2), (0, 5, 0.0), (24, 24, 1.0)]
)
def test_without_tolerance_it_is_the_exact_test_doubled(hits: int, n: int, expected: float) -> None:
    """SciPy's own exact test, each side for itself."""
    sides = [binomtest(hits, n, expected, alternative=side).pvalue for side in ("less", "greater")]
    found = probe.probe(hits, n, expected, tolerance=0.0)
    assert found.p == pytest.approx(min(1.0, 2 * min(sides))) and found.measured == hits / n


def test_it_looks_to_both_sides_and_beyond_the_tolerance_only() -> None:
    assert not probe.probe(420, 600, 0.579).agrees, "vanilla weights under a robust network's name"
    assert not probe.probe(240, 600, 0.579).agrees
    assert probe.probe(int(0.56 * 50_000), 50_000, 0.579).agrees, (
        "another crop: within the tolerance, however many images"
    )
    assert not probe.probe(int(0.54 * 50_000), 50_000, 0.579).agrees
    assert probe.probe(24, 24, 1.0).agrees and probe.probe(12, 24, 0.75).agrees, "few images say little"


def test_it_never_trips_by_chance() -> None:
    """Over all outcomes of an honest network: the probability to be refused."""
    from scipy.stats import binom

    for n, share in ((24, 0.97), (240, 0.85), (480, 0.965), (2000, 0.76)):
        refused = [hits for hits in range(n + 1) if not probe.probe(hits, n, share).agrees]
        assert len(refused) > 0 and binom.pmf(refused, n, share).sum() < probe.LEVEL


@pytest.mark.parametrize(("hits", "n", "expected"), [(0, 0, 0.5), (3, 2, 0.5), (-1, 2, 0.5), (1, 2, 1.5)])
def test_impossible_counts(hits: int, n: int, expected: float) -> None:
    with pytest.raises(InputError):
        probe.probe(hits, n, expected)


RECORD = {"model": "mine", "accuracy": {"dataset": "imagenet", "value": 0.76, "source": "a paper"}}


def test_what_it_says() -> None:
    with pytest.raises(InputError) as raised:
        probe.check(RECORD, 240, 500, "imagenet_sample", "imagenet")
    said = str(raised.value)
    for part in (
        "models/mine.yaml",
        "48.0% of 500",
        "76.0% by a paper",
        "mean and std",
        "order of the classes",
        "crop",
    ):
        assert part in said
    assert "\n" not in said
    assert str(probe.check(RECORD, 378, 500, "imagenet")).startswith(
        "top-1 accuracy 75.6% of 500 images, 76.0% expected"
    )


def test_it_speaks_of_its_own_data_only() -> None:
    assert probe.check(RECORD, 0, 500, "photos", "folder") is None
    assert probe.check({"model": "mine"}, 0, 500, "imagenet") is None


def test_figures_for_other_samples_count_too() -> None:
    record: dict[str, Any] = {
        **RECORD,
        "accuracy": {**RECORD["accuracy"], "also": [{"value": 0.9, "source": "a sample"}]},
    }
    assert probe.check(record, 900, 1000, "imagenet").expected == 0.9
    assert probe.check(record, 760, 1000, "imagenet").expected == 0.76
    with pytest.raises(InputError, match=r"76\.0% by a paper; 90\.0% by a sample"):
        probe.check(record, 830, 1000, "imagenet")


WRONG = {"for others": ([0.9, 0.1, 0.9], [0.05] * 3), "none": ([0.0] * 3, [1.0] * 3)}


@pytest.fixture(scope="module")
def images() -> ImageBatch:
    return xai.load_images("pictograms", split="test", limit=120, seed=0)


@pytest.mark.parametrize("planted", [None, *WRONG])
def test_wrong_normalisation_of_a_real_network_is_refused(
    planted: str | None, images: ImageBatch, tmp_path: Path
) -> None:
    values = yaml.safe_load((params.find("params/models/mini_resnet_vanilla.yaml")).read_text())
    if planted:
        values["mean"], values["std"] = WRONG[planted]
    (tmp_path / "planted.yaml").write_text(yaml.safe_dump(values))
    model = xai.load_model(tmp_path / "planted.yaml", device="cpu")
    with engine.using(precision="fp32", batch_size=64):
        hits = int(predictions(model, images)["correct"].sum())
    if planted is None:
        assert probe.check(values, hits, len(images), "pictograms").agrees
    else:
        with pytest.raises(InputError, match=r"mini_resnet_vanilla\.yaml: the network is right on"):
            probe.check(values, hits, len(images), "pictograms")


def test_the_notebook_probes_before_it_shifts() -> None:
    cells = json.loads((params.find("notebooks/predict.ipynb")).read_text())["cells"]
    code = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
    assert code.index("probe.check(") < code.index("shift_images(")
