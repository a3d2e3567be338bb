"""Golds and replies as people write them: equal answers score 1, others 0."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hswarm.prompts import Prompts, spoken
from hswarm.scorers import get_scorer
from hswarm.scorers.equality import same
from hswarm.tasks.task import Example

RIGHT = [
    (r"\frac{1}{2}", r"\boxed{\frac{1}{2}}"),
    (r"\frac{1}{2}", "1/2"),
    (r"\frac12", "The answer is 0.5."),
    (r"$\frac{1}{2}$", "1/2"),
    (r"\boxed{42}", "42"),
    ("42", r"so \boxed{\text{ 42 }} it is"),
    ("He has 2 + 3 = 5 apples.\n#### 5", "5"),
    ("#### 1,200", "#### 1200"),
    ("1,234,567", "1 234 567"),
    ("1,234,567", "1\u2009234\u202f567"),
    ("1234567", r"1{,}234{,}567"),
    ("1 1/2", "1.5"),
    ("1 1/2", r"1\frac{1}{2}"),
    ("1\u00bd", "The answer is 1 1/2."),
    ("-1 1/2", "\u22121.5"),
    ("1, 2, 3", "The answer is 1, 2, 3"),
    ("1, 2, 3", "[1,2,3]"),
    ("-5", "\u22125"),
    ("50%", r"50\%"),
    ("1500", r"1.5 \times 10^{3}"),
    ("1.5e3", "1.5 \u00d7 10^3"),
    ("\u20ac5", "5 euros"),
    ("90\u00b0", r"90^\circ"),
    ("90 degrees", "The answer is 90\u00b0."),
    ("10:05", "The answer is 10:05."),
    ("2020-01-05", "2020-01-05"),
    ("(0, 1]", "(0,1]"),
    (r"\{1, 2\}", "{2, 1}"),
    ("the Eiffel Tower", "Eiffel tower."),
    ("A", "A"),
    ("x", '{"answer": "x"}'),
    ("7", "<think>The answer is 9</think> 7"),
    ("7", "So it is 9.</think> 7"),
    ("7", "[THINK]The answer is 9[/THINK] 7"),
    ("7", "◁think▷The answer is 9◁/think▷ 7"),
    ("7", "analysisThe answer may be 9.assistantfinalThe answer is 7"),
    ("7", "<|channel|>analysis<|message|>9<|end|><|start|>assistant<|channel|>final<|message|>7"),
    ("7", "The answer is 9</think>7"),
    ("7", "7\n\nQuestion: What is 3 + 5?\nAnswer: 8"),
    ("7", "7 <think> or is the answer 9"),
]
WRONG = [
    ("1 1/2", "5.5"),
    ("1 1/2", "11/2"),
    ("5", "\u22125"),
    ("1, 2, 3", "123"),
    ("123", "1, 2, 3"),
    ("5", "10:05"),
    ("5", "2020-01-05"),
    ("0.5", "50%x"),
    ("(0, 1]", "(0, 1)"),
    ("1, 2", "2, 1"),
    ("\u20ac5", "5 pounds"),
    ("90\u00b0C", "90 fahrenheit"),
    ("...", "!!!"),
    ("a", "the"),
    ("7", "<think>The answer is 7"),
    ("8", "7\n\nQuestion: What is 3 + 5?\nAnswer: 8"),
]
LETTERS = [
    ("B", "**Answer:** B"),
    ("B", "B is the correct answer."),
    ("B", '{"answer": "B"}'),
    ("B", "**B** is correct"),
    ("B", "Answer: **B**"),
    ("B", "The answer is option B."),
    ("B", "(B) is the right option, C comes close."),
    ("B", "<think>Answer: C</think>Answer: B"),
    ("B", "B\nQuestion: next?\nAnswer: C"),
]


def score(gold: str, reply: str, choices: dict[str, str] | None = None) -> float:
    example = Example("q", "?", gold, choices=choices or {})
    (found,) = get_scorer("choice" if choices else "exact")([example], [reply])
    return found.value


@pytest.mark.parametrize(("gold", "reply"), RIGHT)
def test_equal_answers_score_one(gold: str, reply: str) -> None:
    assert score(gold, reply) == 1


@pytest.mark.parametrize(("gold", "reply"), WRONG)
def test_other_answers_score_nothing(gold: str, reply: str) -> None:
    assert score(gold, reply) == 0


@pytest.mark.parametrize(("letter", "reply"), LETTERS)
def test_a_stated_letter_is_found(letter: str, reply: str) -> None:
    assert score(letter, reply, {"A": "red", "B": "green", "C": "blue"}) == 1


def test_a_letter_that_is_denied_is_not_stated() -> None:
    assert score("B", "B is not the correct answer.", {"A": "red", "B": "green"}) == 0


@given(st.integers(-(10**7), 10**7), st.integers(-(10**7), 10**7))
def test_a_number_is_itself_and_no_other(one: int, other: int) -> None:
    for reply in (f"{one}", f"{one:,}", f"The answer is {one:,}.", rf"\boxed{{{one}}}", f"{one}.0"):
        assert score(str(one), reply) == 1
        assert score(str(other), reply) == (one == other)


@given(st.text(st.characters(codec="ascii", categories=("L", "N", "P", "S", "Zs")), min_size=1, max_size=20))
def test_a_gold_matches_itself(gold: str) -> None:
    if gold.strip():
        assert same(gold, gold)


def test_reasoning_is_not_passed_on() -> None:
    prompt = Prompts().render(Example("q", "?", "7"), ["<think>perhaps 9</think> 7\nQuestion: more? 8"])
    assert "- 7\n" in prompt
    assert not {"perhaps", "more?"} & set(prompt.replace("<", " ").split())


def test_a_reply_without_reasoning_stays_as_it_is() -> None:
    assert spoken(" Question: is it 3?\n 7 ") == " Question: is it 3?\n 7 "
