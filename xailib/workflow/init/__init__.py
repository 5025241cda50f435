"""`xailib init DIR --model M --images I`: a workspace with a study of your own networks on your own images.

Asks nothing: what it can it derives, and behind every line that it writes stands where that is from.
"""

import argparse
import errno
import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from xailib import params
from xailib.errors import InputError, command
from xailib.workflow.init import scale
from xailib.workflow.init.text import Draft
from xailib.workspace import SHIPPED, expanded

IMAGES = 20  # images that get maps, of those that there are
METHODS = (
    "gradient",
    "integrated_gradients",
    "shap",
    "cam",
    "gradcam",
    "extremal_perturbation",
    "meaningful_perturbation",
)
METHODS += ("rise", "lime", "random", "centre_gaussian", "sobel")
METRICS, METRICS_OF_BOXES = ("deletion", "insertion"), ("localisation", "pointing_game")
SIDES = (8, 2048)  # pixels of a side that --size may ask for

SNAKEFILE = """\
from xailib.workflow import snakefile

config.setdefault("study", "{study}")


include: snakefile()


# What a bare `snakemake` makes: an include sets no first rule.
rule here:
    localrule: True
    input:
        f"{{RESULTS}}/report.html",
"""
GITIGNORE = "/results/\n/resources/\n/logs/\n.snakemake/\n__pycache__/\n"
PLUGIN = '''\
# Methods, metrics, data sets and architectures of your own: every file of this folder is read, and an edit makes only those
# results anew that use it. Take the comment signs away, and add params/methods/darkness.yaml with the line `method: darkness`
# and `darkness` to the study's methods.
#
# from torch import Tensor
#
# from xailib.models import Model
# from xailib.registry import method
#
#
# @method("darkness", family="control", label="Darkness", paper="none")
# def darkness(model: Model, pixels: Tensor, labels: Tensor) -> Tensor:
#     """Dark pixels are said to speak for the class: maps (n, h, w) of pixels (n, 3, h, w) in [0, 1]."""
#     return 1 - pixels.mean(dim=1)
'''


def init(
    folder: str | Path,
    models: Sequence[str],
    images: str,
    *,
    architecture: str | None = None,
    class_names: str | None = None,
    size: int | None = None,
    root: str | None = None,
    target: str | None = None,
) -> tuple[Path, str, list[str]]:
    """Write a workspace, whole or not at all, and return its folder, its study, and sentences on what to look at.

    Args:
        folder: new, or empty. Its name becomes the study's.
        models, images: as `--model` and `--images` have them: see `networks.network` and `images.pictures`.
        architecture: of the checkpoints among the models.
        class_names: what the networks' outputs stand for: a file with one name a line, names with commas between, or imagenet.
        size: pixels a side of the networks' input, where it is not to be the one that they are known to have.
        root: the folder of a data set that is read from one.
        target: predicted, where labels are not to be looked at.

    Raises:
        InputError: a folder that is in use or cannot be written, or what the networks, the images or their classes refuse.
    """
    place = expanded(folder).absolute()
    check_free(place)
    from xailib.workflow.init.images import agree, pictures
    from xailib.workflow.init.networks import ASSUMED, WEIGHTS, free_id, name_classes, network

    if size is not None and not SIDES[0] <= size <= SIDES[1]:
        raise InputError(f"--size {size}: no side of an image in pixels; give {SIDES[0]} to {SIDES[1]}, such as 224")
    if architecture and not any(word.lower().endswith(WEIGHTS) for word in models):
        raise InputError(f"--architecture {architecture}: no --model is a checkpoint file; leave it out")
    study = free_id("studies", place.name)
    names = _names(class_names)
    found = pictures(images, free_id("datasets", f"{place.name} images"), root)
    if target == "predicted":
        found.names = []
    drafts, answers = [], []
    for word in models:
        draft, model = network(word, architecture, names, size)
        assumed = model.origins.get("classes") == ASSUMED
        if assumed and len(found.names) == len(model.class_names):
            model.class_names = found.names
            name_classes(draft, found.names, "assumed: those of the images, in their order; check it")
            draft.warnings.append(
                f"model '{draft.id}': its classes are assumed to be {', '.join(found.names[:5])}, in this order"
            )
        drafts.append(draft)
        answers.append((draft.id, model.class_names))
    explained = agree(found, answers)
    twice = next((draft.id for draft in drafts if [one.id for one in drafts].count(draft.id) > 1), None)
    if twice is not None:
        raise InputError(f"--model: two networks would be called '{twice}'; give one of them")
    drafts += [found.draft] if found.draft else []
    drafts.append(_study(study, [id for id, _ in answers], found, explained))
    _write(place, study, drafts)
    return place, study, [sentence for draft in drafts for sentence in draft.warnings]


def check_free(place: Path) -> None:
    """Raise an `InputError` unless a folder is new or empty."""
    if place.is_dir() and any(place.iterdir()):
        raise InputError(f"{place}: there is something in it, and nothing is ever overwritten; give a new folder")
    if place.exists() and not place.is_dir():
        raise InputError(f"{place}: is a file; give a new folder")


def _names(given: str | None) -> Any:
    """Class names as `wrap` takes them."""
    from xailib.models.classes import read_names

    if given is None or given == "imagenet":
        return given
    if os.path.isfile(os.path.expanduser(given)):  # which a name too long for a file is not
        return read_names(expanded(given))
    if "," not in given:
        raise InputError(
            f"--classes {given}: no such file; give a file with one name a line, names with commas, or imagenet"
        )
    return [name.strip() for name in given.split(",")]


def _study(id: str, models: list[str], images: Any, target: str) -> Draft:
    """The study's file."""
    limit = min(IMAGES, images.count)
    boxes = METRICS_OF_BOXES if images.boxes else ()
    values = {
        "study": id, "kind": "compare", "description": f"Which explanation can be trusted on {', '.join(models)}?",
        "dataset": images.dataset, "root": images.root, "limit": limit, "seed": 0, "models": models,
        "methods": list(METHODS), "metrics": [*METRICS, *boxes], "scale": scale.SCALES[0], "target": target,
        "reliability_images": min(4, limit), "sanity_images": min(4, limit), "sanity_points": 1,
        "accuracy_images": None, "only_correct": False,
    }  # fmt: skip
    notes = {
        "study": "its name, and its folder in results/",
        "kind": "which of the methods can be trusted on these networks",
        "description": "stands in the report",
        "dataset": "a file of params/datasets/, here or shipped",
        "root": "where its images are",
        "limit": f"images that get maps, of {images.count}; more make intervals narrower, and take as much longer",
        "seed": "chooses the images, and seeds all that is random",
        "models": "files of params/models/",
        "methods": "nine methods and three controls, which any method must beat; those that a network cannot have are left out",
        "metrics": "no boxes are needed for these; pointing_game and localisation need some"
        if not boxes
        else "the last two look at the boxes",
        "scale": "how many samples a map is made from; full is the papers'",
        "target": "the class that maps explain: the image's label"
        if target == "label"
        else "the class that maps explain: the network's answer, whatever the label",
        "reliability_images": "explained again under another seed: how much of a map is chance?",
        "sanity_images": "explained again on randomised weights: does a map follow the network?",
        "sanity_points": "1: all weights at once, which the verdict is on; more also show layer by layer",
        "accuracy_images": "accuracy is measured on all images",
        "only_correct": "images that a network gets wrong count too",
    }
    head = "A study of your own. `snakemake` runs it; what is already made is kept, and an edit here makes anew what it touches."
    return Draft("studies", values, notes, head)


def _write(place: Path, study: str, drafts: Sequence[Draft]) -> None:
    """Write the folder beside its place first, so that a half of it never stands there."""
    texts = {f"params/{draft.kind}/{draft.id}.yaml": draft.text() for draft in drafts}
    texts |= {name: text for draft in drafts for name, text in draft.files.items()}
    profile = "profiles/default/profile.yaml"
    texts |= {profile: (SHIPPED / profile).read_text(encoding="utf-8")}
    texts |= {"Snakefile": SNAKEFILE.format(study=study), ".gitignore": GITIGNORE, "plugins/example.py": PLUGIN}
    try:
        there = place.is_dir()  # perhaps someone's current folder, which must not be replaced
        place.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=f".{place.name}-", dir=place if there else place.parent))
        try:
            for name, text in texts.items():
                (partial / name).parent.mkdir(parents=True, exist_ok=True)
                (partial / name).write_text(text, encoding="utf-8")
            for draft in drafts:
                params.refuse(params.read(partial / "params" / draft.kind / f"{draft.id}.yaml", draft.kind)[1])
            partial.chmod(0o755)
            for path in [*partial.iterdir()] if there else [partial]:
                os.replace(path, place / path.name if there else place)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    except OSError as error:
        why = "read-only" if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM) else error.strerror
        raise InputError(f"{place}: cannot be written ({why}); give a folder that is open for writing") from None


@command
def main(words: list[str] | None = None) -> int:
    """Run the command line and return its exit status: 0, or 2 for a user's error."""
    parser = argparse.ArgumentParser(prog="xailib init", description=__doc__.splitlines()[0])
    parser.add_argument("folder", metavar="DIR", help="the workspace: a new folder, after which the study is called")
    parser.add_argument("--model", action="append", required=True, metavar="M", help="timm:NAME, torchvision:NAME, hf:ID, a"
                        " checkpoint file (with --architecture), or my_net.py:make; may be given several times")  # fmt: skip
    parser.add_argument("--images", required=True, metavar="I", help="a folder (flat, or one folder a class), a CSV with the"
                        " columns file, label and box, or the id of a data set, such as imagenet")  # fmt: skip
    parser.add_argument("--architecture", help="of a checkpoint: NAME, timm:NAME, torchvision:NAME or my_net.py:make")
    parser.add_argument("--classes", help="what the outputs stand for: a file with one name a line, a,b,c or imagenet")
    parser.add_argument("--root", help="the folder of a data set such as imagenet")
    parser.add_argument("--target", choices=["predicted"], help="explain the network's answer, whatever the labels say")
    parser.add_argument("--size", type=int, metavar="N", help="pixels a side of the input, where it is not to be the network's"
                        f" own ({SIDES[0]} to {SIDES[1]}); fewer are faster")  # fmt: skip
    given = parser.parse_args(words)
    place, study, sentences = init(
        given.folder, given.model, given.images, architecture=given.architecture, class_names=given.classes,
        size=given.size, root=given.root, target=given.target,
    )  # fmt: skip
    print(f"{place}:")
    for path in sorted(path for path in place.rglob("*") if path.is_file()):
        print(f"  {path.relative_to(place)}")
    for sentence in sentences:
        print(f"Look at this: {sentence}.")
    print(f"Next: cd {given.folder} && snakemake")
    try:
        print(scale.choose(place, study, scale.prices(place, study)))
    except InputError as error:
        print(f"What it costs is not known: {error}")
    return 0
