"""A study's results as an RO-Crate: every file described, and which slice made which, from what, when and with which code."""

import json
import mimetypes
import tempfile
from pathlib import Path
from typing import Any

from xailib.errors import InputError
from xailib.params import citations
from xailib.workspace import SHIPPED

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


def write_crate(folder: Path, values: dict[str, Any], out: Path) -> None:
    """Write a copy of a study's results with `ro-crate-metadata.json`; the Snakefile is its main entity.

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
    for path in sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith(".")):
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
                "description": f"{record['seconds']} s on {record.get('device', 'cpu')}; commit {record['git']['commit']}; "
                f"{', '.join(f'{package} {version}' for package, version in record['packages'].items())}",
            }  # fmt: skip
            crate.add_action(workflow, object=[files["study.yaml"], files[name]], result=results, properties=action)
    with tempfile.TemporaryDirectory() as temporary:
        bib = Path(temporary) / "citations.bib"
        bib.write_text(citations.of_study(values) + "\n", encoding="utf-8")
        kind = {"name": "what the study is made of, as BibTeX", "encodingFormat": "application/x-bibtex"}
        crate.add_file(bib, "citations.bib", properties=kind)
        crate.write(out)
