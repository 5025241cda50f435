"""A study's results as a data set on the Hugging Face hub: a card, tables as Parquet, maps as safetensors."""

import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from xailib import params
from xailib.errors import InputError
from xailib.maps import Maps
from xailib.models import classes
from xailib.params import citations
from xailib.results import read_table
from xailib.results.stored import load_maps, save_maps
from xailib.workflow.export import TABLES

SIZES = {1e3: "n<1K", 1e4: "1K<n<10K", 1e5: "10K<n<100K", 1e6: "100K<n<1M", 1e7: "1M<n<10M"}
CARD = """\
# {title}

{description}

Made by [xailib](https://pypi.org/project/xailib): {methods} attribution methods on {models} image classifiers, {images} images
of `{dataset}` (seed {seed}, scale `{scale}`). `study.yaml` holds every setting, `records/` where each slice is from: code,
versions, options, time.

{tables}

```python
from datasets import load_dataset
scores = load_dataset("OWNER/NAME", "scores")["train"].to_pandas()
```

`maps/NETWORK/METHOD.safetensors`: the maps themselves, `maps` float32 (n, height, width) and `targets` int64 (n,), the class that
each explains; the image's ids and the method's options are in the file's metadata.

```python
import xailib as xai
maps = xai.load_maps("maps/{model}/{method}.safetensors")
```

## Citation

```bibtex
{citation}
```
"""


def write_hub(folder: Path, values: dict[str, Any], out: Path) -> None:
    """Write a study's results as a data set.

    Args:
        folder: of results.
        values: of the study.
        out: a new folder; what is in it can be uploaded as it is.
    """
    records = sorted(folder.rglob("*.json"))
    (out / "data").mkdir(parents=True)
    tables = {name: read_table(folder / f"{name}.parquet") for name in TABLES if (folder / f"{name}.parquet").is_file()}
    for name, table in tables.items():
        plain = {column: str for column, kind in table.dtypes.items() if isinstance(kind, pd.CategoricalDtype)}
        table.astype(plain).to_parquet(out / "data" / f"{name}.parquet", index=False)
    found = [(*path.parts[-3:-1], path) for path in sorted(folder.glob("*/*/maps.npz"))]
    for model, method, path in found:
        save_maps(_named(load_maps(path), model), out / "maps" / model / f"{method}.safetensors")
    for path in records:
        (out / "records" / path.relative_to(folder)).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, out / "records" / path.relative_to(folder))
    shutil.copyfile(folder / "study.yaml", out / "study.yaml")
    (out / "README.md").write_text(_card(values, tables, found), encoding="utf-8")


def _named(maps: Maps, model: str) -> Maps:
    """The same maps with the names of their classes, where the network's file is still there."""
    try:
        names = classes.of_model(params.load_params("models", model))
    except InputError:
        return maps
    return Maps.of(
        maps.values, **{**maps.__dict__, "target_names": [names[target] for target in maps.targets.tolist()]}
    )


def _card(values: dict[str, Any], tables: dict[str, pd.DataFrame], found: list[tuple[str, str, Path]]) -> str:
    rows = max(map(len, tables.values()))
    head = {
        "pretty_name": f"{values['study']}: explanations of image classifiers, and their scores",
        "license": "unknown",
        "task_categories": ["image-classification"],
        "tags": ["explainable-ai", "attribution", "saliency-maps", "xailib"],
        "size_categories": [next((word for most, word in SIZES.items() if rows < most), "n>10M")],
        "configs": [
            {
                "config_name": name,
                "data_files": f"data/{name}.parquet",
                **({"default": True} if name == "scores" else {}),
            }
            for name in tables
        ],
    }
    lines = [f"- `data/{name}.parquet` ({len(table):,} rows): {TABLES[name]}" for name, table in tables.items()]
    model, method = found[0][:2] if found else ("NETWORK", "METHOD")
    text = CARD.format(
        title=head["pretty_name"], description=values.get("description", ""), tables="\n".join(lines), model=model,
        method=method, methods=tables["scores"]["method"].nunique(), models=tables["scores"]["model"].nunique(),
        images=tables["scores"]["image"].nunique(), citation=citations.of_study(values),
        **{key: values.get(key) for key in ("dataset", "seed", "scale")},
    )  # fmt: skip
    return f"---\n{yaml.safe_dump(head, sort_keys=False)}---\n\n{text}"
