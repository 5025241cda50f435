"""Maps in a file of one's own, with all that they know: what is loaded scores exactly as what was saved."""

import contextlib
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from xailib.errors import InputError, nearest
from xailib.maps import Maps
from xailib.results import atomic

FORMATS = ("npz", "safetensors", "zarr")
_FACTS = ("target_names", "ids", "method", "label", "model")
_ZARR = {"zarr.json", ".zgroup", ".zattrs", ".zmetadata", "maps", "targets"}  # beside a folder an option


def save_maps(maps: Maps, path: str | Path, format: str | None = None) -> Path:
    """Write what `attribute` returned, float32 to the last bit, and return the file; `load_maps` gives it back.

    Args:
        maps: `(n, h, w)`, with what they know.
        path: the file; of zarr a folder, which is new, empty, or holds maps that were saved before.
        format: npz, safetensors or zarr; by default what the path ends in, else npz.

    Raises:
        InputError: plain tensors, an unknown format, a package that is missing, a place that cannot be written, or a folder
            that holds anything else.
    """
    if not isinstance(maps, Maps):
        raise InputError(
            f"maps: what attribute() returned is needed, which knows what it explains, not {type(maps).__name__}"
        )
    form = _format(path, format)
    plain = {key: value for key, value in maps.options.items() if not isinstance(value, torch.Tensor | np.ndarray)}
    arrays = {f"options.{key}": np.asarray(value) for key, value in maps.options.items() if key not in plain}
    try:
        facts = json.dumps({**{key: getattr(maps, key) for key in _FACTS}, "options": plain})
    except TypeError as error:
        raise InputError(f"maps: an option of method '{maps.method}' cannot be kept in a file ({error})") from None
    arrays |= {"maps": maps.values.numpy(), "targets": maps.targets.cpu().numpy()}
    try:
        _write(Path(path), form, arrays, facts)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror or error})") from None
    return Path(path)


def _write(path: Path, form: str, arrays: dict[str, np.ndarray], facts: str) -> None:
    if form == "zarr":
        with _folder(path) as partial:
            group = _zarr().open_group(str(partial), mode="w")
            group.attrs["facts"] = facts
            for key, array in arrays.items():
                group[key] = array
        return
    with atomic(path) as partial, open(partial, "wb") as file:
        if form == "safetensors":
            from safetensors.numpy import save

            file.write(save({key: np.ascontiguousarray(array) for key, array in arrays.items()}, {"facts": facts}))
        else:
            np.savez_compressed(file, **arrays, facts=np.array(facts))


@contextlib.contextmanager
def _folder(path: Path) -> Iterator[Path]:
    """Give the block the path of a new folder beside `path`, which takes its place when the block ends well."""
    path = path.resolve()  # of a link what it leads to is replaced
    if path.exists() and not _replaceable(path):
        raise InputError(
            f"{path}: holds something else than maps that save_maps wrote, which would be lost; give a new folder"
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent, ignore_cleanup_errors=True)
    with beside as place:
        partial, former = Path(place, "partial"), Path(place, "former")
        yield partial
        if path.exists():
            path.rename(former)
        try:
            partial.rename(path)
        except OSError:
            if former.exists():
                former.rename(path)
            raise


def _replaceable(path: Path) -> bool:
    """Whether a folder is empty, or holds maps as zarr and nothing else; told without the package."""
    if not path.is_dir():
        return False
    names = {child.name for child in path.iterdir()}
    for name in names & {"zarr.json", ".zattrs"}:  # where formats 3 and 2 keep attributes
        with contextlib.suppress(OSError, ValueError, TypeError, KeyError, AttributeError):
            record = json.loads((path / name).read_bytes())
            facts = json.loads(record.get("attributes", record)["facts"])
            return facts.keys() >= set(_FACTS) and all(one in _ZARR or one.startswith("options.") for one in names)
    return not names


def load_maps(path: str | Path) -> Maps:
    """Return the maps in a file that `save_maps` wrote, in whichever format, or a study's own `maps.npz`.

    The latter does not hold the classes' names: they are written as numbers, and its model and method by their ids.

    Raises:
        InputError: no such file, one that is damaged, or one that holds no maps.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(f"{path}: no such maps; save_maps(maps, path) writes some")
    try:
        arrays, facts = _read(path)
        found = json.loads(facts) if facts else _of_study(arrays)
        options = {key.removeprefix("options."): torch.from_numpy(arrays.pop(key)) for key in [*arrays] if "." in key}
        found["options"] |= options
        return Maps.of(torch.from_numpy(arrays["maps"]), targets=torch.from_numpy(arrays["targets"]), **found)
    except InputError:
        raise
    except Exception as error:  # of damaged bytes each library raises kinds of its own
        raise InputError(f"{path}: not a complete file of maps ({type(error).__name__}: {error})") from None


def _read(path: Path) -> tuple[dict[str, np.ndarray], str | None]:
    """The arrays of a file and its facts."""
    if path.is_dir():
        group = _zarr().open_group(str(path), mode="r")
        return {key: group[key][:] for key in group}, group.attrs["facts"]
    if path.read_bytes()[:2] == b"PK":
        with np.load(path, allow_pickle=False) as data:
            arrays = {key: data[key] for key in data}
        facts = arrays.pop("facts", None)
        return arrays, None if facts is None else str(facts)
    from safetensors import safe_open

    with safe_open(path, "numpy") as data:
        return {key: data.get_tensor(key) for key in data.keys()}, data.metadata()["facts"]  # noqa: SIM118


def _of_study(arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    """What a study's file knows of its maps."""
    origin = json.loads(str(arrays.pop("made_from"))) or {}
    names = [f"class {target}" for target in arrays["targets"].tolist()]
    method = origin.get("method", "unknown")
    return {
        "target_names": names,
        "ids": arrays.pop("ids").tolist(),
        "method": origin.get("method_function", method),
        "label": method,
        "model": origin.get("model", "unknown"),
        "options": {"seed": origin.get("seed", 0), **origin.get("options", {})},
    }


def _format(path: str | Path, given: str | None) -> str:
    suffix = Path(path).suffix.removeprefix(".")
    form = given or (suffix if suffix in FORMATS else "npz")
    if form not in FORMATS:
        raise InputError(f"format: '{form}' is not known{nearest(str(form), FORMATS)}")
    if form == "zarr":
        _zarr()
    return form


def _zarr() -> Any:
    try:
        import zarr
    except ImportError:
        raise InputError(
            "format: zarr needs the package zarr; run pip install zarr, or use npz or safetensors"
        ) from None
    return zarr
