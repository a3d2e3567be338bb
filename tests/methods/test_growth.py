"""Growth: terms are systems and back, races keep the leader, equal seeds search alike, a call counts once."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hswarm.core.topology import Topology
from hswarm.engines.toy import toy_pool
from hswarm.errors import ConfigError
from hswarm.methods import get_method
from hswarm.methods.growth.checkpoint import packed, unpacked
from hswarm.methods.growth.growth import Growth, Search
from hswarm.methods.growth.lead import Lead
from hswarm.methods.growth.model import Model, features
from hswarm.methods.growth.moves import Moves
from hswarm.methods.growth.proposals import best_terms, promising
from hswarm.methods.growth.races import promise, question_order, rungs, survivors, widened
from hswarm.methods.growth.scoreboard import Scoreboard
from hswarm.methods.growth.terms import Term, mixed, pure
from hswarm.session.evaluator import Evaluator
from hswarm.session.records import HistoryEntry
from hswarm.tasks.task import Example
from tests.methods.bench import bench, question

EXPERTS = 4


@st.composite
def terms(draw: st.DrawFn, most: int = 6, blends: bool = True) -> Term:
    """Any term of a few nodes, shared sub-terms and blends among them."""
    made: list[Term] = []
    for _ in range(draw(st.integers(1, most))):
        mix = pure(draw(st.integers(0, EXPERTS - 1)))
        if blends and draw(st.booleans()):
            mix = mixed(mix, draw(st.integers(0, EXPERTS - 1)), 0.5)
        made.append(Term.of(mix, draw(st.lists(st.sampled_from(made), max_size=3)) if made else []))
    return made[-1]


@given(terms())
def test_a_term_is_a_valid_topology_and_back(term: Term) -> None:
    topology = term.topology
    assert topology.size == term.size
    assert topology.sink == topology.size - 1
    for node, sub in enumerate(term.nodes):
        assert [term.nodes[u] for u in topology.predecessors(node)] == list(sub.reads)
    assert Term.from_graph(topology, [node.mix for node in term.nodes]) == term


@given(terms(), terms())
def test_equal_terms_are_those_written_alike(one: Term, two: Term) -> None:
    names = ["a", "b", "c", "d"]
    assert (one == two) == (one.text(names) == two.text(names)) == (hash(one) == hash(two))


def test_nodes_that_answer_alike_become_one() -> None:
    star = Term.from_graph(Topology.star(4), [pure(0), pure(0), pure(1), pure(2)])
    assert star == Term.of(pure(2), [Term.of(pure(1)), Term.of(pure(0))])


@given(st.lists(terms(4, blends=False), min_size=1, max_size=3, unique=True))
@settings(max_examples=40)
def test_every_move_leads_to_another_system_within_bounds(elite: list[Term]) -> None:
    found = Moves(EXPERTS, 5, [[0, 1, 2]], (0.5, 0.25)).around(elite)
    assert len({move.term for move in found}) == len(found)
    for move in found:
        assert move.term.size <= 5
        assert move.parent in elite
        assert move.term.topology.size == move.term.size
        for node in move.term.nodes:
            assert sum(share for _, share in node.mix) == pytest.approx(1)
        if move.kind == "blend":
            assert all({i for i, _ in node.mix} <= {0, 1, 2} for node in move.term.nodes if len(node.mix) > 1)


def test_a_pool_that_cannot_be_added_gets_no_blends() -> None:
    elite = [Term.of(pure(1), [Term.of(pure(0))])]
    kinds = {move.kind for move in Moves(EXPERTS, 4).around(elite)}
    assert kinds == {"root", "between", "replace", "remove", "leaf", "swap", "cut"}
    assert {move.kind for move in Moves(EXPERTS, 4, [[0, 1]], roles=False).around(elite)} == {"blend"}


scores = st.lists(st.sampled_from([0.0, 1.0]), min_size=1, max_size=16)


@given(st.lists(scores.map(np.array), min_size=1, max_size=6), st.integers(0, 2**32))
def test_a_race_never_drops_who_is_better_than_the_leader(rows: list[np.ndarray], seed: int) -> None:
    """The best of the candidates goes on whenever it is not behind; those that go on are never the worse half."""
    size = min(map(len, rows))
    candidates = [row[:size] for row in rows]
    leader = np.random.default_rng(seed).integers(0, 2, 20).astype(float)
    going = survivors(candidates, leader)
    assert len(going) <= -(-len(candidates) // 2)
    ahead = [i for i, row in enumerate(candidates) if row.mean() >= leader[:size].mean()]
    best = max(row.mean() for row in candidates)
    if any(candidates[i].mean() == best for i in ahead):
        assert candidates[going[0]].mean() == best
    for i in set(range(len(candidates))) - set(going):
        assert promise(candidates[i], leader) <= 0 or all(candidates[i].mean() <= candidates[j].mean() for j in going)


def test_five_losses_without_a_win_end_a_candidate() -> None:
    leader = np.ones(8)
    assert promise(np.array([1.0, 1, 1, 1]), leader) > 0  # nothing tells them apart yet
    assert promise(np.array([0.0, 0, 0, 0, 0, 1, 1, 1]), leader) < 0
    assert promise(np.array([np.nan, np.nan]), leader) == -np.inf


@given(st.integers(1, 40), st.integers(1, 9))
def test_rungs_double_and_end_with_all(questions: int, first: int) -> None:
    counts = rungs(first, questions)
    assert counts[-1] == questions
    assert all(b == 2 * a for a, b in pairwise(counts[:-1]))


@given(st.integers(1, 64), st.integers(1, 400), st.floats(0, 1))
def test_more_of_the_budget_spent_never_means_fewer_questions(far: int, questions: int, spent: float) -> None:
    far = min(far, questions)
    assert far <= widened(far, questions, spent) <= widened(far, questions, min(1, spent + 0.1)) <= questions
    assert widened(far, questions, 0.8) == questions


def test_questions_that_decide_are_doubled() -> None:
    assert [widened(16, 200, spent) for spent in (0, 0.2, 0.3, 0.5, 0.8)] == [16, 16, 32, 128, 200]


def test_domains_take_turns_in_the_order_of_questions() -> None:
    dev = [Example(str(i), "q", "a", domain="ab"[i >= 6]) for i in range(12)]
    order = question_order(dev, np.random.default_rng(0))
    assert sorted(order) == list(range(12))
    assert all({dev[i].domain for i in order[k : k + 2]} == {"a", "b"} for k in range(0, 12, 2))
    assert order != question_order(dev, np.random.default_rng(1))


@given(terms())
def test_features_are_shares(term: Term) -> None:
    row = features(term, EXPERTS, 6)
    assert len(row) == 2 + 2 * EXPERTS + 3 * EXPERTS**2
    assert 0 <= row.min() <= row.max() <= 1


def test_the_model_learns_an_order_and_proposes_it() -> None:
    """Told that whatever lets 0 be read by 1 scores well, it proposes such terms, and not what costs more."""
    rng, model = np.random.default_rng(0), Model(3, 4)
    seen = [Term.of(pure(v), [Term.of(pure(u))]) for u in range(3) for v in range(3)]
    model.fit({term: np.full(20, float(term == Term.of(pure(1), [Term.of(pure(0))]))) for term in seen})
    good, bad = (Term.of(pure(2), [Term.of(pure(v), [Term.of(pure(u))])]) for u, v in ((0, 1), (1, 0)))
    assert model.predict([good])[0] > model.predict([bad])[0] + 0.2
    moves = Moves(3, 4).around(seen)
    chosen = promising(moves, model, 8, rng, lambda term: 0.0)
    pairs = [any(n.mix == pure(1) and Term.of(pure(0)) in n.nodes for n in move.term.nodes) for move in chosen]
    assert np.mean(pairs) > 0.7
    assert len({move.term for move in chosen}) == 8
    assert best_terms({good: np.ones(1), bad: np.ones(30)}, None, 1) == [bad]


def test_the_lucky_of_few_questions_are_not_built_upon() -> None:
    """A term that a race dropped after four right answers is not among the best while others were asked more."""
    lucky, asked = [[Term.of(pure(i), [Term.of(pure(root))]) for i in range(3)] for root in (0, 1)]
    rows = {term: np.ones(4) for term in lucky} | {term: np.array([1.0, 0.0] * 8) for term in asked}
    assert set(best_terms(rows, None, 3, enough=16)) == set(asked)
    assert set(best_terms(rows, None, 3, enough=4)) == set(lucky)
    assert set(best_terms(rows, None, 6, enough=16)) == {*asked, *lucky}  # too few were asked more


def grown(experts: int = 4, seed: int = 0, **content: object) -> tuple[Search, Evaluator]:
    pool, evaluator = bench(toy_pool(experts), content=content)
    return Search(pool, evaluator, np.random.default_rng(seed)), evaluator


def test_sub_terms_are_scored_without_a_call() -> None:
    _, evaluator = bench(toy_pool(4))
    board = Scoreboard(evaluator, range(12), 1000)
    chain = Term.of(pure(2), [Term.of(pure(1), [Term.of(pure(0))])])
    star = Term.of(pure(2), [Term.of(pure(1)), Term.of(pure(0))])
    board.extend([chain], 4, "a")
    assert evaluator.budget.ledger.generated == 12  # a call a node and question
    assert {len(board.scores[node]) for node in chain.nodes} == {4}
    board.extend([star], 8, "b")
    assert evaluator.budget.ledger.generated == 12 + 8 + 8 + 4  # node 0 is known on four questions
    board.extend([chain], 12, "c")
    board.extend([chain, star], 12, "d")
    whole = [board.systems([term])[0] for term in (chain, star, chain.reads[0])]
    alone = [e.scores for e in bench(toy_pool(4))[1].evaluate(whole, "whole")]
    for term, row in zip((chain, star, chain.reads[0]), alone, strict=True):
        board.extend([term], 12, "e")
        assert board.scores[term].tolist() == row.tolist()


def test_replies_that_are_nearly_right_guide_the_search() -> None:
    """A chain that did one of two steps scores 0 like one that did none; what guides the search tells them apart."""
    dev = [question([0, 1], 0.1, i) for i in range(6)]
    _, evaluator = bench(toy_pool(3), dev)
    board = Scoreboard(evaluator, range(6), 1000, partial=0.25)
    one, both = Term.of(pure(0)), Term.of(pure(1), [Term.of(pure(0))])
    board.extend([one, both, Term.of(pure(2))], 6, "a")
    assert board.scores[one].max() == board.scores[Term.of(pure(2))].max() == 0
    assert board.guides[both].tolist() == [1.0] * 6
    assert 0 < board.guides[one].mean() < 0.25
    plain = Scoreboard(bench(toy_pool(3), dev)[1], range(6), 1000)
    plain.extend([one, both], 6, "a")
    assert all(np.array_equal(plain.guides[term], plain.scores[term]) for term in (one, both))


def test_few_questions_decide_first_and_all_at_the_end() -> None:
    search, evaluator = grown(4)
    lead = search._lead
    assert lead.horizon == min(16, len(evaluator.dev))
    search.go()
    assert lead.whole
    assert len(search._board.scores[lead.last]) == len(evaluator.dev)


def test_the_leader_goes_along_when_more_questions_decide_and_calls_for_it_are_kept_back() -> None:
    dev = [question([0, 1], (i % 8) / 4, i) for i in range(64)]
    _, evaluator = bench(toy_pool(3), dev)
    board = Scoreboard(evaluator, range(64), 400)
    lead = Lead(board, 8)
    pairs = [Term.of(pure(v), [Term.of(pure(u))]) for u in range(3) for v in range(3) if u != v]
    board.extend(pairs, 8, "a")
    lead.crown()
    leader = lead.last
    assert board.reserve == 2 * (64 - 8)
    assert lead.value(leader) == max(board.guides[term].mean().round(12) for term in pairs)
    lead.look_further(lambda: pairs, patience=5, step="b")
    assert lead.horizon == 8  # little is spent, and nothing has stalled
    lead.stalled = 5
    lead.look_further(lambda: pairs, patience=5, step="c")
    assert (lead.horizon, lead.stalled) == (16, 0)
    assert sum(len(board.scores[term]) == 16 for term in pairs) == 5  # the leader and four more
    while not lead.whole:
        lead.stalled = 5
        lead.look_further(lambda: pairs, patience=5, step=f"d/{lead.horizon}")
    assert board.reserve == 0
    assert len(board.scores[lead.last]) == 64
    assert lead.value(lead.last) == evaluator.seen(board.systems([lead.last])[0]).utility


@pytest.mark.parametrize("limit", [3, 40, 57, 400])
def test_never_more_calls_than_allowed(limit: int) -> None:
    _, evaluator = bench(toy_pool(4))
    board = Scoreboard(evaluator, range(12), limit)
    candidates = [Term.of(pure(v), [Term.of(pure(u))]) for u in range(4) for v in range(4) if u != v]
    done = board.extend(candidates, 4, "a")
    assert evaluator.budget.ledger.generated <= limit
    assert len(done) == {3: 0, 40: 7, 57: 10, 400: 12}[limit]  # a pair takes 8 calls, or 4 where its first is known


def test_nodes_with_chunks_of_a_context_share_no_reply() -> None:
    dev = [Example(str(i), "toy q: steps 0; difficulty 0.1", "done 0", context=("a", "b")) for i in range(6)]
    _, evaluator = bench(toy_pool(2), dev)
    board = Scoreboard(evaluator, range(6), 100)
    assert not board.shared
    assert board.extend([Term.of(pure(1), [Term.of(pure(0))])], 6, "a")
    assert list(board.scores) == [Term.of(pure(1), [Term.of(pure(0))])]


def test_a_checkpoint_without_guides_goes_by_its_scores() -> None:
    """Checkpoints written before there were guides had scores alone."""
    board = Scoreboard(bench(toy_pool(3))[1], range(12), 1000, partial=0.25)
    chain = Term.of(pure(1), [Term.of(pure(0))])
    board.extend([chain], 8, "a")
    tensors, state = packed(board, [chain])
    whole = unpacked(tensors, state)
    older = unpacked({name: array for name, array in tensors.items() if name != "growth.guides"}, state)
    assert whole.marked == [chain]
    for term, row in board.scores.items():
        assert np.array_equal(whole.guides[term], board.guides[term])
        assert np.array_equal(older.guides[term], row)


def test_equal_seeds_search_alike_and_others_do_not() -> None:
    runs = [grown(4, seed)[0] for seed in (0, 0, 1)]
    found = [(run.go().best, [term.digest for term in run._board.scores]) for run in runs]
    assert found[0][1] == found[1][1] != found[2][1]


def test_it_finds_what_was_planted_and_stops() -> None:
    search, evaluator = grown(4)
    findings = search.go()
    assert findings.stopped == {"perfect": 1.0}
    assert evaluator.seen(findings.best).utility == 1.0
    assert evaluator.archive.best is not None
    assert evaluator.archive.best.system.topology == findings.best.topology


@pytest.mark.parametrize("calls", [12, 17, 48, 60, 100, 333])
def test_a_budget_is_kept_and_used(calls: int) -> None:
    search, evaluator = grown(6, budget={"calls": calls})
    findings = search.go()
    assert evaluator.budget.ledger.generated <= calls
    assert not np.isnan(evaluator.seen(findings.best).utility)


def test_it_ends_when_nothing_new_can_be_asked_all_questions() -> None:
    search, evaluator = grown(6, budget={"calls": 400})
    lines: list[HistoryEntry] = []
    search._checkpointer.keep = lambda entry, tensors, state, best: lines.append(entry)  # type: ignore[method-assign]
    assert search.go().stopped.keys() == {"budget"}
    left = [400 - entry.calls.generated for entry in lines if entry.growth and not entry.growth.asked]
    assert left[-1] < len(evaluator.dev) <= min(left[:-1])


def test_the_model_keeps_no_rows_of_candidates_of_old() -> None:
    model = Model(EXPERTS, 6)
    model.fit({Term.of(pure(0)): np.ones(4)})
    for first in range(EXPERTS):
        pairs = [Term.of(pure(first), [Term.of(pure(i))]) for i in range(EXPERTS)]
        model.sample(pairs, 2, np.random.default_rng(0))
    assert set(model._rows) == {Term.of(pure(0)), *pairs}


def test_the_best_alone_is_blended_with_each_other_at_once() -> None:
    search, _ = grown(4)
    search._next_round()
    blends = [move for move in search._first_graphs() if move.kind == "blend"]
    (best,) = {move.parent for move in blends}
    assert search._board.mean(best) == max(map(search._board.mean, search._singles))
    others = [i for i in range(4) if pure(i) != best.mix]
    assert {move.term for move in blends} == {Term.of(mixed(best.mix, i, 0.5)) for i in others}


def test_experts_that_answer_nothing_alone_are_not_blended_at_once() -> None:
    _, evaluator = bench(toy_pool(4), [question([0, 1, 2, 3], 0.9, i) for i in range(12)])
    search = Search(toy_pool(4), evaluator, np.random.default_rng(0))
    search._next_round()
    assert max(map(search._board.mean, search._singles)) == 0
    assert {move.kind for move in search._first_graphs()} == {"chain", "star", "pair"}


def test_roles_and_weights_alone() -> None:
    pool, evaluator = bench(toy_pool(3))
    graph = get_method("growth_roles")(pool, evaluator, np.random.default_rng(0))
    assert {expert.digest for expert in graph.experts} <= {expert.digest for expert in pool.experts}
    pool, evaluator = bench(toy_pool(3), iterations=10)
    blended = get_method("growth_weights")(pool, evaluator, np.random.default_rng(0))
    assert blended.topology.size <= 3


def test_settings_that_cannot_be_are_refused() -> None:
    for wrong in ({"elite": 0}, {"roles": False, "blends": False}, {"shares": [1.5]}, {"alone": 2}, {"partial": -1}):
        with pytest.raises(ConfigError, match=r"methods\.growth"):
            get_method("growth", wrong)
    pool, evaluator = bench(toy_pool(3), keep_calls=2)
    with pytest.raises(ConfigError, match="keep_calls"):
        Growth()(pool, evaluator, np.random.default_rng(0))
