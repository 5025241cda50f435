"""Registries: a plain function becomes a method, metric, data set, architecture or estimator form by one decorator.

What a table, an arrow or the workflow must know about an entry (family, direction, range, needs) is
data on the entry, so nothing elsewhere branches on names.
"""

import fnmatch
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from xailib.errors import InputError, nearest


@dataclass(frozen=True)
class Entry:
    """One registered function with its facts."""

    name: str
    function: Callable[..., Any]
    facts: dict[str, Any]

    def __getattr__(self, key: str) -> Any:
        try:
            return self.__dict__["facts"][key]
        except KeyError:
            raise AttributeError(f"{self.name} declares no {key!r}") from None


@dataclass
class Registry:
    """Entries of one kind, by name.

    `facts` maps every fact an entry may declare to its default; a default of `...` makes it required.
    """

    kind: str
    facts: dict[str, Any]
    entries: dict[str, Entry] = field(default_factory=dict)

    def __call__(self, name: str, **facts: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        """Decorate a function so that it is known as `name`."""
        unknown = set(facts) - set(self.facts)
        missing = {key for key, value in self.facts.items() if value is ...} - set(facts)
        if unknown or missing:
            raise TypeError(f"{self.kind} {name!r}: unknown facts {sorted(unknown)}, missing facts {sorted(missing)}")

        def register(function: Callable[..., Any]) -> Callable[..., Any]:
            known = self.entries.get(self._known(name))
            if known and (known.name != name or not _same_place(known.function, function)):
                raise TypeError(
                    f"{self.kind} {name!r} is registered twice, by {_place(known.function)} and {_place(function)}"
                )
            self.entries[name] = Entry(name, function, {**self.facts, **facts})
            return function

        return register

    def get(self, name: str) -> Entry:
        """Return the entry called `name`, whatever its case, hyphens, underscores and spaces.

        An unknown name is an `InputError` that suggests the nearest one.
        """
        if not isinstance(name, str):
            raise InputError(f"{self.kind}: a name is needed, not {type(name).__name__}{nearest('', self.entries)}")
        known = self._known(name)
        if known not in self.entries:
            raise InputError(f"unknown {self.kind} '{name}'{nearest(name.lower(), self.entries)}")
        return self.entries[known]

    def _known(self, name: str) -> str:
        """The name of the entry that `name` is a spelling of; `name` itself where there is none."""
        alike = (one for one in self.entries if _plain(one) == _plain(name))
        return name if name in self.entries else next(alike, name)

    def names(self, pattern: str = "*") -> list[str]:
        """Return the names that match a shell pattern, in the order of registration."""
        return [name for name in self.entries if fnmatch.fnmatchcase(name, pattern)]


def _plain(name: str) -> str:
    """A name as it is looked up: "Grad-CAM", "Grad CAM" and "gradcam" are one."""
    return re.sub(r"[\s_-]", "", name).casefold()


def _place(function: Callable[..., Any]) -> str:
    return f"{function.__module__}.{function.__qualname__}"


def _same_place(one: Callable[..., Any], other: Callable[..., Any]) -> bool:
    """Whether a function takes another's place: a notebook's cell that runs again, or a module that is loaded again."""
    return _place(one) == _place(other) or one.__module__ == other.__module__ == "__main__"


# One registry a kind. Importing `xailib.attribution`, `.metrics`, `.datasets` or `.models` fills it.
method = Registry("method", {"family": ..., "needs": (), "label": ..., "paper": ...})
# A metric is `together` where a map's score depends on the other maps of its stack too; one without `passes` looks at maps
# and boxes alone, never at what the network answers. `curve` is what its value is the area under: called as the metric is,
# it returns `(n, steps + 1)`.
_METRIC = {"better": ..., "range": ..., "label": ..., "columns": (), "nan": "never", "paper": ..., "together": False}
metric = Registry("metric", {**_METRIC, "passes": True, "curve": None})
# A data set with `shift_of` is a shift of that one in studies that name its folder (`shift_roots`): its images; or its
# `parts(root)`, names to options; or what `relabel(images, root)` makes of the study's images, where the root may be null.
dataset = Registry("data set", {"label": ..., "class_names": None, "shift_of": None, "parts": None, "relabel": None})
architecture = Registry("architecture", {"cam_layer": None, "offers": (), "label": ...})
# How an estimator's map is made of a method's maps; `noisy` forms read the moments over noisy copies of the image.
estimator = Registry("form", {"label": ..., "family": ..., "noisy": ..., "paper": ...})
