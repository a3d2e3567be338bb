"""Meta-agent (ADAS, arXiv 2408.08435): a model writes designs, each is scored, and it sees the scores of those before.

As arXiv 2502.04510 ran it, the model reads a description of each expert's training data and expertise: here the text
of its model card (README.md in its folder).

ADAS writes code; here a design is a list of lines "expert -> expert", one an edge, which cannot run anything. As in
ADAS the archive starts with hand-made designs (the best alone, a chain, a star), and the best of the archive wins.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from hswarm.core.topology import Topology
from hswarm.errors import ConfigError
from hswarm.experts.expert import Expert
from hswarm.experts.pool import ExpertPool, PoolSettings, expert_folders
from hswarm.methods.base import method
from hswarm.methods.common import ranked_alone
from hswarm.registry import near
from hswarm.scorers.judge import judge_of_task
from hswarm.session.evaluation import Evaluation
from hswarm.session.evaluator import Evaluator
from hswarm.system.system import System

_METADATA = re.compile(r"\A---\n.*?\n---\n", re.DOTALL)
_EDGE = re.compile(r"^\W*([\w.-]+?)\s*(?:->|→|=>)\s*([\w.-]+)\W*$", re.MULTILINE)


@method("meta_agent", "A model writes designs and sees the scores of those before", paper="arXiv 2408.08435")
@dataclass(frozen=True)
class MetaAgent:
    """`designer` names the expert that writes, or "judge" for the model behind an API that scores the task; "" is the
    judge where the task has one, else the expert best alone. It is asked `designs` times, and reads the first
    `card_chars` characters of each expert's card (0: none).
    """

    designer: str = ""
    designs: int = 10
    card_chars: int = 400
    max_new_tokens: int = 200
    temperature: float = 0.7

    def __call__(self, pool: ExpertPool, evaluator: Evaluator, rng: np.random.Generator) -> System:
        singles = ranked_alone(pool, evaluator, rng)
        experts = [single.system.experts[0] for single in singles]
        designer = self._designer(pool, evaluator, experts[0])
        cards = read_cards(evaluator.recipe.pool, self.card_chars)
        members = experts[: evaluator.nodes][::-1]
        made = [Topology.chain(len(members)), Topology.star(len(members))]
        archive = [singles[0], *evaluator.evaluate([evaluator.system(t, members) for t in made], "archive")]
        sampling = replace(evaluator.sampling, max_new_tokens=self.max_new_tokens, temperature=self.temperature)
        for turn in range(self.designs):
            prompt = brief(singles, archive, evaluator.nodes, cards)
            drawn = replace(sampling, seed=int(rng.integers(2**31)))
            (reply,) = evaluator.ask(designer, [prompt], f"design {turn}", drawn)
            if system := read_design(reply, experts, evaluator):
                archive += evaluator.evaluate([system], f"turn {turn}")
        return max(archive, key=lambda found: np.nan_to_num(found.utility)).system

    def _designer(self, pool: ExpertPool, evaluator: Evaluator, best: Expert) -> Expert:
        if self.designer in pool.names:
            return pool.experts[pool.names.index(self.designer)]
        if self.designer not in ("", "judge"):
            fault = f"no expert '{self.designer}' in the pool{near(self.designer, [*pool.names, 'judge'])}"
            raise ConfigError([f"methods.meta_agent.designer: {fault}"])
        judged = judge_of_task(evaluator.task)
        if self.designer and not judged:
            raise ConfigError(
                [
                    f"methods.meta_agent.designer: task '{evaluator.task.name}' has no judge behind an API "
                    "(task.scorer_options.model and .url); name an expert of the pool instead"
                ]
            )
        return judged or best


def read_cards(pool: PoolSettings, most: int) -> dict[str, str]:
    """The first `most` characters of each expert's card, without its metadata, headings and line breaks, by name."""
    if not most or not (pool.path or pool.experts):
        return {}
    cards = {name: folder / "README.md" for name, folder in expert_folders(pool).items()}
    return {name: _card_text(path)[:most] for name, path in cards.items() if path.is_file()}


def _card_text(path: Path) -> str:
    text = _METADATA.sub("", path.read_text(encoding="utf-8", errors="replace"))
    return " ".join(line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#"))


def brief(
    singles: Sequence[Evaluation], archive: Sequence[Evaluation], nodes: int, cards: Mapping[str, str] | None = None
) -> str:
    """What the designer reads: the experts and their `cards`, the best designs so far, what is wanted."""
    lines = ["You design a team of experts that answers questions. Experts and their scores alone:"]
    for single in singles:
        name = single.system.assignment[0]
        described = f" ({cards[name]})" if cards and cards.get(name) else ""
        lines.append(f"{name}: {single.utility:.2f}{described}")
    lines.append("Designs so far, the best last; in each line the right one reads what the left one answered:")
    for found in sorted(archive, key=lambda found: found.utility)[-4:]:
        names = found.system.assignment
        edges = "\n".join(f"{names[u]} -> {names[v]}" for u, v in sorted(found.system.topology.edges))
        lines.append(f"score {found.utility:.2f}:\n{edges or names[0]}")
    lines.append(
        f"Write a better design of at most {nodes} experts, one 'name -> name' a line, nothing else. "
        "The expert at the end, to the left of no arrow, gives the answer; there must be no cycle."
    )
    return "\n".join(lines)


def read_design(reply: str, experts: Sequence[Expert], evaluator: Evaluator) -> System | None:
    """The system that `reply` designs, or None if it is none: unknown names, a circle, too many, no single end."""
    by_name = {expert.name: expert for expert in experts}
    pairs = [(u, v) for u, v in _EDGE.findall(reply) if u in by_name and v in by_name and u != v]
    names = list(dict.fromkeys(name for pair in pairs for name in pair))
    if not names or len(names) > evaluator.nodes:
        return None
    try:
        topology = Topology.of(len(names), {(names.index(u), names.index(v)) for u, v in pairs})
    except ValueError:
        return None
    return evaluator.system(topology, [by_name[name] for name in names])
