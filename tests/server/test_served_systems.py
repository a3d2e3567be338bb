"""What the server answers is what the search scored, for every method's system: votes, seeds and fusions too."""

import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hswarm import Topology, io
from hswarm.engines.base import Engine, EngineSettings, Sampling
from hswarm.engines.toy import ToyEngine, planted_weights, toy_pool
from hswarm.experts.fusion import Fusion
from hswarm.experts.pool import PoolSettings, open_pool
from hswarm.methods import get_method, run_method
from hswarm.methods.base import method as room
from hswarm.server.ask import FRESH, Ask, Event
from hswarm.server.batcher import Batcher
from hswarm.system.rules import Vote
from hswarm.system.system import System
from hswarm.tasks import micro
from hswarm.tasks.toy import generate
from tests.methods.bench import bench

ENGINE = ToyEngine(EngineSettings(name="toy"))
QUESTIONS = [example.question for example in generate(12, 1, 4)]


def served(system: System, questions: Sequence[str], engine: Engine = ENGINE) -> list[str]:
    """The answers to `questions`, all in flight at once, drawn with the system's own seeds."""
    batcher, waiting = Batcher([engine]), threading.Semaphore(0)

    def tell(event: Event) -> None:
        if event.kind == "failed" or (event.kind == "done" and event.node == system.topology.sink):
            waiting.release()

    asks = [Ask(system, question, system.sampling, system.sampling, tell) for question in questions]
    batcher.submit(asks)
    assert all(waiting.acquire(timeout=60) for _ in asks)
    batcher.stop()
    return [one.answer.text for one in asks]


@pytest.mark.parametrize("name", room.names)
def test_a_served_answer_is_the_scored_one(name: str, tmp_path: Path) -> None:
    settings = {}
    if name == "data_merge":  # an expert as if trained on everything
        settings = {"path": str(tmp_path / "union")}
        io.write_tensors(tmp_path / "union" / "vector.safetensors", {"vector": planted_weights(4)})
    pool, evaluator = bench(toy_pool(4))
    system = run_method(get_method(name, settings), pool, evaluator, np.random.default_rng(0))
    assert served(system, QUESTIONS) == system.respond(QUESTIONS, ENGINE)


def votes(**changes: object) -> System:
    """A vote of three samples of one expert whose reply a fusion reads: a node after a node without a call."""
    pool = toy_pool(4)
    topology = Topology.of(5, [(0, 3), (1, 3), (2, 3), (3, 4)])
    experts = (*[pool.experts[1]] * 3, Vote.new(), Fusion.join(pool.experts[:2], name="pair"))
    made = System(topology, experts, base="toy", engine=EngineSettings("toy"), seeds=(5, 6, 7, 8, 9))
    return replace(made, sampling=replace(made.sampling, temperature=1.0, seed=5), **changes)  # type: ignore[arg-type]


def test_votes_seeds_and_what_reads_them() -> None:
    assert served(votes(), QUESTIONS) == votes().respond(QUESTIONS, ENGINE)
    assert served(votes(seeds=(1,) * 5), QUESTIONS) == votes(seeds=(1,) * 5).respond(QUESTIONS, ENGINE)
    drawn = {text for seed in range(8) for text in served(votes(seeds=(seed,) * 5), QUESTIONS)}
    assert len(drawn) > 1  # seeds do change answers, or the lines above would show nothing


def test_fresh_draws_of_one_expert_differ_from_node_to_node() -> None:
    system = votes()
    fresh = replace(system.sampling, seed=FRESH)
    seen: list[tuple[int, str]] = []

    class Seeing(ToyEngine):
        def generate(self, requests):  # type: ignore[no-untyped-def]
            seen.extend((request.sampling.seed, request.prompt) for request in requests)
            return super().generate(requests)

    batcher, done = Batcher([Seeing(EngineSettings("toy"))]), threading.Event()
    one = Ask(system, QUESTIONS[0], fresh, fresh, lambda event: done.set() if event.node == 4 else None)
    batcher.submit([one])
    assert done.wait(60)
    batcher.stop()
    first = [seed for seed, prompt in seen if prompt == seen[0][1]]
    assert len(set(first)) == 3
    assert FRESH not in first


@pytest.mark.model
def test_fusions_and_votes_on_a_real_model(root: Path) -> None:
    from hswarm.engines.transformers import TransformersEngine

    pool = open_pool(PoolSettings(path=str(root / "experts/micro/pool"), base=str(root / "experts/micro/base")))
    named = {expert.name: expert for expert in pool.experts}
    settings = EngineSettings(dtype="float32", batch=1)  # each call alone, so that neither side's batches matter
    experts = (named["tav"], Fusion.join([named["tav"], named["wex"]]), named["wex"], Vote.new(), named["tav"])
    topology = Topology.of(5, [(0, 3), (1, 3), (2, 3), (3, 4)])
    system = System(topology, experts, base=pool.base, engine=settings, sampling=Sampling(14))
    engine = TransformersEngine(settings, pool.base)
    questions = [question.question for question in micro.WORLD.generate(["tav"], 3, seed=3)]
    answers = served(system, questions, engine)
    assert answers == system.respond(questions, engine)
    assert all(answers)
