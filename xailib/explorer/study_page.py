"""The explorer as a piece of a page: every map of a study, from the study's own files, in HTML that needs nothing else.

`python -m xailib.workflow explorer RESULTS OUT.html` writes it as a page of its own.
"""

import argparse
import base64
import html
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from torch import Tensor
from torch.nn.functional import avg_pool2d

from xailib import params
from xailib.analysis import gallery, scores
from xailib.analysis.facts import study_values
from xailib.analysis.frames import Frames, read_frames
from xailib.errors import InputError, command
from xailib.explorer import facts
from xailib.images.colours import is_signed, limits
from xailib.models import classes
from xailib.results import atomic, find_folder, read_maps

HERE = Path(__file__).parent
LEVELS = 63  # steps of a map between its ends, as in component.js
PIXELS = 30e6  # of all maps, about 6 MB; the default study has 7 million
FEWEST = 12  # images, before maps are made smaller instead
MOST = 500  # images

NO_SCRIPT = "The explorer of all maps needs JavaScript; everything else on this page does without."


def fragment(results_dir: str | Path) -> str:
    """Return the explorer of a study as a fragment of HTML, about 2 MB for the default study.

    Maps are in 64 steps of colour each, between the ends that figures use too; the maximum, the scores and the curves
    are those of the study. A study of more than `PIXELS` is shown in part: fewer images first, then smaller maps; the
    fragment says so.

    Args:
        results_dir: the study's folder, relative to here or to the repository.

    Returns:
        A fragment for any page, styles and script inside. One sentence where there are no maps.

    Raises:
        InputError: a missing folder, tables that are not collected yet, maps of other images than the study's.
    """
    found = study_facts(results_dir)
    if not found["slices"]:
        return "<p>This study has no maps to explore.</p>"
    data = json.dumps(found, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")  # no tag inside a script
    style, script = (HERE / f"component.{end}" for end in ("css", "js"))
    start = (
        "const root = document.querySelector('.xai-page:not([data-on])'); root.dataset.on = '';\n"
        "mount(root.firstElementChild, JSON.parse(root.querySelector('script').textContent));"
    )
    return (
        f"<style>\n{style.read_text(encoding='utf-8')}</style>\n"
        f'<div class="xai-page"><div><noscript>{NO_SCRIPT}</noscript></div>\n'
        f'<script type="application/json">{data}</script></div>\n'
        f'<script type="module">\n{script.read_text(encoding="utf-8")}\n{start}\n</script>\n'
    )


def study_facts(results_dir: str | Path) -> dict[str, Any]:
    """Return what the component is given of a study: see `fragment`."""
    folder = find_folder(results_dir)
    values, frames = study_values(folder), read_frames(folder)
    paths = frames.kept(folder, "maps.npz")
    images = gallery.explained_images(
        frames,
        values["dataset"],
        **{key: values[key] for key in ("split", "seed", "root")},
        most=MOST,
    )
    total, side = len(frames.images), images.pixels.shape[-1]
    count, step = _part(len(images), side, len(paths))
    images = images.select(slice(count))
    sheets: dict[str, int] = {}
    slices = {f"{model}/{method}": _slice(path, images.ids, step, sheets) for (model, method), path in paths.items()}
    _add_scores(slices, frames, images.ids)
    masks = images.masks.numpy()
    networks = [{"id": id, "label": label} for id, label in frames.models["label"].items()]
    skipped = frames.skipped.get(["model", "method", "reason"], pd.DataFrame(columns=["model", "method", "reason"]))
    return {
        "images": facts.pictures(images, images.class_names),
        "picture": facts.sheet(facts.bytes_of(images.pixels), quality=92),
        "mask": facts.sheet(masks.astype(np.uint8) * 255) if masks.any() else None,
        "masked": bool(masks.any()),
        "thumbs": facts.thumbs(images.pixels),
        "networks": [one | {"mean": params.load_params("models", one["id"])["mean"]} for one in networks],
        "methods": facts.methods(frames.methods),
        "metrics": facts.metrics(frames.metrics),
        "answers": _answers(frames, images.ids),
        "judged": bool(frames.predictions["correct"].notna().any()),
        "skipped": {f"{model}/{method}": reason for model, method, reason in skipped.itertuples(index=False)},
        "slices": slices,
        "sheets": list(sheets),
        "palettes": facts.palettes(),
        "note": _note(count, total, side, step, len(slices)),
        "start": {"panes": start(frames, list(paths))},
    }


def start(frames: Frames, pairs: list[tuple[str, str]]) -> list[dict[str, str]]:
    """Return what the two panes show first: a vanilla network and its robust twin, else two networks, else two methods."""
    if not pairs:
        return []
    own = {model: [method for name, method in pairs if name == model] for model, _ in pairs}
    twins = sorted(scores.twins(frames), key=lambda twin: "resnet" not in twin[0])
    shown = [[base, model] for _, model, base in twins if {base, model} <= own.keys()]
    one, other = shown[0] if shown else [*own, *own][:2]  # the same one twice where there is no other
    both = [method for method in own[one] if method in own[other]]
    first = (both or own[one])[0]
    second = own[one][:2][-1] if one == other else first if both else own[other][0]
    return [{"network": one, "method": first}, {"network": other, "method": second}]


def _part(images: int, side: int, slices: int) -> tuple[int, int]:
    """How many images are shown, and by how much maps are made smaller, so that all maps have at most `PIXELS`."""
    step = 1
    while (
        step < 8
        and images * slices * (side // step) ** 2 > PIXELS
        and PIXELS // (slices * (side // step) ** 2) < FEWEST
    ):
        step *= 2
    return min(images, max(1, int(PIXELS // max(1, slices * (side // step) ** 2)))), step


def _note(count: int, total: int, side: int, step: int, slices: int) -> str:
    """What a reader must know of how this was made."""
    text = f"All {slices} pairs of a network and a method; each map in {LEVELS + 1} steps of colour."
    if count < total:
        text += f" The first {count} of {total} images."
    return text + (f" Maps are shown with {side // step} of {side} pixels." if step > 1 else "")


def _slice(path: Path, ids: list[str], step: int, sheets: dict[str, int]) -> dict[str, Any]:
    """The maps of one network and method; `sheets` gets their sheet, unless the same one is there already."""
    stored = read_maps(path)
    places = {id: i for i, id in enumerate(stored["ids"])}
    lost = next((id for id in ids if id not in places), None)
    if lost is not None:
        raise InputError(f"{path}: the maps hold no image '{lost}' of the study's; run the attribute slice again")
    maps: Tensor = stored["maps"][[places[id] for id in ids]]
    signed = is_signed(maps)
    if step > 1:
        maps = avg_pool2d(maps[:, None], step)[:, 0]
    ends = np.array([limits(one, signed) for one in maps.numpy()])
    low, high = (end[:, None, None] for end in ends.T)
    levels = ((maps.numpy() - low) / (high - low)).clip(0, 1) * LEVELS
    found = facts.sheet(levels.round().astype(np.uint8))
    place = sheets.setdefault(found.pop("uri"), len(sheets))  # controls are the same for every network
    return {
        **found,
        "sheet": place,
        "signed": signed,
        "images": len(ids),
        "low": _short(ends[:, 0]),
        "high": _short(ends[:, 1]),
        "peak": maps.flatten(1).argmax(dim=1).tolist(),
        "scores": {},
        "curves": _curves(path.with_name("curves.npz"), ids),
    }


def _curves(path: Path, ids: list[str]) -> dict[str, str]:
    """The curves of Deletion and Insertion `(n, steps + 1)` as bytes, 255 for probability 1, in base 64."""
    return {
        name: base64.b64encode((values.clip(0, 1) * 255).round().astype(np.uint8).tobytes()).decode()
        for name, values in facts.stored_curves(path, ids).items()
    }


def _add_scores(slices: dict[str, Any], frames: Frames, ids: list[str]) -> None:
    """Give every slice its scores: a number an image for each metric, None where the metric defines none."""
    table = frames.scores.pivot_table("value", ["model", "method", "metric"], "image", dropna=False, observed=True)
    for (model, method, metric), row in table.reindex(columns=ids).iterrows():
        if f"{model}/{method}" in slices:
            slices[f"{model}/{method}"]["scores"][metric] = _short(row.to_numpy())


def _short(values: Any) -> list[float | None]:
    """Numbers with four digits, which is more than is seen; None for NaN."""
    return [float(f"{value:.4g}") if np.isfinite(value) else None for value in values]


def _answers(frames: Frames, ids: list[str]) -> dict[str, list[Any]]:
    """What every network says to each image: its class and that class's share, and whether it is right."""
    chosen = frames.predictions[frames.predictions["subset"] == "maps"]
    return {
        str(model): _said(str(model), rows.set_index("image").reindex(ids)) for model, rows in chosen.groupby("model")
    }


def _said(model: str, rows: pd.DataFrame) -> list[Any]:
    names = classes.of_model(params.load_params("models", model))
    return [
        None
        if pd.isna(row.predicted)
        else {
            "top": [[names[int(row.predicted)], round(float(row.confidence), 3)]],
            "right": None if pd.isna(row.correct) else bool(row.correct),  # NaN: the image has no label
        }
        for row in rows.itertuples()
    ]


@command
def main(words: list[str] | None = None) -> int:
    """Run the command line and return its exit status: 0, or 2 for a user's error."""
    parser = argparse.ArgumentParser(
        prog="python -m xailib.workflow explorer",
        description="Write every map of a study as one page to click through.",
    )
    parser.add_argument("results", help="the study's folder, such as results/pictograms")
    parser.add_argument("page", type=Path, help="the HTML file to write")
    arguments = parser.parse_args(words)
    name = html.escape(str(study_values(find_folder(arguments.results))["study"]))
    text = (
        '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>Explore {name}</title><style>:root{{color-scheme:light dark}}body{{margin:1rem}}</style>"
        f"<main><h1>Every map of the study {name}</h1>{fragment(arguments.results)}</main></html>"
    )
    with atomic(arguments.page) as partial:
        partial.write_text(text, encoding="utf-8")
    print(f"wrote {arguments.page} ({arguments.page.stat().st_size / 1e6:.1f} MB)")
    return 0
