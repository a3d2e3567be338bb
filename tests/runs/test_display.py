"""What a notebook shows: IPython asks for `_repr_svg_` and `_repr_html_`."""

import xml.etree.ElementTree as ET
from pathlib import Path

import hswarm
from hswarm.config.recipe import Recipe
from hswarm.engines.base import EngineSettings
from hswarm.engines.toy import toy_pool
from hswarm.runs.directory import Run
from hswarm.system.system import System
from tests.known import known

HOSTILE = "<img src=x onerror=alert(1)>&"


def test_a_topology_shows_its_drawing() -> None:
    svg = ET.fromstring(hswarm.Topology.star(3)._repr_svg_())
    assert svg.tag.endswith("svg")


def test_a_run_and_its_system_show_scores_and_drawing(toy_recipe: Recipe, tmp_path: Path) -> None:
    run = hswarm.search(toy_recipe, tmp_path / "run")
    page = ET.fromstring(f"<div>{run._repr_html_()}</div>")
    text = " ".join("".join(page.itertext()).split())
    assert f"{known(known(run.report.test).score):.3f} [" in text
    assert all(name in text for name in run.best.assignment)
    assert "3 nodes" in text
    assert page.find(".//{http://www.w3.org/2000/svg}svg") is not None


def test_an_unfinished_run_says_so(toy_recipe: Recipe, tmp_path: Path) -> None:
    run = Run.create(tmp_path / "run", toy_recipe)
    assert "unfinished, 0 iterations so far" in run._repr_html_()


def test_names_are_escaped(toy_recipe: Recipe, tmp_path: Path) -> None:
    run = Run.create(tmp_path / HOSTILE, toy_recipe)
    assert "<img" not in run._repr_html_()
    named = tuple(expert.renamed(HOSTILE) for expert in toy_pool(2).experts)
    system = System(hswarm.Topology.chain(2), named, base=HOSTILE, engine=EngineSettings("toy"))
    page = ET.fromstring(f"<div>{system._repr_html_()}</div>")
    assert "<img" not in system._repr_html_()
    assert "<img src=x onerror=alert(1)>&" in "".join(page.itertext())


def test_the_servers_page_writes_text_alone(root: Path) -> None:
    """Questions, answers and names reach it as text; only the drawing, whose labels are escaped, is parsed, as SVG."""
    script = (root / "src/hswarm/server/page/page.js").read_text()
    assert "textContent" in script
    for word in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("):
        assert word not in script
