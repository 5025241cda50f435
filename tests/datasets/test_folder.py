"""Images of one's own: one folder a class."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import xailib as xai
from tests.datasets.conftest import save_noise
from xailib.datasets import class_names
from xailib.errors import InputError


def test_labels_count_the_sorted_folders(classes_folder: Path) -> None:
    images = xai.load_images("folder", root=classes_folder, side=16)
    assert class_names("folder", root=classes_folder) == ["ant", "cat", "dog"]
    assert dict(zip(images.ids, images.labels.tolist(), strict=True)) == {
        "ant/c.png": 0, "cat/a.png": 1, "cat/b.jpg": 1, "dog/deep/d.png": 2, "dog/e.png": 2,
    }  # fmt: skip
    assert all(boxes.shape == (0, 4) for boxes in images.boxes)
    assert not images.masks.any()
    assert xai.load_images("folder", root=classes_folder, side=16, limit=2).ids == images.ids[:2]


def test_split_and_classes_file(classes_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "classes.txt").write_text("dog a dog\nfish\nant\ncat the cat\n")
    images = xai.load_images("folder", root=tmp_path, split="images", side=16, classes=tmp_path / "classes.txt")
    assert dict(zip(images.ids, images.labels.tolist(), strict=True))["ant/c.png"] == 2
    assert class_names("folder", root=tmp_path, classes=tmp_path / "classes.txt") == ["dog", "fish", "ant", "cat"]
    (tmp_path / "classes.txt").write_text("dog\nant\n")
    with pytest.raises(InputError, match=r"cat: .*classes\.txt lists no class of this name"):
        xai.load_images("folder", root=classes_folder, classes=tmp_path / "classes.txt")
    with pytest.raises(InputError, match=r"none\.txt: cannot be read as a list of classes"):
        xai.load_images("folder", root=classes_folder, classes=tmp_path / "none.txt")


def test_missing_and_empty_folders(classes_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"val: looked for one folder a class there; there is no such .*it holds ant/"):
        xai.load_images("folder", root=classes_folder, split="val")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="empty: looked for one folder a class there; it is empty"):
        xai.load_images("folder", root=tmp_path / "empty")
    (tmp_path / "bare" / "cat").mkdir(parents=True)
    with pytest.raises(InputError, match=r"bare: no images: looked for CLASS/\*\.jpg"):
        xai.load_images("folder", root=tmp_path / "bare")
    with pytest.raises(InputError, match=r"a\.png: looked for one folder a class there; it is not a folder"):
        xai.load_images("folder", root=classes_folder / "cat" / "a.png")


def test_odd_files_load_and_broken_ones_are_named(classes_folder: Path) -> None:
    grey = np.arange(400, dtype=np.uint16).reshape(20, 20)
    Image.fromarray(grey.astype(np.uint8)).save(classes_folder / "cat" / "grey.png")
    Image.fromarray(grey * 150).save(classes_folder / "cat" / "deep.png")
    Image.new("CMYK", (20, 20), (10, 20, 30, 40)).save(classes_folder / "cat" / "cmyk.jpg")
    images = xai.load_images("folder", root=classes_folder, side=16)
    assert len(images) == 8
    assert images.pixels.min() >= 0 and images.pixels.max() <= 1
    (classes_folder / "dog" / "empty.jpg").write_bytes(b"")
    with pytest.raises(InputError, match=r"dog/empty\.jpg: not a complete image file"):
        xai.load_images("folder", root=classes_folder)


def labels(root: Path, **options) -> dict[str, int]:
    images = xai.load_images(root, side=8, **options)
    assert images.class_names == class_names("folder", root=root, **options)
    assert [images.class_names[label] for label in images.labels] == [id.split("/")[0] for id in images.ids]
    return dict(zip(images.ids, images.labels.tolist(), strict=True))


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Path]:
    """Make a folder with these images, of noise, and empty folders (with a slash at the end)."""

    def build(*names: str) -> Path:
        for seed, name in enumerate(names):
            if name.endswith("/"):
                (tmp_path / "d" / name).mkdir(parents=True)
            else:
                save_noise(tmp_path / "d" / name, seed)
        return tmp_path / "d"

    return build


def test_what_systems_leave_behind_is_no_class_and_no_image(make: Callable[..., Path]) -> None:
    junk = ["__MACOSX/bee/0.png", ".hidden/0.png", ".ipynb_checkpoints/0.png", "@eaDir/0.png", "$RECYCLE.BIN/0.png"]
    inner = [
        "bee/.ipynb_checkpoints/0-checkpoint.png",
        "bee/._0.png",
        "bee/.0.png",
        "bee/deep/.git/0.png",
        "bee/@eaDir/0.png",
    ]
    root = make("ant/0.png", "bee/0.png", *junk, *inner)
    for name in (".DS_Store", "ant/Thumbs.db", "ant/desktop.ini", "bee/notes.txt"):
        (root / name).write_text("x")
    assert labels(root) == {"ant/0.png": 0, "bee/0.png": 1}


def test_hidden_files_beside_photographs_are_none(make: Callable[..., Path]) -> None:
    root = make("a.png", "._a.png", ".b.png", "__MACOSX/a.png", ".ipynb_checkpoints/a-checkpoint.png")
    images = xai.load_images(root)
    assert images.ids == ["a.png"] and not images.has_labels


def test_an_empty_class_folder_is_refused_unless_the_classes_are_listed(make: Callable[..., Path]) -> None:
    root = make("ant/0.png", "bee/", "cat/0.png")
    with pytest.raises(
        InputError, match=r"bee: a class folder without images; it is empty: take it away, or list `classes`"
    ):
        xai.load_images(root)
    assert labels(root, classes=["ant", "bee", "cat"]) == {"ant/0.png": 0, "cat/0.png": 2}
    (root / "bee" / "read.me").write_text("x")
    with pytest.raises(InputError, match=r"bee: a class folder without images; it holds read\.me"):
        xai.load_images(root)


def test_a_class_that_one_split_lacks_keeps_its_label_there(make: Callable[..., Path]) -> None:
    root = make("val/ant/0.png", "val/bee/", "val/cat/0.png", "train/bee/1.png")
    assert labels(root, split="val") == {"ant/0.png": 0, "cat/0.png": 2}
    (root / "train" / "bee" / "1.png").unlink()
    with pytest.raises(InputError, match="val/bee: a class folder without images"):
        xai.load_images(root, split="val")


@pytest.mark.parametrize(
    ("names", "order"),
    [(["10", "9", "1"], ["1", "9", "10"]), (["010", "9", "1"], ["1", "9", "010"]), (["10", "9", "x"], ["10", "9", "x"]),
     (["2", "0", "1000", "30"], ["0", "2", "30", "1000"])],
)  # fmt: skip
def test_folders_that_are_numbers_count_as_numbers(
    make: Callable[..., Path], names: list[str], order: list[str]
) -> None:
    root = make(*(f"{name}/0.png" for name in names))
    assert labels(root) == {f"{name}/0.png": label for label, name in enumerate(order)}


def test_splits_are_no_classes(make: Callable[..., Path]) -> None:
    root = make("train/ant/0.png", "val/ant/0.png", "val/bee/0.png")
    with pytest.raises(
        InputError, match=r"d: holds splits \(train, val\), not classes; give split='train', or that folder"
    ):
        xai.load_images(root)
    assert labels(root, split="val") == labels(root / "val") == {"ant/0.png": 0, "bee/0.png": 1}


@pytest.mark.parametrize("names", [["Train", "Test"], ["training", "validation", "extra"], ["test"]])
def test_splits_by_any_name(make: Callable[..., Path], names: list[str]) -> None:
    with pytest.raises(InputError, match="holds splits"):
        xai.load_images(make(*(f"{name}/ant/0.png" for name in names)))


def test_a_train_is_a_class_among_others(make: Callable[..., Path]) -> None:
    root = make("bus/0.png", "car/0.png", "train/0.png")
    assert labels(root) == {"bus/0.png": 0, "car/0.png": 1, "train/0.png": 2}
    root = make("train/0.png", "test/0.png")
    assert labels(root, classes=["bus", "car", "train", "test"])["test/0.png"] == 3


def test_images_beside_folders_of_images_are_refused(make: Callable[..., Path]) -> None:
    with pytest.raises(InputError, match=r"d: 0\.png lies beside folders of images \(ant/\)"):
        xai.load_images(make("0.png", "ant/0.png"))


def test_names_with_spaces_and_signs(make: Callable[..., Path], tmp_path: Path) -> None:
    root = make("golden retriever/0.png", "été ✓/0.png", "a'b/0.png")
    assert labels(root) == {"a'b/0.png": 0, "golden retriever/0.png": 1, "été ✓/0.png": 2}
    path = tmp_path / "classes.txt"
    path.write_text("été ✓\ngolden eagle\ngolden retriever\na'b\n", encoding="utf-8")
    assert labels(root, classes=path) == {"été ✓/0.png": 0, "golden retriever/0.png": 2, "a'b/0.png": 3}
    path.write_text("golden retriever, a dog\nété ✓\ta summer\na'b x\nfish and more\n", encoding="utf-8")
    assert labels(root, classes=path) == {"golden retriever/0.png": 0, "été ✓/0.png": 1, "a'b/0.png": 2}
    assert class_names("folder", root=root, classes=path)[3] == "fish"


@pytest.mark.parametrize(
    "content",
    [b"\xef\xbb\xbfcat\nant\n", b"cat\r\nant\r\n", b"cat  \n\tant \n\n\n", b"cat\rant", "cat\nant\ndé".encode()],
)
def test_lists_of_any_editor_are_read(make: Callable[..., Path], tmp_path: Path, content: bytes) -> None:
    (tmp_path / "classes.txt").write_bytes(content)
    assert labels(make("ant/0.png", "cat/0.png"), classes=str(tmp_path / "classes.txt")) == {
        "cat/0.png": 0,
        "ant/0.png": 1,
    }


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"cat\nant\ncat\n", r"names 'cat' twice \(as 1 and 3\)"),
        (b"cat the cat\nant\ncat the other\n", r"names 'cat' twice \(as 1 and 3\)"),
        (b"cat\n\nant\n", "line 2 is empty"),
        (b"", "line 1 is empty"),
        ("cat\nant\n".encode("utf-16"), "cannot be read as a list of classes"),
        (b"cat\nbee\n", r"ant: .* lists no class of this name"),
    ],
)
def test_faulty_lists_are_refused_by_their_cause(
    make: Callable[..., Path], tmp_path: Path, content: bytes, sentence
) -> None:
    (tmp_path / "classes.txt").write_bytes(content)
    with pytest.raises(InputError, match=sentence):
        xai.load_images(make("ant/0.png", "cat/0.png"), classes=tmp_path / "classes.txt")


@pytest.mark.parametrize(
    ("given", "sentence"),
    [(["ant", "cat", "ant"], "'ant' twice"), ({"ant": 0}, "a list of folder names"), (3, "a list of folder names")],
)
def test_faulty_lists_by_hand(make: Callable[..., Path], given: object, sentence: str) -> None:
    with pytest.raises(InputError, match=f"classes: .*{sentence}"):
        xai.load_images(make("ant/0.png", "cat/0.png"), classes=given)


def test_imagenets_classes_by_either_name(make: Callable[..., Path]) -> None:
    root = make("n01440764/0.png", "golden retriever/0.png")
    images = xai.load_images(root, side=8, classes="imagenet")
    assert dict(zip(images.ids, images.labels.tolist(), strict=True)) == {
        "n01440764/0.png": 0,
        "golden retriever/0.png": 207,
    }
    assert images.class_names == class_names("imagenet") == class_names("folder", root=root, classes="imagenet")
    with pytest.raises(
        InputError, match=r"golden retreiver: imagenet lists no class .* did you mean 'golden retriever'"
    ):
        xai.load_images(make("golden retreiver/0.png"), classes="imagenet")


def test_links_in_a_circle_end_and_links_elsewhere_are_followed(make: Callable[..., Path], tmp_path: Path) -> None:
    root = make("ant/0.png", "bee/in/0.png")
    save_noise(tmp_path / "elsewhere" / "1.png", 7)
    (root / "ant" / "self").symlink_to(root / "ant")
    (root / "ant" / "up").symlink_to(root)
    (root / "ant" / "other").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "back").symlink_to(root / "ant")
    (root / "cat").symlink_to(tmp_path / "elsewhere")
    assert labels(root) == {
        "ant/0.png": 0, "ant/other/1.png": 0, "bee/in/0.png": 1, "cat/1.png": 2, "cat/back/0.png": 2,
    }  # fmt: skip
    (root / "bee" / "2.png").symlink_to("gone.png")
    with pytest.raises(InputError, match=r"bee/2\.png: no such image file"):
        xai.load_images(root)


def test_pictures_that_are_not_read_are_named_and_not_passed_over(make: Callable[..., Path]) -> None:
    root = make("ant/0.png", "ant/1.gif", "ant/2.JPG")
    assert len(xai.load_images(root, side=8)) == 3
    (root / "ant" / "3.heic").write_bytes(b"a photograph of a telephone")
    with pytest.raises(InputError, match=r"ant/3\.heic: not a complete image file"):
        xai.load_images(root)


def test_a_list_in_utf8_is_read_in_any_locale(make: Callable[..., Path], tmp_path: Path) -> None:
    root = make("ant/0.png", "été/0.png")
    (tmp_path / "classes.txt").write_text("été\nant\n", encoding="utf-8")
    program = (
        "import sys, xailib; b = xailib.load_images(sys.argv[1].encode('utf-8', 'surrogateescape').decode('ascii'), side=8);"
        " print(ascii(b.ids))"
    )
    other = "import sys; from xailib.datasets.files import read_classes; from pathlib import Path;"
    other += " print(ascii(read_classes(Path(sys.argv[2]))))"
    env = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    words = [str(root), str(tmp_path / "classes.txt")]
    commands = [[sys.executable, "-c", code, *words] for code in (program, other)]
    run = [subprocess.run(command, env=env, capture_output=True, text=True) for command in commands]
    assert [part.returncode for part in run] == [0, 0], [part.stderr for part in run]
    assert run[0].stdout.split() == ascii(xai.load_images(root, side=8).ids).split()
    assert run[1].stdout.strip() == ascii(["été", "ant"])
