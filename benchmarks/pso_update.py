"""One PSO update of 10 experts beside reading and writing the same bytes once.

python benchmarks/pso_update.py [--size 50000000] [--particles 10]
Processor seconds, the best of three. The rival copies what an update touches: positions and velocities, which are read
and written, and personal bests. Memory is the peak of the process over that before the update.
"""

import argparse
import resource

import numpy as np
from measuring import publish, timed

from hswarm.core.swarm import Swarm, SwarmSettings


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--size", type=int, default=50_000_000)
    parser.add_argument("--particles", type=int, default=10)
    given = parser.parse_args()
    rng, seconds = np.random.default_rng(0), {}
    positions = np.empty((given.particles, given.size), np.float32)
    for row in positions:
        rng.standard_normal(given.size, np.float32, out=row)
    swarm = Swarm(positions, SwarmSettings(), rng)
    del positions
    swarm.tell(rng.uniform(size=given.particles))
    swarm._move()  # the first has no velocity yet
    scratch = np.empty(given.size, np.float32)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    rival, update = [], []
    for _ in range(3):
        with timed(seconds, "rival"):
            for i in range(given.particles):
                for array in (swarm._positions[i], swarm._velocities[i], swarm._personal[i]):
                    np.copyto(scratch, array)
        with timed(seconds, "update"):
            swarm._move()
        rival.append(seconds["rival"])
        update.append(seconds["update"])
    extra = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    publish("pso_update", "one update within 2.5 times reading and writing the same bytes once", {
        "particles": given.particles, "parameters": given.size, "update, s": min(update),
        "read and write once, s": min(rival), "ratio": min(update) / min(rival),
        "extra memory, particles": extra / (4 * given.size),
    })  # fmt: skip


if __name__ == "__main__":
    main()
