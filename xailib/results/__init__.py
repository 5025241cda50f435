"""Result files: maps, curves, tables and records, written whole or not at all."""

import contextlib
import errno
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from xailib.errors import InputError
from xailib.params.made_from import IMAGES_AND_NETWORK, require
from xailib.workspace import place

if TYPE_CHECKING:
    import pandas as pd
    from torch import Tensor

_FULL = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EROFS: "the disk is read-only",
    errno.EACCES: "the folder is not open for writing",
    errno.EFBIG: "the file would be too large",
    errno.EEXIST: "a file is where its folder would be",
    errno.ENOTDIR: "a file is where its folder would be",
}


def find_folder(results_dir: str | Path) -> Path:
    """Return the study's results folder, looked up here first and then in the workspace."""
    for folder in (Path(results_dir), place(results_dir)):
        if folder.is_dir():
            return folder
    raise InputError(f"{results_dir}: no such results folder; run the study first (snakemake)")


@contextlib.contextmanager
def atomic(path: str | Path) -> Iterator[Path]:
    """Give the block a temporary path beside `path`; take its place when the block ends well, vanish when it does not.

    A full or read-only disk is an `InputError` that names the file.
    """
    path = Path(path)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield partial
        os.replace(partial, path)
    except OSError as error:
        if error.errno in _FULL:
            raise InputError(
                f"{path}: cannot be written because {_FULL[error.errno]}; make room and run again"
            ) from None
        raise
    finally:
        with contextlib.suppress(OSError):
            partial.unlink()


def write_maps(
    path: str | Path,
    maps: "Tensor",
    ids: Sequence[str],
    targets: "Tensor",
    repeats: "Tensor | None" = None,
    made_from: Mapping[str, Any] | None = None,
) -> Path:
    """Write maps `(n, h, w)` as they are, float32 to the last bit, with image ids, targets and what they were made from.

    With `repeats` `(k, h, w)`, also maps of the first k images under another seed.
    """
    if not (len(maps) == len(ids) == len(targets)):
        raise ValueError(f"{len(maps)} maps need as many ids and targets, not {len(ids)} and {len(targets)}")
    stacks = {"maps": maps} if repeats is None else {"maps": maps, "repeat_maps": repeats}
    arrays: dict[str, Any] = {"ids": np.array(list(ids), dtype=np.str_)}
    arrays["targets"] = targets.cpu().numpy().astype(np.int64)
    for name, stack in stacks.items():
        arrays[name] = stack.detach().float().cpu().numpy()
        if not np.isfinite(arrays[name]).all():
            raise InputError(
                f"{path}: the maps hold NaN or infinity; check the method's options and the model's weights"
            )
    with atomic(path) as partial, open(partial, "wb") as file:
        np.savez_compressed(file, **arrays, made_from=np.array(json.dumps(made_from)))
    return Path(path)


def read_maps(
    path: str | Path, *, ids: Sequence[str] | None = None, made_from: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Read what `write_maps` wrote: `maps` float32 `(n, h, w)`, `ids`, `targets` int64 `(n,)`, `made_from`.

    Beside them `repeats` float32 `(k, h, w)`: the first k images under another seed; k is 0 where none were made.
    With `ids`, maps of other images than these, in this order, are refused; with `made_from`, maps of another method,
    network or choice of images; so are maps that were rounded to half precision.
    """
    import torch  # tables and records are read without it

    try:
        with np.load(path, allow_pickle=False) as data:
            arrays = {key: data[key] for key in ("maps", "ids", "targets")}
            repeats = data["repeat_maps"] if "repeat_maps" in data else arrays["maps"][:0]
            origin = json.loads(str(data["made_from"])) if "made_from" in data else None
    except FileNotFoundError:
        raise InputError(f"{path}: no such maps; run the attribute slice first") from None
    except Exception as error:  # numpy and zipfile raise a dozen kinds for a damaged archive
        raise InputError(f"{path}: not a complete file of maps ({error}); delete it and run again") from None
    if arrays["maps"].dtype != np.float32:
        raise InputError(
            f"{path}: its maps are rounded to {arrays['maps'].dtype}, as an older xailib wrote them, and would get other "
            "scores than the maps themselves; run the attribute slice again"
        )
    if made_from is not None:
        require(path, origin, made_from, IMAGES_AND_NETWORK)
    if ids is not None and arrays["ids"].tolist() != list(ids):
        raise InputError(f"{path}: the maps belong to other images than the study's; run the attribute slice again")
    return {
        "maps": torch.from_numpy(arrays["maps"]),
        "repeats": torch.from_numpy(repeats),
        "ids": arrays["ids"].tolist(),
        "targets": torch.from_numpy(arrays["targets"]),
        "made_from": origin,
    }


def write_curves(
    path: str | Path,
    curves: "Mapping[str, Tensor]",
    ids: Sequence[str],
    made_from: Mapping[str, Any] | None = None,
) -> Path:
    """Write the curves behind scores, `(n, steps + 1)` for each metric that has one, as float16, with the image ids."""
    arrays = {name: curve.detach().cpu().numpy().astype(np.float16) for name, curve in curves.items()}
    for name, curve in arrays.items():
        if len(curve) != len(ids):
            raise ValueError(f"{len(curve)} curves of {name} need as many ids, not {len(ids)}")
    names = {"ids": np.array(list(ids), dtype=np.str_), "made_from": np.array(json.dumps(made_from))}
    with atomic(path) as partial, open(partial, "wb") as file:
        np.savez_compressed(file, **arrays, **names)
    return Path(path)


def read_curves(path: str | Path) -> dict[str, Any]:
    """Read what `write_curves` wrote: `ids`, and `curves`, float32 `(n, steps + 1)` by metric."""
    try:
        with np.load(path, allow_pickle=False) as data:
            names = [name for name in data if name not in ("ids", "made_from")]
            return {"ids": data["ids"].tolist(), "curves": {name: data[name].astype(np.float32) for name in names}}
    except FileNotFoundError:
        raise InputError(f"{path}: no such curves; run the evaluate slice again") from None
    except Exception as error:  # numpy and zipfile raise a dozen kinds for a damaged archive
        raise InputError(f"{path}: not a complete file of curves ({error}); delete it and run again") from None


def write_table(path: str | Path, frame: "pd.DataFrame") -> Path:
    """Write a tidy table as Parquet, or as CSV when the name ends so."""
    with atomic(path) as partial:
        if Path(path).suffix == ".csv":
            frame.to_csv(partial, index=False)
        else:
            frame.to_parquet(partial, index=False)
    return Path(path)


def read_table(path: str | Path) -> "pd.DataFrame":
    """Read what `write_table` wrote; a missing or damaged file is an `InputError` that names it."""
    import pandas as pd

    try:
        return pd.read_csv(path) if Path(path).suffix == ".csv" else pd.read_parquet(path)
    except FileNotFoundError:
        raise InputError(f"{path}: no such table; run the slice that makes it first") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: not a complete table ({error}); delete it and run again") from None


def write_json(path: str | Path, record: Any) -> Path:
    """Write a record as indented JSON; paths and NumPy scalars become text and numbers."""
    with atomic(path) as partial:
        partial.write_text(json.dumps(record, indent=2, default=_plain) + "\n", encoding="utf-8")
    return Path(path)


def _plain(value: Any) -> Any:
    return value.item() if hasattr(value, "item") and not isinstance(value, np.ndarray) else str(value)
