"""docs/architecture.md says what the code is."""

from xailib.workflow.architecture import PAGE, floors, page, wings


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run python -m xailib.workflow architecture"


def test_wings_stand_on_each_other_one_way() -> None:
    """A circle would have no lowest floor; and the house stays low, its front hall small."""
    files, graph = wings()
    levels = floors(graph)
    assert levels["errors"] == 0 and all(levels[wing] > levels[other] for wing in graph for other in graph[wing])
    assert sum(len(paths) == 1 and paths[0].parent.name == "xailib" for paths in files.values()) <= 7
    assert max(levels.values()) <= 9
