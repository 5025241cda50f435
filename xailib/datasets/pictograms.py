"""Pictograms: rendered images with exact object masks; nothing to download."""

from collections.abc import Sequence
from functools import partial
from typing import Annotated

from annotated_types import Len

from xailib.datasets.items import Item
from xailib.datasets.renderer import CLASS_NAMES, COLOURS, SIDE, ClassBy, Style, Symbol, label_of, render
from xailib.errors import InputError
from xailib.registry import dataset

SIZES = {"test": 2_400, "train": 24_000, "validation": 1_200}
SIDES = (64, 32, 16, 8)
SHIFTS = ("silhouette", "outline", "unseen_photographs", "texture_swap")


def class_names(classes: int = len(CLASS_NAMES), class_by: ClassBy = "shape") -> list[str]:
    """Return the names of the first `classes` of the 12 symbols, or of the 6 colours, in label order."""
    return list(COLOURS if class_by == "colour" else CLASS_NAMES)[:classes]


@dataset("pictograms", label="Pictograms", splits=tuple(SIZES), shifts=SHIFTS, class_names=class_names)
def pictograms(
    split: str,
    *,
    seed: int,
    limit: int | None,
    side: int = SIDE,
    shift: Style = "natural",
    classes: int = len(CLASS_NAMES),
    smallest: float = 0.38,
    largest: float = 0.72,
    turn: float = 35.0,
    contrast: Annotated[Sequence[float], Len(2, 2)] = (0.28, 0.45),
    off_centre: float = 0.0,
    distractor: float = 0.0,
    symbol: Symbol = "object",
    class_by: ClassBy = "shape",
) -> list[Item]:
    """The first `limit` pictures of a split, which are rendered when they are asked for.

    Args:
        split: train, validation or test; each draws its backgrounds from photographs of its own.
        seed: another seed is another data set.
        limit: how many pictures; by default 24,000, 1,200 or 2,400. The renderer has no end: more may be asked for.
        side: 64 pixels, or 32, 16 or 8: the same pictures, averaged over squares of 2, 4 or 8 pixels. A pixel of the
            mask is one that the object covers by half at least; the box is tight around the smaller mask.
        shift: natural, or a drawn shift that keeps the object's place: silhouette, outline, unseen_photographs, texture_swap.
        classes: how many of the symbols, the first ones: 2 to 12; of the colours: 2 to 6.
        smallest, largest: bounds of the object's long side, as shares of the picture's, up to 0.9.
        turn: the object is turned by up to this many degrees either way.
        contrast: bounds of how far its mean luminance is from that of what lies behind it, from 0 to 0.5.
        off_centre: how far its middle is from the picture's at least, sideways or up and down, as a share of the side.
        distractor: long side of a symbol of another class beside it, as a share of the object's; 0 is none. The larger
            symbol is the class.
        symbol: object, or distractor: the same pictures with the label, mask and box of the symbol that does not count.
        class_by: what the class is: the symbol's shape, or its colour, with any of the 12 shapes. Then where the
            object is tells nothing of what it is.
    """
    if side not in SIDES or not isinstance(side, int):
        raise InputError(
            f"side: pictograms have 64 pixels, shrunk by whole factors to 32, 16 or 8; {side!r} is none of these"
        )
    most = len(class_names(class_by=class_by))
    if not isinstance(classes, int) or classes not in range(2, most + 1):
        things = "pictograms" if class_by == "shape" else "colours"
        raise InputError(f"classes: {classes!r} is not a whole number from 2 to the {most} {things}")
    if not 0.1 <= smallest <= largest <= 0.9:
        raise InputError(f"smallest, largest: {smallest} and {largest} are no two shares from 0.1 to 0.9 in this order")
    if not 0 <= turn <= 180:
        raise InputError(f"turn: {turn} is not an angle from 0 to 180 degrees")
    low, high = contrast
    if not 0 <= low <= high <= 0.5:
        raise InputError(f"contrast: {low} and {high} are no two luminances from 0 to 0.5 in this order")
    if not 0 <= distractor < 1 or (distractor and largest * (1 + 2 * distractor) > 1):
        raise InputError(
            f"distractor: {distractor} is no share from 0 to 1 that leaves room for it beside an object of {largest}"
        )
    if symbol not in ("object", "distractor") or (symbol == "distractor" and not distractor):
        raise InputError(f"symbol: '{symbol}' is not 'object', or 'distractor' in pictures that have one")
    room = (1 - largest) / 2 - 1 / SIDE
    if not 0 <= off_centre <= max(room, 0):
        raise InputError(
            f"off_centre: {off_centre} is no share from 0 to the {room:.2f} that an object of {largest} leaves"
        )
    options = {"side": side, "classes": classes, "smallest": smallest, "largest": largest, "turn": turn}
    options |= {"contrast": (low, high), "off_centre": off_centre, "distractor": distractor, "symbol": symbol}
    options |= {"class_by": class_by}
    return [
        Item(
            id=f"{split}-{seed}-{number:05d}",
            path=None,
            label=label_of(seed, split, number, classes, symbol),
            draw=partial(render, seed, split, number, shift, **options),
        )
        for number in range(SIZES[split] if limit is None else limit)
    ]
