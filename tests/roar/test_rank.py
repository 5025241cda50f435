"""Rankings: the same for any chunk, whole or not at all, of the class the network predicts or of the label."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.roar.planted import CPU, LEVELS, SIDE, store
from xailib import params, results
from xailib.errors import InputError
from xailib.models.model import Model
from xailib.roar import rank as module
from xailib.roar.rank import rank
from xailib.roar.removal import replaced, unpack
from xailib.roar.retrain import as_model, new_network
from xailib.roar.store import Store
from xailib.roar.view import open_ranking

IDS = ("gradient", "random", "vargrad_gradient")


@pytest.fixture(scope="module")
def images() -> Store:
    return store(20, 14)


@pytest.fixture(scope="module")
def model(images: Store) -> Model:
    return as_model(new_network("roar_cnn", 2, 0), "roar_cnn", images, CPU)


def run(folder: Path, images: Store, model: Model, ids: tuple[str, ...] = IDS, **options: object) -> Path:
    records = [params.load_params("estimators", id) for id in ids]
    options = {"levels": LEVELS, "scale": "smoke", "report": lambda line: None, "maps_of": 12, **options}
    rank({id: folder / id for id in ids}, records, images, model, **options)
    return folder


def test_any_chunk_gives_the_same_rankings(
    images: Store, model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = run(tmp_path / "whole", images, model)
    monkeypatch.setattr(module, "CHUNK", 5)
    parts = run(tmp_path / "parts", images, model)
    for id in IDS:
        for name in ("train", "test"):
            a, b = (np.load(folder / id / f"{name}_levels.npy") for folder in (whole, parts))
            assert (a == b).mean() > 0.99  # rounding may swap neighbours in rank
        maps, again = (results.read_maps(folder / id / "maps.npz") for folder in (whole, parts))
        assert again["ids"] == images.test.ids[:12] and len(again["maps"]) == 12
        assert torch.allclose(maps["maps"], again["maps"], atol=1e-3 * float(maps["maps"].abs().max()))


def test_rankings_open_as_exact_shares(images: Store, model: Model, tmp_path: Path) -> None:
    run(tmp_path, images, model, ("gradient",))
    found = open_ranking(tmp_path / "gradient", "train", images.train)
    levels = unpack(torch.from_numpy(np.array(found.packed)), found.shape)
    assert found.shape == (SIDE, SIDE) and found.levels == LEVELS
    assert (replaced(levels, LEVELS, 50, "remove").flatten(1).sum(1) == 128).all()
    record = json.loads((tmp_path / "gradient" / "ranking.json").read_text())
    assert record["estimator"] == "gradient" and set(record["sha256"]) == {"train", "test"}


def test_channel_values_are_ranked_by_themselves(images: Store, model: Model, tmp_path: Path) -> None:
    run(tmp_path, images, model, ("gradient", "random", "sobel"), unit="channel")
    for id in ("gradient", "random", "sobel"):
        found = open_ranking(tmp_path / id, "test", images.test)
        mask = replaced(unpack(torch.from_numpy(np.array(found.packed)), found.shape), LEVELS, 50, "remove")
        assert mask.shape == (14, 3, SIDE, SIDE) and (mask.flatten(1).sum(1) == 384).all()
        split = (mask.any(1) & ~mask.all(1)).float().mean()
        assert split > 0.5 if id != "sobel" else split < 0.05  # an edge detector has one value a pixel


def test_the_explained_class_is_the_predicted_one_or_the_label(images: Store, model: Model, tmp_path: Path) -> None:
    from xailib import engine

    pixels = torch.from_numpy(np.array(images.test.pixels[:12])).float() / 255
    predicted = engine.logits(model, pixels).argmax(1)
    saved = results.read_maps(run(tmp_path / "p", images, model, ("gradient",)) / "gradient/maps.npz")
    assert torch.equal(saved["targets"], predicted)
    saved = results.read_maps(run(tmp_path / "l", images, model, ("gradient",), target="label") / "gradient/maps.npz")
    assert torch.equal(saved["targets"], images.test.labels[:12]) and not torch.equal(
        predicted, images.test.labels[:12]
    )


def test_a_cut_off_ranking_is_not_taken_for_finished(
    images: Store, model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*arguments: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "pack", killed)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, images, model, ("gradient",))
    assert list((tmp_path / "gradient").iterdir()) == []
    with pytest.raises(InputError, match=r"no ranking .*run its roar_rank slice first"):
        open_ranking(tmp_path / "gradient", "train", images.train)


def test_a_cut_off_ranking_does_not_open_as_the_one_before(
    images: Store, model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*arguments: object, **options: object) -> None:
        raise KeyboardInterrupt

    run(tmp_path, images, model, ("random",))
    monkeypatch.setattr(module, "write_maps", killed)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, images, model, ("random",), levels=[5])
    with pytest.raises(InputError, match="no ranking"):
        open_ranking(tmp_path / "random", "train", images.train)


def test_a_ranking_of_other_images_is_refused(images: Store, model: Model, tmp_path: Path) -> None:
    run(tmp_path, images, model, ("random",))
    with pytest.raises(InputError, match="belongs to other images"):
        open_ranking(tmp_path / "random", "test", images.train)


@pytest.mark.parametrize("options", [{"unit": "pixels"}, {"target": "truth"}, {"levels": [50, 10]}])
def test_unknown_words_are_refused(images: Store, model: Model, tmp_path: Path, options: dict) -> None:
    with pytest.raises(InputError):
        run(tmp_path, images, model, ("random",), **options)
