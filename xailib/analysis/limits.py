"""What a study cannot say, whatever its numbers are, and what it lacks for it."""

from collections.abc import Iterator

from xailib.analysis import controls, scores
from xailib.analysis.claims import LOCALISING
from xailib.analysis.draws import FEWEST_UNITS
from xailib.analysis.facts import literal, many
from xailib.analysis.frames import Frames


def limits(frames: Frames, bootstrap: int = 2000, seed: int = 0) -> list[str]:
    """Return a sentence for each thing that the study, with the images that count, cannot say; what is missing in each."""
    if not frames.images:
        if not frames.labelled:
            return ["**Nothing is said of any claim**: no image has a label. Count all images (`only_correct: false`)."]
        return [
            "**Nothing is said of any claim**: no image is classified correctly by every network. Leave out the weakest "
            "networks, look through more images (`accuracy_images`), or count all images (`only_correct: false`)."
        ]
    return [*_networks(frames), *_images(frames), *_metrics(frames, bootstrap, seed)]


def _networks(frames: Frames) -> Iterator[str]:
    count, word = len(frames.recipes), frames.unit.removesuffix("s")
    if count < FEWEST_UNITS:
        yield (
            f"**Not which methods are best on networks in general** (F3): {many(count, word)} of the "
            f"{FEWEST_UNITS} that an interval over {word}s needs."
        )
    pairs = len({architecture for architecture, *_ in scores.twins(frames)})
    if pairs < FEWEST_UNITS:
        yield (
            f"**Not what robust training does to explanations** (F1, F4): {many(pairs, 'architecture')} with a robust "
            f"and a vanilla network, of the {FEWEST_UNITS} that an interval over architectures needs."
        )
    if frames.models.groupby(["architecture", "training_algorithm"]).size().median() < 2:
        yield (
            "**Not what a training or an architecture does in general** (F2, F5, F6): each was trained once, so that these "
            "findings are about these very networks. Several seeds of each training are missing."
        )


def _images(frames: Frames) -> Iterator[str]:
    hits = [name for name in LOCALISING if name in frames.metrics.index]
    if hits and not any(frames.columns_of(name) for name in hits):
        yield "**Not whether maps find the object** (F1): no image has a box of it, nor a mask."
    elif "pointing_game" in hits and "value_mask" not in frames.columns_of("pointing_game"):
        yield (
            "**Not whether maps find the object's own pixels**: no image has an exact mask, so that hits are judged by "
            "boxes, which hold background too."
        )


def _metrics(frames: Frames, bootstrap: int, seed: int) -> Iterator[str]:
    leads = controls.leads(frames, bootstrap, seed)
    if not leads:
        yield (
            "**Not whether a metric tells more than where the objects are**: the study lacks the control "
            f"`{controls.CENTRE}`, or a method beside it."
        )
    for name in controls.void(frames, bootstrap, seed):
        label = literal(frames.metrics.loc[name, "label"])
        yield (
            f"**Nothing by {label}**, which is void here: no method is shown to be ahead of the "
            f"image's centre (at most {leads[name].high:+z.3f}). Images with smaller or less central objects are missing."
        )
