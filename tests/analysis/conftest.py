import sys
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import pytest

matplotlib.use("Agg")
sys.path.insert(0, str(Path(__file__).parent))

import synthetic


@pytest.fixture(autouse=True)
def _figures_closed():
    """The cells of final notebooks leave theirs open, as a kernel does not."""
    yield
    plt.close("all")


@pytest.fixture(scope="session")
def study():
    """Twelve networks with the paper's effects planted."""
    return synthetic.study()


@pytest.fixture(scope="session")
def small():
    """Two unrelated vanilla networks, as in a study of downloaded weights."""
    frames = synthetic.study(images=12, architectures=("mini_alexnet", "mini_resnet"))
    keep = ["mini_alexnet_vanilla", "mini_resnet_vanilla"]
    return synthetic.only(frames, keep)


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """A results folder of a small made-up study about the first pictograms."""
    from xailib.datasets import load_images

    ids = load_images("pictograms", split="test", limit=8, seed=0).ids
    return synthetic.write(synthetic.study(ids=ids), tmp_path_factory.mktemp("results") / "pictograms")
