"""One table of what the slices of a study wrote: all that the final notebooks read, maps apart.

Nothing is joined that was made from other values than the study's.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xailib.params.made_from import require

if TYPE_CHECKING:
    import pandas as pd

    from xailib.workflow.study import Study

# Table -> the stages whose slices write a part of it, and where that lies in the folder of results.
TABLES = {
    "collect": {
        "scores": {
            "evaluate": "{model}/{method}/scores.parquet",
            "indomain": "{model}/{method}/indomain.parquet",
        },
        "reliability": {"evaluate": "{model}/{method}/reliability.parquet"},
        "sanity": {"sanity": "{model}/{method}/sanity.parquet"},
        "predictions": {"predict": "{model}/predictions.parquet"},
        "accuracy": {"predict": "{model}/accuracy.parquet"},
    },
    "roar_collect": {
        "roar": {"roar_base": "base/rows.parquet", "roar_retrain": "{estimator}/{mode}_{level}/rows.parquet"},
        "trust": {"roar_trust": "{estimator}/trust.parquet"},
    },
}
_CATEGORIES = ("model", "method", "metric", "shift", "subset")

# Path in the folder of results -> the stage that wrote it, and which of its slices.
Parts = dict[str, tuple[str, Mapping[str, Any]]]


def parts(study: "Study", stage: str) -> dict[str, Parts]:
    """Return the files that each table of `collect` or `roar_collect` is joined of, in the order of the grid.

    A table whose stages the study does not have is left out.
    """
    return {
        table: {path.format(**one): (stage, one) for stage, path in paths.items() for one in study.grid.get(stage, ())}
        for table, paths in TABLES[stage].items()
        if study.grid.keys() & paths
    }


def collect(study: "Study", folder: Path) -> None:
    """Join the slices' tables, list the pairs that were left out, and say which trainings failed.

    Args:
        study: whose slices; `TABLES` has the tables of both kinds.
        folder: its results.

    Raises:
        InputError: a table that is missing, or that was made from other values than the study's.
    """
    import pandas as pd  # the Snakefile reads TABLES, and must not wait for tables and torch

    from xailib.results import write_json, write_table

    stage = "roar_collect" if study.estimators else "collect"
    made, found = study.made_from(stage), parts(study, stage)
    for name in TABLES[stage].keys() - found:  # of a study that had these stages once: final notebooks would read it
        (folder / f"{name}.parquet").unlink(missing_ok=True)
    for name, files in found.items():
        table = _joined(study, folder, files)
        table.attrs = {"made_from": made}
        print("wrote", write_table(folder / f"{name}.parquet", table), f"({len(table)} rows)")
        for row in table[table["status"] != "ok"].itertuples() if "status" in table else ():
            print(f"{row.estimator} {row.mode} {row.level} % seed {row.seed}: {row.status}")
    if stage == "collect":
        skipped = pd.DataFrame(study.skipped, columns=["model", "method", "reason"])
        print("wrote", write_table(folder / "skipped.csv", skipped), f"({len(skipped)} pairs)")
    write_json(folder / f"{stage}.json", {"made_from": made})


def _joined(study: "Study", folder: Path, files: Parts) -> "pd.DataFrame":
    """The tables in some files, one below the other."""
    import pandas as pd

    from xailib.results import read_table

    tables = []
    for path, (stage, one) in files.items():
        tables.append(read_table(folder / path))
        require(folder / path, tables[-1].attrs.get("made_from"), study.made_from(stage, **one))
    table = pd.concat(tables, ignore_index=True)
    return table.astype({column: "category" for column in _CATEGORIES if column in table})
