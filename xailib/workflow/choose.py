"""Which images of a study get maps: the first that every network classifies correctly. The rule `choose`."""

from pathlib import Path
from typing import TYPE_CHECKING

from xailib.errors import InputError
from xailib.params.made_from import require

if TYPE_CHECKING:
    import pandas as pd

    from xailib.workflow.study import Study


def candidates(limit: int | None, accuracy_images: int | None) -> int | None:
    """Return how many images are looked through for those that all networks are right on; None for all there are.

    They are those of accuracy, on which the networks answer anyway, and as many as are to be found, at least.
    """
    return None if limit is None or accuracy_images is None else max(limit, accuracy_images)


def choose(study: "Study", folder: Path) -> None:
    """Write `chosen.json`, the first `limit` images that every network is right on, and `choose.json`, what they are of.

    Where there are fewer, it is all of them. Where there is none, the first `limit` images of all get maps, so that the
    study can be looked at; its findings count none of them and say so.

    Args:
        study: whose networks have answered (`predict`), and whose maps wait for this.
        folder: its results.

    Raises:
        InputError: answers that are missing, or that were made from other values than the study's, or of other images.
    """
    import pandas as pd  # the Snakefile must not wait for tables

    from xailib.results import write_json

    right = pd.DataFrame({model: _right(study, folder, model) for model in study.models})
    if right.isna().any(axis=None):
        raise InputError(f"{folder}: the networks answered on different images; run the predict slices again")
    limit, all_right = study.values["limit"], right.all(axis="columns").to_numpy().nonzero()[0].tolist()
    chosen = (all_right or list(range(len(right))))[:limit]
    write_json(folder / "chosen.json", {"images": {right.index[place]: place for place in chosen}})
    record = {"candidates": len(right), "right_by_all": len(all_right), "right": right.sum().astype(int).to_dict()}
    write_json(folder / "choose.json", {**record, "chosen": len(chosen), "made_from": study.made_from("choose")})
    print(f"{len(all_right)} of the first {len(right)} images are right by all networks; {len(chosen)} get maps")


def _right(study: "Study", folder: Path, model: str) -> "pd.Series":
    """Whether a network is right, by the id of the image, in the data set's order; an image without a label is not."""
    from xailib.results import read_table

    path = folder / model / "predictions.parquet"
    table = read_table(path)
    require(path, table.attrs.get("made_from"), study.made_from("predict", model=model))
    rows = table[table["subset"] == "maps"]
    return rows.set_index("image")["correct"].eq(True)
