"""The paper's studies as searches over variants x seeds: what changes with one setting, all else equal.

python benchmarks/studies.py [--on micro|toy|steps] [--only experts,top_p] [--seeds 3] [--minutes M]     (resumes)

Writes docs/studies.json and the tables of docs/studies.md. Runs are kept under runs/studies; equal recipes of different
studies are one run, and all share their calls. After `--minutes` no new search is begun; tables take what is there.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import time
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from measuring import ROOT, fill, finished, machine

from hswarm import io
from hswarm.config.recipe import read_recipe
from hswarm.scorers import task_scorer
from hswarm.session.session import Session
from hswarm.system.cache import Cache
from hswarm.system.scoring import score_replies

# the ten experts of a pool, in pairs whose steps one question needs
ORDERS: dict[str, tuple[str, ...]] = {
    "micro": ("tav", "lun", "wex", "zor", "ras", "nix", "yam", "vop", "qib", "gul"),
    "steps": ("digits", "roman", "past", "plural", "clock", "next", "grams", "capital", "opposite", "partner"),
}
CHAINS = {"micro": ("tav+lun+wex+zor",), "steps": ("digits+roman", "past+next")}  # what four experts are asked
POOLS = {"micro": "experts/micro/pool", "steps": "experts/steps"}
FOUR = (
    "search.graphs=6",
    "search.assignments=6",
    "task.dev=60",
    "search.iterations=12",
    "search.patience=12",
)
# The studies of the paper's own settings: its decoding, at most 2,000 distinct calls a search.
SHORT = ("decode.edges=independent", "decode.top_p=0.8", "budget.calls=2000")


@dataclass(frozen=True)
class Study:
    """`variants`: name -> changes of the recipe, the first being what others are compared with; `judged` names the
    variant of which `paper` speaks, `better` says whether it should score higher (1), lower (-1) or alike (0)."""

    title: str
    paper: str
    variants: dict[str, tuple[str, ...]]
    judged: str
    better: int
    copies: dict[str, tuple[int, int]] = field(default_factory=dict)  # distinct experts, copies of each


Figures = dict[str, Any]


def studies(pool: str) -> dict[str, Study]:
    """All studies, on the experts of this pool."""
    order, chains = ORDERS[pool], CHAINS[pool]

    def experts(count: int) -> str:
        return f"pool.experts={json.dumps(order[:count])}"

    def four(name: str, values: dict[str, str], *more: str) -> dict[str, tuple[str, ...]]:
        """Variants of a task of four experts: value -> `name` set to it; "" sets nothing."""
        needed = [expert for chain in chains for expert in chain.split("+")]
        of_four = (f"pool.experts={json.dumps(needed)}", f"task.datasets={json.dumps(chains)}", *FOUR)
        return {shown: (*of_four, *more, *((f"{name}={value}",) if value else ())) for shown, value in values.items()}

    return {
        "experts": Study(
            "Number of experts",
            "ten experts score 27.1 % more than two",
            {str(n): (experts(n),) for n in (2, 4, 6, 8, 10)},
            "10",
            1,
        ),
        "diversity": Study(
            "Diversity a x b: a different experts, b copies of each",
            "10 x 1 scores 89 % more than 1 x 10",
            {f"{a} x {b}": (experts(10),) * (b == 1) for a, b in ((1, 10), (2, 5), (5, 2), (10, 1))},
            "10 x 1",
            1,
            {f"{a} x {b}": (a, b) for a, b in ((1, 10), (2, 5), (5, 2), (10, 1))},
        ),
        "threshold": Study(
            "Sparsity by threshold",
            "K-Cross .450 falls to .438, .392, .352 at thresholds .05, .1, .2, with 3.8, 12.4, 36.1 % of the edges "
            "gone (table 3)",
            four("search.threshold", {"none": "", "0.05": "0.05", "0.1": "0.1", "0.2": "0.2"}, *SHORT),
            "0.2",
            0,
        ),
        "l1": Study(
            "Sparsity by an L1 term",
            "K-Cross .450 falls to .436, .425, .426 at .01, .05, .1, with 1.2, 3.5, 7.1 % of the edges gone (table 3)",
            four("search.l1", {"0": "", "0.01": "0.01", "0.05": "0.05", "0.1": "0.1"}, *SHORT),
            "0.1",
            0,
        ),
        **{
            f"dropout_{step}": Study(
                f"Dropout-{step[0].upper()}: {step}-steps left out",
                "a minor loss on Knowledge Crosswords and COM2 (figure 9)",
                four(f"search.dropout_{step}", {"0": "", "0.2": "0.2", "0.5": "0.5", "0.8": "0.8"}, *SHORT),
                "0.5",
                0,
            )
            for step in ("role", "weight")
        },
        **{
            f"drop_{letter}": Study(
                f"Drop-{letter.upper()}: {what} left out",
                "not in the paper, but a flag of its code; expected: fewer calls at a small loss",
                four(f"search.drop_{letter}", {"0": "", "0.3": "0.3"}),
                "0.3",
                0,
            )
            for letter, what in (("k", "iterations"), ("n", "evaluations"))
        },
        "graphs": Study(
            "Number of graphs",
            "gives no figure; expected: more graphs find better systems",
            four("search.graphs", {"2": "2", "6": "", "10": "10"}),
            "6",
            1,
        ),
        "assignments": Study(
            "Number of assignments",
            "gives no figure; expected: more assignments find better systems",
            four("search.assignments", {"2": "2", "6": ""}),
            "6",
            1,
        ),
        "top_p": Study(
            "Top-p in G-Decode",
            "draws with 0.8; the published code takes the most likely (0)",
            four("decode.top_p", {"0": "", "0.8": "0.8"}),
            "0.8",
            0,
        ),
    }


TOY = (
    "task.name=toy",
    "task.datasets=[]",
    "engine.name=toy",
    "pool.path=''",
    "pool.base=''",
    "task.options.toy.steps=4",
)
ON: dict[str, tuple[str, ...]] = {  # what a pool sets, after what a study sets
    "micro": (),
    "toy": (
        *TOY,
        "pool.experts=[]",
        "search.nodes=4",
        "task.dev=30",
        "search.iterations=10",
        "search.patience=10",
        "weight.step_length=0.3",
    ),
    "steps": (
        f"pool.path={ROOT / POOLS['steps']}",
        "pool.base=''",
        "task.name=steps",
        "task.max_new_tokens=24",
        "engine.dtype=auto",
    ),
}
OF_POOLS = ("experts", "diversity")  # on `steps` searched by growth
LEFT_OUT = {"micro": (), "toy": OF_POOLS, "steps": ("drop_k", "drop_n")}  # these two are not the paper's, and long


def main() -> None:
    """Run what is missing, then write the tables of what is there."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--on", choices=list(ON), default="micro", help="the pool; toy: the toy engine, 10 iterations")
    parser.add_argument("--only", default="", help="studies by name (default: all)")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--minutes", type=float, default=float("inf"))
    parser.add_argument("--runs", type=Path, default=ROOT / "runs/studies")
    given = parser.parse_args()
    given.studies = studies(given.on if given.on in POOLS else "micro")
    until, names = time.monotonic() + 60 * given.minutes, given.only.split(",") if given.only else list(given.studies)
    names = [name for name in names if name not in LEFT_OUT[given.on]]
    cells = [
        (seed, name, variant)
        for seed in range(given.seeds)
        for name in names
        for variant in given.studies[name].variants
    ]
    for seed, name, variant in cells:
        folder = place(given, name, variant, seed)
        if not (folder / "test.json").is_file() and time.monotonic() < until:
            made = measure(given, name, variant, seed, folder)
            print(f"{name} {variant}, seed {seed}: test {np.mean(made['test']):.3f}, {made['calls']} calls", flush=True)
    found = {name: table for name in names if (table := tabulate(given, name))}
    for name, table in found.items():
        print(markdown(given.studies[name], table))
    publish(found, given.on, given.studies)


def changes(given: argparse.Namespace, name: str, variant: str, seed: int) -> list[str]:
    """What a variant of a study sets."""
    study = given.studies[name]
    found = [*study.variants[variant], f"seed={seed}", *ON[given.on]]
    if given.on == "steps" and name in OF_POOLS:
        order = ORDERS["steps"]
        pairs = [f"{first}+{second}" for first, second in zip(order[::2], order[1::2], strict=True)]
        found += [f"task.datasets={json.dumps(pairs)}", "search.method=growth", "budget.calls=1200"]
    elif given.on == "steps":
        found += ["task.dev=30", "budget.calls=2000"]
    if copies := study.copies.get(variant):
        found.append(f"pool.path={copied(given.runs, given.on, *copies)}")
    if not any(change.startswith("budget.") for change in found):  # calls found elsewhere would cost it nothing
        found.append(f"search.cache={given.runs / 'calls.sqlite'}")
    return found


def copied(runs: Path, on: str, distinct: int, copies: int) -> Path:
    """A pool of several different experts, each repeated; the experts' own pool if each occurs once."""
    own, order = ROOT / POOLS[on], ORDERS[on]
    if copies == 1 and distinct == len(order):
        return own
    folder = runs / "pools" / f"{on}-{distinct}x{copies}"
    for expert in order[:distinct]:
        for k in range(copies):
            target = folder / (expert if not k else f"{expert}-{k + 1}")
            if not target.is_dir():
                shutil.copytree(own / expert, target)
    return folder


def place(given: argparse.Namespace, name: str, variant: str, seed: int) -> Path:
    """Where the run lies: one folder for equal recipes, whichever study asks for them."""
    recipe = read_recipe(ROOT / "recipes/studies.toml", changes(given, name, variant, seed))
    content = recipe.model_dump_json()
    runs: Path = given.runs
    on: str = given.on
    return runs / on / hashlib.sha256(content.encode()).hexdigest()[:12]


def measure(given: argparse.Namespace, name: str, variant: str, seed: int, folder: Path) -> Figures:
    """Search, then note what the found system scores on each test question (its calls are in the run's cache)."""
    recipe = read_recipe(ROOT / "recipes/studies.toml", changes(given, name, variant, seed))
    run, parts = finished(recipe, folder / "run"), opened(recipe.model_copy(update={"seed": 0}).model_dump_json())
    system, cache = run.best, Cache(run.path / "cache.sqlite")
    executor = replace(parts, cache=cache).executor
    transcripts = executor.run([system], parts.task.test, "study")
    (scores,) = score_replies(task_scorer(parts.task), executor, [system], transcripts, parts.task.test, "study")
    cache.close()
    report = run.report
    made = {
        "test": [score.value for score in scores],
        "dev": report.dev.score,
        "answer": system.calls,
        "edges": len(system.topology.edges),
        "calls": report.calls.requested - system.calls * len(scores),
    }
    gone = [line.role.edges_gone for line in run.history() if line.role.edges_gone is not None]
    made["gone"] = float(np.mean(gone)) if gone else None
    io.write_text(folder / "test.json", json.dumps(made) + "\n")
    return made


@lru_cache(maxsize=1)
def opened(content: str) -> Session:
    from hswarm.config.recipe import Recipe

    return Session.load(Recipe.model_validate_json(content))


def tabulate(given: argparse.Namespace, name: str) -> Figures:
    """A row a variant that has a run, over the seeds it has; differences over those that the first variant has too.
    {} without the first variant and the judged one."""
    study, made = given.studies[name], {}
    for variant in study.variants:
        paths = {seed: place(given, name, variant, seed) / "test.json" for seed in range(given.seeds)}
        made[variant] = {seed: json.loads(path.read_text()) for seed, path in paths.items() if path.is_file()}
    first = next(iter(study.variants))
    if not made[first].keys() & made[study.judged].keys():
        return {}
    rows = [row(variant, ones, made[first] if variant != first else {}) for variant, ones in made.items() if ones]
    return {"rows": rows, "verdict": verdict(study, rows)}


def row(variant: str, ones: dict[int, Figures], firsts: dict[int, Figures]) -> Figures:
    """What a variant's runs come to, and how they differ from the first variant's of the same seeds (`firsts`)."""
    test = np.array([one["test"] for one in ones.values()], dtype=np.float64)
    made = {
        "variant": variant,
        "test": float(test.mean()),
        "ci": interval(test),
        "questions": test.shape[1],
        "seeds": dict(zip(map(str, ones), test.mean(axis=1).tolist(), strict=True)),
        **{key: float(np.mean([one[key] for one in ones.values()])) for key in ("dev", "answer", "edges", "calls")},
    }
    gone = [one["gone"] for one in ones.values() if one["gone"] is not None]
    made["gone"] = float(np.mean(gone)) if gone else None
    if common := sorted(ones.keys() & firsts.keys()):
        gap = np.array([np.subtract(ones[seed]["test"], firsts[seed]["test"]) for seed in common])
        base = float(np.mean([firsts[seed]["test"] for seed in common]))
        made |= {"difference": float(gap.mean()), "difference_ci": interval(gap), "base": base, "common": len(common)}
    return made


def interval(scores: np.ndarray) -> list[float]:
    """95 % bootstrap interval of the mean of scores (seeds, questions), with both seeds and questions drawn again."""
    rng, (seeds, questions) = np.random.default_rng(0), scores.shape
    drawn = [rng.multinomial(size, [1 / size] * size, 10_000) / size for size in (seeds, questions)]
    means = ((drawn[0] @ scores) * drawn[1]).sum(axis=1)
    return [float(end) for end in np.quantile(means, [0.025, 0.975])]


def verdict(study: Study, rows: list[Figures]) -> str:
    """What the interval of the judged variant's difference to the first says about the paper's sentence."""
    judged, first = next(row for row in rows if row["variant"] == study.judged), rows[0]
    (low, high), base = judged["difference_ci"], judged["base"]
    relative = f", {judged['difference'] / base:+.0%}" if base else ""
    shown = (
        f"{study.judged} against {first['variant']}, {judged['common']} "
        f"seed{'s' * (judged['common'] > 1)} of {first['questions']} questions: "
        f"{judged['difference']:+.3f} [{low:+.3f}, {high:+.3f}]{relative}"
    )
    if judged["common"] == 1:
        return f"{shown}: one seed, so no verdict"
    if low <= 0 <= high:
        sense = "too few seeds and questions to show a difference"
    elif study.better:
        sense = "agrees" if judged["difference"] * study.better > 0 else "does not agree"
    else:
        sense = "a gain" if low > 0 else "a loss"
    return f"{shown}: {sense}"


HEAD = (
    "variant",
    "test",
    "95 % interval",
    "each seed",
    "difference",
    "95 % interval",
    "dev",
    "calls an answer",
    "edges",
    "edges gone in the search",
    "calls asked for",
)


def markdown(study: Study, table: Figures) -> str:
    """The study as a section."""
    lines = [
        f"### {study.title}",
        "",
        f"Paper: {study.paper}.",
        "",
        f"Here: {table['verdict']}.",
        "",
        f"| {' | '.join(HEAD)} |",
        "|---" * len(HEAD) + "|",
    ]
    for made in table["rows"]:
        seeds = ", ".join(f"{score:.2f}" for score in made["seeds"].values())
        gap = [f"{made['difference']:+.3f}", span(made["difference_ci"], "+.3f")] if "difference" in made else ["", ""]
        cells = [
            made["variant"],
            f"{made['test']:.3f}",
            span(made["ci"], ".3f"),
            seeds,
            *gap,
            f"{made['dev']:.3f}",
            f"{made['answer']:.1f}",
            f"{made['edges']:.1f}",
            "" if made.get("gone") is None else f"{made['gone']:.1%}",
            f"{made['calls']:.0f}",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def span(ends: list[float], form: str) -> str:
    return f"{ends[0]:{form}} to {ends[1]:{form}}"


def publish(found: dict[str, Figures], pool: str, known: dict[str, Study]) -> None:
    """docs/studies.json; tables of `pool` and the summary in docs/studies.md. Studies not found stay as they are."""
    path = ROOT / "docs/studies.json"
    content = json.loads(path.read_text()) if path.is_file() else {}
    kept = content.get(pool, {}).get("studies", {})
    every = {name: found.get(name) or kept[name] for name in known if name in found or name in kept}
    content |= {pool: {"machine": machine(), "studies": every}}
    path.write_text(json.dumps(content, indent=1) + "\n")
    page, mark = ROOT / "docs/studies.md", "<!-- {}: benchmarks/studies.py -->"
    fill(page, mark.format(pool), "\n".join(markdown(known[name], table) for name, table in every.items()).rstrip())
    lines = ["| study | paper | on | here |", "|---|---|---|---|"]
    for name, study in known.items():
        lines += [
            f"| {study.title} | {study.paper} | {kind} | {of['studies'][name]['verdict']} |"
            for kind, of in sorted(content.items())
            if name in of["studies"]
        ]
    fill(page, mark.format("summary"), "\n".join(lines))


if __name__ == "__main__":
    main()
