"""A topology as a picture: SVG of its own, and Mermaid text. Plain strings; no library, no outside resource.

A node is one column left of the leftmost of its successors, the sink at the right. Colours are presentation
attributes that read on light and dark ground; a page's style sheet overrides them by the classes `node` and `edge`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape
from typing import Protocol

WIDTH, HEIGHT = 124, 44  # of a node's box
_GAP_X, _GAP_Y, _MARGIN = 56, 20, 10
_MARKUP = r'["#`<>&]'  # characters that Mermaid, or a page around it, would read as markup
_LONGEST = 13  # characters that a box holds


class Graph(Protocol):
    """The graph to draw: a topology (core/topology.py)."""

    @property
    def size(self) -> int: ...
    @property
    def edges(self) -> frozenset[tuple[int, int]]: ...
    @property
    def sink(self) -> int: ...
    @property
    def order(self) -> tuple[int, ...]: ...
    def predecessors(self, node: int) -> tuple[int, ...]: ...


def graph_svg(topology: Graph, labels: Sequence[str] = (), notes: Sequence[str] = ()) -> str:
    """An SVG drawing. `labels[node]` goes into the box after the node's number, `notes[node]` below it.

    Numbers that are read count from one; `data-node="v"` and `data-edge="u-v"`, from zero, let a page find the parts.
    """
    places = _places(topology)
    width = max(x for x, _ in places) + WIDTH + _MARGIN
    height = max(y for _, y in places) + HEIGHT + _MARGIN
    edges = "".join(_edge(u, v, places) for u, v in sorted(topology.edges))
    boxes = "".join(
        _box(node, places[node], _at(labels, node), _at(notes, node), node == topology.sink)
        for node in range(topology.size)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="graph" viewBox="0 0 {width:g} {height:g}" '
        f'width="{width:g}" height="{height:g}" role="img" aria-label="{escape(_spoken(topology, labels))}" '
        f'font-family="system-ui, sans-serif" font-size="13">{edges}{boxes}</svg>'
    )


def graph_mermaid(topology: Graph, labels: Sequence[str] = ()) -> str:
    """A Mermaid flowchart."""
    names = [" ".join(f"{node + 1} {_at(labels, node)}".split()) for node in range(topology.size)]
    nodes = [f'  n{node}["{re.sub(_MARKUP, lambda c: f"#{ord(c[0])};", name)}"]' for node, name in enumerate(names)]
    return "\n".join(["flowchart LR", *nodes, *(f"  n{u} --> n{v}" for u, v in sorted(topology.edges))]) + "\n"


def _places(topology: Graph) -> list[tuple[float, float]]:
    """Upper left corner of each node's box: columns by the longest path to the sink, rows next to their successors."""
    column = [0] * topology.size
    heights = [0.0] * topology.size
    successors: list[list[int]] = [[] for _ in range(topology.size)]
    for u, v in topology.edges:
        successors[u].append(v)
    for node in reversed(topology.order):
        column[node] = max((column[v] + 1 for v in successors[node]), default=0)
    columns: list[list[int]] = [[] for _ in range(max(column) + 1)]
    for node, k in enumerate(column):
        columns[k].append(node)
    for members in columns[1:]:
        members.sort(key=lambda n: (sum(heights[v] for v in successors[n]) / len(successors[n]), n))
        for row, node in enumerate(members):
            heights[node] = row - (len(members) - 1) / 2
    last, top = max(column), min(heights)
    return [
        (_MARGIN + (last - column[n]) * (WIDTH + _GAP_X), _MARGIN + (heights[n] - top) * (HEIGHT + _GAP_Y))
        for n in range(topology.size)
    ]


def _edge(u: int, v: int, places: Sequence[tuple[float, float]]) -> str:
    (x, y), (end, to) = places[u], places[v]
    x, y, end, to = x + WIDTH, y + HEIGHT / 2, end - 7, to + HEIGHT / 2
    bend = (end - x) / 2
    return (
        f'<g class="edge" data-edge="{u}-{v}"><path d="M{x:g} {y:g}C{x + bend:g} {y:g} {end - bend:g} {to:g} '
        f'{end:g} {to:g}" fill="none" stroke="#7a8699" stroke-width="1.6"/>'
        f'<path d="M{end + 6:g} {to:g}l-8 -4.5v9z" fill="#7a8699" class="tip"/></g>'
    )


def _box(node: int, place: tuple[float, float], label: str, note: str, sink: bool) -> str:
    x, y = place
    short = label if len(label) <= _LONGEST else label[: _LONGEST - 1] + "…"
    stroke = ' stroke-width="2.6"' if sink else ' stroke-width="1.3"'
    middle = y + HEIGHT / 2 + (-3 if note else 4.5)
    under = (
        (
            f'<text x="{x + WIDTH / 2:g}" y="{y + HEIGHT - 8:g}" text-anchor="middle" font-size="11" fill="#4b5768">'
            f"{escape(note)}</text>"
        )
        if note
        else ""
    )
    return (
        f'<g class="node{" sink" if sink else ""}" data-node="{node}"><title>{escape(f"node {node + 1}: {label}")}'
        f'</title><rect x="{x:g}" y="{y:g}" width="{WIDTH}" height="{HEIGHT}" rx="8" fill="#e9eff8" '
        f'stroke="#52709e"{stroke}/><text x="{x + WIDTH / 2:g}" y="{middle:g}" text-anchor="middle" '
        f'fill="#16202e">{node + 1} {escape(short)}</text>{under}</g>'
    )


def _spoken(topology: Graph, labels: Sequence[str]) -> str:
    """The drawing in words."""
    names = [f"{node + 1} {_at(labels, node)}".strip() for node in range(topology.size)]
    said = [f"{names[u]} to {names[v]}" for u, v in sorted(topology.edges)]
    return f"{topology.size} nodes; {', '.join(said)}; node {names[topology.sink]} answers" if said else names[0]


def _at(texts: Sequence[str], node: int) -> str:
    """The text of `node`, "" for none; XML knows no control characters."""
    return "".join(c if c.isprintable() else "\ufffd" for c in texts[node]) if node < len(texts) else ""
