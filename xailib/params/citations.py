"""What to cite: the papers behind methods, metrics, networks and data sets, as BibTeX."""

import argparse
import fnmatch
import functools
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from xailib import params
from xailib.errors import InputError, command, nearest
from xailib.workspace import place

SHIPPED = Path(__file__).with_name("citations.bib")
OWN = "citations.bib"  # of a workspace, beside its plug-ins


def cite(*names: str) -> str:
    """Return the BibTeX entries of methods, metrics, estimators, networks, data sets or whole studies, each once.

    An entry belongs to those that its `keywords` name, so a plug-in's is added to `citations.bib` in the workspace.

    Args:
        names: ids of files in `params/`, or registered names; a study stands for all that it uses. What several kinds have is
            meant in all of them.

    Raises:
        InputError: a name that is not known, or that no entry names.
    """
    found: dict[str, str] = {}
    for name in names:
        if not isinstance(name, str):
            raise InputError(f"names: ids are needed, one after the other as in cite('rise', 'deletion'), not {name!r}")
        own = {key: text for word in _words(name) for key, text in _named(word).items()}
        if not own:
            raise InputError(
                f"there is no entry for '{name}'{nearest(name, _known() - {name})}; {OWN} may have entries of your own"
            )
        found |= own
    return "\n\n".join(found.values())


def of_study(values: Mapping[str, Any]) -> str:
    """Return the BibTeX entries of all that a study's values name; what has no entry or no file here is left out."""
    found = {key: text for word in _of("studies", values) for key, text in _named(word).items()}
    return "\n\n".join(found.values())


def _known() -> set[str]:
    kinds = {id for kind in params.KINDS for id in params.ids(kind)}
    return kinds | {word for words, _ in _entries().values() for word in words if not set(word) & set("*:[")}


def _words(name: str, kinds: Iterable[str] = tuple(params.KINDS)) -> Iterator[str]:
    """The keywords that an id of these kinds stands for."""
    yield name
    for kind in kinds:
        if name in params.ids(kind):
            values = params.load_study(name) if kind == "studies" else params.load_params(kind, name)
            yield from _of(kind, values)


def _of(kind: str, values: Mapping[str, Any]) -> Iterator[str]:
    """The keywords of a parameter file."""
    if kind == "studies":
        roar = "estimators" in values
        yield "kind:roar" if roar else f"kind:{values['kind']}"
        for key, part in (
            ("dataset", "datasets"),
            *((key, key) for key in ("models", "methods", "metrics", "estimators")),
        ):
            given = values.get(key) or []
            for id in [given] if isinstance(given, str) else given:
                yield from _words(id, [part])
        if roar:
            yield f"architecture:{values['architecture']}"
        elif values.get("roar") in params.ids("studies"):
            yield from _of("studies", params.load_study(values["roar"]))
    elif kind == "models":
        name = values.get("model_options", {}).get("name", values["architecture"])
        yield f"architecture:{name.partition('.')[0]}"
        yield f"library:{values['architecture']}"
        yield f"training:{values['training_algorithm']}"
        yield f"weights:{values['weights'].get('repo', '')}"
    elif kind == "estimators":
        yield values["estimator_method"]
        yield f"form:{values['estimator_form']}"
    else:
        word = params.KINDS[kind]
        yield values.get(f"{word}_function") or values[word]


def _named(word: str) -> dict[str, str]:
    """The entries, by key, that have a keyword."""
    return {
        key: text
        for key, (patterns, text) in _entries().items()
        if any(fnmatch.fnmatchcase(word, pattern) for pattern in patterns)
    }


def _entries() -> dict[str, tuple[tuple[str, ...], str]]:
    """Key -> keywords and text of every entry; a workspace's own replace those that are shipped."""
    own, found = place(OWN), _parsed(SHIPPED.read_text(encoding="utf-8"))
    try:
        return found | _parsed(own.read_text(encoding="utf-8")) if own.is_file() else found
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{own}: cannot be read as BibTeX in UTF-8 ({error})") from None


@functools.lru_cache(maxsize=8)
def _parsed(text: str) -> dict[str, tuple[tuple[str, ...], str]]:
    found = {}
    for entry in map(str.strip, re.findall(r"^@\w+\{.*?(?=^\s*[@%]|\Z)", text, flags=re.M | re.S)):
        key = re.match(r"@\w+\{\s*([^,\s]*)", entry)[1]
        words = re.search(r"\s*\bkeywords\s*=\s*[{\"]([^}\"]*)[}\"],?", entry, flags=re.I)
        keywords = tuple(word.strip() for word in words[1].split(",")) if words else ()
        found[key] = keywords, entry.replace(words[0], "") if words else entry
    return found


@command
def main(words: list[str] | None = None) -> int:
    """Run the command line and return its exit status: 0, or 2 for an unknown name."""
    parser = argparse.ArgumentParser(prog="xailib cite", description=__doc__)
    parser.add_argument("names", nargs="+", help="a study, a method, a metric, a network, ...")
    print(cite(*parser.parse_args(words).names))
    return 0
