"""docs/architecture.md: the wings of xailib, which stands on which, and the way of the data, read from the code.

`python -m xailib.workflow architecture` writes the page and its two pictures; a test says when they are out of date.
"""

import ast
from collections.abc import Mapping
from pathlib import Path

from xailib.params.stages import STAGES
from xailib.workflow.diagram import floors, picture
from xailib.workflow.digests import imports
from xailib.workspace import PACKAGE, SHIPPED

PAGE = SHIPPED / "docs" / "architecture.md"
INTRODUCTION = """\
# Where everything is

Written by `python -m xailib.workflow architecture` from the code itself.

A study is a grid of *slices*, one executed notebook each. `Snakefile` and `rules/` say which slices there are, `params/`
holds one YAML file for each study, data set, network, method, metric and estimator, `notebooks/` what a slice does, and
`xailib/` the functions that the notebooks call. Adding a method, metric, data set, architecture or estimator touches one
file of code, which is found by itself here or in `plugins/` of a workspace, and one of `params/`.

| you look for | it is in |
|---|---|
| the formula of a method, such as RISE | `xailib/attribution/`, a file a method |
| a metric, and the threshold of localisation | `xailib/metrics/` |
| which results an edit makes again | `xailib/params/stages.py` (the one table), `xailib/workflow/digests.py` |
| how a finding is decided | `xailib/analysis/claims.py`, `roar_claims.py`: words, rule and test of each side by side |
| what a comparison of methods recommends, and by which rule | `xailib/analysis/advice.py`, on the tests of `compare.py` |
| where a checkpoint's layout is recognised | `xailib/models/layouts.py` |
| how a slice is started | `xailib/workflow/slices.py` |
| where files are looked for, here and in a workspace | `xailib/workspace.py` |
"""

FINALS = "final notebooks\nof papers, of a comparison"
PREDICT, CHOOSE = "predict\naccuracy, shifts, attack", "choose\nimages that all are right on"
WAY = [
    ("params/*.yaml", "study.yaml\nchecked"),
    ("study.yaml\nchecked", PREDICT),
    (PREDICT, CHOOSE),
    (CHOOSE, "attribute\nmaps.npz"),
    (CHOOSE, "sanity\nof a comparison"),
    ("study.yaml\nchecked", "finetune\ncopies, where a metric asks"),
    ("attribute\nmaps.npz", "evaluate\nscores, reliability"),
    ("attribute\nmaps.npz", "indomain\nscores on copies"),
    ("finetune\ncopies, where a metric asks", "indomain\nscores on copies"),
    *(
        (name, "collect\ntables of all slices")
        for name in (PREDICT, "evaluate\nscores, reliability", "indomain\nscores on copies", "sanity\nof a comparison")
    ),
    ("collect\ntables of all slices", FINALS),
    (FINALS, "report.html"),
    ("study.yaml\nchecked", "roar_images\nstore"),
    ("roar_images\nstore", "roar_rank\nrankings"),
    ("roar_rank\nrankings", "roar_retrain\nfrom scratch"),
    ("roar_rank\nrankings", "roar_trust\nchecks"),
    ("roar_retrain\nfrom scratch", "roar_results"),
    ("roar_trust\nchecks", "roar_results"),
    ("roar_results", "report.html"),
]


def wings(package: Path = PACKAGE) -> tuple[dict[str, list[Path]], dict[str, set[str]]]:
    """Return the files of each wing, and the wings that it imports from; loose files are the front hall, one box a file."""
    files: dict[str, list[Path]] = {}
    for path in sorted(package.rglob("*.py")):
        inner = path.relative_to(package).parts
        files.setdefault(inner[0] if len(inner) > 1 else path.stem, []).append(path)
    files.pop("__init__")
    graph = {}
    for wing, paths in files.items():
        others = {other.split(".")[1] for path in paths for other in imports(path) if other.startswith("xailib.")}
        graph[wing] = others & (set(files) - {wing})
    return files, graph


def page() -> str:
    """Return the page as text."""
    files, graph = wings()
    levels = floors(graph)
    order = sorted(files, key=lambda wing: (levels[wing], wing))
    rows = [
        f"| {levels[wing]} | `{_path(wing, files)}` | {_told(files[wing])} | {_names(files[wing])} |" for wing in order
    ]
    return "\n".join(
        [
            INTRODUCTION,
            "## The wings, from the ground up",
            "",
            "Imports run one way, from a higher floor to a lower one.",
            "",
            "| floor | wing | what it is for | its files |",
            "|---|---|---|---|",
            *rows,
            "",
            "Arrows point to what a wing stands on; an arrow that follows from others is left out.",
            "",
            "![The wings in rows, from the explorer and the workflow down to the errors](architecture_wings.svg)",
            "",
            "## The way of the data",
            "",
            "![From the parameter files through the slices to the report](architecture_data.svg)",
            "",
            "| stage | runs | of the study it depends on | at most, minutes |",
            "|---|---|---|---|",
            *(
                f"| {name} | `{stage.starts}` | {', '.join(stage.study) or '-'} | {stage.minutes} |"
                for name, stage in STAGES.items()
            ),
            "",
        ]
    )


def _path(wing: str, files: Mapping[str, list[Path]]) -> str:
    return f"{wing}/" if files[wing][0].parent.name == wing else f"{wing}.py"


def _told(paths: list[Path]) -> str:
    """The first sentence of a wing's own description."""
    first = next((path for path in paths if path.name == "__init__.py"), paths[0])
    text = ast.get_docstring(ast.parse(first.read_text(encoding="utf-8"))) or ""
    return " ".join(text.split("\n\n")[0].split()).replace("|", "\\|")


def _names(paths: list[Path]) -> str:
    return " ".join(path.stem for path in paths if path.stem != "__init__") if len(paths) > 1 else ""


def pictures() -> dict[Path, str]:
    """Return the page's pictures: of the imports between wings, without those that follow from others, and of the data."""
    graph = wings()[1]

    def below(wing: str) -> set[str]:
        return set().union(*({other} | below(other) for other in graph[wing]))

    arrows = [
        (wing, other)
        for wing, others in graph.items()
        for other in sorted(others)
        if not any(other in below(between) for between in others)
    ]
    return {
        PAGE.with_name("architecture_wings.svg"): picture(arrows),
        PAGE.with_name("architecture_data.svg"): picture(WAY),
    }


def main(words: list[str] | None = None) -> int:
    """Write the page and its pictures, and say where."""
    for path, text in {PAGE: page(), **pictures()}.items():
        path.write_text(text, encoding="utf-8")
        print("wrote", path)
    return 0
