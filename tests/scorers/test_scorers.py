"""Strict scorers against the known faults of loose ones; the loose ones reproduced under their own name."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hswarm.scorers import get_scorer
from hswarm.scorers.base import Score, ScorerPart, scorer
from hswarm.tasks.task import Example

OPTIONS = {"A": "Paris", "B": "Rome", "C": "Oslo", "D": "3"}


def score(name: str, answer: str, response: str, choices: dict[str, str] | None = None) -> Score:
    return get_scorer(name)([Example("0", "q", answer, choices or {})], [response])[0]


@pytest.mark.parametrize(
    ("response", "letter"),
    [
        ("Answer: C", "C"),
        ("The answer is C.", "C"),
        ("(C)", "C"),
        ("C", "C"),
        ("c", "C"),
        ("C. Oslo", "C"),
        ("C) Oslo", "C"),
        ("**C**", "C"),
        (r"\boxed{C}", "C"),
        ("I think the answer is (B), no wait. The answer is C", "C"),
        ("Oslo", "C"),
        ("It must be Oslo, I am sure.", "C"),
        ("Definitely C: Oslo", "C"),
        ("Final answer: **B**", "B"),
        ("A: Paris is wrong.\nB: Rome fits.\nAnswer: B", "B"),
    ],
)
def test_choice_reads_what_is_stated(response: str, letter: str) -> None:
    found = score("choice", letter, response, OPTIONS)
    assert (found.value, found.parsed, found.extracted) == (1.0, True, letter)


@pytest.mark.parametrize(
    "response",
    ["Based on the text, I cannot tell.", "A dog is an animal.", "", "Did you know?", "Paris or Rome", "13 cows", "E"],
)
def test_choice_states_nothing(response: str) -> None:
    """Fault 6: a letter in the first five characters, or an option's text inside another word, is no statement."""
    assert score("choice", "A", response, OPTIONS) == (0.0, False, "")


def test_choice_of_ten() -> None:
    ten = {letter: f"option {letter}" for letter in "ABCDEFGHIJ"}
    assert score("choice", "J", "The answer is J.", ten).value == 1


@pytest.mark.parametrize(
    ("gold", "response"),
    [
        ("5", "The answer is 5."),
        ("5", "5"),
        ("5", "2 + 3 = 5"),
        ("1200", "$1,200"),
        ("3", "3.0"),
        ("0.5", "1/2"),
        ("150", "#### 150"),
        ("150", r"so \boxed{150}"),
        ("Yes", "yes"),
        ("No", "Node 0 is not connected. No."),
        ("No", "The answer is no, since Node 3 is far."),
        ("No", "Answer: no."),
        ("-4", "It is -4"),
        ("30 minutes", "30 minutes."),
        ("grandfather", "Grandfather"),
        ("the Nile", "Nile"),
        ("7", "First 12, then 3, so the answer is: 7 apples"),
        ("56", "**56**"),
        ("30 minutes", "It takes 30 minute"),
        ("30 minutes", "30"),
        ("30", "The answer is 30 minutes in all."),
        ("1,450,000", "$1450000"),
        ("1450000", "1,450,000 dollars"),
        ("0.5", r"\boxed{\frac{1}{2}}"),
        ("20", r"\boxed{20\text{ km}}"),
        ("Yes", "Yes, since there is no gap between them"),
        ("No", "No, there is no path, yes is wrong"),
        ("No", "There is no path"),
        ("Yes", "no wait, yes."),
        ("12", "First I had 5. The answer is 12 because 5 + 7 = 12"),
    ],
)
def test_exact_right(gold: str, response: str) -> None:
    assert score("exact", gold, response).value == 1


@pytest.mark.parametrize(
    ("gold", "response"),
    [
        ("5", "15"),
        ("5", "5, no: 6"),
        ("No", "Node 0 is connected to 1"),
        ("No", "Not at all, yes"),
        ("No", "Yes"),
        ("3", "13.3"),
        ("cat", "a cat and a dog"),
        ("5", ""),
        ("grandfather", "grandfather-in-law"),
        ("-4", "4"),
        ("10", "1"),
        ("4", "4e5"),
        ("30 minutes", "30 hours"),
        ("Yes", "There is no path"),
        ("No", "Yes, no doubt"),
        ("No", "Nothing. Yes"),
        ("12", "The answer is 5, not 12"),
        ("9", "Node 9 leads to 4"),
    ],
)
def test_exact_wrong(gold: str, response: str) -> None:
    """Fault 7: gold as a substring is no answer: "5" in "15", "No" in "Node"."""
    assert score("exact", gold, response).value == 0


def test_exact_counts_what_it_cannot_parse() -> None:
    assert not score("exact", "5", "I do not know").parsed
    assert not score("exact", "Yes", "maybe").parsed
    assert not score("exact", "word", "  ").parsed


def test_reference_reproduces_the_loose_parsing() -> None:
    assert score("reference", "A", "Answer: C", OPTIONS).value == 1  # the A of "Answer"
    assert score("reference", "B", "Based on that", OPTIONS).value == 1
    assert score("reference", "No", "Node 5 ...").value == 1
    assert score("reference", "5", "15").value == 1
    assert score("reference_last5", "5", "5 a b c d e").value == 0
    assert score("reference_last5", "5", "a b c d 15").value == 1


def test_verifier_is_the_generators_own() -> None:
    from hswarm.errors import TaskError
    from hswarm.tasks.reasoning_gym import generate

    examples = generate(["leg_counting"], 3, 0)
    answers = [f"The answer is {example.answer}" for example in examples[:2]] + ["a million"]
    assert [s.value for s in get_scorer("verifier")(examples, answers)] == [1.0, 1.0, 0.0]
    with pytest.raises(TaskError, match="needs questions of reasoning-gym"):
        score("verifier", "1", "1")


def reads_any_text(part: ScorerPart) -> bool:
    """It runs no program, asks nobody, and needs no extra or option."""
    return part.reads != "without reasoning" and not (
        part.extras or part.passes or part.calls or any(not option.default for option in part.options)
    )


@pytest.mark.parametrize("name", [name for name, part in scorer.parts.items() if reads_any_text(part)])
@given(response=st.text(max_size=60), gold=st.sampled_from(["5", "No", "word", "A", "1/0", "1e999"]))
def test_no_response_breaks_a_scorer(name: str, response: str, gold: str) -> None:
    for choices in ({}, OPTIONS):
        (found,) = get_scorer(name)([Example("0", "q", gold, choices)], [response])
        assert 0 <= found.value <= 1
