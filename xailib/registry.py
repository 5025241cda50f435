"""Registries: a plain function becomes a method, metric, data set, architecture or estimator form by one decorator.

What a table, an arrow or the workflow must know about an entry (family, direction, range, needs) is
data on the entry, so nothing elsewhere branches on names. A new file in the folder of its kind is found by itself, and so
is a plug-in of the workspace (`xailib.plugins`), which may register all kinds.
"""

import fnmatch
import functools
import importlib
import inspect
import pkgutil
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from xailib.errors import InputError, nearest

PLUGINS = "xailib.plugins"


class RegisteredTwice(InputError, TypeError):
    """Two functions ask for one name."""


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

    Attributes:
        kind: what they are, for messages.
        home: the package whose files register them.
        facts: every fact that an entry may declare, and its default; a default of `...` makes it required.
        first: the files whose entries come first in tables, by name; those of other files follow, sorted.
        words: what a fact may be, where it is one of a few words.
        takes: what its functions are called with; whatever else they take is an option, with a default.
    """

    kind: str
    home: str
    facts: dict[str, Any]
    first: tuple[str, ...] = ()
    words: dict[str, tuple[str, ...]] = field(default_factory=dict)
    takes: tuple[str, ...] = ()
    _found: dict[str, Entry] = field(default_factory=dict)

    @functools.cached_property
    def entries(self) -> dict[str, Entry]:
        """Entries by name, in the order of tables. The first look imports every file of `home`, and the plug-ins.

        Whoever looks a function up here, rather than importing it, does not depend on its neighbours: see
        `xailib.workflow.digests`.
        """
        places = self.fill()
        importlib.import_module(PLUGINS).load()
        ordered = sorted(self._found.values(), key=lambda entry: places.get(entry.function.__module__, len(places)))
        self._found = {entry.name: entry for entry in ordered}
        return self._found

    def fill(self) -> dict[str, int]:
        """Import every file of `home`, and return where each stands in the order of tables."""
        places = {f"{self.home}.{name}": place for place, name in enumerate(self.first)}
        package = importlib.import_module(self.home)
        names = [info.name for info in pkgutil.walk_packages(package.__path__, f"{self.home}.")]
        for name in sorted(names, key=lambda name: places.get(name, len(places))):
            importlib.import_module(name)
            places.setdefault(name, len(places))
        return places

    def __call__(self, name: str, **facts: Any) -> Callable[[Callable[..., Any]], Any]:
        """Decorate a function so that it is known as `name`; what it declares, and what it takes, is checked.

        Raises:
            TypeError: facts that this kind does not have, or that are missing.
            InputError: a fact that is none of the words or no range, a function that cannot be called, a name that is taken.
        """
        unknown = set(facts) - set(self.facts)
        missing = {key for key, value in self.facts.items() if value is ...} - set(facts)
        if unknown or missing:
            raise TypeError(f"{self.kind} {name!r}: unknown facts {sorted(unknown)}, missing facts {sorted(missing)}")

        wrong = _wrong({key: self.words.get(key) for key in facts}, self.facts, facts)
        if wrong:
            raise InputError(f"{self.kind} '{name}': {wrong}")

        def register(function: Callable[..., Any]) -> Callable[..., Any]:
            if self.takes and (fault := uncallable(function, self.takes)):
                raise InputError(f"{self.kind} '{name}': {_said(function)} {fault}")
            # Files that are found are not to import each other.
            ours = f"{function.__module__}.".startswith((f"{self.home}.", f"{PLUGINS}."))
            entries = self.__dict__.get("entries", self._found) if ours else self.entries
            known = entries.get(_known(name, entries))
            if known and (known.name != name or not _same_place(known.function, function)):
                raise RegisteredTwice(
                    f"{self.kind} {name!r} is registered twice, by {_said(known.function)} and {_said(function)}; "
                    "give one of them another name"
                )
            entries[name] = Entry(name, function, {**self.facts, **facts})
            return function

        return register

    def get(self, name: str) -> Entry:
        """Return the entry called `name`, whatever its case, hyphens, underscores and spaces.

        An unknown name is an `InputError` that suggests the nearest one.
        """
        if not isinstance(name, str):
            raise InputError(f"{self.kind}: a name is needed, not {type(name).__name__}{nearest('', self.entries)}")
        known = _known(name, self.entries)
        if known not in self.entries:
            why = "; ".join([nearest(name.lower(), self.entries), *broken()])
            raise InputError(f"unknown {self.kind} '{name}'{why}")
        return self.entries[known]

    def forget(self, module: str) -> None:
        """Drop what a module registered before it failed."""
        for name in [name for name, entry in self._found.items() if entry.function.__module__ == module]:
            del self._found[name]

    def names(self, pattern: str = "*") -> list[str]:
        """Return the names that match a shell pattern, in the order of tables."""
        return [name for name in self.entries if fnmatch.fnmatchcase(name, pattern)]


def broken() -> list[str]:
    """Return one sentence for each plug-in that cannot be loaded."""
    return list(importlib.import_module(PLUGINS).broken.values())


def _wrong(words: dict[str, tuple[str, ...] | None], usual: dict[str, Any], facts: dict[str, Any]) -> str:
    """What is wrong with the facts of an entry; nothing where all is right."""
    for key, value in facts.items():
        known = words[key]
        if known and value not in known:
            return f"{key}: unknown {value!r}{nearest(str(value), known)}"
        if key == "label" and not isinstance(value, str):
            return f"label: {value!r} is no text"
        if isinstance(usual[key], tuple) and not isinstance(value, tuple | list):
            return f"{key}: {value!r} is no list of words; write ({value!r},)"
        if key == "range" and not _is_range(value):
            return f"range: {value!r} is not (lowest, highest), such as (0, 1) or (0, math.inf)"
    return ""


def _is_range(value: Any) -> bool:
    try:
        low, high = value
        return bool(low < high)
    except (TypeError, ValueError):
        return False


def uncallable(function: Callable[..., Any], takes: tuple[str, ...], **options: Any) -> str:
    """Why a function cannot be called with what its kind gives, and these options; nothing where it can."""
    try:
        signature = inspect.signature(function)
    except ValueError:  # of some functions in C nobody knows it
        return ""
    try:
        signature.bind(*takes, **(({"seed": 0} if "seed" in signature.parameters else {}) | options))
    except TypeError as error:
        return f"must take ({', '.join(takes)}), and options that have a default: {error}"
    return ""


def _known(name: str, entries: dict[str, Entry]) -> str:
    """The name of the entry that `name` is a spelling of; `name` itself where there is none."""
    alike = (one for one in entries if _plain(one) == _plain(name))
    return name if name in entries else next(alike, name)


def _plain(name: str) -> str:
    """A name as it is looked up: "Grad-CAM", "Grad CAM" and "gradcam" are one."""
    return re.sub(r"[\s_-]", "", name).casefold()


def _place(function: Callable[..., Any]) -> str:
    return f"{function.__module__}.{function.__qualname__}"


def _said(function: Callable[..., Any]) -> str:
    """Where a function is, for messages: its file, where that is found."""
    module = function.__module__
    found = module.startswith("xailib.")
    file = f"{module.removeprefix('xailib.') if module.startswith(PLUGINS) else module}".replace(".", "/")
    return f"{function.__qualname__} in {file}.py" if found else _place(function)


def _same_place(one: Callable[..., Any], other: Callable[..., Any]) -> bool:
    """Whether a function takes another's place: a notebook's cell that runs again, or a module that is loaded again."""
    return _place(one) == _place(other) or one.__module__ == other.__module__ == "__main__"


_ORDER = ("gradients", "shap", "guided_backprop", "cam", "extremal", "meaningful", "rise", "lime", "kernel_shap")
# One registry a kind, filled from the files of its package, methods in the order of the tables.
method = Registry(
    "method",
    "xailib.attribution",
    {"family": ..., "needs": (), "label": ..., "paper": ...},
    (*_ORDER, "controls"),
    {"family": ("gradient", "cam", "perturbation", "control")},
    ("model", "pixels", "targets"),
)
# A metric is `together` where a map's score depends on the other maps of its stack too; one without `passes` looks at maps
# and boxes alone, never at what the network answers. `curve` is what its value is the area under: called as the metric is,
# it returns `(n, steps + 1)`. One that `explains` makes maps again: it gets the network itself and the maps with what they know,
# and costs many times their method.
_METRIC = {"better": ..., "range": ..., "label": ..., "columns": (), "nan": "never", "paper": ..., "together": False}
metric = Registry(
    "metric",
    "xailib.metrics",
    {**_METRIC, "passes": True, "curve": None, "explains": False},
    ("pointing_game", "localisation", "removal"),
    {"better": ("higher", "lower")},
    ("maps", "model", "images"),
)
# A data set declares its `splits`, the default first (none: any word, or none at all); the `side` that its files are fitted
# to by default (none: it has one size, or takes a `side` itself); the `shifts` that it draws itself, as its option `shift`; and
# the class indices that answers are chosen `among()`, where these are not all. One with `shift_of` is a shift of that one in
# studies that name its folder (`shift_roots`): its images; or its `parts(root)`, names to options; or what
# `relabel(images, root)` makes of the study's images, where the root may be null.
_DATASET = {"label": ..., "splits": (), "side": None, "class_names": None, "among": None, "shifts": ()}
_SHIFT = {"shift_of": None, "parts": None, "relabel": None}
dataset = Registry("data set", "xailib.datasets", {**_DATASET, **_SHIFT})
architecture = Registry(
    "architecture", "xailib.models", {"cam_layer": None, "offers": (), "label": ...}, ("architectures",)
)
# How an estimator's map is made of a method's maps; `noisy` forms read the moments over noisy copies of the image.
estimator = Registry("form", "xailib.attribution", {"label": ..., "family": ..., "noisy": ..., "paper": ...})
