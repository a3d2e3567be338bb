"""What a notebook shows: IPython asks for `_repr_svg_` and `_repr_html_`."""

import xml.etree.ElementTree as ET

import hswarm
from hswarm.runs.run import Run


def test_a_topology_shows_its_drawing():
    svg = ET.fromstring(hswarm.Topology.star(3)._repr_svg_())
    assert svg.tag.endswith("svg")


def test_a_run_and_its_system_show_scores_and_drawing(toy_recipe, tmp_path):
    run = hswarm.search(toy_recipe, tmp_path / "run")
    page = ET.fromstring(f"<div>{run._repr_html_()}</div>")
    text = " ".join("".join(page.itertext()).split())
    assert f"{run.report['test']['score']:.3f} [" in text
    assert all(name in text for name in run.best.assignment)
    assert "3 nodes" in text
    assert page.find(".//{http://www.w3.org/2000/svg}svg") is not None


def test_an_unfinished_run_says_so(toy_recipe, tmp_path):
    run = Run.create(tmp_path / "run", toy_recipe)
    assert "unfinished, 0 iterations so far" in run._repr_html_()
