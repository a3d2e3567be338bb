"""The paper's further studies (arXiv 2502.04510, sections 4 to 6 and appendix), each a command: `hswarm study NAME`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np

from hswarm.analysis.compared import answered, compare_scores
from hswarm.analysis.context import Target
from hswarm.analysis.result import AnalysisResult, Table
from hswarm.config.recipe import Recipe
from hswarm.core.gain import collaborative_gain
from hswarm.core.stats import Paired
from hswarm.errors import ConfigError
from hswarm.experiments import paper
from hswarm.experiments.forecast import forecasts, is_remote
from hswarm.experiments.study import Scores, StudyPlan, pool_of, study, with_experts
from hswarm.experts.pool import ExpertPool
from hswarm.plots.bars import bars_svg
from hswarm.scorers.base import SOLVED
from hswarm.session.session import Session
from hswarm.system.cache import Cache
from hswarm.system.load import load
from hswarm.system.system import System

_SINGLE = "best single expert"
_WEIGHTS = ("greedy_soup", "lorahub", "model_swarms", "pack_of_llms")
_ROLES = ("agent_prune", "agentverse", "gnn", "gptswarm", "macnet", "meta_agent")
_RIVALS = ("greedy_soup", "lorahub", "model_swarms", "gptswarm", "agent_prune", "gnn", "hswarm")


@study("weak", "Does a system of the weaker experts beat the best single one?")
def weak(recipes: Sequence[Recipe], plan: StudyPlan) -> AnalysisResult:
    """The pool, the pool without the expert that is best alone on dev, and its weaker half, each searched; all against
    the best single expert on test. One recipe, three experts at least."""
    recipe = _one(recipes, "weak")
    pool = pool_of(recipe, "weak", 3)
    singles = sorted(plan.alone(recipe, "dev"), key=lambda found: -np.nan_to_num(found.utility))
    names = [single.system.assignment[0] for single in singles]
    parts = {
        " with all experts": recipe,
        f" without {names[0]} (the best)": with_experts(recipe, pool, names[1:], "without-best"),
        " with the weaker half alone": with_experts(recipe, pool, names[len(names) // 2 :], "weaker-half"),
    }
    methods = plan.methods or (recipe.search.method,)
    return _against_best_single("weak", "Weak beats strong", recipe, parts, methods, plan)


@study("sizes", "Do experts of two sizes work together?")
def sizes(recipes: Sequence[Recipe], plan: StudyPlan) -> AnalysisResult:
    """A mixed pool (`pool.mixed`): each of its groups alone, and as many experts taken in equal parts from all groups;
    with the role-step alone, since weights of different sizes cannot be added. Against the best single expert."""
    recipe = _one(recipes, "sizes")
    pool = pool_of(recipe, "sizes", 4)
    groups = [[pool.names[i] for i in group] for group in pool.groups]
    if len(groups) < 2:
        raise ConfigError([f"study sizes needs experts of several bases (pool.mixed = true), {recipe.name} has one"])
    count = min(map(len, groups))
    taken = [group[: count // len(groups) + (g < count % len(groups))] for g, group in enumerate(groups)]
    parts = {
        f", {count} experts of {_group_label(pool, group[0])}": with_experts(
            recipe, pool, group[:count], f"group-{g + 1}"
        )
        for g, group in enumerate(groups)
    }
    mixed = with_experts(recipe, pool, [name for group in taken for name in group], "mixed")
    parts[f", {count} experts in equal parts of each"] = mixed
    methods = plan.methods or ("role_only",)
    return _against_best_single("sizes", "Mixed sizes", recipe, parts, methods, plan)


@study("transfer", "What are the systems of several methods worth on another task?")
def transfer(recipes: Sequence[Recipe], plan: StudyPlan) -> AnalysisResult:
    """Systems found on the recipe's task by each method, put to the test questions of the tasks `plan.to`; against the
    expert that was best alone on the recipe's own task."""
    recipe = _one(recipes, "transfer")
    if not plan.to:
        raise ConfigError(["study transfer needs other tasks: --to TASK or --to RUN, as often as wanted"])
    methods = dict.fromkeys(("best_single", *(plan.methods or _RIVALS)))
    kept = [method for _, method in plan.results([recipe], list(methods))]
    systems = {
        method: [load(plan.path / recipe.name / method / str(recipe.seed + k) / "system") for k in range(plan.seeds)]
        for method in kept
    }
    tables, says, numbers = [], [], {}
    with Session.open(recipe) as session, closing(Cache(plan.path / "calls.sqlite")) as shared:
        for target in plan.to:
            scores = answered(_carried(replace(session, elsewhere=shared), target, systems), target.name)
            table, gaps = compare_scores(f"On {target.name}", scores, "best_single")
            tables.append(table)
            says.append(_statement(f"on {target.name}", gaps, "the expert best on the first task"))
            numbers[target.name] = {name: float(row.mean()) for name, row in scores.items()}
    return AnalysisResult("transfer", "Transfer of methods", (*says, *plan.refused), tuple(tables), "", numbers)


def _carried(session: Session, target: Target, systems: Mapping[str, Sequence[System]]) -> dict[str, Scores]:
    """Scores on the target's test questions, means over each method's systems: theirs but for the instructions and
    reply lengths, which are the task's."""
    there, home = replace(session, task=target.task).evaluator, session.evaluator
    general = replace(session.recipe.prompts, thinking=False)

    def adapted(system: System) -> System:
        prompts = replace(system.prompts, general=general.general, icl=general.icl).fitted(target.task)
        sampling = system.sampling
        if sampling.max_new_tokens == home.sampling.max_new_tokens:
            sampling = replace(sampling, max_new_tokens=there.sampling.max_new_tokens)
        return replace(system, prompts=prompts, sampling=sampling)

    flat = [adapted(system) for found in systems.values() for system in found]
    rows = iter(there.final(flat))
    return {name: np.mean([next(rows).scores for _ in found], axis=0) for name, found in systems.items()}


@study("importance", "Do the rivals agree with the ablations on whether roles or weights matter more?")
def importance(recipes: Sequence[Recipe], plan: StudyPlan) -> AnalysisResult:
    """For each task: what leaving out the role-step and the weight-step costs, and the mean of the methods that adapt
    roles beside that of those that adapt weights."""
    ablations = ("hswarm", "role_only", "weight_only")
    chosen = plan.methods or (*_ROLES, *_WEIGHTS)
    roles, weights = ([name for name in chosen if name in group] for group in (_ROLES, _WEIGHTS))
    if not roles or not weights:
        raise ConfigError(
            [f"study importance needs methods of roles ({', '.join(_ROLES)}) and of weights ({', '.join(_WEIGHTS)})"]
        )
    found = plan.results(recipes, [*ablations, *roles, *weights])
    means = {cell: float(np.nanmean(scores)) for cell, scores in found.items()}
    rows, agreed = [], 0
    for recipe in recipes:
        whole, no_weight, no_role = (means[recipe.name, name] for name in ablations)
        of_roles, of_weights = (
            float(np.mean([means[recipe.name, name] for name in group if (recipe.name, name) in means]))
            for group in (roles, weights)
        )
        answers = _more(whole - no_role, whole - no_weight), _more(of_roles, of_weights)
        agreed += answers[0] == answers[1]
        figures = (whole, no_role, no_weight, of_roles, of_weights)
        rows.append((recipe.name, *(f"{figure:.3f}" for figure in figures), *answers))
    head = ("task", "hswarm", "w/o role", "w/o weight", "role methods", "weight methods", "ablations", "rivals")
    says = (
        f"rivals and ablations agree on what matters more in {agreed} of {len(recipes)} tasks",
        f"in the paper they agree in {len(paper.importance_agrees())} of {len(paper.TASKS)}, by its printed figures",
        *plan.refused,
    )
    table = Table("Test scores, means over seeds, and what matters more", head, tuple(rows))
    numbers = {"agreed": agreed, "tasks": len(recipes)}
    return AnalysisResult("importance", "Importance of roles and weights over tasks", says, (table,), "", numbers)


@study("gain", "What is the C-Gain of each method?")
def gain(recipes: Sequence[Recipe], plan: StudyPlan) -> AnalysisResult:
    """C-Gain on test of the systems that methods found, over the pool's experts as they were before the search."""
    found = plan.results(recipes, plan.methods or _RIVALS)
    rows, numbers = [], {}
    for recipe in recipes:
        alone = np.array([single.scores for single in plan.alone(recipe, "test")]) >= SOLVED
        for method in (method for name, method in found if name == recipe.name):
            solved = (found[recipe.name, method] >= SOLVED).mean(axis=0)
            made = collaborative_gain(solved, alone, np.random.default_rng(0))
            low, high = made.interval
            nobody = made.nobody
            share = f"{nobody.accuracy:.1%} of {nobody.questions}" if nobody.questions else "none"
            rows.append((recipe.name, method, f"{made.value:+.3f}", f"{low:+.3f} to {high:+.3f}", share))
            numbers[f"{recipe.name} {method}"] = made.value
    head = ("task", "method", "C-Gain", "95 % interval", "solved of those that no expert solves")
    best = max(numbers, key=lambda name: numbers[name])
    says = (f"the highest C-Gain is {numbers[best]:+.3f} ({best}); the paper's mean is 0.213", *plan.refused)
    picture = bars_svg(list(numbers), list(numbers.values()), "C-Gain on test")
    return AnalysisResult(
        "gain", "C-Gain of methods", says, (Table("C-Gain on test", head, tuple(rows)),), picture, numbers
    )


@study("devices", "How does the time of the paper's search fall with the number of devices?")
def devices(recipes: Sequence[Recipe], plan: StudyPlan) -> AnalysisResult:
    """Forecast seconds of the recipe's search by the swarms on each number of workers, from one calibration on this
    machine: the experts of a wave are spread, and a worker answers one expert's batch at a time."""
    recipe = _one(recipes, "devices")
    swarms = replace(recipe.search, method="hswarm")
    with Session.open(recipe.model_copy(update={"engine": recipe.engine.alone(), "search": swarms})) as session:
        if is_remote(session):
            raise ConfigError(["study devices would ask remote models for its calibration, which may cost money"])
        made = forecasts(session, plan.devices)
    seconds = [one.whole(recipe.search.iterations).seconds for one in made]
    least = min(range(len(made)), key=lambda i: plan.devices[i])
    rows = []
    for count, time in zip(plan.devices, seconds, strict=True):
        faster = seconds[least] / time
        rows.append((str(count), f"{time:,.1f}", f"{faster:.2f}", f"{faster * plan.devices[least] / count:.0%}"))
    head = ("devices", "seconds", f"speed-up over {plan.devices[least]}", "efficiency")
    says = (
        f"{recipe.search.iterations} iterations of {recipe.name}, forecast from {made[0].questions} questions answered "
        "by this machine's engine; docs/scaling.md has measured times",
    )
    numbers = dict(zip(map(str, plan.devices), seconds, strict=True))
    table = Table("Time of the search", head, tuple(rows))
    return AnalysisResult("devices", "Time against devices", says, (table,), "", numbers)


def _one(recipes: Sequence[Recipe], name: str) -> Recipe:
    if len(recipes) != 1:
        raise ConfigError([f"study {name} takes one recipe, got {len(recipes)}"])
    return recipes[0]


def _against_best_single(
    name: str, title: str, recipe: Recipe, parts: Mapping[str, Recipe], methods: Sequence[str], plan: StudyPlan
) -> AnalysisResult:
    """The methods on each of `parts`, by what a row is called behind its method, against the recipe's best single
    expert: test scores, means over seeds."""
    task = recipe.name
    found = plan.results([recipe], ["best_single"]) | plan.results(list(parts.values()), methods)
    scores = {_SINGLE: found[task, "best_single"]}
    scores |= {
        f"{method}{label}": found[part.name, method]
        for method in methods
        for label, part in parts.items()
        if (part.name, method) in found
    }
    rows = answered({label: np.nanmean(row, axis=0) for label, row in scores.items()}, task)
    seeds = max(map(len, scores.values()))
    head = f"{task}, {len(rows[_SINGLE])} test questions, {seeds} seed{'s' * (seeds > 1)}"
    table, gaps = compare_scores(head, rows, _SINGLE)
    numbers = {label: float(row.mean()) for label, row in rows.items()}
    picture = bars_svg(list(numbers), list(numbers.values()), f"test scores on {task}")
    return AnalysisResult(name, title, (_statement(task, gaps, _SINGLE), *plan.refused), (table,), picture, numbers)


def _statement(where: str, gaps: Mapping[str, Paired], reference: str) -> str:
    better = [name for name, gap in gaps.items() if gap.low > 0]
    worse = [name for name, gap in gaps.items() if gap.high < 0]
    rest = [name for name in gaps if name not in [*better, *worse]]
    told = (("better than", better), ("worse than", worse), ("not told apart from", rest))
    return f"{where}: " + "; ".join(f"{word} {reference}: {', '.join(names)}" for word, names in told if names)


def _more(role: float, weight: float) -> str:
    return "equal" if np.isclose(role, weight) else "roles" if role > weight else "weights"


def _group_label(pool: ExpertPool, name: str) -> str:
    expert = pool.experts[pool.names.index(name)]
    return Path(expert.base).name or f"{name} and its kind"
