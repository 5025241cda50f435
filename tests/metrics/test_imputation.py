"""Noisy linear imputation against closed forms and a dense solve of the same equations."""

import numpy as np
import pytest
import torch
from torch import Tensor

from xailib.errors import InputError
from xailib.metrics.imputation import impute

NEIGHBOURS = {(i, j): 1 / 12 if i and j else 1 / 6 for i in (-1, 0, 1) for j in (-1, 0, 1) if i or j}


def images(n: int, side: int = 8, seed: int = 0) -> Tensor:
    return torch.rand(n, 3, side, side, generator=torch.Generator().manual_seed(seed))


def masks(n: int, share: float, side: int = 8, seed: int = 1) -> Tensor:
    return torch.rand(n, side, side, generator=torch.Generator().manual_seed(seed)) < share


def names(n: int) -> list[str]:
    return [f"image_{i}" for i in range(n)]


def still(pixels: Tensor, removed: Tensor, **options: float | Tensor) -> Tensor:
    """Impute without noise."""
    return impute(pixels, removed, noise=0, ids=names(len(pixels)), **options)


def dense(channel: np.ndarray, gone: np.ndarray) -> np.ndarray:
    """Solve the equations as the paper states them, one row a pixel of one channel `(h, w)`."""
    height, width = channel.shape
    system, right = np.eye(height * width), channel.flatten().astype(float)
    for y, x in zip(*np.nonzero(gone), strict=True):
        row = y * width + x
        inside = {
            (y + i) * width + x + j: weight
            for (i, j), weight in NEIGHBOURS.items()
            if 0 <= y + i < height and 0 <= x + j < width
        }
        right[row] = 0
        for other, weight in inside.items():
            system[row, other] = -weight / sum(inside.values())
    return np.linalg.solve(system, right).reshape(height, width)


def test_nothing_removed_changes_nothing() -> None:
    pixels = images(2)
    assert torch.equal(impute(pixels, masks(2, 0), ids=names(2)), pixels)


def test_what_is_left_is_not_touched_and_what_is_removed_is_not_looked_at() -> None:
    pixels, removed = images(3), masks(3, 0.6)
    filled = impute(pixels, removed, ids=names(3))
    kept = ~removed[:, None].expand_as(pixels)
    assert torch.equal(filled[kept], pixels[kept])
    assert torch.equal(filled, impute(torch.where(kept, pixels, 0.0), removed, ids=names(3)))
    assert not torch.isclose(filled[~kept], pixels[~kept]).any()


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.98])
def test_a_constant_image_stays_constant(share: float) -> None:
    pixels = torch.tensor([0.2, 0.5, 0.9])[None, :, None, None].expand(2, 3, 16, 16)
    torch.testing.assert_close(still(pixels, masks(2, share, 16)), pixels, rtol=0, atol=1e-6)


def test_a_ramp_is_restored_within_a_hole() -> None:
    """Weights that are the same on opposite sides give linear functions back, as long as all neighbours exist."""
    rows, columns = torch.meshgrid(torch.arange(12.0), torch.arange(12.0), indexing="ij")
    ramp = torch.stack([0.03 * rows + 0.02 * columns + 0.1, 0.08 * rows, 0.9 - 0.07 * columns])[None]
    removed = torch.zeros(1, 12, 12, dtype=torch.bool)
    removed[0, 1:11, 1:11] = True
    torch.testing.assert_close(still(ramp, removed), ramp, rtol=0, atol=1e-6)


def test_one_pixel_is_the_weighted_mean_of_its_neighbours() -> None:
    pixels = images(1, 3)
    inner, corner = torch.zeros(2, 1, 3, 3, dtype=torch.bool)
    inner[0, 1, 1] = corner[0, 0, 0] = True
    p = pixels[0]
    diagonal = p[:, 0, 0] + p[:, 0, 2] + p[:, 2, 0] + p[:, 2, 2]
    direct = p[:, 0, 1] + p[:, 1, 0] + p[:, 1, 2] + p[:, 2, 1]
    torch.testing.assert_close(still(pixels, inner)[0, :, 1, 1], diagonal / 12 + direct / 6)
    renormalised = (p[:, 0, 1] / 6 + p[:, 1, 0] / 6 + p[:, 1, 1] / 12) / (5 / 12)
    torch.testing.assert_close(still(pixels, corner)[0, :, 0, 0], renormalised)


@pytest.mark.parametrize("shape", [(5, 7), (7, 5), (1, 6), (6, 1), (2, 2)])
@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
def test_it_equals_a_dense_solve(shape: tuple[int, int], share: float) -> None:
    stream = torch.Generator().manual_seed(4)
    pixels, removed = torch.rand(6, 3, *shape, generator=stream), torch.rand(6, *shape, generator=stream) < share
    removed[:, 0, 0] = False
    expected = [
        [dense(channel, gone) for channel in image] for image, gone in zip(pixels.numpy(), removed.numpy(), strict=True)
    ]
    torch.testing.assert_close(still(pixels, removed), torch.tensor(np.array(expected)).float(), rtol=0, atol=1e-6)


def test_channels_may_lose_different_values() -> None:
    pixels = images(2)
    removed = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(2)) < 0.5
    filled = still(pixels, removed)
    for channel in range(3):
        alone = still(pixels, removed[:, channel])
        torch.testing.assert_close(filled[:, channel], alone[:, channel], rtol=0, atol=1e-6)
    same = removed[:, :1].expand(2, 3, 8, 8)
    assert torch.equal(still(pixels, same), still(pixels, same[:, 0]))


def test_an_image_with_nothing_left_is_filled() -> None:
    pixels, removed = images(2), masks(2, 0.5)
    removed[0] = True
    mean = torch.tensor([0.1, 0.2, 0.3])
    filled = still(pixels, removed, fill=mean)
    assert torch.equal(filled[0], mean[:, None, None].expand(3, 8, 8))
    assert torch.equal(filled[1], still(pixels, removed)[1])
    assert (still(pixels, removed)[0] == 0.5).all()
    channels = removed[:, None].repeat(1, 3, 1, 1)
    channels[0, 0] = False
    partly = still(pixels, channels, fill=mean)[0]
    assert torch.equal(partly[0], pixels[0, 0]) and torch.equal(partly[1:], filled[0, 1:])


def test_batch_and_order_change_nothing() -> None:
    pixels, removed, order = images(5), masks(5, 0.7), [3, 1, 4, 0, 2]
    whole = impute(pixels, removed, seed=1, ids=names(5))
    shuffled = impute(pixels[order], removed[order], seed=1, ids=[names(5)[i] for i in order])
    assert torch.equal(whole[order], shuffled)
    alone = [impute(pixels[i : i + 1], removed[i : i + 1], seed=1, ids=names(5)[i : i + 1]) for i in range(5)]
    assert torch.equal(whole, torch.cat(alone))
    assert not torch.equal(whole, impute(pixels, removed, seed=2, ids=names(5)))


def test_noise_has_its_size_on_imputed_values_only() -> None:
    pixels, removed = images(4, 64), masks(4, 0.8, 64)
    difference = impute(pixels, removed, noise=0.01, seed=3, ids=names(4)) - still(pixels, removed)
    where = removed[:, None].expand_as(difference)
    assert abs(difference[where].std().item() - 0.01) < 3e-4 and abs(difference[where].mean().item()) < 3e-4
    assert (difference[~where] == 0).all()
    one, two = difference[0], difference[1]
    both = removed[0] & removed[1]
    assert abs(np.corrcoef(one[:, both].flatten(), two[:, both].flatten())[0, 1]) < 0.05  # an image, a stream
    more = impute(pixels, torch.ones_like(removed), noise=0.01, seed=3, ids=names(4)) - 0.5
    torch.testing.assert_close(more[where], difference[where], rtol=0, atol=1e-6)  # the same at every level


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"pixels": images(2)[0]}, "pixels: a float tensor"),
        ({"pixels": (255 * images(2)).byte()}, "torch.uint8"),
        ({"pixels": 2 * images(2)}, "in \\[0, 1\\], found"),
        ({"pixels": images(2).fill_(float("nan"))}, "finite"),
        ({"removed": masks(3, 0.5)}, "removed: a bool tensor of shape \\(2, 8, 8\\)"),
        ({"removed": masks(2, 0.5).int()}, "removed: a bool tensor"),
        ({"ids": ["one"]}, "ids: 2 images need as many names, not 1"),
        ({"pixels": images(0), "removed": masks(0, 0.5), "ids": []}, "no image"),
        ({"noise": -0.1}, "noise: -0.1"),
        (
            {"pixels": np.zeros((2, 3, 8, 8))},
            r"pixels: a float tensor \(n, 3, h, w\) in \[0, 1\] is needed, not ndarray",
        ),
        ({"removed": np.zeros((2, 8, 8), bool)}, "removed: a bool tensor of shape .* is needed, not ndarray"),
        ({"fill": torch.zeros(1, 3, 1, 1)}, "fill: one finite value is needed, or 3, not "),
        ({"fill": [0.5, 0.5]}, r"fill: one finite value is needed, or 3, not \[0.5, 0.5\]"),
        ({"fill": torch.nan}, "fill: one finite value is needed, or 3, not nan"),
    ],
)
def test_bad_input_is_named(change: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        impute(**{"pixels": images(2), "removed": masks(2, 0.5), "ids": names(2), **change})
