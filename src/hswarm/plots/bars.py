"""Shares and differences as pictures: bars, a field of squares. SVG as plain strings, no library.

Text takes the colour around it (currentColor), so a picture reads on light and dark ground.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np
from numpy.typing import NDArray

COLOURS = ("#3b7ddd", "#d1632a", "#1d9a6c", "#a05bd0", "#b8921f", "#8a93a3")
_LABEL, _PLOT, _ROW, _HEAD, _NUMBER = 170, 330, 22, 26, 60
_LONGEST = 26  # characters of a label


def bars_svg(
    labels: Sequence[str],
    values: Sequence[float],
    title: str,
    intervals: Sequence[tuple[float, float] | None] = (),
    marks: Sequence[float] = (),
) -> str:
    """A bar a label from zero, with an interval where there is one and a tick at `marks`. nan draws no bar."""
    ends = [end for interval in intervals if interval for end in interval]
    known = [value for value in (*values, *ends, *marks, 0.0) if np.isfinite(value)]
    low, span = min(known), (max(known) - min(known)) or 1.0

    def x(value: float) -> float:
        return _LABEL + (value - low) / span * _PLOT

    parts = []
    for i, (label, value) in enumerate(zip(labels, values, strict=True)):
        y = _HEAD + _ROW * i
        parts.append(_label(label, y))
        if np.isfinite(value):
            left, right = sorted((x(0.0), x(value)))
            parts.append(
                f'<rect x="{left:.1f}" y="{y + 4}" width="{right - left:.1f}" height="{_ROW - 8}" '
                f'fill="{COLOURS[value < 0]}"/>'
            )
            parts.append(f'<text x="{_LABEL + _PLOT + 8}" y="{y + 15}">{value:.3f}</text>')
        if i < len(intervals) and (interval := intervals[i]):
            parts.append(
                f'<path d="M{x(interval[0]):.1f} {y + _ROW / 2}H{x(interval[1]):.1f}" '
                'stroke="currentColor" stroke-width="1.4"/>'
            )
        if i < len(marks):
            parts.append(f'<path d="M{x(marks[i]):.1f} {y + 2}v{_ROW - 4}" stroke="currentColor" stroke-width="2.4"/>')
    parts.append(f'<path d="M{x(0.0):.1f} {_HEAD}v{_ROW * len(labels)}" stroke="currentColor" opacity=".4"/>')
    return _svg(parts, title, len(labels))


def field_svg(states: NDArray[np.int64], kinds: Sequence[str], title: str) -> str:
    """Rows over columns of squares coloured by `states`, shape (rows, columns), that index `kinds`; -1 stays empty."""
    rows, columns = states.shape
    high, wide = max(2.0, min(12.0, 360 / rows)), (_LABEL + _PLOT) / columns
    parts = []
    for i, row in enumerate(states.tolist()):
        start = 0
        for j in range(1, columns + 1):  # squares of one colour side by side are one
            if j == columns or row[j] != row[start]:
                if row[start] >= 0:
                    parts.append(
                        f'<rect x="{start * wide:.1f}" y="{_HEAD + i * high:.1f}" '
                        f'width="{(j - start) * wide:.1f}" height="{high:.1f}" fill="{_colour(row[start])}"/>'
                    )
                start = j
    body = int(-(-(rows * high) // _ROW))
    return _svg([*parts, *_legend(kinds, _HEAD + _ROW * body)], title, body + 1)


def _colour(kind: int) -> str:
    return COLOURS[kind % len(COLOURS)]


def _label(text: str, y: float) -> str:
    short = text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
    return f'<text x="{_LABEL - 8}" y="{y + 15}" text-anchor="end">{escape(short)}</text>'


def _legend(kinds: Sequence[str], y: float) -> list[str]:
    wide = (_LABEL + _PLOT + _NUMBER) / max(1, len(kinds))
    return [
        f'<rect x="{k * wide:.1f}" y="{y + 6}" width="10" height="10" fill="{_colour(k)}"/>'
        f'<text x="{k * wide + 14:.1f}" y="{y + 15}">{escape(kind)}</text>'
        for k, kind in enumerate(kinds)
    ]


def _svg(parts: Sequence[str], title: str, rows: int) -> str:
    width, height = _LABEL + _PLOT + _NUMBER, _HEAD + _ROW * rows + 6
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="chart" viewBox="0 0 {width} {height}" width="{width}" '
        f'height="{height}" role="img" aria-label="{escape(title)}" font-family="system-ui, sans-serif" '
        f'font-size="12" fill="currentColor"><text x="0" y="15" font-size="13">{escape(title)}</text>'
        f"{''.join(parts)}</svg>"
    )
