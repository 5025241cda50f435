"""Small image folders in the layouts that the data sets read, and the real ImageNet sample where it is there."""

import os
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

SYNSETS = ["n01440764 tench, Tinca tinca", "n01443537 goldfish", "n01484850 great white shark"]
# image number -> (class, annotated size, boxes); the files themselves are 40 x 40, as resized copies of ImageNet are
TRUTH = {
    1: ("n01440764", (400, 200), [(100, 50, 199, 149)]),
    2: ("n01443537", (400, 200), [(0, 0, 399, 199)]),
    3: ("n01484850", (100, 100), [(10, 20, 29, 39), (50, 50, 99, 99)]),
    4: ("n01440764", (80, 40), [(0, 0, 7, 3)]),
    5: ("n01443537", (40, 40), [(4, 4, 11, 11)]),
}


def annotation(size: tuple[int, int], boxes: list[tuple[int, int, int, int]], synset: str) -> str:
    """The XML of one ImageNet image."""
    objects = "".join(
        f"<object><name>{synset}</name><bndbox><xmin>{x1}</xmin><ymin>{y1}</ymin><xmax>{x2}</xmax><ymax>{y2}</ymax>"
        "</bndbox></object>"
        for x1, y1, x2, y2 in boxes
    )
    return f"<annotation><size><width>{size[0]}</width><height>{size[1]}</height></size>{objects}</annotation>"


def save_noise(path: Path, seed: int, size: tuple[int, int] = (40, 40)) -> None:
    """Write a small random image."""
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(noise).save(path)


@pytest.fixture
def kaggle(tmp_path: Path) -> Path:
    """An ImageNet folder of five images in the Kaggle layout."""
    top = tmp_path / "ILSVRC"
    rows = ["ImageId,PredictionString"]
    for number, (synset, size, boxes) in TRUTH.items():
        id = f"ILSVRC2012_val_{number:08d}"
        save_noise(top / "Data/CLS-LOC/val" / f"{id}.JPEG", number)
        xml = top / "Annotations/CLS-LOC/val" / f"{id}.xml"
        xml.parent.mkdir(parents=True, exist_ok=True)
        xml.write_text(annotation(size, boxes, synset))
        rows.append(f"{id},{synset} " + " ".join(str(v) for box in boxes for v in box) + " ")
    (tmp_path / "LOC_val_solution.csv").write_text("\n".join(rows) + "\n")
    (tmp_path / "LOC_synset_mapping.txt").write_text("\n".join(SYNSETS) + "\n")
    return tmp_path


@pytest.fixture
def rewrite(kaggle: Path) -> Callable[..., Path]:
    """Replace the XML of image 1 by one with another size, other boxes or another class."""
    path = kaggle / "ILSVRC/Annotations/CLS-LOC/val/ILSVRC2012_val_00000001.xml"

    def write(
        boxes: list[tuple[int, int, int, int]], size: tuple[int, int] = (400, 200), synset: str = "n01440764"
    ) -> Path:
        path.write_text(annotation(size, boxes, synset))
        return path

    return write


@pytest.fixture
def classes_folder(tmp_path: Path) -> Path:
    """Three class folders, of two, one and two images."""
    for seed, name in enumerate(["cat/a.png", "cat/b.jpg", "ant/c.png", "dog/deep/d.png", "dog/e.png"]):
        save_noise(tmp_path / "images" / name, seed)
    return tmp_path / "images"


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The git-ignored folder in which real data sets may lie, unpacked."""
    return Path(__file__).parents[2] / "data"


@pytest.fixture(scope="session")
def imagenet_sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The 650 real validation images, unpacked; the test is skipped where they are not at hand."""
    data = Path(os.environ.get("XAILIB_TEST_DATA", Path(__file__).parents[3] / "shared" / "data"))
    archive = data / "imagenet-val-650.tar"
    if not archive.is_file():
        pytest.skip("needs imagenet-val-650.tar; set XAILIB_TEST_DATA to its folder")
    folder = tmp_path_factory.mktemp("imagenet")
    with tarfile.open(archive) as tar:
        tar.extractall(folder, filter="data")
    return folder
