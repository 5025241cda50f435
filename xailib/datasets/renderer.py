"""The pictogram renderer: a pure function of (seed, split, index).

A symbol of the DejaVu Sans font is drawn at a random size, rotation and place, filled with a tinted photographic
texture that stands out from what lies behind it, onto a random crop of a colour photograph. The exact object mask is
known, which real data sets never offer.
"""

from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from xailib.datasets.photographs import crop, photographs

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
SIDE = 64

Style = Literal["natural", "silhouette", "outline", "unseen_photographs", "texture_swap"]
_SPLIT_CODES = {"train": 0, "validation": 1, "test": 2}
_GLYPH_SIDE = 192
_LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)


@dataclass(frozen=True)
class Layout:
    """How much the pictures of a data set vary.

    Attributes:
        classes: how many of the symbols there are, the first ones.
        smallest, largest: bounds of the object's long side, as shares of the picture's.
        turn: the object is turned by up to this many degrees either way.
    """

    classes: int = len(CLASSES)
    smallest: float = 0.38
    largest: float = 0.72
    turn: float = 35.0


@dataclass(frozen=True)
class Picture:
    """One rendered picture: `pixels` uint8 `(64, 64, 3)`, `mask` bool `(64, 64)`, `label` the class index."""

    pixels: np.ndarray
    mask: np.ndarray
    label: int


def render(seed: int, split: str, index: int, style: Style = "natural", layout: Layout = Layout()) -> Picture:
    """Render picture `index` of a split (train, validation or test).

    The class is `index` modulo the number of classes. Every style keeps the object's shape, size and place, so a
    shifted picture is the twin of the natural one.
    """
    geometry = np.random.default_rng([seed, _SPLIT_CODES[split], index, 0])
    surface = np.random.default_rng([seed, _SPLIT_CODES[split], index, 1])
    label = index % layout.classes
    alpha = _place(label, geometry, layout)
    if style == "silhouette":
        scene = 1 - np.repeat(alpha[..., None], 3, axis=2)
    elif style == "outline":
        scene = 1 - np.repeat(_edge(alpha)[..., None], 3, axis=2)
    else:
        photos = photographs("unseen" if style == "unseen_photographs" else split)
        scene = _compose(alpha, photos, surface, swap=style == "texture_swap")
    return Picture(np.uint8(np.round(scene * 255)), alpha > 0.5, label)


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


def _place(label: int, rng: np.random.Generator, layout: Layout) -> np.ndarray:
    """The symbol's coverage `(64, 64)` in [0, 1] at a random size, rotation and place."""
    turned = _glyph(label).rotate(rng.uniform(-layout.turn, layout.turn), Image.Resampling.BILINEAR, expand=True)
    turned = turned.crop(turned.getbbox())
    scale = rng.uniform(layout.smallest, layout.largest) * SIDE / max(turned.size)
    width, height = (max(1, round(length * scale)) for length in turned.size)
    small = np.asarray(turned.resize((width, height), Image.Resampling.BOX), dtype=np.float32) / 255
    y, x = int(rng.integers(0, SIDE - height + 1)), int(rng.integers(0, SIDE - width + 1))
    alpha = np.zeros((SIDE, SIDE), dtype=np.float32)
    alpha[y : y + height, x : x + width] = small
    return alpha


def _compose(alpha: np.ndarray, photos: tuple[np.ndarray, ...], rng: np.random.Generator, *, swap: bool) -> np.ndarray:
    """Lay a textured object over a photograph; `swap` gives the object the plain photograph and tints what is behind."""
    behind = crop(photos[rng.integers(len(photos))], rng, SIDE)
    texture = crop(photos[rng.integers(len(photos))], rng, SIDE, smallest=32)
    tint = rng.uniform(0.05, 1.0, size=3).astype(np.float32)
    if swap:
        behind, texture = texture, behind
        fixed, free = texture, behind
    else:
        fixed, free = behind, texture
    inside = alpha > 0.5
    fixed_luma = float((fixed @ _LUMA)[inside].mean())
    free = _tint(free, tint, fixed_luma, float(rng.uniform(0.28, 0.45)))
    behind, texture = (free, texture) if swap else (behind, free)
    return behind * (1 - alpha[..., None]) + texture * alpha[..., None]


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
