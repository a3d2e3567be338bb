"""The drawing holds every node and edge once, keeps boxes apart and lets edges run from left to right."""

import itertools
import re
import xml.etree.ElementTree as ET

from hypothesis import given
from hypothesis import strategies as st

from hswarm.core.decode import g_decode
from hswarm.core.topology import Topology
from hswarm.plots.graph import HEIGHT, WIDTH, graph_mermaid, graph_svg

NS = "{http://www.w3.org/2000/svg}"


def boxes(svg: str) -> dict[int, tuple[float, float]]:
    found = {}
    for group in ET.fromstring(svg).iter(f"{NS}g"):
        if "data-node" in group.attrib:
            rect = group.find(f"{NS}rect")
            assert rect is not None
            found[int(group.attrib["data-node"])] = (float(rect.attrib["x"]), float(rect.attrib["y"]))
    return found


@given(st.integers(1, 12), st.integers(0, 1000), st.integers(1, 3))
def test_every_node_and_edge_stands_in_its_place(size: int, seed: int, out_edges: int) -> None:
    import numpy as np

    rng = np.random.default_rng(seed)
    topology = g_decode(rng.uniform(size=(size, size)), rng, out_edges=out_edges)
    svg = graph_svg(topology)
    places = boxes(svg)
    assert sorted(places) == list(range(size))
    edges = {tuple(map(int, edge.split("-"))) for edge in re.findall(r'data-edge="([^"]+)"', svg)}
    assert edges == topology.edges
    for u, v in edges:
        assert places[u][0] + WIDTH < places[v][0]
    corners = sorted(places.values())
    for (x, y), (a, b) in itertools.pairwise(corners):
        assert x != a or b - y > HEIGHT


def test_labels_are_escaped_shortened_and_spoken() -> None:
    svg = graph_svg(Topology.chain(2), ["<a & b>", "a name that is much too long"], ["JFK 0.5"])
    root = ET.fromstring(svg)
    texts = [text.text for text in root.iter(f"{NS}text")]
    assert texts == ["1 <a & b>", "JFK 0.5", "2 a name that …"]
    assert "1 <a & b> to 2 a name that is much too long" in root.attrib["aria-label"]
    assert "http" not in svg.replace("http://www.w3.org/2000/svg", "")


def test_mermaid() -> None:
    assert graph_mermaid(Topology.chain(2), ['say "x"', "b"]) == (
        'flowchart LR\n  n0["1 say #34;x#34;"]\n  n1["2 b"]\n  n0 --> n1\n'
    )
