"""Which images get maps: those that every network is right on, and which edit chooses others."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from tests.world import SMOKE_MODELS, World
from xailib import datasets, results
from xailib.analysis import facts, story
from xailib.errors import InputError
from xailib.params import made_from
from xailib.workflow import study as workflow
from xailib.workflow.choose import candidates, choose
from xailib.workflow.collect import collect, parts
from xailib.workflow.notebooks import study_images

TWO = "[mini_resnet_vanilla, mini_resnet_robust]"
OWN = """
study: own
dataset: pictograms
split: test
limit: {limit}
models: {models}
methods: [gradient, random]
metrics: [deletion, pointing_game]
scale: smoke
reliability_images: 1
shifts: none
accuracy_images: {candidates}
attack_images: 4
attack_steps: 1
bootstrap: 200
"""

MAPS: dict[str, dict[str, str]] = {
    "choose": {},
    "attribute": {"model": SMOKE_MODELS[0], "method": "random"},
}


def own(
    folder: Path, limit: int | str = 3, candidates: int | str = 8, models: str = TWO, extra: str = ""
) -> workflow.Study:
    path = folder / "own.yaml"
    path.write_text(OWN.format(limit=limit, candidates=candidates, models=models) + extra)
    return workflow.open_study(path)


def answered(study: workflow.Study, folder: Path, right: dict[str, str]) -> Path:
    """Plant what networks say of images: "1" is right, "0" wrong, "?" an image without a label."""
    for model, word in right.items():
        ids = [f"test-0-{i:05d}" for i in range(len(word))]
        table = pd.DataFrame({"image": ids, "correct": [{"1": 1.0, "0": 0.0, "?": None}[one] for one in word]})
        table = pd.concat([table.assign(subset="maps"), table.assign(subset="accuracy", correct=1.0)])
        table.attrs["made_from"] = study.made_from("predict", model=model)
        results.write_table(folder / model / "predictions.parquet", table)
    choose(study, folder)
    return folder / "chosen.json"


@pytest.mark.parametrize(
    ("limit", "answers", "places"),
    [
        (3, ("01101101", "11011101"), [1, 4, 5]),  # the first three that both are right on, in their order
        (3, ("11000000", "01000011"), [1]),  # too few
        (2, ("10101010", "01010101"), [0, 1]),  # none: the first two, that there is something to look at
        (2, ("1?1?1111", "??111111"), [2, 4]),  # without a label nobody is right
        ("null", ("01101101", "11011101"), [1, 4, 5, 7]),  # all
        (2, ("00010111",), [3, 5]),  # one network
    ],
)
def test_the_first_that_every_network_is_right_on(
    limit: int | str, answers: tuple[str, ...], places: list[int], tmp_path: Path
) -> None:
    models = SMOKE_MODELS[: len(answers)]
    study = own(tmp_path, limit, models=f"[{', '.join(models)}]")
    found = json.loads(answered(study, tmp_path, dict(zip(models, answers, strict=True))).read_text())["images"]
    assert list(found.values()) == places and list(found) == [f"test-0-{place:05d}" for place in places]
    record = json.loads((tmp_path / "choose.json").read_text())
    both = sum(all(one == "1" for one in column) for column in zip(*answers, strict=True))
    assert (record["candidates"], record["right_by_all"], record["chosen"]) == (8, both, len(places))
    assert record["right"] == {model: word.count("1") for model, word in zip(models, answers, strict=True)}


def test_answers_of_other_images_or_of_another_study_are_refused(tmp_path: Path) -> None:
    study = own(tmp_path)
    with pytest.raises(InputError, match="answered on different images"):
        answered(study, tmp_path, {SMOKE_MODELS[0]: "111", SMOKE_MODELS[1]: "1111"})
    answered(study, tmp_path, dict.fromkeys(SMOKE_MODELS, "11"))
    with pytest.raises(InputError, match=r"predictions\.parquet: was made with accuracy_images 8, not 9"):
        choose(own(tmp_path, candidates=9), tmp_path)


def test_how_many_are_looked_through() -> None:
    assert candidates(4, 150) == 150 and candidates(150, 4) == 150
    assert candidates(None, 4) is None and candidates(4, None) is None


def test_slices_take_the_chosen_images_and_no_other(tmp_path: Path) -> None:
    path = answered(own(tmp_path), tmp_path, dict.fromkeys(SMOKE_MODELS, "01101101"))
    images = study_images("pictograms", {"split": "test", "seed": 0}, 99, path)
    whole = datasets.load_images("pictograms", split="test", limit=5)
    assert images.ids == [whole.ids[i] for i in (1, 2, 4)] and images.class_names == whole.class_names
    assert images.pixels.equal(whole.pixels[[1, 2, 4]]) and images.masks.equal(whole.masks[[1, 2, 4]])
    assert study_images("pictograms", {"split": "test"}, 99, path, most=2).ids == images.ids[:2]
    assert study_images("pictograms", {"split": "test"}, 5, None, most=2).ids == whole.ids[:2]
    assert len(study_images("pictograms", {"split": "test"}, 5)) == 5
    with pytest.raises(InputError, match=r"chosen\.json: its images are not those of 'pictograms' any more"):
        study_images("pictograms", {"split": "test", "seed": 1}, 99, path)
    with pytest.raises(InputError, match=r"nowhere\.json: no such choice of images"):
        study_images("pictograms", {"split": "test"}, 99, tmp_path / "nowhere.json")
    for damaged in ("{", "[]", "{}", '{"images": []}', '{"images": {}}'):
        path.write_text(damaged)
        with pytest.raises(InputError, match=r"chosen\.json: cannot be read as a choice of images"):
            study_images("pictograms", {"split": "test"}, 99, path)


def test_only_the_places_that_are_asked_for_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = []
    draw = datasets.pictograms.render
    monkeypatch.setattr("xailib.datasets.pictograms.render", lambda *a, **o: drawn.append(a[2]) or draw(*a, **o))
    assert len(datasets.load_images("pictograms", split="test", at=[7, 3])) == 2 and drawn == [7, 3]


@pytest.mark.parametrize(
    ("at", "said"),
    [
        ([], r"at: \[\] is no place"),
        ([-1], "at: -1 is no place"),
        ([True], "at: True is no place"),
        ([0.5], "0.5"),
        (5, "at: a list"),
    ],
)
def test_places_that_no_image_has(at: Any, said: str) -> None:
    with pytest.raises(InputError, match=said):
        datasets.load_images("pictograms", at=at)


def test_places_beyond_the_last_image_and_of_images_of_ones_own(tmp_path: Path) -> None:
    from PIL import Image

    (tmp_path / "a").mkdir()
    Image.new("RGB", (40, 40)).save(tmp_path / "a" / "0.png")
    with pytest.warns(UserWarning), pytest.raises(InputError, match="no image at place 1; it holds 1 images"):
        datasets.load_images(tmp_path, at=[1])
    with pytest.raises(InputError, match="take no 'at'"):
        datasets.load_images([tmp_path / "a" / "0.png"], at=[0])


def test_a_slice_depends_on_the_choice_and_on_nothing_else_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XAILIB_WORKSPACE", str(tmp_path))
    slices = {"attribute": {"model": SMOKE_MODELS[0], "method": "gradient"}, "predict": {"model": SMOKE_MODELS[0]}}
    slices["evaluate"] = slices["sanity"] = slices["attribute"]
    study, folder = own(tmp_path), tmp_path / "results" / "own"
    before = {stage: study.made_from(stage, **one) for stage, one in slices.items()}
    assert before["attribute"]["chosen"] == before["evaluate"]["maps"]["chosen"] == made_from.NOT_YET
    answered(study, folder, dict.fromkeys(SMOKE_MODELS, "01101101"))
    first = {stage: study.made_from(stage, **one) for stage, one in slices.items()}
    for stage, one in slices.items():  # maps that are there when the choice is lost may be those of the choice to come
        assert made_from.difference(first[stage], before[stage]) == ""
        results.write_json(tmp_path / f"{stage}.json", {"made_from": first[stage]})
        assert not study.stale(stage, tmp_path / f"{stage}.json", **one)
    answered(study, folder, dict.fromkeys(SMOKE_MODELS, "01101111"))  # the same three
    assert {stage: study.made_from(stage, **one) for stage, one in slices.items()} == first
    answered(study, folder, dict.fromkeys(SMOKE_MODELS, "01100111"))
    for stage, one in slices.items():
        assert study.stale(stage, tmp_path / f"{stage}.json", **one) == (stage != "predict")
    everything = own(tmp_path, extra="only_correct: false\n")
    assert "chosen" not in everything.made_from("attribute", **slices["attribute"])
    for stage, one in slices.items():
        assert everything.stale(stage, tmp_path / f"{stage}.json", **one)


@pytest.mark.parametrize(
    ("limit", "answers", "said"),
    [
        (3, "01101101", ""),
        (
            6,
            "01101101",
            "right on 5 of the first 8 images, fewer than the 6 that the study asks for; a larger accuracy_im",
        ),
        (3, "00000000", "right on none of the first 8 images: the first 3 were explained, and none of them counts"),
        ("null", "01101101", ""),
    ],
)
def test_a_report_says_what_was_not_found(limit: int | str, answers: str, said: str, tmp_path: Path) -> None:
    study = own(tmp_path, limit)
    answered(study, tmp_path, dict.fromkeys(SMOKE_MODELS, answers))
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(study.values))
    assert said in facts.fewer(tmp_path) and bool(facts.fewer(tmp_path)) == bool(said)
    assert (facts.fewer(tmp_path) in [*story.warnings(tmp_path, None)]) == bool(said)
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(study.values | {"only_correct": False}))
    assert facts.fewer(tmp_path) == "", "a file of before"


def test_which_studies_choose() -> None:
    assert workflow.open_study("pictograms").chooses and not workflow.open_study("smoke").chooses
    assert not workflow.open_study("roar_smoke").chooses


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A study of one untrained network, which is right on a few images by chance: on two of the first twelve."""
    root = tmp_path_factory.mktemp("c")
    world = World(root, "own")
    text = OWN.format(limit=3, candidates=12, models=f"[{SMOKE_MODELS[0]}]")
    (world.root / "params/studies/own.yaml").write_text(text)
    status, said = world.snakemake()
    assert status == 0, said
    yield world
    for path in sorted((root / "t").rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()


def made(world: World) -> dict[str, int]:
    paths = [*world.results.glob("*/*/attribute.ipynb"), *world.results.glob("*/*/evaluate.ipynb")]
    return {f"{path.parent.name}/{path.stem}": path.stat().st_mtime_ns for path in paths}


def test_a_study_explains_what_its_network_is_right_on(finished: World) -> None:
    predictions = pd.read_parquet(finished.results / "predictions.parquet")
    asked = predictions[predictions["subset"] == "maps"]
    right = asked.loc[asked["correct"].astype(bool), "image"].tolist()
    chosen = json.loads((finished.results / "chosen.json").read_text())["images"]
    assert len(asked) == 12 and len(right) == 2 and list(chosen) == right
    scores = pd.read_parquet(finished.results / "scores.parquet")
    assert scores["image"].unique().tolist() == list(chosen)
    report = (finished.results / "report.html").read_text()
    assert "Every network is right on 2 of the first 12 images, fewer than the 3 that the study asks for" in report
    assert finished.plan("report.html") == {}


def test_maps_are_made_again_where_other_images_are_chosen_and_only_there(finished: World) -> None:
    """More of them are looked through twice: at first one more is found, then the three are the same."""
    before, choice = made(finished), (finished.results / "chosen.json").read_bytes()
    for count, others in ((24, True), (36, False)):
        finished.edit(
            "params/studies/own.yaml",
            lambda text, count=count: text.replace("accuracy_images: ", f"accuracy_images: {count} # "),
        )
        status, said = finished.snakemake("--", "results/own/scores.parquet")
        assert status == 0, said
        after = made(finished)
        assert ((finished.results / "chosen.json").read_bytes() != choice) is others
        assert all((after[name] != before[name]) is others for name in before), said
        assert finished.plan() == {}
        before, choice = after, (finished.results / "chosen.json").read_bytes()
    assert json.loads((finished.results / "choose.json").read_text())["candidates"] == 36


def test_a_choice_that_is_lost_is_made_again_and_no_map_for_it(finished: World) -> None:
    """One method is made again for a reason of its own, and needs it."""
    before = made(finished)
    (finished.results / "chosen.json").unlink()
    finished.edit("params/methods/random.yaml", lambda text: text + "# a remark\n")
    status, said = finished.snakemake("--", "results/own/scores.parquet")
    after = made(finished)
    assert status == 0 and (finished.results / "chosen.json").exists(), said
    assert {name for name in before if after[name] != before[name]} == {"random/attribute", "random/evaluate"}, said


def test_a_table_that_a_study_has_no_more_is_not_left_to_be_read(tmp_path: Path) -> None:
    """As after `sanity_images: 0`, or `kind: papers`: the report would show a check of what the networks were."""
    study = own(tmp_path)
    for files in parts(study, "collect").values():
        for path, (stage, one) in files.items():
            table = pd.DataFrame({"image": ["a"]})
            table.attrs["made_from"] = study.made_from(stage, **one)
            results.write_table(tmp_path / path, table)
    results.write_table(tmp_path / "sanity.parquet", pd.DataFrame({"image": ["old"]}))
    collect(study, tmp_path)
    assert (tmp_path / "scores.parquet").exists() and not (tmp_path / "sanity.parquet").exists()


def test_a_renamed_study_keeps_its_choice_and_so_its_maps(tmp_path: Path) -> None:
    """Chosen anew under another name, the same images would make all maps again."""
    first = own(tmp_path)
    (tmp_path / "other.yaml").write_text(first.path.read_text().replace("study: own", "study: other"))
    other = workflow.open_study(tmp_path / "other.yaml")
    assert all(first.made_from(stage, **one) == other.made_from(stage, **one) for stage, one in MAPS.items())
    assert first.needs("choose") == other.needs("choose")
