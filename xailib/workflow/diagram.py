"""A diagram of boxes and arrows as SVG: what stands on what, in rows, without a program or a browser to draw it."""

import html
from collections.abc import Mapping, Sequence
from itertools import pairwise

LINE, GAP, ROW, LETTER = 17, 22, 62, 7.4  # pixels: of a line of text, between boxes, between rows, of a letter
SWEEPS = 12  # over the rows, to order them so that few arrows cross
STYLE = """\
text { font: 13px system-ui, "DejaVu Sans", sans-serif; text-anchor: middle; fill: #1b1f24 }
text tspan + tspan { font-size: 11px; fill: #59636e }
rect { fill: #eaf1f8; stroke: #6b8fb0 }
path { fill: none; stroke: #7b8591; stroke-width: 1.3 }
marker path { fill: #7b8591; stroke: none }"""

Place = tuple[float, float]
Node = tuple[str, int]  # a box and its floor; of an arrow that passes a floor, the arrow's name


def floors(graph: Mapping[str, set[str]]) -> dict[str, int]:
    """Return how many boxes a box has below it at most: 0 stands on none."""

    def height(name: str) -> int:
        return max((1 + height(other) for other in graph.get(name, ())), default=0)

    return {name: height(name) for name in graph}


def picture(arrows: Sequence[tuple[str, str]]) -> str:
    """Return the diagram of arrows between boxes, each from a higher to a lower row; lines of a name below each other."""
    graph: dict[str, set[str]] = {name: set() for arrow in arrows for name in arrow}
    for name, other in arrows:
        graph[name].add(other)
    levels = floors(graph)
    routes = [_route(arrow, levels) for arrow in arrows]
    rows = _ordered([(name, level) for name, level in levels.items()], routes)
    width = max(sum(map(_width, row)) + GAP * (len(row) - 1) for row in rows) + 2 * GAP
    places: dict[Node, Place] = {}
    for i, row in enumerate(rows):
        x = (width - sum(map(_width, row)) - GAP * (len(row) - 1)) / 2
        for node in row:
            places[node] = (x + _width(node) / 2, (i + 0.5) * ROW)
            x += _width(node) + GAP
    body = [_arrow([places[node] for node in route], [_height(node) for node in route]) for route in routes]
    body += [_box(name, *places[name, level]) for name, level in levels.items()]
    drawn = "\n".join(body)
    head = '<marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {ROW * len(rows)}" width="{width:.0f}">\n'
        f'<style>\n{STYLE}\n</style>\n<defs>{head}<path d="M0 0L8 4L0 8z"/></marker></defs>\n{drawn}\n</svg>\n'
    )


def _route(arrow: tuple[str, str], levels: Mapping[str, int]) -> list[Node]:
    """An arrow's two boxes, and between them its own place on each floor that it passes."""
    name, other = arrow
    passed = [(f"{name} > {other}", level) for level in range(levels[name] - 1, levels[other], -1)]
    return [(name, levels[name]), *passed, (other, levels[other])]


def _ordered(boxes: Sequence[Node], routes: Sequence[Sequence[Node]]) -> list[list[Node]]:
    """The rows from the top, each node near the middle of what it is tied to in the rows beside it."""
    nodes = list(dict.fromkeys([*boxes, *(node for route in routes for node in route)]))
    top = max(level for _, level in nodes)
    rows = [[node for node in nodes if node[1] == level] for level in range(top, -1, -1)]
    ties: dict[Node, list[Node]] = {node: [] for node in nodes}
    for route in routes:
        for upper, lower in pairwise(route):
            ties[upper].append(lower)
            ties[lower].append(upper)
    place = {node: i - len(row) / 2 for row in rows for i, node in enumerate(row)}

    def middle(node: Node, above: int) -> float:
        seen = [place[other] for other in ties[node] if (other[1] > node[1]) == bool(above)]
        return sum(seen) / len(seen) if seen else place[node]

    for sweep in range(SWEEPS):
        for row in rows if sweep % 2 == 0 else rows[::-1]:
            row.sort(key=lambda node: middle(node, sweep % 2 == 0))
            place |= {node: i - len(row) / 2 for i, node in enumerate(row)}
    return rows


def _lines(node: Node) -> list[str]:
    return [] if " > " in node[0] else node[0].split("\n")


def _width(node: Node) -> float:
    return max((LETTER * len(line) + 18 for line in _lines(node)), default=4)


def _height(node: Node) -> float:
    return LINE * len(_lines(node)) + 10 if _lines(node) else 0


def _arrow(places: Sequence[Place], heights: Sequence[float]) -> str:
    """A line from the foot of the first box to the top of the last, smooth through what lies between."""
    (x, y), to = places[0], ""
    start = y + heights[0] / 2
    for (u, v), height in zip(places[1:], heights[1:], strict=True):
        end = v - height / 2
        half = (start + end) / 2
        to += f"C{x:.0f} {half:.0f} {u:.0f} {half:.0f} {u:.0f} {end:.0f}"
        x, start = u, end
    return f'<path d="M{places[0][0]:.0f} {y + heights[0] / 2:.0f}{to}" marker-end="url(#head)"/>'


def _box(name: str, x: float, y: float) -> str:
    """A box with its name, the first line larger."""
    node = (name, 0)
    lines, width, height = _lines(node), _width(node), _height(node)
    first = y - LINE * (len(lines) - 1) / 2 + 4.5
    text = "".join(
        f'<tspan x="{x:.0f}" y="{first + LINE * i:.0f}">{html.escape(line)}</tspan>' for i, line in enumerate(lines)
    )
    return (
        f'<rect x="{x - width / 2:.0f}" y="{y - height / 2:.0f}" width="{width:.0f}" height="{height:.0f}" rx="4"/>'
        f"<text>{text}</text>"
    )
