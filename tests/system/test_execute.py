"""Each distinct call once; systems saved whole and verified when read."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from hswarm import Topology, load
from hswarm.engines.base import Completion, EngineSettings, Request, Sampling
from hswarm.engines.toy import ToyEngine, toy_pool
from hswarm.errors import HSwarmError, RunError, StorageError
from hswarm.experts.adapter import Adapter
from hswarm.prompts import Prompts
from hswarm.system.cache import Cache, call_key
from hswarm.system.executor import Executor
from hswarm.system.system import System
from hswarm.tasks.task import Example
from hswarm.tasks.toy import generate

POOL = tuple(expert for expert in toy_pool(4).experts if isinstance(expert, Adapter))


class Counting(ToyEngine):
    """The toy engine, noting what it was asked."""

    def __init__(self, batch: int = 64) -> None:
        super().__init__(EngineSettings(name="toy", batch=batch))
        self.asked: list[tuple[str, str]] = []

    def generate(self, requests: Sequence[Request]) -> list[Completion]:
        self.asked += [(request.expert.name, request.prompt) for request in requests]
        return super().generate(requests)


def systems() -> list[System]:
    chain = Topology.chain(4)
    return [System(chain, POOL), System(chain, (*POOL[:3], POOL[0])), System(Topology.star(4), POOL)]


def test_equal_calls_are_made_once_over_systems_and_runs(tmp_path: Path) -> None:
    engine, examples = Counting(), generate(10, 0, 4)
    executor = Executor(engine, Cache(tmp_path / "c.sqlite"))
    executor.run(systems(), examples, "a")
    assert len(engine.asked) == len(set(engine.asked)) == executor.ledger.generated
    assert executor.ledger.requested == 3 * 4 * 10
    again = Executor(Counting(), Cache(tmp_path / "c.sqlite"))
    again.run(systems(), examples, "b")
    assert (again.ledger.generated, again.ledger.reused) == (0, 120)


def test_runs_share_calls_by_a_common_file_and_resume_alike(tmp_path: Path) -> None:
    examples, shared = generate(10, 0, 4), tmp_path / "common/calls.sqlite"
    first = Executor(Counting(), Cache(tmp_path / "a.sqlite", shared))
    whole = first.run(systems(), examples, "0/role")
    second = Executor(Counting(), Cache(tmp_path / "b.sqlite", shared))
    assert second.run(systems(), examples, "0/role") == whole  # a step of the same name, of another run
    assert (second.ledger.generated, second.ledger.reused) == (0, 120)
    shared.unlink()
    again = Executor(Counting(), Cache(tmp_path / "b.sqlite"))
    assert again.run(systems(), examples, "0/role") == whole
    assert again.ledger == second.ledger


def test_failed_calls_are_not_shared(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "a.sqlite", tmp_path / "s.sqlite")
    cache.put({b"k": Completion("", "failed", 0, 0), b"l": Completion("x", "stop", 1, 1)}, "a")
    assert set(Cache(None, tmp_path / "s.sqlite").get([b"k", b"l"])) == {b"l"}


def test_responses_travel_along_the_edges() -> None:
    chain = System(Topology.of(3, [(2, 0), (0, 1)]), POOL[:3])
    (nodes,) = Executor(Counting()).run([chain], generate(5, 1, 4), "a")
    for e, example in enumerate(generate(5, 1, 4)):
        request = Request(POOL[0], Prompts().render(example, [nodes[2][e].text]), Sampling())
        assert nodes[0][e] == ToyEngine(EngineSettings()).generate([request])[0]


@pytest.mark.parametrize("chunks", [0, 1, 2, 3, 7])
def test_every_node_reads_a_chunk_and_every_chunk_is_read(chunks: int) -> None:
    engine = Counting()
    example = Example("0", "toy 0.0: steps 0; difficulty 0.2", "", context=tuple(f"chunk-{i}." for i in range(chunks)))
    Executor(engine, reuse=False).run([System(Topology.star(3), POOL[:3])], [example], "a")
    prompts = [prompt for _, prompt in engine.asked]
    assert all(("chunk-" in prompt) == (chunks > 0) for prompt in prompts)
    assert all(any(f"chunk-{i}." in prompt for prompt in prompts) for i in range(chunks))


def test_a_key_tells_apart_all_that_a_reply_depends_on() -> None:
    request = Request(POOL[0], "p", Sampling())
    keys = [
        call_key("e", request),
        call_key("f", request),
        call_key("e", Request(POOL[1], "p", Sampling())),
        call_key("e", Request(POOL[0], "q", Sampling())),
        call_key("e", Request(POOL[0], "p", Sampling(seed=1))),
        call_key("e", request, "salt"),
        call_key("ep", Request(POOL[0], "", Sampling())),
    ]
    assert len(set(keys)) == len(keys)


def test_a_batch_is_kept_whole_or_not_at_all(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "c.sqlite")
    with pytest.raises(StorageError):
        cache.put({b"a": Completion("x", "stop", 1, 1), b"b": Completion(cast("str", object()), "stop", 1, 1)}, "s")
    assert cache.get([b"a", b"b"]) == {}


def test_a_damaged_cache_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "c.sqlite").write_bytes(b"not a database, certainly not one" * 50)
    with pytest.raises(RunError, match="delete it"):
        Cache(tmp_path / "c.sqlite")


def test_saved_and_loaded_is_equal(tmp_path: Path) -> None:
    repeated = System(
        Topology.star(3),
        (POOL[0], POOL[0].with_weights(np.zeros(4, np.float32)), POOL[0]),
        Prompts(layout="paper"),
        "toy",
        EngineSettings(name="toy"),
        Sampling(7),
    )
    repeated.save(tmp_path / "s")
    again = load(tmp_path / "s")
    assert [e.digest for e in again.experts] == [e.digest for e in repeated.experts]
    assert (again.topology, again.prompts, again.engine, again.sampling) == (
        repeated.topology,
        repeated.prompts,
        repeated.engine,
        repeated.sampling,
    )
    assert sorted(path.name for path in (tmp_path / "s/experts").iterdir()) == ["step-0", "step-0-2"]
    repeated.save(tmp_path / "s")  # over itself


def test_changed_weights_are_noticed(tmp_path: Path) -> None:
    System(Topology.star(2), POOL[:2]).save(tmp_path / "s")
    System(Topology.star(2), (POOL[0], POOL[1].with_weights(np.ones(4, np.float32)))).save(tmp_path / "t")
    target = "experts/step-1/vector.safetensors"
    (tmp_path / "s" / target).write_bytes((tmp_path / "t" / target).read_bytes())
    with pytest.raises(RunError, match="'step-1' in .* has changed"):
        load(tmp_path / "s")


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d.update(format=9),
        lambda d: d.pop("nodes"),
        lambda d: d["topology"].update(edges=[[0, 1], [1, 0]]),
        lambda d: d.update(topology=3),
        lambda d: d["nodes"].pop(),
        lambda d: d["prompts"].update(nonsense=1),
        lambda d: d["nodes"][0].update(folder="../../outside"),
        lambda d: d["nodes"].__setitem__(0, None),
    ],
)
def test_a_wrong_description_is_refused(tmp_path: Path, change: Callable[[Any], object]) -> None:
    System(Topology.star(2), POOL[:2]).save(tmp_path / "s")
    path = tmp_path / "s/system.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    with pytest.raises(HSwarmError):
        load(tmp_path / "s")


def test_prompt_layouts() -> None:
    example = Example("0", "Which?", "A", {"A": "x", "B": "y"})
    first = Prompts().render(example, ["r1", "r2"])
    paper = Prompts(layout="paper").render(example, ["r1", "r2"])
    assert first.startswith(Prompts().render(example))  # the shared beginning
    assert first.index("Which?") < first.index("- r1") < first.index("- r2")
    assert paper.index("- r1") < paper.index("Which?")
    assert "A: x" in first


@pytest.mark.parametrize(
    ("chunks", "seen"),
    [
        ([], [[], [], []]),
        (["c0"], [["c0"], ["c0"], ["c0"]]),
        (["c0", "c1"], [["c0"], ["c1"], ["c0"]]),
        (["c0", "c1", "c2"], [["c0"], ["c1"], ["c2"]]),
        (["c0", "", "c2"], [["c0"], [], ["c2"]]),
        (["c0", "c1", "c2", "c3", "c4"], [["c0", "c3"], ["c1", "c4"], ["c2"]]),
    ],
)
def test_context_chunks_are_dealt_out_in_the_order_of_the_topology(chunks: list[str], seen: list[list[str]]) -> None:
    """One chunk a node by its place in the order, not its number; fewer repeat, more are dealt in turn, blanks add nothing."""
    prompts: dict[str, str] = {}

    class Watching(ToyEngine):
        def generate(self, requests: Sequence[Request]) -> list[Completion]:
            prompts.update({request.expert.name: request.prompt for request in requests})
            return super().generate(requests)

    topology = Topology.of(3, [(2, 1), (1, 0)])  # the order is 2, 1, 0
    system = System(topology, tuple(toy_pool(3).experts))
    example = Example("0", "q", "a", context=tuple(chunks))
    Executor(Watching(EngineSettings())).run([system], [example], "chunks")
    for place, node in enumerate(topology.order):
        prompt = prompts[system.nodes[node].name]
        assert [chunk for chunk in ("c0", "c1", "c2", "c3", "c4") if chunk in prompt] == seen[place]
        assert ("Context:" in prompt) == bool(seen[place])
    assert topology.order == (2, 1, 0)


def test_a_question_keeps_the_answer_length_of_its_task() -> None:
    lengths: list[int] = []

    class Watching(ToyEngine):
        def generate(self, requests: Sequence[Request]) -> list[Completion]:
            lengths.extend(request.sampling.max_new_tokens for request in requests)
            return super().generate(requests)

    examples = [Example(str(i), f"q{i}", "a", max_new_tokens=most) for i, most in enumerate((7, 90, None))]
    system = System(Topology.chain(1), tuple(toy_pool(1).experts), sampling=Sampling(max_new_tokens=50))
    Executor(Watching(EngineSettings())).run([system], examples, "lengths")
    assert lengths == [7, 50, 50]
