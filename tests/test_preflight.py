"""What only the code can say of a study is said before any of its jobs runs."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from PIL import Image

from xailib import params
from xailib.datasets import load_images, shifts
from xailib.errors import InputError
from xailib.workflow import preflight
from xailib.workflow import study as workflow
from xailib.workspace import SHIPPED

SMOKE = params.find("params/studies/smoke.yaml")
ROAR = params.find("params/studies/roar_smoke.yaml")


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    for name in ("ant", "bee"):
        (tmp_path / "d" / name).mkdir(parents=True)
        Image.new("RGB", (40, 40)).save(tmp_path / "d" / name / "0.png")
    return tmp_path / "d"


def opened(folder: Path, base: Path = SMOKE, **changes: Any) -> tuple[Any, Any]:
    path = folder / "own.yaml"
    path.write_text(yaml.safe_dump(yaml.safe_load(base.read_text()) | {"study": "own"} | changes))
    return workflow.open_studies(path)


def faults(folder: Path, base: Path = SMOKE, **changes: Any) -> list[str]:
    """What `preflight` says, in this process."""
    study, roar = opened(folder, base, **changes)
    return preflight.check((study if study.models else roar).values)


def test_shipped_studies_without_data_of_ones_own_have_no_faults(tmp_path: Path) -> None:
    for id in ("smoke", "pictograms", "roar_smoke", "roar_pictograms"):
        study, roar = workflow.open_studies(id)
        for one in (study if study.models else None, roar):
            assert one is None or preflight.check(one.values) == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"split": "tset"}, "tset"),
        ({"shifts": ["silhuette"]}, "shifts: unknown shift 'silhuette'; did you mean 'silhouette'"),
        ({"dataset": "folder"}, "needs 'root'"),
        ({"dataset": "folder", "root": "nowhere"}, "nowhere"),
        ({"dataset": "folder", "split": "val"}, "one folder a class"),
        (
            {"dataset": "folder"},
            "the 2 classes of the data set (ant, bee) are not the network's 12 (chess knight, umbrella,",
        ),
    ],
)
def test_one_sentence_a_fault(photographs: Path, changes: dict, said: str) -> None:
    if changes.get("dataset") == "folder" and "root" not in changes and "needs" not in said:
        changes = changes | {"root": str(photographs)}
    found = faults(photographs.parent, **({"split": None} | changes))
    assert said in found[0] and "\n" not in " ".join(found)


COMPARED = {"kind": "compare", "methods": ["gradient", "gradcam", "random"], "metrics": ["deletion", "pointing_game"]}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"methods": ["gradient", "random"]}, "methods: 'gradient' alone cannot be compared; name two methods or more"),
        ({"methods": ["random", "sobel"]}, "methods: controls alone cannot be compared"),
        ({"limit": 1}, "limit: one image is no sample; compare methods on 2 or more, better 20"),
    ],
)
def test_what_a_comparison_needs(tmp_path: Path, changes: dict, said: str) -> None:
    assert faults(tmp_path, **COMPARED) == []
    (found,) = faults(tmp_path, **COMPARED | changes)
    assert said in found


def test_a_comparison_on_photographs_without_boxes(
    photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XAILIB_WORKSPACE", str(tmp_path))
    (tmp_path / "params/datasets").mkdir(parents=True)
    (tmp_path / "params/datasets/pets.yaml").write_text(
        "dataset: pets\ndataset_function: folder\ndataset_classes: unknown\n"
    )
    given = COMPARED | {"dataset": "pets", "root": str(photographs), "split": None, "target": "predicted"}
    assert faults(tmp_path, **given) == []
    boxed = ["localisation", "average_precision"]
    assert faults(tmp_path, **given | {"metrics": boxed}) == [
        "metrics: without boxes or masks localisation and average_precision score nothing here; add one that asks the "
        "network, such as deletion"
    ]
    models = ["mini_resnet_vanilla", "tiny_resnet_vanilla"]
    assert faults(tmp_path, **given | {"models": models}) == [
        "models: mini_resnet_vanilla and tiny_resnet_vanilla know different classes; compare networks of the same, or each "
        "in its own study"
    ]
    shutil.rmtree(photographs / "bee")
    assert faults(tmp_path, **given) == ["limit: one image is no sample; compare methods on 2 or more, better 20"]


def test_copies_need_labelled_training_images(tmp_path: Path) -> None:
    """A metric that is scored on fine-tuned copies is refused where there is nothing to fine-tune them on."""
    given = {"metrics": ["deletion", "idsds"]}
    study, _ = opened(tmp_path, **given)
    assert study.grid["finetune"] == [{"model": model, "metric": "idsds"} for model in study.models]
    assert study.grid["indomain"] == study.grid["evaluate"] and "finetune" not in opened(tmp_path)[0].grid
    assert (study.judges("evaluate"), study.judges("indomain")) == (["deletion"], ["idsds"])
    assert faults(tmp_path, **given) == []
    (fault,) = faults(tmp_path, **given, finetune_split="vla")
    assert fault.startswith("metrics: idsds: ") and fault.endswith(
        "copies are fine-tuned on split 'vla': name another by finetune_split, or leave the metric out"
    )
    assert faults(tmp_path, metrics=["idsds"]) == [
        "metrics: idsds alone look at fine-tuned copies; name one more that looks at the networks, such as deletion"
    ]


@pytest.fixture
def splits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A network of three classes, and two splits that have no other ones: `val` has two of them."""
    monkeypatch.setenv("XAILIB_WORKSPACE", str(tmp_path))
    shutil.copytree(params.find("params"), tmp_path / "params")
    model = params.find("params/models/mini_resnet_vanilla.yaml")
    text = model.read_text().replace("mini_resnet_vanilla", "mine") + "class_names: [ant, bee, cat]\n"
    (tmp_path / "params/models/mine.yaml").write_text(text)
    for split, names in (("train", ("ant", "bee", "cat")), ("val", ("ant", "cat")), ("odd", ("ant", "cow"))):
        for name in names:
            (tmp_path / "d" / split / name).mkdir(parents=True)
            Image.new("RGB", (40, 40)).save(tmp_path / "d" / split / name / "0.png")
    return tmp_path


def write_own(splits: Path, **values: Any) -> dict[str, Any]:
    """A data set's file, and the values of a study that reads it."""
    known = {"dataset": "pets", "dataset_function": "folder", "dataset_classes": "by_name"}
    (splits / "params/datasets/pets.yaml").write_text(yaml.safe_dump(known | values))
    return {"dataset": "pets", "root": str(splits / "d"), "split": "val", "models": ["mine"], "shifts": "none"}


NO_COW = "the network has no class 'cow' for the data set's 'cow'; its 3 classes begin with ant, bee, cat"


def test_classes_of_every_split_that_is_read(splits: Path) -> None:
    """The split of the maps, of accuracy, and the one that copies are fine-tuned on; SHAP's references need no labels."""
    copies = {"metrics": ["deletion", "idsds"], "finetune_split": "train"}
    given = write_own(splits, dataset_references="odd")
    assert faults(splits, **given) == [] == faults(splits, **given, **copies)
    said = f"classes: mine, split 'odd': dataset_classes: {NO_COW}"
    assert faults(splits, **given, **copies | {"finetune_split": "odd"}) == [said]
    assert faults(splits, **given | {"split": "odd"}) == [said.replace(", split 'odd'", "")]
    (fault,) = faults(splits, **given, **copies | {"finetune_split": "trian"})
    assert fault.startswith("metrics: idsds: ") and fault.endswith(
        "name another by finetune_split, or leave the metric out"
    )
    listed = write_own(splits, dataset_accuracy_options={"classes": ["ant", "cat", "cow"]})
    assert faults(splits, **listed) == [said.replace("split 'odd'", "images of accuracy")]


def test_variants_are_no_shifts_where_classes_are_mapped(splits: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their labels count the data set's own classes: in `val` these are not the network's, in `train` they are."""
    monkeypatch.setattr(shifts, "variants", lambda: {"pets_v2": ("folder", False)})
    monkeypatch.setattr(shifts, "list_shifts", lambda *_: ["pets_v2"])
    study, _ = opened(splits, **write_own(splits))
    values = study.values | {"shifts": "all", "shift_roots": {"pets_v2": str(splits)}}
    (fault,) = preflight._shifts(values)
    assert fault.startswith("shifts: 'pets_v2' counts the classes of 'folder' in their own order")
    assert list(preflight._shifts(values | {"split": "train"})) == []
    assert list(preflight._shifts(study.values)) == []


def test_splits_of_a_roar_study_have_the_same_classes(splits: Path) -> None:
    given = {key: write_own(splits)[key] for key in ("dataset", "root")} | {"train_split": "train", "image_options": {}}
    assert faults(splits, ROAR, **given, test_split="val") == [
        "classes: splits 'train' and 'val' have different classes (bee); name splits with the same, or list them as"
        " `classes` in image_options"
    ]
    listed = given | {"image_options": {"classes": ["ant", "bee", "cat"]}}
    assert faults(splits, ROAR, **listed, test_split="val") == []


def test_a_roar_study_has_two_classes_or_more(splits: Path) -> None:
    given = {key: write_own(splits)[key] for key in ("dataset", "root")} | {"train_split": "train", "test_split": "val"}
    for folder in [
        path for split in ("train", "val") for path in (splits / "d" / split).iterdir() if path.name != "ant"
    ]:
        shutil.rmtree(folder)
    assert faults(splits, ROAR, **given, image_options={}) == [
        "classes: 'ant' is the only one, which no network can tell from others; give two or more"
    ]


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"architecture": "torchvision"}, "'torchvision', without options"),
        ({"architecture": "mini_alexnet"}, "batch of 16 images of 16 pixels (mat1 and mat2 shapes"),
        ({"side": 8, "recipe": {"batch_size": 1}}, "no batch of 1 images of 8 pixels (Expected more than 1 value"),
    ],
)
def test_a_network_that_cannot_be_trained_is_told_before_the_first_job(tmp_path: Path, changes: dict, why: str) -> None:
    (fault,) = faults(tmp_path, ROAR, **changes)
    assert fault.startswith("architecture: ") and why in fault


@pytest.mark.parametrize("split", ["val", "train", "odd"])
def test_a_changed_split_is_looked_at_again(splits: Path, split: str) -> None:
    """Those of the maps, of copies and of references: an answer is kept while none of them changes."""
    study, _ = opened(splits, **write_own(splits, dataset_references="odd"))
    before = preflight._question(study.values)
    (splits / "d" / split / "dog").mkdir()
    assert preflight._question(study.values) != before


def test_a_network_of_ones_own_whose_file_is_gone(photographs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also after an answer that was kept while it was there: Snakemake would end in a traceback of its own."""
    monkeypatch.setenv("XAILIB_WORKSPACE", str(photographs.parent))
    (photographs.parent / "params/models").mkdir(parents=True)
    record = {"model": "mine", "architecture": "function", "model_options": {"name": "my_net.py:make"}}
    record |= {"training_algorithm": "vanilla", "class_names": ["ant", "bee"], "weights": {"source": "code"}}
    (photographs.parent / "params/models/mine.yaml").write_text(yaml.safe_dump(record | {"input_size": 16}))
    (photographs.parent / "my_net.py").write_text("def make(): ...\n")
    study, _ = opened(
        photographs.parent, models=["mine"], dataset="folder", root=str(photographs), split=None, shifts="none"
    )
    before = preflight._question(study.values)
    assert preflight.check(study.values) == []
    (photographs.parent / "my_net.py").unlink()
    assert preflight._question(study.values) != before
    (fault,) = preflight.check(study.values)
    assert fault.startswith("models: mine: ") and fault.endswith("my_net.py: no such file")


def test_a_comparison_measures_no_shifts(tmp_path: Path) -> None:
    study, _ = opened(tmp_path, **COMPARED)
    assert study.values["shifts"] == "none" and study.values["attack_images"] == 0
    assert study.finals == ("compare", "gallery") and study.grid["sanity"] == study.grid["attribute"]
    assert "sanity" not in opened(tmp_path, **COMPARED, sanity_images=0)[0].grid
    assert "sanity" not in opened(tmp_path)[0].grid


@pytest.mark.parametrize("split", ["train_split", "test_split"])
def test_images_of_a_roar_study(tmp_path: Path, split: str) -> None:
    assert "vla" in faults(tmp_path, ROAR, **{split: "vla"})[0]


def test_options_at_the_scale_of_the_study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(params.find("params"), tmp_path / "params")
    monkeypatch.setenv("XAILIB_WORKSPACE", str(tmp_path))
    method = tmp_path / "params/methods/rise.yaml"
    method.write_text(method.read_text().replace("smoke: {masks: 40}", "smoke: {masks: 40.0}"))
    assert faults(tmp_path, methods=["rise"]) == [
        "params/methods/rise.yaml: method 'rise': option masks must be a whole number, not 40.0"
    ]
    assert faults(tmp_path, methods=["rise"], scale="small") == []
    method.write_text(method.read_text().replace("smoke: {masks: 40.0}", "smoke: {masks: 0, p: 2}"))
    (found,) = faults(tmp_path, methods=["rise"])
    assert "option masks must be at least 1, not 0" in found and "option p must be at most 1, not 2" in found


def test_options_of_estimators(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(params.find("params"), tmp_path / "params")
    monkeypatch.setenv("XAILIB_WORKSPACE", str(tmp_path))
    (tmp_path / "params/estimators/mine.yaml").write_text(
        "estimator: mine\nestimator_method: rise\nestimator_form: plain\nestimator_options: {masks: 0}\n"
    )
    assert faults(tmp_path, ROAR, estimators=["mine"], keep_estimators="none", mask_estimators="all") == [
        "params/estimators/mine.yaml: estimator_options: method 'rise': option masks must be at least 1, not 0"
    ]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"scale": "smal"}, "scale: no method, metric or estimator has a scale 'smal'; did you mean 'small'"),
        ({"compare": ["tiny_imagenett"]}, "compare: unknown study 'tiny_imagenett'; did you mean 'tiny_imagenet'"),
        ({"compare": ["own"]}, "compare: unknown study 'own'"),
        ({"roar": "roar_smok"}, "roar: unknown study 'roar_smok'; did you mean 'roar_smoke'"),
        ({"roar": "smoke"}, "roar: 'smoke' is no ROAR study: it has no estimators"),
        ({"study": "smoke"}, "study: 'smoke' is the name of params/studies/smoke.yaml"),
        ({"study": "by_hand"}, "study: results/by_hand is for notebooks that are run by hand"),
        ({"limit": 4.0}, "limit: 4.0 is not a whole number or null; write 4"),
        ({"attack_epsilon": float("inf")}, "attack_epsilon: inf is not a finite number"),
        ({"kind": "compare", "roar": "roar_smoke"}, "roar: belongs to a study of the papers; leave it out"),
        ({"kind": "compare", "compare": ["tiny_imagenet"]}, "compare: belongs to a study of the papers; leave it out"),
        ({"kind": "comparison"}, "kind: 'comparison' is not one of papers, compare; did you mean 'compare'"),
        ({"target": "lable"}, "target: 'lable' is not one of label, predicted; did you mean 'label'"),
    ],
)
def test_what_files_alone_can_tell(tmp_path: Path, changes: dict, said: str) -> None:
    with pytest.raises(InputError) as raised:
        opened(tmp_path, **changes)
    assert said in str(raised.value) and "\n" not in str(raised.value)


def test_labels_that_say_nothing_ask_for_the_networks_answer(
    photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(params.find("params"), tmp_path / "params")
    monkeypatch.setenv("XAILIB_WORKSPACE", str(tmp_path))
    (tmp_path / "params/datasets/pets.yaml").write_text(
        "dataset: pets\ndataset_function: folder\ndataset_classes: unknown\n"
    )
    given = {"dataset": "pets", "root": str(photographs), "split": None, "shifts": "none"}
    assert "write target: predicted" in faults(tmp_path, **given)[0]
    study, _ = opened(tmp_path, **given, target="predicted", only_correct=True)
    assert preflight.check(study.values) == [] and study.values["only_correct"] is False


def test_folders_start_from_the_workspace_and_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    study, _ = opened(tmp_path, root="/photos")
    assert study.values["root"] == "/photos"
    study, _ = opened(tmp_path, root="~/photos")
    assert study.values["root"] == "home/photos" and params.place("~/photos") == tmp_path / "home" / "photos"
    study, _ = opened(tmp_path, root="~nobody.here/photos")
    assert study.values["root"] == "~nobody.here/photos"
    with pytest.raises(InputError, match=r"~nobody\.here/photos"):
        load_images("~nobody.here/photos")
    study, _ = opened(tmp_path, root=str(tmp_path / "data"))
    assert study.values["root"] == "data" and params.place("data") == tmp_path / "data"


def test_the_answer_is_kept_while_nothing_changes(photographs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study, _ = opened(photographs.parent, dataset="folder", root=str(photographs), split=None, shifts="none")
    asked = json.dumps(preflight._question(study.values), default=str)
    assert asked == json.dumps(preflight._question(study.values), default=str)
    (photographs / "cow").mkdir()
    assert asked != json.dumps(preflight._question(study.values), default=str), "a folder of a class more"
    (photographs / "cow").rmdir()
    monkeypatch.setenv("XAILIB_WORKSPACE", str(photographs.parent))
    asked = preflight._question(study.values)
    (photographs.parent / "plugins").mkdir()
    (photographs.parent / "plugins/mine.py").write_text("# of xailib\n")
    assert asked != preflight._question(study.values), "a plug-in more"


def test_the_workflow_asks_a_fresh_python_and_tells_all(photographs: Path) -> None:
    """Without torch in the process that asks."""
    opened(photographs.parent, dataset="folder", root=str(photographs), split="all", shifts=["fog"])
    code = (
        "import sys\nfrom xailib.workflow import study as workflow\nfrom xailib.errors import InputError\n"
        f"studies = workflow.open_studies({str(photographs.parent / 'own.yaml')!r})\n"
        "try:\n    workflow.check(*studies)\nexcept InputError as error:\n    print(error, 'torch' in sys.modules)\n"
    )
    run = subprocess.run([sys.executable, "-c", code], cwd=SHIPPED, capture_output=True, text=True)
    assert "classes: mini_resnet_vanilla" in run.stdout and "shifts: unknown shift 'fog'" in run.stdout
    assert run.stdout.strip().endswith("False") and run.stderr == ""


def test_a_study_is_kept_as_it_was_resolved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(params, "RESERVED", {})
    study, roar = opened(tmp_path, ROAR, keep_estimators="none", description="of {things} 'and' \"more\" ü")
    place = tmp_path / "results"
    monkeypatch.setattr(params, "resolved_copy", lambda name: place / name / "study.yaml")
    workflow.keep(study, roar)
    kept = place / "own" / "study.yaml"
    changed = kept.stat().st_mtime_ns
    assert params.load_study(kept) == roar.values and list(kept.parent.iterdir()) == [kept]
    workflow.keep(study, roar)
    assert kept.stat().st_mtime_ns == changed, "the same values are not written again"


def test_other_systems_are_told_at_the_start() -> None:
    code = "import sys; sys.platform = 'win32'; import xailib"
    run = subprocess.run([sys.executable, "-c", code], cwd=SHIPPED, capture_output=True, text=True)
    assert "xailib runs on Linux and macOS, not on win32; on Windows, work inside WSL" in run.stderr
