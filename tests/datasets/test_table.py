"""Images that a CSV lists: labels, boxes on pictures of any turn, and what is refused."""

import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from xailib import load_images
from xailib.datasets import class_names, open_images
from xailib.errors import InputError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, size in (("a.png", (40, 20)), ("b.png", (20, 20)), ("c.png", (20, 20))):
        Image.new("RGB", size, "red").save(tmp_path / name)
    return tmp_path


def table(folder: Path, *lines: str) -> Path:
    path = folder / "table.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_labels_and_boxes(folder: Path) -> None:
    path = table(
        folder, "file,label,box", 'a.png,dog,"[0, 0, 20, 10]"', "a.png,dog,20 10 40 20", "b.png,cat,", "c.png,dog,"
    )
    images = load_images("table", root=path, side=32)
    found = dict(zip(images.ids, zip(images.labels.tolist(), images.boxes, strict=True), strict=True))
    assert images.class_names == ["cat", "dog"] == class_names("table", root=path)
    assert {name: label for name, (label, _) in found.items()} == {"a.png": 1, "b.png": 0, "c.png": 1}
    assert found["a.png"][1].tolist() == [[0, 0, 16, 16], [16, 16, 32, 32]]
    assert len(found["b.png"][1]) == 0


def test_a_table_by_its_path_alone(folder: Path) -> None:
    path = table(folder, "file,label", "a.png,dog", "b.png,cat", "c.png,dog")
    mine, same = load_images(str(path), limit=2), load_images("table", root=path, limit=2)
    assert mine.ids == same.ids and mine.labels.tolist() == same.labels.tolist() and mine.class_names == ["cat", "dog"]
    with pytest.raises(InputError, match=r"root: '.*' is one folder too many"):
        load_images(path, root=folder)


def test_without_labels(folder: Path) -> None:
    images = load_images("table", root=table(folder, "file", "a.png", "b.png"))
    assert len(images) == 2 and not images.has_labels and images.class_names is None


def test_without_labels_nothing_is_relabelled(folder: Path) -> None:
    images = load_images("table", root=table(folder, "file", "a.png"), classes=["cat", "dog"], relabelled=[5, 7])
    assert images.labels.tolist() == [-1]


def test_numbers_are_counted_as_numbers(folder: Path) -> None:
    path = table(folder, "file,label", "a.png,10", "b.png,9", "c.png,10")
    assert class_names("table", root=path) == ["9", "10"]
    assert class_names("table", root=path, classes=["10", "9"]) == ["10", "9"]


def test_numbers_that_are_equal_have_one_order_in_every_process(
    folder: Path, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = table(folder, "file,label", "a.png,1", "b.png,01", "c.png,2")
    monkeypatch.chdir(repository)
    script = "import sys; from xailib.datasets import table; print(table.table_class_names(table.Path(sys.argv[1])))"
    for seed in ("5", "6", "8"):
        monkeypatch.setenv("PYTHONHASHSEED", seed)
        found = subprocess.run([sys.executable, "-c", script, path], capture_output=True, text=True, check=True)
        assert found.stdout.strip() == "['01', '1', '2']", seed


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_boxes_lie_on_the_picture_as_viewers_show_it(folder: Path, suffix: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    on_side = orientation > 4  # 40 x 20 stored, 20 x 40 seen
    Image.new("RGB", (40, 20), "red").save(folder / f"turned{suffix}", exif=exif)
    path = table(folder, "file,label,box", f"turned{suffix},dog,{'0 20 20 40' if on_side else '0 10 40 20'}")
    assert load_images("table", root=path, side=32).boxes[0].tolist() == [[0, 16, 32, 32]]


def test_columns_in_any_case_and_files_spelt_in_two_ways(folder: Path) -> None:
    path = table(
        folder, " File,LABEL,Box,score", "a.png,dog,0 0 20 10,1", "./a.png,dog,20 10 40 20,2", "././b.png,cat,,"
    )
    images = load_images("table", root=path, side=32)
    assert {id: len(boxes) for id, boxes in zip(images.ids, images.boxes, strict=True)} == {"a.png": 2, "b.png": 0}
    with pytest.raises(InputError, match=r"line 3: 'a.png' has the label 'cat', and 'dog' before"):
        open_images("table", root=table(folder, "file,label", "./a.png,dog", "a.png,cat"))


@pytest.mark.parametrize("column", ["class", "Category", "class_name", "labels", "category_id", "target"])
def test_a_label_under_another_name(folder: Path, column: str) -> None:
    said = f"and no label; if '{column.casefold()}' is the label, write label for it, or take it out"
    with pytest.raises(InputError, match=said):
        open_images("table", root=table(folder, f"file,{column}", "a.png,dog"))
    assert class_names("table", root=table(folder, f"file,label,{column}", "a.png,dog,cat")) == ["dog"]


@pytest.mark.parametrize("columns", ["xmin,ymin,xmax,ymax", "x1,y1,x2,y2", "bbox", "bbox_x1", "Bounding Box", "boxes"])
def test_a_box_under_another_name(folder: Path, columns: str) -> None:
    with pytest.raises(InputError, match=r"and no box; if '.*' is the box, write the four numbers in one column box"):
        open_images("table", root=table(folder, f"file,label,{columns}", "a.png,dog,1,2,3,4"))


@pytest.mark.parametrize("columns", ["width,height", "split,score", "depicts,laptop,x", "author,top_k"])
def test_columns_that_are_none_of_ours_are_passed_over(folder: Path, columns: str) -> None:
    assert len(open_images("table", root=table(folder, f"file,{columns}", "a.png,1,2"))) == 1


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (("name,label", "a.png,dog"), "must name the columns file, label, box; it has name, label"),
        (("path,label", "a.png,dog"), "it has path, label, and no file; if 'path' is the file, write file for it"),
        (("id,label", "a.png,dog"), "it has id, label, and no file"),
        (("file,label,Label", "a.png,dog,cat"), "names the column label twice"),
        (("file,label",), "lists no image"),
        (("file,label", ",dog"), "line 2 names no file"),
        (("file", '"a.png', *["c.png"] * 99), "which is not there"),
        (("file,label", "z.png,dog"), "names 'z.png', which is not there"),
        (("file,label", "a.png,dog", "b.png,"), "'b.png' has no label, but others have"),
        (("file,label", "a.png,dog", "a.png,cat"), "line 3: 'a.png' has the label 'cat', and 'dog' before"),
        (("file,label,box", "a.png,dog,1 2 3"), "'1 2 3' is no box; write x1 y1 x2 y2 in pixels"),
        (("file,label,box", "a.png,dog,0 0 50 10"), "is not x1 < x2, y1 < y2 within the picture's 40 x 20 pixels"),
        (
            ("file,label,box", "a.png,dog,0.25 0.25 0.5 1"),
            "'0.25 0.25 0.5 1' lies within 0 and 1: shares of the sides?",
        ),
        (("file,label,box", "table.csv,dog,0 0 5 5"), "table.csv: not a complete image file"),
    ],
)
def test_refusals(folder: Path, lines: tuple[str, ...], said: str) -> None:
    with pytest.raises(InputError) as error:
        open_images("table", root=table(folder, *lines))
    assert said in str(error.value)


def test_a_label_that_is_no_class(folder: Path) -> None:
    path = table(folder, "file,label", "a.png,dog", "b.png,cat")
    with pytest.raises(InputError, match=r"'b.png': classes has no 'cat'; did you mean 'cats'\?"):
        open_images("table", root=path, classes=["dog", "cats"])


@pytest.mark.parametrize("classes", [3, "dog", [0, 1]])
def test_classes_that_are_no_list_of_text(folder: Path, classes: object) -> None:
    with pytest.raises(
        InputError, match=r"classes: .* is no list of labels as they are written in .*: text, even of num"
    ):
        load_images("table", root=table(folder, "file,label", "a.png,0", "b.png,1"), classes=classes)


def test_a_cell_that_is_too_long(folder: Path) -> None:
    with pytest.raises(InputError, match="cannot be read as CSV"):
        open_images("table", root=table(folder, "file,mask", "a.png," + "0 " * 70000))


def test_a_quote_that_never_closes(folder: Path) -> None:
    with pytest.raises(InputError, match=r"cannot be read as CSV .*; close all quotes"):
        open_images("table", root=table(folder, '"file,label', *["a.png,dog"] * 20_000))


def test_no_such_table(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read as a table of images"):
        open_images("table", root=tmp_path / "none.csv")
