"""The paper's twelve networks in a study: laid out without data, weights or a network connection."""

import re
from pathlib import Path

import yaml
from PIL import Image

from tests.models.test_imagenet_architectures import TWELVE
from tests.world import World
from xailib.workflow import study as workflow
from xailib.workflow.rules import fetched as fetched_by

STUDY = {"study": "twelve", "dataset": "imagenet", "root": "/nowhere/imagenet", "split": "val", "metrics": "all"}
STUDY |= {"models": [*TWELVE, "efficientnet_b0_advprop"], "methods": ["gradient", "cam", "gradcam"]}


def test_the_grid_knows_what_each_network_offers(tmp_path: Path) -> None:
    (tmp_path / "twelve.yaml").write_text(yaml.safe_dump(STUDY))
    study = workflow.open_study(tmp_path / "twelve.yaml")
    assert [pair[:2] for pair in study.skipped] == [("alexnet_vanilla", "cam"), ("alexnet_robust", "cam")]
    assert len(study.pairs) == 13 * 3 - 2
    fetched = [model for model in study.models if fetched_by(model)]
    assert len(fetched) == 5 + 3 + 1 and "googlenet_robust" not in fetched


def test_weights_are_fetched_and_probed_before_a_network_is_explained(tmp_path: Path) -> None:
    world = World(tmp_path, "twelve")
    (tmp_path / "val" / "n01440764").mkdir(parents=True)
    Image.new("RGB", (40, 40)).save(tmp_path / "val" / "n01440764" / "ILSVRC2012_val_00000293.JPEG")
    study = STUDY | {"root": str(tmp_path), "shifts": "none", "only_correct": False}
    (world.root / "params" / "studies" / "twelve.yaml").write_text(yaml.safe_dump(study))
    targets = [f"results/twelve/{slice}/maps.npz" for slice in ("alexnet_vanilla/gradcam", "googlenet_robust/cam")]
    status, said = world.snakemake("-n", "--", *targets)
    jobs = dict(re.findall(r"^(fetch|probe|predict|attribute)\s+(\d+)$", said, flags=re.M))
    assert status == 0 and jobs == {"fetch": "1", "probe": "2", "attribute": "2"}, said
