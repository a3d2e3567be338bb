"""Claim: speed-up of a search at least 0.9 times the workers up to 8, and 0.8 times at 16.

python benchmarks/scaling.py [--workers 16,8,4,2,1] [--dev 200] [--ms 20] [--batch 32]
The paper's shape (N = M = n = 10), one iteration and the experts alone, on real worker processes whose calls sleep for
a known time and need no cores (20 ms: 50 tokens for 32 rows in 0.65 s). Speed-up is over calls
times sleep, which no single worker can beat. All must make the same calls.
"""

import argparse
import time

from measuring import publish
from sleeping import Sleeping, open_sleeping, paper_shape, searched

from hswarm.engines.parallel import ParallelEngine
from hswarm.workers.devices import Place
from hswarm.workers.worker import ProcessWorker


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--workers", default="16,8,4,2,1")
    parser.add_argument("--dev", type=int, default=200)
    parser.add_argument("--ms", type=float, default=20)
    parser.add_argument("--batch", type=int, default=32)
    given = parser.parse_args()
    recipe, sleep = paper_shape(given.dev, batch=given.batch), given.ms / 1000
    began = time.process_time()
    _, ledger = searched(recipe, Sleeping(0, given.batch))
    planning = (time.process_time() - began) / ledger.generated
    alone, table = ledger.generated * sleep, {}
    for workers in map(int, given.workers.split(",")):
        crew = ParallelEngine([ProcessWorker(open_sleeping, (sleep, given.batch), Place()) for _ in range(workers)])
        while crew.ready < workers:
            time.sleep(0.1)
        began = time.process_time()
        seconds, spent = searched(recipe, crew)
        ours = (time.process_time() - began) / spent.generated
        crew.close()
        assert spent == ledger, "another number of workers made other calls"
        table[workers] = {
            "s": round(seconds, 1),
            "speed-up": round(alone / seconds, 2),
            "of ideal": round(alone / seconds / workers, 3),
            "processor us a call here": round(ours * 1e6),
        }
        print(workers, table[workers], flush=True)
    publish(
        "scaling",
        "with n workers a search is at least 0.9 n times as fast up to 8 workers, and 0.8 n times at 16",
        {
            "ms a call": given.ms,
            "calls": ledger.generated,
            "calls x sleep, s": round(alone, 1),
            "batch": given.batch,
            "dev questions": given.dev,
            "processor us a call, one process": round(planning * 1e6),
            **{
                f"{workers} workers": "; ".join(f"{key} {value}" for key, value in row.items())
                for workers, row in sorted(table.items())
            },
        },
    )


if __name__ == "__main__":
    main()
