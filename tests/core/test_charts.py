"""Charts: every value in its place, gaps stay gaps, names cannot break out, a plane of greatest spread."""

import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from hswarm.plots.charts import Line, lines_svg, paths_svg, projected, sparkline

NS = "{http://www.w3.org/2000/svg}"
HOSTILE = '"><script>alert(1)</script>&'


def test_lines_stand_where_their_values_are():
    svg = ET.fromstring(lines_svg([Line("a", [0.0, 0.5, 1.0], [(0.0, 0.1), None, (0.8, 1.0)])], "score"))
    dots = [(float(dot.attrib["cx"]), float(dot.attrib["cy"])) for dot in svg.iter(f"{NS}circle")]
    (x0, y0), (x1, y1), (x2, y2) = dots
    assert x1 - x0 == pytest.approx(x2 - x1, abs=0.2)
    assert y0 - y1 == pytest.approx(y1 - y2, abs=0.2)
    assert y0 > y1  # up is more
    assert len(list(svg.iter(f"{NS}polygon"))) == 2


def test_a_gap_stays_a_gap():
    svg = ET.fromstring(lines_svg([Line("a", [0.1, None, 0.3, 0.4])], "score"))
    lines = [line.attrib["points"].split() for line in svg.iter(f"{NS}polyline")]
    assert [len(points) for points in lines] == [1, 2]


@pytest.mark.parametrize("values", [[0.5], [0.5, 0.5], [None], [0.0, -3.0], [1e-9, 2e-9], [1e9]])
def test_any_range_of_values_draws(values):
    numbers = re.findall(r"[-\d.]*(?:nan|inf)[-\d.]*", lines_svg([Line("a", values)], "score").replace("instant", ""))
    assert numbers == []


def test_names_are_text():
    for svg in (
        lines_svg([Line(HOSTILE, [1.0])], HOSTILE),
        paths_svg(np.zeros((2, 1, 2)), [HOSTILE], (HOSTILE, "y"), (0, 0)),
    ):
        assert not list(ET.fromstring(svg).iter(f"{NS}script"))
        assert "<script" not in svg


def test_the_plane_is_that_of_greatest_spread():
    rng = np.random.default_rng(0)
    plane = rng.normal(size=(5, 4, 2)) * [3.0, 1.0]
    axes = np.linalg.qr(rng.normal(size=(7, 2)))[0]
    places, shares = projected(plane @ axes.T)
    assert sum(shares) == pytest.approx(1)
    gaps = np.linalg.norm(plane[0, 0] - plane.reshape(-1, 2), axis=1)
    assert np.linalg.norm(places[0, 0] - places.reshape(-1, 2), axis=1) == pytest.approx(gaps)


def test_one_number_and_no_movement_project():
    places, shares = projected([np.ones((3, 1))] * 2)
    assert places.shape == (2, 3, 2)
    assert shares == (0, 0)


def test_a_sparkline_has_a_character_a_value():
    assert sparkline([0.0, None, 0.5, 1.0]) == "▁ ▅█"
    assert sparkline([]) == ""
    assert sparkline([2.0, 2.0]) == "██"  # from zero, not from the least
