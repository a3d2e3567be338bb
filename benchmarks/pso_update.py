"""One PSO update of 10 experts beside reading and writing the same bytes once.

python benchmarks/pso_update.py [--size 50000000] [--particles 10]
Seconds of the clock, the best of three, on an idle machine; an update's particles move on all cores, and so does the
rival, which copies what an update touches: positions and velocities, which are read and written, and personal bests.
Memory is the peak of the process over that before the update.
"""

import argparse
import resource
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from measuring import clock, publish

from hswarm.core.swarm import Swarm, SwarmSettings


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--size", type=int, default=50_000_000)
    parser.add_argument("--particles", type=int, default=10)
    given = parser.parse_args()
    rng = np.random.default_rng(0)
    positions = np.empty((given.particles, given.size), np.float32)
    for row in positions:
        rng.standard_normal(given.size, np.float32, out=row)
    swarm = Swarm(positions, SwarmSettings(), rng)
    del positions
    swarm.tell(rng.uniform(size=given.particles))
    swarm._move()  # the first has no velocity yet
    scratch = np.empty((2, given.size), np.float32)
    scratch[:] = 0  # its memory is there before the clock runs

    def copy(i):
        for array in (swarm._positions[i], swarm._velocities[i], swarm._personal[i]):
            np.copyto(scratch[i % 2], array)

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with ThreadPoolExecutor() as threads:
        rival = min(clock(lambda: list(threads.map(copy, range(given.particles))))[0] for _ in range(3))
    update = min(clock(swarm._move)[0] for _ in range(3))
    extra = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    publish("pso_update", "one update within 2.5 times reading and writing the same bytes once", {
        "particles": given.particles, "parameters": given.size, "update, s": update,
        "read and write once, s": rival, "ratio": update / rival,
        "extra memory, particles": extra / (4 * given.size),
    })  # fmt: skip


if __name__ == "__main__":
    main()
