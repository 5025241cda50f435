"""A planted study for the explorer: real pictograms, made-up maps and scores."""

import sys
from pathlib import Path

import numpy as np
import pytest

import xailib as xai
from xailib.analysis.frames import Frames

sys.path.insert(0, str(Path(__file__).parents[1] / "analysis"))
import synthetic

IMAGES = 5


@pytest.fixture(scope="session")
def planted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Frames]:
    """A results folder of a vanilla ResNet and its robust twin, and the frames that were written there."""
    images = xai.load_images("pictograms", limit=IMAGES)
    names = ["mini_resnet_vanilla", "mini_resnet_robust"]
    frames = synthetic.only(synthetic.study(ids=images.ids, architectures=("mini_resnet",)), names)
    folder = synthetic.write(frames, tmp_path_factory.mktemp("study") / "planted", side=64)
    write_curves(folder, frames)
    (folder / "study.yaml").write_text(
        "study: planted\ndataset: pictograms\nsplit: test\nlimit: 5\nmodels: [mini_resnet_vanilla, mini_resnet_robust]\n"
        "methods: all\nmetrics: [deletion]\n"
    )
    return folder, frames


def write_curves(folder: Path, frames: Frames) -> None:
    """Curves of one slice: straight lines from 1 down to the image's place."""
    ends = np.linspace(0, 0.5, len(frames.images))
    lines = np.stack([np.linspace(1, end, 29) for end in ends]).astype(np.float16)
    path = folder / "mini_resnet_vanilla" / "rise" / "curves.npz"
    np.savez_compressed(path, ids=np.array(frames.images), deletion=lines, made_from=np.array("null"))
