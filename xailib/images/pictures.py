"""What becomes pixels: image files, Pillow images, arrays and tensors, all as float32 in [0, 1], RGB, channels first."""

import contextlib
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageFile, ImageOps
from torch import Tensor

from xailib.errors import InputError

Size = tuple[float, float]
_TOLERANCE = 1e-4  # rounding may pass 0 and 1 by a hair
_ADVICE = "replace it with a readable JPEG or PNG"


def read_image(path: str | Path, *, turn: bool | Size = True) -> Image.Image:
    """Read any image file as 8-bit RGB.

    Greyscale, palette and CMYK files are converted; 16-bit ones are scaled to 8 bits, floats from [0, 1], and alpha is
    laid on white. Of an animation or a stack the first picture is taken.

    Args:
        path: the file.
        turn: whether the picture is turned as its EXIF orientation says, which is how viewers show it. The width and
            height of an annotation turn it where they are those of the picture on its side.

    Raises:
        InputError: a missing, truncated or unreadable file, or one too large to be a photograph; it is named.
    """
    path = Path(path)
    try:
        with _whole(), warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # half of what is refused; it can be read
            with Image.open(path) as image:
                image.load()
                return to_rgb(_turn(image, turn))
    except FileNotFoundError:
        raise InputError(f"{path}: no such image file") from None
    except Image.DecompressionBombError:
        most = 2 * (Image.MAX_IMAGE_PIXELS or 0) // 10**6
        raise InputError(
            f"{path}: more than {most} megapixels, which may be an attack; make the picture smaller"
        ) from None
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    except Exception as error:  # of a broken file Pillow raises nearly anything
        raise InputError(f"{path}: not a complete image file ({error}); {_ADVICE}") from None


def to_rgb(image: Image.Image) -> Image.Image:
    """Convert a Pillow image of any mode to 8-bit RGB without clipping 16-bit values."""
    if image.mode.startswith("I") or image.mode == "F":
        values = np.asarray(image, dtype=np.float64)
        grey = np.round(values / _white(image.mode, values) * 255).astype(np.uint8)
        return Image.fromarray(grey, "L").convert("RGB")
    if image.has_transparency_data:
        image = image.convert("LA") if image.mode == "La" else image  # premultiplied, which becomes no other mode
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return image.convert("RGB")


def to_pixels(image: Image.Image) -> Tensor:
    """Return a Pillow RGB image as float32 `(3, h, w)` in [0, 1]."""
    return torch.from_numpy(np.array(image, dtype=np.uint8)).permute(2, 0, 1).float().div_(255)


def as_pixels(source: Any) -> Tensor:
    """Return float32 `(n, 3, h, w)` in [0, 1] of what holds one image or several of one size.

    Args:
        source: a tensor `(n, 3, h, w)`, a numpy array of this shape or with its channels last, one image of either, a
            Pillow image, or a list of them. Whole numbers are uint8 from 0 to 255; floats of any precision lie in [0, 1].
            One grey channel becomes three.

    Raises:
        InputError: what is no picture: another shape, another type, values that are not finite or not in [0, 1].
    """
    if isinstance(source, list | tuple):
        rows = [one_picture(one, f"image {i}") for i, one in enumerate(source)]
        sizes = sorted({(row.shape[2], row.shape[1]) for row in rows})
        if len(sizes) > 1:
            found = ", ".join(f"{width} x {height}" for width, height in sizes[:3])
            raise InputError(f"side: the images differ in size ({found}); load_images(..., side=224) makes them equal")
        return torch.stack(rows) if rows else torch.empty(0, 3, 1, 1)
    if isinstance(source, Image.Image):
        return one_picture(source, "the image")[None]
    pixels = _pixels(source, "pixels")
    return pixels if pixels.ndim == 4 else pixels[None]


def one_picture(source: Any, name: str) -> Tensor:
    """Return one image, given as a Pillow image, an array or a tensor, as float32 `(3, h, w)`; see `as_pixels`."""
    if isinstance(source, Image.Image):
        return to_pixels(upright(source, name))
    pixels = _pixels(source, name)
    pixels = pixels[0] if pixels.ndim == 4 and len(pixels) == 1 else pixels
    if pixels.ndim != 3:
        raise InputError(f"{name}: one image (3, h, w) is needed, not {tuple(pixels.shape)}")
    return pixels


def upright(image: Image.Image, name: str) -> Image.Image:
    """Return a Pillow image as 8-bit RGB, turned as its EXIF orientation says."""
    try:
        with _whole():
            return to_rgb(_turn(image, True))
    except InputError as error:
        raise InputError(f"{name}: {error}") from None
    except Exception as error:  # Pillow opens files lazily, so that a broken one is found out here
        raise InputError(f"{name}: cannot be read ({error}); {_ADVICE}") from None


@contextlib.contextmanager
def _whole() -> Iterator[None]:
    """Within the block Pillow refuses truncated files, whatever it is told elsewhere."""
    before = ImageFile.LOAD_TRUNCATED_IMAGES
    ImageFile.LOAD_TRUNCATED_IMAGES = False
    try:
        yield
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = before


def _turn(image: Image.Image, turn: bool | Size) -> Image.Image:
    if isinstance(turn, tuple):
        turn = (turn[0] > turn[1]) != (image.width > image.height) and turn[0] != turn[1]
        turn = turn and _orientation(image) >= 5  # 5 to 8 lay the picture on its side
    return ImageOps.exif_transpose(image) if turn and _orientation(image) != 1 else image


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation, from 1 to 8; 1 is upright, and what EXIF that cannot be read stands for."""
    try:
        return int(image.getexif().get(0x0112, 1))
    except Exception:  # the pixels are whole all the same
        return 1


def _white(mode: str, values: np.ndarray) -> float:
    """The value of white: of 16-bit files 65,535; of 32-bit ones the smallest of 1 (floats), 255 and 65,535 that holds all."""
    if mode.startswith("I;16"):
        return 65535.0
    low, high = float(values.min()), float(values.max())
    fits = [white for white in ((1.0, 255.0, 65535.0) if mode == "F" else (255.0, 65535.0)) if high <= white]
    if not fits or not low >= 0:
        raise InputError(
            f"values from {low:.4g} to {high:.4g} are no brightness; save them as floats in [0, 1] or in 16 bits"
        )
    return fits[0]


def _pixels(source: Any, name: str) -> Tensor:
    """An array or tensor as float32 `(3, h, w)` or `(n, 3, h, w)`, checked."""
    pixels = _floats(_channels_first(_tensor(source, name), not isinstance(source, Tensor), name), name)
    return _in_range(pixels, name)


def _tensor(source: Any, name: str) -> Tensor:
    """A detached tensor of an array or tensor."""
    if isinstance(source, Tensor):
        if source.is_meta or source.layout != torch.strided:
            raise InputError(f"{name}: a dense tensor with values is needed, not {source.layout} on '{source.device}'")
        return source.detach().as_subclass(Tensor)
    if isinstance(source, str | Path):
        raise InputError(f"{name}: '{source}' is a path; load_images() reads files")
    try:
        return of_array(source)
    except (TypeError, ValueError):
        wanted = "a tensor (n, 3, h, w), an array or Pillow images"
        raise InputError(f"{name}: {wanted} is needed, not {type(source).__name__}") from None


def of_array(source: Any) -> Tensor:
    """Return a tensor of an array of any strides and byte order, or of numbers in lists."""
    array = np.array(source, order="C")  # a copy: torch takes no negative strides and no arrays that are read-only
    return torch.from_numpy(array.astype(array.dtype.newbyteorder("="), copy=False))


def _channels_first(pixels: Tensor, may_be_last: bool, name: str) -> Tensor:
    """`(3, h, w)` or `(n, 3, h, w)`: grey is repeated; channels that are last are brought forward in arrays, not in tensors."""
    shape, grey = tuple(pixels.shape), pixels.ndim == 2
    if grey:
        pixels, shape = pixels[None], (1, *shape)
    if pixels.ndim not in (3, 4) or 0 in shape[-3:]:
        raise InputError(f"{name}: a tensor (n, 3, h, w) of at least one pixel is needed, not {shape}")
    if may_be_last and not grey and shape[-3] in (1, 3) and shape[-1] in (1, 3):  # such as one row of pixels
        raise InputError(f"{name}: either end of the shape {shape} may be the channels; give a tensor (n, 3, h, w)")
    if shape[-3] not in (1, 3) and shape[-1] in (1, 3):
        if not may_be_last:
            raise InputError(f"{name}: the shape {shape} has its channels last; use pixels.movedim(-1, -3)")
        pixels = pixels.movedim(-1, -3)
    elif 4 in (shape[-3], shape[-1]) and shape[-3] not in (1, 3):
        raise InputError(f"{name}: the shape {shape} has four channels (alpha, or CMYK?); convert it to RGB")
    channels = pixels.shape[-3]
    if channels not in (1, 3):
        raise InputError(f"{name}: three channels (n, 3, h, w) are needed, not {shape}")
    return pixels.repeat_interleave(3, dim=-3) if channels == 1 else pixels


def _floats(pixels: Tensor, name: str) -> Tensor:
    if pixels.dtype == torch.uint8:
        if pixels.numel() and pixels.max() == 1:
            raise InputError(f"{name}: uint8 counts from 0 to 255, and the largest found is 1; give 0 and 1 as floats")
        return pixels.float().div_(255)
    if pixels.is_floating_point() or pixels.dtype == torch.bool:
        return pixels.float()
    raise InputError(
        f"{name}: {str(pixels.dtype).removeprefix('torch.')} is no type of pixels; use uint8, or floats in [0, 1]"
    )


def _in_range(pixels: Tensor, name: str) -> Tensor:
    """Pixels in [0, 1], cut to it where they pass it by rounding alone."""
    if not pixels.numel():
        return pixels
    low, high = (bound.item() for bound in torch.aminmax(pixels))
    if low >= -_TOLERANCE and high <= 1 + _TOLERANCE:  # false for NaN
        return pixels if low >= 0 and high <= 1 else pixels.clamp(0, 1)
    if not (low > -np.inf and high < np.inf):
        cause = "they hold NaN or infinity"
    elif low >= 0 and high <= 255:
        cause = "divide by 255?"
    else:
        cause = "normalised already? the model does that itself" if low < 0 else "scale them"
    raise InputError(f"{name}: floats in [0, 1] are needed, found {low:.4g} to {high:.4g}; {cause}")
