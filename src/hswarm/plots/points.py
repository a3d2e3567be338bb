"""Points in a plane, and as steps the best so far along the way: scores by cost, scores by trial. Plain SVG."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import NamedTuple

from hswarm.plots.charts import COLOURS, EDGE, HEIGHT, WIDTH, Frame, svg

_NEAR = (36.0, 9.0)  # points closer than this share a label


class Point(NamedTuple):
    """`name` is shown on pointing at it, and beside it in a picture with labels."""

    name: str
    x: float
    y: float


class Label(NamedTuple):
    """Text at a place in the picture, to its left or right."""

    text: str
    x: float
    y: float
    left: bool


def points_svg(
    panels: Mapping[str, Sequence[Point]], x_label: str, y_label: str, labelled: bool = False, marked: str = ""
) -> str:
    """A panel a heading, one below the other; a heading without points is left out.

    The steps join the points above all those with a smaller x. With `labelled`, names stand beside points, the point
    `marked` has a colour of its own and x is logarithmic where it can be.
    """
    shown = {heading: sorted(points, key=lambda at: (at.x, -at.y)) for heading, points in panels.items() if points}
    parts = [
        f'<g transform="translate(0 {i * HEIGHT})"><text x="{WIDTH / 2:g}" y="14" text-anchor="middle">'
        f"{escape(heading)}</text>{''.join(_panel(points, (x_label, y_label), labelled, marked))}</g>"
        for i, (heading, points) in enumerate(shown.items())
    ]
    return svg(parts, f"{y_label} by {x_label}", max(1, len(shown)))


def _panel(points: Sequence[Point], titles: tuple[str, str], labelled: bool, marked: str) -> Iterator[str]:
    xs, ys = [point.x for point in points], [point.y for point in points]
    frame = Frame((min(xs), max(xs)), (min(ys), max(ys)), EDGE + 14, 0.06, labelled and min(xs) > 0)
    yield from frame.axes(*titles)
    route, best = "", float("-inf")
    for point in points:
        if point.y > best:
            best = point.y
            route += f"{'H' if route else 'M'}{frame.x(point.x):.1f}{'V' if route else ' '}{frame.y(best):.1f}"
    yield f'<path d="{route}H{frame.x(xs[-1]):.1f}" fill="none" stroke="currentColor" opacity=".5"/>'
    for point in sorted(points, key=lambda at: at.name == marked):  # the marked one on top of its equals
        yield (
            f'<circle cx="{frame.x(point.x):.1f}" cy="{frame.y(point.y):.1f}" r="3.5" '
            f'fill="{COLOURS[point.name == marked]}"><title>{escape(point.name)}: {point.y:.3f}</title></circle>'
        )
    if labelled:
        for label in labels([Point(at.name, frame.x(at.x), frame.y(at.y)) for at in points]):
            x, anchor = (label.x - 6, "end") if label.left else (label.x + 6, "start")
            yield (
                f'<text x="{x:.1f}" y="{label.y - 3:.1f}" font-size="9" text-anchor="{anchor}">'
                f"{escape(label.text)}</text>"
            )


def labels(points: Sequence[Point]) -> list[Label]:
    """Labels of points at places in the picture; near ones share one, those on the right have it on their left."""
    groups: list[list[Point]] = []
    for point in points:
        for group in groups:
            if abs(group[0].x - point.x) < _NEAR[0] and abs(group[0].y - point.y) < _NEAR[1]:
                group.append(point)
                break
        else:
            groups.append([point])
    return [
        Label(", ".join(point.name for point in group), group[0].x, group[0].y, group[0].x > WIDTH / 2)
        for group in groups
    ]
