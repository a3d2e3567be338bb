"""A hostile expert, trained to be wrong on purpose, is named; those that do what they learnt are not."""

import json
import shutil
from pathlib import Path

import pytest

from hswarm import Topology
from hswarm.analysis.harm import with_message
from hswarm.cli.main import main
from hswarm.engines.toy import toy_pool
from hswarm.report.render import html_page, markdown_page
from hswarm.report.summary import gather
from hswarm.runs.directory import Run
from hswarm.system.system import System


def test_the_message_reaches_the_last_node_or_all() -> None:
    pool = toy_pool(3).experts
    system = System(Topology.chain(2), pool[:2], seeds=(5, 6))
    one, every = with_message(system, pool[2]), with_message(system, pool[2], everywhere=True)
    assert one.topology == Topology.of(3, [(0, 1), (2, 1)])
    assert every.topology == Topology.of(3, [(0, 1), (2, 0), (2, 1)])
    assert one.nodes == pool
    assert len(one.seeds) == 3


@pytest.mark.model
@pytest.mark.slow
def test_an_expert_that_lies_is_named(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for part in ("pool/tav", "pool/wex", "hostile/liar"):
        shutil.copytree(root / "experts/micro" / part, tmp_path / "pool" / Path(part).name)
    words = (f"pool.path={tmp_path / 'pool'}", 'pool.experts=["tav","wex","liar"]', "budget.calls=300", "task.test=30")
    changes = [word for one in words for word in ("--set", one)]
    run = tmp_path / "run"
    assert main(["search", str(root / "recipes/micro-tasks/chain-two.toml"), *changes, "--run", str(run)]) == 0
    report = json.loads((run / "report.json").read_text())
    assert report["test"]["score"] > 0.9  # the search gets by without it, or where it is overruled
    capsys.readouterr()
    page = markdown_page(gather(Run.open(run)))
    assert f"hswarm analyze {run} --only harm" in page.replace("\\", "")
    assert "Whom to keep out" not in page
    assert main(["analyze", str(run), "--only", "harm"]) == 0
    told = json.loads((run / "analysis/harm.json").read_text())
    assert told["numbers"]["harmful"] == ["liar"]
    assert "liar harms" in capsys.readouterr().out
    facts = gather(Run.open(run))
    assert facts.overview["Whom to keep out"].startswith("liar: the answer gets worse")
    credits = next(i for i, line in enumerate(facts.came_of_it) if line.startswith("gain by expert"))
    assert any(line.startswith("liar harms: -") for line in facts.came_of_it[credits + 1 :])
    assert "not asked yet" not in " ".join(facts.came_of_it)
    assert "liar: the answer gets worse" in html_page(facts).partition('<section id="scores">')[0]
