"""Claim: each expert of the starter pool is good in its own domain, better than the base and than the others there.

python benchmarks/pool_table.py        (about half an hour on one core; writes docs/pool.md and docs/pool.json)

Interrupted, it goes on where it was: calls are kept in build/pool-table.sqlite.

Two measurements, greedy, strict exact match: every question put alone, and the same questions put with two previous
responses, one right and one wrong, as a node of a system meets them. Rival: the base without an expert.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

from hswarm.core.stats import bootstrap_interval, paired_test
from hswarm.engines import open_engine
from hswarm.engines.base import EngineSettings, Request, Sampling
from hswarm.experts.adapter import Adapter
from hswarm.experts.pool import ExpertPool, PoolSettings, open_pool
from hswarm.prompts import Prompts
from hswarm.scorers.exact import exact
from hswarm.system.cache import Cache
from hswarm.system.executor import Executor
from hswarm.tasks.reasoning_gym import generate
from hswarm.tasks.task import Example
from hswarm.training.data import Domain
from hswarm.training.train import read_train_recipe, training_questions

ROOT = Path(__file__).parents[1]
RECIPES = [ROOT / "recipes" / name for name in ("smollm2-pool.toml", "smollm2-more.toml", "smollm2-names.toml")]
SEED, QUESTIONS, MAX_NEW_TOKENS = 5, 40, 32
COMMONEST = "(commonest answer)"
Table = dict[str, dict[str, dict[str, float]]]  # who -> domain -> score, low, high, cut_off


def main(argv: Sequence[str] | None = None) -> None:
    """Measure and write."""
    arguments = _arguments(argv)
    recipes = [read_train_recipe(recipe) for recipe in arguments.recipes]
    domains = [domain for settings in recipes for domain in settings.experts]
    pool = open_pool(PoolSettings(path=str(arguments.pool)))
    if odd := {domain.name for domain in domains} ^ set(pool.names):
        sys.exit(f"recipes and pool differ in: {', '.join(sorted(odd))}")
    questions = {domain.name: _questions(domain, arguments.questions) for domain in domains}
    trained = {question for settings in recipes for question in training_questions(settings)}
    seen = {name: sum(example.question in trained for example in asked) for name, asked in questions.items()}
    with closing(Cache(ROOT / "build/pool-table.sqlite")) as calls:
        executor = Executor(open_engine(EngineSettings("auto"), pool.base), calls)
        alone = {COMMONEST: _constant(questions), **_measure(executor, pool, questions, Prompts().render)}
        told = _measure(executor, pool, questions, _told(questions))
    whole = {
        "questions": arguments.questions,
        "seed": SEED,
        "max_new_tokens": MAX_NEW_TOKENS,
        "sampling": "greedy",
        "engine": executor.engine.fingerprint,
        "digests": {expert.name: expert.digest for expert in pool.experts},
        "questions_seen_in_training": seen,
        "alone": alone,
        "told": told,
    }
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "pool.json").write_text(json.dumps(whole, indent=1) + "\n", encoding="utf-8")
    (arguments.out / "pool.md").write_text(_page(domains, pool, whole), encoding="utf-8")


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Score every expert of the starter pool on every domain.")
    parser.add_argument("--pool", type=Path, default=ROOT / "experts" / "smollm2")
    parser.add_argument("--recipes", type=Path, nargs="+", default=RECIPES)
    parser.add_argument("--out", type=Path, default=ROOT / "docs")
    parser.add_argument("--questions", type=int, default=QUESTIONS, help="questions a domain")
    return parser.parse_args(argv)


def _questions(domain: Domain, count: int) -> tuple[Example, ...]:
    return generate(domain.datasets, count, SEED, options=domain.options)


def _told(questions: dict[str, tuple[Example, ...]]) -> Callable[[Example], str]:
    """Renders a question with one right and one wrong previous response, in an order drawn by question."""
    answers: dict[str, list[str]] = {}
    for asked in questions.values():
        for example in asked:
            answers.setdefault(example.domain, []).append(example.answer)

    def render(example: Example) -> str:
        rng = random.Random(f"{SEED}/{example.id}")
        wrong = rng.choice([answer for answer in answers[example.domain] if answer != example.answer])
        previous = [example.answer, wrong]
        rng.shuffle(previous)
        return Prompts().render(example, previous)

    return render


def _measure(
    executor: Executor, pool: ExpertPool, questions: dict[str, tuple[Example, ...]], render: Callable[[Example], str]
) -> Table:
    """Scores of the base (an update of zero) and of each expert, by domain."""
    some = pool.experts[0]
    assert isinstance(some, Adapter)
    table: Table = {}
    before: list[float] = []
    for expert in (Adapter.from_vector("base", np.zeros_like(some.vector), some.form), *pool.experts):
        sampling = Sampling(max_new_tokens=MAX_NEW_TOKENS)
        asked = [example for examples in questions.values() for example in examples]
        replies = executor.answer([Request(expert, render(example), sampling) for example in asked], expert.name)
        scores = [score.value for score in exact(asked, [reply.text for reply in replies])]
        before = before or scores  # the base comes first
        table[expert.name], start = {}, 0
        for domain, examples in questions.items():
            part = slice(start, start + len(examples))
            cut = sum(reply.finish == "length" for reply in replies[part]) / len(examples)
            table[expert.name][domain] = {**cell(scores[part]), "cut_off": cut}
            if domain == expert.name:
                gain = paired_test(scores[part], before[part], np.random.default_rng(SEED))
                table[domain][domain] |= {"gain": gain.difference, "gain_low": gain.low, "gain_high": gain.high}
            start += len(examples)
        print(expert.name, {name: round(cell["score"], 2) for name, cell in table[expert.name].items()}, flush=True)
    return table


def _constant(questions: dict[str, tuple[Example, ...]]) -> dict[str, dict[str, float]]:
    """What one would score who always gave the answer that is commonest among the questions of the domain."""
    cells = {}
    for domain, asked in questions.items():
        answer = Counter(example.answer for example in asked).most_common(1)[0][0]
        scores = [score.value for score in exact(asked, [answer] * len(asked))]
        cells[domain] = {**cell(scores), "cut_off": 0.0}
    return cells


def cell(scores: Sequence[float]) -> dict[str, float]:
    low, high = bootstrap_interval(scores, np.random.default_rng(SEED))
    return {"score": float(np.mean(scores)), "low": low, "high": high}


def _page(trained: Sequence[Domain], pool: ExpertPool, whole: dict[str, Any]) -> str:
    """docs/pool.md."""
    count, seen = whole["questions"], sum(whole["questions_seen_in_training"].values())
    domains = [f"| {domain.name} | {', '.join(domain.datasets)} | {_options(domain)} |" for domain in trained]
    form = pool.experts[0].form
    assert form is not None
    lines = [
        "# The starter pool",
        "",
        f"{len(pool.experts)} LoRA experts of {pool.base}, rank {form.config['r']}, {form.size:,} parameters each, "
        "trained by `hswarm experts train` (the recipes recipes/smollm2-*.toml).",
        "Measured by `python benchmarks/pool_table.py`.",
        "",
        "| expert | reasoning-gym data | options |",
        "|---|---|---|",
        *domains,
        "",
        f"Score: share of {count} questions a domain (seed {whole['seed']}) answered right, strict exact match,",
        f"greedy, at most {whole['max_new_tokens']} new tokens; in brackets the 95 % bootstrap interval.",
        f"{seen} of the questions occur in the training data of any expert. The numbers are in pool.json.",
        "",
        f"Engine: {whole['engine']}",
        "",
        "An expert has learned its domain where it lies above the row of the commonest answer: what one would",
        "score who always said the same.",
        "",
        "## Asked alone",
        "",
        *rows(whole["alone"]),
        "",
        "Own domain, expert less base on the same questions, with the paired 95 % interval:",
        "",
        *_gains(whole["alone"]),
        "",
        "## Asked with one right and one wrong previous response",
        "",
        "The wrong one is the answer of another question of the same data set, the order is drawn. Who copies",
        "one of the two at random is right in half of the cases.",
        "",
        *rows(whole["told"]),
        "",
    ]
    return "\n".join(lines)


def _options(domain: Domain) -> str:
    chosen = [f"{key} {value}" for options in domain.options.values() for key, value in options.items()]
    return ", ".join(chosen) or "default"


def _gains(table: Table) -> list[str]:
    """One line an expert; where the interval reaches zero, or the commonest answer does as well, it says so."""
    lines = []
    for who, cells in table.items():
        if who in cells:
            own, common = cells[who], table[COMMONEST][who]["score"]
            notes = ["training did not help clearly"] * (own["gain_low"] <= 0)
            notes += ["no better than always saying the commonest answer"] * (own["low"] <= common)
            gain = f"{own['gain']:+.2f} ({own['gain_low']:+.2f} to {own['gain_high']:+.2f})"
            lines.append(f"- {who}: {gain}{'; ' if notes else ''}{', '.join(notes)}")
    return lines


def rows(table: Table) -> list[str]:
    domains = list(table["base"])
    rows = [f"| | {' | '.join(domains)} |", "|---" * (len(domains) + 1) + "|"]
    for who, cells in table.items():
        texts = [f"{cell['score']:.2f} ({cell['low']:.2f}-{cell['high']:.2f})" for cell in cells.values()]
        texts = [f"**{text}**" if name == who else text for name, text in zip(cells, texts, strict=True)]
        rows.append(f"| {who} | {' | '.join(texts)} |")
    return rows


if __name__ == "__main__":
    main()
