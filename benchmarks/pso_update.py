"""One PSO update of 10 experts beside reading and writing the same bytes once.

python benchmarks/pso_update.py [--size 50000000] [--particles 10]
Seconds of the clock, the best of several, on an idle machine; an update is plain numpy on one core, the rival, on all
cores, copies what an update touches: positions and velocities, which are read and written, and personal bests.
Memory is the peak of the process over that before the update.

"in place": a swarm of the parameters themselves. "as a search does": a particle is its shares of the pool's experts,
and its weights are their sum, with the fingerprint that names them in the cache; what was before stays until it is no
longer needed, so that its memory is what it makes.
"""

import argparse
import resource
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from measuring import clock, publish

from hswarm.core.swarm import Swarm, SwarmSettings
from hswarm.experts.adapter import Adapter
from hswarm.experts.expert import Expert
from hswarm.experts.pool import ExpertPool


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--size", type=int, default=50_000_000)
    parser.add_argument("--particles", type=int, default=10)
    given = parser.parse_args()
    rng = np.random.default_rng(0)
    rival, update, extra = in_place(given.particles, given.size, rng)
    moved, fingerprint = as_a_search_does(given.particles, given.size, rng)
    publish(
        "pso_update",
        "one update takes at most 2.5 times as long as reading and writing the same bytes once",
        {
            "particles": given.particles,
            "parameters": given.size,
            "read and write once, s": rival,
            "in place, s": update,
            "in place, ratio": update / rival,
            "in place, extra memory, particles": extra / (4 * given.size),
            "as a search does, s": moved,
            "of it fingerprints, s": fingerprint,
            "as a search does, ratio": moved / rival,
        },
    )


def in_place(count: int, size: int, rng: np.random.Generator) -> tuple[float, float, int]:
    """Seconds of the rival and of the move, and the move's memory in bytes."""
    positions = np.empty((count, size), np.float32)
    for row in positions:
        rng.standard_normal(size, np.float32, out=row)
    swarm = Swarm(positions, SwarmSettings(), rng)
    del positions
    swarm.tell(rng.uniform(size=count))
    swarm._move()  # the first has no velocity yet
    scratch = np.empty((2, size), np.float32)
    scratch[:] = 0  # its memory is there before the clock runs

    now = swarm._state

    def copy(i: int) -> None:
        for array in (now.positions[i], now.velocities[i], now.personal[i]):
            np.copyto(scratch[i % 2], array)

    before = peak()
    with ThreadPoolExecutor() as threads:
        rival = min(clock(lambda: list(threads.map(copy, range(count))))[0] for _ in range(10))
    update = min(clock(swarm._move)[0] for _ in range(10))
    return rival, update, (peak() - before) * 1024


def as_a_search_does(count: int, size: int, rng: np.random.Generator) -> tuple[float, float]:
    """Seconds of the move of a pool's experts, and of their fingerprints and checks alone."""
    vectors = (rng.standard_normal(size, np.float32) for _ in range(count))
    pool = ExpertPool(
        tuple(Adapter.from_vector(f"expert-{i}", vector, None, "base") for i, vector in enumerate(vectors)), "base"
    )
    swarm = Swarm(np.eye(count), SwarmSettings(), rng)
    for _ in range(5):  # until every particle has shares of all
        swarm.tell(rng.uniform(size=count))
        swarm.ask()
    times, made = zip(*(clock(lambda: pool.blends(swarm.ask(), pool.names)) for _ in range(3)), strict=True)
    with ThreadPoolExecutor() as threads:
        alone = min(clock(lambda: list(threads.map(again, made[0])))[0] for _ in range(3))
    return min(times), alone


def again(expert: Expert) -> Expert:
    assert isinstance(expert, Adapter)
    return Adapter.from_vector(expert.name, expert.vector, None, expert.base)


def peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


if __name__ == "__main__":
    main()
