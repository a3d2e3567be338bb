"""Numbers as pictures: lines with intervals, and paths in a plane. Plain SVG; no library, no outside resource.

Text takes the colour around it (currentColor), so a picture reads on light and dark ground.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

COLOURS = ("#3b7ddd", "#d1632a", "#1d9a6c", "#a05bd0", "#b8921f", "#d24b74", "#4f8fa8", "#7d8a2e", "#96705a", "#7070d8")
WIDTH, HEIGHT, _LEFT, _BOTTOM, EDGE = 520, 260, 46, 34, 12
NARROW = 360  # a picture that a phone shows whole, with letters of nearly their own size
_LETTER, _SIGN, _BETWEEN, _LINE = 6.6, 16, 14, 18  # of a legend: mean width of a letter, the colour's sign, gaps
_NAMED = 12  # points that a legend names
_SPARKS = "▁▂▃▄▅▆▇█"
T = TypeVar("T")


class Line(NamedTuple):
    """A named line: one value an iteration (None: none), and where known the interval around it."""

    name: str
    values: Sequence[float | None]
    band: Sequence[Sequence[float] | None] = ()


def lines_svg(lines: Sequence[Line], y_label: str) -> str:
    """Values over iterations 1, 2 ...; an interval is a band."""
    known = [v for line in lines for v in line.values if v is not None]
    known += [end for line in lines for interval in line.band if interval for end in interval]
    count = max(len(line.values) for line in lines)
    legend, top = _legend([line.name for line in lines])
    frame = Frame((1, max(2, count)), (min(known, default=0), max(known, default=1)), top, wide=NARROW)
    parts = [*frame.axes("iteration", y_label), *legend]
    for i, line in enumerate(lines):
        colour = COLOURS[i % len(COLOURS)]
        parts += [_band(frame, run, colour) for run in _runs(line.band)]
        parts += [_stroke(frame, run, colour) for run in _runs(line.values)]
        parts += [
            f'<circle cx="{frame.x(t + 1):.1f}" cy="{frame.y(value):.1f}" r="2.6" fill="{colour}"><title>'
            f"{escape(line.name)}, iteration {t + 1}: {value:.3f}</title></circle>"
            for t, value in enumerate(line.values)
            if value is not None
        ]
    return svg(parts, f"{y_label} by iteration: {', '.join(line.name for line in lines)}", wide=NARROW)


def curve_svg(calls: Sequence[float], lines: Mapping[str, Sequence[float | None]], y_label: str) -> str:
    """The best of each of `lines` by number of calls made: steps, from zero up."""
    legend, top = _legend(list(lines))
    most = max((v for values in lines.values() for v in values if v is not None), default=1.0)
    frame = Frame((0, max([1.0, *calls])), (0.0, most or 1.0), top, wide=NARROW)
    parts = [*frame.axes("calls", y_label), *legend]
    for i, (name, values) in enumerate(lines.items()):
        colour, route, before = COLOURS[i % len(COLOURS)], "", 0.0
        for at, value in zip(calls, values, strict=True):
            if value is not None:
                route += f" {frame.x(at):.1f},{frame.y(before):.1f} {frame.x(at):.1f},{frame.y(value):.1f}"
                before = value
        parts.append(
            f'<polyline points="{route.strip()}" fill="none" stroke="{colour}" stroke-width="2">'
            f"<title>{escape(name)}: {before:.3f} at the end</title></polyline>"
        )
    return svg(parts, f"{y_label} by calls: {', '.join(lines)}", wide=NARROW)


def paths_svg(paths: NDArray[np.float64], names: Sequence[str], labels: tuple[str, str], best: tuple[int, int]) -> str:
    """How points moved in a plane: `paths` of shape (times, points, 2), a ring where each began, a dot where it is now.

    `best` = (time, point) gets a star; (-1, -1) is nowhere. Many points have numbers, from one, instead of a legend.
    """
    low, high = paths.min(axis=(0, 1)), paths.max(axis=(0, 1))
    told = names if len(names) <= _NAMED else ()
    legend, top = _legend(told)
    frame = Frame((low[0], high[0]), (low[1], high[1]), top, pad=0.06, wide=NARROW)
    parts = [*frame.axes(*labels), *legend]
    for i in range(paths.shape[1]):
        colour = COLOURS[i % len(COLOURS)]
        places = [(frame.x(x), frame.y(y)) for x, y in paths[:, i].tolist()]
        route = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        parts.append(f'<polyline points="{route}" fill="none" stroke="{colour}" stroke-width="1.3" opacity=".65"/>')
        (x, y), (end, to) = places[0], places[-1]
        title = f"<title>{escape(names[i] if i < len(names) else str(i + 1))}</title>"
        parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="none" stroke="{colour}">{title}</circle>')
        parts.append(f'<circle cx="{end:.1f}" cy="{to:.1f}" r="3.5" fill="{colour}">{title}</circle>')
        if not told:
            parts.append(f'<text x="{end + 5:.1f}" y="{to - 3:.1f}" font-size="9">{i + 1}</text>')
    if best[0] >= 0:
        x, y = (frame.x(paths[best][0]), frame.y(paths[best][1]))
        parts.append(
            f'<text x="{x:.1f}" y="{y + 6:.1f}" text-anchor="middle" font-size="18" fill="currentColor">★'
            "<title>the best system found</title></text>"
        )
    return svg(parts, f"paths of {paths.shape[1]} points in a plane", wide=NARROW)


def projected(trail: Sequence[NDArray[np.float64]]) -> tuple[NDArray[np.float64], tuple[float, float]]:
    """Arrays of shape (points, numbers), one a time, on the plane of their greatest spread (principal components).

    Returns the places, shape (times, points, 2), and the share of all variance that each axis shows.
    """
    stacked = np.asarray(trail, dtype=np.float64)
    flat = stacked.reshape(-1, stacked.shape[-1])
    centred = flat - flat.mean(axis=0)
    _, sizes, axes = np.linalg.svd(centred, full_matrices=False)
    places = np.zeros((len(flat), 2))
    places[:, : min(2, len(axes))] = centred @ axes[:2].T
    variance = np.zeros(2)
    variance[: min(2, len(sizes))] = (sizes**2)[:2] / max(float((sizes**2).sum()), 1e-300)
    return places.reshape(*stacked.shape[:2], 2), (float(variance[0]), float(variance[1]))


def sparkline(values: Sequence[float | None], width: int = 40) -> str:
    """A character a value, on a scale from 0 to 1, or wider if a value lies outside; a space where there is none.

    Of more than `width` values as many are shown, evenly spaced, the first and the last among them.
    """
    if len(values) > width:
        values = [values[round(i * (len(values) - 1) / (width - 1))] for i in range(width)]
    known = [value for value in values if value is not None]
    low, high = min([0.0, *known]), max([1.0, *known])
    return "".join(" " if v is None else _SPARKS[round((v - low) / (high - low) * (len(_SPARKS) - 1))] for v in values)


class Frame:
    """From numbers to places in the picture."""

    def __init__(
        self,
        x: tuple[float, float],
        y: tuple[float, float],
        top: float,
        pad: float = 0.0,
        log: bool = False,
        wide: int = WIDTH,
    ) -> None:
        """`pad`: room around the values, as a share of their range; `log`: x, all above 0, is logarithmic."""
        self._log, self._right = log, wide - EDGE
        ends = (math.log10(x[0]), math.log10(x[1])) if log else x
        self._x, self._y, self._top = _widened(*ends, pad), _widened(*y, max(pad, 0.04)), top

    def x(self, value: float) -> float:
        low, high = self._x
        return _LEFT + ((math.log10(value) if self._log else value) - low) / (high - low) * (self._right - _LEFT)

    def y(self, value: float) -> float:
        low, high = self._y
        return HEIGHT - _BOTTOM - (value - low) / (high - low) * (HEIGHT - _BOTTOM - self._top)

    def axes(self, x_label: str, y_label: str) -> Iterator[str]:
        for value in _ticks(*self._y):
            y = self.y(value)
            yield (
                f'<path d="M{_LEFT} {y:.1f}H{self._right}" stroke="currentColor" opacity=".15"/>'
                f'<text x="{_LEFT - 5}" y="{y + 4:.1f}" text-anchor="end">{value:g}</text>'
            )
        for value in _powers(*self._x) if self._log else _ticks(*self._x):
            if x_label != "iteration" or value == round(value):
                yield (
                    f'<text x="{self.x(value):.1f}" y="{HEIGHT - _BOTTOM + 15}" text-anchor="middle">{value:g}</text>'
                )
        middle = (_LEFT + self._right) / 2
        yield f'<text x="{middle:g}" y="{HEIGHT - 4}" text-anchor="middle">{escape(x_label)}</text>'
        height = (self._top + HEIGHT - _BOTTOM) / 2
        yield (
            f'<text x="11" y="{height:g}" text-anchor="middle" transform="rotate(-90 11 {height:g})">'
            f"{escape(y_label)}</text>"
        )


def _widened(low: float, high: float, share: float) -> tuple[float, float]:
    span = high - low or max(abs(high), 1.0) * 0.2
    return low - span * share, high + span * share


def _ticks(low: float, high: float) -> list[float]:
    """Round numbers, about five."""
    raw = (high - low) / 5
    size = 10.0 ** math.floor(math.log10(raw))
    step = size * next(m for m in (1, 2, 5, 10) if m * size >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [round(k * step, 12) for k in range(first, math.floor(high / step + 1e-9) + 1)]


def _powers(low: float, high: float) -> list[float]:
    """1, 2 and 5 times powers of ten between 10**low and 10**high; powers alone where those would be too many."""
    steps = (1, 2, 5) if high - low < 3 else (1,)
    wide = [m * 10.0**k for k in range(math.floor(low), math.ceil(high) + 1) for m in steps]
    return [value for value in wide if low <= math.log10(value) <= high]


def _runs(values: Sequence[T | None]) -> Iterator[list[tuple[int, T]]]:
    """Stretches of values without a gap, each with its place."""
    run: list[tuple[int, T]] = []
    for t, value in enumerate([*values, None]):
        if value is not None:
            run.append((t, value))
        elif run:
            yield run
            run = []


def _stroke(frame: Frame, run: Sequence[tuple[int, float]], colour: str) -> str:
    places = " ".join(f"{frame.x(t + 1):.1f},{frame.y(value):.1f}" for t, value in run)
    return f'<polyline points="{places}" fill="none" stroke="{colour}" stroke-width="2"/>'


def _band(frame: Frame, run: Sequence[tuple[int, Sequence[float]]], colour: str) -> str:
    there = [f"{frame.x(t + 1):.1f},{frame.y(ends[1]):.1f}" for t, ends in run]
    back = [f"{frame.x(t + 1):.1f},{frame.y(ends[0]):.1f}" for t, ends in reversed(run)]
    return f'<polygon points="{" ".join(there + back)}" fill="{colour}" opacity=".15"/>'


def _legend(names: Sequence[str]) -> tuple[list[str], float]:
    """The whole names beside their colours, as many a row as there is room for; and the height down to the plot."""
    parts, x, row = [], float(_LEFT), 0
    for i, name in enumerate(names):
        most = int((NARROW - _LEFT - _SIGN) / _LETTER)
        short = name if len(name) <= most else name[: most - 1] + "…"
        wide = _SIGN + _LETTER * len(short)
        if x > _LEFT and x + wide > NARROW:
            x, row = float(_LEFT), row + 1
        y = 13 + _LINE * row
        parts.append(
            f'<rect x="{x:.0f}" y="{y - 8}" width="12" height="4" fill="{COLOURS[i % len(COLOURS)]}"/>'
            f'<text x="{x + _SIGN:.0f}" y="{y}">{escape(short)}</text>'
        )
        x += wide + _BETWEEN
    return parts, EDGE + _LINE * (row + 1) * bool(names)


def svg(parts: Sequence[str], spoken: str, panels: int = 1, wide: int = WIDTH) -> str:
    """The whole picture, so many panels high and `wide`; `spoken` says what it shows."""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="chart" viewBox="0 0 {wide} {panels * HEIGHT}" role="img" '
        f'aria-label="{escape(spoken)}" font-family="system-ui, sans-serif" font-size="12" fill="currentColor">'
        f"{''.join(parts)}</svg>"
    )
