"""ImageNet in class folders and in a flat folder: the same images, labels and boxes as in Kaggle's layout."""

import random
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.io import savemat

import xailib as xai
from tests.datasets.conftest import TRUTH, save_noise
from xailib.datasets import open_images
from xailib.datasets.imagenet.labels import wordnet_ids
from xailib.datasets.items import Images
from xailib.errors import InputError
from xailib.images import ImageBatch

NAMES = {number: f"ILSVRC2012_val_{number:08d}" for number in TRUTH}


@pytest.fixture
def torchvision_layout(kaggle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The images of `kaggle` in `val/WNID/`, without boxes."""
    root = tmp_path_factory.mktemp("torchvision")
    for number, (synset, _, _) in TRUTH.items():
        (root / "val" / synset).mkdir(parents=True, exist_ok=True)
        shutil.copy(kaggle / f"ILSVRC/Data/CLS-LOC/val/{NAMES[number]}.JPEG", root / "val" / synset)
    return root


@pytest.fixture
def flat(kaggle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The images of `kaggle` in one folder, without labels or boxes."""
    return Path(shutil.copytree(kaggle / "ILSVRC/Data/CLS-LOC/val", tmp_path_factory.mktemp("flat") / "images"))


def same(first: ImageBatch, second: ImageBatch) -> bool:
    boxes = all(torch.equal(a, b) for a, b in zip(first.boxes, second.boxes, strict=True))
    return first.ids == second.ids and torch.equal(first.labels, second.labels) and boxes


def ground_truth(folder: Path) -> dict[int, str]:
    """Write the devkit's labels for all 50,000 numbers in an order of ids that is not that of labels; return the ids."""
    wnids = wordnet_ids()
    random.Random(1).shuffle(wnids)
    ids = dict(enumerate(wnids, start=1))
    number_of = {wnid: number for number, wnid in ids.items()}
    lines = [str(number_of[TRUTH[n][0]]) if n in TRUTH else "1" for n in range(1, 50_001)]
    (folder / "ILSVRC2012_validation_ground_truth.txt").write_text("\n".join(lines) + "\n")
    return ids


def write_meta(path: Path, ids: dict[int, str]) -> None:
    """The devkit's meta.mat: 1,000 synsets without children, and some with, which count on."""
    rows = [*ids.items(), *((1000 + i, f"n9999999{i}") for i in range(1, 6))]
    synsets = np.zeros(
        (len(rows), 1), dtype=[("ILSVRC2012_ID", "O"), ("WNID", "O"), ("words", "O"), ("num_children", "O")]
    )
    for i, (number, wnid) in enumerate(rows):
        synsets[i, 0] = (number, wnid, "a thing, another", 0 if number <= 1000 else 7)
    savemat(path, {"synsets": synsets})


@pytest.mark.parametrize(
    "place",
    ["Annotations/CLS-LOC/val", "Annotations/val", "ILSVRC2012_bbox_val_v3/val", "ILSVRC2012_bbox_val_v3", "val"],
)
def test_class_folders_with_boxes_are_kaggles_images(kaggle: Path, torchvision_layout: Path, place: str) -> None:
    bare = xai.load_images("imagenet", root=torchvision_layout, side=16)
    assert all(len(boxes) == 0 for boxes in bare.boxes)
    shutil.copytree(kaggle / "ILSVRC/Annotations/CLS-LOC/val", torchvision_layout / place, dirs_exist_ok=True)
    expected = xai.load_images("imagenet", root=kaggle, side=16)
    found = xai.load_images("imagenet", root=torchvision_layout, side=16)
    assert same(found, expected) and torch.equal(found.pixels, expected.pixels)
    few = xai.load_images("imagenet", root=torchvision_layout, side=16, one_box=True, max_box_area=0.5)
    assert (
        same(few, xai.load_images("imagenet", root=kaggle, side=16, one_box=True, max_box_area=0.5)) and len(few) == 3
    )
    next((torchvision_layout / place).glob("*2.xml")).unlink()
    with pytest.raises(InputError, match=r"00000002\.xml: no such annotation; .*bad_boxes: drop"):
        xai.load_images("imagenet", root=torchvision_layout, side=16)


def test_class_folders_inside_kaggles_layout_keep_their_boxes(kaggle: Path) -> None:
    expected = xai.load_images("imagenet", root=kaggle, side=16)
    folder = kaggle / "ILSVRC/Data/CLS-LOC/val"
    for number, (synset, _, _) in TRUTH.items():
        (folder / synset).mkdir(exist_ok=True)
        (folder / f"{NAMES[number]}.JPEG").rename(folder / synset / f"{NAMES[number]}.JPEG")
    assert same(xai.load_images("imagenet", root=kaggle, side=16), expected)


def test_a_filter_by_boxes_needs_boxes(torchvision_layout: Path) -> None:
    with pytest.raises(
        InputError, match=r"one_box and max_box_area need the images' boxes; looked for \*\.xml in .*bbox_val_v3"
    ):
        xai.load_images("imagenet", root=torchvision_layout, one_box=True)
    with pytest.raises(InputError, match="need the images' boxes"):
        xai.load_images("imagenet", root=torchvision_layout, max_box_area=0.5)


def test_class_folders_are_labelled_as_torchvision_does(tmp_path: Path) -> None:
    from torchvision.datasets import ImageFolder

    save_noise(tmp_path / "noise.JPEG", 0)
    for number, wnid in enumerate(reversed(wordnet_ids()), start=1):
        (tmp_path / "val" / wnid).mkdir(parents=True)
        (tmp_path / "val" / wnid / f"ILSVRC2012_val_{number:08d}.JPEG").symlink_to(tmp_path / "noise.JPEG")
    truth = {Path(path).stem: label for path, label in ImageFolder(tmp_path / "val").imgs}
    found = open_images("imagenet", root=tmp_path, side=8)
    assert isinstance(found, Images) and {item.id: item.label for item in found.items} == truth and len(truth) == 1000
    # A part of the classes keeps its labels: they are known by name, not counted.
    for wnid in wordnet_ids()[:7]:
        shutil.rmtree(tmp_path / "val" / wnid)
    part = open_images("imagenet", root=tmp_path, side=8)
    assert isinstance(part, Images) and all(truth[item.id] == item.label for item in part.items) and len(part) == 993


def test_one_image_in_two_class_folders_is_refused(torchvision_layout: Path) -> None:
    shutil.copy(torchvision_layout / "val/n01440764" / f"{NAMES[1]}.JPEG", torchvision_layout / "val/n01484850")
    with pytest.raises(InputError, match=r"n01484850/.*0001\.JPEG: the same image lies in class folder n01440764 too"):
        xai.load_images("imagenet", root=torchvision_layout)


@pytest.mark.parametrize("blurred", ["val_blurred", "ILSVRC2012_img_val"])
def test_other_names_of_the_folder(torchvision_layout: Path, blurred: str) -> None:
    expected = xai.load_images("imagenet", root=torchvision_layout, side=16)
    (torchvision_layout / "val").rename(torchvision_layout / blurred)
    assert same(xai.load_images("imagenet", root=torchvision_layout, side=16), expected)
    # Beside the sharp images, the blurred ones are not taken.
    shutil.copytree(torchvision_layout / blurred, torchvision_layout / "val")
    save_noise(torchvision_layout / blurred / "n01440764" / f"{NAMES[1]}.JPEG", 77)
    assert torch.equal(xai.load_images("imagenet", root=torchvision_layout, side=16).pixels, expected.pixels)


def test_blurred_training_folder(tmp_path: Path) -> None:
    save_noise(tmp_path / "train_blurred/n01443537/n01443537_2.jpg", 0)
    assert xai.load_images("imagenet", root=tmp_path, split="train", side=16).labels.tolist() == [1]


@pytest.mark.parametrize("home", ["", "ILSVRC2012_devkit_t12/data"])
def test_flat_folder_with_the_devkits_labels(kaggle: Path, flat: Path, home: str) -> None:
    """The devkit's ids are not labels: read as labels, or as labels plus one, they give other classes."""
    (flat / home).mkdir(parents=True, exist_ok=True)
    ids = ground_truth(flat / home)
    assert all(ids[label + 1] != wnid for label, wnid in enumerate(wordnet_ids()[:3]))
    with pytest.raises(InputError, match=r"ground_truth\.txt: holds ILSVRC2012_IDs, which are not labels, .*meta\.mat"):
        xai.load_images("imagenet", root=flat)
    (flat / home / "meta.bin").write_bytes(b"")
    with pytest.raises(InputError, match=r"meta\.bin is a pickle, which is not read"):
        xai.load_images("imagenet", root=flat)
    write_meta(flat / home / "meta.mat", ids)
    shutil.copytree(kaggle / "ILSVRC/Annotations/CLS-LOC/val", flat / "Annotations/CLS-LOC/val")
    assert same(xai.load_images("imagenet", root=flat, side=16), xai.load_images("imagenet", root=kaggle, side=16))


def test_a_flat_folder_with_what_systems_leave_behind_and_an_image_twice(kaggle: Path, flat: Path) -> None:
    root, val = flat.parent, flat.rename(flat.parent / "val")
    rows = [f"{NAMES[number]}.JPEG {synset}" for number, (synset, _, _) in TRUTH.items()]
    (root / "val_labels.txt").write_text("\n".join(rows))
    (val / "@eaDir").mkdir()
    found = xai.load_images("imagenet", root=root, side=16)
    assert found.ids == xai.load_images("imagenet", root=kaggle, side=16).ids
    save_noise(val / f"{NAMES[1]}.png", 0)
    with pytest.raises(InputError, match=r"\.JPEG: ILSVRC2012_val_00000001\.png has the same name but for its suffix"):
        xai.load_images("imagenet", root=root)


def test_list_of_synsets_in_text_and_faulty_ones(kaggle: Path, flat: Path) -> None:
    ids = ground_truth(flat)
    rows = [f"{number} {wnid} a thing" for number, wnid in ids.items()]
    (flat / "meta.txt").write_text("\n".join(["ILSVRC2012_ID WNID words", *rows]))
    expected = xai.load_images("imagenet", root=kaggle, side=16)
    found = xai.load_images("imagenet", root=flat, side=16)
    assert found.ids == expected.ids and torch.equal(found.labels, expected.labels)
    (flat / "meta.txt").write_text("\n".join(rows[:-1]))
    with pytest.raises(InputError, match=r"meta\.txt: gives a WordNet id to 999 of the ILSVRC2012_IDs"):
        xai.load_images("imagenet", root=flat)
    (flat / "meta.mat").write_bytes(b"MATLAB 7.3 MAT-file" + bytes(200))
    with pytest.raises(InputError, match=r"meta\.mat: cannot be read as the devkit's list of synsets"):
        xai.load_images("imagenet", root=flat)


def test_ground_truth_of_another_length(flat: Path) -> None:
    write_meta(flat / "meta.mat", ground_truth(flat))
    table = flat / "ILSVRC2012_validation_ground_truth.txt"
    lines = table.read_text().splitlines()
    table.write_text("\n".join(lines[:-1]))
    with pytest.raises(InputError, match=r"ground_truth\.txt: has 49999 lines, not one for each of the 50000"):
        xai.load_images("imagenet", root=flat)
    table.write_text("\n".join(["0", *lines[1:]]))
    with pytest.raises(InputError, match=r"ground_truth\.txt: '0' is no ILSVRC2012_ID from 1 to 1000"):
        xai.load_images("imagenet", root=flat)


@pytest.mark.parametrize("form", ["wnid", "label", "comma", "ordered", "solution"])
def test_flat_folder_with_a_list_of_labels(kaggle: Path, flat: Path, form: str) -> None:
    wnids = {number: truth[0] for number, truth in TRUTH.items()}
    label = {wnid: number for number, wnid in enumerate(wordnet_ids())}
    rows = {
        "wnid": [f"{NAMES[n]}.JPEG {wnid}" for n, wnid in wnids.items()],
        "label": [f"{NAMES[n]}.JPEG {label[wnid]}" for n, wnid in wnids.items()],
        "comma": [f"{NAMES[n]},{wnid}" for n, wnid in wnids.items()],
        "ordered": [wnids.get(n, "n01440764") for n in range(1, 50_001)],
    }
    if form == "solution":
        shutil.copy(kaggle / "LOC_val_solution.csv", flat)
    else:
        (flat / "val_labels.txt").write_text("\n".join(rows[form]) + "\n")
    expected = xai.load_images("imagenet", root=kaggle, side=16)
    found = xai.load_images("imagenet", root=flat, side=16)
    assert found.ids == expected.ids and torch.equal(found.labels, expected.labels)
    assert all(len(boxes) == 0 for boxes in found.boxes)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("1\n2\n", "'1' is no WordNet id; bare numbers could be labels or ILSVRC2012_IDs"),
        ("n01440764\n" * 3, "has 3 lines, not one for each of the 50000"),
        (f"{NAMES[1]}.JPEG 1000\n", "is not 'FILE CLASS' with a WordNet id or a label 0 to 999"),
        (f"{NAMES[1]}.JPEG 0\n", r"no row for ILSVRC2012_val_00000002\.JPEG"),
        (
            "".join(f"{name} n00000001\n" for name in NAMES.values()),
            "has class 'n00000001', which ImageNet does not list",
        ),
        ("", "has 0 lines"),
    ],
)
def test_faulty_list_of_labels(flat: Path, text: str, sentence: str) -> None:
    (flat / "val_labels.txt").write_text(text)
    with pytest.raises(InputError, match=rf"val_labels\.txt: {sentence}" if "row for" in sentence else sentence):
        xai.load_images("imagenet", root=flat)


def test_what_was_looked_for_is_told(flat: Path, tmp_path: Path) -> None:
    looked = r"no labels: looked for LOC_val_solution\.csv, val_labels\.txt or .*ground_truth\.txt with meta\.mat .*holds ILSVRC"
    with pytest.raises(InputError, match=looked):
        xai.load_images("imagenet", root=flat)
    with pytest.raises(
        InputError, match=r"looked for ILSVRC2012_val_\*\.JPEG there and for val_blurred, ILSVRC2012_img_val, "
    ):
        xai.load_images("imagenet", root=tmp_path / "images")


@pytest.mark.parametrize("header", [True, False])
@pytest.mark.parametrize("name", ["{}", "{}.JPEG", "val/{}.JPEG", "{}.jpg "])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_kaggles_table_with_or_without_header_and_suffixes(kaggle: Path, header: bool, name: str, mark: str) -> None:
    expected = xai.load_images("imagenet", root=kaggle, side=16)
    table = kaggle / "LOC_val_solution.csv"
    rows = [row.split(",") for row in table.read_text().splitlines()]
    rows = [rows[0]] * header + [[name.format(id), *rest] for id, *rest in rows[1:]]
    table.write_text(mark + "\r\n".join(",".join(row) for row in rows), encoding="utf-8", newline="")
    assert same(xai.load_images("imagenet", root=kaggle, side=16), expected)


@pytest.mark.parametrize("suffix", ["", ".JPEG"])
def test_an_image_of_two_classes_is_refused_and_one_told_twice_is_not(kaggle: Path, suffix: str) -> None:
    table = kaggle / "LOC_val_solution.csv"
    text = table.read_text()
    table.write_text(text + f"{NAMES[1]}{suffix},{TRUTH[1][0]} 1 1 2 2\n")
    assert len(xai.load_images("imagenet", root=kaggle, side=16)) == 5
    table.write_text(text + f"{NAMES[1]}{suffix},n01443537 1 1 2 2\n")
    with pytest.raises(InputError, match=f"gives '{NAMES[1]}' two classes, n01440764 and n01443537"):
        xai.load_images("imagenet", root=kaggle, side=16)


def test_a_mapping_that_names_a_class_twice_is_refused(kaggle: Path) -> None:
    mapping = kaggle / "LOC_synset_mapping.txt"
    text = mapping.read_text()
    mapping.write_text("\ufeff" + text.replace("\n", "\r\n"), encoding="utf-8", newline="")
    assert len(xai.load_images("imagenet", root=kaggle, side=16)) == 5
    mapping.write_text(text + "n01440764 tench\n")
    with pytest.raises(InputError, match=r"names 'n01440764' twice \(as 1 and 4\)"):
        xai.load_images("imagenet", root=kaggle, side=16)


def test_a_picture_is_turned_only_where_its_boxes_were_drawn_on_the_turned_one(kaggle: Path, rewrite) -> None:
    """As torchvision, ImageNet is read without its EXIF orientation; but boxes and pixels must fit each other."""
    path = kaggle / f"ILSVRC/Data/CLS-LOC/val/{NAMES[1]}.JPEG"
    turned = Image.Exif()
    turned[0x0112] = 6
    array = np.zeros((40, 60, 3), dtype=np.uint8)
    array[5:15, 20:50] = 255  # turned by 90 degrees clockwise: x 25 to 35, y 20 to 50
    Image.fromarray(array).save(path, exif=turned, quality=95)
    for size, box in (((60, 40), (20, 5, 49, 14)), ((40, 60), (25, 20, 34, 49))):
        rewrite([box], size)
        images = xai.load_images("imagenet", root=kaggle, side=60)
        row = images.ids.index(NAMES[1])
        bright = images.pixels[row].mean(0) > 0.5
        assert (bright & images.masks[row]).sum() / (bright | images.masks[row]).sum() > 0.9
