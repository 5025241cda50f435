"""Pictures of maps: over images, in grids, and the curves of Deletion and Insertion."""

import textwrap
from dataclasses import dataclass, field, replace
from itertools import cycle
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from xailib.errors import InputError
from xailib.images import ImageBatch, colours
from xailib.maps import check_ids
from xailib.plots.style import empty, styled, subplots

CURVES = ("#D55E00", "#0072B2", "#009E73", "#CC79A7")
LINES = ("-", "--", ":")  # a number that shares no divisor with that of the colours: twelve curves look different


@dataclass(frozen=True)
class Grid:
    """A figure of pictures; without rows the caption says why.

    Attributes:
        rows: (label, pictures), one picture for each title: pixels `(3, h, w)` in [0, 1], a map `(h, w)`, or None.
        titles: of the columns.
        caption: of the figure.
        table: one row a picture: what it is.
        signed: titles of the columns whose maps have negative values.
    """

    rows: list[tuple[str, list[Any]]]
    titles: list[str]
    caption: str
    table: pd.DataFrame
    signed: set[str] = field(default_factory=set)

    def turned(self) -> "Grid":
        """The same pictures with rows as columns, for grids of images, which need no signs."""
        columns = [(title, [pictures[i] for _, pictures in self.rows]) for i, title in enumerate(self.titles)]
        return replace(self, rows=columns if self.rows else [], titles=[label for label, _ in self.rows])


def draw_map(axes: Axes, map: Any, *, signed: bool | None = None, **options: Any) -> None:
    """Draw one map `(h, w)` on its own scale, in the colours that maps have everywhere (`xailib.images.colours`)."""
    signed = colours.is_signed(map) if signed is None else signed
    low, high = colours.limits(map, signed)
    axes.imshow(np.asarray(map, float), cmap=colours.palette(signed), vmin=low, vmax=high, **options)


def draw_image(axes: Axes, pixels: Any) -> None:
    """Draw pixels `(3, h, w)` in [0, 1]."""
    axes.imshow(np.asarray(pixels).transpose(1, 2, 0).clip(0, 1))


def bare(axes: Axes) -> None:
    """Take ticks and frame away, but keep room for labels."""
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)


@styled
def show(images: Any, maps: Any, *, limit: int = 8) -> Figure:
    """Draw images in the upper row, and below them a row of maps for each method; titles name the classes explained.

    Args:
        images: those that were explained, in any form that `attribute` takes.
        maps: what `attribute` returned, or a list of such maps of the same images, to compare methods; arrays
            `(n, h, w)` do too.
        limit: how many images are drawn at most.

    Raises:
        InputError: maps of other images than these, or of another size; no image to show.
    """
    stacks = list(maps) if isinstance(maps, list | tuple) else [maps]
    shapes = [tuple(np.shape(stack)) for stack in stacks]
    if not stacks or any(len(shape) != 3 for shape in shapes):
        raise InputError(f"maps: what attribute() returned is needed, or a list of it: (n, h, w), not {shapes}")
    batch = _batch(images, side=shapes[0][-1])
    n, _, *size = batch.pixels.shape
    for stack, shape in zip(stacks, shapes, strict=True):
        if shape != (n, *size):
            raise InputError(f"maps: the shape {shape} does not fit the images; use {(n, *size)}")
        if not hasattr(images, "shape"):
            check_ids(stack, batch.ids)
    shown = min(n, limit)
    if shown < 1:
        raise InputError(f"{f'limit: {limit}' if n else 'images: none'}; at least one image can be shown")
    figure, grid = subplots(1 + len(stacks), shown, figsize=(1.9 * shown + 1.2, 2.05 * (1 + len(stacks)) + 0.2))
    for i in range(shown):
        draw_image(grid[0, i], batch.pixels[i])
        grid[0, i].set_title(batch.ids[i][-20:], fontsize=10)
    for row, stack in zip(grid[1:], stacks, strict=True):
        values, names = np.asarray(stack, np.float32)[:shown], getattr(stack, "target_names", [])
        for i in range(shown):
            draw_map(row[i], values[i], signed=bool((values < 0).any()))
            name = names[i] if names else ""  # in lines no wider than an image
            row[i].set_title(textwrap.fill(name, 18, max_lines=2, placeholder="..."), fontsize=12)
        row[0].set_ylabel(getattr(stack, "label", "Map"), fontsize=12)
    for axes in grid.flat:
        bare(axes)
    return figure


def _batch(images: Any, side: int) -> ImageBatch:
    """Images in any form as an `ImageBatch`; photographs get the side of their maps."""
    if isinstance(images, ImageBatch):
        return images
    from xailib.datasets import load_images

    return ImageBatch(images) if hasattr(images, "shape") else load_images(images, side=side)


@styled
def overlay(image: Any, map: Any, title: str = "", *, signed: bool | None = None, alpha: float = 0.6) -> Figure:
    """Draw an image `(3, h, w)`, its map `(h, w)`, and the map over the greyed image, side by side.

    Raises:
        InputError: a map of another size, which would lie in a corner of the image.
    """
    if np.shape(map) != np.shape(image)[1:]:
        raise InputError(f"map: the shape {np.shape(map)} does not fit the image; use {np.shape(image)[1:]}")
    figure, (row,) = subplots(1, 3, figsize=(9, 3.3))
    draw_image(row[0], image)
    draw_map(row[1], map, signed=signed)
    grey = np.asarray(image).mean(axis=0, keepdims=True).repeat(3, axis=0)
    draw_image(row[2], grey)
    draw_map(row[2], map, signed=signed, alpha=alpha)
    for axes, name in zip(row, ("Image", "Map", "Overlay"), strict=True):
        bare(axes)
        axes.set_title(name)
    if title:
        figure.suptitle(title)
    return figure


@styled
def curves(fractions: Any, scores: dict[str, Any], title: str = "") -> Figure:
    """Draw score curves `(k,)` over the fraction of pixels changed; the area under each curve is in its legend.

    Args:
        fractions: `(k,)` in [0, 1].
        scores: label -> target's probability at each fraction, such as {"Deletion": ..., "Insertion": ...}.
        title: of the figure.

    Raises:
        InputError: a curve of another length than the fractions.
    """
    wrong = [label for label, values in scores.items() if np.shape(values) != np.shape(fractions)]
    if wrong:
        raise InputError(f"scores: '{wrong[0]}' has the shape {np.shape(scores[wrong[0]])}; use {np.shape(fractions)}")
    figure, ((axes,),) = subplots(figsize=(6.5, 4.2))
    x, styles = np.asarray(fractions, float), zip(cycle(CURVES), cycle(LINES), strict=True)
    for (label, values), (colour, style) in zip(scores.items(), styles, strict=False):
        y = np.asarray(values, float)
        axes.plot(x, y, style, color=colour, linewidth=2.5, label=f"{label}: area {np.trapezoid(y, x):.2f}")
        axes.fill_between(x, y, color=colour, alpha=0.12)
    axes.set(xlabel="Fraction of pixels changed", ylabel="Probability of the target", title=title)
    axes.set(xlim=(0, 1), ylim=(0, 1.02))
    axes.grid()
    axes.legend()
    return figure


@styled
def picture_grid(grid: Grid) -> Figure:
    """Draw rows of images and maps; a cell that has none, such as a method that does not apply, shows a dash."""
    if not grid.rows:
        return empty(grid.caption)
    rows, columns = len(grid.rows), len(grid.titles)
    figure, cells = subplots(rows, columns, figsize=(1.5 * columns + 1.2, 1.5 * rows + 0.9))
    figure.get_layout_engine().set(w_pad=0.01, h_pad=0.01, wspace=0.02, hspace=0.02)
    for line, (label, pictures) in zip(cells, grid.rows, strict=True):
        line[0].set_ylabel(label, fontsize=12, rotation=0, ha="right", va="center")
        for axes, picture, title in zip(line, pictures, grid.titles, strict=True):
            if picture is None:
                axes.text(0.5, 0.5, "-", ha="center", va="center", color="#777777")
                axes.set(xlim=(0, 1), ylim=(0, 1), box_aspect=1)
            elif np.ndim(picture) == 3:
                draw_image(axes, picture)
            else:
                draw_map(axes, picture, signed=title in grid.signed)
            bare(axes)
    for axes, title in zip(cells[0], grid.titles, strict=True):
        axes.set_title(textwrap.fill(title, 12), fontsize=12)
    figure.suptitle(grid.caption, fontsize=13)
    return figure
