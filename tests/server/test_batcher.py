"""Many questions at once: long batches, equal calls made once, nobody left waiting, nothing lost."""

import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import pytest

from hswarm.core.topology import Topology
from hswarm.engines.base import Completion, EngineSettings, Request, Sampling
from hswarm.engines.toy import ToyEngine
from hswarm.experts.adapter import Adapter
from hswarm.server.ask import FRESH, Ask, Event
from hswarm.server.batcher import Batcher, Busy
from hswarm.server.turns import SLACK, Turns
from hswarm.system.system import System
from tests.server.serving import ANSWER, ORDER, QUESTION, Gate, toy_question, toy_system

GREEDY = Sampling()


class Asked(Ask):
    """A question, the events of its way through the system, and a wait for its end."""

    def __init__(self, system: System, question: str, sampling: Sampling) -> None:
        super().__init__(system, question, sampling, sampling, self._note)
        self._over, self.events = threading.Event(), list[Event]()

    def _note(self, event: Event) -> None:
        self.events.append(event)
        if event.kind == "failed" or (event.kind == "done" and event.node == self.system.topology.sink):
            self._over.set()

    def wait(self) -> list[Event]:
        """The events until the end; none if it does not come within a minute."""
        return self.events if self._over.wait(60) else []


def ask(system: System, question: str = QUESTION, sampling: Sampling = GREEDY) -> Asked:
    return Asked(system, question, sampling)


@pytest.fixture
def chain() -> System:
    return toy_system(Topology.chain(4), ORDER)


@pytest.fixture
def batcher(gate: Gate) -> Iterator[Batcher]:
    made = Batcher([gate], limit=64)
    yield made
    gate.open.set()
    made.stop()


def different(count: int) -> list[str]:
    return [f"{QUESTION}; number {i}" for i in range(count)]


def test_questions_in_flight_share_batches_across_nodes_and_systems(
    batcher: Batcher, gate: Gate, chain: System
) -> None:
    star = toy_system(Topology.star(4), ORDER)
    asks = [ask(chain, question) for question in different(5)] + [ask(star, f"{QUESTION}; last")]
    batcher.submit(asks)
    gate.open.set()
    assert all(one.wait() for one in asks)
    assert [one.answer.text for one in asks[:5]] == [ANSWER] * 5
    assert sum(gate.sizes) == 4 * 6
    assert len(gate.sizes) <= 5  # four stages, and at most one batch that began before all had come


def test_equal_calls_are_one_unless_they_are_drawn_anew(batcher: Batcher, gate: Gate, chain: System) -> None:
    asks = [ask(chain) for _ in range(6)]
    batcher.submit(asks)
    gate.open.set()
    assert all(one.wait() for one in asks)
    assert sum(gate.sizes) == 4
    drawn = [ask(chain, sampling=Sampling(temperature=1.0, seed=FRESH)) for _ in range(3)]
    gate.sizes.clear()
    batcher.submit(drawn)
    assert all(one.wait() for one in drawn)
    assert sum(gate.sizes) == 12
    assert max(gate.sizes) <= 3


def test_a_fresh_draw_has_one_seed_a_batch_and_another_each_batch(chain: System) -> None:
    seeds = list[set[int]]()

    class Seeing(ToyEngine):
        def generate(self, requests: Sequence[Request]) -> list[Completion]:
            seeds.append({request.sampling.seed for request in requests})
            return super().generate(requests)

    batcher = Batcher([Seeing(EngineSettings("toy"))])
    one = ask(chain, sampling=Sampling(temperature=1.0, seed=FRESH))
    batcher.submit([one])
    assert one.wait()
    batcher.stop()
    assert [len(batch) for batch in seeds] == [1] * 4
    assert len(set.union(*seeds)) == 4
    assert FRESH not in set.union(*seeds)


def test_a_lone_call_is_not_passed_over_for_ever(chain: System) -> None:
    """Batches of two kinds compete: many of one length of answer, one of another."""
    order = list[int]()

    class Kinds(ToyEngine):
        def batches(self, requests: Sequence[Request]) -> list[list[int]]:
            kinds = dict[Sampling, list[int]]()
            for i, request in enumerate(requests):
                kinds.setdefault(request.sampling, []).append(i)
            return list(kinds.values())

        def generate(self, requests: Sequence[Request]) -> list[Completion]:
            order.append(requests[0].sampling.max_new_tokens)
            if len(order) < 40:  # more of the many come while they are answered
                batcher.submit([ask(alone, f"{QUESTION}; number {len(order)} {i}") for i in range(3)])
            return super().generate(requests)

    alone = toy_system(Topology.chain(1), ORDER[:1])
    batcher = Batcher([Kinds(EngineSettings("toy"))])
    lone = ask(alone, sampling=Sampling(max_new_tokens=7))
    batcher.submit([ask(alone, question) for question in different(3)] + [lone])
    assert lone.wait()
    assert order.index(7) <= 5
    batcher.stop()


def test_a_failed_call_or_engine_ends_its_question_alone(
    batcher: Batcher, gate: Gate, chain: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad, good = ask(chain, "no toy question"), ask(chain)
    batcher.submit([bad, good])
    gate.open.set()
    assert bad.wait()[-1].text == f"node 1 (step-{ORDER[0]}) gave no reply"
    assert good.wait()[-1].text == ANSWER

    with monkeypatch.context() as broke:
        broke.setattr(gate, "batches", lambda requests: 1 / 0)
        broken = ask(chain)
        batcher.submit([broken])
        assert broken.wait()[-1].text == "the engine failed: ZeroDivisionError"
    again = ask(chain)
    batcher.submit([again])
    assert again.wait()[-1].text == ANSWER


def test_limit_cancel_and_stop(gate: Gate, chain: System) -> None:
    batcher = Batcher([gate], limit=2)
    first = [ask(chain, question) for question in different(2)]
    batcher.submit(first)
    with pytest.raises(Busy, match="2 questions are under way"):
        batcher.submit([ask(chain)])
    batcher.cancel(first[:1])
    last = ask(chain, toy_question(ORDER[:2]))
    batcher.submit([last])
    gate.open.set()
    batcher.stop()  # finishes what was begun
    assert not batcher.alive
    assert first[1].answer.text == ANSWER
    assert last.answer.text == "done " + " ".join(map(str, ORDER[:2]))
    assert len(first[0].replies) <= 1
    with pytest.raises(Busy, match="stopping"):
        batcher.submit([ask(chain)])


def test_who_breaks_a_batch_ends_alone(caplog: pytest.LogCaptureFixture) -> None:
    """The toy engine raises for weights that are a matrix; the batch that they came in with goes on without them."""
    good = toy_system(Topology.chain(4), ORDER)
    bad = toy_system(Topology.chain(1), ORDER[:1])
    narrow = Adapter.from_vector("narrow", np.zeros((2, 2), dtype=np.float32), None)
    bad = replace(bad, nodes=(narrow,))
    batcher = Batcher([ToyEngine(EngineSettings("toy"))])
    asks = [ask(good), ask(bad), ask(good, f"{QUESTION}; second"), ask(bad, f"{QUESTION}; third")]
    batcher.submit(asks)
    ends = [one.wait()[-1] for one in asks]
    batcher.stop()
    assert [end.kind for end in ends] == ["done", "failed", "done", "failed"]
    assert [ends[0].text, ends[2].text] == [ANSWER, ANSWER]
    assert all(ends[i].text == "the engine failed: ValueError" for i in (1, 3))
    assert "tried one at a time" in caplog.text


class Timed(ToyEngine):
    """The toy engine, a millisecond for each thousand characters of a batch's longest prompt; notes its batches."""

    def __init__(self) -> None:
        super().__init__(EngineSettings("toy"))
        self.batches_made: list[list[int]] = []

    def generate(self, requests: Sequence[Request]) -> list[Completion]:
        lengths = [len(request.prompt) for request in requests]
        self.batches_made.append(lengths)
        time.sleep(max(lengths) / 1e6)
        return super().generate(requests)


def longer(characters: int, number: int = 0) -> str:
    return f"{QUESTION}; number {number} {' ' * characters}"


def test_a_long_prompt_is_not_in_a_batch_with_short_ones(batcher: Batcher, gate: Gate, chain: System) -> None:
    asks = [ask(chain, longer(size, size)) for size in (10, 20, 30, 50_000, 60_000)]
    batcher.submit(asks)
    gate.open.set()
    assert all(one.wait() for one in asks)
    assert sum(gate.sizes) == 20
    assert max(gate.sizes) == 3


def test_a_request_of_many_questions_leaves_room_for_others(batcher: Batcher, gate: Gate, chain: System) -> None:
    many, one = [ask(chain, longer(1, i)) for i in range(40)], ask(chain)
    batcher.submit([ask(chain, longer(9))])  # the gate holds it, so that what follows is chosen together
    batcher.submit(many)
    batcher.submit([one])
    gate.open.set()
    assert one.wait()
    assert max(gate.sizes[:4]) <= 10
    assert all(ask.wait() for ask in many)
    assert max(gate.sizes) == 32  # alone, it has whole batches


def test_clients_have_equal_shares_of_the_engine(chain: System) -> None:
    """One client has twenty requests in flight, each with prompts that take half a second; another asks briefly."""
    engine = Timed()
    batcher = Batcher([engine])
    greedy = [ask(chain, longer(500_000, i)) for i in range(20)]
    for one in greedy:
        batcher.submit([one], "greedy")
    times = []
    for i in range(8):
        began = time.perf_counter()
        modest = [ask(chain, longer(50, 100 * i + j)) for j in range(2)]
        batcher.submit(modest, "modest")
        assert all(one.wait() for one in modest)
        times.append(time.perf_counter() - began)
    long = sum(1 for lengths in engine.batches_made if max(lengths) > 1000)
    batcher.cancel(greedy)
    batcher.stop()
    assert max(times) < 5  # one batch that had begun; four stages behind twenty requests are 40 s
    assert long <= 9


def test_who_hangs_up_during_a_call_is_charged_for_it(chain: System) -> None:
    engine = Timed()
    batcher = Batcher([engine], limit=1000)
    keep = [ask(chain, longer(20_000, i)) for i in range(300)]
    for k in range(3):
        batcher.submit(keep[100 * k : 100 * k + 100], "modest")
        long = ask(chain, longer(2_000_000, k))
        batcher.submit([long], "greedy")
        time.sleep(0.05)
        batcher.cancel([long])
    assert all(one.wait() for one in keep)
    batcher.stop()
    assert sum(1 for lengths in engine.batches_made if max(lengths) > 1_000_000) <= 1


def test_several_engines_answer_side_by_side(systems: dict[str, System]) -> None:
    meeting = threading.Barrier(2, timeout=30)

    class Meeting(ToyEngine):
        def generate(self, requests: Sequence[Request]) -> list[Completion]:
            meeting.wait()
            return super().generate(requests)

    batcher = Batcher([Meeting(EngineSettings("toy", batch=1)) for _ in range(2)])
    asks = [ask(systems["toy"], question) for question in different(2)]
    batcher.submit(asks)
    assert all(one.wait() for one in asks)
    batcher.stop()
    assert [one.answer.text for one in asks] == [ANSWER] * 2


def test_turns() -> None:
    turns = Turns()
    turns.join("a")
    turns.charge("a", 5)
    turns.serve(["a"])
    turns.join("b")
    assert turns.due(["a", "b"]) == {"a", "b"}  # newcomers begin level
    turns.charge("b", SLACK + 0.1)
    assert turns.due(["a", "b"]) == {"a"}
    turns.leave("b")
    turns.join("b")
    assert turns.due(["a", "b"]) == {"a"}  # leaving clears no debt
    assert turns.ahead(["b"])
    turns.charge("a", 3)
    assert turns.due(["a", "b"]) == {"b"}
    turns.serve(["a", "b"])
    assert not turns.ahead(["b"])
    turns.leave("a")
    turns.join("c")
    assert turns.due(["a", "b", "c"]) == {"b", "c"}
