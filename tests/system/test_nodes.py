"""What may stand at a node: an expert, a fusion, a vote or a script, each by what it answers for itself."""

import json
from pathlib import Path

import pytest

from hswarm.core.topology import Topology
from hswarm.engines.toy import toy_pool
from hswarm.errors import RunError
from hswarm.experts.expert import Expert, Node
from hswarm.experts.fusion import Fusion
from hswarm.experts.remote import RemoteExpert, RemoteSettings
from hswarm.system.load import load
from hswarm.system.rules import Rule, Script, Vote
from hswarm.system.system import System

ONE, TWO, THREE = toy_pool(3).experts
PAIR = Fusion.join([ONE, TWO], (1, 3), name="pair")
REMOTE = RemoteExpert(RemoteSettings("far", "model", "http://localhost:1/v1"))


@pytest.mark.parametrize(
    ("node", "experts"),
    [(ONE, (ONE,)), (PAIR, (ONE, TWO)), (Vote.new(), ()), (Script.saying("said", {}), ()), (REMOTE, (REMOTE,))],
)
def test_a_node_knows_its_experts_and_calls(node: Node, experts: tuple[Expert, ...]) -> None:
    assert node.experts == experts
    assert node.calls == len(experts)
    assert isinstance(node, Expert | Fusion) is not isinstance(node, Rule)
    assert isinstance(node, Expert) is (node in experts)


def test_only_an_adapter_has_a_vector() -> None:
    assert [hasattr(node, "vector") for node in (ONE, REMOTE, PAIR, Vote.new())] == [True, False, False, False]


def test_a_system_of_all_kinds_is_written_as_before(tmp_path: Path) -> None:
    system = System(Topology.star(4), (ONE, PAIR, THREE, Vote.new("most")), base="toy")
    system.save(tmp_path / "s")
    first, second, third = ({"expert": e.name, "folder": e.name, "digest": e.digest} for e in (ONE, TWO, THREE))
    assert json.loads((tmp_path / "s/system.json").read_text())["nodes"] == [
        first,
        {"expert": "pair", "fusion": [first, second], "weights": [0.25, 0.75], "temperature": 1.0},
        third,
        {"expert": "most", "vote": True},
    ]
    again = load(tmp_path / "s")
    assert [node.digest for node in again.nodes] == [node.digest for node in system.nodes]
    assert again.assignment == system.assignment == ["step-0", "pair", "step-2", "most"]
    assert again.calls == 4 == len(again.experts)


def test_a_script_is_not_saved(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="'said' is a script"):
        System(Topology.chain(1), (Script.saying("said", {"q": "x"}),)).save(tmp_path / "s")
