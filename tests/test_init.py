"""`xailib init`: what it writes is whole, loads, and agrees with the networks and images; what it refuses is one sentence."""

import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from xailib import params
from xailib.errors import InputError
from xailib.models import untrained
from xailib.workflow import init as command
from xailib.workflow.init import init
from xailib.workflow.init.networks import network
from xailib.workspace import SHIPPED

CODE = """
from torch import nn


def make():
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))
"""


def paint(folder: Path, *names: str) -> Path:
    generator = np.random.default_rng(0)
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(generator.integers(0, 255, (40, 40, 3), dtype=np.uint8)).save(folder / name)
    return folder


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("sys.path", [*sys.path])
    (tmp_path / "my_net.py").write_text(CODE)
    paint(tmp_path / "flat", *(f"{i}.png" for i in range(6)))
    paint(tmp_path / "by_class", *(f"{name}/{i}.png" for name in ("cat", "dog") for i in range(3)))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def read(folder: Path, kind: str) -> dict[str, Any]:
    (path,) = (folder / "params" / kind).glob("*.yaml")
    values, faults = params.read(path, kind)
    assert faults == []
    return values


def test_a_function_and_a_flat_folder(place: Path) -> None:
    made, study, sentences = init("mine", ["my_net.py:make"], "flat")
    assert (made, study) == (place / "mine", "mine")
    names = {str(path.relative_to(made)) for path in made.rglob("*") if path.is_file()}
    assert names == {"Snakefile", ".gitignore", "plugins/example.py", "profiles/default/profile.yaml", "params/studies/mine.yaml",
                     "params/models/my_net_make.yaml", "params/datasets/mine_images.yaml"}  # fmt: skip
    model, data, values = (read(made, kind) for kind in ("models", "datasets", "studies"))
    assert model["model_options"] == {"name": f"{place}/my_net.py:make"} and model["weights"] == {"source": "code"}
    assert (model["cam_layer"], model["offers"], model["output"]) == ("1", ["cam_layer", "gap_linear_head"], "logits")
    assert model["class_names"] == ["class 0", "class 1"]
    assert data["dataset_function"] == "folder" and data["dataset_classes"] == "unknown"
    assert (values["kind"], values["target"], values["limit"], values["root"]) == (
        "compare",
        "predicted",
        6,
        str(place / "flat"),
    )
    assert values["metrics"] == ["deletion", "insertion"] and "rise" in values["methods"]
    for word in ("normalisation", "224 pixels"):  # nothing says them, so they are assumed
        assert any(word in sentence for sentence in sentences)
    assert 'config.setdefault("study", "mine")' in (made / "Snakefile").read_text()


def test_every_line_is_explained(place: Path) -> None:
    made, *_ = init("mine", ["my_net.py:make"], "by_class")
    for path in made.rglob("params/*/*.yaml"):
        lines = path.read_text().splitlines()
        for i, line in enumerate(lines):
            key = line.partition(":")[0]
            told = (
                line.startswith("  ") or "# " in line or line.startswith("#") or (i and lines[i - 1].startswith("# "))
            )
            assert told or key in ("model", "label", "dataset"), f"{path.name}: {line}"
        assert max(len(line) for line in lines if str(place) not in line) <= 120


def test_class_folders_name_outputs_that_nothing_names(place: Path) -> None:
    made, _, sentences = init("mine", ["my_net.py:make"], "by_class")
    assert read(made, "models")["class_names"] == ["cat", "dog"]
    assert read(made, "studies")["target"] == "label" and read(made, "datasets")["dataset_classes"] is None
    assert any("its classes are assumed to be cat, dog, in this order" in sentence for sentence in sentences)


def test_classes_are_looked_up_by_name(place: Path) -> None:
    made, *_ = init("mine", ["my_net.py:make"], "by_class", class_names="dog,cat")
    assert (
        read(made, "models")["class_names"] == ["dog", "cat"] and read(made, "datasets")["dataset_classes"] == "by_name"
    )


def test_a_table_with_boxes(place: Path) -> None:
    lines = [f"by_class/{name}/{i}.png,{name},1 1 20 20" for name in ("cat", "dog") for i in range(3)]
    (place / "all.csv").write_text("\n".join(["file,label,box", *lines]))
    made, *_ = init("mine", ["my_net.py:make"], "all.csv")
    assert read(made, "datasets")["dataset_function"] == "table"
    assert read(made, "studies")["metrics"] == ["deletion", "insertion", "localisation", "pointing_game"]


def test_a_shipped_data_set(place: Path) -> None:
    words = "--classes", ",".join(__import__("xailib.datasets", fromlist=["x"]).class_names("pictograms"))
    path = SHIPPED / "weights" / "pictograms" / "mini_resnet_vanilla.safetensors"
    made, *_ = init("mine", [str(path)], "pictograms", architecture="mini_resnet", class_names=words[1])
    assert not (made / "params" / "datasets").exists() and read(made, "studies")["dataset"] == "pictograms"
    model = read(made, "models")
    assert model["architecture"] == "mini_resnet" and len(model["weights"]["sha256"]) == 64


@pytest.mark.parametrize(
    ("word", "size", "mean", "weights"),
    [
        ("timm:resnet18", 224, 0.485, {"source": "timm", "name": "resnet18.a1_in1k"}),
        (
            "torchvision:mobilenet_v2",
            224,
            0.485,
            {"source": "torchvision", "enum": "MobileNet_V2_Weights.IMAGENET1K_V2"},
        ),
        ("torchvision:googlenet", 224, 0.5, {"source": "torchvision", "enum": "GoogLeNet_Weights.IMAGENET1K_V1"}),
    ],
)
def test_libraries(word: str, size: int, mean: float, weights: dict[str, str]) -> None:
    draft, _ = network(word)
    values = draft.values
    assert (values["input_size"], values["mean"], values["weights"]) == (
        size,
        [mean, pytest.approx(mean, abs=0.08), pytest.approx(mean, abs=0.1)],
        weights,
    )
    assert values["class_names"] == "imagenet" and "gap_linear_head" in values["offers"]


def test_torchvisions_googlenet_normalises_inside() -> None:
    """Mean and std of 0.5 are what its `transform_input` makes of ImageNet's."""
    from torchvision.models import GoogLeNet

    draft, model = network("torchvision:googlenet")
    pixels = torch.rand(1, 3, 224, 224)
    mean, std = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1), torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
    inside = GoogLeNet._transform_input(type("T", (), {"transform_input": True})(), (pixels - mean) / std)
    assert torch.allclose(inside, model.normalise(pixels), atol=1e-5) and draft.values["std"] == [0.5] * 3


def test_a_checkpoint_says_how_many_classes_it_has(place: Path) -> None:
    torch.save(
        {"state_dict": {f"module.{key}": value for key, value in untrained("mini_resnet", 7).state_dict().items()}},
        "a.pt",
    )
    draft, model = network("a.pt", "mini_resnet")
    assert len(model.class_names) == 7 and draft.values["weights"]["path"] == str(place / "a.pt")


def test_many_names_go_into_a_file(place: Path) -> None:
    torch.save(untrained("mini_resnet", 30).state_dict(), "a.pt")
    (place / "names.txt").write_text("\n".join(f"name {i}" for i in range(30)))
    made, *_ = init("mine", ["a.pt"], "flat", architecture="mini_resnet", class_names="names.txt")
    assert read(made, "models")["class_names"] == "params/models/a_classes.txt"
    assert (made / "params/models/a_classes.txt").read_text().splitlines()[29] == "name 29"


def test_two_networks(place: Path) -> None:
    torch.save(untrained("mini_resnet", 2).state_dict(), "a.pt")
    made, *_ = init("mine", ["my_net.py:make", "a.pt"], "by_class", architecture="mini_resnet", class_names="cat,dog")
    assert read(made, "studies")["models"] == ["my_net_make", "a"]


@pytest.mark.parametrize(
    ("model", "images", "options", "said"),
    [
        ("timm:resnet5o", "flat", {}, "--model timm:resnet5o: timm has no 'resnet5o'; did you mean 'resnet50'?"),
        ("timm:resnet18.none", "flat", {}, "--model timm:resnet18.none: timm "),
        ("torchvision:mobilnet_v2", "flat", {}, "torchvision has no 'mobilnet_v2'; did you mean 'mobilenet_v2'?"),
        ("tim:resnet18", "flat", {}, "neither a library nor a module of this name here; did you mean 'timm:resnet18'?"),
        ("resnet18", "flat", {}, "--model resnet18: not understood; write timm:NAME, torchvision:NAME"),
        ("my_nett.py:make", "flat", {}, "my_nett.py: no such file; did you mean 'my_net.py'?"),
        ("my_net.py:mak", "flat", {}, "has no function 'mak'; did you mean 'make'?"),
        ("none.pt", "flat", {}, "none.pt: no such weight file"),
        ("other.pt", "flat", {}, "say with --architecture what network they are for"),
        ("other.pt", "flat", {"architecture": "mini_resnett"}, "has 'mini_resnett'; did you mean 'mini_resnet'?"),
        ("other.pt", "flat", {"architecture": "mini_resnet"}, "other.pt: "),
        ("pickle.pt", "flat", {"architecture": "mini_resnet"}, "reading it would run code"),
        ("my_net.py:make", "none", {}, "--images none: there is neither a folder or file of this name nor a data set"),
        ("my_net.py:make", "pictogram", {}, "did you mean 'pictograms'?"),
        ("my_net.py:make", "imagenet", {}, "add --root FOLDER"),
        ("my_net.py:make", "one", {}, "one image; intervals and tests need at least two"),
        ("my_net.py:make", "broken", {}, "1.png: not a complete image file"),
        ("my_net.py:make", "empty", {}, "empty: looked for"),
        ("my_net.py:make", "my_net.py", {}, "neither a folder nor a table"),
        ("my_net.py:make", "by_class", {"class_names": "a,b"}, "no class 'cat' for the data set's 'cat'"),
        ("my_net.py:make", "by_class", {"class_names": "a,b,c"}, "3 names (a, b, c, ...) for the 2 logits"),
        ("my_net.py:make", "three", {}, "no class 'x' for the data set's 'x'"),
        ("my_net.py:make", "flat", {"class_names": "none.txt"}, "--classes none.txt: no such file"),
        ("my_net.py:make", "flat", {"class_names": ", ".join(["a long name"] * 30)}, "for the 2 logits"),
        ("my_net.py:make", "long" * 100, {}, "neither a folder or file of this name"),
        ("my_net.py:make", "flat", {"root": "flat"}, "leave out --root"),
        ("my_net.py:make", "flat", {"size": 0}, "--size 0: no side of an image in pixels; give 8 to 2048, such as 224"),
        ("my_net.py:make", "flat", {"size": 100000}, "--size 100000: no side"),
        ("timm:vit_tiny_patch16_224", "flat", {"size": 100}, "--model timm:vit_tiny_patch16_224: "),
        ("my_net.py:make", "flat", {"architecture": "mini_resnet"}, "no --model is a checkpoint file; leave it out"),
    ],
)
def test_refusals(place: Path, model: str, images: str, options: dict[str, Any], said: str) -> None:
    paint(place / "one", "a.png")
    paint(place / "three", *(f"{name}/a.png" for name in "xyz"))
    paint(place / "broken", "0.png")
    (place / "empty").mkdir()
    (place / "broken" / "1.png").write_text("no picture")
    torch.save({"layer.weight": torch.zeros(2, 2)}, "other.pt")
    torch.save(torch.nn.Linear(2, 2), "pickle.pt")
    with pytest.raises(InputError) as error:
        init("mine", [model], images, **options)
    assert said in str(error.value) and "\n" not in str(error.value)
    assert not (place / "mine").exists() and not list(place.glob(".mine-*"))


def test_labels_that_do_not_fit_may_be_left_out(place: Path) -> None:
    made, *_ = init("mine", ["my_net.py:make"], "by_class", class_names="a,b", target="predicted")
    assert read(made, "studies")["target"] == "predicted" and read(made, "datasets")["dataset_classes"] == "unknown"


def test_a_folder_goes_before_a_data_set_of_its_name(place: Path) -> None:
    shutil.move("flat", "photos")
    made, *_ = init("mine", ["my_net.py:make"], "photos")
    assert read(made, "studies")["root"] == str(place / "photos") and read(made, "studies")["limit"] == 6


def test_the_current_folder_stays_the_one_it_is(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (place / "here").mkdir()
    monkeypatch.chdir("here")
    init(".", [f"{place}/my_net.py:make"], "../flat")
    assert Path.cwd() == place / "here" and Path("Snakefile").is_file() and not list(Path().glob(".here-*"))


def test_what_results_keeps_names_no_study(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made, study, _ = init("weights", ["my_net.py:make"], "flat")
    monkeypatch.chdir(made)
    assert params.load_study(study)["study"] == "my_weights"


def test_nothing_is_overwritten(place: Path) -> None:
    (place / "mine").mkdir()
    (place / "mine" / "note.txt").write_text("mine")
    with pytest.raises(InputError, match="nothing is ever overwritten"):
        init("mine", ["my_net.py:make"], "flat")
    assert (place / "mine" / "note.txt").read_text() == "mine" and len(list((place / "mine").iterdir())) == 1
    with pytest.raises(InputError, match="is a file"):
        init("my_net.py", ["my_net.py:make"], "flat")
    (place / "new").mkdir()
    init("new", ["my_net.py:make"], "flat")  # an empty folder is free


def test_a_folder_that_cannot_be_written(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def closed(*_: Any, **__: Any) -> str:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tempfile.mkdtemp", closed)
    with pytest.raises(InputError, match="mine: cannot be written \\(read-only\\)"):
        init("mine", ["my_net.py:make"], "flat")


def test_a_disk_that_fills_up_leaves_nothing(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = Path.write_text

    def full(self: Path, *given: Any, **options: Any) -> int:
        if self.name == "Snakefile":
            raise OSError(28, "No space left on device")
        return write(self, *given, **options)

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(InputError, match="No space left"):
        init("mine", ["my_net.py:make"], "flat")
    assert not (place / "mine").exists() and not list(place.glob(".mine-*"))


def test_the_command_says_what_comes_next(place: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setattr(command.scale, "prices", lambda place, study: {"small": 130.0, "quick": 7.4})
    assert command.main(["mine", "--model", "my_net.py:make", "--images", "flat"]) == 0
    said = capsys.readouterr().out
    assert "Next: cd mine && snakemake" in said and "params/studies/mine.yaml" in said
    assert "About 7 minutes on this machine at scale quick (small takes 2 hours)" in said
    assert command.main(["mine", "--model", "my_net.py:make", "--images", "flat"]) == 2
    assert capsys.readouterr().err.startswith("error: ")


@pytest.mark.parametrize(("small", "chosen"), [(9.0, "small"), (11.0, "quick"), (6000.0, "quick")])
def test_the_scale_that_is_done_in_time_is_written(place: Path, small: float, chosen: str) -> None:
    made, study, _ = init("mine", ["my_net.py:make"], "flat")
    before = read(made, "studies")
    command.scale.choose(made, study, {"small": small, "quick": small / 3})
    assert read(made, "studies") == before | {"scale": chosen}


def test_a_price_that_is_not_known_leaves_the_study_as_it_is(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made, study, _ = init("mine", ["my_net.py:make"], "flat")
    (made / "params" / "models" / "my_net_make.yaml").write_text("model: my_net_make")
    with pytest.raises(InputError, match="architecture"):
        command.scale.prices(made, study)


def test_a_size_of_ones_own(place: Path) -> None:
    made, *_ = init("mine", ["my_net.py:make"], "flat", size=64)
    assert read(made, "models")["input_size"] == 64
    assert "given by --size" in (made / "params/models/my_net_make.yaml").read_text()


def test_yaml_reads_back_as_it_was_meant(place: Path) -> None:
    shutil.move("flat", "fl: at #1")
    made, *_ = init("mine", ["my_net.py:make"], "fl: at #1")
    (path,) = (made / "params" / "studies").glob("*.yaml")
    assert yaml.safe_load(path.read_text())["root"] == str(place / "fl: at #1")
