"""Each method's own idea, on the toy engine with a planted answer."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hswarm.core.topology import Topology
from hswarm.engines.toy import planted_weights, toy_pool
from hswarm.errors import ConfigError
from hswarm.experts.adapter import Adapter
from hswarm.experts.pool import ExpertPool, PoolSettings
from hswarm.methods import get_method, run_method
from hswarm.methods.agent_prune import pruned_to
from hswarm.methods.dare_ties import merge_updates
from hswarm.methods.fixed_roles import one_many_one
from hswarm.methods.gnn import Network, Trial, add_edges, train_attention
from hswarm.methods.gptswarm import interpolated
from hswarm.methods.macnet import shapes
from hswarm.methods.meta_agent import brief, read_cards
from hswarm.system.system import System
from hswarm.tasks.task import Example
from tests.known import adapter
from tests.methods.bench import bench, question, skilled

SINGLE_STEPS = [question([step], 0.5, number) for number, step in enumerate([0, 1, 2] * 4)]


def utility(
    name: str, pool: ExpertPool, dev: list[Example] | None = None, settings: dict[str, Any] | None = None, **search: Any
) -> tuple[float, System]:
    pool, evaluator = bench(pool, dev, **search)
    system = run_method(get_method(name, settings), pool, evaluator, np.random.default_rng(0))
    return evaluator.seen(system).utility, system


def around_the_target(*offsets: float) -> ExpertPool:
    target = planted_weights(3)
    return ExpertPool(tuple(Adapter.from_vector(f"step-{i}", target + o, None) for i, o in enumerate(offsets)), "toy")


def test_a_majority_is_right_where_no_expert_is() -> None:
    pool = skilled([0.9, 0.9, 0], [0.9, 0, 0.9], [0, 0.9, 0.9])
    assert utility("best_single", pool, SINGLE_STEPS)[0] == pytest.approx(2 / 3)
    assert utility("prediction_merge", pool, SINGLE_STEPS)[0] == 1.0


def test_samples_vote_the_noise_away() -> None:
    pool, dev = skilled([0.7] * 3, [0.1] * 3), [question([i % 3], 0.5, i) for i in range(60)]
    one, _ = utility("self_consistency", pool, dev, {"samples": 1, "temperature": 0.3})
    many, system = utility("self_consistency", pool, dev, {"samples": 15, "temperature": 0.3})
    assert many > one
    assert system.calls == 15


def test_soups_meet_in_the_middle_and_the_greedy_one_leaves_the_odd_one_out() -> None:
    pair = around_the_target(0.9, -0.9)
    assert utility("uniform_soup", pair, SINGLE_STEPS)[0] == 1.0
    three = around_the_target(0.9, -0.9, 9)
    assert utility("uniform_soup", three, SINGLE_STEPS)[0] == 0
    assert utility("greedy_soup", around_the_target(0.55, -0.45, 9), SINGLE_STEPS)[0] == 1.0


def test_dare_ties_averages_what_agrees_in_sign() -> None:
    updates = np.array([[1.0, 2.0, -3.0], [3.0, -1.0, -1.0]])
    merged = merge_updates(updates, np.ones(2), 1.0, np.random.default_rng(0))
    assert merged.tolist() == [2.0, 2.0, -2.0]
    dropped = merge_updates(np.ones((1, 20_000)), np.ones(1), 0.25, np.random.default_rng(0))
    assert set(dropped) == {0.0, 4.0}
    assert dropped.mean() == pytest.approx(1, abs=0.05)


@pytest.mark.model
@pytest.mark.filterwarnings("ignore:The density 1.0")
def test_dare_ties_is_that_of_peft() -> None:
    import torch
    from peft.utils.merge_utils import dare_ties

    updates = np.random.default_rng(0).normal(size=(3, 5, 4))
    theirs = dare_ties([torch.tensor(u) for u in updates], torch.tensor([1.0, 0.5, 2.0]), 1.0)
    ours = merge_updates(updates, np.array([1.0, 0.5, 2.0]), 1.0, np.random.default_rng(0))
    np.testing.assert_allclose(ours, theirs.numpy(), atol=1e-12)


@pytest.mark.parametrize("name", ["lorahub", "model_swarms"])
def test_weights_are_found_between_the_experts(name: str) -> None:
    pool = around_the_target(0.9, -0.6)
    assert utility("best_single", pool, SINGLE_STEPS)[0] == 0
    assert utility(name, pool, SINGLE_STEPS, iterations=20, graphs=8)[0] == 1.0


def test_the_pack_follows_the_expert_who_knows_the_prompt() -> None:
    pool = skilled([0.9, 0.1, 0.1], [0.1, 0.9, 0.1], [0.1, 0.1, 0.9])
    assert utility("pack_of_llms", pool, SINGLE_STEPS, {"temperature": 0.05})[0] == 1.0
    assert utility("pack_of_llms", pool, SINGLE_STEPS, {"temperature": 100.0})[0] == 0


def test_the_best_answers_last_in_chain_and_star() -> None:
    pool = skilled([0.9, 0, 0], [0.9, 0.9, 0.9], [0.9, 0.9, 0])
    for name in ("chain", "star"):
        system = utility(name, pool, SINGLE_STEPS, {"permutations": 0})[1]
        assert system.assignment[system.topology.sink] == "step-1"


def test_a_design_that_a_model_writes_is_used_and_nonsense_is_survived() -> None:
    pool = toy_pool(4)
    able = Adapter.from_vector("step-3", adapter(pool.experts[3]).vector * 0.5 + planted_weights(4) * 0.5, None)
    pool = ExpertPool((*pool.experts[:3], able), "toy")
    written, system = utility("meta_agent", pool, settings={"designer": "step-3"})
    assert written == 1.0
    assert system.topology.depth == 4
    assert utility("meta_agent", pool, settings={"designer": "step-0"})[0] < 1.0


@pytest.mark.parametrize("name", ["gptswarm", "agent_prune", "gnn", "random_search", "agentverse", "macnet"])
def test_searched_topologies_do_what_no_expert_can(name: str) -> None:
    pool = toy_pool(3)
    assert utility(name, pool, iterations=20)[0] > utility("best_single", pool)[0]


def test_kinds_of_macnet_end_in_the_last_node() -> None:
    for size in (2, 4, 9):
        assert {topology.sink for topology in shapes(size, np.random.default_rng(0)).values()} == {size - 1}


def test_the_gradient_of_the_graph_network_is_right() -> None:
    rng = np.random.default_rng(0)
    network, outer = Network(rng.random((4, 6)), 3, rng), rng.normal(size=(4, 4))
    network.logits()
    for weight, gradient in zip(network.weights, network.gradients(outer), strict=True):
        before = (network.logits() * outer).sum()
        weight[0, 1] += 1e-6
        assert ((network.logits() * outer).sum() - before) / 1e-6 == pytest.approx(gradient[0, 1], abs=1e-4)
        weight[0, 1] -= 1e-6


def test_the_order_of_the_pool_helps_nobody() -> None:
    """Experts that are equal alone stand in a drawn order, so a pool written down in the right one gives nothing away."""
    equal = skilled([0.9, 0, 0], [0, 0.9, 0], [0, 0, 0.9])
    orders = set()
    for seed in range(12):
        pool, evaluator = bench(equal, SINGLE_STEPS)
        system = run_method(get_method("chain", {"permutations": 0}), pool, evaluator, np.random.default_rng(seed))
        orders.add(tuple(system.assignment))
    assert len(orders) > 3


def test_a_star_is_one_many_one() -> None:
    assert one_many_one(5).edges == {(0, 1), (0, 2), (0, 3), (1, 4), (2, 4), (3, 4)}
    assert [one_many_one(size) for size in (1, 2, 3)] == [Topology.chain(size) for size in (1, 2, 3)]
    assert (one_many_one(10).depth, len(one_many_one(10).predecessors(9))) == (3, 8)


@pytest.mark.parametrize("name", ["chain", "star"])
def test_the_best_of_random_orders_is_taken(name: str) -> None:
    pool = toy_pool(3)  # only the order of the planted steps solves a question of all three
    one = np.mean([_scored(name, 1, seed) for seed in range(8)])
    assert _scored(name, 20, 0) > one
    assert len(pool.experts) == 3


def _scored(name: str, permutations: int, seed: int) -> float:
    pool, evaluator = bench(toy_pool(3))
    method = get_method(name, {"permutations": permutations})
    system = run_method(method, pool, evaluator, np.random.default_rng(seed))
    return float(evaluator.evaluate([system], "end")[0].utility)


@pytest.mark.parametrize(
    ("name", "own"),
    [("gptswarm", {"edges": "reinforce"}), ("agent_prune", {"runs": 0}), ("gnn", {"edges": "gradient"})],
)
def test_the_methods_of_their_own_papers_stay(name: str, own: dict[str, object]) -> None:
    pool = toy_pool(3)
    assert utility(name, pool, settings=own, iterations=20)[0] > utility("best_single", pool)[0]


def test_interpolation_follows_utility() -> None:
    matrices = np.stack([np.full((2, 2), value) for value in (0.0, 1.0)])
    rng = np.random.default_rng(0)
    assert interpolated(matrices, np.array([0.0, 1.0]), rng) == pytest.approx(1.0, abs=1e-4)
    mixed = interpolated(np.repeat(matrices, 50, axis=0), np.repeat([0.5, 0.5], 50), rng)
    assert set(np.unique(mixed)) == {0.0, 0.5, 1.0}


def test_pruning_cuts_the_weakest_edges() -> None:
    mask = np.array([[0, 0, 0], [0.9, 0, 0.2], [0.8, 0.1, 0]])
    whole, half = pruned_to(mask, (0.0, 0.5))
    assert whole.edges == {(1, 0), (2, 0), (1, 2)}
    assert half.edges == {(1, 0), (2, 0)}


@pytest.mark.model
def test_graph_attention_learns_which_edges_help() -> None:
    good = {(1, 2), (2, 3), (3, 0)}
    every = [(u, v) for u in range(1, 4) for v in range(4) if u != v]
    trials = [Trial(frozenset(), edge, edge in good) for edge in every]
    logits = train_attention(4, trials, 8, 400, 0.02, seed=0)
    assert {edge for edge in every if logits[edge] > 0} == good
    assert np.array_equal(logits, train_attention(4, trials, 8, 400, 0.02, seed=0))


def test_graphs_grow_by_one_edge_and_say_whether_it_helped() -> None:
    pool, evaluator = bench(toy_pool(3), iterations=5)
    trials = add_edges(pool.experts, evaluator, np.random.default_rng(0))
    assert len(trials) > 20
    assert any(trial.helps for trial in trials)
    assert not all(trial.helps for trial in trials)
    for trial in trials:
        assert trial.edge not in trial.edges
        Topology.of(3, {*trial.edges, trial.edge, *((u, 0) for u in (1, 2) if not any(e[0] == u for e in trial.edges))})


def test_the_designer_reads_the_cards(tmp_path: Path) -> None:
    for name, text in (("sums", "---\nlicense: mit\n---\n# sums\n\nTrained on\n\n- data: sums\n"), ("bare", "")):
        (tmp_path / name).mkdir()
        if text:
            (tmp_path / name / "README.md").write_text(text)
    settings = PoolSettings(path=str(tmp_path))
    assert read_cards(settings, 100) == {"sums": "Trained on - data: sums"}
    assert read_cards(settings, 7) == {"sums": "Trained"}
    assert read_cards(settings, 0) == read_cards(PoolSettings(), 100) == {}
    pool, evaluator = bench(toy_pool(2))
    singles = evaluator.evaluate([evaluator.alone(expert) for expert in pool.experts], "alone")
    text = brief(singles, singles, 2, {"step-0": "knows the first step"})
    assert "(knows the first step)" in text.splitlines()[1]
    assert "(" not in text.splitlines()[2]


def test_the_judge_designs_only_where_the_task_has_one() -> None:
    with pytest.raises(ConfigError, match="has no judge behind an API"):
        utility("meta_agent", toy_pool(2), settings={"designer": "judge"})
    with pytest.raises(ConfigError, match="did you mean 'step-1'"):
        utility("meta_agent", toy_pool(2), settings={"designer": "step1"})


def test_one_expert_thinks_step_by_step() -> None:
    score, system = utility("chain_of_thought", skilled([0.9] * 3, [0] * 3), SINGLE_STEPS, {"max_new_tokens": 99})
    assert (score, system.assignment, system.calls) == (1.0, ["step-0"], 1)
    assert "step by step" in system.prompts.render(SINGLE_STEPS[0], place="alone")
    assert system.sampling.max_new_tokens == 99
    _, own = utility("chain_of_thought", toy_pool(2), settings={"instruction": "Say why."})
    assert "Say why." in own.prompts.render(SINGLE_STEPS[0], place="alone")


def test_one_expert_combines_and_checks_its_thoughts() -> None:
    pool = skilled([0.9] * 3, [0] * 3)
    _, system = utility("graph_of_thought", pool, SINGLE_STEPS, {"thoughts": 3})
    assert system.topology == Topology.of(5, [(0, 3), (1, 3), (2, 3), (3, 4)])
    assert set(system.assignment) == {"step-0"}
    assert len({system.sampling_at(node).seed for node in range(5)}) == 5
    read = [system.prompts.render(SINGLE_STEPS[0], ["a"], place) for place in ("middle", "sink")]
    assert ["Combine" in read[0], "Check each step" in read[1]] == [True, True]
    _, plain = utility("graph_of_thought", pool, SINGLE_STEPS, {"prompts": "recipe"})
    assert "Combine" not in plain.prompts.render(SINGLE_STEPS[0], ["a"], "middle")
    assert plain.topology.size == 3
