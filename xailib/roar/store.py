"""The images of a ROAR study as two arrays on disk, fitted to the input once and read through memory maps.

Every retraining reads the same pixels thousands of times, so files are decoded, or pictures rendered, only here.
"""

import contextlib
import hashlib
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
import torch
from torch import Tensor

from xailib.errors import InputError
from xailib.results import atomic, write_json

if TYPE_CHECKING:
    from xailib.datasets.items import Images
    from xailib.images import ImageBatch

# Images that are in memory at once while a store is built: 20 MB each hundred at 128 pixels.
CHUNK = 128
REPORT_SECONDS = 10.0


@dataclass(frozen=True)
class Part:
    """The training or the test images of a store.

    Attributes:
        pixels: uint8 `(n, 3, side, side)`, RGB, mapped from the file: only what is touched is read.
        labels: int64 `(n,)`.
        ids: `n` unique names.
    """

    pixels: np.memmap
    labels: Tensor
    ids: list[str]

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True)
class Store:
    """The images of a ROAR study.

    Attributes:
        train, test: the images.
        mean: float32 `(3,)` in [0, 1], each channel's mean over all training pixels.
        class_names: in label order.
        side: of the square images, in pixels.
        facts: what the store was built from: dataset, splits, seed, root, options (as `load_images` takes them); and
            digests of what is in it, since files of one's own change.
    """

    train: Part
    test: Part
    mean: Tensor
    class_names: list[str]
    side: int
    facts: dict[str, Any]


def build(
    folder: str | Path,
    dataset: str,
    *,
    side: int,
    train_split: str = "train",
    test_split: str = "test",
    train_images: int | None = None,
    test_images: int | None = None,
    seed: int = 0,
    root: str | Path | None = None,
    options: dict[str, Any] | None = None,
    report: Callable[[str], Any] = print,
) -> Store:
    """Write the images of a data set as a store, a chunk at a time.

    `store.json` is written last, so a store that was cut off does not open, and building again starts afresh.

    Args:
        folder: where `train_pixels.npy`, `test_pixels.npy` and `store.json` go.
        dataset, root, options: as `load_images` takes them. Data sets made of files are cut as at test time (short side
            256 -> centre 224, scaled to `side`; Hooker et al. 2019, section 4.1) unless the options say otherwise.
        side: of the square images, in pixels.
        train_split, test_split: names of the two splits.
        train_images, test_images: how many images of each; None for all. Those that `load_images` gives with this limit.
        seed: chooses and orders the images.
        report: is called with a line on the way.

    Raises:
        InputError: what `load_images` refuses, a class without a training image, or splits that do not fit together.
    """
    from xailib.datasets import class_names, open_images, takes

    folder, options = Path(folder), {**({"crop": "centre"} if "crop" in takes(dataset) else {}), **(options or {})}
    if train_split == test_split:
        raise InputError(f"test_split: '{test_split}' is the training split too; a test needs images of its own")
    source = {"root": root, **options}
    names = class_names(dataset, split=train_split, **source)
    if class_names(dataset, split=test_split, **source) != names:
        raise InputError(f"{root}: splits '{train_split}' and '{test_split}' of {dataset} have different classes")
    # An older store goes, its record first, and what a killed build left.
    for pattern in ("store.json", "*_pixels.npy", ".*_pixels.npy.*.partial"):
        for path in folder.glob(pattern):
            path.unlink()
    record: dict[str, Any] = {"dataset": dataset, "root": None if root is None else str(root), "options": options}
    record |= {"seed": seed, "side": side, "train_split": train_split, "test_split": test_split, "class_names": names}
    for part, split, limit in (("train", train_split, train_images), ("test", test_split, test_images)):
        images = open_images(dataset, split=split, limit=limit, seed=seed, side=side, **source)
        record[part] = _write(folder, part, images, side, report)
        if part == "train":
            _check_classes(names, record["train"]["labels"], dataset)
    record["mean"] = record["train"].pop("mean")
    write_json(folder / "store.json", record)
    return open_store(folder)


def open_store(folder: str | Path) -> Store:
    """Open what `build` wrote; the pixels stay on disk until they are touched.

    Raises:
        InputError: there is no finished store in the folder, or its files do not belong together.
    """
    path = Path(folder) / "store.json"
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        parts = {part: _open_part(path, part, record) for part in ("train", "test")}
        keys = ("dataset", "root", "options", "seed", "train_split", "test_split")
        facts = {key: record[key] for key in keys}
        facts["sha256"] = [record[part].get("sha256") for part in parts]  # earlier stores have none
        mean = torch.tensor(record["mean"], dtype=torch.float32)
        return Store(**parts, mean=mean, class_names=record["class_names"], side=record["side"], facts=facts)
    except FileNotFoundError as error:
        raise InputError(
            f"{folder}: no finished store of images (no {Path(error.filename).name}); build it first"
        ) from None
    except (OSError, ValueError, KeyError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"{folder}: not a whole store of images ({error}); delete the folder and build it again"
        ) from None


def _open_part(path: Path, part: str, record: dict[str, Any]) -> Part:
    file = path.with_name(f"{part}_pixels.npy")
    pixels = np.load(file, mmap_mode="r")
    ids, labels, side = record[part]["ids"], record[part]["labels"], record["side"]
    if pixels.shape != (len(ids), 3, side, side) or pixels.dtype != np.uint8 or len(labels) != len(ids):
        raise InputError(
            f"{file}: {pixels.dtype} {pixels.shape} are not the {len(ids)} images of store.json; build it again"
        )
    return Part(pixels, torch.tensor(labels), ids)


def _write(
    folder: Path, name: str, images: "Images | ImageBatch", side: int, report: Callable[[str], Any]
) -> dict[str, Any]:
    """Write the pixels of all images of a part; return their labels, ids, mean colour, and a digest of all of these."""
    count, digest = len(images), hashlib.sha256()
    labels: list[int] = []
    ids: list[str] = []
    total = np.zeros(3)
    report(f"{name}: {count:,} images of {side} pixels, {count * 3 * side**2 / 1e6:,.0f} MB")
    with array_file(folder / f"{name}_pixels.npy", (count, 3, side, side)) as file:
        for rows in chunks(name, count, CHUNK, report):
            batch = images.select(rows)
            pixels = (batch.pixels * 255).round_().byte().numpy()
            content = pixels.tobytes()
            file.write(content)
            digest.update(content)
            total += pixels.sum(axis=(0, 2, 3), dtype=np.int64)
            labels += batch.labels.tolist()
            ids += batch.ids
    digest.update(json.dumps([labels, ids]).encode())
    mean = (total / (count * side**2 * 255)).tolist()
    return {"labels": labels, "ids": ids, "mean": mean, "sha256": digest.hexdigest()}


@contextlib.contextmanager
def array_file(path: Path, shape: tuple[int, ...]) -> Iterator[BinaryIO]:
    """Open a file for the bytes of an array of this shape, which takes its place when the block ends well.

    Written front to back, not through a map: a full disk is then an error that can be named, not a crash.
    """
    with atomic(path) as partial, partial.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})
        yield file


def chunks(name: str, count: int, size: int, report: Callable[[str], Any]) -> Iterator[slice]:
    """Yield the rows of a part a chunk of `size` at a time, and report how long the rest will take."""
    began = said = time.monotonic()
    for start in range(0, count, size):
        rows = slice(start, min(start + size, count))
        yield rows
        if (now := time.monotonic()) - said >= REPORT_SECONDS and rows.stop < count:
            left = (now - began) / rows.stop * (count - rows.stop)
            report(f"{name}: {rows.stop:,} of {count:,} images, about {left:.0f} s left")
            said = now
    report(f"{name}: {count:,} images in {time.monotonic() - began:.0f} s")


def _check_classes(names: list[str], labels: list[int], dataset: str) -> None:
    """Refuse a class that no training image shows: a network could only ever get it wrong."""
    shown = set(labels)
    missing = [name for label, name in enumerate(names) if label not in shown]
    if missing:
        more = f" (and {len(missing) - 1} more classes)" if len(missing) > 1 else ""
        raise InputError(
            f"{dataset}: class '{missing[0]}'{more} has no image among the {len(labels)} of training; "
            "give more train_images, or add images of the class"
        )
