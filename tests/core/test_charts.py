"""Charts: every value in its place, gaps stay gaps, names cannot break out, a plane of greatest spread."""

import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from hswarm.plots.charts import Line, lines_svg, paths_svg, projected, sparkline
from hswarm.plots.points import Point, labels, points_svg

NS = "{http://www.w3.org/2000/svg}"
HOSTILE = '"><script>alert(1)</script>&'


def test_lines_stand_where_their_values_are() -> None:
    svg = ET.fromstring(lines_svg([Line("a", [0.0, 0.5, 1.0], [(0.0, 0.1), None, (0.8, 1.0)])], "score"))
    dots = [(float(dot.attrib["cx"]), float(dot.attrib["cy"])) for dot in svg.iter(f"{NS}circle")]
    (x0, y0), (x1, y1), (x2, y2) = dots
    assert x1 - x0 == pytest.approx(x2 - x1, abs=0.2)
    assert y0 - y1 == pytest.approx(y1 - y2, abs=0.2)
    assert y0 > y1  # up is more
    assert len(list(svg.iter(f"{NS}polygon"))) == 2


def test_a_gap_stays_a_gap() -> None:
    svg = ET.fromstring(lines_svg([Line("a", [0.1, None, 0.3, 0.4])], "score"))
    lines = [line.attrib["points"].split() for line in svg.iter(f"{NS}polyline")]
    assert [len(points) for points in lines] == [1, 2]


@pytest.mark.parametrize("values", [[0.5], [0.5, 0.5], [None], [0.0, -3.0], [1e-9, 2e-9], [1e9]])
def test_any_range_of_values_draws(values: list[float | None]) -> None:
    numbers = re.findall(r"[-\d.]*(?:nan|inf)[-\d.]*", lines_svg([Line("a", values)], "score").replace("instant", ""))
    assert numbers == []


def test_names_are_text() -> None:
    for svg in (
        lines_svg([Line(HOSTILE, [1.0])], HOSTILE),
        paths_svg(np.zeros((2, 1, 2)), [HOSTILE], (HOSTILE, "y"), (0, 0)),
    ):
        assert not list(ET.fromstring(svg).iter(f"{NS}script"))
        assert "<script" not in svg


def test_the_plane_is_that_of_greatest_spread() -> None:
    rng = np.random.default_rng(0)
    plane = rng.normal(size=(5, 4, 2)) * [3.0, 1.0]
    axes = np.linalg.qr(rng.normal(size=(7, 2)))[0]
    places, shares = projected(plane @ axes.T)
    assert sum(shares) == pytest.approx(1)
    gaps = np.linalg.norm(plane[0, 0] - plane.reshape(-1, 2), axis=1)
    assert np.linalg.norm(places[0, 0] - places.reshape(-1, 2), axis=1) == pytest.approx(gaps)


def test_one_number_and_no_movement_project() -> None:
    places, shares = projected([np.ones((3, 1))] * 2)
    assert places.shape == (2, 3, 2)
    assert shares == (0, 0)


def test_a_sparkline_has_a_character_a_value() -> None:
    assert sparkline([0.0, None, 0.5, 1.0]) == "▁ ▅█"
    assert sparkline([]) == ""
    assert sparkline([2.0, 2.0]) == "██"  # from zero, not from the least
    assert sparkline([0.0] + [1.0] * 60, 10) == "▁█████████"  # a long run shows its start


def drawn(points: list[Point], labelled: bool = True) -> ET.Element:
    return ET.fromstring(points_svg({"sums": points}, "tokens", "score", labelled, "hswarm"))


def test_points_stand_where_their_values_are_and_steps_join_the_best() -> None:
    points = [Point("a", 10, 0.2), Point("hswarm", 1000, 0.8), Point("worse", 100, 0.1), Point("b", 100, 0.5)]
    svg = drawn(points)
    places = {
        str(dot[0].text).split(":")[0]: (float(dot.attrib["cx"]), float(dot.attrib["cy"]))
        for dot in svg.iter(f"{NS}circle")
    }
    assert places["b"][0] - places["a"][0] == pytest.approx(places["hswarm"][0] - places["b"][0], abs=0.2)  # log
    assert places["a"][1] > places["b"][1] > places["hswarm"][1]
    (route,) = [
        path.attrib["d"] for path in svg.iter(f"{NS}path") if "M" in path.attrib["d"] and "V" in path.attrib["d"]
    ]
    corners = [f"{places[name][1]:.1f}" for name in ("a", "b", "hswarm")]
    assert re.findall(r"[V ]([\d.]+)", route) == corners
    assert f"{places['worse'][1]:.1f}" not in route
    told = [text.text for text in svg.iter(f"{NS}text")]
    assert {"a", "b", "worse", "hswarm", "100", "sums"} <= set(told)


def test_points_without_labels_have_plain_numbers_and_near_ones_share_a_label() -> None:
    svg = drawn([Point(f"trial {i}", i, 0.1 * i) for i in range(4)], labelled=False)
    assert not [text for text in svg.iter(f"{NS}text") if str(text.text).startswith("trial")]
    near = [Point("a", 100, 50), Point("b", 110, 52), Point("c", 500, 50)]
    assert [(label.text, label.left) for label in labels(near)] == [("a, b", False), ("c", True)]


@pytest.mark.parametrize(
    "points", [[], [Point("a", 0, 0)], [Point("a", 5, 1)], [Point("a", 1e-3, 0), Point("b", 1e9, 1)]]
)
def test_any_points_draw(points: list[Point]) -> None:
    assert len(list(drawn(points).iter(f"{NS}circle"))) == len(points)
    assert HOSTILE not in points_svg({HOSTILE: [Point(HOSTILE, 1, 1)]}, HOSTILE, HOSTILE, True)
