"""`xailib export RESULTS --to hub|crate OUT`: a study's results in the form that others publish and read; nothing is uploaded."""

import argparse
import json
import mimetypes
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from xailib import params
from xailib.errors import InputError, command
from xailib.params import citations
from xailib.params.facts import registry_facts
from xailib.workflow.init import check_free
from xailib.workspace import SHIPPED, expanded, place

if TYPE_CHECKING:
    import pandas as pd

    from xailib.maps import Maps

TABLES = {
    "scores": "one row an image, method, network and metric: `value`, and what the metric adds",
    "sanity": "how alike maps stay while the network's weights are drawn anew",
    "reliability": "scores of the same maps under a second seed: what of a score is chance",
    "predictions": "what each network answers to each image",
    "accuracy": "how often each network is right, on the images as they are and shifted",
}
SIZES = {1e3: "n<1K", 1e4: "1K<n<10K", 1e5: "10K<n<100K", 1e6: "100K<n<1M", 1e7: "1M<n<10M"}
CARD = """\
# {title}

{description}

Made by [xailib](https://pypi.org/project/xailib): {methods} on {models}, {images}
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
FORMATS = {
    ".ipynb": "application/x-ipynb+json",
    ".parquet": "application/vnd.apache.parquet",
    ".npz": "application/zip",
}
# Record -> the notebook beside it, and the files that its slice makes.
SLICES = {
    "probe": ("predict.ipynb", ("predictions.parquet", "accuracy.parquet")),
    "predict": ("predict.ipynb", ("predictions.parquet", "accuracy.parquet")),
    "attribute": ("attribute.ipynb", ("maps.npz",)),
    "evaluate": ("evaluate.ipynb", ("scores.parquet", "reliability.parquet", "curves.npz")),
    "sanity": ("sanity.ipynb", ("sanity.parquet",)),
    "finetune": ("finetune.ipynb", ("weights.safetensors",)),
    "indomain": ("indomain.ipynb", ("indomain.parquet",)),
}


def results_folder(name: str | Path) -> tuple[Path, dict[str, Any]]:
    """Return a study's folder of results, by its path or the study's id, and the values that it ran with.

    Raises:
        InputError: no such folder, or one that no finished study filled.
    """
    path = expanded(name)
    folder = path if path.is_dir() else place(f"results/{name}")
    file = folder / "study.yaml"
    if not file.is_file():
        raise InputError(f"{name}: holds no study.yaml; give a study's folder in results/, or its id")
    values, faults = params.read(file, "studies")
    params.refuse(faults)
    if "estimators" in values:
        raise InputError(f"{name}: is of a ROAR study; only studies of maps can be exported")
    if not (folder / "scores.parquet").is_file():
        raise InputError(f"{folder}: holds no scores.parquet; run the study to its end first")
    return folder, values


def _files(folder: Path) -> list[Path]:
    """The files of a study's results; without what pairs left behind that it has no more, perhaps of other images."""
    from xailib.results import read_table

    scores = read_table(folder / "scores.parquet")
    own = {folder / model / method for model, method in zip(scores["model"], scores["method"], strict=True)}
    left = {path.parent for path in folder.glob("*/*/maps.npz")} - own
    found = (path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
    return sorted(path for path in found if path.parent not in left)


def write_hub(folder: Path, values: dict[str, Any], out: Path) -> None:
    """Write a study's results as a data set on the Hugging Face hub: a card, tables as Parquet, maps as safetensors.

    Args:
        folder: of results.
        values: of the study.
        out: a new folder; what is in it can be uploaded as it is.
    """
    import pandas as pd

    from xailib.results import read_table
    from xailib.results.stored import load_maps, save_maps

    files = _files(folder)
    (out / "data").mkdir(parents=True)
    tables = {name: read_table(folder / f"{name}.parquet") for name in TABLES if (folder / f"{name}.parquet").is_file()}
    for name, table in tables.items():
        plain = {column: str for column, kind in table.dtypes.items() if isinstance(kind, pd.CategoricalDtype)}
        table.astype(plain).to_parquet(out / "data" / f"{name}.parquet", index=False)
    found = [(*path.parts[-3:-1], path) for path in files if path.name == "maps.npz"]
    for model, method, path in found:
        save_maps(_named(load_maps(path), model), out / "maps" / model / f"{method}.safetensors")
    for path in [path for path in files if path.suffix == ".json"]:
        (out / "records" / path.relative_to(folder)).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, out / "records" / path.relative_to(folder))
    shutil.copyfile(folder / "study.yaml", out / "study.yaml")
    (out / "README.md").write_text(_card(values, tables, found), encoding="utf-8")


def _named(maps: "Maps", model: str) -> "Maps":
    """The same maps with the names of their classes, where the network's file is still there."""
    from xailib.models import classes

    try:
        names = classes.of_model(params.load_params("models", model))
    except InputError:
        return maps
    return type(maps).of(
        maps.values, **{**maps.__dict__, "target_names": [names[target] for target in maps.targets.tolist()]}
    )


def _card(values: dict[str, Any], tables: "dict[str, pd.DataFrame]", found: list[tuple[str, str, Path]]) -> str:
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
        method=method, methods=_methods(list(tables["scores"]["method"].unique())),
        models=_many(tables["scores"]["model"].nunique(), "image classifier"),
        images=_many(tables["scores"]["image"].nunique(), "image"), citation=citations.of_study(values),
        **{key: values.get(key) for key in ("dataset", "seed", "scale")},
    )  # fmt: skip
    return f"---\n{yaml.safe_dump(head, sort_keys=False)}---\n\n{text}"


def _many(n: int, word: str) -> str:
    return f"{n} {word}{'s' * (n != 1)}"


def _methods(names: list[str]) -> str:
    """How many attribution methods these are, and how many controls, in words."""
    known, files = registry_facts()["methods"], params.ids("methods")
    functions = [params.setting("methods", name)[0] if name in files else name for name in names]
    controls = sum(known.get(function, {}).get("family") == "control" for function in functions)
    told = [_many(n, word) for n, word in ((len(names) - controls, "attribution method"), (controls, "control")) if n]
    return " and ".join(told)


def write_crate(folder: Path, values: dict[str, Any], out: Path) -> None:
    """Write a copy of a study's results with `ro-crate-metadata.json`; the Snakefile is its main entity.

    Every file is described, and which slice made which, from what, when and with which code.

    Args:
        folder: of results.
        values: of the study.
        out: a new folder.

    Raises:
        InputError: the package rocrate is not installed.
    """
    try:
        from rocrate.rocrate import ROCrate
    except ImportError:
        raise InputError("--to crate needs the package rocrate; run: pip install rocrate") from None
    crate = ROCrate()
    crate.name = f"xailib study '{values['study']}'"
    crate.description = values.get("description") or "Attribution methods on image classifiers, and their scores."
    crate.root_dataset["keywords"] = ["explainable AI", "attribution", "saliency maps"]
    workflow = crate.add_workflow(SHIPPED / "Snakefile", "Snakefile", main=True, lang="snakemake")
    workflow["name"] = "xailib: one executed notebook a slice"
    files = {}
    for path in _files(folder):
        name = path.relative_to(folder).as_posix()
        kind = FORMATS.get(path.suffix) or mimetypes.guess_type(path.name)[0] or "text/plain"
        files[name] = crate.add_file(path, name, properties={"name": name, "encodingFormat": kind}, record_size=True)
    for name in [name for name in files if name.endswith(".json")]:
        record = json.loads((folder / name).read_text(encoding="utf-8"))
        place, stage = name.rpartition("/")[0], Path(name).stem
        if stage in SLICES and "finished" in record:
            notebook, made = SLICES[stage]
            results = [files[f"{place}/{one}"] for one in (notebook, *made) if f"{place}/{one}" in files]
            action = {
                "name": f"{stage} {place.replace('/', ', ')}", "endTime": record["finished"],
                "description": f"{record['seconds']} s on {record.get('device', 'cpu')}; "
                f"commit {record['git']['commit'] or 'unknown'}; "
                f"{', '.join(f'{package} {version}' for package, version in record['packages'].items())}",
            }  # fmt: skip
            crate.add_action(workflow, object=[files["study.yaml"], files[name]], result=results, properties=action)
    with tempfile.TemporaryDirectory() as temporary:
        bib = Path(temporary) / "citations.bib"
        bib.write_text(citations.of_study(values) + "\n", encoding="utf-8")
        kind = {"name": "what the study is made of, as BibTeX", "encodingFormat": "application/x-bibtex"}
        crate.add_file(bib, "citations.bib", properties=kind)
        crate.write(out)


@command
def main(words: list[str] | None = None) -> int:
    """Run the command line and return its exit status: 0, or 2 for a user's error."""
    forms = {"hub": write_hub, "crate": write_crate}
    parser = argparse.ArgumentParser(prog="xailib export", description=__doc__)
    parser.add_argument("results", help="a study's folder in results/, or its id")
    parser.add_argument(
        "--to", choices=forms, required=True, help="hub: a data set of Hugging Face's; crate: an RO-Crate"
    )
    parser.add_argument("out", type=Path, help="a new folder")
    given = parser.parse_args(words)
    try:
        check_free(given.out)
        folder, values = results_folder(given.results)
        if given.out.resolve().is_relative_to(folder.resolve()):
            raise InputError(f"{given.out}: lies in {folder}, which is what is exported; give a folder outside of it")
        forms[given.to](folder, values, given.out)
    except OSError as error:
        raise InputError(f"{given.out}: cannot be written ({error.strerror})") from None
    print(f"{given.out}: {sum(path.is_file() for path in given.out.rglob('*'))} files")
    return 0
