"""`ImageBatch`, the one container of images, labels and where the object is: what is handed over is checked here once."""

import copy
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from xailib.images import truth
from xailib.images.pictures import as_pixels, read_image, to_pixels, to_rgb
from xailib.images.truth import box_masks, tight_box

__all__ = ["ImageBatch", "box_masks", "read_image", "tight_box", "to_pixels", "to_rgb"]

_LATER: Any = None  # the default of what is not given and made from the rest: nobody meets it


@dataclass(frozen=True)
class ImageBatch:
    """Images with their ground truth, of which only the images must be there.

    Lists, numpy arrays, Pillow images and tensors of any precision are taken, and become the types below. What is no
    picture, no box, no mask or no label is refused: an image beyond [0, 1], with its channels last (a tensor) or with four
    of them; one-hot labels; boxes without area, outside the image or in shares of its sides; masks of another size.

    Attributes:
        pixels: float32 `(n, 3, h, w)` in [0, 1], RGB; uint8 is divided by 255, grey becomes RGB, a gradient is cut.
        labels: int64 `(n,)`, class indices; -1 throughout where there are none (`has_labels`), and then methods explain
            the predicted class.
        boxes: `n` float32 tensors `(k, 4)`: x1, y1, x2, y2 in pixels, x2 and y2 exclusive; `k` may be 0. Where none are
            given, those tight around the masks. An image without a box has no localisation: its scores are NaN.
        masks: bool `(n, h, w)`: the object's exact pixels where known, else the union of its boxes.
        ids: `n` unique names; image-0, image-1, ... where none are given.
        answers: `n` groups of class indices, each of which is a right answer; None where the label alone is.
        classes: the class indices that an answer is chosen among; None for all of the network's.
        class_names: a name a class index, which a network's own names can be compared with; None where not known.

    Raises:
        InputError: one sentence that names the attribute, what was found and what would be right.
    """

    pixels: Tensor
    labels: Tensor = _LATER
    boxes: list[Tensor] = _LATER
    masks: Tensor = _LATER
    ids: list[str] = _LATER
    answers: list[tuple[int, ...]] | None = None
    classes: tuple[int, ...] | None = None
    class_names: list[str] | None = None

    def __post_init__(self) -> None:
        pixels = as_pixels(self.pixels)
        n, _, height, width = pixels.shape
        names = truth.as_names(self.class_names)
        known = None if names is None else len(names)
        labels = truth.as_labels(self.labels, n, known)
        ids = truth.as_ids(self.ids, n)
        masks = None if self.masks is None else truth.as_masks(self.masks, n, height, width)
        if self.boxes is None:
            boxes = [torch.empty(0, 4)] * n if masks is None else [tight_box(mask) for mask in masks]
        else:
            boxes = truth.as_boxes(self.boxes, ids, height, width)
        masks = box_masks(boxes, height, width) if masks is None else masks
        self._set(pixels=pixels, labels=labels, boxes=boxes, masks=masks, ids=ids, class_names=names)
        self._set(answers=truth.as_answers(self.answers, n, known), classes=truth.as_classes(self.classes, known))

    def _set(self, **values: object) -> "ImageBatch":
        for key, value in values.items():
            object.__setattr__(self, key, value)
        return self

    @property
    def has_labels(self) -> bool:
        """Whether the images' classes are known."""
        return not bool((self.labels == truth.NO_LABEL).any())

    def __len__(self) -> int:
        return len(self.pixels)

    def select(self, indices: list[int] | Tensor | slice) -> "ImageBatch":
        """Return the images at `indices`, in that order; a part of what was checked is not checked again.

        Args:
            indices: places, of which negative ones count from the end, or True or False for each image.

        Raises:
            InputError: they are no places of these images.
        """
        every = range(len(self))
        rows = list(every[indices]) if isinstance(indices, slice) else truth.as_places(indices, len(self))
        return copy.copy(self)._set(
            pixels=self.pixels[rows],
            labels=self.labels[rows],
            boxes=[self.boxes[i] for i in rows],
            masks=self.masks[rows],
            ids=[self.ids[i] for i in rows],
            answers=None if self.answers is None else [self.answers[i] for i in rows],
        )

    def with_pixels(self, pixels: Tensor) -> "ImageBatch":
        """Return the same ground truth over other pixels of the same size (a corruption, an attack)."""
        return replace(self, pixels=pixels)

    def with_labels(self, labels: Tensor | list[int]) -> "ImageBatch":
        """Return the same images with other labels: classes as the network counts them, so that `class_names` are dropped."""
        return replace(self, labels=labels, class_names=None)

    def recounted(self, places: Sequence[int]) -> "ImageBatch":
        """Return the same images with labels, answers and classes as a network counts them; `class_names` are dropped.

        Args:
            places: the network's index of each class that the images know; none where it is not known of any.
        """

        def there(indices: Iterable[int]) -> tuple[int, ...]:
            return tuple(places[index] for index in indices)

        labels = (
            torch.tensor(places)[self.labels.cpu()]
            if places and self.has_labels
            else torch.full_like(self.labels, truth.NO_LABEL)
        )
        return replace(
            self,
            labels=labels,
            answers=[there(group) for group in self.answers] if places and self.answers else None,
            classes=there(self.classes) if places and self.classes else None,
            class_names=None,
        )

    def right(self, predicted: Tensor) -> Tensor:
        """Return bool `(n,)`: which of the predicted class indices `(n,)` are right."""
        if self.answers is None:
            return predicted == self.labels
        return torch.tensor(
            [int(one) in group for one, group in zip(predicted, self.answers, strict=True)], dtype=torch.bool
        )
