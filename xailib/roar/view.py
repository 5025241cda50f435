"""What a network sees of a store's images: pixels with some values replaced, or the mask of those values alone."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from xailib.errors import InputError
from xailib.roar.removal import Mode, fill, replaced, unpack
from xailib.roar.store import Part
from xailib.seeding import generator

Sight = Literal["images", "mask"]
RESIDENT_BYTES = (
    2 * 2**30
)  # a part up to this size is kept on the device, a larger one is read from disk batch by batch


@dataclass(frozen=True)
class Ranking:
    """One estimator's ranking of a part's values, as stored.

    Attributes:
        packed: uint8 `(n, ceil(p / 2))`, 4 bits a value: the first level that takes it.
        levels: the levels it was stored at.
        shape: an image's `(h, w)` where pixels were ranked, `(3, h, w)` where channel values were.
    """

    packed: np.ndarray
    levels: list[int]
    shape: tuple[int, ...]


def open_ranking(folder: str | Path, name: Literal["train", "test"], part: Part) -> Ranking:
    """Open what `rank` wrote for one part of a store; the levels stay on disk until they are touched.

    Raises:
        InputError: no ranking there, or one of other images.
    """
    folder = Path(folder)
    try:
        record = json.loads((folder / "ranking.json").read_text(encoding="utf-8"))
        packed = np.load(folder / f"{name}_levels.npy", mmap_mode="r")
    except FileNotFoundError as error:
        raise InputError(
            f"{folder}: no ranking (no {Path(error.filename).name}); run its roar_rank slice first"
        ) from None
    except (OSError, ValueError) as error:
        raise InputError(f"{folder}: not a whole ranking ({error}); delete the folder and rank again") from None
    shape = tuple(record["shape"])
    if packed.shape != (len(part), (int(np.prod(shape)) + 1) // 2):
        raise InputError(f"{folder}: the ranking belongs to other images than the store's; rank again")
    return Ranking(packed, record["levels"], shape)


class View:
    """A part of a store at one level of one ranking; without a ranking, the images themselves.

    Args:
        part: the images.
        mean: `(3,)` in [0, 1], what takes the place of a value.
        device: where batches are made.
        ranking, level, mode: what is replaced.
        sight: `images`, or `mask`: 1 where a value is replaced and 0 elsewhere, to ask whether the mask tells the class.
        redraw: draw the replaced values anew in each call from its `draw` (the released code's Random control): each
            with probability level / 100.
    """

    def __init__(
        self,
        part: Part,
        mean: Tensor,
        device: torch.device,
        ranking: Ranking | None = None,
        level: int = 0,
        mode: Mode = "remove",
        *,
        sight: Sight = "images",
        redraw: bool = False,
    ) -> None:
        self.labels, self.mean, self.device = part.labels.to(device), mean, device
        self.ranking, self.level, self.mode, self.sight = ranking, level, mode, sight
        self.redraw = redraw
        self._pixels = _near(part.pixels, device)
        self._packed = None if ranking is None or redraw else _near(ranking.packed, device)

    def __len__(self) -> int:
        return len(self.labels)

    def batch(self, rows: Tensor, draw: tuple[int, ...] = ()) -> tuple[Tensor, Tensor]:
        """Return what is seen of the images at `rows` `(b,)`, float32 `(b, 3, h, w)` in [0, 1], and their labels.

        `draw` names the call, such as (seed, step), where values are drawn anew.
        """
        pixels = self._rows(self._pixels, rows).float().div_(255)
        labels = self.labels[rows.to(self.device)]
        if self.ranking is None:
            return pixels, labels
        mask = self._mask(rows, draw)
        if self.sight == "images":
            return fill(pixels, mask, self.mean), labels
        return (mask[:, None] if mask.ndim == 3 else mask).float().expand(len(pixels), 3, -1, -1).contiguous(), labels

    def _mask(self, rows: Tensor, draw: tuple[int, ...]) -> Tensor:
        ranking = self.ranking
        if self.redraw:
            share = self.level / 100 if self.mode == "remove" else 1 - self.level / 100
            stream = generator(0, "redraw", *draw)
            return (torch.rand(len(rows), *ranking.shape, generator=stream) < share).to(self.device)
        packed = self._rows(self._packed, rows)
        return replaced(unpack(packed, ranking.shape), ranking.levels, self.level, self.mode)

    def _rows(self, values: Tensor | np.ndarray, rows: Tensor) -> Tensor:
        if isinstance(values, Tensor):
            return values[rows.to(self.device)]
        order = rows.argsort()  # a disk is read front to back
        found = torch.empty(len(rows), *values.shape[1:], dtype=torch.uint8)
        found[order] = torch.from_numpy(values[rows[order].numpy()])
        return found.to(self.device)


def _near(values: np.ndarray, device: torch.device) -> Tensor | np.ndarray:
    """Small arrays as a tensor on the device; large ones stay mapped from disk."""
    return torch.from_numpy(np.array(values)).to(device) if values.nbytes <= RESIDENT_BYTES else values
