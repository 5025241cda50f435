"""The panel's kernel: what it answers, what it remembers, what it gives up, and what it refuses in one sentence."""

import io
import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import papermill
import pytest
import torch
from PIL import Image
from torch import nn

import xailib as xai
from xailib import engine
from xailib.analysis.frames import Frames
from xailib.explorer.kernel import Kernel
from xailib.explorer.scene import OwnScene, Scene, StudyScene
from xailib.metrics import curves

PATIENCE = 60  # seconds


class Desk:
    """A kernel and what it has said, asked as the component asks."""

    def __init__(self, scene: Scene) -> None:
        self.said: list[tuple[dict[str, Any], list[Any]]] = []
        self.kernel = Kernel(scene, lambda message, buffers: self.said.append((message, buffers)))

    def ask(self, network: str, method: str, image: int = 0, target: str = "", options: dict | None = None) -> str:
        key = json.dumps([network, method, image, target, options or {}])
        choice = {"key": key, "network": network, "method": method, "image": image, "target": target}
        self.kernel.receive({"ask": [{**choice, "options": options or {}}], "picture": image, "filter": None}, [])
        return key

    def of(self, kind: str, key: str | None = None) -> list[dict[str, Any]]:
        return [message for message, _ in self.said if message["is"] == kind and key in (None, message.get("key"))]

    def until(self, done: Callable[[], Any]) -> None:
        end = time.monotonic() + PATIENCE
        while not done():
            assert time.monotonic() < end, [message for message, _ in self.said]
            time.sleep(0.01)

    def quiet(self) -> None:
        self.until(lambda: not self.kernel._wanted)

    def map(self, key: str) -> np.ndarray:
        record, buffers = next(one for one in self.said if one[0]["is"] == "map" and one[0]["key"] == key)
        return np.frombuffer(buffers[0], np.float32).reshape(record["height"], record["width"])


class Tiny(nn.Module):
    """Three classes by colour; slow when told to be."""

    def __init__(self, classes: int = 3) -> None:
        super().__init__()
        self.convolution, self.head = nn.Conv2d(3, 4, 3, padding=1), nn.Linear(4, classes)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.head(torch.relu(self.convolution(pixels)).mean((2, 3)))


@pytest.fixture(scope="module")
def images() -> xai.ImageBatch:
    return xai.load_images("pictograms", limit=3)


@pytest.fixture(scope="module")
def model() -> xai.Model:
    torch.manual_seed(0)
    return xai.wrap(Tiny(), classes=["red", "green", "blue"], size=64, mean=(0, 0, 0), std=(1, 1, 1), id="tiny")


@pytest.fixture
def desk(model: xai.Model, images: xai.ImageBatch) -> Desk:
    return Desk(OwnScene([model], images.pixels))


def test_a_map_comes_first_then_answer_and_scores(desk: Desk, model: xai.Model, images: xai.ImageBatch) -> None:
    key = desk.ask("tiny", "gradient", 1)
    desk.quiet()
    kinds = [message["is"] for message, _ in desk.said if message["is"] != "progress"]
    assert kinds == ["picture", "map", "answers", "score", "score"]
    alone = xai.attribute("gradient", model, images.pixels[[1]])
    assert np.array_equal(desk.map(key), alone.values[0].numpy())
    assert desk.of("map", key)[0]["target"] == alone.target_names[0]
    for name in ("deletion", "insertion"):
        score = next(one for one in desk.of("score", key) if one["metric"] == name)
        expected = xai.evaluate(name, alone, model, images.pixels[[1]])["value"].iloc[0]
        assert score["value"] == pytest.approx(expected, abs=1e-6)
        line = curves(name, alone, model, images.pixels[[1]])[0]
        assert score["curve"] == pytest.approx(line.tolist(), abs=1e-4)
    answer = desk.of("answers")[0]["answers"]["1"]
    assert len(answer["top"]) == 3 and answer["top"][0][0] == alone.target_names[0] and answer["right"] is None
    picture, buffers = next(one for one in desk.said if one[0]["is"] == "picture")
    assert (
        picture["width"] == 64
        and buffers[0] == (images.pixels[1] * 255).round().byte().permute(1, 2, 0).numpy().tobytes()
    )


def test_answers_are_chosen_among_the_images_classes(model: xai.Model, images: xai.ImageBatch) -> None:
    logits = engine.logits(model, images.pixels)
    among = tuple(sorted(set(range(3)) - {int(logits[0].argmax())}))
    labelled = xai.ImageBatch(images.pixels, labels=[0, 0, 0], answers=[among] * 3, classes=among)
    desk = Desk(OwnScene([model], labelled))
    desk.ask("tiny", "gradient", 0)
    desk.quiet()
    answer = desk.of("answers")[0]["answers"]["0"]
    assert [name for name, _ in answer["top"]] == [
        model.class_names[i] for i in sorted(among, key=lambda i: -logits[0, i])
    ]
    assert sum(share for _, share in answer["top"]) == pytest.approx(1) and answer["right"]


def test_what_was_computed_is_remembered(desk: Desk) -> None:
    key = desk.ask("tiny", "rise", 0)
    desk.quiet()
    desk.said.clear()
    assert desk.ask("tiny", "rise", 0) == key
    assert {message["is"] for message, _ in desk.said} == {"picture", "map", "answers", "score"}  # before it returned


def test_any_class_by_name_and_an_unknown_one(desk: Desk, model: xai.Model, images: xai.ImageBatch) -> None:
    key = desk.ask("tiny", "gradient", 0, target="Blue")
    desk.quiet()
    assert desk.of("map", key)[0]["target"] == "blue"
    assert np.array_equal(desk.map(key), xai.attribute("gradient", model, images.pixels[:1], "blue").values[0].numpy())
    key = desk.ask("tiny", "gradient", 0, target="gren")
    desk.quiet()
    assert "did you mean 'green'" in desk.of("error", key)[0]["text"] and not desk.of("score", key)


def test_options_of_the_method(desk: Desk) -> None:
    key = desk.ask("tiny", "rise", 0, options={"masks": 16})
    desk.quiet()
    usual = desk.ask("tiny", "rise", 0)
    desk.quiet()
    assert not np.array_equal(desk.map(key), desk.map(usual))
    key = desk.ask("tiny", "rise", 0, options={"mask": 16})
    desk.quiet()
    assert "masks" in desk.of("error", key)[0]["text"]


def test_a_newer_choice_supersedes_and_stop_stops(desk: Desk) -> None:
    long = desk.ask("tiny", "rise", 0, options={"masks": 200_000})
    desk.until(lambda: desk.of("progress", long))
    short = desk.ask("tiny", "gradient", 0)
    desk.quiet()
    assert desk.of("map", short) and not desk.of("map", long) and not desk.of("error", long)
    desk.said.clear()
    desk.ask("tiny", "rise", 0, options={"masks": 200_000})
    desk.until(lambda: desk.of("progress", long))
    desk.kernel.receive({"stop": True}, [])
    assert desk.of("stopped")
    assert desk.ask("tiny", "gradient", 2)  # the thread is free again
    desk.quiet()
    assert not desk.of("map", long)


def test_the_network_is_free_while_the_panel_works(desk: Desk, model: xai.Model, images: xai.ImageBatch) -> None:
    """The notebook goes on with its own view: hooks and modes of the panel's thread do not reach it."""
    alone = xai.attribute("rise", model, images.pixels[:1], masks=64)
    key = desk.ask("tiny", "rise", 0, options={"masks": 200_000})
    desk.until(lambda: desk.of("progress", key))
    assert torch.equal(xai.attribute("rise", model, images.pixels[:1], masks=64).values, alone.values)
    desk.kernel.receive({"stop": True}, [])


def png(side: int = 40) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (side, side), "red").save(file, "PNG")
    return file.getvalue()


def test_pictures_of_ones_own(desk: Desk, tmp_path: Path) -> None:
    desk.kernel.receive({"upload": ["mine.png"]}, [memoryview(png())])
    assert desk.of("added") == [{"is": "added", "first": 3}]
    key = desk.ask("tiny", "gradient", 3)
    desk.quiet()
    assert desk.map(key).shape == (64, 64) and desk.of("answers")[-1]["answers"]["3"]["right"] is None
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "one.png").write_bytes(png())
    desk.kernel.receive({"path": str(tmp_path / "folder")}, [])
    assert desk.kernel.images == 5
    for message, buffers, said in (
        ({"upload": ["notes.txt"]}, [b"no picture"], "notes.txt: is no picture"),
        ({"path": "nowhere/x.png"}, [], "there is no such file or folder"),
        ({"path": str(tmp_path)}, [], "holds no pictures"),
    ):
        desk.kernel.receive(message, buffers)
        assert said in desk.of("error")[-1]["text"] and desk.kernel.images == 5


def test_a_network_with_one_class_is_one_sentence(images: xai.ImageBatch) -> None:
    with pytest.raises(xai.InputError, match="one logit z; give two logits"):
        xai.explore(Tiny(1), images.pixels)


def test_labels_of_other_classes_than_the_networks_leave_what_it_predicts(
    model: xai.Model, images: xai.ImageBatch
) -> None:
    with pytest.warns(UserWarning, match="none of model 'tiny'.* here the class that it predicts is explained"):
        desk = Desk(OwnScene([model], images))
    key = desk.ask("tiny", "gradient")
    desk.quiet()
    assert desk.of("map", key)[0]["target"] == xai.attribute("gradient", model, images).target_names[0]
    assert desk.of("answers")[0]["answers"]["0"]["right"] is None and not desk.of("error")


def test_two_networks_called_alike_and_what_they_lack(images: xai.ImageBatch) -> None:
    panel = xai.explore([Tiny(), Tiny()], images.pixels, method="gradient")
    assert [one["id"] for one in panel.facts["networks"]] == ["tiny 1", "tiny 2"]
    assert [pane["network"] for pane in panel.state["panes"]] == ["tiny 1", "tiny 2"]
    json.dumps(panel.facts, allow_nan=False)


def test_first_method_is_one_that_the_network_can_take(images: xai.ImageBatch) -> None:
    facts = {"architecture": "linear", "training_algorithm": "vanilla", "class_names": ["red", "green", "blue"]}
    plain = nn.Sequential(nn.Flatten(), nn.Linear(3 * 64 * 64, 3))  # no layer gives maps
    panel = xai.explore(xai.Model(plain, id="plain", input_size=64, **facts), images.pixels)
    methods = [pane["method"] for pane in panel.state["panes"]]
    assert len(set(methods)) == 2 and not {"cam", "gradcam"} & set(methods)
    impossible = {key.partition("/")[2] for key in panel.facts["skipped"]}
    offered = {one["id"] for one in panel.facts["methods"]}
    assert {"cam", "gradcam"} <= impossible and {"gradient", "rise", "random"} <= offered - impossible
    assert len(panel.facts["images"]) == 3


def test_metrics_of_the_object_need_one(model: xai.Model, images: xai.ImageBatch) -> None:
    assert list(OwnScene([model], images.pixels).metrics.index) == ["deletion", "insertion"]
    unlabelled = xai.ImageBatch(images.pixels, masks=images.masks)
    assert list(OwnScene([model], unlabelled).metrics.index)[:2] == ["pointing_game", "localisation"]


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("studies") / "mine.yaml"
    file.write_text(
        "study: mine\ndataset: pictograms\nlimit: 5\nmodels: [mini_resnet_vanilla, mini_resnet_robust]\n"
        "methods: [random, integrated_gradients, integrated_gradients_abs, rise, shap]\nmetrics: all\nscale: smoke\n"
    )
    return file


def test_a_studys_files_are_used_and_what_they_lack_is_computed(study: Path, planted: tuple[Path, Frames]) -> None:
    scene = StudyScene(study)
    scene.folder = planted[0]
    desk = Desk(scene)
    key = desk.ask("mini_resnet_vanilla", "rise", 4)
    desk.quiet()
    assert desk.of("map", key)[0]["from"] == "study"
    with np.load(planted[0] / "mini_resnet_vanilla" / "rise" / "maps.npz") as stored:
        assert np.array_equal(desk.map(key), stored["maps"][4])
    changed = desk.ask("mini_resnet_vanilla", "rise", 4, options={"masks": 16})
    desk.until(lambda: desk.of("map", changed) or desk.of("error", changed))
    assert desk.of("map", changed)[0]["from"] == ""


def test_a_slice_that_ends_while_the_panel_is_open_is_found(
    study: Path, planted: tuple[Path, Frames], tmp_path: Path
) -> None:
    scene = StudyScene(study)
    scene.folder = tmp_path
    pair, name = ("mini_resnet_vanilla", "rise"), planted[1].scores["image"].iloc[0]
    assert scene.stored(*pair, 4) is None and scene.stored_score(*pair, name, "deletion") is None
    shutil.copytree(planted[0] / "mini_resnet_vanilla" / "rise", tmp_path / "mini_resnet_vanilla" / "rise")
    before = scene.stored(*pair, 4)
    with np.load(tmp_path / "mini_resnet_vanilla" / "rise" / "maps.npz") as stored:
        assert before is not None and np.array_equal(before.values[0], stored["maps"][4])
    other = planted[0] / "mini_resnet_vanilla" / "shap" / "maps.npz"
    shutil.copy(other, tmp_path / "mini_resnet_vanilla" / "rise" / "maps.npz")
    with np.load(other) as stored:
        after = scene.stored(*pair, 4)
        assert after is not None and np.array_equal(after.values[0], stored["maps"][4])
        assert not np.array_equal(after.values, before.values)


def test_a_second_setting_has_its_label_and_options(study: Path) -> None:
    panel = xai.explore(str(study), method=["integrated_gradients", "integrated_gradients_abs"])
    assert {"IG", "IG (abs)"} <= {one["label"] for one in panel.facts["methods"]}
    assert [pane["method"] for pane in panel.state["panes"]] == ["integrated_gradients", "integrated_gradients_abs"]
    scene = StudyScene(study)
    desk = Desk(scene)
    maps = []
    for name in ("integrated_gradients", "integrated_gradients_abs"):
        key = desk.ask("mini_resnet_vanilla", name)
        desk.until(lambda key=key: desk.of("map", key))
        maps.append(desk.map(key))
    assert (maps[0] < 0).any() and not (maps[1] < 0).any()


def test_the_panel_is_a_bridge_to_the_notebook(study: Path) -> None:
    panel = xai.explore(str(study), model="ResNet-R", method="random")
    assert panel.model.id == "mini_resnet_robust" and len(panel.images) == 5
    assert panel.state["panes"][1]["network"] == "mini_resnet_vanilla"
    assert panel.shown[0]["method"] == "random"
    with pytest.raises(xai.InputError, match="did you mean 'mini_resnet_robust'"):
        xai.explore(str(study), model="mini_resnet_robus")
    with pytest.raises(xai.InputError, match="did you mean 'rise'"):
        xai.explore(str(study), method="rize")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"source": []}, "source: the list is empty"),
        ({"model": ["tiny"]}, "model: the id of a network is needed, not list"),
        ({"method": []}, "method: a name is needed"),
        ({"method": None}, "method: a name is needed"),
        ({"method": ["rise", "lime", "gradient"]}, "one for each pane"),
        ({"scale": "tiny"}, "has a scale 'tiny'"),
    ],
)
def test_wrong_arguments_are_one_sentence(
    model: xai.Model, images: xai.ImageBatch, given: dict[str, Any], said: str
) -> None:
    with pytest.raises(xai.InputError, match=said):
        xai.explore(**{"source": model, "images": images.pixels, **given})


def test_a_network_by_its_id(images: xai.ImageBatch) -> None:
    panel = xai.explore("mini_resnet_vanilla", images, model="mini_resnet_vanilla", method=("rise", "lime"))
    assert [pane["method"] for pane in panel.state["panes"]] == ["rise", "lime"]


def test_studies_that_cannot_be_explored_are_one_sentence() -> None:
    with pytest.raises(xai.InputError, match="trains its own networks"):
        xai.explore("roar_pictograms")
    with pytest.raises(xai.InputError, match="did you mean 'pictograms'"):
        xai.explore("pictogram")
    with pytest.raises(xai.InputError, match="tiny-imagenet"):  # its record holds lists; its images are not here
        xai.explore("tiny_imagenet")


def test_without_anywidget_the_rest_works(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "anywidget", None)
    monkeypatch.delitem(sys.modules, "xailib.explorer.widget", raising=False)
    with pytest.raises(xai.InputError, match="pip install anywidget"):
        xai.explore("pictograms")


def test_the_notebook_runs_and_keeps_a_place_for_its_picture(repository: Path, tmp_path: Path) -> None:
    """Without a browser nothing is clicked, and every cell has its result."""
    papermill.execute_notebook(
        repository / "notebooks" / "explore.ipynb", tmp_path / "out.ipynb", cwd=repository, progress_bar=False
    )
    outputs = [output for cell in nbformat.read(tmp_path / "out.ipynb", 4).cells for output in cell.get("outputs", [])]
    kinds = [set(output.data) for output in outputs if "data" in output]
    assert kinds[0] == {"text/html"} and "application/vnd.jupyter.widget-view+json" in kinds[1]
    assert any("image/png" in kind for kind in kinds[2:]) and not [
        one for one in outputs if one.get("name") == "stderr"
    ]


def test_make_lab_opens_a_copy_that_git_ignores(repository: Path) -> None:
    """JupyterLab saves what is clicked: into a file that `make lint` does not look at."""
    said = subprocess.run(["make", "-n", "lab"], cwd=repository, capture_output=True, text=True, check=True).stdout
    opened = re.findall(r"jupyter lab .* (\S+\.ipynb)", said)
    ignored = (repository / ".gitignore").read_text().split()
    assert opened == ["results/by_hand/explore.ipynb"] and "/results/" in ignored
    assert "PASSIVE" in said
