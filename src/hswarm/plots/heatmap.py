"""A pool as one picture: the distance between each two experts, as an SVG of squares. No library, a few kilobytes."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np
from numpy.typing import NDArray

_CELL, _HEAD, _GAP = 44, 30, 8


def heat_map(names: Sequence[str], apart: NDArray[np.float64], title: str) -> str:
    """SVG of the distances, shape (n, n): the darker the nearer; nan (other groups) is left empty."""
    margin = max(80, 8 * max(map(len, names)))
    side = margin + _CELL * len(names) + _GAP
    high = side + _HEAD
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{side}" height="{high}" viewBox="0 0 {side} {high}" '
        'font-family="sans-serif" font-size="12">',
        f'<rect width="{side}" height="{high}" fill="white"/>',
        f'<text x="{_GAP}" y="20" font-size="13">{escape(title)}</text>',
    ]
    for i, name in enumerate(names):
        middle = margin + _CELL * (i + 0.5)
        parts.append(f'<text x="{margin - _GAP}" y="{middle + _HEAD + 4}" text-anchor="end">{escape(name)}</text>')
        parts.append(
            f'<text transform="translate({middle + 4} {margin + _HEAD - _GAP}) rotate(-90)">{escape(name)}</text>'
        )
        parts += [_cell(margin + _CELL * j, margin + _HEAD + _CELL * i, apart[i, j]) for j in range(len(names))]
    return "\n".join([*parts, "</svg>", ""])


def _cell(x: float, y: float, distance: float) -> str:
    """One square with its number; 1.4, unrelated, and more is white."""
    if np.isnan(distance):
        return f'<rect x="{x}" y="{y}" width="{_CELL}" height="{_CELL}" fill="white" stroke="#ddd"/>'
    light = min(1.0, distance / 1.4)
    fill = "#" + "".join(f"{round(dark + (255 - dark) * light):02x}" for dark in (31, 78, 121))
    ink = "black" if light > 0.5 else "white"
    return (
        f'<rect x="{x}" y="{y}" width="{_CELL}" height="{_CELL}" fill="{fill}" stroke="#ddd"/>'
        f'<text x="{x + _CELL / 2}" y="{y + _CELL / 2 + 4}" text-anchor="middle" fill="{ink}">'
        f"{distance:.2f}</text>"
    )
