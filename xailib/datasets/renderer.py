"""The pictogram renderer: a pure function of (seed, split, index).

A symbol of the DejaVu Sans font is drawn at a random size, rotation and place, filled with a tinted photographic
texture that stands out from what lies behind it, onto a random crop of a colour photograph. A smaller symbol of another
class may lie beside it, which distracts. The exact masks of both are known, which real data sets never offer. The class is
the symbol, or its colour: then where it is tells nothing of the class.
"""

import colorsys
import importlib.util
from functools import cache
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from xailib.errors import InputError
from xailib.images.pictures import read_image

CLASSES: dict[str, str] = {
    "chess knight": "\u265e",
    "umbrella": "\u2602",
    "aeroplane": "\u2708",
    "telephone": "\u260e",
    "anchor": "\u2693",
    "heart": "\u2665",
    "scissors": "\u2702",
    "flag": "\u2691",
    "club": "\u2663",
    "trefoil": "\u2622",
    "gear": "\u2699",
    "note": "\u266b",
}
CLASS_NAMES = list(CLASSES)
COLOURS = ("red", "yellow", "green", "cyan", "blue", "magenta")  # 60 degrees of hue apart
# Files of the scikit-image and scikit-learn wheels. No photograph serves two splits, so no test background was ever a
# training background. `unseen` holds kinds of picture that training never showed: the sky, tissue, the back of an eye.
PHOTOGRAPHS: dict[str, tuple[str, ...]] = {
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
SIDE = 64

Style = Literal["natural", "silhouette", "outline", "unseen_photographs", "texture_swap"]
Symbol = Literal["object", "distractor"]
ClassBy = Literal["shape", "colour"]
_SPLIT_CODES = {"train": 0, "validation": 1, "test": 2}
_GLYPH_SIDE = 192
_SHORT_SIDE = 256
_LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)


class Picture(NamedTuple):
    """One rendered picture: `pixels` uint8 `(side, side, 3)`, and a symbol's `mask` bool `(side, side)`."""

    pixels: np.ndarray
    mask: np.ndarray


def render(
    seed: int,
    split: str,
    index: int,
    style: Style = "natural",
    *,
    side: int = SIDE,
    classes: int = len(CLASSES),
    smallest: float = 0.38,
    largest: float = 0.72,
    turn: float = 35.0,
    contrast: tuple[float, float] = (0.28, 0.45),
    off_centre: float = 0.0,
    distractor: float = 0.0,
    symbol: Symbol = "object",
    class_by: ClassBy = "shape",
) -> Picture:
    """Render picture `index` of a split (train, validation or test), at 64 pixels or shrunk to 32, 16 or 8.

    The class is `index` modulo the number of classes. Every style keeps the symbols' shapes, sizes and places, so a
    shifted picture is the twin of the natural one. For the options see `pictograms`.
    """
    stream = (seed, _SPLIT_CODES[split], index)
    geometry, surface = np.random.default_rng([*stream, 0]), np.random.default_rng([*stream, 1])
    labels = [label_of(seed, split, index, classes, one) for one in ("object", "distractor")]
    shapes, hues = labels, [None, None]
    if class_by == "colour":
        shapes, hues = np.random.default_rng([*stream, 4]).integers(len(CLASSES), size=2).tolist(), labels
    alphas = [_place(shapes[0], geometry, smallest, largest, turn, off_centre)]
    if distractor:
        size = distractor * max(int(alphas[0].any(axis=axis).sum()) for axis in (0, 1)) / SIDE
        alphas.append(_place(shapes[1], np.random.default_rng([*stream, 2]), size, size, turn, taken=alphas[0]))
    union = np.max(alphas, axis=0)
    if style == "silhouette":
        scene = 1 - np.repeat(union[..., None], 3, axis=2)
    elif style == "outline":
        scene = 1 - np.repeat(_edge(union)[..., None], 3, axis=2)
    else:
        photos = photographs("unseen" if style == "unseen_photographs" else split)
        scene = _compose(alphas, hues, photos, surface, contrast, swap=style == "texture_swap")
    return shrink(Picture(np.uint8(np.round(scene * 255)), _solid(alphas[symbol == "distractor"])), side)


def label_of(seed: int, split: str, index: int, classes: int, symbol: Symbol = "object") -> int:
    """The class of a symbol of a picture: the object's are dealt out in turn, a distractor's is any other."""
    if symbol == "object":
        return index % classes
    other = np.random.default_rng([seed, _SPLIT_CODES[split], index, 3]).integers(classes - 1)
    return (index + 1 + int(other)) % classes


def shrink(picture: Picture, side: int) -> Picture:
    """Return the picture averaged over squares of pixels, in 8 bits again.

    A pixel of the mask is one that the object covers by half at least, or most of all where that leaves nothing.
    """
    squares = (side, SIDE // side, side, SIDE // side)
    mean = picture.pixels.reshape(*squares, 3).mean(axis=(1, 3), dtype=np.float32)
    cover = picture.mask.reshape(squares).mean(axis=(1, 3), dtype=np.float32)
    return Picture(np.uint8(np.round(mean)), cover >= min(cover.max(), 0.5))


@cache
def _glyph(label: int) -> Image.Image:
    """The symbol of a class as a tight greyscale image, long side 192 pixels."""
    from matplotlib import get_data_path

    font = ImageFont.truetype(f"{get_data_path()}/fonts/ttf/DejaVuSans.ttf", 2 * _GLYPH_SIDE)
    symbol = list(CLASSES.values())[label]
    canvas = Image.new("L", (4 * _GLYPH_SIDE, 4 * _GLYPH_SIDE))
    ImageDraw.Draw(canvas).text((_GLYPH_SIDE, _GLYPH_SIDE // 2), symbol, fill=255, font=font)
    glyph = canvas.crop(canvas.getbbox())
    scale = _GLYPH_SIDE / max(glyph.size)
    return glyph.resize((round(glyph.width * scale), round(glyph.height * scale)), Image.Resampling.LANCZOS)


def _place(
    label: int,
    rng: np.random.Generator,
    smallest: float,
    largest: float,
    turn: float,
    off_centre: float = 0.0,
    taken: np.ndarray | None = None,
) -> np.ndarray:
    """The symbol's coverage `(64, 64)` in [0, 1] at a random size, rotation and place.

    Its middle is at least `off_centre` of the side from the picture's, and no pixel is one that is `taken`.
    """
    turned = _glyph(label).rotate(rng.uniform(-turn, turn), Image.Resampling.BILINEAR, expand=True)
    turned = turned.crop(turned.getbbox())
    scale = rng.uniform(smallest, largest) * SIDE / max(turned.size)
    width, height = (max(1, round(length * scale)) for length in turned.size)
    small = np.asarray(turned.resize((width, height), Image.Resampling.BOX), dtype=np.float32) / 255
    while True:
        y, x = int(rng.integers(0, SIDE - height + 1)), int(rng.integers(0, SIDE - width + 1))
        away = max(abs(2 * y + height - SIDE), abs(2 * x + width - SIDE)) / (2 * SIDE)
        free = taken is None or not taken[y : y + height, x : x + width].any()
        if away >= off_centre and free:
            break
    alpha = np.zeros((SIDE, SIDE), dtype=np.float32)
    alpha[y : y + height, x : x + width] = small
    return alpha


def _solid(alpha: np.ndarray) -> np.ndarray:
    """The pixels that a symbol covers by more than half; of one that is all thin lines, those that it covers most."""
    return alpha > min(0.5, 0.99 * float(alpha.max()))


def _compose(
    alphas: list[np.ndarray],
    hues: list[int] | list[None],
    photos: tuple[np.ndarray, ...],
    rng: np.random.Generator,
    contrast: tuple[float, float],
    *,
    swap: bool,
) -> np.ndarray:
    """Lay textured symbols over a photograph; `swap` gives them the plain photograph and tints what is behind."""
    plain, things = _crop(photos[rng.integers(len(photos))], rng, SIDE), []
    for alpha, hue in zip(alphas, hues, strict=False):
        texture = _crop(photos[rng.integers(len(photos))], rng, SIDE, smallest=32)
        tint = rng.uniform(0.05, 1.0, size=3).astype(np.float32)
        tint = tint if hue is None else _hue(hue, tint)
        luma = float((plain @ _LUMA)[_solid(alpha)].mean())
        things.append(_tint(texture, tint, luma, float(rng.uniform(*contrast))))
    if swap:
        cover = np.max(alphas, axis=0)[..., None]
        return things[0] * (1 - cover) + plain * cover
    scene = plain
    for alpha, thing in zip(alphas, things, strict=True):
        scene = scene * (1 - alpha[..., None]) + thing * alpha[..., None]
    return scene


def _hue(colour: int, tint: np.ndarray) -> np.ndarray:
    """One of the `COLOURS`, the paler the brighter the tint is that another picture would have had."""
    pure = np.array(colorsys.hsv_to_rgb(colour / len(COLOURS), 1.0, 1.0), dtype=np.float32)
    return 0.25 * tint.mean() + pure


def _tint(texture: np.ndarray, tint: np.ndarray, other_luma: float, contrast: float) -> np.ndarray:
    """Colour a texture so that its mean luminance is at least `contrast` away from `other_luma`."""
    grey = texture @ _LUMA
    detail = (grey - grey.mean()) / (grey.std() + 1e-3) * 0.09
    target = other_luma + contrast if other_luma < 0.5 else other_luma - contrast
    colour = tint * (target / max(float(tint @ _LUMA), 1e-3))
    colour = 0.35 * target + 0.65 * colour
    return np.clip(colour + detail[..., None], 0, 1).astype(np.float32)


def _edge(alpha: np.ndarray) -> np.ndarray:
    """The object's contour, about two pixels wide: coverage minus its erosion."""
    from scipy.ndimage import grey_erosion

    return alpha - grey_erosion(alpha, size=(3, 3))


@cache
def photographs(split: str) -> tuple[np.ndarray, ...]:
    """Return the photographs of a split: float32 `(h, w, 3)` in [0, 1], short side 256 pixels."""
    return tuple(_photograph(name) for name in PHOTOGRAPHS[split])


def _photograph(name: str) -> np.ndarray:
    package, _, rest = name.partition("/")
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise InputError(f"the package '{package}' is missing; install xailib with its dependencies")
    image = read_image(Path(spec.submodule_search_locations[0]) / rest)
    scale = _SHORT_SIDE / min(image.size)
    size = (round(image.width * scale), round(image.height * scale))
    return np.asarray(image.resize(size, Image.Resampling.LANCZOS), dtype=np.float32) / 255


def _crop(photo: np.ndarray, rng: np.random.Generator, side: int, smallest: int = 64) -> np.ndarray:
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
