"""ImageNet-C (Hendrycks & Dietterich 2019, arXiv 1903.12261): corrupted validation images, read from a folder.

Its corruptions made on the fly are in `corruptions`.
"""

from pathlib import Path

from xailib.datasets.files import Crop, Files, check_split, look
from xailib.datasets.imagenet_labels import wordnet_ids
from xailib.datasets.imagenet_variants import FACTS, class_files
from xailib.errors import InputError, nearest
from xailib.registry import dataset


def imagenet_c_folders(root: str | Path) -> dict[str, Path]:
    """Return "corruption/severity" -> folder of what `root` holds, itself or in groups such as `noise/`, sorted.

    Raises:
        InputError: no such folder in it.
    """
    root = Path(root)
    found = sorted(root.glob("*/[1-5]")) or sorted(root.glob("*/*/[1-5]"))
    if not found:
        raise InputError(
            f"{root}: looked for CORRUPTION/SEVERITY/WNID/, such as gaussian_noise/3/n01440764/; {look(root)}"
        )
    return {f"{path.parent.name}/{path.name}": path for path in found}


def _parts(root: str | Path) -> dict[str, dict[str, str]]:
    """Shift name within ImageNet-C -> options of `imagenet_c`; its files are centre crops, and are not cropped again."""
    return {name: {"corruption": name, "crop": "resize"} for name in imagenet_c_folders(root)}


@dataset("imagenet_c", label="ImageNet-C", parts=_parts, **FACTS)
def imagenet_c(
    *,
    root: str | Path,
    split: str = "val",
    limit: int | None = None,
    seed: int = 0,
    side: int = 224,
    crop: Crop = "resize",
    corruption: str = "gaussian_noise/3",
) -> Files:
    """Load `ROOT/CORRUPTION/SEVERITY/WNID/*.JPEG`; the same seed gives the same images under every corruption.

    Args:
        root: the folder of the corruptions, or of their groups: noise, blur, weather, digital, extra.
        split: val, the only one.
        limit, seed: how many images, and which; see `load_images`.
        side: side of the square input in pixels; the files have 224.
        crop: `resize`, or `centre` for the middle 87.5 %; the files are centre crops already.
        corruption: name and severity (1 to 5), such as "jpeg_compression/5".

    Raises:
        InputError: no such folder or corruption, a class folder that is missing or empty, an unreadable image.
    """
    check_split("imagenet_c", split, ["val"])
    folders = imagenet_c_folders(root)
    if corruption not in folders:
        raise InputError(f"{root}: has no corruption '{corruption}'{nearest(corruption, folders)}")
    return class_files(folders[corruption], wordnet_ids(), limit, seed, side, crop)
