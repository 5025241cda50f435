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
        text = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=WIDTH - 20, allow_unicode=True)
        text = text.removesuffix("...\n").rstrip()  # the end of a document, which a bare word gets
        line, note = f"{key}: {text}", notes.get(key, "")
        start = f"{line} ".ljust(COLUMN)
        if note and "\n" not in text and len(start) + len(note) + 2 <= WIDTH:
            lines.append(f"{start}# {note}")
        else:
            lines += [*([f"# {note}"] if note else []), line]
    return "\n".join(lines) + "\n"
