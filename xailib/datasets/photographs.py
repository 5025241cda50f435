"""The photographs that ship inside the scikit-image and scikit-learn wheels: backgrounds and textures of pictograms."""

import importlib.util
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image

from xailib.errors import InputError
from xailib.images.pictures import read_image

# No photograph serves two splits, so no test background was ever a training background. `unseen` holds kinds of
# picture that training never showed: the sky, tissue under a microscope, the back of an eye.
SPLITS: dict[str, tuple[str, ...]] = {
    "train": (
        "skimage/data/astronaut.png",
        "skimage/data/coffee.png",
        "skimage/data/motorcycle_left.png",
        "sklearn/datasets/images/china.jpg",
        "skimage/data/brick.png",
        "skimage/data/camera.png",
        "skimage/data/coins.png",
    ),
    "validation": ("skimage/data/rocket.jpg", "skimage/data/gravel.png", "skimage/data/clock_motion.png"),
    "test": ("skimage/data/chelsea.png", "sklearn/datasets/images/flower.jpg", "skimage/data/grass.png"),
    "unseen": ("skimage/data/hubble_deep_field.jpg", "skimage/data/ihc.png", "skimage/data/retina.jpg"),
}
_SHORT_SIDE = 256


@cache
def photographs(split: str) -> tuple[np.ndarray, ...]:
    """Return the photographs of a split: float32 `(h, w, 3)` in [0, 1], short side 256 pixels."""
    return tuple(_load(name) for name in SPLITS[split])


def _load(name: str) -> np.ndarray:
    package, _, rest = name.partition("/")
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise InputError(f"the package '{package}' is missing; install xailib with its dependencies")
    image = read_image(Path(spec.submodule_search_locations[0]) / rest)
    scale = _SHORT_SIDE / min(image.size)
    size = (round(image.width * scale), round(image.height * scale))
    return np.asarray(image.resize(size, Image.Resampling.LANCZOS), dtype=np.float32) / 255


def crop(photo: np.ndarray, rng: np.random.Generator, side: int, smallest: int = 64) -> np.ndarray:
    """Return a random square crop of a photograph as float32 `(side, side, 3)`: random size, place, flip and tone."""
    height, width = photo.shape[:2]
    size = int(rng.integers(smallest, min(height, width) + 1))
    y, x = int(rng.integers(0, height - size + 1)), int(rng.integers(0, width - size + 1))
    flip = -1 if rng.random() < 0.5 else 1
    patch = Image.fromarray(np.uint8(photo[y : y + size, x : x + size] * 255)).resize(
        (side, side), Image.Resampling.BOX
    )
    tone = rng.uniform(0.7, 1.15, size=3).astype(np.float32)
    return np.clip(np.asarray(patch, dtype=np.float32)[:, ::flip] / 255 * tone, 0, 1)
