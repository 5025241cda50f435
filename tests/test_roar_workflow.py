"""A small ROAR study through real Snakemake: whole tables, one failed slice that stops no other, and what an edit re-runs."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pytest
import yaml

from tests.world import World
from xailib.errors import InputError
from xailib.workflow.study import Study, open_studies

SMOKE = "params/studies/roar_smoke.yaml"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    root = tmp_path_factory.mktemp("r")
    yield World(root, "roar_smoke")
    for path in sorted((root / "t").rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()


@pytest.fixture(scope="module")
def finished(world: World) -> World:
    status, said = world.snakemake()
    assert status == 0, said
    return world


def test_the_tables_are_whole(finished: World) -> None:
    roar, trust = (pd.read_parquet(finished.results / f"{name}.parquet") for name in ("roar", "trust"))
    cells = roar.groupby(["mode", "level"]).size().to_dict()
    assert cells == {("remove", 0): 2, ("remove", 50): 10, ("remove", 90): 10, ("keep", 50): 2, ("keep", 90): 2}
    assert (roar["status"] == "ok").all() and (roar["n"] == 32).all() and (roar["epochs"] == 2).all()
    assert set(trust["check"]) == {
        "no_retraining", "road", "mask_only", "pointing_game", "localisation", "deletion", "insertion",
    }  # fmt: skip
    masks = trust[trust["check"] == "mask_only"]
    assert set(masks["estimator"]) == {"gradient"} and masks["level"].tolist() == [50, 90]
    assert (finished.results / "report.html").stat().st_size > 50_000
    assert pd.read_csv(finished.results / "roar_findings.csv")["finding"].unique().tolist() == [
        f"R{i}" for i in range(1, 11)
    ]


def test_one_noise_pass_serves_the_estimators_that_share_it(finished: World) -> None:
    record = json.loads((finished.results / "base_1/ranks/gradient_noisy.json").read_text())
    assert [values["estimator"] for values in record["parameters"]["estimators"]] == [
        "smoothgrad_squared_gradient", "vargrad_gradient",
    ]  # fmt: skip
    assert record["passes"] == {**record["passes"], "forward": 96 * (1 + 3), "backward": 96 * 3}  # 3 noisy copies


def test_the_trainings_share_out_the_rankings_of_two_networks(finished: World) -> None:
    roar, trust = (pd.read_parquet(finished.results / f"{name}.parquet") for name in ("roar", "trust"))
    pairs = roar[roar["level"] > 0][["seed", "base"]].drop_duplicates()
    assert sorted(pairs.itertuples(index=False, name=None)) == [(0, 1), (1, 0)]
    answers = trust[trust["check"] == "no_retraining"].groupby("base")["value"].apply(list)
    assert len(answers) == 2 and answers[0] != answers[1]
    first, second = (finished.results / f"base_{base}" for base in (0, 1))
    for file in ("weights.safetensors", "gradient/train_levels.npy", "random/test_levels.npy"):
        assert (first / file).read_bytes() != (second / file).read_bytes(), "each has its own draws, too"
    told = pd.read_csv(finished.results / "roar_findings.csv")
    assert told["unit"].str.contains("2 trainings on the rankings of 2 networks").any()


def test_a_finished_study_has_nothing_to_do(finished: World) -> None:
    assert finished.plan("report.html") == {}
    assert not list((finished.root / "resources" / "roar").rglob("*.json"))


def test_results_that_snakemake_has_forgotten_still_know_their_study(finished: World) -> None:
    (finished.root / ".snakemake").rename(finished.root / "forgotten")
    undo = finished.edit(SMOKE, lambda t: t.replace("trust_images: 8", "trust_images: 9"))
    try:
        plan = finished.plan("roar.parquet")
        assert plan["roar_trust"] == 5 and plan["roar_rank_gradient"] == 2 and "roar_base" not in plan
        undo()
        assert finished.plan("roar.parquet") == {}
    finally:
        undo()
        shutil.rmtree(finished.root / ".snakemake")
        (finished.root / "forgotten").rename(finished.root / ".snakemake")


@pytest.mark.parametrize(
    ("change", "jobs"),
    [
        # One more level: rankings hold their levels, so all of them are made again.
        (lambda t: t.replace("levels: [50, 90]", "levels: [50, 70, 90]"), {"roar_rank_gradient": 2, "roar_base": None}),
        # Other seeds: all trainings, from the first on.
        (lambda t: t.replace("seeds: 2", "seeds: 4"), {"roar_base": 1, "roar_retrain": 12}),
        # One network fewer: trainings go by other rankings.
        (lambda t: t.replace("networks: 2", "networks: 1"), {"roar_base": 1, "roar_retrain": 12, "roar_trust": 5}),
        # One more estimator that shares no pass: its slices only.
        (
            lambda t: t.replace("[random,", "[sobel, random,", 1),
            {"roar_rank_sobel": 2, "roar_retrain": 2, "roar_trust": 1},
        ),
        # How large a batch: no result depends on it.
        (lambda t: t + "batch_size: 16\n", {"roar_base": None, "roar_retrain": None}),
    ],
)
def test_an_edit_re_runs_what_it_touches(
    finished: World, change: Callable[[str], str], jobs: dict[str, int | None]
) -> None:
    undo = finished.edit(SMOKE, change)
    try:
        plan = finished.plan("roar.parquet")
    finally:
        undo()
    assert {rule: plan.get(rule) for rule in jobs} == jobs


def test_another_meaning_of_estimators_files_re_ranks_them(finished: World) -> None:
    undo = finished.edit(
        "xailib/params/estimator_files.py", lambda t: t.replace("**record, **changes", "**changes, **record")
    )
    try:
        plan = finished.plan("roar.parquet")
    finally:
        undo()
    assert plan["roar_rank_gradient_noisy"] == 2 and "roar_base" not in plan and "roar_images" not in plan


def test_another_default_of_estimators_re_ranks_those_that_use_it(finished: World) -> None:
    """It stands where files are checked, which no digest covers: the values that results hold say so."""
    undo = finished.edit("xailib/params/records.py", lambda t: t.replace('of the image", 0.15)', 'of the image", 0.3)'))
    try:
        plan = finished.plan("roar.parquet")
    finally:
        undo()
    assert plan["roar_rank_gradient"] == 2 and "roar_base" not in plan and "roar_images" not in plan
    assert "roar_rank_gradient_noisy" not in plan, "their files name the noise"


def open_with(tmp_path: Path, repository: Path, **changes: object) -> Study:
    values = yaml.safe_load((repository / SMOKE).read_text()) | {"study": "mine"} | changes
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(values))
    study, roar = open_studies(path)
    assert study.models == [] and roar is study
    return roar


def test_groups_and_trainings_of_a_study(tmp_path: Path, repository: Path) -> None:
    study = open_with(tmp_path, repository)
    assert study.groups == {
        "random": ["random", "random_redrawn"],
        "gradient": ["gradient"],
        "gradient_noisy": ["smoothgrad_squared_gradient", "vargrad_gradient"],
    }
    assert [one["base"] for one in study.grid["roar_rank"]] == [0, 0, 0, 1, 1, 1]
    trainings = study.grid["roar_retrain"]
    assert len(trainings) == 12 and {"estimator": "random", "mode": "keep", "level": 90} in trainings
    assert study.mask_levels("gradient") == [50, 90] and study.mask_levels("random") == []
    for levels, middle in (([100], []), ([50, 100], [50]), ([10, 50, 90], [50])):  # at 100 % all masks are one
        study = open_with(tmp_path, repository, levels=levels, mask_levels=None)
        assert study.mask_levels("gradient") == middle


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"levels": [50, 120]}, "levels.1: 120 is greater than the maximum of 100"),
        ({"levels": [0, 50]}, "levels.0: 0 is less than the minimum of 1"),
        ({"levels": [90, 50]}, "levels: .* is not in ascending order"),
        ({"estimators": ["gradiant"]}, "unknown estimator 'gradiant'; did you mean 'gradient'"),
        ({"keep_estimators": ["sobel"]}, "keep_estimators: unknown estimator of the study 'sobel'"),
        ({"mask_estimators": ["gradient", "sobel"]}, "mask_estimators: unknown estimator of the study 'sobel'"),
        ({"architecture": "roar_cn"}, "architecture: unknown 'roar_cn'; did you mean 'roar_cnn'"),
        ({"recipe": {"batch_size": 65}}, "recipe.batch_size: 65 is more than the 64 train_images"),
        ({"recipe": {"batch_size": "x"}}, "recipe.batch_size: 'x' is not a whole number"),
        ({"recipe": {"epoch": 2}}, "recipe.epoch: unknown key; did you mean 'epochs'"),
        ({"mask_levels": [50, 70]}, "mask_levels: 70 is none of the levels"),
        ({"mask_level": 90}, "mask_level: unknown key; did you mean 'mask_levels'"),
        ({"seeds": 3, "base_networks": 2}, "base_networks: 3 trainings cannot be shared out evenly among 2 networks"),
        ({"seeds": "two"}, "seeds: 'two' is not a whole number"),
        ({"kept": 1}, "kept: unknown key"),
    ],
)
def test_faults_of_a_study_are_told_in_a_sentence(tmp_path: Path, repository: Path, changes: dict, says: str) -> None:
    with pytest.raises(InputError, match=says):
        open_with(tmp_path, repository, **changes)
