"""Options as people and models state them; what denies or names several options states none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hswarm.scorers import get_scorer
from hswarm.tasks.task import Example

COLOURS = {"A": "red", "B": "green", "C": "blue"}
B = [
    *("B", "b", "(B)", "[B]", "B.", "B)", "B:", "**B**", "*B*", "`B`", '"B"', "<b>B</b>", "$B$", "B\n", " B "),
    *("Answer: B", "**Answer:** B", "Answer: **B**", "Answer:\nB", "answer - B", "ANSWER = B", "Ans: B", "Answer (B)"),
    *("The answer is B.", "the answer is b", "The correct answer is: B", "My final answer would be (B).", "Answer is B"),
    *("The answer is option B.", "The correct option is B", "The right choice is **B**", "Option B", "choice (B)"),
    *("The answer is **B) green**", "The answer is (B) green.", "The answer is B green", "Answer: B - green"),
    *("B is the correct answer.", "B is correct", "**B** is right", "(B) is the best option, C comes close."),
    *('{"answer": "B"}', "{'choice': 'B'}", '{"answer":"b","why":"it is"}', '```json\n{"answer": "B"}\n```'),
    *(r"\boxed{B}", r"\boxed{\text{B}}", r"$\boxed{(B)}$", r"\boxed{\textbf{B}}", r"\boxed{B. green}", r"\boxed{green}"),
    *("<answer>B</answer>", "#### B", "I choose B.", "I'd go with B", "I would pick (B)", "We select option B."),
    *("green", "Green.", "It is green.", "The answer is green", "Not red or blue. The answer is green."),
    *("B. green", "B: green", "B) green", "(B) green"),
    *("A: red\nB: green\nC: blue\nAnswer: B", "A. red\nB. green\nC. blue\n\nB", "(A) red (B) green; the answer is B"),
    *("A is wrong. C is wrong too. The answer is B.", "The answer is not A. The answer is B.", "Option C is wrong. Option B"),
    *("The answer is B. Option C is tempting.", "I think the answer is (C), no wait. The answer is B", "Answer: B, not A"),
    *("<think>Answer: C</think>Answer: B", "B\nQuestion: next?\nAnswer: C", "The answer is B because A is too small."),
    *("I believe it's B.", "So it must be (B).", "Selected: B", "Answer\uff1aB", "Answer: <B>", "B?", "Final answer: $B$"),
    *("{'answer': 'green'}", '{"answer": "B. green"}', r"$\boxed{\textbf{(B) }green}$", "Thus, B is the right choice."),
    *("The answer is B, since A and C are wrong", "\u201cB\u201d", "The answer: B\n\nExplanation: A dog is red."),
]  # fmt: skip
NOTHING = [
    *("", "I cannot tell.", "A dog is an animal.", "Based on that", "Did you know?", "E", "The answer is a dog"),
    *("B or C", "The answer is B or C.", "Answer: A, B", "Both A and B are correct", "A and B are right", "(A) or (B)"),
    *("The answer is neither A nor B", "The answer is B/C", "Either A or B", "Answer: None"),
    *("red or green", r"\boxed{A, B}", "B is not the correct answer.", "The answer is not B", "Option B is wrong."),
    *("A: red\nB: green\nC: blue", "A. red\nB. green\nC. blue", "I think so", "ABC", "greenish", "The answer is D"),
]  # fmt: skip


def letter(reply: str, choices: dict[str, str]) -> str:
    (found,) = get_scorer("choice")([Example("q", "What is it, then?", "B", choices=choices)], [reply])
    assert found.parsed == bool(found.extracted)
    return found.extracted


@pytest.mark.parametrize("reply", B)
def test_the_letter_that_is_stated(reply: str) -> None:
    assert letter(reply, COLOURS) == "B"


@pytest.mark.parametrize("reply", NOTHING)
def test_nothing_is_stated(reply: str) -> None:
    assert letter(reply, COLOURS) == ""


@pytest.mark.parametrize(
    ("reply", "choices", "stated"),
    [
        ("New York", {"A": "York", "B": "New York"}, "B"),
        ("The answer is 0.5", {"A": "5", "B": "1/2"}, "B"),
        ("5.5", {"A": "5", "B": "6"}, ""),
        ("The answer is 1,234.", {"A": "234", "B": "1234"}, "B"),
        ("50%", {"A": "5", "B": "50%"}, "B"),
        ("(2) is the correct answer", {"1": "one", "2": "two"}, "2"),
        ("The answer is 2", {"1": "one", "2": "two"}, "2"),
        ("I think the answer is I.", {letter: f"option {letter}" for letter in "ABCDEFGHIJ"}, "I"),
        ("I think so", {letter: f"option {letter}" for letter in "ABCDEFGHIJ"}, ""),
        ("The answer is AB", {"A": "first", "AB": "both", "B": "second"}, "AB"),
        ("Yes", {"A": "Yes", "B": "No"}, "A"),
        (r"The answer is \frac{1}{2}.", {"A": r"$\frac{1}{3}$", "B": r"$\frac{1}{2}$"}, "B"),
    ],
)
def test_options_of_other_kinds(reply: str, choices: dict[str, str], stated: str) -> None:
    assert letter(reply, choices) == stated


@given(st.text(max_size=80), st.dictionaries(st.sampled_from("ABCDE"), st.text(max_size=6), min_size=1))
def test_any_reply_can_be_read(reply: str, choices: dict[str, str]) -> None:
    assert letter(reply, choices) in ("", *choices)


@given(st.sampled_from("ABC"), st.sampled_from(["{}", "The answer is {}.", "({})", r"\boxed{{{}}}", "{} is correct"]))
def test_every_letter_in_every_form(stated: str, form: str) -> None:
    assert letter(form.format(stated), COLOURS) == stated
