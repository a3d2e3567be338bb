"""Where the time goes beyond the machines at hand: the real search and router in virtual time.

python benchmarks/scaling_simulated.py
Each setting is a search (paper's N = M = 10, one iteration) whose calls cost what the model below says. Nothing is
measured here but the search's own waves, batches and routing; rates are stated, not measured.
"""

import argparse
import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from measuring import publish
from sleeping import Sleeping, paper_shape, reply, searched

from hswarm.engines.base import Completion, Request
from hswarm.workers.router import Router, Work

DRIVER_US = 80  # of the search's own process a call: planning, keys, pickling, cache (benchmarks/scaling.py)


@dataclass(frozen=True)
class Model:
    """What a worker takes: seconds a token of prompts, seconds a step of a batch, and what changing an expert takes."""

    name: str
    prompt_s: float  # a prompt token
    step_s: float  # one new token for each row of a batch
    apply_s: float  # put an adapter that is here in place
    fetch_s: float  # have an adapter come over the network


# bfloat16, batch 32, LoRA rank 16 on all linear layers: 7B is 80 MB, 70B 400 MB at 1 GB/s; prompts by arithmetic
# (2 x parameters operations a token at 150 Tflop/s), steps by memory (weights once a step at 1.5 TB/s; 70B on 4 GPUs).
MODELS = [
    Model("7B on 1 GPU", 2 * 7e9 / 150e12, 14e9 / 1.5e12 + 0.005, 0.05, 0.08),
    Model("70B on 4 GPUs", 2 * 70e9 / 600e12, 140e9 / 6e12 + 0.01, 0.2, 0.4),
]


Batches = Sequence[Sequence[Request]]


@dataclass
class Clock:
    """Virtual seconds of one number of workers: the wall, and what workers spend on what."""

    places: int
    wall: float = 0
    busy: dict[str, float] = field(default_factory=lambda: {"prompts": 0.0, "replies": 0.0, "weights": 0.0})
    waves: int = 0

    def __post_init__(self) -> None:
        self.router = Router(self.places)
        self.present = [""] * self.places
        self.held: list[set[str]] = [set() for _ in range(self.places)]

    def play(self, batches: Batches, model: Model) -> None:
        self.router.plan([Work(b[0].expert.digest, sum(len(r.prompt) / 4 + 50 for r in b)) for b in batches])
        free = [(0.0, place) for place in range(self.places)]
        end = 0.0
        while free:
            now, place = heapq.heappop(free)
            if (i := self.router.next(place)) is not None:
                end = max(end, now + self._batch(place, batches[i], model))
                heapq.heappush(free, (now + self._batch_s, place))
        self.wall += end
        self.waves += 1

    def _batch(self, place: int, batch: Sequence[Request], model: Model) -> float:
        key, weights = batch[0].expert.digest, 0.0
        if self.present[place] != key:
            weights = model.apply_s + (0 if key in self.held[place] else model.fetch_s)
            self.present[place] = key
            self.held[place].add(key)
        parts = {
            "prompts": sum(len(r.prompt) / 4 for r in batch) * model.prompt_s,
            "replies": 50 * model.step_s,
            "weights": weights,
        }
        for name, seconds in parts.items():
            self.busy[name] += seconds
        self._batch_s = sum(parts.values())
        return self._batch_s


class Virtual(Sleeping):
    """Answers at once and lets every clock play what workers would have done."""

    def __init__(self, clocks: Sequence[Clock], model: Model, batch: int) -> None:
        super().__init__(0, batch)
        self._clocks, self._model = clocks, model

    def spread(self, batches: Batches, guarded: object) -> Iterator[tuple[int, list[Completion]]]:
        for clock in self._clocks:
            clock.play(batches, self._model)
        yield from ((i, [reply(request) for request in batch]) for i, batch in enumerate(batches))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--dev", type=int, default=200)
    given = parser.parse_args()
    table = {}
    for model in MODELS:
        for experts, dev in ((10, given.dev), (100, given.dev)):
            clocks = [Clock(places) for places in (1, 8, 16, 64)]
            _, ledger = searched(paper_shape(dev, experts), Virtual(clocks, model, 32))
            driver = ledger.generated * DRIVER_US / 1e6
            for clock in clocks:
                wall, whole = clock.wall + driver, sum(clock.busy.values())
                table[f"{model.name}, {experts} experts, {dev} questions, {clock.places} workers"] = {
                    "hours": round(wall / 3600, 3),
                    "of ideal": round((whole + driver) / wall / clock.places, 3),
                    **{f"{name}, share": round(s / clock.places / wall, 3) for name, s in clock.busy.items()},
                    "search's own process, share": round(driver / wall, 4),
                    "idle at the end of waves, share": round(1 - (whole / clock.places + driver) / wall, 3),
                }
    publish(
        "scaling_simulated",
        "where the time goes with up to 64 workers, 100 experts, 7B and 70B (simulated)",
        {
            "us a call of the search's own process": DRIVER_US,
            **{name: "; ".join(f"{key} {value}" for key, value in row.items()) for name, row in table.items()},
        },
    )


if __name__ == "__main__":
    main()
