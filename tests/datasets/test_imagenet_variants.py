"""V2, A, R, Sketch, Stylized, C and ReaL in their own layouts, alone and as shifts of ImageNet."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import xailib as xai
from tests.datasets.conftest import TRUTH, save_noise
from xailib.datasets import class_names, open_images
from xailib.datasets.imagenet.labels import read_synsets, timm_file, wordnet_ids, wordnet_labels
from xailib.datasets.imagenet.variants import answers, read_real
from xailib.datasets.items import Images
from xailib.datasets.shifts import choose_shifts, list_shifts, shift_images, variants
from xailib.errors import InputError
from xailib.metrics.accuracy import accuracy_table, predictions
from xailib.models.model import Model

LABEL = wordnet_labels()
FOLDERS = {
    "imagenet_v2": ("imagenetv2-matched-frequency-format-val", [str(n) for n in range(1000)], "jpeg"),
    "imagenet_a": ("imagenet-a", list(wordnet_labels("imagenet_a")), "jpg"),
    "imagenet_r": ("imagenet-r", list(wordnet_labels("imagenet_r")), "jpg"),
    "imagenet_sketch": ("sketch", wordnet_ids(), "JPEG"),
    "stylized_imagenet": ("val", wordnet_ids(), "png"),
}


@pytest.fixture(scope="module")
def make(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Make a variant's folder, one image a class, in the layout of its archive; links, so that it costs little."""
    home = tmp_path_factory.mktemp("variants")
    pictures = [home / f"noise{seed}.JPEG" for seed in range(7)]
    for seed, path in enumerate(pictures):
        save_noise(path, seed, (16, 16))

    def variant(name: str) -> Path:
        folder, names, suffix = FOLDERS[name]
        for i, word in enumerate(names if not (home / name).exists() else ()):
            (home / name / folder / word).mkdir(parents=True)
            (home / name / folder / word / f"image.{suffix}").symlink_to(pictures[i % 7])
        return home / name

    return variant


@pytest.fixture
def own(make: Callable[[str], Path], tmp_path: Path) -> Callable[[str], Path]:
    """A copy of a variant's folder to break."""
    return lambda name: Path(shutil.copytree(make(name), tmp_path / name, symlinks=True))


class Mean(nn.Module):
    """A network of 1,000 classes, linear in the mean colour."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(3, 1000)
        nn.init.normal_(self.linear.weight, std=9.0, generator=torch.Generator().manual_seed(3))

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.linear(pixels.mean((2, 3)))


@pytest.fixture(scope="module")
def network() -> Model:
    names = class_names("imagenet")
    return Model(
        id="mean", network=Mean(), architecture="mean", training_algorithm="vanilla", input_size=16, class_names=names
    )


@pytest.mark.parametrize("name", list(FOLDERS))
def test_every_image_gets_its_class(make: Callable[[str], Path], name: str) -> None:
    root = make(name)
    found = open_images(name, root=root, side=16)
    assert isinstance(found, Images) and len(found) == len(FOLDERS[name][1])
    folders = {item.path.parent.name: item.label for item in found.items}
    assert folders == (
        {str(n): n for n in range(1000)} if name == "imagenet_v2" else {w: LABEL[w] for w in FOLDERS[name][1]}
    )
    inner = xai.load_images(name, root=root / FOLDERS[name][0], side=16, limit=3)
    outer = xai.load_images(name, root=root, side=16, limit=3)
    assert inner.ids == outer.ids == [item.id for item in found.items[:3]]
    assert class_names(name) == class_names("imagenet")


def test_v2_counts_by_number_not_by_letters(make: Callable[[str], Path]) -> None:
    """torchvision's ImageFolder sorts the names as text, so its labels of V2 are wrong: 10 comes before 2."""
    from torchvision.datasets import ImageFolder

    root = make("imagenet_v2")
    textual = ImageFolder(root / FOLDERS["imagenet_v2"][0]).class_to_idx
    found = open_images("imagenet_v2", root=root)
    assert isinstance(found, Images) and textual["2"] != 2
    assert all(item.label == int(item.id.split("/")[0]) for item in found.items)
    assert sum(textual[str(item.label)] != item.label for item in found.items) > 900


def test_sorted_ids_are_those_of_torchvisions_names() -> None:
    assert wordnet_ids() == sorted(wordnet_ids()) and len(set(wordnet_ids())) == 1000
    text = timm_file("imagenet_synset_to_lemma.txt").read_text().splitlines()
    lemma = dict(line.split("\t") for line in text)
    names = class_names("imagenet")
    agree = [names[i].lower().split()[-1] in lemma[wnid].lower() for i, wnid in enumerate(wordnet_ids())]
    assert np.mean(agree) > 0.95


@pytest.mark.parametrize("name", ["imagenet_a", "imagenet_r"])
def test_masked_accuracy_is_the_argmax_over_200_logits(make: Callable[[str], Path], network: Model, name: str) -> None:
    images = xai.load_images(name, root=make(name), side=16)
    logits = network(images.pixels).detach().numpy().astype(np.float64)
    indices = np.array([LABEL[wnid] for wnid in FOLDERS[name][1]])
    chosen = indices[logits[:, indices].argmax(1)]
    part = np.exp(logits[:, indices] - logits[:, indices].max(1, keepdims=True))
    table = predictions(network, images)
    assert (table["predicted"] == chosen).all() and (table["correct"] == (chosen == images.labels.numpy())).all()
    np.testing.assert_allclose(table["confidence"], (part / part.sum(1, keepdims=True)).max(1), atol=1e-5)
    unmasked = logits.argmax(1)
    assert (unmasked != chosen).any(), "without the mask the answers would differ"
    assert np.isin(table["predicted"], indices).all() and not np.isin(unmasked, indices).all()


@pytest.mark.parametrize("name", list(FOLDERS))
def test_missing_strange_and_empty_class_folders(own: Callable[[str], Path], name: str, tmp_path: Path) -> None:
    root = own(name)
    folder = root / FOLDERS[name][0]
    shutil.rmtree(folder / FOLDERS[name][1][5])
    with pytest.raises(InputError, match=rf"{FOLDERS[name][1][5]}: looked for the images of a class .*no such folder"):
        xai.load_images(name, root=root)
    (folder / "n99999999").mkdir()
    with pytest.raises(
        InputError, match=rf"n99999999: is none of the {len(FOLDERS[name][1])} class folders looked for"
    ):
        xai.load_images(name, root=root)
    with pytest.raises(InputError, match=rf"nowhere: looked for {FOLDERS[name][1][0]} there .*there is no such folder"):
        xai.load_images(name, root=tmp_path / "nowhere")
    with pytest.raises(InputError, match=f"unknown split 'train' of {name}"):
        xai.load_images(name, root=root, split="train")


def test_a_is_not_r(make: Callable[[str], Path]) -> None:
    with pytest.raises(InputError, match=r"looked for n01498041 there|is none of the 200 class folders"):
        xai.load_images("imagenet_a", root=make("imagenet_r") / "imagenet-r")


def test_grey_and_cmyk_files(own: Callable[[str], Path]) -> None:
    root = own("imagenet_a")
    for i, mode in enumerate(("L", "CMYK")):
        path = root / "imagenet-a" / FOLDERS["imagenet_a"][1][i] / "image.jpg"
        path.unlink()
        Image.new(mode, (20, 12), 90 if mode == "L" else (0, 0, 0, 165)).save(path)
    images = xai.load_images("imagenet_a", root=root, side=16)
    for i in range(2):
        one = images.pixels[images.ids.index(f"{FOLDERS['imagenet_a'][1][i]}/image.jpg")]
        assert (one - 90 / 255).abs().max() < 0.02


@pytest.fixture
def imagenet_c(tmp_path: Path) -> Path:
    """Two corruptions at two severities, one image a class, the files of a corruption all alike."""
    for number, name in enumerate(["fog", "gaussian_noise"], start=1):
        Image.new("L", (8, 8), 60 * number).save(tmp_path / f"{number}.png")
        for i, wnid in enumerate(wordnet_ids(), start=1):
            (tmp_path / str(number) / wnid).mkdir(parents=True)
            (tmp_path / str(number) / wnid / f"ILSVRC2012_val_{i:08d}.JPEG").symlink_to(tmp_path / f"{number}.png")
        (tmp_path / "c" / name).mkdir(parents=True)
        for severity in "13":
            (tmp_path / "c" / name / severity).symlink_to(tmp_path / str(number))
    return tmp_path / "c"


def test_imagenet_c(imagenet_c: Path, kaggle: Path) -> None:
    loaded = {
        c: xai.load_images("imagenet_c", root=imagenet_c, corruption=c, side=8, limit=9) for c in ("fog/1", "fog/3")
    }
    assert loaded["fog/1"].ids == loaded["fog/3"].ids
    assert loaded["fog/1"].labels.tolist() == [LABEL[id.split("/")[0]] for id in loaded["fog/1"].ids]
    assert loaded["fog/3"].pixels.mean() == pytest.approx(60 / 255)
    with pytest.raises(InputError, match=r"c: has no corruption 'fog/2'; did you mean 'fog/[13]'"):
        xai.load_images("imagenet_c", root=imagenet_c, corruption="fog/2")
    with pytest.raises(InputError, match=r"looked for CORRUPTION/SEVERITY/WNID/.*it holds"):
        xai.load_images("imagenet_c", root=kaggle / "ILSVRC")
    roots = {"imagenet_c": str(imagenet_c)}
    parts = [f"imagenet_c/{name}/{level}" for name in ("fog", "gaussian_noise") for level in (1, 3)]
    assert choose_shifts("all", "imagenet", roots)[-4:] == parts
    assert choose_shifts(["imagenet_c/*/3"], "imagenet", roots) == [parts[1], parts[3]]
    images = xai.load_images("imagenet", root=kaggle, side=8)
    moved = shift_images(
        images, "imagenet", parts[3], {"side": 8, "crop": "centre", "split": "val", "one_box": True}, roots
    )
    assert len(moved) == 5 and moved.pixels.mean() == pytest.approx(120 / 255)
    with pytest.raises(
        InputError, match=r"'imagenet_c/gaussian_noise/3' counts the classes of 'imagenet' in their own"
    ):
        shift_images(images, "imagenet", parts[3], {"side": 8, "relabelled": list(range(1000))[::-1]}, roots)
    # Groups, as the archives are often unpacked.
    (imagenet_c / "noise").mkdir()
    (imagenet_c / "gaussian_noise").rename(imagenet_c / "noise" / "gaussian_noise")
    shutil.rmtree(imagenet_c / "fog")
    assert list_shifts("imagenet", roots)[-2:] == parts[2:]


def write_real(folder: Path, groups: dict[int, list[int]], count: int = 50_000) -> Path:
    path = folder / "real.json"
    path.write_text(json.dumps([groups.get(number, []) for number in range(1, count + 1)]))
    return path


def test_real_counts_any_of_its_labels_and_leaves_images_without_out(
    kaggle: Path, tmp_path: Path, network: Model
) -> None:
    images = xai.load_images("imagenet", root=kaggle, side=16)
    answer = dict(zip(images.ids, network(images.pixels).argmax(1).tolist(), strict=True))
    first, second = f"{1:08d}", f"{3:08d}"
    guess = {number: answer[f"ILSVRC2012_val_{number:08d}"] for number in TRUTH}
    groups = {1: [7, guess[1]], 3: [(guess[3] + 1) % 1000, (guess[3] + 2) % 1000], 4: [guess[4]]}
    path = write_real(tmp_path, groups)
    for real in (
        xai.load_images("imagenet_real", root=kaggle, labels=path, side=16),
        shift_images(images, "imagenet", "imagenet_real", {"side": 16}, {"imagenet_real": str(tmp_path)}),
    ):
        numbers = [int(id[-8:]) for id in real.ids]
        assert sorted(numbers) == [1, 3, 4] and real.ids == [id for id in images.ids if int(id[-8:]) in groups]
        table = predictions(network, real).set_index("image")["correct"]
        assert table[f"ILSVRC2012_val_{first}"] and not table[f"ILSVRC2012_val_{second}"]
        assert accuracy_table(network, {"imagenet_real": real})["accuracy"].tolist() == pytest.approx([2 / 3])
        assert real.select([1, 0]).answers == [tuple(groups[numbers[1]]), tuple(groups[numbers[0]])]
    limited = xai.load_images("imagenet_real", root=kaggle, labels=path, side=16, limit=2)
    assert limited.ids == [id for id in images.ids if int(id[-8:]) in groups][:2]


def test_answers_and_classes_become_the_networks_too(kaggle: Path, tmp_path: Path, make: Callable[[str], Path]) -> None:
    path, back = write_real(tmp_path, {1: [7, 8], 3: [9]}), list(range(1000))[::-1]
    real = xai.load_images("imagenet_real", root=kaggle, labels=path, side=16, relabelled=back)
    assert sorted(real.answers) == [(990,), (992, 991)] and not real.right(torch.tensor([7, 7])).any()
    plain, turned = (
        xai.load_images("imagenet_a", root=make("imagenet_a"), side=8, limit=2, relabelled=labels)
        for labels in (None, back)
    )
    assert turned.classes == tuple(999 - label for label in plain.classes)
    assert torch.equal(turned.labels, 999 - plain.labels)
    unknown = xai.load_images("imagenet_a", root=make("imagenet_a"), side=8, limit=2, relabelled=[-1])
    assert unknown.classes is None and not unknown.has_labels


def test_real_comes_with_timm_and_faulty_files_are_refused(tmp_path: Path) -> None:
    real = read_real(None)
    assert len(real) == 50_000 and sum(not group for group in real) == 3163, "the paper keeps 46,837 images"
    with pytest.raises(
        InputError, match=r"real\.json: holds 49999 lists, not one list of labels for each of the 50000"
    ):
        read_real(write_real(tmp_path, {}, 49_999))
    with pytest.raises(InputError, match=r"real\.json: image 2 has \[1000\], not a list of labels from 0 to 999"):
        read_real(write_real(tmp_path, {2: [1000]}))
    (tmp_path / "real.json").write_text("[[1], [2")
    with pytest.raises(InputError, match=r"real\.json: cannot be read as ReaL's lists of labels"):
        read_real(tmp_path)
    (tmp_path / "real.json").write_text('{"a": 1}')
    with pytest.raises(InputError, match="holds no list"):
        read_real(tmp_path)
    with pytest.raises(InputError, match=r"real\.json: cannot be read as ReaL's .*no such folder"):
        read_real(tmp_path / "none" / "real.json")


def test_numbers_and_classes_of_real_images(imagenet_sample: Path) -> None:
    """The labels in the sample's table are among ReaL's for nine images of ten; by chance for hardly one."""
    assert list(read_synsets(next(imagenet_sample.rglob("LOC_synset_mapping.txt")))) == wordnet_ids()
    found, real = open_images("imagenet", root=imagenet_sample), read_real(None)
    assert isinstance(found, Images)
    known = [(item.label, answers(item.id, real)) for item in found.items]
    hits = [label in group for label, group in known if group]
    assert 550 < len(hits) < 650 and np.mean(hits) > 0.85


def test_real_refuses_images_without_number(kaggle: Path, tmp_path: Path) -> None:
    images = xai.load_images("imagenet", root=kaggle, side=16)
    roots = {"imagenet_real": None}
    with pytest.raises(InputError, match="none of the 5 images has a ReaL label"):
        empty = {"imagenet_real": str(write_real(tmp_path, {}))}
        shift_images(images, "imagenet", "imagenet_real", {}, empty)
    strange = xai.ImageBatch(images.pixels, images.labels, images.boxes, images.masks, list("abcde"))
    with pytest.raises(InputError, match="image 'a': ReaL knows images by number"):
        shift_images(strange, "imagenet", "imagenet_real", {}, roots)


def test_shift_of_a_study_takes_the_studys_size_and_count(make: Callable[[str], Path], kaggle: Path) -> None:
    roots = {"imagenet_v2": str(make("imagenet_v2"))}
    source = {"side": 12, "crop": "centre", "seed": 4, "root": str(kaggle), "split": "val", "bad_boxes": "drop"}
    images = xai.load_images("imagenet", **source, limit=4)
    moved = shift_images(images, "imagenet", "imagenet_v2", source, roots)
    expected = xai.load_images("imagenet_v2", root=make("imagenet_v2"), side=12, crop="centre", seed=4, limit=4)
    assert moved.ids == expected.ids and torch.equal(moved.pixels, expected.pixels) and moved.pixels.shape[-1] == 12


def test_choosing_shifts(make: Callable[[str], Path]) -> None:
    roots = {"imagenet_v2": str(make("imagenet_v2")), "imagenet_real": None}
    plain = list_shifts("imagenet")
    assert len(plain) == 12 and choose_shifts("all", "imagenet") == plain == list_shifts("photos")
    assert choose_shifts("all", "imagenet", roots) == [*plain, "imagenet_v2", "imagenet_real"]
    assert choose_shifts(["*_2"], "imagenet", roots) == [name for name in plain if name.endswith("_2")]
    assert choose_shifts(["imagenet_*", "shot_noise/*"], "imagenet", roots)[:4] == [
        *roots,
        "shot_noise/1",
        "shot_noise/2",
    ]
    assert len(choose_shifts("*/3", "pictograms")) == 11 and choose_shifts("none", "imagenet", roots) == []
    with pytest.raises(
        InputError, match=r"'imagenet_sketch' is read from a folder; .*shift_roots: \{imagenet_sketch: FOLDER\}"
    ):
        choose_shifts(["*_2", "imagenet_sketch"], "imagenet", roots)
    with pytest.raises(InputError, match="unknown shift 'jpg_1'; did you mean 'jpeg_1'"):
        choose_shifts(["jpg_1"], "imagenet", roots)
    assert set(variants()) == {*FOLDERS, "imagenet_c", "imagenet_real"}


@pytest.mark.parametrize(
    ("dataset", "roots", "sentence"),
    [
        ("imagenet", {"imagenet_v3": "."}, "shift_roots: unknown shift 'imagenet_v3'; did you mean 'imagenet_v2'"),
        ("imagenet", {"imagenet_r": "nowhere"}, "shift_roots: imagenet_r: there is no folder nowhere"),
        ("imagenet", {"imagenet_r": None}, "shift_roots: imagenet_r needs the folder that it is read from"),
        ("pictograms", {"imagenet_r": "."}, "imagenet_r is a shift of data set 'imagenet', not of 'pictograms'"),
        (
            "pictograms",
            {"fog": "."},
            "unknown shift 'fog'; data set 'pictograms' has no shifts that are read from a folder",
        ),
    ],
)
def test_wrong_folders_of_shifts(dataset: str, roots: dict, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        list_shifts(dataset, roots)
