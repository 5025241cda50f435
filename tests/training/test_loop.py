"""Augmentation shows parts of images, as large as asked for, mirrored half of the time."""

import torch

from xailib.training.loop import mirror_and_crop


def ramp(n: int, side: int = 32) -> torch.Tensor:
    """Images `(n, 3, h, w)` whose value says where a pixel lies: channel 0 across, channel 1 down."""
    cells = (torch.arange(side) + 0.5) / side
    across, down = cells.expand(side, side), cells[:, None].expand(side, side)
    return torch.stack([across, down, torch.zeros(side, side)]).repeat(n, 1, 1, 1)


def test_crops_keep_the_area_and_stay_inside() -> None:
    shown = mirror_and_crop(ramp(400), 0.4, torch.Generator().manual_seed(0))
    inner = 31 / 32  # from the first pixel's centre to the last one's
    sides = (shown[:, :2].amax(dim=(2, 3)) - shown[:, :2].amin(dim=(2, 3))) / inner
    area = sides.prod(dim=1)
    assert area.min() > 0.35 and area.max() <= 1.0 + 1e-5 and 0.6 < area.mean() < 0.75
    assert (sides[:, 0] / sides[:, 1]).max() < 4 / 3 + 1e-3
    assert shown.min() >= 0 and shown.max() <= 1


def test_half_are_mirrored_and_the_seed_decides() -> None:
    shown = mirror_and_crop(ramp(400), 0.4, torch.Generator().manual_seed(0))
    mirrored = (shown[:, 0, 0, 0] > shown[:, 0, 0, -1]).float().mean().item()
    assert 0.4 < mirrored < 0.6
    again = mirror_and_crop(ramp(400), 0.4, torch.Generator().manual_seed(0))
    assert torch.equal(shown, again)


def test_the_whole_image_unmirrored_is_itself() -> None:
    whole = mirror_and_crop(ramp(400), 1.0, torch.Generator().manual_seed(1))
    straight = whole[whole[:, 0, 0, 0] < whole[:, 0, 0, -1]]
    sides = straight[:, :2].amax(dim=(2, 3)) - straight[:, :2].amin(dim=(2, 3))
    same = straight[(sides > 0.96).all(dim=1)]
    assert len(same) > 2
    assert torch.allclose(same, ramp(len(same)), atol=0.02)
