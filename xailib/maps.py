"""`Maps`: what `attribute` returns, maps that know what they explain."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from xailib.errors import InputError


class Maps(Tensor):
    """Maps float32 `(n, h, w)` on the CPU: a tensor with the facts that `evaluate` and `show` need.

    Torch and NumPy see the values, and what is computed of them is a plain tensor, as it explains nothing any more. Rows
    (`maps[:3]`, `maps[[4, 0]]`, `maps[keep]`) keep their facts.

    Attributes:
        targets: int64 `(n,)`, the class explained on each image; `target_names` are these classes' names.
        ids: `n` names of the images; None where they had none.
        method, label: the method's id, and as figures write it.
        options: the method's own, those by default among them, and `seed`.
        model: id of the network.
    """

    targets: Tensor
    target_names: list[str]
    ids: list[str] | None
    method: str
    label: str
    options: dict[str, Any]
    model: str

    __torch_function__ = torch._C._disabled_torch_function_impl  # as torch.nn.Parameter does: results are plain tensors

    @classmethod
    def of(cls, values: Tensor, **facts: Any) -> "Maps":
        """Return values `(n, h, w)` with their facts."""
        maps = values.detach().as_subclass(cls)
        maps.__dict__.update(facts)
        return maps

    @property
    def values(self) -> Tensor:
        """The maps as a plain tensor `(n, h, w)`, which shares their memory."""
        return self.as_subclass(Tensor)

    def __getitem__(self, index: Any) -> Tensor:
        index = slice(0) if isinstance(index, list) and not index else index  # to NumPy, an empty list holds floats
        found = self.values[index]
        if isinstance(index, slice | list | range) or getattr(index, "ndim", 0) == 1:
            rows = np.arange(len(self))[np.asarray(index) if not isinstance(index, slice) else index].tolist()
            facts = {"targets": self.targets[rows], "target_names": [self.target_names[i] for i in rows]}
            facts["ids"] = None if self.ids is None else [self.ids[i] for i in rows]
            return Maps.of(found, **{**self.__dict__, **facts})
        return found

    def __deepcopy__(self, memo: dict[int, Any]) -> "Maps":
        return Maps.of(self.values.clone(), **self.__dict__)

    def __repr__(self, **_: Any) -> str:
        size, first = " x ".join(map(str, self.shape)), ", ".join(self.target_names[:3])
        more = ", ..." if len(self) > 3 else ""
        return f"Maps {size}: {self.label} on model '{self.model}', explaining {first}{more}; .values is the tensor"


def check_ids(maps: Any, ids: list[str]) -> None:
    """Refuse maps that say that they explain other images than those with these ids, in their order."""
    explained = getattr(maps, "ids", None)
    if explained is None or explained == ids:
        return
    other = next((pair for pair in zip(explained, ids, strict=False) if pair[0] != pair[1]), None)
    first = f"'{other[0]}' where the images have '{other[1]}'" if other else f"{len(explained)}, not {len(ids)}"
    raise InputError(f"maps: they explain other images ({first}); give the images that were explained, in their order")
