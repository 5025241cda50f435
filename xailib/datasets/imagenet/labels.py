"""ImageNet's classes by name, WordNet id and label, and the tables that tell an image its class.

Labels count the 1,000 WordNet ids in sorted order, as torchvision and nearly all checkpoints do. The devkit's
ILSVRC2012_ID is another order, so its ground truth needs the list that translates it.
"""

import csv
import importlib.util
import re
from pathlib import Path, PurePosixPath

from xailib.datasets.files import distinct, look, numbered, read_classes, read_lines, read_text
from xailib.errors import InputError
from xailib.image_files import SUFFIXES

IMAGES = 50_000
GROUND_TRUTH = "ILSVRC2012_validation_ground_truth.txt"
META = ("meta.mat", "meta.txt")
LABEL_LIST = "val_labels.txt"
NUMBER = re.compile(r"ILSVRC2012_val_(\d{8})")
_TABLE = "a table of labels"


def imagenet_class_names() -> list[str]:
    """Return the 1,000 class names, in the order of their WordNet ids, as torchvision lists them (all different)."""
    from torchvision.models import SqueezeNet1_1_Weights

    return list(SqueezeNet1_1_Weights.IMAGENET1K_V1.meta["categories"])


def wordnet_ids() -> list[str]:
    """Return the 1,000 WordNet ids, sorted: in the order of labels."""
    return list(wordnet_labels())


def wordnet_labels(part: str = "imagenet") -> dict[str, int]:
    """Return WordNet id -> label of `imagenet` (1,000), or of the 200 classes of `imagenet_a` or `imagenet_r`."""
    label = numbered(_timm_ids("imagenet"))
    return {wnid: label[wnid] for wnid in _timm_ids(part)}


def _timm_ids(part: str) -> list[str]:
    return timm_file(f"{part}_synsets.txt").read_text(encoding="utf-8").split()


def timm_file(name: str) -> Path:
    """Return a list that comes with timm, found without importing timm, which takes seconds."""
    spec = importlib.util.find_spec("timm")
    path = Path(spec.origin).parent / "data" / "_info" / name if spec and spec.origin else Path(name)
    if not path.is_file():
        raise InputError(f"{path}: this list comes with the package timm; install timm 1.0.15 or newer")
    return path


def read_synsets(path: Path) -> dict[str, int]:
    """Return class folder (WordNet id) -> label from a file whose lines begin with one each, in the order of labels."""
    return numbered(distinct(path, [line.split()[0] for line in read_classes(path)]))


def find_table(places: list[Path], *names: str) -> Path | None:
    """Return the first of the files `names` that lies in one of the places, earlier names first."""
    return next((place / name for name in names for place in places if (place / name).is_file()), None)


def image_classes(places: list[Path], split: str) -> tuple[Path, dict[str, str]]:
    """Return the table of labels found, and image id (file name without suffix) -> WordNet id or label in digits.

    Raises:
        InputError: no table (what was looked for and what is there), or one that cannot be read.
    """
    solution = f"LOC_{split}_solution.csv"
    table = find_table(places, solution, LABEL_LIST, GROUND_TRUTH)
    if table is None:
        raise InputError(
            f"{places[0]}: no labels: looked for {solution}, {LABEL_LIST} or {GROUND_TRUTH} with {META[0]} there and in"
            f" {', '.join(dict.fromkeys(str(place) for place in places[1:] if place.is_dir()))}; {look(places[0])}"
        )
    if table.name == GROUND_TRUTH:
        return table, _ground_truth(table, places)
    return table, _read_solution(table) if table.name == solution else _read_labels(table)


def _read_solution(path: Path) -> dict[str, str]:
    """Image id -> WordNet id, from rows such as `ILSVRC2012_val_00000001,n01751748 111 108 431 323`.

    A header is one row more, of no image.
    """
    try:
        rows = [row for row in csv.reader(read_text(path, _TABLE).splitlines()) if any(row)]
    except csv.Error as error:
        raise InputError(f"{path}: cannot be read as a table of labels ({error})") from None
    bad = next((row for row in rows if len(row) < 2 or not row[1].strip()), None)
    if bad is not None:
        raise InputError(f"{path}: the row {','.join(bad)!r} gives no class; rows are 'image id,class x1 y1 x2 y2 ...'")
    return _by_image(path, [(row[0], row[1].split()[0]) for row in rows])


def _by_image(path: Path, rows: list[tuple[str, str]]) -> dict[str, str]:
    """Image id -> class, from rows that name an image with or without its folder and suffix, and each once."""
    found: dict[str, str] = {}
    for name, kind in rows:
        file = PurePosixPath(name.strip())
        id = file.stem if file.suffix.lower() in SUFFIXES else file.name
        if found.setdefault(id, kind) != kind:
            raise InputError(f"{path}: gives '{id}' two classes, {found[id]} and {kind}; an image has one")
    return found


def _read_labels(path: Path) -> dict[str, str]:
    """Image id -> WordNet id or label, from rows `FILE CLASS`, or from 50,000 WordNet ids in the order of the images."""
    rows = [re.split(r"[\s,]+", line) for line in read_lines(path, _TABLE)]
    if all(len(row) == 1 for row in rows):
        unknown = next((row[0] for row in rows if not re.fullmatch(r"n\d{8}", row[0])), None)
        if unknown is not None:
            raise InputError(
                f"{path}: '{unknown}' is no WordNet id; bare numbers could be labels or ILSVRC2012_IDs, so give rows"
                " 'FILE CLASS'"
            )
        return _numbered(path, [row[0] for row in rows])
    bad = next((row for row in rows if len(row) < 2 or not re.fullmatch(r"n\d{8}|\d{1,3}", row[1])), None)
    if bad is not None:
        raise InputError(f"{path}: the row {' '.join(bad)!r} is not 'FILE CLASS' with a WordNet id or a label 0 to 999")
    return _by_image(path, [(row[0], row[1]) for row in rows])


def _ground_truth(path: Path, places: list[Path]) -> dict[str, str]:
    """Image id -> WordNet id, from the devkit's ILSVRC2012_IDs and the list that says what they mean."""
    meta = find_table(places, *META)
    if meta is None:
        binary = find_table(places, "meta.bin")
        unread = f" ({binary.name} is a pickle, which is not read)" if binary else ""
        raise InputError(
            f"{path}: holds ILSVRC2012_IDs, which are not labels, and needs the devkit's {META[0]} (or {META[1]} with rows"
            f" 'ID WNID') in {path.parent} to translate them{unread}; {look(path.parent)}"
        )
    classes = _read_mat(meta) if meta.suffix == ".mat" else _read_meta(meta)
    if set(classes) != {str(number) for number in range(1, 1001)}:
        raise InputError(
            f"{meta}: gives a WordNet id to {len(classes)} of the ILSVRC2012_IDs 1 to 1000; use ILSVRC 2012's"
        )
    numbers = read_lines(path, _TABLE)
    unknown = next((number for number in numbers if number not in classes), None)
    if unknown is not None:
        raise InputError(f"{path}: '{unknown}' is no ILSVRC2012_ID from 1 to 1000")
    return _numbered(path, [classes[number] for number in numbers])


def _read_mat(path: Path) -> dict[str, str]:
    """ILSVRC2012_ID -> WordNet id of the devkit's synsets without children; those with some count on from 1001."""
    from scipy.io import loadmat
    from scipy.io.matlab import MatReadError

    try:
        rows = loadmat(path, squeeze_me=True)["synsets"]
        pairs = zip(rows["ILSVRC2012_ID"], rows["WNID"], strict=True)
        return {str(int(number)): str(wnid) for number, wnid in pairs if int(number) <= 1000}
    except (OSError, KeyError, IndexError, TypeError, ValueError, NotImplementedError, MatReadError) as error:
        raise InputError(f"{path}: cannot be read as the devkit's list of synsets ({error})") from None


def _read_meta(path: Path) -> dict[str, str]:
    rows = [re.split(r"[\s,]+", line) for line in read_lines(path, _TABLE)]
    return {row[0]: row[1] for row in rows if len(row) > 1 and row[0].isdigit() and re.fullmatch(r"n\d{8}", row[1])}


def _numbered(path: Path, classes: list[str]) -> dict[str, str]:
    if len(classes) != IMAGES:
        raise InputError(f"{path}: has {len(classes)} lines, not one for each of the {IMAGES} validation images")
    return {f"ILSVRC2012_val_{number:08d}": name for number, name in enumerate(classes, start=1)}


def class_label(name: str, labels: dict[str, int], table: Path, id: str, source: str) -> int:
    """Return the label of a WordNet id, or of a label in digits; one that is not known is refused."""
    if name in labels:
        return labels[name]
    if name.isdigit() and int(name) < len(labels):
        return int(name)
    raise InputError(f"{table}: {id} has class '{name}', which {source} does not list")
