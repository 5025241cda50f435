"""Parameter files as people read them: a line a key, and behind it why it says what it says."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

WIDTH = 120
COLUMN = 26  # where comments begin, unless the value is longer


@dataclass
class Draft:
    """A parameter file before it is written.

    Attributes:
        kind: its folder in `params/`.
        values: what it says, in order; the first is its id.
        notes: key -> the comment behind its line.
        head: comment above all lines.
        files: name in the workspace -> text of files that it names.
        warnings: sentences for whoever makes the workspace.
    """

    kind: str
    values: dict[str, Any]
    notes: dict[str, str] = field(default_factory=dict)
    head: str = ""
    files: dict[str, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    @property
    def id(self) -> str:
        """The file's identity."""
        return str(next(iter(self.values.values())))

    def text(self) -> str:
        """Return the file."""
        return "".join(f"# {line}\n" for line in self.head.splitlines()) + commented(self.values, self.notes)


def commented(values: Mapping[str, Any], notes: Mapping[str, str]) -> str:
    """Return YAML, a line a key, with a comment behind each, or above it where both do not fit in a line."""
    lines = []
    for key, value in values.items():
        line = yaml.safe_dump({key: value}, default_flow_style=None, sort_keys=False, width=10_000, allow_unicode=True)
        line, note = line.rstrip("\n"), notes.get(key, "")
        if note and "\n" not in line and len(line.ljust(COLUMN)) + len(note) + 2 <= WIDTH:
            lines.append(f"{line.ljust(COLUMN)}# {note}")
        else:
            lines += [*([f"# {note}"] if note else []), line]
    return "\n".join(lines) + "\n"
