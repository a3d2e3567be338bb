"""Claim: the default search is first, by the measures that docs/protocol.md laid down before anything was run.

    hswarm compare recipes/steps-tasks/*.toml --methods all --seeds 5 --run runs/steps-tasks
    python benchmarks/protocol.py steps-tasks --run runs/steps-tasks

Reads the cells kept under a name in docs/protocol-cells.json, and with --run a comparison, whole or in part, whose
cells it keeps there too: so seeds may be run on several machines. A task without a cell of the default search is left
out. With --alone each expert is asked the comparison's test questions by itself too, which C-Gain needs. Printed, kept
as docs/benchmarks/protocol_NAME.json, and with --page MARK written into docs/results.md as a table, with --picture
beside docs/results-MARK.svg: mean rank and score of each method, the gain over each task's best rival, its 95 %
interval (seeds and questions drawn again), C-Gain, and what the protocol calls a loss.
"""

import argparse
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from measuring import ROOT, Array, fill, interval, publish, ranks
from numpy.typing import NDArray
from results_head import mean, picture, table

from hswarm import io
from hswarm.config.recipe import read_recipe
from hswarm.core.gain import collaborative_gain
from hswarm.experiments.study import StudyPlan
from hswarm.runs.comparison import Measured, read_result
from hswarm.scorers.base import SOLVED

CLAIM = "the default search is first on tasks and by measures laid down before"
OURS, VARIANTS = "growth", ("growth_roles", "growth_weights")
DRAWS, GOAL, LEAST = 2000, 18.5, 0.01  # a rival's score below LEAST counts as LEAST in a gain
KEPT = ROOT / "docs/protocol-cells.json"
Cells = dict[str, dict[str, dict[str, str]]]  # by task, method and seed: a 1 for each question answered, else a 0
Scores = dict[str, dict[str, Array]]  # by task and method, shape (seeds, questions)


def kept_cells(name: str, run: Path | None, ask_alone: bool) -> tuple[Cells, Cells]:
    """The cells kept under `name`, with those of `run` from now on, and those of experts alone (seed "0"); a failed
    call scores 0."""
    kept: dict[str, Cells] = io.read_json(KEPT, "cells") if KEPT.is_file() else {}
    cells, alone = kept.setdefault(name, {}), kept.setdefault(f"{name}, experts alone", {})
    if not run:
        return cells, alone
    for path in sorted(run.rglob("result.json")):
        cell = read_result(path)
        if isinstance(cell, Measured):
            cells.setdefault(cell.task, {}).setdefault(cell.method, {})[str(cell.seed)] = marks(cell.test)
    for path in sorted((run / "recipes").glob("*.toml")) if ask_alone else ():
        recipe = read_recipe(path)
        for single in StudyPlan(run).alone(recipe, "test"):
            alone.setdefault(recipe.name, {})[single.system.assignment[0]] = {"0": marks(single.scores)}
    io.write_text(KEPT, json.dumps(kept, indent=1, sort_keys=True) + "\n")
    return cells, alone


def marks(scores: Iterable[float | None]) -> str:
    """A 1 for each question answered, else a 0."""
    return "".join(str(int(score is not None and score >= SOLVED)) for score in scores)


def scores_of(cells: Cells) -> Scores:
    """The test scores by task and method, in the order of names, so that ties and draws do not depend on what ran last.
    Methods keep the seeds that they ran."""
    return {
        task: {
            method: np.array([[float(one) for one in seeds[seed]] for seed in sorted(seeds)])
            for method, seeds in sorted(methods.items())
        }
        for task, methods in sorted(cells.items())
    }


def mean_ranks(scores: Scores) -> dict[str, float]:
    """The mean rank of each method over the tasks, among those that ran there; ties share a rank."""
    found: dict[str, list[float]] = {}
    for methods in scores.values():
        places = ranks(np.array([[array.mean()] for array in methods.values()]))
        for method, place in zip(methods, places, strict=True):
            found.setdefault(method, []).append(place)
    return {method: float(np.mean(each)) for method, each in found.items()}


def is_rival(method: str) -> bool:
    """The search's own halves are no rivals."""
    return method not in (OURS, *VARIANTS)


def best_rival(methods: dict[str, Array]) -> str:
    """The method with the best mean on test, seen afterwards."""
    return max(filter(is_rival, methods), key=lambda method: methods[method].mean())


def drawn(array: Array, questions: NDArray[np.integer], rng: np.random.Generator) -> float:
    """The mean over seeds drawn again and the `questions` drawn."""
    return float(array[rng.integers(0, len(array), len(array))][:, questions].mean())


def gain(ours: float, rival: float) -> float:
    """In per cent of the rival's score."""
    return 100 * (ours - rival) / max(rival, LEAST)


def gains(scores: Scores) -> Array:
    """Mean difference and mean gain over the tasks' best rivals, for each draw; shape (DRAWS, 2)."""
    rng = np.random.default_rng(0)
    pairs = [(methods[OURS], methods[best_rival(methods)]) for methods in scores.values()]
    rows = []
    for _ in range(DRAWS):
        row = []
        for ours, rival in pairs:
            questions = rng.integers(0, ours.shape[1], size=(ours.shape[1],))
            one, other = drawn(ours, questions, rng), drawn(rival, questions, rng)
            row.append((one - other, gain(one, other)))
        rows.append(np.mean(row, axis=0))
    return np.array(rows)


def collaboration(scores: Scores, alone: Scores) -> dict[str, Any]:
    """C-Gain by task and method, its mean over the tasks, and the share that a method's systems solve of the questions
    that no expert solves (null without any); of the tasks whose experts were asked alone."""
    found: dict[str, Any] = {"tasks": {}, "mean": {}, "nobody": {}}
    for task in sorted(scores.keys() & alone.keys()):
        experts = np.concatenate(list(alone[task].values()))
        for method, answers in scores[task].items():
            made = collaborative_gain(answers.mean(axis=0), experts, np.random.default_rng(0))
            share = made.nobody.accuracy if made.nobody.questions else None
            found["tasks"].setdefault(task, {})[method] = round(made.value, 4)
            found["nobody"].setdefault(task, {"questions": made.nobody.questions})[method] = share
    for method in sorted({method for row in found["tasks"].values() for method in row}):
        found["mean"][method] = float(np.mean([row[method] for row in found["tasks"].values() if method in row]))
    found["mean"] = dict(sorted(found["mean"].items(), key=lambda item: -item[1]))
    return found


def measured(scores: Scores, alone: Scores) -> dict[str, Any]:
    """All that the protocol asks."""
    placed, found = mean_ranks(scores), gains(scores)
    rivals = {task: best_rival(methods) for task, methods in scores.items()}
    means = {
        task: {method: round(float(a.mean()), 4) for method, a in methods.items()} for task, methods in scores.items()
    }
    low, high = np.percentile(found, [2.5, 97.5], axis=0)
    apart = [means[task][OURS] - means[task][rival] for task, rival in rivals.items()]
    per_cent = [gain(means[task][OURS], means[task][rival]) for task, rival in rivals.items()]
    whole = float(np.mean(per_cent))
    first = min((rank for method, rank in placed.items() if is_rival(method)), default=99.0)
    return {
        "seeds": {method: min(len(m[method]) for m in scores.values() if method in m) for method in placed},
        "tasks": means,
        "mean rank": dict(sorted(placed.items(), key=lambda item: item[1])),
        "best rival": rivals,
        "difference": {"mean": float(np.mean(apart)), "ci": [low[0], high[0]]},
        "gain %": {"mean": whole, "ci": [low[1], high[1]], "goal": GOAL},
        "mean over tasks": {
            method: {
                "test": test,
                "ci": interval([methods[method] for methods in scores.values()], np.random.default_rng(0), DRAWS),
            }
            for method, test in sorted(mean(means).items(), key=lambda item: -item[1])
        },
        "C-Gain": collaboration(scores, alone),
        "losses": [
            *(["not first by mean rank"] if placed[OURS] >= first else []),
            *([f"mean gain below {GOAL} %"] if whole < GOAL else []),
            *(["the interval of the gain holds zero"] if low[1] <= 0 else []),
            *(f"{task}: {rivals[task]} is ahead" for task, one in zip(rivals, apart, strict=True) if one < 0),
        ],
    }


def shown(found: dict[str, Any]) -> str:
    """The table of docs/results.md, and what the protocol asks in words."""
    ours = {task: means[OURS] for task, means in found["tasks"].items()}
    rivals = {
        task: {method: mean for method, mean in means.items() if is_rival(method)}
        for task, means in found["tasks"].items()
    }
    (low, high), gained = found["gain %"]["ci"], found["difference"]
    placed = ", ".join(f"{method} {rank:.2f}" for method, rank in found["mean rank"].items())
    collaborated = [f"{method} {value:.3f}" for method, value in found["C-Gain"]["mean"].items()]
    c_gain = f" C-Gain, mean over tasks: {', '.join(collaborated)}." if collaborated else ""
    return "\n".join(
        [
            *table(rivals, ours),
            "",
            f"Mean rank: {placed}. Over each task's best rival, seen afterwards: {gained['mean']:+.3f} "
            f"[{gained['ci'][0]:+.3f}, {gained['ci'][1]:+.3f}], in per cent {found['gain %']['mean']:+.0f} "
            f"[{low:+.0f}, {high:+.0f}]. Losses: {'; '.join(found['losses']) or 'none'}.{c_gain}",
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", help="of the cells, and of the file of results")
    parser.add_argument("--run", type=Path, help="the folder of a comparison")
    parser.add_argument("--alone", action="store_true", help="with --run: ask each expert alone too")
    parser.add_argument("--page", default="", metavar="MARK", help="write the table there in docs/results.md")
    parser.add_argument("--picture", default="", metavar="TITLE", help="with --page: a picture of the means there too")
    given = parser.parse_args()
    cells, alone = kept_cells(given.name, given.run, given.alone)
    scores = scores_of({task: methods for task, methods in cells.items() if OURS in methods})
    if not scores:
        raise SystemExit(
            f"no cell of {OURS} is kept as {given.name}; run `hswarm compare`, then name its folder by --run"
        )
    found = measured(scores, scores_of(alone))
    publish(f"protocol_{given.name}", CLAIM, found)
    if given.page:
        text = shown(found)
        if given.picture:
            image = f"results-{given.page}.svg"
            means = found["mean over tasks"]
            tests, ends = ({name: each[key] for name, each in means.items()} for key in ("test", "ci"))
            io.write_text(ROOT / "docs" / image, picture(tests, ends, given.picture))
            text += f"\n\n![{given.picture}]({image})"
        fill(ROOT / "docs/results.md", f"<!-- table: benchmarks/protocol.py {given.page} -->", text)


if __name__ == "__main__":
    main()
